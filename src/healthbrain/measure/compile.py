"""Definitions as DuckDB SQL: every table in one query for all periods, and equal tables made once.

A table whose expressions speak of `%from` or `%to`, or that rests on one that does, is *timed*: it has a row per period
(`_p`) and is made by a join with the calendar, not by a query per period. A window written
`day >= %from and day <= %to` becomes a join with the calendar's days.

A table is named after its query, which names its sources, and so on down: two steps of different definitions that say the
same over the same are one table. Row order never matters: "last" is by the named column, then by resource id.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from healthbrain.errors import Incorrect
from healthbrain.lake import expression_sql as sql
from healthbrain.lake.base_view import BaseView, to_sql, with_moments
from healthbrain.lake.engine import name
from healthbrain.lake.expression import Binary, Call, Literal, Name, Node, Variable, parse
from healthbrain.lake.expression_sql import Constant, Kind, Scope, Value
from healthbrain.measure.definition import Count, Definition, LastPer, Library, Population, Table, With

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
THEIRS = frozenset({"person", "_id", "encounter"})  # columns of which one value belongs to one person only
BASE = "base_"  # prefix of the tables that `base` gives: a library's views as they were last read
_WORD = re.compile(r"[A-Za-z_]\w*")
_PERIOD = re.compile(r"%(?:from|to)\b")
_LOWEST: Mapping[Kind, str] = {
    "date": "date '0001-01-01'",
    "instant": "timestamptz '0001-01-01 00:00:00+00'",
    "integer": "-9223372036854775807",
    "decimal": "cast('-infinity' as double)",
    "text": "''",
    "boolean": "false",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A table: what it is called in DuckDB, the query behind it, and what is known of its rows."""

    name: str
    query: str  # '' = given from outside
    kinds: Kinds
    timed: bool = False
    unique: str = ""  # the column that names a row (within a period)
    personal: bool = False  # its rows follow from one person's resources alone
    reads: tuple[tuple[str, frozenset[str] | None], ...] = ()  # table, columns used by name; None = all are passed on
    theirs: frozenset[str] = THEIRS  # and those that were made of the person and something else


@dataclass(slots=True)
class Plan:
    """Every table made for any definition, by its name in DuckDB, in the order of making."""

    tables: dict[str, Made] = field(default_factory=dict)

    def add(self, made: Made) -> Made:
        """The table, or the equal one that is there already."""
        return self.tables.setdefault(made.name, made)


class Compiler:
    """What names mean in one definition, over tables shared with all others."""

    def __init__(self, constants: Mapping[str, Constant], plan: Plan | None = None, calendar: str = "") -> None:
        self.constants = dict(constants)
        self.plan = plan or Plan()
        self.calendar = calendar
        self.names: dict[str, Made] = {}
        for table, kinds in GIVEN.items():
            unique = "key" if table == "organisation" else ""
            self.names[table] = self.plan.add(Made(table, "", dict(kinds), unique=unique))

    def within(self, constants: Mapping[str, Constant], calendar: str) -> Compiler:
        """A compiler that knows more constants and a calendar; what it makes is shared."""
        inner = Compiler({**self.constants, **constants}, self.plan, calendar)
        inner.names.update(self.names)
        return inner

    def library(self, library: Library) -> None:
        """Know the library: its views as given tables, its tables as steps."""
        for view in library.views.values():
            kinds: Kinds = {**view.kinds(), "person": "integer"}
            unique = "" if view.repeats else "_id"
            self.names[view.name] = self.plan.add(Made(BASE + view.name, "", kinds, unique=unique, personal=True))
        for table in library.tables:
            self.table(table)

    def made(self, table: str) -> Made:
        """A table made before, by its name in the definition."""
        if table not in self.names:
            raise Incorrect(f"there is no view or table '{table}' before this place")
        return self.names[table]

    # -- steps

    def table(self, table: Table) -> Made:
        """One step of a computation."""
        source = self.made(table.source)
        kinds = dict(source.kinds)
        timed = source.timed or self._speaks_of_periods(table)
        query = self._first(source, table, timed)
        personal = source.personal
        reads: list[tuple[str, frozenset[str] | None]] = [(source.name, None)]
        for number, one in enumerate(table.withs):
            query = self._with(query, kinds, one, f"w{number}", timed)
            personal &= self._personal(one.table, kinds)
            reads.append((self.made(one.table).name, _words(one.where, *one.match, *one.take.values(), one.last)))
        for number, group in enumerate(_alike(table.counts)):
            query = self._counts(query, kinds, group, f"c{number}", timed)
            personal &= self._personal(group[0].table, kinds)
            reads.append((self.made(group[0].table).name, _words(*(one.where for one in group), *group[0].match)))
        theirs = source.theirs | {added.name for added in table.added if _begins_with_person(parse(added.value))}
        for added in table.added:
            value = self.value(added.value, kinds, timed=timed)
            kinds[added.name] = value.kind
            query = f"select *, {value.sql} as {name(added.name)} from ({query})"
        if table.keep != "true":
            query = f"select * from ({query}) where {self.condition(table.keep, kinds, timed=timed)}"
        query = f"select * exclude (_from, _to) from ({query})" if timed else query
        unique = source.unique
        for per, step in ((table.one_per, _one_per), (table.fold, _fold)):
            if per:
                personal &= per.key in theirs
                # nothing else for one person, and lets the same rows stand for two (before and after: `increment`)
                keys = [per.key, "person"] if personal and "person" in kinds and per.key != "person" else [per.key]
                query, unique = step(query, per, keys, kinds, timed), per.key
        digest = hashlib.sha256(query.encode()).hexdigest()[:16]
        made = Made(f"made_{digest}", query, kinds, timed, unique, personal, tuple(reads), theirs)
        self.names[table.name] = self.plan.add(made)
        return self.names[table.name]

    def _first(self, source: Made, table: Table, timed: bool) -> str:
        """Rows of the source; timed ones with their period's first and last day."""
        where = self.condition(table.where, source.kinds, "s.", timed=timed)
        if not timed:
            return f"select s.* from {source.name} s where {where}"
        if source.timed:
            return f"select s.*, c._from, c._to from {source.name} s join {self._cal()} c on c._p = s._p where {where}"
        if day := _window(table.where, source.kinds):
            column, rest = day
            where = " and ".join(self._tree(node, source.kinds, "s.") for node in rest) or "true"
            return f"select s.*, c._p, c._from, c._to from {source.name} s join {self._cal()}_day c on c.day = s.{name(column)} where {where}"
        return f"select s.*, c._p, c._from, c._to from {source.name} s cross join {self._cal()} c where {where}"

    def _tree(self, node: Node, kinds: Kinds, prefix: str) -> str:
        value = sql.compile_expression(node, self._scope(kinds, prefix, timed=True))
        if value.kind != "boolean":
            raise Incorrect("a part of a `where` is not a condition")
        return value.sql

    def _with(self, query: str, kinds: Kinds, one: With, alias: str, timed: bool) -> str:
        other = self.made(one.table)
        for column in one.take.values():
            if column not in other.kinds:
                raise Incorrect(f"table '{one.table}' has no column '{column}'")
        if one.last not in other.kinds:
            raise Incorrect(f"table '{one.table}' has no column '{one.last}'")
        match = _within_person(one.match, other.kinds, kinds)
        keys, rows, on = self._others(other, one.where, match, alias, implied="person" not in one.match)
        taken = {f"take_{here}": column for here, column in one.take.items()}
        if other.unique in match:
            columns = ", ".join(f"{name(column)} as {name(here)}" for here, column in taken.items())
            rows = f"select {keys}, {columns} from ({rows})"
            got = {here: f"{alias}.{name(here)}" for here in taken}
        else:
            packed = ", ".join(f"{name(here)} := {name(column)}" for here, column in taken.items())
            rows = f"select {keys}, arg_max(struct_pack({packed}), {_order(one.last, other.kinds)}) as got from ({rows}) group by {keys}"
            got = {here: f"{alias}.got.{name(here)}" for here in taken}
        for here, column in one.take.items():
            kinds[here] = other.kinds[column]
        outputs = ", ".join(f"{got['take_' + here]} as {name(here)}" for here in one.take)
        return f"select b.*, {outputs} from ({query}) b left join ({rows}) {alias} on {on}"

    def _counts(self, query: str, kinds: Kinds, group: Sequence[Count], alias: str, timed: bool) -> str:
        other = self.made(group[0].table)
        match = _within_person(group[0].match, other.kinds, kinds)
        by_period = any(_PERIOD.search(one.where) for one in group)
        keys, rows, on = self._others(
            other, "true", match, alias, implied="person" not in group[0].match, by_period=by_period
        )
        inside = other.timed or by_period
        counted = [
            f"count(*) filter ({self.condition(one.where, other.kinds, timed=inside)}) as {name('n_' + one.name)}"
            for one in group
        ]
        rows = f"select {keys}, {', '.join(counted)} from ({rows}) group by {keys}"
        for one in group:
            kinds[one.name] = "integer"
        outputs = ", ".join(f"coalesce({alias}.{name('n_' + one.name)}, 0) as {name(one.name)}" for one in group)
        return f"select b.*, {outputs} from ({query}) b left join ({rows}) {alias} on {on}"

    def _others(
        self, other: Made, where: str, match: Mapping[str, str], alias: str, *, implied: bool, by_period: bool = False
    ) -> tuple[str, str, str]:
        """Key columns of the rows to match, the query for these rows, and the condition of the join."""
        by_period = by_period or other.timed or bool(_PERIOD.search(where))
        condition = self.condition(where, other.kinds, "o.", timed=by_period)
        if other.timed:
            rows = (
                f"select o.*, c._from, c._to from {other.name} o join {self._cal()} c on c._p = o._p where {condition}"
            )
        elif by_period:
            rows = f"select o.*, c.* from {other.name} o cross join {self._cal()} c where {condition}"
        else:
            rows = f"select o.* from {other.name} o where {condition}"
        columns = [name(column) for column in match] + (["_p"] if by_period else [])
        # what is of nobody (teams, staff, institutions) matches what is of nobody, unless the person is what is asked for
        same = {"person": "is not distinct from"} if implied else {}
        tests = [f"{alias}.{name(there)} {same.get(there, '=')} b.{name(here)}" for there, here in match.items()]
        return ", ".join(columns), rows, " and ".join(tests + ([f"{alias}._p = b._p"] if by_period else []))

    def evidence(self, table: str, match: Mapping[str, str], kinds: Kinds) -> Mapping[str, str]:
        """The columns by which evidence matches a member."""
        return _within_person(match, self.made(table).kinds, kinds)

    # -- expressions

    def value(self, text: str, kinds: Kinds, prefix: str = "", *, timed: bool = False) -> Value:
        """An expression over columns."""
        return sql.compile_expression(parse(text), self._scope(kinds, prefix, timed))

    def condition(self, text: str, kinds: Kinds, prefix: str = "", *, timed: bool = False) -> str:
        """An expression that is true or false."""
        value = self.value(text, kinds, prefix, timed=timed)
        if value.kind != "boolean":
            raise Incorrect(f"`{text}` is not a condition")
        return value.sql

    def _scope(self, kinds: Kinds, prefix: str, timed: bool) -> Scope:
        names = {column: Value(f"{prefix}{name(column)}", kind) for column, kind in kinds.items()}
        if not timed:
            return Scope(names, self.constants)
        place = "c." if prefix in {"s.", "o."} else prefix
        period = {key: Value(f"{place}_{key}", "date") for key in ("from", "to")}
        return Scope(names, {**self.constants, **period})

    def _cal(self) -> str:
        if not self.calendar:
            raise Incorrect("%from and %to have a meaning only in tables and population, not in what is prepared")
        return self.calendar

    def _speaks_of_periods(self, table: Table) -> bool:
        others: list[With | Count] = [*table.withs, *table.counts]
        texts = [table.where, table.keep, *(one.value for one in table.added), *(one.where for one in others)]
        return any(_PERIOD.search(text) for text in texts) or any(self.made(one.table).timed for one in others)

    def _personal(self, table: str, kinds: Kinds) -> bool:
        """Whether rows matched from `table` are of the same person, or do not depend on people at all."""
        other = self.made(table)
        return (other.personal and "person" in kinds) or other.name in GIVEN or not _depends_on_people(self.plan, other)


def base_query(view: BaseView, constants: Mapping[str, Constant]) -> str:
    """A view, with the person behind each patient. A patient that no person is known for counts as one.

    People are numbers here: P000000000017 is 17, the unlinked patient 5 is -5, anything else a digest.
    """
    return _with_person(to_sql(view, constants), person_key("l.person"), "person_link")


def keyed_query(view: BaseView, flat: str) -> str:
    """The same over a table with the columns of the view's definition, and `links`, which has the numbers of people already."""
    return _with_person(with_moments(view, flat), "l.person", "links")


def _with_person(query: str, key: str, links: str) -> str:
    return f"select v.*, coalesce({key}, -v._patient) as person from ({query}) v left join {links} l on l.patient = v._patient"


def person_key(text: str) -> str:
    """The number of a person id."""
    plain = f"regexp_full_match({text}, 'P[0-9]{{12}}')"
    digest = f"cast(hash({text}) >> 1 as bigint)"
    return f"case when {plain} then cast(substr({text}, 2) as bigint) when {text} is not null then {digest} end"


def needed_views(library: Library, definitions: Sequence[Definition]) -> list[str]:
    """Names of the library's views on which the definitions rest."""
    steps = {table.name: table for table in library.tables}
    wanted: set[str] = set()
    waiting = [used for one in definitions for used in _uses_of(one)]
    while waiting:
        current = waiting.pop()
        if current not in wanted:
            wanted.add(current)
            waiting += _uses(steps[current]) if current in steps else []
    return sorted(wanted & set(library.views))


def _uses_of(definition: Definition) -> Iterator[str]:
    for population in definition.populations:
        yield population.source
        yield from (one.table for one in population.evidence)
    for table in (*definition.prepared, *definition.tables):
        yield from _uses(table)


def _uses(table: Table) -> list[str]:
    return [table.source, *(one.table for one in table.withs), *(one.table for one in table.counts)]


def population_words(population: Population, *more: str) -> frozenset[str]:
    """Every name that a population's expressions may mention."""
    own = (
        population.subject, population.town, population.institution, population.where, population.exclude,
        population.exception, population.numerator, population.numerator_exclude, population.observe, population.weight,
    )  # fmt: skip
    return _words(*own, *more)


def _words(*texts: str) -> frozenset[str]:
    """Every name that expressions may mention, and what each join needs."""
    return frozenset(word for text in texts for word in _WORD.findall(text)) | {"_id", "person", "_p"}


def _alike(counts: Sequence[Count]) -> list[list[Count]]:
    """Counts of the same rows of the same table, to be made in one pass."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Count]] = {}
    for one in counts:
        groups.setdefault((one.table, tuple(one.match.items())), []).append(one)
    return list(groups.values())


def _within_person(match: Mapping[str, str], other: Kinds, own: Kinds) -> dict[str, str]:
    for there, here in match.items():
        if there not in other or here not in own:
            raise Incorrect(f"match {there} = {here}: one of the two columns does not exist")
    both = "person" in other and "person" in own and "person" not in match
    return {**match, "person": "person"} if both else dict(match)


def _window(where: str, kinds: Kinds) -> tuple[str, list[Node]] | None:
    """The day column that must lie in the period, and what else the condition says; None when it says no such thing."""
    parts = list(_conjuncts(parse(where)))
    bounds = {">=": "from", "<=": "to"}
    for column in (one for one, kind in kinds.items() if kind == "date"):
        wanted = [Binary(operator, Name(column), Variable(bound)) for operator, bound in bounds.items()]
        if all(one in parts for one in wanted):
            return column, [one for one in parts if one not in wanted]
    return None


def _begins_with_person(node: Node) -> bool:
    """Whether a text is person.toString() + '/' + something: equal texts are then of the same person."""
    while isinstance(node, Binary) and node.operator == "+" and isinstance(node.left, Binary):
        node = node.left
    return node == Binary("+", Call(Name("person"), "toString", ()), Literal("/"))


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, Binary) and node.operator == "and":
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node


def _order(last: str, kinds: Kinds) -> str:
    """What the last row is the greatest by; an unknown value comes before all others."""
    if last == "_id" or "_id" not in kinds:
        return name(last)
    return f"row(coalesce({name(last)}, {_LOWEST[kinds[last]]}), _id)"


def _one_per(query: str, per: LastPer, keys: Sequence[str], kinds: Kinds, timed: bool) -> str:
    order = f"{name(per.last)} desc nulls last" + (', "_id" desc' if "_id" in kinds else "")
    group = ", ".join(map(name, keys)) + (", _p" if timed else "")
    present = f"select * from ({query}) where {name(per.key)} is not null"
    return f"{present} qualify row_number() over (partition by {group} order by {order}) = 1"


def _fold(query: str, per: LastPer, keys: Sequence[str], kinds: Kinds, timed: bool) -> str:
    group = ", ".join(map(name, keys)) + (", _p" if timed else "")
    rank = f'row_number() over (partition by {group} order by {name(per.last)} asc nulls first, "_id" asc)'
    columns = [f"arg_max({name(column)}, rank) as {name(column)}" for column in kinds if column not in keys]
    ranked = f"select *, {rank} as rank from ({query}) where {name(per.key)} is not null"
    return f"select {', '.join([group, *columns])} from ({ranked}) group by {group}"


def _depends_on_people(plan: Plan, made: Made) -> bool:
    return made.name.startswith(BASE) or any(_depends_on_people(plan, plan.tables[read]) for read, _ in made.reads)
