"""The content of an evaluation report: everything that stands in it, as plain values and texts in one language.

Made once from how the plan stood at the end of the period; page, PDF, Word and Excel are drawn from it.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from healthbrain.access import Tree
from healthbrain.errors import Incorrect
from healthbrain.measure.monitoring import Standing, Status
from healthbrain.measure.plans import Plan
from healthbrain.measure.reports import KINDS, ReportKind
from healthbrain.measure.supervision import UNDER_WAY, Task
from healthbrain.web.labels import LIGHTS
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import figures, plans_view

KIND_WORDS: Mapping[str, str] = {
    "monthly": N_("Monthly report"),
    "interim": N_("Mid-term evaluation"),
    "final": N_("Final evaluation"),
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part in words. `edited`: an author has changed what was generated."""

    key: str
    heading: str
    text: str
    edited: bool = False


@dataclass(frozen=True, slots=True)
class PaperLine:
    """One indicator. `series` and `future` are what its chart shows."""

    id: str
    title: str
    unit: str
    light: str
    why: str
    value: str
    number: float | None
    period: str
    target: str
    target_year: str
    target_number: float | None
    baseline: str
    progress: str
    forecast: str
    change: str
    change_number: float | None
    better: bool | None
    responsible: str
    person: str
    clause: str
    version: str
    as_of: str
    tasks: int
    overdue: int
    breaks: Sequence[Sequence[str]] = ()
    series: Sequence[Sequence[Any]] = ()  # period, value
    future: Sequence[Sequence[Any]] = ()  # period, value, low, high


@dataclass(frozen=True, slots=True)
class Paper:
    """A report."""

    title: str
    plan: str
    plan_title: str
    reference: str
    kind: str
    period: str
    until: str
    made: str
    as_of: str
    language: str
    edition: int
    counts: Sequence[Sequence[Any]]  # light, number
    lines: Sequence[PaperLine]
    sections: Sequence[Section] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def paper_of(raw: Mapping[str, Any]) -> Paper:
    """A report as it was kept."""
    values = dict(raw)
    values["lines"] = tuple(PaperLine(**line) for line in raw["lines"])
    values["sections"] = tuple(Section(**section) for section in raw["sections"])
    return Paper(**values)


def end_of(kind: ReportKind | str, period: str, plan: Plan, today: date) -> date:
    """The last day that a report is about; raises Incorrect for a period that is none or lies in the future."""
    if kind not in KINDS:
        raise Incorrect("choose the kind of report")
    pattern = r"\d{4}-(0[1-9]|1[0-2])" if kind == "monthly" else r"\d{4}"
    if not re.fullmatch(pattern, period) or int(period[:4]) < 2000:
        raise Incorrect("write the period of a monthly report as 2025-10, of an evaluation as the year 2025")
    year, month = int(period[:4]), int(period[5:7]) if kind == "monthly" else 12
    if date(year, month if kind == "monthly" else 1, 1) > today:
        raise Incorrect("the period lies in the future")
    if kind == "interim" and not plan.first <= year <= plan.last:
        raise Incorrect("a mid-term evaluation is about a year of the plan")
    if kind == "final" and year < plan.last:
        raise Incorrect("a final evaluation is made for the last year of the plan or later")
    return min(date(year, month, calendar.monthrange(year, month)[1]), today)


def build(
    said: Language,
    status: Status,
    tree: Tree,
    tasks: Sequence[Task],
    *,
    kind: ReportKind,
    period: str,
    until: date,
    edition: int,
    at: datetime,
) -> Paper:
    """The report without its words."""
    today = at.astimezone(CHINA).date()
    way = Counter(task.indicator for task in tasks if task.state in UNDER_WAY)
    late = Counter(task.indicator for task in tasks if task.days_late(today))
    plan_title = figures.words(said, status.plan.title)
    shown_period = said.month(period) if kind == "monthly" else period
    return Paper(
        title=f"{plan_title} · {said.say(KIND_WORDS[kind])} ({shown_period})",
        plan=status.plan.id,
        plan_title=plan_title,
        reference=f"{figures.words(said, status.plan.issuer)} {status.plan.reference}",
        kind=kind,
        period=shown_period,
        until=said.short_day(until),
        made=said.time(at),
        as_of=said.time(status.as_of),
        language=said.tag,
        edition=edition,
        counts=[(light, number) for light, number in status.counts.items()],
        lines=[
            _line(said, status.plan, one, tree, way[one.indicator.id], late[one.indicator.id])
            for one in status.standings
        ],
    )


def _line(said: Language, plan: Plan, one: Standing, tree: Tree, tasks: int, overdue: int) -> PaperLine:
    row = plans_view.line(said, plan, one, tree)
    shown = one.figures[-24:]
    future = plans_view.following(shown[-1].period, len(one.path)) if shown else []
    return PaperLine(
        id=row.id, title=row.title, unit=row.unit, light=row.light, why=row.why, value=row.value,
        number=one.actual.value if one.actual else None, period=row.period, target=row.target,
        target_year=row.target_year, target_number=one.target.value if one.target else None, baseline=row.baseline,
        progress=row.progress, forecast=row.forecast, change=row.change, change_number=one.change, better=row.better,
        responsible=row.responsible, person=row.person, clause=row.clause,
        version=f"v{row.version}" if row.version else "", as_of=row.as_of, tasks=tasks, overdue=overdue,
        breaks=[list(item) for item in one.breaks],
        series=[[figure.period, round(figure.value, 4) if figure.value is not None else None] for figure in shown],
        future=[
            [name, round(step.value, 4), round(step.low, 4), round(step.high, 4)]
            for name, step in zip(future, one.path, strict=True)
        ],
    )  # fmt: skip


def light_word(said: Language, light: str) -> str:
    """The word of a traffic light."""
    return said.say(LIGHTS[light][0])
