"""Members counted: one aggregation per population table for all its measures, periods, places and strata.

A *cell* is what is known of one measure in one period, place and stratum: n (in the numerator), d (in the denominator), x
(sum of the observed number) and w (sum of the number expected, or below the line), and for medians one cell per observed
number. Numbers are whole millionths, so that sums are exact: cells of parts of the population add up, in any order, to the
cells of the whole, and what some people contributed can be taken away again.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from healthbrain.errors import Incorrect
from healthbrain.lake import expression_sql as sql
from healthbrain.lake.engine import literal
from healthbrain.lake.expression_sql import Constant
from healthbrain.measure.compile import Compiler, Made, Plan, population_words
from healthbrain.measure.definition import COMPUTED_HERE, CONTINUOUS, Definition, Level, Library, Population

CELLS = "cells"
COLUMNS = (
    "m integer, p integer, level utinyint, key varchar, stratifier varchar, stratum varchar, v bigint, "
    "n bigint, d bigint, x hugeint, w hugeint"
)
KEYS = "m, p, level, key, stratifier, stratum, v"
LEVELS: tuple[Level, ...] = ("district", "town", "institution")  # a cell's `level` is the place here
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """What one measure counts of one population: four aggregates, and whether they need one cell per observed number."""

    measure: int
    n: str
    d: str
    x: str
    w: str


@dataclass(slots=True)
class Group:
    """Populations that are counted in one pass: the same table, periods, places and strata."""

    source: Made
    calendar: str
    town: str
    institution: str
    stratifiers: tuple[tuple[str, str], ...]  # id, SQL
    median: str  # SQL of the observed number when cells are kept per number
    shares: list[Share] = field(default_factory=list)
    words: frozenset[str] = frozenset()

    @property
    def personal(self) -> bool:
        """Whether people can be counted part by part."""
        return self.source.personal


@dataclass(slots=True)
class Counting:
    """Everything that counts the members of some definitions."""

    definitions: tuple[Definition, ...]  # a cell's `m` is the place here
    plan: Plan
    groups: list[Group]
    calendars: dict[str, Definition]  # calendar -> a definition that has it

    def tables(self, groups: Sequence[Group]) -> list[Made]:
        """The tables that these groups need, in order of making."""
        wanted: set[str] = set()
        waiting = [group.source.name for group in groups]
        while waiting:
            current = waiting.pop()
            if current not in wanted:
                wanted.add(current)
                waiting += [read for read, _ in self.plan.tables[current].reads]
        return [made for name_, made in self.plan.tables.items() if name_ in wanted]


def counting(definitions: Sequence[Definition], library: Library, constants: Mapping[str, Constant]) -> Counting:
    """How the members of the definitions are counted. Raises Incorrect for what cannot be expressed."""
    chosen = tuple(one for one in definitions if one.kind not in COMPUTED_HERE)
    base = Compiler(constants)
    base.library(library)
    groups: dict[tuple[object, ...], Group] = {}
    calendars: dict[str, Definition] = {}
    for number, one in enumerate(chosen):
        try:
            compiler = compiler_for(base, one)
            calendars.setdefault(calendar_of(one), one)
            for population in one.populations:
                _add(groups, compiler, number, one, population)
        except Incorrect as error:
            raise Incorrect(f"{one.id}: {error}") from None
    return Counting(chosen, base.plan, list(groups.values()), calendars)


def compiler_for(base: Compiler, one: Definition) -> Compiler:
    """A compiler that knows a definition's constants, calendar and tables."""
    early = base.within(one.values(), "")
    for table in one.prepared:
        early.table(table)
    compiler = early.within({}, calendar_of(one))
    for table in one.tables:
        compiler.table(table)
    return compiler


def calendar_of(one: Definition) -> str:
    """The name of the calendar of a definition: equal for all with the same periods."""
    said = f"{one.period} {one.periods} {one.window_months} {one.also}"
    return "calendar_" + hashlib.sha256(said.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Placed:
    """The SQL of a population's parts, over rows `b` that know their period."""

    town: str
    institution: str
    counted: str  # in the denominator
    inside: str  # in the numerator
    observed: str
    weight: str
    strata: tuple[tuple[str, str], ...]


def placed(compiler: Compiler, one: Definition, population: Population) -> Placed:
    """The parts of a population as SQL. Raises Incorrect."""
    kinds = compiler.made(population.source).kinds
    if population.subject not in kinds:
        raise Incorrect(f"table '{population.source}' has no column '{population.subject}'")

    def holds(text: str) -> str:
        return (
            text
            if text in {"true", "false"}
            else f"coalesce({compiler.condition(text, kinds, 'b.', timed=True)}, false)"
        )

    def text_of(text: str) -> str:
        return f"coalesce({sql.cast(compiler.value(text, kinds, 'b.', timed=True), 'text').sql}, '')"

    def number(text: str) -> str:
        if not text:
            return ""
        value = compiler.value(text, kinds, "b.", timed=True)
        if value.kind not in {"integer", "decimal"}:
            raise Incorrect(f"`{text}` is not a number")
        return f"cast(round({value.sql} * {_MILLION}) as bigint)"

    initial = f"({holds(population.where)} and not {holds(population.exclude)})"
    inside = f"({initial} and {holds(population.numerator)} and not {holds(population.numerator_exclude)})"
    counted = (
        initial
        if population.exception == "false"
        else f"({initial} and ({inside} or not {holds(population.exception)}))"
    )
    return Placed(
        text_of(population.town),
        text_of(population.institution),
        counted,
        inside,
        number(population.observe),
        number(population.weight),
        tuple((one.id, text_of(one.value)) for one in one.stratifiers),
    )


def _add(
    groups: dict[tuple[object, ...], Group], compiler: Compiler, number: int, one: Definition, population: Population
) -> None:
    source = compiler.made(population.source)
    parts = placed(compiler, one, population)
    median = parts.observed if one.kind == "median" else ""
    calendar = compiler.calendar
    key = (source.name, calendar, parts.town, parts.institution, parts.strata, median)
    group = groups.setdefault(key, Group(source, calendar, parts.town, parts.institution, parts.strata, median))
    group.shares.append(_share(number, one, population, parts))
    group.words |= population_words(population, *(stratifier.value for stratifier in one.stratifiers))


def _share(number: int, one: Definition, population: Population, parts: Placed) -> Share:
    def count(condition: str) -> str:
        return "count(*)" if condition == "(true and not false)" else f"count(*) filter ({condition})"

    def total(value: str, condition: str) -> str:
        return f"coalesce(sum({value}) filter ({condition}), 0)" if value else "0"

    if population is one.denominator:
        return Share(number, "0", count(parts.counted), "0", total(parts.observed, parts.counted))
    inside = parts.inside
    if parts.observed:
        inside = (
            f"({inside} and {parts.observed} is not null{f' and {parts.weight} is not null' if parts.weight else ''})"
        )
    d = "0" if one.denominator is not None or one.kind in CONTINUOUS else count(parts.counted)
    return Share(number, count(inside), d, total(parts.observed, inside), total(parts.weight, inside))


def statements(
    group: Group, into: str = CELLS, sign: str = "", only: str = "", steps: str = "temp table"
) -> Iterator[str]:
    """What counts a group: the finest places first, then their sums as cells; the steps between are temp tables or views.

    With `sign` (SQL over rows `b`: 1 or -1) rows count with it, and what comes to nothing leaves no cell. `only` names a
    table of the persons that count.
    """
    rows = (
        f"(select b.* from {group.source.name} b semi join {only} using (person)) b"
        if only
        else f"{group.source.name} b"
    )
    rows += f" join {group.calendar} c on c._p = b._p" if group.source.timed else f" cross join {group.calendar} c"
    dated = f"(select b.*, {'' if group.source.timed else 'c._p, '}c._from, c._to from {rows})"
    strata = [f"s{number}" for number in range(len(group.stratifiers))]
    named = [f"{group.town} as town", f"{group.institution} as institution"]
    named += [f"{text} as {alias}" for alias, (_, text) in zip(strata, group.stratifiers, strict=True)]
    named += [f"{group.median or 'cast(null as bigint)'} as v"]
    named += [f"{sign} as _sign"] if sign else []
    parts = [
        f"{text} as {letter}{number}"
        for number, share in enumerate(group.shares)
        for letter, text in (("n", share.n), ("d", share.d), ("x", share.x), ("w", share.w))
    ]
    yield f"create or replace {steps} fine as select b._p, {', '.join([*named, *parts])} from {dated} b group by all"
    each = "_sign * " if sign else ""
    sums = [
        f"sum({each}{letter}{number}) as {letter}{number}" for number in range(len(group.shares)) for letter in "ndxw"
    ]
    sets = [
        f"({', '.join(['_p', 'v', *place, *stratum])})"
        for place in ([], ["town"], ["institution"])
        for stratum in ([], *([one] for one in strata))
    ]
    chosen = "".join(
        f"when grouping({alias}) = 0 then {literal(id_)} "
        for alias, (id_, _) in zip(strata, group.stratifiers, strict=True)
    )
    stratifier = f"case {chosen}else '' end" if chosen else "''"
    stratum = f"coalesce({', '.join([*strata, literal('')])})"
    yield f"""create or replace {steps} coarse as select _p, v,
        case when grouping(town) = 0 then 1 when grouping(institution) = 0 then 2 else 0 end as level,
        coalesce(town, institution, '') as key, {stratifier} as stratifier, {stratum} as stratum, {", ".join(sums)}
        from fine group by grouping sets ({", ".join(sets)})"""
    told = "ndxw" if sign else "nd"
    yield f"insert into {into} " + " union all ".join(
        f"select {share.measure}, _p, level, key, stratifier, stratum, v, n{number}, d{number}, x{number}, w{number} "
        f"from coarse where {' or '.join(f'{letter}{number} <> 0' for letter in told)}"
        for number, share in enumerate(group.shares)
    )
