"""What the screens ask of materialised measures. Every answer carries period, window, as-of time, version and coverage."""

# ruff: noqa: S608  # values reach the statements as parameters
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import NotFound
from healthbrain.measure.compute import Coverage
from healthbrain.measure.definition import Definition, Level
from healthbrain.measure.load import built_in

PAGE = 50
_COLUMNS = (
    "measure, version, period, level, key, window_from, window_to, complete, numerator, denominator, value, low, high, "
    "small, sending, registered, as_of, computed_at"
)


_FIGURE = (
    *("measure", "version", "period", "level", "key", "start", "to", "complete"),
    *("numerator", "denominator", "value", "low", "high", "small"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as it is shown: with everything that says what it means."""

    measure: str
    version: str
    period: str
    level: Level
    key: str
    start: date
    to: date
    complete: bool
    numerator: int
    denominator: int | None
    value: float | None
    low: float | None
    high: float | None
    small: bool
    coverage: Coverage
    as_of: datetime
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class Headline:
    """A measure's latest figure with its definition, its target this year, and the figures before it."""

    definition: Definition
    now: Figure
    before: Figure | None  # the previous period
    year_before: Figure | None  # the same period a year ago
    target: float | None

    @property
    def on_target(self) -> bool | None:
        """Whether the target is met; None when there is no target or no value."""
        if self.target is None or self.now.value is None:
            return None
        return self.now.value >= self.target if self.definition.direction != "down" else self.now.value <= self.target


@dataclass(frozen=True, slots=True)
class ShownMember:
    """One member of a population, with the reasons in words."""

    subject: str
    town: str
    institution: str
    numerator: bool
    reasons: tuple[Mapping[str, str], ...]  # language -> text
    shown: Mapping[str, Any]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Part of a population. `next` is the cursor of the following page."""

    members: tuple[ShownMember, ...]
    next: str | None


def definition(measure: str) -> Definition:
    """The built-in definition with this id; NotFound when there is none."""
    found = next((one for one in built_in() if one.id == measure), None)
    if found is None:
        raise NotFound(f"there is no measure {measure}")
    return found


async def headline(
    connection: Connection, *, level: Level = "district", key: str = "", measures: Sequence[str] | None = None
) -> list[Headline]:
    """The latest figure of every measure at one place, in the order of the definitions."""
    wanted = [one for one in built_in() if measures is None or one.id in measures]
    cursor = await connection.execute(
        f"select {_COLUMNS} from measure_result where level = %s and key = %s and measure = any(%s) "
        "order by measure, period desc".encode(),
        [level, key, [one.id for one in wanted]],
    )
    series: dict[str, list[Figure]] = {}
    for row in await cursor.fetchall():
        figure = _figure(row)
        series.setdefault(figure.measure, []).append(figure)
    found = []
    for one in wanted:
        figures = [figure for figure in series.get(one.id, []) if figure.version == one.version]
        if figures:
            found.append(_headline(one, figures))
    return found


async def by_division(connection: Connection, measure: str, period: str | None = None) -> list[Figure]:
    """A measure's figures by town, the latest period unless another is named. Key '' is: town unknown."""
    return await _at_level(connection, measure, "town", period)


async def by_institution(connection: Connection, measure: str, period: str | None = None) -> list[Figure]:
    """A measure's figures by institution (organisation key)."""
    return await _at_level(connection, measure, "institution", period)


async def trend(connection: Connection, measure: str, *, level: Level = "district", key: str = "") -> list[Figure]:
    """Every figure of one place, oldest first, all versions: a change of version is a break in the series."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from measure_result where measure = %s and level = %s and key = %s "
        "order by period, computed_at".encode(),
        [measure, level, key],
    )
    return [_figure(row) for row in await cursor.fetchall()]


async def members(
    connection: Connection,
    measure: str,
    *,
    level: Level = "district",
    key: str = "",
    in_numerator: bool | None = None,
    subject: str | None = None,
    cursor: str | None = None,
    count: int = PAGE,
) -> MemberPage:
    """Who stands behind a measure's latest figure at one place, in the order of their ids.

    The caller has checked that the reader may see people here, and records the access.
    """
    known = definition(measure)
    place = {"district": "true", "town": "town = %(key)s", "institution": "institution = %(key)s"}[level]
    rows = await (
        await connection.execute(
            "select subject, town, institution, inside, reasons, shown, evidence from measure_member "
            f"where measure = %(measure)s and version = %(version)s and {place} "
            "and (%(inside)s::boolean is null or inside = %(inside)s) and (%(after)s::text is null or subject > %(after)s) "
            "and (%(subject)s::text is null or subject = %(subject)s) order by subject limit %(count)s".encode(),
            {
                "measure": measure,
                "version": known.version,
                "key": key,
                "inside": in_numerator,
                "after": cursor,
                "subject": subject,
                "count": count + 1,
            },
        )
    ).fetchall()
    shown = tuple(_member(known, row) for row in rows[:count])
    return MemberPage(shown, shown[-1].subject if len(rows) > count else None)


def as_table(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Figures as rows, for the table twin of a chart and for export."""
    return [
        {
            "period": one.period,
            "key": one.key,
            "numerator": one.numerator,
            "denominator": one.denominator,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "small": one.small,
            "version": one.version,
        }
        for one in figures
    ]


async def _at_level(connection: Connection, measure: str, level: Level, period: str | None) -> list[Figure]:
    version = definition(measure).version
    cursor = await connection.execute(
        f"select {_COLUMNS} from measure_result where measure = %(measure)s and version = %(version)s "
        "and level = %(level)s and period = coalesce(%(period)s, (select max(period) from measure_result "
        "where measure = %(measure)s and version = %(version)s)) order by key".encode(),
        {"measure": measure, "version": version, "level": level, "period": period},
    )
    return [_figure(row) for row in await cursor.fetchall()]


def _headline(one: Definition, figures: list[Figure]) -> Headline:
    now = figures[0]
    before = figures[1] if len(figures) > 1 else None
    year_before = next((figure for figure in figures if figure.period == _year_before(now.period)), None)
    return Headline(one, now, before, year_before, one.target(now.to.year))


def _year_before(period: str) -> str:
    year, rest = period.split("-")
    return f"{int(year) - 1}-{rest}"


def _figure(row: tuple[Any, ...]) -> Figure:
    values = dict(zip(_FIGURE, row[:14], strict=True))
    return Figure(**values, coverage=Coverage(row[14], row[15]), as_of=row[16], computed_at=row[17])


def _member(known: Definition, row: tuple[Any, ...]) -> ShownMember:
    subject, town, institution, inside, reasons, shown, evidence = row
    texts = {reason.id: reason.text for reason in known.population.reasons}
    values = {**known.constants, **shown}
    worded = tuple({language: text.format_map(values) for language, text in texts[id_].items()} for id_ in reasons)
    return ShownMember(subject, town, institution, inside, worded, shown, tuple(evidence))
