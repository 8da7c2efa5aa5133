"""Definitions as DuckDB SQL. Printable: `statements(...)` is what runs, nothing else does.

Every view, table and population becomes one temporary table; conditions are compiled by `lake.sql`. Row order never
matters: "last" is by the named column, then by resource id.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from healthbrain.errors import Incorrect
from healthbrain.lake import View, sql, to_sql
from healthbrain.lake.engine import literal, name
from healthbrain.lake.path import parse
from healthbrain.lake.sql import Constant, Kind, Scope, Value
from healthbrain.measure.definition import Count, Definition, LastPer, Library, Table, With

Kinds = dict[str, Kind]  # column -> kind, in the table's order

# Tables that are not made of resources: the organisation tree, and what each institution delivered on each day.
GIVEN: Mapping[str, Kinds] = {
    "organisation": {
        "key": "integer",
        "code": "text",
        "name": "text",
        "kind": "text",
        "parent": "integer",
        "fhir_id": "text",
        "facility_class": "text",
        "division": "text",
    },
    "delivery_day": {"organisation": "integer", "day": "date", "accepted": "integer", "refused": "integer"},
}
MEMBERS = "measure_members"


@dataclass(frozen=True, slots=True)
class Statement:
    """One table to make, in order."""

    table: str
    query: str


class Compiler:
    """Names and kinds of the tables made so far."""

    def __init__(self, constants: Mapping[str, Constant]) -> None:
        self.constants = dict(constants)
        self.tables: dict[str, Kinds] = {table: dict(kinds) for table, kinds in GIVEN.items()}

    def view(self, view: View) -> Statement:
        """A view, with the person behind each patient. A patient that no person is known for counts as one."""
        self.tables[view.name] = {**view.kinds(), "person": "text"}
        person = "coalesce(l.person, 'patient:' || v._patient)"
        query = f"select v.*, {person} as person from ({to_sql(view, self.constants)}) v left join person_link l on l.patient = v._patient"
        return Statement(view.name, query)

    def table(self, table: Table) -> Statement:
        """One step of a computation."""
        kinds = dict(self.kinds(table.source))
        query = f"select * from {name(table.source)} where {self.condition(table.where, kinds)}"
        for number, one in enumerate(table.withs):
            query = self._with(query, kinds, one, f"w{number}")
        for number, count in enumerate(table.counts):
            query = self._count(query, kinds, count, f"c{number}")
        for added in table.added:
            value = self.value(added.value, kinds)
            kinds[added.name] = value.kind
            query = f"select *, {value.sql} as {name(added.name)} from ({query})"
        if table.keep != "true":
            query = f"select * from ({query}) where {self.condition(table.keep, kinds)}"
        if table.one_per:
            query = _one_per(query, table.one_per, kinds)
        if table.fold:
            query = _fold(query, table.fold, kinds)
        self.tables[table.name] = kinds
        return Statement(table.name, query)

    def population(self, definition: Definition, *, named: bool) -> Statement:
        """The members of a measure: where they count and whether in the numerator; with `named` also who they are, why
        not, and on which resources that rests."""
        population = definition.population
        kinds = self.kinds(population.source)
        outputs = {
            "town": f"coalesce({self.value(population.town, kinds, 'b.').sql}, '')",
            "institution": f"coalesce({self._text(population.institution, kinds)}, '')",
            "numerator": self._inside(definition),
        }
        joins = ""
        if named:
            joins, evidence = self._evidence(definition)
            shown = ", ".join(f"{name(column)} := b.{name(column)}" for column in population.shown)
            outputs |= {
                "subject": f"cast(b.{name(population.subject)} as varchar)",
                "reasons": self._reasons(definition),
                "shown": f"to_json(struct_pack({shown}))" if shown else "cast('{}' as json)",
                "evidence": evidence,
            }
        query = f"select * from {name(population.source)} where {self.condition(population.where, kinds)}"
        selected = ", ".join(f"{expression} as {column}" for column, expression in outputs.items())
        return Statement(MEMBERS, f"select {selected} from ({query}) b {joins}")

    def _inside(self, definition: Definition) -> str:
        kinds = self.kinds(definition.population.source)
        return f"coalesce({self.condition(definition.population.numerator, kinds, 'b.')}, false)"

    def _reasons(self, definition: Definition) -> str:
        kinds = self.kinds(definition.population.source)
        reasons = ", ".join(
            f"case when not {self._inside(definition)} and {self.condition(one.when, kinds, 'b.')} then {literal(one.id)} end"
            for one in definition.population.reasons
        )
        return f"list_filter(cast([{reasons}] as varchar[]), lambda x: x is not null)"

    def kinds(self, table: str) -> Kinds:
        """The columns of a table made before."""
        if table not in self.tables:
            raise Incorrect(f"there is no view or table '{table}' before this place")
        return self.tables[table]

    def value(self, text: str, kinds: Kinds, prefix: str = "") -> Value:
        """An expression over columns."""
        names = {column: Value(f"{prefix}{name(column)}", kind) for column, kind in kinds.items()}
        return sql.compile_expression(parse(text), Scope(names, self.constants))

    def condition(self, text: str, kinds: Kinds, prefix: str = "") -> str:
        """An expression that is true or false."""
        value = self.value(text, kinds, prefix)
        if value.kind != "boolean":
            raise Incorrect(f"`{text}` is not a condition")
        return value.sql

    def _text(self, text: str, kinds: Kinds) -> str:
        return sql.cast(self.value(text, kinds, "b."), "string").sql

    def _with(self, query: str, kinds: Kinds, one: With, alias: str) -> str:
        other = self.kinds(one.table)
        _matchable(one.match, other, kinds)
        order = f"{name(one.last)} desc nulls last" + (', "_id" desc' if "_id" in other else "")
        keys = ", ".join(name(column) for column in one.match)
        taken = ", ".join(f"{name(column)} as {name('take_' + here)}" for here, column in one.take.items())
        rows = (
            f"select {keys}, {taken} from {name(one.table)} where {self.condition(one.where, other)} "
            f"qualify row_number() over (partition by {keys} order by {order}) = 1"
        )
        for here, column in one.take.items():
            if column not in other:
                raise Incorrect(f"table '{one.table}' has no column '{column}'")
            kinds[here] = other[column]
        outputs = ", ".join(f"{alias}.{name('take_' + here)} as {name(here)}" for here in one.take)
        return f"select b.*, {outputs} from ({query}) b left join ({rows}) {alias} on {_on(one.match, alias)}"

    def _count(self, query: str, kinds: Kinds, one: Count, alias: str) -> str:
        other = self.kinds(one.table)
        _matchable(one.match, other, kinds)
        keys = ", ".join(name(column) for column in one.match)
        rows = f"select {keys}, count(*) as n from {name(one.table)} where {self.condition(one.where, other)} group by {keys}"
        kinds[one.name] = "integer"
        return f"select b.*, coalesce({alias}.n, 0) as {name(one.name)} from ({query}) b left join ({rows}) {alias} on {_on(one.match, alias)}"

    def _evidence(self, definition: Definition) -> tuple[str, str]:
        """Joins, and the list of resource ids that they give."""
        joins, lists = "", ["cast([] as varchar[])"]
        for number, one in enumerate(definition.population.evidence):
            alias = f"e{number}"
            _matchable(one.match, self.kinds(one.table), self.kinds(definition.population.source))
            keys = ", ".join(name(column) for column in one.match)
            ids = f"list({literal(one.type + '/')} || _id order by _id)"
            rows = f"select {keys}, {ids} as ids from {name(one.table)} group by {keys}"
            joins += f" left join ({rows}) {alias} on {_on(one.match, alias)}"
            lists.append(f"coalesce({alias}.ids, cast([] as varchar[]))")
        return joins, f"list_concat({', '.join(lists)})" if len(lists) > 1 else lists[0]


def library_statements(compiler: Compiler, library: Library, needed: Sequence[str]) -> Iterator[Statement]:
    """The library's views and tables that are needed, in order."""
    for view in library.views.values():
        if view.name in needed:
            yield compiler.view(view)
    for table in library.tables:
        if table.name in needed:
            yield compiler.table(table)


def needed_tables(library: Library, definitions: Sequence[Definition]) -> list[str]:
    """Names of the library's views and tables on which the definitions rest."""
    steps = {table.name: table for table in library.tables}
    wanted: set[str] = set()
    waiting = [used for one in definitions for used in _uses_of(one)]
    while waiting:
        current = waiting.pop()
        if current in wanted:
            continue
        wanted.add(current)
        if current in steps:
            waiting += _uses(steps[current])
    return sorted(wanted)


def statements(compiler: Compiler, definition: Definition, *, named: bool) -> Iterator[Statement]:
    """What computes one period of a measure, after the library's and the prepared tables are there."""
    for table in definition.tables:
        yield compiler.table(table)
    yield compiler.population(definition, named=named)


def _uses_of(definition: Definition) -> list[str]:
    found = [definition.population.source, *(one.table for one in definition.population.evidence)]
    for table in (*definition.prepared, *definition.tables):
        found += _uses(table)
    return found


def _uses(table: Table) -> list[str]:
    return [table.source, *(one.table for one in table.withs), *(one.table for one in table.counts)]


def _matchable(match: Mapping[str, str], other: Kinds, own: Kinds) -> None:
    for there, here in match.items():
        if there not in other or here not in own:
            raise Incorrect(f"match {there} = {here}: one of the two columns does not exist")


def _on(match: Mapping[str, str], alias: str) -> str:
    return " and ".join(f"{alias}.{name(there)} = b.{name(here)}" for there, here in match.items())


def _one_per(query: str, per: LastPer, kinds: Kinds) -> str:
    order = f"{name(per.last)} desc nulls last" + (', "_id" desc' if "_id" in kinds else "")
    present = f"select * from ({query}) where {name(per.key)} is not null"
    return f"{present} qualify row_number() over (partition by {name(per.key)} order by {order}) = 1"


def _fold(query: str, per: LastPer, kinds: Kinds) -> str:
    rank = f'row_number() over (partition by {name(per.key)} order by {name(per.last)} asc nulls first, "_id" asc)'
    columns = [
        name(column) if column == per.key else f"arg_max({name(column)}, rank) as {name(column)}" for column in kinds
    ]
    ranked = f"select *, {rank} as rank from ({query}) where {name(per.key)} is not null"
    return f"select {', '.join(columns)} from ({ranked}) group by {name(per.key)}"
