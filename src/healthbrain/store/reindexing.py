"""Indexing what was stored before a search parameter was added, step by step, beside everything else.

A parameter waits until no transaction can still be under way that began without knowing it: some seconds for the
memory of other processes, then until every transaction of that moment has ended. From then on all new writes carry it,
and the older resources are gone through in the order of their row numbers. A step is one short transaction; it may be
cut off anywhere and is then done again.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from healthbrain.database import Connection
from healthbrain.fhir import SearchParameter, extract, parse
from healthbrain.store import arrays, bodies
from healthbrain.store.columns import columns
from healthbrain.store.parameters import Catalog, catalog, values_of
from healthbrain.store.rows import Rows, add_rows, index_rows
from healthbrain.store.types import type_index, type_name, type_number

_LOCK = 0x48_42_20  # advisory: one worker at a time
_SETTLE = 3.0  # seconds that a process may go on without knowing a new parameter, with a margin (parameters.TRUST)
_STEP = 500
FORMAT = 3  # of the index; see migrations/0022_index_format.pre.sql


async def reindex(connection: Connection, *, most: int = _STEP) -> bool:
    """One step of what is to be done, in the caller's transaction; whether there may be more to do at once."""
    arrays.teach(connection)
    row = await (await connection.execute("select pg_try_advisory_xact_lock(%s)", (_LOCK,))).fetchone()
    if row is None or not row[0]:
        return False
    if await _forget(connection) or await _renew(connection, most):
        return True
    await _start(connection)
    cursor = await connection.execute(
        "select number, base, code, done, goal from search_parameter where state = 'indexing' order by number limit 1"
    )
    if (found := await cursor.fetchone()) is None:
        return False
    number, base, code, done, goal = found
    known = await catalog(connection, trust=0)
    custom = known.customs.get(base, {}).get(code)
    if custom is None or custom.parameter.number != number:
        return True  # removed meanwhile
    last = await _index(connection, known, custom.parameter, done, goal, most)
    if last is None:
        await connection.execute(
            "update search_parameter set state = 'ready', done = goal where number = %s", (number,)
        )
        await _changed(connection)
    else:
        await connection.execute("update search_parameter set done = %s where number = %s", (last, number))
    return True


async def _start(connection: Connection) -> None:
    """Let those begin that have waited long enough."""
    await connection.execute(
        "update search_parameter set state = 'indexing', goal = (select coalesce(max(rid), 0) from resource)"
        " where state = 'waiting' and barrier <= pg_snapshot_xmin(pg_current_snapshot())"
    )
    await connection.execute(
        "update search_parameter set barrier = pg_snapshot_xmax(pg_current_snapshot())"
        " where state = 'waiting' and barrier is null and changed < clock_timestamp() - make_interval(secs => %s)",
        (_SETTLE,),
    )


async def _forget(connection: Connection) -> bool:
    """Clean up after a parameter that was removed. Its tokens stay until their resources are written again."""
    cursor = await connection.execute("select number from search_parameter where state = 'removed' limit 1")
    if (row := await cursor.fetchone()) is None:
        return False
    for table in ("resource_date", "resource_number", "resource_string", "concept_text"):
        await connection.execute(f"delete from {table} where param = %s".encode(), row)
    await connection.execute("delete from search_parameter where number = %s", row)
    return True


async def _renew(connection: Connection, most: int) -> bool:
    """Index afresh what an older version of this code had indexed; whether anything was done."""
    row = await (await connection.execute("select format, done, goal from index_format for update")).fetchone()
    if row is None or row[0] >= FORMAT:
        return False
    _, done, goal = row
    if goal is None:
        await connection.execute(
            "update index_format set done = 0, goal = (select coalesce(max(rid), 0) from resource)"
        )
        return True
    cursor = await connection.execute(
        "select rid from resource where rid > %s and rid <= %s order by rid limit %s", (done, goal, most)
    )
    rids = [one[0] for one in await cursor.fetchall()]
    if not rids:
        await connection.execute("update index_format set format = %s", (FORMAT,))
        return True
    known = await catalog(connection, trust=0)
    cursor = await connection.execute(
        "select rid, rtype, fhir_id, body from resource where rid = any(%s) and not deleted order by key"
        " for no key update",
        [arrays.int8(rids)],
    )
    found: list[tuple[int, Rows]] = []
    for rid, rtype, id_, body in await cursor.fetchall():
        resource = parse(bodies.decompress(body))
        rows = index_rows(type_index(type_name(rtype)), id_, extract(resource))
        known.add(type_name(rtype), rows, resource)
        found.append((rid, rows))
    for table in ("resource_date", "resource_number", "resource_string"):
        await connection.execute(
            f"delete from {table} where rid = any(%s)".encode(), [arrays.int8([rid for rid, _ in found])]
        )
    await _insert(connection, found)
    await connection.execute("update index_format set done = %s", (rids[-1],))
    return True


async def _index(
    connection: Connection, known: Catalog, parameter: SearchParameter, done: int, goal: int, most: int
) -> int | None:
    """Index the next resources; the last row number, None when there are no more."""
    cursor = await connection.execute(
        "select rid from resource where rtype = %s::smallint and rid > %s and rid <= %s order by rid limit %s",
        (type_number(parameter.base), done, goal, most),
    )
    rids = [row[0] for row in await cursor.fetchall()]
    if not rids:
        return None
    # in key order, as writers lock
    cursor = await connection.execute(
        "select rid, body from resource where rid = any(%s) and not deleted order by key for no key update",
        [arrays.int8(rids)],
    )
    index = known.index(parameter.base)
    found: list[tuple[int, Rows]] = []
    for rid, body in await cursor.fetchall():
        rows = Rows()
        add_rows(rows, index, values_of(parameter, parse(bodies.decompress(body))))
        if rows.tokens:
            found.append((rid, rows))
    if found:
        await _add(connection, parameter.number, found)
    return int(rids[-1])


async def _add(connection: Connection, number: int, found: Sequence[tuple[int, Rows]]) -> None:
    rids = arrays.int8([rid for rid, _ in found])
    for table in ("resource_date", "resource_number", "resource_string"):
        await connection.execute(f"delete from {table} where rid = any(%s) and param = %s".encode(), [rids, number])
    await _insert(connection, found)


async def _insert(connection: Connection, found: Sequence[tuple[int, Rows]]) -> None:
    rids = arrays.int8([rid for rid, _ in found])
    tokens = arrays.text([arrays.int8_text(rows.tokens) for _, rows in found])
    await connection.execute(
        f"select resource_index_add({', '.join(['%s'] * 19)})".encode(), [rids, tokens, *_side_columns(found)]
    )


def _side_columns(found: Sequence[tuple[int, Rows]]) -> list[Any]:
    d_rid, d_param, d_low, d_high = columns([(rid, *row) for rid, rows in found for row in rows.dates], 4)
    n_rid, n_param, n_low, n_high, n_unit, n_label, n_code = columns(
        [(rid, *row) for rid, rows in found for row in rows.numbers], 7
    )
    s_rid, s_param, s_value = columns([(rid, *row) for rid, rows in found for row in rows.strings], 3)
    c_param, c_value, c_token = columns(sorted(set().union(*(rows.concepts for _, rows in found))), 3)
    int4, int8, float8 = arrays.int4, arrays.int8, arrays.float8
    return [
        int8(d_rid), int4(d_param), arrays.instant(d_low), arrays.instant(d_high),
        int8(n_rid), int4(n_param), float8(n_low), float8(n_high), int8(n_unit), int8(n_label), int8(n_code),
        int8(s_rid), int4(s_param), arrays.text(s_value),
        int4(c_param), arrays.int8_raw(c_token), arrays.text(c_value),
    ]  # fmt: skip


async def _changed(connection: Connection) -> None:
    await connection.execute(
        "update search_catalog set version = greatest(version + 1, (extract(epoch from clock_timestamp()) * 1e6)::bigint)"
    )
