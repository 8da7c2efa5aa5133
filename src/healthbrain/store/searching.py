"""Search: a question becomes one statement; then the page, its includes, its total if asked for.

One statement shape per kind of question, every value bound, the scope in each (also in chains and includes). The body
is read only for the rows shown. Pages are keyset pages in the order of the sort key and the row id.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, TooLarge, Unsupported
from healthbrain.fhir import extract
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays, cursors, keys
from healthbrain.store.conditions import Condition, condition, holds_any, reference_targets
from healthbrain.store.question import Criterion, Include, Question, read_question
from healthbrain.store.reading import COLUMNS, read_many, stored
from healthbrain.store.rows import COMPARTMENT
from healthbrain.store.types import TypeIndex, type_index, type_number
from healthbrain.store.values import Page, Stored
from healthbrain.store.visibility import visible_sql

LARGEST_INCLUDE = 1000
_DEEPEST_CHAIN = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """Where a question's rows are: conditions joined by `and`."""

    index: TypeIndex
    conditions: tuple[Condition, ...]

    @property
    def where(self) -> str:
        """The conditions as SQL."""
        return " and ".join(c.sql for c in self.conditions)

    @property
    def parameters(self) -> list[Any]:
        """What the conditions bind, in order."""
        return [value for c in self.conditions for value in c.parameters]


async def search(
    connection: Connection,
    type_: str,
    parameters: Sequence[tuple[str, str]],
    *,
    scope: Scope = EVERYTHING,
    strict: bool = True,
) -> Page:
    """Resources of a type that fulfil every parameter. See store.Store.search."""
    arrays.teach(connection)
    question = read_question(parameters)
    index = type_index(type_)
    selection = select(index, question.criteria, scope, strict=strict)
    _check_includes(index, question.includes)
    total = await _total(connection, selection) if question.only_count or question.total == "accurate" else None
    if question.only_count:
        return Page([], [], None, total)
    matches, following = await _page(connection, selection, question)
    included = await _included(connection, matches, question.includes, scope) if question.includes and matches else []
    return Page(matches, included, following, total)


def select(
    index: TypeIndex, criteria: Sequence[Criterion], scope: Scope, *, strict: bool, alias: str = "r", depth: int = 0
) -> Selection:
    """The rows of a type that fulfil the criteria and are open to `scope`."""
    conditions = [Condition(f"{alias}.rtype = {index.number}::smallint and not {alias}.deleted")]
    for criterion in criteria:
        if (found := _condition(index, criterion, scope, alias, strict, depth)) is not None:
            conditions.append(found)
    rule, parameters = visible_sql(scope, index.name, alias)
    if rule:
        conditions.append(Condition(rule, tuple(parameters)))
    return Selection(index, tuple(conditions))


def _condition(
    index: TypeIndex, criterion: Criterion, scope: Scope, row: str, strict: bool, depth: int
) -> Condition | None:
    if criterion.name == "_has":
        return _reverse_chain(index, criterion, scope, row, depth)
    if criterion.name not in index.parameters:
        if strict:
            known = ", ".join(sorted(code for code, p in index.parameters.items() if p.type != "special"))
            raise Incorrect(f"'{criterion.name}' is not a search parameter of {index.name}; known are {known}")
        return None
    if criterion.chain:
        return _chain(index, criterion, scope, row, depth)
    return condition(index, criterion, row)


# -- chains


def _chain(index: TypeIndex, criterion: Criterion, scope: Scope, row: str, depth: int) -> Condition:
    """subject:Patient.name=x: the reference is to one of the resources that fulfil the rest."""
    parameter = index.parameters[criterion.name]
    if parameter.type != "reference":
        raise Incorrect(f"'{criterion.written}': only a reference can be followed, and {criterion.name} is none")
    if depth >= _DEEPEST_CHAIN:
        raise TooLarge(f"'{criterion.written}' is a chain of more than {_DEEPEST_CHAIN} references")
    inner = _inner(criterion)
    targets = [criterion.modifier] if criterion.modifier else reference_targets(parameter)
    found: list[Condition] = []
    for target in targets:
        other = type_index(target)
        if inner.name != "_has" and inner.name not in other.parameters:
            continue
        alias = f"t{depth}"
        rest = select(other, [inner], scope, strict=True, alias=alias, depth=depth + 1)
        if target == "Patient" and parameter.code in index.patient_params:
            sql = f"{row}.patient in (select {alias}.patient from resource {alias} where {rest.where})"
        else:
            mask = keys.signed(keys.reference_mask(parameter.number))
            token = f"resource_handle({alias}.key) # ({mask})::bigint"
            sql = f"{row}.tokens && array(select {token} from resource {alias} where {rest.where})"
        found.append(Condition(sql, tuple(rest.parameters)))
    if not found:
        raise Incorrect(
            f"'{criterion.written}': no type that {criterion.name} refers to has a parameter '{inner.name}'"
        )
    return Condition(f"({' or '.join(c.sql for c in found)})", sum((c.parameters for c in found), ()))


def _inner(criterion: Criterion) -> Criterion:
    first, _, chain = criterion.chain.partition(".")
    name, _, modifier = first.partition(":")
    if name == "_has":
        return Criterion(criterion.written, "_has", "", criterion.chain.removeprefix("_has:"), criterion.values)
    return Criterion(criterion.written, name, modifier, chain, criterion.values)


def _reverse_chain(index: TypeIndex, criterion: Criterion, scope: Scope, row: str, depth: int) -> Condition:
    """_has:Observation:patient:code=x: some Observation that fulfils the rest refers to this row."""
    type_, _, rest = criterion.chain.partition(":")
    name, _, rest = rest.partition(":")
    if not type_ or not name or not rest:
        raise Incorrect(f"'{criterion.written}' is written _has:Type:reference:parameter")
    if depth >= _DEEPEST_CHAIN:
        raise TooLarge(f"'{criterion.written}' is a chain of more than {_DEEPEST_CHAIN} references")
    other = type_index(type_)
    parameter = other.parameters.get(name)
    if parameter is None or parameter.type != "reference":
        raise Incorrect(f"'{criterion.written}': {name} is not a reference parameter of {type_}")
    alias = f"t{depth}"
    inner = _inner(Criterion(criterion.written, "", "", rest, criterion.values))
    selected = select(other, [inner], scope, strict=True, alias=alias, depth=depth + 1)
    if index.name == "Patient" and name in other.patient_params:
        sql = f"{row}.patient in (select {alias}.patient from resource {alias} where {selected.where})"
        return Condition(sql, tuple(selected.parameters))
    mask = keys.signed(keys.reference_mask(parameter.number))
    token = f"array[resource_handle({row}.key) # ({mask})::bigint]"
    sql = f"exists (select from resource {alias} where {alias}.tokens @> {token} and {selected.where})"
    return Condition(sql, tuple(selected.parameters))


# -- pages


@dataclass(frozen=True, slots=True)
class Order:
    """A sort key: the column, how its values look in a cursor, whether rows may lack it."""

    column: str
    optional: bool
    instant: bool


def _order(index: TypeIndex, question: Question) -> Order:
    match question.sort:
        case "" | "_lastUpdated":
            return Order("r.updated", optional=False, instant=True)
        case "_id":
            return Order("r.fhir_id", optional=False, instant=False)
        case main if main == index.main_date:
            return Order("r.at_high", optional=True, instant=True)
        case other:
            offered = ", ".join(filter(None, ["_id", "_lastUpdated", index.main_date]))
            if "," in other or other in index.parameters:
                raise Unsupported(f"'_sort' by this is not offered yet; {index.name} can be sorted by one of {offered}")
            raise Incorrect(f"'_sort': not a parameter of {index.name}; it can be sorted by one of {offered}")


async def _page(connection: Connection, selection: Selection, question: Question) -> tuple[list[Stored], str | None]:
    """One page of matches and the cursor of the next. Rows without the sort key come last in both directions."""
    order = _order(selection.index, question)
    asked = [selection.index.name, *map(list, question.asked)]
    after = _after(question, asked, order)
    wanted = question.count + 1
    rows: list[tuple[Any, ...]] = []
    if after is None or after[0] is not None:
        extra = [Condition(f"{order.column} is not null")] if order.optional else []
        rows = await _rows(connection, selection, order, question, extra, after, wanted)
    if order.optional and len(rows) < wanted:
        keyless = after if after is not None and after[0] is None else None
        extra = [Condition(f"{order.column} is null")]
        rows += await _rows(
            connection, selection, Order("r.rid", False, False), question, extra, keyless, wanted - len(rows)
        )
    matches = [stored(row[1:]) for row in rows[: question.count]]
    if len(rows) <= question.count:
        return matches, None
    key, last = rows[question.count - 1][0], matches[-1].rid
    if order.optional and not isinstance(key, datetime):
        key = None  # among the rows that lack the sort key
    return matches, cursors.write(asked, [_plain(key), last])


async def _rows(
    connection: Connection,
    selection: Selection,
    order: Order,
    question: Question,
    extra: Sequence[Condition],
    after: tuple[Any, int] | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    conditions = [*selection.conditions, *extra]
    direction, beyond = ("desc", "<") if question.descending else ("asc", ">")
    if after is not None:
        key, rid = after
        if order.column == "r.rid":
            conditions.append(Condition(f"r.rid {beyond} %s", (rid,)))
        else:
            conditions.append(Condition(f"({order.column}, r.rid) {beyond} (%s, %s)", (key, rid)))
    where = Selection(selection.index, tuple(conditions))
    statement = (
        f"select {order.column}, {COLUMNS} from resource r where {where.where}"
        f" order by {order.column} {direction}, r.rid {direction} limit %s"
    )
    cursor = await connection.execute(statement.encode(), [*where.parameters, limit])
    return await cursor.fetchall()


def _after(question: Question, asked: Sequence[Any], order: Order) -> tuple[Any, int] | None:
    if not question.cursor:
        return None
    place = cursors.read(question.cursor, asked)
    try:
        key, rid = place
        return (datetime.fromisoformat(key) if order.instant and key is not None else key), int(rid)
    except (TypeError, ValueError):
        raise Incorrect("the page cursor is not of this search; start again from the first page") from None


def _plain(key: Any) -> Any:
    return key.isoformat() if isinstance(key, datetime) else key


async def _total(connection: Connection, selection: Selection) -> int:
    statement = f"select count(*) from resource r where {selection.where}"
    row = await (await connection.execute(statement.encode(), selection.parameters)).fetchone()
    return int(row[0]) if row else 0


# -- includes


async def _included(
    connection: Connection, matches: Sequence[Stored], includes: Sequence[Include], scope: Scope
) -> list[Stored]:
    """What the matches refer to, and what refers to them; none twice, none that is a match."""
    found: dict[int, Stored] = {}
    forward = [include for include in includes if not include.reverse]
    if forward:
        names = list(dict.fromkeys(name for match in matches for name in _referred(match, forward)))
        found |= {one.rid: one for one in await read_many(connection, names[: LARGEST_INCLUDE + 1], scope=scope)}
    for include in includes:
        if include.reverse:
            found |= {one.rid: one for one in await _referring(connection, matches, include, scope)}
    for match in matches:
        found.pop(match.rid, None)
    if len(found) > LARGEST_INCLUDE:
        raise TooLarge(f"more than {LARGEST_INCLUDE} included resources; ask for fewer with _count")
    return list(found.values())


def _check_includes(index: TypeIndex, includes: Sequence[Include]) -> None:
    for include in includes:
        name = "_revinclude" if include.reverse else "_include"
        if include.source == "*" or include.parameter == "*":
            if include.reverse:
                raise Unsupported("'_revinclude=*' is not offered; name types and parameters")
            continue
        if not include.reverse and include.source != index.name:
            raise Incorrect(f"'_include' begins with the type that is searched: {index.name}")
        parameter = type_index(include.source).parameters.get(include.parameter)
        if parameter is None or parameter.type != "reference":
            raise Incorrect(f"'{name}': {include.parameter} is not a reference parameter of {include.source}")


def _referred(match: Stored, includes: Sequence[Include]) -> list[tuple[str, str]]:
    return [
        (reference.type, reference.id)
        for reference in extract(match.resource).references
        if reference.id
        and any(i.parameter in {"*", reference.param} and i.target in {"", reference.type} for i in includes)
    ]


async def _referring(connection: Connection, matches: Sequence[Stored], include: Include, scope: Scope) -> list[Stored]:
    index = type_index(include.source)
    parameter = index.parameters[include.parameter]
    conditions = [Condition(f"r.rtype = {index.number}::smallint and not r.deleted")]
    if matches[0].type == "Patient" and parameter.code in index.patient_params:
        conditions.append(Condition("r.patient = any(%s)", (arrays.int8([keys.patient_key(m.id) for m in matches]),)))
    else:
        conditions.append(holds_any("r", [keys.number(keys.referred(parameter.number, m.type, m.id)) for m in matches]))
    rule, parameters = visible_sql(scope, index.name)
    if rule:
        conditions.append(Condition(rule, tuple(parameters)))
    where = Selection(index, tuple(conditions))
    statement = f"select {COLUMNS} from resource r where {where.where} order by r.rid limit {LARGEST_INCLUDE + 1}"
    rows = await (await connection.execute(statement.encode(), where.parameters)).fetchall()
    return [stored(row) for row in rows]


# -- everything of one patient


async def everything(
    connection: Connection, patient_id: str, *, scope: Scope = EVERYTHING, count: int = 50, cursor: str | None = None
) -> Page:
    """The Patient and every resource in its compartment, the Patient first."""
    arrays.teach(connection)
    count = max(1, min(count, 1000))
    asked = ["everything", patient_id]
    after = cursors.read(cursor, asked) if cursor else [-1, -1]
    patient = keys.patient_key(patient_id)
    token = keys.number(keys.referred(COMPARTMENT, "Patient", patient_id))
    rule, extra = visible_sql(scope, None)
    own = type_number("Patient")
    statement = (
        f"select {COLUMNS} from resource r where (r.patient = %s or r.tokens @> %s) and not r.deleted"
        f"{' and ' + rule if rule else ''} and (case when r.rtype = {own} then 0 else 1 end, r.rid) > (%s, %s)"
        f" order by case when r.rtype = {own} then 0 else 1 end, r.rid limit %s"
    )
    values = [patient, arrays.int8([token]), *extra, *after, count + 1]
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    found = [stored(row) for row in rows[:count]]
    following = None
    if len(rows) > count:
        following = cursors.write(asked, [0 if found[-1].type == "Patient" else 1, found[-1].rid])
    return Page(found, [], following)
