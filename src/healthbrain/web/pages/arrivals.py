"""Arrivals (数据到达): what came from whom, what became of it and why, the message as it came, and trying again.

The whole state of the list is in its address. Raw messages hold people's data: they open only to who may read
arrivals for the present purpose, and every opening is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from healthbrain import access, exchange
from healthbrain.access import Tree
from healthbrain.errors import Conflict, Forbidden, NotFound
from healthbrain.exchange import DaySummary, Delivery, Filter
from healthbrain.scope import Scope
from healthbrain.store.deliveries import written_by
from healthbrain.web import labels, wording
from healthbrain.web.export import csv_response
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import alerts
from healthbrain.web.raw_view import RawView, raw_view
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

REPLAYABLE = ("refused", "failed", "partly", "held")
_PAGE = 40
_WRITTEN = 60
_STATES = ("accepted", "partly", "refused", "duplicate", "failed", "held")
_WEEK = timedelta(days=7)
_SEVERITY: Mapping[str, tuple[str, str, str]] = {
    "fatal": (N_("Error"), "bad", "cross"),
    "error": (N_("Error"), "bad", "cross"),
    "warning": (N_("Warning"), "warn", "alert"),
    "information": (N_("Note"), "info", "info"),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """The list's filters as the address has them."""

    source: str = ""
    door: str = ""
    state: str = ""
    type: str = ""
    since: str = ""
    until: str = ""
    reason: str = ""  # words in it, as the reader sees it
    why: str = ""  # exactly this one, as the ledger has it

    def pairs(self) -> list[tuple[str, str]]:
        """Those that are set."""
        return [(name, value) for name in self.__slots__ if (value := getattr(self, name))]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source over the last days."""

    name: str
    organisation: str
    door: str
    url: str
    today: int
    refused_today: int
    week: int
    refused_week: int
    last: str
    delay: str
    silent: bool
    verified: bool


@dataclass(frozen=True, slots=True)
class ArrivalLine:
    """One delivery in the list."""

    id: int
    time: str
    state: str
    source: str
    door: str
    type: str
    control: str
    entries: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArrivalsPage:
    """Context of arrivals.html."""

    sources: Sequence[SourceLine]
    why: Sequence[tuple[str, str, int, str]]
    rows: Sequence[ArrivalLine]
    filters: Filters
    filter_pairs: Sequence[tuple[str, str]]
    chosen_reason: str
    any_reason: str
    source_choices: Sequence[tuple[str, str]]
    states: Sequence[str]
    older: str
    newer: str
    export: str
    may_replay: bool
    replayable: bool


@dataclass(frozen=True, slots=True)
class IssueLine:
    """One finding."""

    severity_text: str
    look: str
    sign: str
    where: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """A resource that the delivery wrote."""

    type: str
    id: str
    version: int
    person: str


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """A former outcome."""

    attempt: int
    time: str
    state: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class ArrivalPage:
    """Context of arrival.html."""

    id: int
    state: str
    lede: str
    facts: Sequence[tuple[str, str]]
    issues: Sequence[IssueLine]
    raw: RawView | None
    raw_refused: str
    may_replay: bool
    purposes: Sequence[str] = ()
    written: Sequence[WrittenLine] = ()
    written_total: str = ""
    attempts: Sequence[AttemptLine] = field(default_factory=tuple)


async def arrivals(visit: Visit) -> Response:
    """The list, with the sources over it."""
    said, filters = visit.language, filters_of(visit.query)
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", "arrival")
        wanted = wanted_of(said, filters, scope)
        tree = await visit.platform.tree(connection)
        known = [s for s in await exchange.sources(connection) if _open(scope, s.organisation)]
        if visit.query.get("format") == "csv":
            page = await exchange.arrivals(connection, wanted, count=5000)
            return _csv(said, page.deliveries)
        page = await exchange.arrivals(connection, wanted, count=_PAGE, cursor=visit.query.get("cursor") or None)
        week = Filter(organisations=scope.organisations, since=visit.at - _WEEK)
        days = await exchange.summary(connection, week)
        why = await exchange.reasons(
            connection, wanted_of(said, Filters(filters.source, since=filters.since), scope), count=6
        )
    verified = {s.key: s.verified for s in known}
    context = ArrivalsPage(
        sources=_source_lines(visit, tree, days, verified),
        why=[
            (
                wording.tell(said, r.reason),
                r.state,
                r.count,
                visit.at_url(why=r.reason, reason=None, state=r.state, cursor=None),
            )
            for r in why
        ],
        rows=[_line(said, one) for one in page.deliveries],
        filters=filters,
        filter_pairs=filters.pairs(),
        chosen_reason=wording.tell(said, filters.why),
        any_reason=visit.at_url(why=None, cursor=None),
        source_choices=[(str(s.key), s.name) for s in known],
        states=_STATES,
        older=visit.at_url(cursor=page.next) if page.next else "",
        newer=visit.at_url(cursor=None) if visit.query.get("cursor") else "",
        export=visit.at_url(format="csv", cursor=None),
        may_replay=visit.may("replay", "arrival"),
        replayable=any(one.state in REPLAYABLE for one in page.deliveries),
    )
    return show(visit, "arrivals.html", context, crumbs=_crumbs(visit))


async def arrival(visit: Visit) -> Response:
    """One delivery with its message."""
    said, number = visit.language, visit.request.path_params["delivery"]
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", "arrival")
        one = await _visible(connection, number, scope)
        attempts = await exchange.attempts(connection, number)
        tree = await visit.platform.tree(connection)
        raw, refused, readable = None, "", _may_read(visit)
        if readable:
            raw = await _raw(connection, said, one)
            written = await written_by(
                connection, number, one.received_at, one.settled_at, count=_WRITTEN + 1, scope=scope
            )
            persons = await visit.platform.persons_of(connection, [w.patient for w in written if w.patient])
        else:
            written, persons = [], {}
            refused = said.say(N_("The message holds people’s data. It opens only for a stated purpose."))
    if readable:
        visit.note("R", "arrival", str(number), patients=[w.patient for w in written if w.patient], interaction="raw")
    anchors = raw.anchors if raw else {}
    context = ArrivalPage(
        id=one.id,
        state=one.state,
        lede=" · ".join(
            part
            for part in (one.source_name, said.say(labels.DOORS[one.door]), said.time(one.received_at, seconds=True))
            if part
        ),
        facts=_facts(said, tree, one),
        issues=[_issue(said, issue, anchors) for issue in one.issues],
        raw=raw,
        raw_refused=refused or said.say(N_("The content of this arrival is no longer kept.")),
        may_replay=visit.may("replay", "arrival") and one.state in REPLAYABLE,
        purposes=[] if readable else _other_purposes(visit),
        written=[WrittenLine(w.type, w.id, w.version, persons.get(w.patient or 0, "")) for w in written[:_WRITTEN]],
        written_total=f"{_WRITTEN}+" if len(written) > _WRITTEN else str(len(written)),
        attempts=[
            AttemptLine(
                a["attempt"],
                said.time(a["settled_at"], seconds=True),
                a["state"],
                wording.tell(said, a["reason"]),
                a["replayed_by"],
            )
            for a in attempts
        ],
    )
    return show(visit, "arrival.html", context, crumbs=[*_crumbs(visit), Crumb(str(one.id))])


async def raw_file(visit: Visit) -> Response:
    """The message byte for byte."""
    number = visit.request.path_params["delivery"]
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", "arrival")
        one = await _visible(connection, number, scope)
        if not scope.identified:
            raise Forbidden("raw messages open only for a stated purpose")
        raw = await exchange.raw(connection, number)
    visit.note("R", "arrival", str(number), interaction="raw-file")
    ending = {"hl7v2": "hl7", "fhir": "json", "ndjson": "ndjson"}[one.door]
    return Response(
        raw,
        media_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="arrival-{number}.{ending}"'},
    )


async def replay_one(visit: Visit) -> Response:
    """Try one delivery again."""
    number = visit.request.path_params["delivery"]
    async with visit.platform.pool.connection() as connection:
        await _visible(connection, number, await visit.decide(connection, "replay", "arrival"))
    try:
        receipt = await exchange.replay(visit.platform.ledger, number, by=visit.who.account, at=visit.at)
    except Conflict:
        receipt = None
    visit.note("E", "arrival", str(number), detail=receipt.state if receipt else "conflict", interaction="replay")
    return RedirectResponse(f"/arrivals/{number}", 303)


def filters_of(query: Mapping[str, Any]) -> Filters:
    """The filters in a query or a form."""
    return Filters(**{name: str(query.get(name, "")).strip() for name in Filters.__slots__})


def wanted_of(said: Language, filters: Filters, scope: Scope, *, states: Sequence[str] | None = None) -> Filter:
    """The filters as exchange knows them, within a scope. What cannot be read as a number or a day is left out."""
    since, until = _day(filters.since), _day(filters.until)
    return Filter(
        organisations=scope.organisations,
        source=int(filters.source) if filters.source.isdecimal() else None,
        states=states or ((filters.state,) if filters.state in _STATES else None),
        door=filters.door if filters.door in labels.DOORS else None,
        message_type=filters.type or None,
        reason=filters.why or None,
        reason_like=wording.patterns(said, filters.reason) if filters.reason else None,
        since=since,
        until=until + timedelta(days=1) if until else None,
    )


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA)
    except ValueError:
        return None


def _open(scope: Scope, organisation: int | None) -> bool:
    return scope.organisations is None or organisation in scope.organisations


def _may_read(visit: Visit) -> bool:
    return visit.may("read", "arrival") and access.permitted(visit.who, "read", "arrival") != "counts"


def _other_purposes(visit: Visit) -> list[str]:
    return sorted(access.allowed_purposes(visit.who.role) - {visit.who.purpose, "ETREAT"})


async def _visible(connection: Any, number: int, scope: Scope) -> Delivery:
    one = await exchange.delivery(connection, number)
    if not _open(scope, one.organisation):
        raise NotFound("there is no such arrival, or it is not open to you")
    return one


async def _raw(connection: Any, said: Language, one: Delivery) -> RawView | None:
    try:
        content = await exchange.raw(connection, one.id)
    except NotFound:
        return None
    return raw_view(said, content, one.door, [str(issue.get("expression", "")) for issue in one.issues])


def _facts(said: Language, tree: Tree, one: Delivery) -> list[tuple[str, str]]:
    delay = (one.received_at - one.message_at).total_seconds() if one.message_at else None
    rows = [
        (N_("Source"), one.source_name),
        (N_("Institution"), tree.name(one.organisation) if one.organisation is not None else ""),
        (N_("Message type"), one.message_type),
        (N_("Number"), one.control_id),
        (N_("File"), one.name),
        (N_("Made by the sender"), said.time(one.message_at, seconds=True)),
        (N_("Received"), said.time(one.received_at, seconds=True)),
        (N_("Delay"), said.span(delay) if delay is not None and delay >= 0 else ""),
        (N_("Worked off"), said.time(one.settled_at, seconds=True)),
        (N_("Size"), said.size(one.size)),
        (N_("Entries"), said.number(one.entries)),
        (N_("New versions"), said.number(one.written)),
        (N_("Entries refused"), said.number(one.refused)),
        (N_("Attempts"), str(one.attempt)),
        ("SHA-256", one.digest.hex()[:16] + "…"),
    ]
    if one.original:
        rows.append((N_("Duplicate of"), str(one.original)))
    return [(said.say(label), value) for label, value in rows]


def _issue(said: Language, issue: Mapping[str, Any], anchors: Mapping[str, str]) -> IssueLine:
    label, look, sign = _SEVERITY.get(str(issue.get("severity")), _SEVERITY["error"])
    where = str(issue.get("expression", ""))
    return IssueLine(
        said.say(label), look, sign, where, anchors.get(where, ""), wording.tell(said, str(issue.get("text", "")))
    )


def _line(said: Language, one: Delivery) -> ArrivalLine:
    total = max(one.entries, one.refused)
    entries = f"{total - one.refused}/{total}" if one.refused else str(total)
    return ArrivalLine(
        one.id, said.time(one.received_at, seconds=True), one.state, one.source_name or said.say(N_("Unknown sender")),
        said.say(labels.DOORS[one.door]), one.message_type, one.control_id or one.name, entries,
        wording.tell(said, one.reason),
    )  # fmt: skip


def _source_lines(
    visit: Visit, tree: Tree, days: Sequence[DaySummary], verified: Mapping[int, bool]
) -> list[SourceLine]:
    said, today = visit.language, visit.at.astimezone(CHINA).date()
    by_source: dict[int | None, list[DaySummary]] = {}
    for day in days:
        by_source.setdefault(day.source, []).append(day)
    lines = []
    for source, own in by_source.items():
        newest = max(own, key=lambda d: d.last)
        delays = sorted(d.delay_median for d in own if d.delay_median is not None)
        lines.append(
            SourceLine(
                name=newest.source_name or said.say(N_("Unreadable sender")),
                organisation=tree.name(newest.organisation) if newest.organisation is not None else "",
                door=said.say(labels.DOORS.get(newest.door, newest.door)),
                url=f"/arrivals?{urlencode({'source': source})}" if source is not None else "/arrivals?state=refused",
                today=sum(d.total for d in own if d.day == today),
                refused_today=sum(d.refused + d.failed for d in own if d.day == today),
                week=sum(d.total for d in own),
                refused_week=sum(d.refused + d.failed for d in own),
                last=said.ago(newest.last, visit.at),
                delay=said.span(delays[len(delays) // 2]) if delays else "—",
                silent=newest.door != "ndjson" and alerts.is_silent(newest.last, visit.at),
                verified=verified.get(source, True) if source is not None else True,
            )
        )
    return sorted(lines, key=lambda line: (not line.silent, -line.refused_today, -line.week))


def _csv(said: Language, deliveries: Sequence[Delivery]) -> Response:
    head = [
        N_("Arrival"),
        N_("Received"),
        N_("State"),
        N_("Source"),
        N_("Door"),
        N_("Message type"),
        N_("Number"),
        N_("Entries"),
        N_("Entries refused"),
        N_("Reason"),
    ]
    rows = [
        [
            d.id,
            said.time(d.received_at, seconds=True),
            said.say(labels.STATES[d.state][0]),
            d.source_name,
            d.door,
            d.message_type,
            d.control_id,
            d.entries,
            d.refused,
            wording.tell(said, d.reason),
        ]
        for d in deliveries
    ]
    return csv_response("arrivals.csv", [said.say(text) for text in head], rows)


def _crumbs(visit: Visit) -> list[Crumb]:
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Arrivals")), "/arrivals")]
