"""What the screens ask of materialised measures. Every answer carries period, window, as-of time, version and coverage."""

# ruff: noqa: S608  # values reach the statements as parameters
from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import NotFound
from healthbrain.lake import Lake
from healthbrain.measure import base as store
from healthbrain.measure.adjusting import in_force
from healthbrain.measure.compute import constants_at
from healthbrain.measure.definition import Definition, Level, Period
from healthbrain.measure.listing import Lister, Member, Wanted
from healthbrain.measure.load import built_in, library
from healthbrain.measure.own import last_read
from healthbrain.measure.periods import grain_of, spans, year_before
from healthbrain.measure.result import Coverage, plain

_MEMORY = "1GB"
PAGE = 50
_COLUMNS = (
    "r.measure, r.version, r.period, r.level, r.key, p.window_from, p.window_to, p.complete, r.numerator, r.denominator, "
    "r.value, r.low, r.high, r.small, r.stratifier, r.stratum, p.sending, p.registered, p.as_of, p.computed_at"
)
_FROM = "measure_figure r join measure_period p using (measure, version, period)"
# what the labels of each kind of period look like
_SHAPES = {"year": "____", "quarter": "____-Q_", "month": "____-__", "week": "____-W__", "rolling": "____-__-R12"}
# of each measure the latest figure of its own kind of period, the one before it, and that of a year ago
_HEADLINE = f"""
select {_COLUMNS} from (
    select f.*, row_number() over latest as place, first_value(f.period) over latest as newest
    from unnest(%s::text[], %s::text[], %s::text[]) w (measure, version, shape)
    join measure_figure f on f.measure = w.measure and f.version = w.version and f.period like w.shape
    where f.level = %s and f.key = %s and f.stratifier = '' and f.stratum = ''
    window latest as (partition by f.measure, f.version order by f.period desc)
) r join measure_period p using (measure, version, period)
where r.place <= 2 or r.period = (left(r.newest, 4)::int - 1)::text || substr(r.newest, 5)
order by r.measure, r.version, r.period desc"""
_FIGURE = (
    *("measure", "version", "period", "level", "key", "start", "to", "complete"),
    *("numerator", "denominator", "value", "low", "high", "small", "stratifier", "stratum"),
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
    numerator: float | None  # whole for counts; None for medians
    denominator: float | None
    value: float | None
    low: float | None
    high: float | None
    small: bool
    coverage: Coverage
    as_of: datetime
    computed_at: datetime
    stratifier: str = ""  # '' = all members
    stratum: str = ""
    suppressed: bool = False  # too few to be shown to this reader; numbers are None


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
class Series:
    """One version's figures."""

    version: str
    first: str  # periods
    last: str
    computed_at: datetime


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
    observed: float | None = None  # the number measured, of sums, means, medians


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Part of a population. `next` is the cursor of the following page."""

    members: tuple[ShownMember, ...]
    next: str | None


def defined() -> tuple[Definition, ...]:
    """The built-in measures and the own ones as this process read them last."""
    return (*built_in(), *last_read())


def definition(measure: str) -> Definition:
    """The built-in or own definition with this id; NotFound when there is none."""
    found = next((one for one in defined() if one.id == measure), None)
    if found is None:
        raise NotFound(f"there is no measure {measure}")
    return found


async def headline(
    connection: Connection, *, level: Level = "district", key: str = "", measures: Sequence[str] | None = None
) -> list[Headline]:
    """The latest figure of every measure at one place, in the order of the definitions."""
    wanted = [one for one in await in_force(connection) if measures is None or one.id in measures]
    cursor = await connection.execute(
        _HEADLINE.encode(), [[one.id for one in wanted], [one.version for one in wanted],
                             [_SHAPES[one.period] for one in wanted], level, key],
    )  # fmt: skip
    series: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in await cursor.fetchall():
        series.setdefault((row[0], row[1]), []).append(row)
    return [_headline(one, rows) for one in wanted if (rows := series.get((one.id, one.version)))]


async def by_division(connection: Connection, measure: str, period: str | None = None) -> list[Figure]:
    """A measure's figures by town, the latest period unless another is named. Key '' is: town unknown."""
    return await _at_level(connection, measure, "town", period)


async def by_institution(connection: Connection, measure: str, period: str | None = None) -> list[Figure]:
    """A measure's figures by institution (organisation key)."""
    return await _at_level(connection, measure, "institution", period)


async def by_stratum(
    connection: Connection,
    measure: str,
    stratifier: str,
    period: str | None = None,
    *,
    level: Level = "district",
    key: str = "",
) -> list[Figure]:
    """A measure's figures by stratum at one place, the latest period unless another is named."""
    return [one for one in await _at_level(connection, measure, level, period, stratifier=stratifier) if one.key == key]


async def trend(
    connection: Connection, measure: str, *, level: Level = "district", key: str = "", grain: Period | None = None,
    stratifier: str = "", stratum: str = "",
) -> list[Figure]:  # fmt: skip
    """Every figure of one place, oldest first, all versions: a change of version is a break in the series.

    `grain` chooses quarters, years or rolling years of a measure that has them; its own period otherwise.
    """
    wanted = grain or next((one.period for one in defined() if one.id == measure), None)
    condition = "r.stratifier = ''" if not stratifier else "r.stratifier = %(stratifier)s and r.stratum = %(stratum)s"
    cursor = await connection.execute(
        f"select {_COLUMNS} from {_FROM} where r.measure = %(measure)s and r.level = %(level)s and r.key = %(key)s "
        f"and {condition} order by r.period, p.computed_at".encode(),
        {"measure": measure, "level": level, "key": key, "stratifier": stratifier, "stratum": stratum},
    )
    return [_figure(row) for row in await cursor.fetchall() if wanted is None or grain_of(row[2]) == wanted]


async def everywhere(
    connection: Connection, measures: Sequence[str], periods: Sequence[str] | None = None
) -> list[Figure]:
    """Every figure of some measures (in some periods): all places, strata and versions, oldest first; of one computed anew the
    newest last."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from {_FROM} where r.measure = any(%(measures)s) and (%(all)s or r.period = any(%(periods)s)) "
        "order by r.measure, r.period, p.computed_at, r.level, r.key, r.stratifier, r.stratum".encode(),
        {"measures": list(measures), "all": periods is None, "periods": list(periods or ())},
    )
    return [_figure(row) for row in await cursor.fetchall()]


async def series(connection: Connection, measure: str) -> list[Series]:
    """The versions of a measure that have figures, with the periods that each covers, oldest first."""
    cursor = await connection.execute(
        "select version, min(period), max(period), max(computed_at) from measure_period where measure = %s "
        "group by version order by min(period), max(computed_at)",
        [measure],
    )
    return [Series(*row) for row in await cursor.fetchall()]


async def members(
    connection: Connection,
    lake: Lake,
    measure: str,
    *,
    level: Level = "district",
    key: str = "",
    period: str | None = None,
    stratifier: str = "",
    stratum: str = "",
    in_numerator: bool | None = None,
    subject: str | None = None,
    cursor: str | None = None,
    count: int = PAGE,
) -> MemberPage:
    """Who stands behind a measure's figure at one place (the latest period unless another is named), by their ids.

    The caller has checked that the reader may see people here, and records the access. A measure computed from others
    has the members of its components: ask for theirs (`components`). NotFound when there is no such measure or period.
    """
    known = await current(connection, measure)
    if known.population is None or not known.members:
        return MemberPage((), None)
    base = store.load(lake.folder / store.FOLDER)
    if not base.cells:
        return MemberPage((), None)
    wanted = Wanted(level, key, stratifier, stratum, in_numerator, subject, cursor, count + 1)
    found = await asyncio.to_thread(_list, lake, base, known, period, wanted)
    subjects = sorted({one.subject for one in found})
    shown = [_member(known, one) for one in found if one.subject in subjects[:count]]
    return MemberPage(tuple(shown), subjects[count - 1] if len(subjects) > count else None)


def components(measure: str) -> list[Definition]:
    """The measures from which one is computed: the next step of the way down from its figures."""
    known = definition(measure)
    return [definition(one.measure) for one in known.computation.components.values()] if known.computation else []


async def current(connection: Connection, measure: str) -> Definition:
    """The definition in force here; NotFound when there is none."""
    found = next((one for one in await in_force(connection) if one.id == measure), None)
    if found is None:
        raise NotFound(f"there is no measure {measure}")
    return found


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


async def _at_level(
    connection: Connection, measure: str, level: Level, period: str | None, *, stratifier: str = ""
) -> list[Figure]:
    known = await current(connection, measure)
    chosen = period or await _latest(connection, known)
    cursor = await connection.execute(
        "select window_from, window_to, complete, sending, registered, as_of, computed_at from measure_period "
        "where measure = %s and version = %s and period = %s",
        [known.id, known.version, chosen],
    )
    row = await cursor.fetchone()
    if row is None:
        return []
    start, to, complete, sending, registered, as_of, computed_at = row
    coverage = Coverage(sending, registered)
    cursor = await connection.execute(
        "select key, numerator, denominator, value, low, high, small, stratum from measure_figure where measure = %s "
        "and version = %s and level = %s and stratifier = %s and period = %s order by key, stratum",
        [known.id, known.version, level, stratifier, chosen],
    )
    return [
        Figure(
            known.id, known.version, chosen, level, key, start, to, complete, plain(above), plain(below), value, low, high,
            small, coverage, as_of, computed_at, stratifier, stratum,
        )
        for key, above, below, value, low, high, small, stratum in await cursor.fetchall()
    ]  # fmt: skip


async def _latest(connection: Connection, known: Definition) -> str:
    cursor = await connection.execute(
        "select period from measure_figure where measure = %s and version = %s and level = 'district' and stratifier = ''",
        [known.id, known.version],
    )
    return max((period for (period,) in await cursor.fetchall() if grain_of(period) == known.period), default="")


def _list(lake: Lake, base: store.Base, known: Definition, period: str | None, wanted: Wanted) -> list[Member]:
    today = date.fromisoformat(base.today)
    periods = spans(known, today)
    span = periods[-1] if period is None else next((one for one in periods if one.label == period), None)
    if span is None:
        raise NotFound(f"{known.id} has no period {period} whose members can be listed")
    folder = lake.folder / store.FOLDER
    connection = store.connect(folder, base, memory=_MEMORY)
    try:
        return Lister(connection, folder, base, known, library(), constants_at(today)).members(span, wanted)
    finally:
        connection.close()


def _headline(one: Definition, rows: list[tuple[Any, ...]]) -> Headline:
    now = _figure(rows[0])
    earlier = year_before(now.period)
    ago = next((_figure(row) for row in rows if row[2] == earlier), None)
    return Headline(one, now, _figure(rows[1]) if len(rows) > 1 else None, ago, one.target(now.to.year))


def _figure(row: tuple[Any, ...]) -> Figure:
    values = dict(zip(_FIGURE, row[:16], strict=True))
    values["numerator"], values["denominator"] = plain(row[8]), plain(row[9])
    return Figure(**values, coverage=Coverage(row[16], row[17]), as_of=row[18], computed_at=row[19])


def _member(known: Definition, one: Member) -> ShownMember:
    reasons = [reason for population in known.populations for reason in population.reasons]
    texts = {reason.id: reason.text for reason in reasons}
    values = {**known.values(), **one.shown}
    worded = tuple({language: text.format_map(values) for language, text in texts[id_].items()} for id_ in one.reasons)
    return ShownMember(
        one.subject, one.town, one.institution, one.numerator, worded, one.shown, one.evidence, one.observed
    )
