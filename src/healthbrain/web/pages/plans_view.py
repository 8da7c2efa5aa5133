"""What the pages of plan monitoring and the reports show of a plan's indicator: words, numbers, charts. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from healthbrain.access import Tree
from healthbrain.measure.monitoring import LEVEL, Forecast, Light, NoForecast, Standing
from healthbrain.measure.plans import Plan, Target
from healthbrain.web.charts import Chart, Series
from healthbrain.web.labels import LIGHTS
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import figures

WHY: Mapping[str, str] = {
    "met": N_("The latest value meets the target."),
    "forecast_meets": N_("The forecast for the target date meets the target."),
    "forecast_may": N_("The forecast misses the target; the better end of its interval meets it."),
    "forecast_misses": N_("Even the better end of the forecast's interval misses the target."),
    "on_way": N_("Ahead of a straight way from the baseline to the target (too few points for a forecast)."),
    "behind": N_("A little behind a straight way from the baseline to the target (too few points for a forecast)."),
    "far_behind": N_("Far behind a straight way from the baseline to the target (too few points for a forecast)."),
    "near": N_("Off the target by no more than 5 % of it (too few points for a forecast)."),
    "far": N_("Off the target by more than 5 % of it (too few points for a forecast)."),
    "over": N_("The target's year is over and it was not met."),
    "nothing": N_("Nothing has been computed or entered yet."),
    "stale": N_("The latest value is too old to judge by."),
    "no_number": N_("The target has no number, and the year before is not known."),
    "undefined": N_("No definition on this platform measures it yet."),
}
_NO_FORECAST: Mapping[str, str] = {
    "few": N_("too few points"),
    "far": N_("too far ahead"),
    "past": N_("date has passed"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One indicator as a row."""

    id: str
    title: str
    unit: str
    light: Light
    why: str
    value: str
    period: str
    as_of: str
    version: str
    target: str
    target_year: str
    baseline: str
    share: float | None  # of the way, in per cent, for the bar
    progress: str
    expected: str
    forecast: str
    change: str
    better: bool | None
    organisation: int | None
    responsible: str
    person: str
    clause: str
    url: str
    tasks: int = 0
    overdue: int = 0


def line(said: Language, plan: Plan, one: Standing, tree: Tree, *, tasks: int = 0, overdue: int = 0) -> Line:
    """The row of an indicator."""
    indicator, actual, duty = one.indicator, one.actual, one.duty
    unit = figures.words(said, indicator.unit)
    progress = one.judgement.progress
    if progress is not None and progress < 1 and one.judgement.light == "met":
        progress = None  # the target was met at the start: there is no way to measure
    return Line(
        id=indicator.id,
        title=figures.words(said, indicator.title),
        unit=unit,
        light=one.light,
        why=said.say(WHY[one.judgement.why]),
        value=number(actual.value if actual else None),
        period=figures.period_text(said, actual.period) if actual else "—",
        as_of=said.time(actual.as_of) if actual else "—",
        version=actual.version if actual else one.definition.version if one.definition else "",
        target=printed(said, one.target),
        target_year=str(one.target.year) if one.target else "",
        baseline=_baseline(one),
        share=None if progress is None else min(max(progress, 0.0), 1.0) * 100,
        progress="—" if progress is None else f"{round(progress * 100) + 0}%".replace("-", "\N{MINUS SIGN}"),
        expected=number(one.judgement.expected),
        forecast=forecast_text(said, one.ahead),
        change="" if one.change is None else said.signed(one.change, 2),
        better=one.better,
        organisation=duty.organisation if duty else None,
        responsible=tree.name(duty.organisation) if duty else figures.words(said, indicator.responsible),
        person=duty.person if duty else "",
        clause=indicator.clause,
        url=f"/plans/{plan.id}/indicators/{indicator.id}",
        tasks=tasks,
        overdue=overdue,
    )


def own(tree: Tree, one: Plan) -> bool:
    """Whether it is the plan of this platform's own area."""
    division = tree.division(tree.root.key) if tree.root else ""
    return bool(division) and division.startswith(one.division)


def number(value: float | None) -> str:
    """A value with at most two decimals, as plans print them; a dash for a missing one.

    >>> number(84.98), number(100.0), number(0.0), number(None)
    ('84.98', '100', '0', '—')
    """
    if value is None:
        return "—"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def printed(said: Language, target: Target | None) -> str:
    """A target as the document prints it."""
    return figures.words(said, target.printed) if target else "—"


def forecast_text(said: Language, ahead: Forecast | NoForecast | None) -> str:
    """A forecast with its interval, or why there is none."""
    if ahead is None:
        return "—"
    if isinstance(ahead, NoForecast):
        return said.say(_NO_FORECAST[ahead.why])
    return f"{number(ahead.value)} ({number(ahead.low)}–{number(ahead.high)})"


def chart(said: Language, one: Standing, *, csv: str = "", low: bool = False) -> Chart:
    """The series of an indicator with its target, the breaks of its definition and the forecast with its interval."""
    periods = [figure.period for figure in one.figures][-36:]
    future = following(periods[-1], len(one.path)) if periods else []
    values = [figure.value for figure in one.figures][-36:]
    gap: list[float | None] = [None] * len(future)
    title = figures.words(said, one.indicator.title)
    series = [Series(said.say(N_("Actual")), [*map(_rounded, values), *gap])]
    if future:
        before: list[float | None] = [*([None] * (len(values) - 1)), _rounded(values[-1])]
        share = {"level": f"{LEVEL:.0%}"}
        series += [
            Series(said.say(N_("Forecast")), [*before, *(_rounded(step.value) for step in one.path)]),
            Series(said.say(N_("Low (%(level)s)")) % share, [*before, *(_rounded(step.low) for step in one.path)]),
            Series(said.say(N_("High (%(level)s)")) % share, [*before, *(_rounded(step.high) for step in one.path)]),
        ]
    return Chart(
        key=one.indicator.id,
        title=title,
        categories=[*periods, *future],
        series=series,
        unit=figures.words(said, one.indicator.unit),
        digits=2,
        target=one.target.value if one.target else None,
        target_label=f"{said.say(N_('Target'))} {one.target.year}" if one.target else "",
        breaks=[(period, f"v{old} → v{new}") for period, old, new in one.breaks if period in periods],
        csv=csv,
        low=low,
        from_zero=False,
    )


def following(period: str, count: int) -> list[str]:
    """The labels of the periods after this one.

    >>> following("2025-11", 3), following("2024", 2), following("2025-W52", 2), following("2025-Q4", 1)
    (['2025-12', '2026-01', '2026-02'], ['2025', '2026'], ['2026-W01', '2026-W02'], ['2026-Q1'])
    """
    found = []
    for _ in range(count):
        period = _next(period)
        found.append(period)
    return found


def _next(period: str) -> str:
    year = int(period[:4])
    if "W" in period:
        monday = date.fromisocalendar(year, int(period[-2:]), 1) + timedelta(days=7)
        return f"{monday.isocalendar().year}-W{monday.isocalendar().week:02d}"
    if "Q" in period:
        quarter = int(period[-1])
        return f"{year + quarter // 4}{period[4:-1]}{quarter % 4 + 1}"
    if len(period) == 4:
        return str(year + 1)
    month = int(period[5:7])
    return f"{year + month // 12}-{month % 12 + 1:02d}{period[7:]}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _baseline(one: Standing) -> str:
    return f"{number(one.start.value)} ({one.start.at:%Y-%m})" if one.start else "—"


def ordered(lines: Sequence[Line]) -> list[Line]:
    """The most urgent lights first, within one light as the plan has them."""
    order = list(LIGHTS)
    return sorted(lines, key=lambda one: order.index(one.light))
