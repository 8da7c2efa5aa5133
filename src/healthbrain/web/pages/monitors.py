"""Monitors (查询监控): the visitor's saved questions with a threshold, how each stands, its crossings; seen, muted.

The worker judges them (`runtime.monitors`) with what their owner may see, so only the owner is shown what it wrote down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from starlette.responses import RedirectResponse, Response

from healthbrain.errors import HealthBrainError, Incorrect
from healthbrain.measure import analysis
from healthbrain.measure.analysis import Dimension, Question, monitors
from healthbrain.measure.analysis.monitors import Crossing, Monitor
from healthbrain.web import wording
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import analysis_form, analysis_view
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

SAID = {
    "seen": N_("The crossings are marked as seen."),
    "muted": N_("No notice of this monitor until that day; it is judged all the same."),
    "unmuted": N_("You are told of this monitor's crossings again."),
}
_STATES: Mapping[str, tuple[str, str, str]] = {
    "": (N_("Not judged yet"), "", "clock"),
    "fine": (N_("Within the threshold"), "ok", "check"),
    "crossed": (N_("At or beyond the threshold"), "bad", "flag"),
    "nothing": (N_("Nothing to judge"), "", "info"),
    "hidden": (N_("Too few people to be judged"), "", "shield"),
    "failed": (N_("Could not be judged"), "warn", "alert"),
}
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class MonitorLine:
    """One monitor."""

    id: int
    name: str
    url: str
    threshold: str
    what: str
    state: tuple[str, str, str]
    why: str
    crossed: str
    judged: str
    unseen: int
    muted: str
    until: str


@dataclass(frozen=True, slots=True)
class CrossingLine:
    """One crossing."""

    name: str
    url: str
    place: str
    period: str
    value: str
    threshold: str
    began: str
    judged: str
    ended: str
    seen: bool


@dataclass(frozen=True, slots=True)
class MonitorsPage:
    """Context of monitors.html."""

    monitors: Sequence[MonitorLine]
    crossings: Sequence[CrossingLine]
    earliest: str
    latest: str


async def overview(visit: Visit) -> Response:
    """The visitor's monitors and their crossings."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        found = await monitors.monitors(connection, visit.who.account)
        crossed = await monitors.crossings(connection, visit.who.account)
        tree = await visit.platform.tree(connection)
    names = {str(one.key): one.name for one in tree} | {one.fhir_id: one.name for one in tree if one.fhir_id}
    asked = {one.id: _question(one) for one in found}
    today = visit.at.astimezone(CHINA).date()
    page = MonitorsPage(
        monitors=[_monitor(visit, one, asked[one.id]) for one in found],
        crossings=[_crossing(said, one, asked.get(one.question), names) for one in crossed],
        earliest=(today + timedelta(days=1)).isoformat(),
        latest=(today + timedelta(days=365)).isoformat(),
    )
    text = SAID.get(visit.query.get("said", ""))
    crumbs = [
        Crumb(said.say(N_("Home")), "/"),
        Crumb(said.say(N_("Ad-hoc analysis")), "/analysis"),
        Crumb(said.say(N_("Monitors"))),
    ]
    return show(visit, "monitors.html", page, crumbs=crumbs, toast=Toast(said.say(text)) if text else None)


async def act(visit: Visit) -> Response:
    """Mark crossings as seen, mute a monitor until a day, or be told again."""
    form = await visit.form()
    id_, action, who = int(visit.request.path_params["question"]), str(form.get("action", "")), visit.who.account
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        match action:
            case "see":
                await monitors.see(connection, who, id_, visit.at)
            case "mute":
                await monitors.mute(connection, who, id_, _until(str(form.get("until", ""))), visit.at)
            case "unmute":
                await monitors.mute(connection, who, id_, None, visit.at)
            case _:
                raise Incorrect("there is no such action")
    said = {"see": "seen", "mute": "muted", "unmute": "unmuted"}[action]
    return RedirectResponse(f"/analysis/monitors?said={said}", 303)


def _until(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA)
    except ValueError:
        raise Incorrect("say until which day, as 2026-12-31") from None


def _question(one: Monitor) -> Question | None:
    """The question, when its view is still there."""
    try:
        return analysis.question_of(one.question)
    except HealthBrainError:
        return None


def _monitor(visit: Visit, one: Monitor, asked: Question | None) -> MonitorLine:
    said = visit.language
    word, look, sign = _STATES[one.state]
    muted = one.muted(visit.at)
    what = ""
    if asked is not None:
        what = analysis_view.measure_title(said, analysis.source_of(asked.source), asked.measures[0])
    return MonitorLine(
        id=one.id,
        name=one.name,
        url=analysis_form.address(asked, id=str(one.id)) if asked is not None else "",
        threshold=_threshold(said, str(one.question["watch"]["side"]), float(one.question["watch"]["value"])),
        what=what,
        state=(said.say(word), look, sign),
        why=wording.tell(said, one.why),
        crossed=said.say(N_("%(crossed)s of %(places)s")) % {"crossed": one.crossed, "places": one.places}
        if one.places
        else "—",
        judged=said.time(one.judged_at) if one.judged_at else "—",
        unseen=one.unseen,
        muted=said.day(one.muted_until) if muted and one.muted_until else "",
        until=(visit.at + _WEEK).astimezone(CHINA).date().isoformat(),
    )


def _crossing(said: Language, one: Crossing, asked: Question | None, names: Mapping[str, str]) -> CrossingLine:
    period, grain = (
        one.period,
        next((each for each in asked.dimensions if each.grain), None) if asked is not None else None,
    )
    spoken = _period(said, asked, grain, period, names)
    if one.first_period and one.first_period != period:
        spoken = f"{_period(said, asked, grain, one.first_period, names)} – {spoken}"
    return CrossingLine(
        name=one.name,
        url=analysis_form.address(asked, id=str(one.question)) if asked is not None else "",
        place=_place(said, one, asked, names),
        period=spoken or "—",
        value=said.number(one.value, 0 if float(one.value).is_integer() else 2),
        threshold=_threshold(said, one.side, one.threshold),
        began=said.time(one.crossed_at),
        judged=said.time(one.judged_at),
        ended=said.time(one.ended_at) if one.ended_at else "",
        seen=one.seen_at is not None,
    )


def _period(
    said: Language, asked: Question | None, grain: Dimension | None, label: str, names: Mapping[str, str]
) -> str:  # fmt: skip
    if not label or asked is None or grain is None:
        return label
    return analysis_view.Labels(said, analysis.source_of(asked.source), names).of(grain, label)


def _place(said: Language, one: Crossing, asked: Question | None, names: Mapping[str, str]) -> str:
    """Where it crossed, in the words of the question's rows and columns."""
    row, column = one.place
    if asked is None:
        return " · ".join([*(row or ()), *(column or ())]) or said.say(N_("All"))
    labels = analysis_view.Labels(said, analysis.source_of(asked.source), names)
    parts = [
        labels.of(dimension, value) for dimension, value in zip(_without_time(asked.rows), row or (), strict=False)
    ]
    parts += [
        labels.of(dimension, value)
        for dimension, value in zip(_without_time(asked.columns), column or (), strict=False)
    ]
    return " · ".join(parts) or said.say(N_("All"))


def _without_time(dimensions: Sequence[Dimension]) -> list[Dimension]:
    """The dimensions that name a place; a crossing's time is its period."""
    return [one for one in dimensions if not one.grain]


def _threshold(said: Language, side: str, value: float) -> str:
    return f"{'≥' if side == 'above' else '≤'} {said.number(value, 0 if value.is_integer() else 2)}"
