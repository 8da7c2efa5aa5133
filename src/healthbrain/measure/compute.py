"""Computing measures over the lake: for every period of the trend the result at each level, and the members now.

Pure over a state of the lake: the same lake, definitions and moment give the same numbers. Levels are the district as
a whole, its towns (by the member's register address) and institutions; a member without a known town or institution
is counted in the district and under the empty key, so that the parts always add up to the whole.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb
import orjson

from healthbrain.lake import Lake
from healthbrain.lake.engine import literal, name
from healthbrain.lake.rows import LOCAL
from healthbrain.lake.sql import Constant
from healthbrain.measure.compile import (
    GIVEN,
    MEMBERS,
    Compiler,
    Statement,
    library_statements,
    needed_tables,
    statements,
)
from healthbrain.measure.definition import Definition, Level, Library
from healthbrain.measure.load import library as shipped_library
from healthbrain.measure.periods import Span, covered, spans
from healthbrain.measure.statistics import SMALL, wilson
from healthbrain.terms import systems

# WS 218 classes of medical institutions: hospitals, community centres, township hospitals, clinics, emergency centres,
# maternal and child hospitals, disease prevention hospitals. Blood (F), disease control (J) and supervision (K) are not.
MEDICAL = ("A", "B", "C", "D", "E", "G", "H")
SILENT_AFTER_DAYS = 7  # an institution that delivered nothing for so long is silent (HUB-EX-11)
SYSTEMS: dict[str, Constant] = {
    key: value for key, value in vars(systems).items() if key.isupper() and isinstance(value, str)
}


@dataclass(frozen=True, slots=True)
class DeliveryDay:
    """What one institution delivered on one day: how much was accepted and how much refused."""

    organisation: int
    day: date
    accepted: int
    refused: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the institutions that should send have sent in the last days; no result is better than that."""

    sending: int
    registered: int


@dataclass(frozen=True, slots=True)
class Result:
    """A measure's value for one period and place."""

    period: str
    start: date  # first and last day counted
    to: date
    complete: bool  # False while the period lasts
    level: Level
    key: str  # '' at district level; town code; organisation key
    numerator: int
    denominator: int | None  # None for counts
    value: float | None  # in the measure's unit; None when nobody is in the denominator
    low: float | None  # 95 % interval
    high: float | None
    small: bool  # so few members that the value says little


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a measure's population in its latest period."""

    subject: str
    town: str
    institution: str
    numerator: bool
    reasons: tuple[str, ...]
    shown: Mapping[str, object]
    evidence: tuple[str, ...]  # Type/id


@dataclass(frozen=True, slots=True)
class Computed:
    """Everything computed of one measure."""

    definition: Definition
    as_of: datetime
    coverage: Coverage
    results: tuple[Result, ...]
    members: tuple[Member, ...]

    @property
    def period(self) -> str:
        """The latest period."""
        return self.results[-1].period if self.results else ""


def compute_all(
    lake: Lake,
    definitions: Sequence[Definition],
    at: datetime,
    *,
    deliveries: Iterable[DeliveryDay] = (),
    library: Library | None = None,
) -> Iterator[Computed]:
    """The definitions over the lake as it is now, one after the other."""
    library = library or shipped_library()
    state = lake.state()
    today = at.astimezone(LOCAL).date()
    needed = needed_tables(library, definitions)
    types = {view.resource for view in library.views.values() if view.name in needed}
    connection = lake.connect(types=types, state=state)
    try:
        _add_deliveries(connection, deliveries)
        base = Compiler({**SYSTEMS, "MEDICAL": MEDICAL, "today": today})
        for statement in library_statements(base, library, needed):
            _make(connection, statement)
        coverage = _coverage(connection, today)
        for definition in definitions:
            results, members = _measure(connection, base, definition, today)
            yield Computed(definition, state.at or at, coverage, tuple(results), tuple(members))
    finally:
        connection.close()


def compiler_for(base: Compiler, constants: Mapping[str, Constant]) -> Compiler:
    """A compiler that knows more constants."""
    compiler = Compiler({**base.constants, **constants})
    compiler.tables.update(base.tables)
    return compiler


def _measure(
    connection: duckdb.DuckDBPyConnection, base: Compiler, definition: Definition, today: date
) -> tuple[list[Result], list[Member]]:
    results: list[Result] = []
    prepared = compiler_for(base, definition.constants)
    for table in definition.prepared:
        _make(connection, prepared.table(table))
    periods = covered(definition, spans(definition, today), _data_from(connection, base))
    for span in periods:
        compiler = compiler_for(prepared, {"from": span.start, "to": span.to})
        for statement in statements(compiler, definition, named=definition.members and span is periods[-1]):
            _make(connection, statement)
        results += _results(connection, definition, span)
    return results, _members(connection) if definition.members else []


def _data_from(connection: duckdb.DuckDBPyConnection, base: Compiler) -> date | None:
    """The day from which on visits are recorded; the earliest hundredth is left out as stray old records."""
    if "encounter" not in base.tables:
        return None
    row = connection.execute("select quantile_disc(start, 0.01) from encounter").fetchone()
    return row[0] if row else None


def _make(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    connection.execute(f"create or replace temp table {name(statement.table)} as {statement.query}")


def _results(connection: duckdb.DuckDBPyConnection, definition: Definition, span: Span) -> list[Result]:
    rows = connection.execute(
        f"""
        select case when grouping(town) = 0 then 'town' when grouping(institution) = 0 then 'institution'
            else 'district' end as level, coalesce(town, institution, '') as key,
            count(*) filter (numerator) as numerator, count(*) as denominator
        from {MEMBERS} group by grouping sets ((), (town), (institution)) order by level, key
        """
    ).fetchall()
    return [_result(definition, span, level, key, n, d) for level, key, n, d in rows]


def _result(definition: Definition, span: Span, level: Level, key: str, numerator: int, denominator: int) -> Result:
    proportion = definition.kind == "proportion"
    interval = wilson(numerator, denominator) if proportion else None
    value = (100 * numerator / denominator if denominator else None) if proportion else float(numerator)
    return Result(
        period=span.label,
        start=span.start,
        to=span.to,
        complete=span.complete,
        level=level,
        key=key,
        numerator=numerator,
        denominator=denominator if proportion else None,
        value=value,
        low=100 * interval[0] if interval else None,
        high=100 * interval[1] if interval else None,
        small=proportion and denominator < SMALL,
    )


def _members(connection: duckdb.DuckDBPyConnection) -> list[Member]:
    rows = connection.execute(
        f"select subject, town, institution, numerator, reasons, shown, evidence from {MEMBERS} order by subject"
    ).fetchall()
    return [
        Member(subject, town, institution, numerator, tuple(reasons), orjson.loads(shown), tuple(evidence))
        for subject, town, institution, numerator, reasons, shown, evidence in rows
    ]


def _add_deliveries(connection: duckdb.DuckDBPyConnection, deliveries: Iterable[DeliveryDay]) -> None:
    connection.execute(
        "create temp table delivery_day (organisation bigint, day date, accepted bigint, refused bigint)"
    )
    rows = [
        f"({one.organisation}, {literal(one.day.isoformat())}, {one.accepted}, {one.refused})" for one in deliveries
    ]
    for start in range(0, len(rows), 1000):
        connection.execute(f"insert into delivery_day values {', '.join(rows[start : start + 1000])}")


def _coverage(connection: duckdb.DuckDBPyConnection, today: date) -> Coverage:
    since = today - timedelta(days=SILENT_AFTER_DAYS - 1)
    row = connection.execute(
        "select count(*) filter (key in (select organisation from delivery_day where accepted > 0 and day between ? and ?)), "
        "count(*) from organisation where kind = 'institution' "
        "and (facility_class = '' or list_contains(?, facility_class[1]))",
        [since, today, list(MEDICAL)],
    ).fetchone()
    sending, registered = row or (0, 0)
    return Coverage(sending, registered)


assert set(GIVEN) == {"organisation", "delivery_day"}  # noqa: S101  # both are made above or by the lake
