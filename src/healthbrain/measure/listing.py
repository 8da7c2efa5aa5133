"""From a figure to its members: who was counted in one period, place and stratum, whether inside the numerator, why not,
and on which resources that rests.

Nothing of this is kept: it follows from the same tables as the figure. A page is found by the members' ids first; reasons and
evidence are then made for the persons of the page alone.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import orjson

from healthbrain.lake.engine import literal, name
from healthbrain.lake.expression_sql import Constant
from healthbrain.measure.base import Base, rows_of
from healthbrain.measure.compile import BASE, Compiler, Plan
from healthbrain.measure.definition import CONTINUOUS, Definition, Level, Library, Population
from healthbrain.measure.periods import Span
from healthbrain.measure.running import make_calendars, make_tables
from healthbrain.measure.tally import Counting, Group, Placed, calendar_of, compiler_for, placed

_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a measure's population."""

    subject: str
    town: str
    institution: str
    numerator: bool
    reasons: tuple[str, ...]
    shown: Mapping[str, object]
    evidence: tuple[str, ...]  # Type/id
    observed: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which members: at a place, in a stratum, inside or outside the numerator, after a cursor."""

    level: Level = "district"
    key: str = ""
    stratifier: str = ""
    stratum: str = ""
    inside: bool | None = None
    subject: str | None = None
    after: str | None = None
    count: int | None = None


class Lister:
    """Lists members of one measure over a connection that has the base tables."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, base: Base, definition: Definition,
        library: Library, constants: Mapping[str, Constant],
    ) -> None:  # fmt: skip
        self.connection = connection
        self.folder = folder
        self.base = base
        self.definition = definition
        shared = Compiler(constants)
        shared.library(library)
        self.compiler = compiler_for(shared, definition)
        self.counting = Counting((definition,), shared.plan, [], {calendar_of(definition): definition})
        self.made: list[str] = []

    def members(self, span: Span, wanted: Wanted) -> list[Member]:
        """The members of one period, in the order of their ids."""
        try:
            return self._members(span, wanted)
        finally:
            self._forget()

    def _members(self, span: Span, wanted: Wanted) -> list[Member]:
        make_calendars(self.connection, {calendar_of(self.definition): [span]})
        one = self._persons([wanted.subject]) if wanted.subject is not None else None
        self._choose(one)
        self._make()
        page = self.connection.execute(self._page(wanted)).fetchall()
        if not page:
            return []
        if wanted.count is not None and one is None:
            self._choose(self._persons([row[0] for row in page]))
            self._make()
        return self._detailed(replace(wanted, subject=None), [row[0] for row in page])

    def _make(self) -> None:
        made = [
            self.compiler.made(table)
            for population in self.definition.populations
            for table in (population.source, *(one.table for one in population.evidence))
        ]
        calendar = calendar_of(self.definition)
        groups = [Group(one, calendar, "", "", (), "", words=frozenset(one.kinds)) for one in made]
        self._forget()
        self.made = make_tables(self.connection, self.counting, groups, [group.source.name for group in groups])

    def _forget(self) -> None:
        for statement in self.made:
            self.connection.execute(statement)
        self.made = []

    def _persons(self, subjects: Sequence[str]) -> list[int] | None:
        """Keys of the persons, when the measure follows from single persons and these are persons."""
        sources = [self.compiler.made(population.source) for population in self.definition.populations]
        people = all(population.subject == "person" for population in self.definition.populations)
        if not people or not all(source.personal for source in sources):
            return None
        named = ", ".join(literal(subject) for subject in subjects)
        rows = self.connection.execute(f"select distinct person from links where id in ({named})").fetchall()
        loose = [
            -int(one.removeprefix("patient:"))
            for one in subjects
            if one.removeprefix("patient:").lstrip("-").isdecimal() and one.startswith("patient:")
        ]
        return [row[0] for row in rows] + loose

    def _choose(self, persons: Sequence[int] | None) -> None:
        condition = "true" if persons is None else f"person in ({', '.join(map(str, persons)) or 'null'})"
        for view, rows in self.base.views.items():
            self.connection.execute(
                f"create or replace temp view {BASE}{view} as {rows_of(self.folder, rows, condition)}"
            )

    def _page(self, wanted: Wanted) -> str:
        query = " union all ".join(self._brief(population, wanted) for population in self.definition.populations)
        query = f"select distinct subject from ({query}) order by subject"
        return query + (f" limit {wanted.count}" if wanted.count is not None else "")

    def _brief(self, population: Population, wanted: Wanted) -> str:
        return f"select subject from ({self._rows(population, wanted, detailed=False)})"

    def _detailed(self, wanted: Wanted, subjects: Sequence[str]) -> list[Member]:
        queries = [self._rows(population, wanted, detailed=True) for population in self.definition.populations]
        chosen = ", ".join(literal(subject) for subject in subjects)
        query = " union all ".join(f"select * from ({one}) where subject in ({chosen})" for one in queries)
        rows = self.connection.execute(f"select * from ({query}) order by subject, numerator desc").fetchall()
        return [
            Member(
                subject, town, institution, inside, tuple(reasons), orjson.loads(shown), tuple(evidence),
                None if observed is None else observed / _MILLION,
            )
            for subject, town, institution, inside, observed, reasons, shown, evidence in rows
        ]  # fmt: skip

    def _rows(self, population: Population, wanted: Wanted, *, detailed: bool) -> str:
        """The members of one population; `detailed` with reasons, shown columns and evidence."""
        source = self.compiler.made(population.source)
        parts = placed(self.compiler, self.definition, population)
        calendar = calendar_of(self.definition)
        rows = f"{source.name} b" + (
            f" join {calendar} c on c._p = b._p" if source.timed else f" cross join {calendar} c"
        )
        dated = f"(select b.*, c._from, c._to from {rows})"
        counted = self._counted(population, parts)
        tests = [counted, *self._tests(parts, wanted)]
        inside = "false" if population is self.definition.denominator else parts.inside
        if wanted.inside is not None:
            tests.append(inside if wanted.inside else f"not {inside}")
        subject, joined = f"cast(b.{name(population.subject)} as varchar)", ""
        if population.subject == "person":
            subject = "coalesce(l.id, 'patient:' || -b.person)"
            joined = (
                " left join (select person, any_value(id) as id from links group by person) l on l.person = b.person"
            )
        if wanted.subject is not None:
            tests.append(f"{subject} = {literal(wanted.subject)}")
        if wanted.after is not None:
            tests.append(f"{subject} > {literal(wanted.after)}")
        where = " and ".join(tests)
        if not detailed:
            return f"select {subject} as subject from {dated} b{joined} where {where}"
        joins, evidence = self._evidence(population)
        shown = ", ".join(f"{name(column)} := b.{name(column)}" for column in population.shown)
        packed = f"to_json(struct_pack({shown}))" if shown else "cast('{}' as json)"
        columns = (
            f"{subject} as subject, {parts.town} as town, {parts.institution} as institution, {inside} as numerator, "
            f"{parts.observed or 'cast(null as bigint)'} as observed, {self._reasons(population, inside)} as reasons, "
            f"{packed} as shown, {evidence} as evidence"
        )
        return f"select {columns} from {dated} b{joined}{joins} where {where}"

    def _counted(self, population: Population, parts: Placed) -> str:
        """Who is a member: the denominator; of a count, a sum, a mean who is in the numerator and has a number."""
        one = self.definition
        if population is not one.denominator and (one.kind in CONTINUOUS | {"index"} or one.denominator is not None):
            return f"({parts.inside}{f' and {parts.observed} is not null' if parts.observed else ''})"
        if one.kind == "count":
            return parts.inside
        return f"({parts.counted} or {parts.inside})"

    def _tests(self, parts: Placed, wanted: Wanted) -> list[str]:
        tests = []
        if wanted.level != "district":
            place = parts.town if wanted.level == "town" else parts.institution
            tests.append(f"{place} = {literal(wanted.key)}")
        if wanted.stratifier:
            strata = dict(parts.strata)
            tests.append(
                f"{strata[wanted.stratifier]} = {literal(wanted.stratum)}" if wanted.stratifier in strata else "false"
            )
        return tests

    def _reasons(self, population: Population, inside: str) -> str:
        kinds = self.compiler.made(population.source).kinds
        reasons = ", ".join(
            f"case when not {inside} and {self.compiler.condition(one.when, kinds, 'b.', timed=True)} then {literal(one.id)} end"
            for one in population.reasons
        )
        return f"list_filter(cast([{reasons}] as varchar[]), lambda x: x is not null)"

    def _evidence(self, population: Population) -> tuple[str, str]:
        """Joins, and the list of resource ids that they give."""
        kinds = self.compiler.made(population.source).kinds
        joins, lists = "", ["cast([] as varchar[])"]
        for number, one in enumerate(population.evidence):
            alias, made = f"e{number}", self.compiler.made(one.table)
            match = self.compiler.evidence(one.table, one.match, kinds)
            keys = ", ".join(name(column) for column in match)
            ids = f"list({literal(one.type + '/')} || _id order by _id)"
            on = " and ".join(f"{alias}.{name(there)} = b.{name(here)}" for there, here in match.items())
            joins += f" left join (select {keys}, {ids} as ids from {made.name} group by {keys}) {alias} on {on}"
            lists.append(f"coalesce({alias}.ids, cast([] as varchar[]))")
        return joins, f"list_concat({', '.join(lists)})" if len(lists) > 1 else lists[0]


__all__ = ["Lister", "Member", "Plan", "Wanted"]
