"""Resources in bulk: for the lake, which copies the store, and for the portrait, which shows one person whole.

A reader that follows the change feed asks for the versions it was told of. One that cannot (the feed was pruned or
belongs to another server) reads everything current once, and then follows the feed from where it stood before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from healthbrain.database import Connection
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays
from healthbrain.store.changes import Position
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.types import type_name, type_number
from healthbrain.store.values import Stored
from healthbrain.store.visibility import visible_sql

_VERSIONS = f"""
select {COLUMNS} from unnest(%(rids)s, %(versions)s) w(rid, version)
join resource r on r.rid = w.rid and r.version = w.version
union all
select {COLUMNS.replace("r.fhir_id", "c.fhir_id")} from unnest(%(rids)s, %(versions)s) w(rid, version)
join resource_history r on r.rid = w.rid and r.version = w.version join resource c on c.rid = r.rid
"""  # noqa: S608  # a constant column list

# Resources that were changed after the batch was closed: the feed will bring them.
_LATE = """
with s as (select snapshot from change_batch where batch = %s)
select distinct c.rid from change c, s
where c.xid >= pg_snapshot_xmin(s.snapshot) and not pg_visible_in_snapshot(c.xid, s.snapshot)"""
_TALLY = """
select rtype, count(*), sum(version)::bigint, sum(('x' || left(md5(fhir_id || '/' || version), 8))::bit(32)::bigint)::bigint
from resource where not deleted group by rtype"""
_CURRENT = f"select {COLUMNS} from resource r where r.rid > %s and not r.deleted order by r.rid limit %s"  # noqa: S608


async def versions(connection: Connection, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
    """The versions (rid, version) that are there, in no order, without any scope: for the platform itself."""
    arrays.teach(connection)
    parameters = {"rids": arrays.int8([rid for rid, _ in wanted]), "versions": arrays.int4([one for _, one in wanted])}
    cursor = await connection.execute(_VERSIONS.encode(), parameters)
    return [stored(row) for row in await cursor.fetchall()]


async def everything_at(connection: Connection, position: Position, limit: int = 2000) -> AsyncIterator[list[Stored]]:
    """Every current resource, in pages, except those that the feed brings after `position` (which is the latest one)."""
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        late = {row[0] for row in await (await connection.execute(_LATE.encode(), [position.batch])).fetchall()}
        after = 0
        while True:
            rows = await (await connection.execute(_CURRENT.encode(), [after, limit])).fetchall()
            if not rows:
                return
            found = [stored(row) for row in rows]
            after = found[-1].rid
            yield [one for one in found if one.rid not in late]


async def tally(connection: Connection) -> dict[str, tuple[int, int, int]]:
    """For each type with resources: how many, the sum of their versions, and a sum over a hash of id/version."""
    rows = await (await connection.execute(_TALLY)).fetchall()
    return {type_name(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in rows}


async def of_patients(
    connection: Connection, patients: Sequence[int], types: Sequence[str], *, scope: Scope = EVERYTHING
) -> list[Stored]:
    """Everything current of these types in the compartments of these patients (keys) that is open to `scope`."""
    arrays.teach(connection)
    rule, extra = visible_sql(scope, None)
    statement = f"select {COLUMNS} from resource r where r.patient = any(%s) and r.rtype = any(%s) and not r.deleted"  # noqa: S608
    if rule:
        statement += f" and {rule}"
    numbers = arrays.int2([type_number(type_) for type_ in types])
    cursor = await connection.execute(statement.encode(), [arrays.int8(patients), numbers, *extra])
    return [stored(row) for row in await cursor.fetchall()]
