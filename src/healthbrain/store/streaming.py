"""Current versions in any number, streamed from one snapshot: for whoever takes whole tables away (Bulk Data export).

The caller opens a repeatable-read transaction (`in_snapshot`) and asks for one extent after another; everything comes
from the same moment, however long that takes. Rows stay packed until they are written: nothing reads their JSON, and
the reader's scope is in the statement.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays, bodies, keys
from healthbrain.store.asking import Asking
from healthbrain.store.pieces import Condition, all_of, any_of
from healthbrain.store.question import read_question
from healthbrain.store.rows import COMPARTMENT
from healthbrain.store.selection import selected
from healthbrain.store.types import type_name, type_number
from healthbrain.store.visibility import visible_sql

_PART = 2000  # rows fetched at once

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transaction sees: its transaction ids, meaningful within one epoch of the change feed only."""

    text: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Which resources of one type. `filters` are searches of which one must find the resource."""

    type: str
    scope: Scope = EVERYTHING
    filters: tuple[tuple[tuple[str, str], ...], ...] = ()
    since: datetime | None = None
    unseen: Snapshot | None = None  # beside `since`: changed by transactions that this snapshot did not see
    until: datetime | None = None
    compartments: bool = False  # only what lies in some patient's compartment
    patients: tuple[str, ...] | None = None  # only in these patients' compartments (logical ids)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Some rows, still packed."""

    rows: tuple[tuple[int | None, bytes], ...]  # patient, body as it is stored

    def bodies(self) -> list[bytes]:
        """The JSON of each, as it was written."""
        return [bodies.decompress(packed) for _, packed in self.rows]

    @property
    def patients(self) -> set[int]:
        """Whose resources they are."""
        return {patient for patient, _ in self.rows if patient is not None}


async def in_snapshot(connection: Connection) -> Snapshot:
    """Make the transaction that was just begun see one moment only; returns which one."""
    await connection.execute("set transaction isolation level repeatable read, read only")
    await connection.execute("set local cursor_tuple_fraction = 1")  # all rows are wanted, not the first ones soon
    row = await (
        await connection.execute("select pg_current_snapshot()::text, (select epoch from change_epoch)")
    ).fetchone()
    assert row is not None  # noqa: S101 - a select without a table gives a row
    return Snapshot(row[0], row[1])


async def types_present(connection: Connection) -> list[str]:
    """The types of which there is or was any resource."""
    cursor = await connection.execute(
        "with recursive t(n) as ((select rtype from resource order by rtype limit 1) union all"
        " select (select r.rtype from resource r where r.rtype > t.n order by r.rtype limit 1) from t where t.n is not null)"
        " select n from t where n is not null"
    )
    return sorted(type_name(row[0]) for row in await cursor.fetchall())


async def check_filter(connection: Connection, type_: str, query: Query) -> None:
    """Raises Incorrect or Unsupported unless `query` is a search by which an extent can be narrowed."""
    await _filter(connection, type_, query, EVERYTHING)


async def stream(connection: Connection, extent: Extent) -> AsyncGenerator[Parcel, None]:
    """The current versions in an extent, in no order. Close the iterator when it is left early."""
    where = await _where(connection, extent, deleted=False)
    async for rows in _rows(
        connection, f"select r.patient, r.body from resource r where {where.sql}", where.parameters
    ):
        yield Parcel(tuple(rows))


async def deletions(connection: Connection, extent: Extent) -> AsyncGenerator[list[str], None]:
    """The ids of resources in the extent that were deleted; filters say nothing about what is gone."""
    where = await _where(connection, extent, deleted=True)
    async for rows in _rows(connection, f"select r.fhir_id from resource r where {where.sql}", where.parameters):
        yield [row[0] for row in rows]


async def _rows(
    connection: Connection, statement: str, values: Sequence[Any]
) -> AsyncGenerator[list[tuple[Any, ...]], None]:
    """Parts of a result; the next one is on its way while the one before is worked on."""
    async with connection.cursor(name="extent", binary=True) as cursor:
        await cursor.execute(statement.encode(), values)
        coming = asyncio.create_task(cursor.fetchmany(_PART))
        try:
            while rows := await coming:
                coming = asyncio.create_task(cursor.fetchmany(_PART))
                yield rows
        finally:
            await asyncio.wait([coming])


async def _where(connection: Connection, extent: Extent, *, deleted: bool) -> Condition:
    arrays.teach(connection)
    conditions = [Condition(f"r.rtype = {type_number(extent.type)}::smallint")]
    conditions.append(Condition("r.deleted" if deleted else "not r.deleted"))
    rule, values = visible_sql(extent.scope, extent.type)
    if rule:
        conditions.append(Condition(rule, tuple(values)))
    if extent.filters and not deleted:
        found = [await _filter(connection, extent.type, query, extent.scope) for query in extent.filters]
        conditions.append(any_of(found))
    conditions += _times(extent)
    if extent.patients is not None:
        conditions.append(_of_patients(extent.patients))
    elif extent.compartments:
        conditions.append(Condition("r.patient is not null"))
    return all_of(conditions)


async def _filter(connection: Connection, type_: str, query: Query, scope: Scope) -> Condition:
    question = read_question(query)
    if question.includes or question.sort or question.cursor or question.only_count or question.total != "none":
        raise Incorrect("a filter narrows what is taken: it cannot sort, count, page or include")
    if any(name in ("_count", "_elements", "_summary") for name, _ in query):
        raise Incorrect("a filter narrows what is taken: it cannot sort, count, page or include")
    arrays.teach(connection)
    one = await selected(connection, type_, question.criteria, Asking(scope))
    return Condition(f"({one.where})", tuple(one.parameters))


def _times(extent: Extent) -> list[Condition]:
    found: list[Condition] = []
    if extent.since is not None:
        ways = [Condition("r.updated >= %s", (extent.since,))]
        if extent.unseen is not None:
            # what was being written while that snapshot was taken carries an earlier time than it became visible
            late = (
                "r.rid in (select c.rid from change c where (select epoch from change_epoch) = %s"
                " and c.xid >= pg_snapshot_xmin(%s::pg_snapshot) and not pg_visible_in_snapshot(c.xid, %s::pg_snapshot))"
            )
            ways.append(Condition(late, (extent.unseen.epoch, extent.unseen.text, extent.unseen.text)))
        found.append(any_of(ways))
    if extent.until is not None:
        found.append(Condition("r.updated <= %s", (extent.until,)))
    return found


def _of_patients(ids: Sequence[str]) -> Condition:
    handles = arrays.int8([keys.patient_key(id_) for id_ in ids])
    also = arrays.int8([keys.number(keys.referred(COMPARTMENT, "Patient", id_)) for id_ in ids])
    return Condition("(r.patient = any(%s) or r.tokens && %s)", (handles, also))


async def found_among(
    connection: Connection, type_: str, rids: Sequence[int], query: Query, *, scope: Scope = EVERYTHING
) -> set[int]:
    """Those of some resources (their row numbers) that are here now, open to the scope and found by a search."""
    where = await _filter(connection, type_, query, scope)
    statement = f"select r.rid from resource r where r.rid = any(%s) and {where.sql}"
    cursor = await connection.execute(statement.encode(), [arrays.int8(list(rids)), *where.parameters])
    return {row[0] for row in await cursor.fetchall()}
