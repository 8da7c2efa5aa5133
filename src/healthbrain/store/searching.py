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
from healthbrain.errors import Incorrect, Unsupported
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays, cursors, keys
from healthbrain.store.includes import check_includes, included
from healthbrain.store.pieces import Condition
from healthbrain.store.question import Question, read_question
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.rows import COMPARTMENT
from healthbrain.store.selection import Selection, select
from healthbrain.store.types import TypeIndex, type_index, type_number
from healthbrain.store.values import Page, Stored
from healthbrain.store.visibility import visible_sql


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
    check_includes(index, question.includes)
    total = await _total(connection, selection) if question.only_count or question.total == "accurate" else None
    if question.only_count:
        return Page([], [], None, total)
    matches, following = await _page(connection, selection, question)
    added = await included(connection, matches, question.includes, scope) if question.includes and matches else []
    return Page(matches, added, following, total)


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
