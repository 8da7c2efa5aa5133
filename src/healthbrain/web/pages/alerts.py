"""What needs somebody's attention: silent institutions, refusals out of the ordinary, senders nobody has verified.

An institution is silent when it sent something in the last week but nothing for longer than `_SILENT`; a source's
refusals are a peak when today's are many and several times its usual day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthbrain import exchange
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.exchange import DaySummary, Filter
from healthbrain.web.language import CHINA, N_
from healthbrain.web.pages import plan_alerts
from healthbrain.web.pages.cockpit_view import Alert
from healthbrain.web.visit import Visit

_WEEK = timedelta(days=7)
_SILENT = timedelta(days=1)
_PEAK = 10  # refusals a day below this are everyday
_TIMES = 3
_MOST = 8


@dataclass(frozen=True, slots=True)
class Peak:
    """A source with unusually many refusals today."""

    source: int | None
    name: str
    today: int
    usual: float


async def noticed(visit: Visit, connection: Connection, tree: Tree, whole: bool) -> list[Alert]:
    """The alerts of this visitor's area: plans and supervision, then arrivals (for who may see them), gravest first."""
    behind = await plan_alerts.noticed(visit, connection, tree, whole)
    try:
        scope = await visit.decide(connection, "search", "arrival")
    except Forbidden:
        return behind
    wanted = Filter(organisations=scope.organisations, since=visit.at - _WEEK)
    days = await exchange.summary(connection, wanted)
    linked = visit.principal is not None and visit.principal.role != "leader"
    covered = await exchange.coverage(
        connection, since=visit.at - _WEEK, until=visit.at, organisations=scope.organisations
    )
    found = [*behind, *_silent(visit, days, linked), *_peaks(visit, days, linked), *_unconnected(visit, covered)]
    unverified = [one for one in await exchange.sources(connection) if not one.verified] if whole else []
    if unverified:
        text = visit.language.say(N_("Unverified senders: %(number)s")) % {"number": len(unverified)}
        detail = "、".join(one.name for one in unverified[:3])
        found.append(
            Alert("warn", "lock", text, detail, "/sources" if linked else "", visit.language.say(N_("Verify")))
        )
    return found[:_MOST]


def last_by_source(days: Sequence[DaySummary]) -> dict[int, tuple[str, datetime, str]]:
    """Of each source its name, last arrival and the door it came by."""
    found: dict[int, tuple[str, datetime, str]] = {}
    for day in days:
        if day.source is not None and (day.source not in found or day.last > found[day.source][1]):
            found[day.source] = (day.source_name, day.last, day.door)
    return found


def is_silent(last: datetime, now: datetime) -> bool:
    """Whether a source that used to send has stopped."""
    return now - last > _SILENT


def peaks(days: Sequence[DaySummary], now: datetime) -> list[Peak]:
    """The sources with unusually many refusals today."""
    today = now.astimezone(CHINA).date()
    refused: dict[int | None, dict[bool, int]] = {}
    names: dict[int | None, str] = {}
    known = {day.source for day in days if day.day != today}  # nothing is unusual on a source's first day
    for day in days:
        counted = refused.setdefault(day.source, {True: 0, False: 0})
        counted[day.day == today] += day.refused + day.failed
        names[day.source] = day.source_name
    found = [Peak(source, names[source], counted[True], counted[False] / 7) for source, counted in refused.items()]
    return sorted(
        (p for p in found if p.source in known and p.today >= _PEAK and p.today > _TIMES * p.usual),
        key=lambda p: -p.today,
    )


def _silent(visit: Visit, days: Sequence[DaySummary], linked: bool) -> list[Alert]:
    said = visit.language
    found = []
    for source, (name, last, door) in sorted(last_by_source(days).items(), key=lambda item: item[1][1]):
        # a file import is a single act, not a stream that can fall silent
        if door != "ndjson" and is_silent(last, visit.at):
            text = said.say(N_("%(name)s has sent nothing for %(span)s")) % {
                "name": name,
                "span": said.span(visit.at - last),
            }
            detail = said.say(N_("last arrival %(time)s")) % {"time": said.time(last)}
            url = f"/arrivals?source={source}" if linked else ""
            found.append(Alert("bad", "alert", text, detail, url, said.say(N_("Look"))))
    return found


def _unconnected(visit: Visit, covered: exchange.Coverage) -> list[Alert]:
    if not covered.silent:
        return []
    said = visit.language
    text = said.say(N_("Institutions without any data in 7 days: %(number)s")) % {"number": len(covered.silent)}
    names = "、".join(one.name for one in covered.silent[:4]) + ("…" if len(covered.silent) > 4 else "")
    url = "/cockpit/persons?measure=HUB-EX-11&group=outside"
    return [Alert("warn", "source", text, names, url, said.say(N_("Look")))]


def _peaks(visit: Visit, days: Sequence[DaySummary], linked: bool) -> list[Alert]:
    said = visit.language
    found = []
    for peak in peaks(days, visit.at):
        text = said.say(N_("%(name)s: %(number)s messages refused today")) % {
            "name": peak.name or said.say(N_("Unknown sender")),
            "number": said.number(peak.today),
        }
        detail = said.say(N_("usually %(number)s a day")) % {"number": said.number(peak.usual, 1)}
        url = f"/arrivals?source={peak.source}&state=refused" if linked and peak.source is not None else ""
        found.append(Alert("warn", "cross", text, detail, url, said.say(N_("Look"))))
    return found
