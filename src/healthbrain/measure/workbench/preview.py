"""A definition tried out over the lake as it is now: counts by step and period, sample members, test cases.

Nothing is published. The tables are made from the lake directly, not from the base beside it, so that views no other measure
uses are there too.
"""

# ruff: noqa: S608  # statements are made here; names are those of the compiler
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from healthbrain.errors import Incorrect
from healthbrain.fhir import parse as parse_resource
from healthbrain.lake import Lake
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure import oracle
from healthbrain.measure.base import Base
from healthbrain.measure.compile import BASE, Compiler, base_query, needed_views, person_key
from healthbrain.measure.compute import constants_at
from healthbrain.measure.definition import Definition, Population
from healthbrain.measure.listing import Lister, Member, Wanted
from healthbrain.measure.load import library
from healthbrain.measure.periods import Span, spans
from healthbrain.measure.running import make_calendars, make_tables
from healthbrain.measure.tally import calendar_of, compiler_for, counting, placed

PERIODS = 6  # shown in a preview
SAMPLE = 20
_MEMORY = "1GB"


@dataclass(frozen=True, slots=True)
class Step:
    """One period: who is in the initial population, who is excluded, who is left, who of them is in the numerator."""

    period: str
    complete: bool
    initial: int
    excluded: int
    denominator: int
    numerator: int


@dataclass(frozen=True, slots=True)
class Case:
    """An example with its expected outcome: a known member by id, or resources."""

    name: str
    expected: str  # numerator, denominator, outside
    period: str = ""  # '' = the latest
    subject: str = ""
    resources: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    name: str
    expected: str
    found: str

    @property
    def passed(self) -> bool:
        """Whether it is as expected."""
        return self.expected == self.found


def steps(lake: Lake, one: Definition, at: datetime) -> list[Step]:
    """Counts by step for the latest periods, oldest first; a ratio's denominator is counted in its own table."""
    today = at.astimezone(LOCAL).date()
    periods = [span for span in spans(one, today) if span.grain == one.period][-PERIODS:]
    if one.population is None:
        raise Incorrect("only a measure that is counted has steps")
    with _opened(lake, one, today) as connection:
        counted = counting((one,), library(), constants_at(today))
        make_calendars(connection, {calendar_of(one): periods})
        make_tables(connection, counted, counted.groups)
        compiler = compiler_for(_compiler(today), one)
        above = _counted(connection, compiler, one, one.population)
        below = _counted(connection, compiler, one, one.denominator) if one.denominator else {}
    found = []
    for number, span in enumerate(periods):
        initial, excluded, denominator, numerator, observed = above.get(number, _NOBODY)
        if one.denominator is not None:
            numerator = observed if one.population.observe else numerator
            denominator = below.get(number, _NOBODY)[4 if one.denominator.observe else 2]
        found.append(Step(span.label, span.complete, initial, excluded, denominator, numerator))
    return found


_NOBODY = (0, 0, 0, 0, 0)


def _counted(
    connection: duckdb.DuckDBPyConnection, compiler: Compiler, one: Definition, population: Population
) -> dict[int, tuple[int, ...]]:
    """Of each period: initial population, excluded, in the denominator, in the numerator, sum of the observed number."""
    parts, made, calendar = placed(compiler, one, population), compiler.made(population.source), calendar_of(one)
    rows = f"{made.name} b " + (f"join {calendar} c on c._p = b._p" if made.timed else f"cross join {calendar} c")
    source = f"(select b.*, {'' if made.timed else 'c._p, '}c._from, c._to from {rows})"

    def holds(text: str) -> str:
        if text in {"true", "false"}:
            return text
        return f"coalesce({compiler.condition(text, made.kinds, 'b.', timed=True)}, false)"

    initial, excluded = holds(population.where), holds(population.exclude)
    observed = f"coalesce(sum({parts.observed}) filter ({parts.counted}), 0)" if population.observe else "0"
    found = connection.execute(
        f"select b._p, count(*) filter ({initial}), count(*) filter ({initial} and {excluded}), "
        f"count(*) filter ({parts.counted}), count(*) filter ({parts.inside}), {observed} from {source} b group by 1"
    ).fetchall()
    return {int(row[0]): (*map(int, row[1:5]), round(float(row[5]))) for row in found}


def sample(lake: Lake, one: Definition, at: datetime, wanted: Wanted | None = None, period: str = "") -> list[Member]:
    """Members of a period. The caller has checked that people may be seen, and records it."""
    today = at.astimezone(LOCAL).date()
    span = _span(one, today, period)
    with _opened(lake, one, today) as connection:
        lister = Lister(connection, lake.folder, Base(), one, library(), constants_at(today))
        return lister.members(span, wanted or Wanted(count=SAMPLE))


def run_cases(lake: Lake, one: Definition, cases: Sequence[Case], at: datetime) -> list[Outcome]:
    """Every case against the definition: known members over the lake, resources row by row with the oracle."""
    return [Outcome(case.name, case.expected, _found(lake, one, case, at)) for case in cases]


def _found(lake: Lake, one: Definition, case: Case, at: datetime) -> str:
    if case.subject:
        members = sample(lake, one, at, Wanted(subject=case.subject), case.period)
        return _outcome([member.numerator for member in members])
    today = at.astimezone(LOCAL).date()
    span = _span(one, today, case.period)
    own = _own(case.resources)
    constants = {**constants_at(today), **one.values(), "from": span.start, "to": span.to}
    found = oracle.members(
        one, library(), own, {1: "P000000000001"}, constants, {"organisation": [], "delivery_day": []}
    )
    return _outcome([member.numerator for member in found])


def case_resources(text: str) -> tuple[Mapping[str, Any], ...]:
    """The resources of an example: a Bundle, or an array of resources about one person. Raises Incorrect."""
    body = parse_resource(text if text.lstrip().startswith("{") else f'{{"list":{text}}}')
    if body.get("resourceType") == "Bundle":
        found = [entry.get("resource") for entry in body.get("entry", ()) if isinstance(entry, Mapping)]
    else:
        found = list(body.get("list", [body]))
    if not found or len(found) > 200 or not all(isinstance(one, Mapping) and one.get("resourceType") for one in found):
        raise Incorrect("an example is a Bundle or an array of up to 200 resources about one person")
    return tuple(one for one in found if isinstance(one, Mapping))


def _own(resources: Sequence[Mapping[str, Any]]) -> list[oracle.Resource]:
    stamp = datetime(2000, 1, 1, tzinfo=UTC)
    return [
        oracle.Resource(one, {"_id": str(one.get("id", number)), "_patient": 1, "_owner": 1, "_updated": stamp})
        for number, one in enumerate(resources)
    ]


def _outcome(inside: Sequence[bool]) -> str:
    return "numerator" if any(inside) else "denominator" if inside else "outside"


def _span(one: Definition, today: date, period: str) -> Span:
    known = [span for span in spans(one, today) if span.grain == one.period]
    found = next((span for span in known if span.label == period), None) if period else known[-1]
    if found is None:
        raise Incorrect("the measure has no such period; write it as 2026-10, 2026-Q4 or 2026")
    return found


def _compiler(today: date) -> Compiler:
    compiler = Compiler(constants_at(today))
    compiler.library(library())
    return compiler


@contextmanager
def _opened(lake: Lake, one: Definition, today: date) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the tables that the definition needs, made of the lake's current rows."""
    views = needed_views(library(), (one,))
    connection = lake.connect(types={library().views[view].resource for view in views}, memory=_MEMORY)
    try:
        for view in views:
            query = base_query(library().views[view], constants_at(today))
            connection.execute(f"create temp table {BASE}{view} as {query}")
        connection.execute(
            f"create temp view links as select patient, {person_key('person')} as person, person as id from person_link"
        )
        connection.execute(
            "create temp table delivery_day (organisation bigint, day date, accepted bigint, refused bigint)"
        )
        yield connection
    finally:
        connection.close()
