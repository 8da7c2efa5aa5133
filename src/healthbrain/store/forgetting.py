"""Taking a person's resources out of the store for good: current, history, index, words and the feed (PIPL art. 47).

Nothing else removes rows from these tables. A deletion (`delete`) is a new version that keeps the old ones; this leaves
none. Whoever calls it keeps the record of what was done and tells those who hold copies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from healthbrain.database import Connection
from healthbrain.store import keys
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.rows import fold
from healthbrain.store.types import type_name
from healthbrain.store.values import Stored

_CHOSEN = """
create temporary table forgotten on commit drop as
select rid from resource where patient = any(%(patients)s::bigint[]) or key = any(%(keys)s::uuid[])
union select c.rid from resource_history h join resource c using (rid)
    where h.patient = any(%(patients)s::bigint[]) and (c.patient is null or c.deleted)"""
_DELIVERIES = """
select distinct delivery from (
    select delivery from resource where rid in (select rid from forgotten)
    union all select delivery from resource_history
        where rid in (select rid from forgotten) or patient = any(%s::bigint[])) d
where delivery is not null"""
_COUNTS = """
select rtype, fhir_id from resource where rid in (select rid from forgotten) order by rtype, fhir_id"""
_MIXED = """
select distinct r.rtype, r.fhir_id from resource r join resource_history h using (rid)
where rid in (select rid from forgotten) and (h.patient is null or h.patient <> all(%s::bigint[]))"""
_GONE = (
    "delete from resource_history where rid in (select rid from forgotten)",
    "delete from resource_date where rid in (select rid from forgotten)",
    "delete from resource_number where rid in (select rid from forgotten)",
    "delete from resource_string where rid in (select rid from forgotten)",
    "delete from resource_text where rid in (select rid from forgotten)",
    "delete from change where rid in (select rid from forgotten)",
    "delete from resource where rid in (select rid from forgotten)",
)
# versions that were about the person before a correction gave the resource to somebody else
_FORMER = "delete from resource_history where patient = any(%s::bigint[])"
_ALL_VERSIONS = f"""
select {COLUMNS} from resource r where r.key = any(%(keys)s::uuid[]) and not r.deleted
union all
select {COLUMNS.replace("r.fhir_id", "c.fhir_id")} from resource_history r join resource c on c.rid = r.rid
where c.key = any(%(keys)s::uuid[]) and not r.deleted"""  # noqa: S608  # a constant column list
_TEXTS = """
delete from concept_text c where exists (select 1 from unnest(%s::text[]) t where position(t in c.value) > 0)
  and not exists (select 1 from resource r where r.tokens @> array[c.token])"""
_BROUGHT = """
create temporary table brought on commit drop as
select delivery, count(*) as versions from (
    select delivery from resource union all select delivery from resource_history) v
where delivery is not null group by delivery"""
_COUNT = "select rtype, count(*) from resource where patient = any(%s::bigint[]) group by rtype"
_LEFT = "select count(*) from resource where patient = any(%s::bigint[]) and updated <= %s"
_SHARED = "select count(*) from resource where tokens && %s::bigint[] and not deleted"
# what to rewrite so that nothing of the removed rows stays in free space of the files
TABLES = (
    "resource", "resource_history", "resource_date", "resource_number", "resource_string", "resource_text", "change", "concept_text",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is gone: the resources, and the deliveries that had brought them."""

    resources: tuple[tuple[str, str], ...]
    versions: int  # of the past
    mixed: tuple[tuple[str, str], ...]  # those of which some version was about somebody else, or about nobody
    deliveries: tuple[int, ...]

    def by_type(self) -> dict[str, int]:
        """How many of each type."""
        found: dict[str, int] = {}
        for type_, _ in self.resources:
            found[type_] = found.get(type_, 0) + 1
        return dict(sorted(found.items()))


async def forget(connection: Connection, patients: Sequence[int], also: Sequence[tuple[str, str]] = ()) -> Forgotten:
    """Remove everything in the compartments of these patients (keys), and the resources (type, id) of `also`.

    In the caller's transaction. Resources that only mention a patient stay.
    """
    await connection.execute("drop table if exists forgotten")
    chosen = {"patients": list(patients), "keys": [keys.resource_uuid(type_, id_) for type_, id_ in also]}
    await connection.execute(_CHOSEN, chosen)
    rows = await (await connection.execute(_COUNTS)).fetchall()
    deliveries = await (await connection.execute(_DELIVERIES, (list(patients),))).fetchall()
    mixed = await (await connection.execute(_MIXED, (list(patients),))).fetchall()
    versions = 0
    for statement in _GONE:
        cursor = await connection.execute(statement)
        versions += cursor.rowcount if statement is _GONE[0] else 0
    versions += (await connection.execute(_FORMER, (list(patients),))).rowcount
    await connection.execute("drop table forgotten")
    return Forgotten(
        tuple((type_name(rtype), id_) for rtype, id_ in rows),
        versions,
        tuple((type_name(rtype), id_) for rtype, id_ in mixed),
        tuple(sorted(row[0] for row in deliveries)),
    )


async def all_versions(connection: Connection, type: str, ids: Sequence[str]) -> list[Stored]:
    """Every version of these resources that has content: what was ever said."""
    chosen = {"keys": [keys.resource_uuid(type, id_) for id_ in ids]}
    return [stored(row) for row in await (await connection.execute(_ALL_VERSIONS.encode(), chosen)).fetchall()]


async def forget_texts(connection: Connection, texts: Collection[str]) -> None:
    """Remove these texts (names, numbers) from the list of concepts' texts where no resource has them any more."""
    await connection.execute(_TEXTS, ([fold(text) for text in texts if text],))


async def count_brought(connection: Connection) -> None:
    """Make the temporary table `brought` (delivery, versions): how many versions each delivery brought, until the commit.

    Reads both tables whole: for rare work only.
    """
    await connection.execute(_BROUGHT)


async def count(connection: Connection, patients: Sequence[int]) -> dict[str, int]:
    """How many resources of each type lie in the compartments of these patients."""
    rows = await (await connection.execute(_COUNT, (list(patients),))).fetchall()
    return {type_name(row[0]): int(row[1]) for row in rows}


async def left_over(connection: Connection, patients: Sequence[int], at: datetime) -> int:
    """How many resources of these patients, written by `at`, are (again) here: of transactions that were under way."""
    row = await (await connection.execute(_LEFT, (list(patients), at))).fetchone()
    return int(row[0]) if row else 0


async def shared_with(connection: Connection, patient_ids: Sequence[str]) -> int:
    """How many resources of others lie in the compartment of these patients too, and so refer to them."""
    tokens = [keys.number(keys.referred(0, "Patient", id_)) for id_ in patient_ids]
    row = await (await connection.execute(_SHARED, (tokens,))).fetchone()
    return int(row[0]) if row else 0
