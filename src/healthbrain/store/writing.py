"""Writing: any number of resources in two statements.

One wave of writes goes: validate and index everything outside the database, lock what exists in key order, decide
each version, then send all rows as arrays in one call. A resource that appears twice in one call is written in two
waves. Identical content makes no new version. The caller owns the transaction: an error leaves nothing half-written
once it is rolled back.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from healthbrain.database import Connection
from healthbrain.errors import Busy, Conflict, Fault, Forbidden, NotFound, PreconditionFailed
from healthbrain.fhir import dump, parse
from healthbrain.store import arrays, bodies
from healthbrain.store.columns import SideRows, version_columns
from healthbrain.store.drafts import Current, Draft, check, content_of, draft_of, identical, merged, waves
from healthbrain.store.granted import grants_writing, rows_of
from healthbrain.store.parameters import catalog, learn
from healthbrain.store.rows import Rows
from healthbrain.store.statements import SQL
from healthbrain.store.values import NOTHING, Observer, Write, WriteContext, Written
from healthbrain.store.visibility import writable

_ATTEMPTS = 5
_LETTERS = {"create": "c", "update": "u", "merge": "u", "delete": "d"}  # of a grant


async def write(
    connection: Connection,
    writes: Sequence[Write],
    context: WriteContext,
    *,
    observers: Sequence[Observer] = (),
    validated: bool = False,
    places: Sequence[str] = (),
) -> list[Written]:
    """Write them all, in order. Raises Invalid with every issue found, or the first other error."""
    context = to_the_millisecond(context)
    drafts = [draft_of(w, places[i] if places else "") for i, w in enumerate(writes)]
    wanted = [d for d in drafts if d.write.kind in {"create", "update"}]
    check(wanted, validated=validated, invariants=context.invariants)
    arrays.teach(connection)
    results: dict[int, Written] = {}
    try:
        for wave in waves(drafts):
            for draft, written in zip(wave, await _write_wave(connection, wave, context, validated), strict=True):
                results[id(draft)] = written
    except psycopg.errors.DeadlockDetected:  # both created what the other changes: rare, and one of the two goes on
        raise Busy("somebody else writes the same resources at this moment; send it again") from None
    done = [results[id(draft)] for draft in drafts]
    if any(draft.write.type == "SearchParameter" for draft in drafts):
        await learn(connection, done)
    for observer in observers:
        await observer(connection, context, done)
    return done


def to_the_millisecond(context: WriteContext) -> WriteContext:
    """The context with the time as precise as lastUpdated shows it."""
    at = context.at.replace(microsecond=context.at.microsecond // 1000 * 1000)
    return WriteContext(
        context.owner, at, context.delivery, context.author, context.scope, invariants=context.invariants
    )


async def _write_wave(
    connection: Connection, wave: list[Draft], context: WriteContext, validated: bool
) -> list[Written]:
    results: dict[int, Written] = {}
    pending = wave
    for attempt in range(_ATTEMPTS):
        await _lock(connection, [d for d in pending if d.write.id or attempt], context)
        changing = []
        for draft in pending:
            if (same := decide(draft, context)) is not None:
                results[id(draft)] = same
            else:
                changing.append(draft)
        unread = [d for d in changing if d.rows is None and d.content is not None]
        check(unread, validated=validated, invariants=context.invariants)
        pending = await _store(connection, changing, context)
        for draft in changing:
            if draft.rid:
                results[id(draft)] = written_of(draft, context)
        if not pending:
            return [results[id(draft)] for draft in wave]
    raise Conflict(f"{pending[0].place}: somebody else writes the same resource all the time; try again")


async def _lock(connection: Connection, drafts: Sequence[Draft], context: WriteContext) -> None:
    """Find and lock what is already there."""
    if not drafts:
        return
    by_key = {draft.key: draft for draft in drafts}
    cursor = await connection.execute(SQL["lock_current"], [arrays.uuid(list(by_key))])
    for key, rtype, fhir_id, *found in await cursor.fetchall():
        meet(by_key[key.bytes], rtype, fhir_id, Current(*found), context)


def meet(draft: Draft, rtype: int, fhir_id: str, current: Current, context: WriteContext) -> None:
    """The draft meets what is there under its key. Raises when that is something else, or not theirs to change."""
    if fhir_id != draft.id or rtype != draft.index.number:
        raise Conflict(f"{draft.place}: this id cannot be used here; choose another one")
    if not writable(context.scope, current.owner, current.patient):
        raise Forbidden(f"{draft.place} belongs to an organisation whose data this account may not change")
    _check_grant(draft, context, current.patient, current.body)
    draft.current = current


def _check_grant(draft: Draft, context: WriteContext, patient: int | None, body: bytes) -> None:
    """What is there already must be covered by the grant as well as what it becomes."""
    if context.scope.rules is not None:
        rows = rows_of(draft.write.type, draft.id, parse(bodies.decompress(body))) if body else None
        _require(draft, context, patient, rows)


def _require(draft: Draft, context: WriteContext, patient: int | None, rows: Rows | None) -> None:
    if not grants_writing(context.scope, draft.write.type, _LETTERS[draft.write.kind], patient, rows):
        raise Forbidden(f"{draft.place}: the application was not granted this")


def decide(draft: Draft, context: WriteContext) -> Written | None:
    """Set the draft's next version, or say that nothing changes."""
    wanted, current = draft.write, draft.current
    if wanted.if_match == NOTHING:
        if draft.exists:
            raise PreconditionFailed(f"{draft.place} is already here, and If-None-Match says that it must not be")
    elif wanted.if_match is not None and (current is None or not draft.exists or current.version != wanted.if_match):
        raise PreconditionFailed(
            f"{draft.place}: it is not at version {wanted.if_match} any more; read it again, then write"
        )
    if wanted.kind == "create" and wanted.id is not None and draft.exists:
        raise Conflict(f"{draft.place} is already here; update it instead")
    draft.version = current.version + 1 if current else 1
    if wanted.kind == "delete":
        if current is None or current.deleted:
            return _unchanged(draft, context)
        draft.patient = current.patient
        return None
    if wanted.kind == "merge":
        draft.rows = None
        if current and draft.exists:
            draft.content = content_of(merged(parse(bodies.decompress(current.body)), _sent(draft)), draft.id)
    if (
        draft.exists
        and current
        and identical(content_of(parse(bodies.decompress(current.body)), draft.id), draft.content)
    ):
        return _unchanged(draft, context)
    return None


def _sent(draft: Draft) -> dict[str, Any]:
    return content_of(draft.write.resource or {}, draft.id)


def _unchanged(draft: Draft, context: WriteContext) -> Written:
    current = draft.current
    if current is None:  # delete of what never was
        return Written(draft.write.type, draft.id, 0, False, False, True, 0, None, context.at, None)
    kept = parse(bodies.decompress(current.body)) if not current.deleted else None
    return Written(
        draft.write.type,
        draft.id,
        current.version,
        False,
        False,
        current.deleted,
        current.rid,
        current.patient,
        current.updated,
        kept,
    )


def written_of(draft: Draft, context: WriteContext) -> Written:
    """What the draft has become."""
    return Written(
        type=draft.write.type,
        id=draft.id,
        version=draft.version,
        created=draft.content is not None and not draft.exists,
        changed=True,
        deleted=draft.content is None,
        rid=draft.rid,
        patient=draft.patient,
        updated=context.at,
        resource=draft.resource,
    )


async def _store(connection: Connection, drafts: Sequence[Draft], context: WriteContext) -> list[Draft]:
    """Write the rows in one call; returns the drafts whose resource somebody else created meanwhile."""
    if not drafts:
        return []
    for draft in drafts:
        finish(draft, context)
    known = await catalog(connection)
    if known.customs:
        for draft in drafts:
            if draft.rows is not None and draft.resource is not None:
                known.add(draft.write.type, draft.rows, draft.resource)
    side = SideRows.of([draft.rows for draft in drafts])
    parameters = [False, *version_columns(drafts, [context] * len(drafts)), *side.columns()]
    row = await (await connection.execute(SQL["write"], parameters)).fetchone()
    if row is None:
        raise Fault("the database wrote nothing and did not say why")
    for draft, rid in zip(drafts, row[0], strict=True):
        draft.rid = rid or 0
    return [draft for draft in drafts if not draft.rid]


def finish(draft: Draft, context: WriteContext) -> None:
    """Set the server's meta and make the body. Raises Forbidden when it is not what an application was granted."""
    if draft.content is None or draft.rows is None:
        return
    if context.scope.rules is not None:
        _require(draft, context, draft.rows.patient, draft.rows)
    content = draft.content
    meta = {"versionId": str(draft.version), "lastUpdated": instant_text(context.at), **content.get("meta", {})}
    rest = {name: value for name, value in content.items() if name not in {"resourceType", "id", "meta"}}
    draft.resource = {"resourceType": draft.write.type, "id": draft.id, "meta": meta, **rest}
    draft.body = bodies.compress(dump(draft.resource))
    draft.patient = draft.rows.patient


@functools.lru_cache(maxsize=64)  # of one bundle all have the same
def instant_text(at: datetime) -> str:
    """An instant as lastUpdated shows it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def missing(type_: str, id_: str) -> NotFound:
    """The error for a resource that is not here, or not for this reader."""
    return NotFound(f"{type_}/{id_} is not known here")
