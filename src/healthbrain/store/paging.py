"""One page of what a question means, in its order, and the cursor of the next page.

Keyset paging in the order of the sort keys and then the row's number, which is unique: no row is repeated or skipped.
The usual orders walk an index; any other one is computed for all rows that fulfil the question.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.store import arrays, cursors
from healthbrain.store.asking import Asking
from healthbrain.store.bodysort import sorted_rows
from healthbrain.store.pieces import Condition
from healthbrain.store.question import Question, Sort
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.selection import Selection
from healthbrain.store.sorting import Key, Row, after, in_order, key, order_by
from healthbrain.store.values import Stored

_WRONG_CURSOR = "the page cursor is not of this search; start again from the first page"


async def page_of(
    connection: Connection, selections: Sequence[Selection], question: Question, asking: Asking
) -> tuple[list[Stored], str | None]:
    """One page of matches and the cursor of the next."""
    asked = [[one.index.name for one in selections], *map(list, question.asked)]
    place = cursors.read(question.cursor, asked) if question.cursor else None
    if len(selections) == 1 and (order := _usual_order(selections[0], question)) is not None:
        return await _usual_page(connection, selections[0], question, order, asked, place)
    return await _sorted_page(connection, selections, question, asking, asked, place)


# -- the usual orders: one type, by one column that has an index


@dataclass(frozen=True, slots=True)
class Order:
    """A sort key: the column, whether rows may lack it, whether it is a time."""

    column: str
    optional: bool
    instant: bool


def _usual_order(selection: Selection, question: Question) -> Order | None:
    if len(question.sort) > 1:
        return None
    match question.sort[0].name if question.sort else "":
        case "" | "_lastUpdated":
            return Order("r.updated", optional=False, instant=True)
        case "_id":
            return Order("r.fhir_id", optional=False, instant=False)
        case main if main == selection.index.main_date:
            return Order("r.at_high", optional=True, instant=True)
    return None


async def _usual_page(
    connection: Connection,
    selection: Selection,
    question: Question,
    order: Order,
    asked: Sequence[Any],
    place: list[Any] | None,
) -> tuple[list[Stored], str | None]:
    """Rows without the sort key come last in both directions."""
    since = _place(place, 1)
    wanted = question.count + 1
    rows: list[tuple[Any, ...]] = []
    if since is None or since[0][0] is not None:
        extra = [Condition(f"{order.column} is not null")] if order.optional else []
        rows = await _rows(connection, selection, order, question, extra, since, wanted)
    if order.optional and len(rows) < wanted:
        keyless = since if since is not None and since[0][0] is None else None
        extra = [Condition(f"{order.column} is null")]
        rows += await _rows(
            connection, selection, Order("r.rid", False, False), question, extra, keyless, wanted - len(rows)
        )
    matches = [stored(row[1:]) for row in rows[: question.count]]
    if len(rows) <= question.count:
        return matches, None
    value = rows[question.count - 1][0]
    if isinstance(value, int):
        value = None  # among the rows that lack the sort key
    return matches, cursors.write(asked, [value, matches[-1].rid])


async def _rows(
    connection: Connection,
    selection: Selection,
    order: Order,
    question: Question,
    extra: Sequence[Condition],
    since: tuple[list[Any], int] | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    conditions = [*selection.conditions, *extra]
    direction, beyond = ("desc", "<") if question.sort and question.sort[0].descending else ("asc", ">")
    if since is not None:
        (value,), rid = since
        if order.column == "r.rid":
            conditions.append(Condition(f"r.rid {beyond} %s", (rid,)))
        else:
            kind = "timestamptz" if order.instant else "text"
            conditions.append(Condition(f"({order.column}, r.rid) {beyond} (%s::{kind}, %s)", (value, rid)))
    where = Selection(selection.index, tuple(conditions))
    # as text, because an open period ends at infinity, which no datetime is
    shown = f"{order.column}::text" if order.instant else order.column
    statement = (
        f"select {shown}, {COLUMNS} from resource r where {where.where}"
        f" order by {order.column} {direction}, r.rid {direction} limit %s"
    )
    cursor = await connection.execute(statement.encode(), [*where.parameters, limit])
    return await cursor.fetchall()


def _place(place: list[Any] | None, width: int) -> tuple[list[Any], int] | None:
    """The keys and the row number of a cursor."""
    if place is None:
        return None
    if len(place) != width + 1 or not isinstance(place[-1], int):
        raise Incorrect(_WRONG_CURSOR)
    return place[:-1], place[-1]


# -- any order


async def _sorted_page(
    connection: Connection,
    selections: Sequence[Selection],
    question: Question,
    asking: Asking,
    asked: Sequence[Any],
    place: list[Any] | None,
) -> tuple[list[Stored], str | None]:
    sorts = question.sort or (Sort("_lastUpdated", descending=False),)
    keys = await asking.until_known(
        connection, lambda: [[key(one.index, sort, asking) for sort in sorts] for one in selections]
    )
    since = _place(place, len(sorts))
    if any(one.read for own in keys for one in own):
        rows = await _by_body(connection, selections, keys, question, asking, since)
    else:
        rows = await _by_index(connection, selections, keys, question, since)
    shown = rows[: question.count]
    found = await _bodies(connection, [row.rid for row in shown])
    following = None
    if len(rows) > question.count:
        following = cursors.write(asked, [*shown[-1].values, shown[-1].rid])
    return found, following


async def _by_index(
    connection: Connection,
    selections: Sequence[Selection],
    keys: Sequence[Sequence[Key]],
    question: Question,
    since: tuple[list[Any], int] | None,
) -> list[Row]:
    order = order_by(keys[0])
    branches: list[str] = []
    values: list[Any] = []
    beyond = after(keys[0], *since) if since is not None else Condition("true")
    for selection, own in zip(selections, keys, strict=True):
        columns = ", ".join(f"{one.sql} as k{n}" for n, one in enumerate(own, 1))
        rows = f"select r.rid, {columns} from resource r where {selection.where}"
        branches.append(f"(select q.* from ({rows}) q where {beyond.sql} order by {order} limit %s)")
        values += [v for one in own for v in one.parameters]
        values += [*selection.parameters, *beyond.parameters, question.count + 1]
    texts = ", ".join(f"q.k{n}::text" for n in range(1, len(keys[0]) + 1))
    statement = f"select q.rid, {texts} from ({' union all '.join(branches)}) q order by {order} limit %s"
    cursor = await connection.execute(statement.encode(), [*values, question.count + 1])
    return [Row(row[0], tuple(row[1:])) for row in await cursor.fetchall()]


async def _by_body(
    connection: Connection,
    selections: Sequence[Selection],
    keys: Sequence[Sequence[Key]],
    question: Question,
    asking: Asking,
    since: tuple[list[Any], int] | None,
) -> list[Row]:
    """The same where only bodies tell some keys."""
    rows: list[Row] = []
    for selection, own in zip(selections, keys, strict=True):
        rows += await sorted_rows(connection, selection, own, asking, since, question.count + 1)
    return in_order(keys[0], rows)[: question.count + 1]


async def _bodies(connection: Connection, rids: Sequence[int]) -> list[Stored]:
    statement = f"select {COLUMNS} from resource r where r.rid = any(%s) and not r.deleted"
    rows = await (await connection.execute(statement.encode(), [arrays.int8(rids)])).fetchall()
    found = {one.rid: one for one in map(stored, rows)}
    return [found[rid] for rid in rids if rid in found]
