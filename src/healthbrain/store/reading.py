"""Reading by name: current versions, one version, history. Every statement applies the reader's scope."""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from healthbrain.database import Connection, Statement
from healthbrain.errors import Gone, Incorrect
from healthbrain.fhir import definitions
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays, binary, bodies, cursors, keys
from healthbrain.store.granted import granted
from healthbrain.store.types import type_name, type_number
from healthbrain.store.values import Page, Stored
from healthbrain.store.visibility import visible, visible_sql
from healthbrain.store.writing import missing

# The columns `stored` reads, in its order.
COLUMNS = "r.rtype, r.fhir_id, r.version, r.updated, r.owner, r.delivery, r.patient, r.body, r.deleted, r.rid"
_LARGEST_PAGE = 1000


def stored(row: tuple[Any, ...]) -> Stored:
    """A row of COLUMNS as a value."""
    rtype, fhir_id, version, updated, owner, delivery, patient, body, deleted, rid = row
    return Stored(
        type_name(rtype), fhir_id, version, updated, owner, delivery, patient, bodies.decompress(body), deleted, rid
    )


_READ = f"select {COLUMNS} from resource r where r.key = %s"
_READ_ONE = Statement(f"select {COLUMNS} from resource r where r.key = $1", [binary.UUID])
_READ_MANY = f"select {COLUMNS} from resource r where r.key = any(%s) and not r.deleted"
_VREAD = """
select r.rtype, c.fhir_id, r.version, r.updated, r.owner, r.delivery, r.patient, r.body, r.deleted, r.rid
from resource_history r join resource c on c.rid = r.rid where c.key = %s and r.version = %s"""


async def read(connection: Connection, type_: str, id_: str, *, scope: Scope = EVERYTHING) -> Stored:
    """The current version. NotFound when it is not here or not open to `scope`; Gone when it was deleted."""
    type_number(type_)  # raises for a type that R4 does not know
    found = await _find(connection, type_, id_)
    if found is None or found.type != type_ or found.id != id_:
        raise missing(type_, id_)
    if not visible(scope, found.owner, found.patient, type_) or not admitted(scope, found):
        raise missing(type_, id_)
    if found.deleted:
        raise Gone(f"{type_}/{id_} was deleted")
    return found


async def _find(connection: Connection, type_: str, id_: str) -> Stored | None:
    if not connection.autocommit:
        row = await (await connection.execute(_READ, [keys.resource_uuid(type_, id_)])).fetchone()
        return stored(row) if row else None
    rows = await _READ_ONE(connection, [keys.resource_key(type_, id_)])
    if not rows:
        return None
    rtype, fhir_id, version, updated, owner, delivery, patient, body, deleted, rid = rows[0]
    return Stored(
        type_name(binary.number(rtype)), binary.text(fhir_id), binary.number(version), binary.instant(updated),
        binary.number(owner), binary.number_or_none(delivery), binary.number_or_none(patient),
        bodies.decompress(body or b""), binary.truth(deleted), binary.number(rid),
    )  # fmt: skip


def admitted(scope: Scope, one: Stored, may: str = "r") -> bool:
    """Whether this version fulfils the search restrictions of a grant, if there are any."""
    return scope.rules is None or granted(scope, one.patient, one.type, may, one.id, one.body)


async def read_many(
    connection: Connection, wanted: Sequence[tuple[str, str]], *, scope: Scope = EVERYTHING, may: str = "r"
) -> list[Stored]:
    """The current versions of those that are here and open to `scope`, in the order asked for."""
    arrays.teach(connection)
    by_key = {keys.resource_key(type_, id_): (type_, id_) for type_, id_ in wanted}
    cursor = await connection.execute(_READ_MANY, [arrays.uuid(list(by_key))])
    found = {}
    for row in await cursor.fetchall():
        one = stored(row)
        if visible(scope, one.owner, one.patient, one.type, may) and admitted(scope, one, may):
            found[one.type, one.id] = one
    return [found[name] for name in by_key.values() if name in found]


async def vread(connection: Connection, type_: str, id_: str, version: int, *, scope: Scope = EVERYTHING) -> Stored:
    """One version. Gone when that version is the deletion."""
    type_number(type_)
    key = keys.resource_uuid(type_, id_)
    row = await (await connection.execute(_READ, [key])).fetchone()
    if row is not None and row[2] != version:
        row = await (await connection.execute(_VREAD, [key, version])).fetchone()
    if row is None or row[1] != id_ or not visible(scope, row[4], row[6], type_):
        raise missing(type_, f"{id_}/_history/{version}")
    found = stored(row)
    if not admitted(scope, found):
        raise missing(type_, f"{id_}/_history/{version}")
    if found.deleted:
        raise Gone(f"{type_}/{id_} was deleted in version {version}")
    return found


# written before its end, and not replaced before its beginning
_CURRENT_DURING = (
    "r.updated < %s and not exists (select from resource_history l where l.rid = r.rid and l.version > r.version"
    " and l.updated <= %s) and not exists (select from resource l where l.rid = r.rid and l.version > r.version"
    " and l.updated <= %s)"
)


async def history(
    connection: Connection,
    type_: str | None,
    id_: str | None,
    *,
    since: datetime | None = None,
    during: tuple[datetime, datetime] | None = None,
    count: int = 100,
    cursor: str | None = None,
    scope: Scope = EVERYTHING,
) -> Page:
    """Versions, newest first: of one resource, of a type, or of everything. Deletions are in it, without body.

    NotFound when one resource is asked for that never was.
    """
    arrays.teach(connection)
    count = max(1, min(count, _LARGEST_PAGE))
    question = ["history", type_, id_, since.isoformat() if since else None, str(during) if during else ""]
    after = cursors.read(cursor, question) if cursor else None
    conditions, parameters = _versions_of(type_, id_)
    if since is not None:
        conditions.append("r.updated >= %s")
        parameters.append(since)
    if during is not None:
        conditions.append(_CURRENT_DURING)
        parameters += [during[1], during[0], during[0]]
    if after is not None:
        try:
            at, rid, version = datetime.fromisoformat(after[0]), int(after[1]), int(after[2])
        except (TypeError, ValueError, IndexError):
            raise Incorrect("the page cursor is not one of ours; start from the first page") from None
        conditions.append("(r.updated, r.rid, r.version) < (%s, %s, %s)")
        parameters += [at, rid, version]
    may = "s" if id_ is None else "r"
    rule, extra = visible_sql(scope, type_, may=may, current=False)
    if rule:
        conditions.append(rule)
        parameters += extra
    rows = await _versions(connection, conditions, parameters, count + 1)
    if not rows and after is None and since is None and during is None and id_ is not None and type_ is not None:
        raise missing(type_, id_)
    versions = [stored(row) for row in rows[:count]]
    following = None
    if len(rows) > count:
        last = versions[-1]
        following = cursors.write(question, [last.updated.isoformat(), last.rid, last.version])
    return Page([one for one in versions if admitted(scope, one, may)], [], following)


def _versions_of(type_: str | None, id_: str | None) -> tuple[list[str], list[Any]]:
    if type_ is None:
        return [], []
    if id_ is None:
        return ["r.rtype = %s::smallint"], [type_number(type_)]
    type_number(type_)
    return ["r.rid = (select rid from resource where key = %s)"], [keys.resource_uuid(type_, id_)]


async def _versions(
    connection: Connection, conditions: list[str], parameters: list[Any], limit: int
) -> list[tuple[Any, ...]]:
    """From the current and the superseded versions the newest of each, then the newest of both.

    The conditions name one resource or one type; over all types the newest of each are found first, so that no
    history reads more than it shows.
    """
    one_type = any(condition.startswith(("r.rtype", "r.rid =")) for condition in conditions)
    where = " and ".join(conditions if one_type else [*conditions, "r.rtype = t.rtype"])
    order = "order by r.updated desc, r.rid desc, r.version desc limit %s"
    own_id = "(select c.fhir_id from resource c where c.rid = r.rid)"
    current = f"(select {COLUMNS} from resource r where {where} {order})"
    superseded = f"(select {COLUMNS.replace('r.fhir_id', own_id)} from resource_history r where {where} {order})"
    both = f"{current} union all {superseded}"
    values = [*parameters, limit, *parameters, limit]
    if not one_type:
        both = f"select v.* from unnest(%s) t(rtype) cross join lateral ({both}) v"
        values = [arrays.int2([type_number(name) for name in definitions().types]), *values]
    cursor = await connection.execute(f"select * from ({both}) r {order}".encode(), [*values, limit])
    return await cursor.fetchall()
