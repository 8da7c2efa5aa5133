"""Writing: any number of resources in a handful of statements.

One wave of writes goes: validate and index everything outside the database, lock what exists in key order, decide
each version, then send all rows as arrays in one pipeline. A resource that appears twice in one call is written in two
waves. Identical content makes no new version. The caller owns the transaction: an error leaves nothing half-written
once it is rolled back.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, Invalid, Issue, NotFound, PreconditionFailed
from healthbrain.fhir import dump, extract, parse, validate
from healthbrain.store import arrays, bodies, keys
from healthbrain.store.rows import Rows, index_rows, text_token
from healthbrain.store.statements import SQL
from healthbrain.store.types import TypeIndex, type_index
from healthbrain.store.values import Observer, Write, WriteContext, Written
from healthbrain.store.visibility import writable

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_RIDS_AT_ONCE = 64
_ATTEMPTS = 5

_spare_rids: WeakKeyDictionary[Connection, list[int]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Current:
    """The version that a write finds in the database."""

    rid: int
    version: int
    deleted: bool
    owner: int
    patient: int | None
    updated: datetime
    body: bytes


@dataclass(slots=True)
class Draft:
    """A write on its way into the database."""

    write: Write
    place: str  # where it stands in what was sent, for messages
    index: TypeIndex
    id: str
    key: bytes
    content: dict[str, Any] | None  # without the meta that the server sets
    current: Current | None = None
    resource: dict[str, Any] | None = None  # as it will be kept
    rows: Rows | None = None
    body: bytes = b""
    rid: int = 0
    version: int = 0
    patient: int | None = None

    @property
    def exists(self) -> bool:
        return self.current is not None and not self.current.deleted


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
    at = context.at.replace(microsecond=context.at.microsecond // 1000 * 1000)
    context = WriteContext(context.owner, at, context.delivery, context.author, context.scope)
    drafts = [_draft(w, places[i] if places else "") for i, w in enumerate(writes)]
    _check([d for d in drafts if d.write.kind in {"create", "update"}], validated)
    arrays.teach(connection)
    results: dict[int, Written] = {}
    for wave in _waves(drafts):
        for draft, written in zip(wave, await _write_wave(connection, wave, context, validated), strict=True):
            results[id(draft)] = written
    done = [results[id(draft)] for draft in drafts]
    for observer in observers:
        await observer(connection, context, done)
    return done


# -- before the database


def _draft(wanted: Write, place: str) -> Draft:
    index = type_index(wanted.type)
    sent = wanted.resource
    id_ = wanted.id or (str(uuid.uuid4()) if wanted.kind == "create" else "")
    where = place or f"{wanted.type}/{id_}"
    if not _ID.fullmatch(id_):
        raise Incorrect(f"{place or wanted.type}: an id is 1 to 64 letters, digits, '-' or '.'")
    if wanted.kind == "delete":
        return Draft(wanted, where, index, id_, keys.resource_key(wanted.type, id_), None)
    if sent is None:
        raise Incorrect(f"{where}: a resource is needed to {wanted.kind}")
    if sent.get("resourceType") != wanted.type:
        raise Incorrect(f"{where}: the resource is not of type {wanted.type}")
    if wanted.kind != "create" and sent.get("id", id_) != id_:
        raise Incorrect(f"{where}: the id inside the resource differs from the id it is addressed by")
    return Draft(wanted, where, index, id_, keys.resource_key(wanted.type, id_), _content(sent, id_))


def _content(sent: Mapping[str, Any], id_: str) -> dict[str, Any]:
    """What was sent, in the order we keep it, without what only the server says."""
    content: dict[str, Any] = {"resourceType": sent["resourceType"], "id": id_, **sent}
    content["id"] = id_
    meta = content.pop("meta", None)
    if isinstance(meta, dict):
        meta = {name: value for name, value in meta.items() if name not in {"versionId", "lastUpdated"}}
    if meta:
        content["meta"] = meta
    return content


def _check(drafts: Sequence[Draft], validated: bool) -> None:
    """Validate and index; raises one Invalid for all of them."""
    issues: list[Issue] = []
    for draft in drafts:
        content = draft.content
        if content is None:
            continue
        if not validated:
            found = validate(content, draft.write.type)
            errors = [i for i in found if i.severity in {"fatal", "error"}]
            if errors:
                issues += located(errors, draft.write.type, draft.place)
                continue
        draft.rows = index_rows(draft.index, draft.id, extract(content))
    if issues:
        what = "1 error" if len(issues) == 1 else f"{len(issues)} errors"
        raise Invalid(f"{what} against FHIR R4; the first: {issues[0].expression}: {issues[0].text}", issues=issues)


def located(issues: Sequence[Issue], type_: str, place: str) -> list[Issue]:
    """The same issues with their place in the bundle before them."""
    if not place.startswith("Bundle."):
        return list(issues)
    return [
        Issue(i.severity, i.code, place + i.expression.removeprefix(type_) if i.expression else place, i.text)
        for i in issues
    ]


def _waves(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """Groups in which every resource appears once, in the order of its writes."""
    if len({d.key for d in drafts}) == len(drafts):
        return [list(drafts)] if drafts else []
    waves: list[list[Draft]] = []
    turn: dict[bytes, int] = {}
    for draft in drafts:
        nth = turn.get(draft.key, 0)
        turn[draft.key] = nth + 1
        if nth == len(waves):
            waves.append([])
        waves[nth].append(draft)
    return waves


# -- in the database


async def _write_wave(
    connection: Connection, wave: list[Draft], context: WriteContext, validated: bool
) -> list[Written]:
    results: dict[int, Written] = {}
    pending = wave
    for attempt in range(_ATTEMPTS):
        await _lock(connection, [d for d in pending if d.write.id or attempt], context)
        changing = []
        for draft in pending:
            if (same := _decide(draft, context)) is not None:
                results[id(draft)] = same
            else:
                changing.append(draft)
        _check([d for d in changing if d.rows is None and d.content is not None], validated)
        lost = await _store(connection, changing, context)
        for draft in changing:
            if draft.key not in lost:
                results[id(draft)] = _written(draft, context)
        pending = [d for d in changing if d.key in lost]
        if not pending:
            return [results[id(draft)] for draft in wave]
    raise Conflict(f"{pending[0].place}: somebody else writes the same resource all the time; try again")


async def _lock(connection: Connection, drafts: Sequence[Draft], context: WriteContext) -> None:
    """Find and lock what is already there."""
    if not drafts:
        return
    by_key = {draft.key: draft for draft in drafts}
    cursor = await connection.execute(SQL["lock_current"], [arrays.uuid(list(by_key))])
    for key, rid, version, deleted, owner, patient, rtype, fhir_id, updated, body in await cursor.fetchall():
        draft = by_key[key.bytes]
        if fhir_id != draft.id or rtype != draft.index.number:
            raise Conflict(f"{draft.place}: this id cannot be used here; choose another one")
        if not writable(context.scope, owner, patient):
            raise Forbidden(f"{draft.place} belongs to an organisation whose data this account may not change")
        draft.current = Current(rid, version, deleted, owner, patient, updated, body)


def _decide(draft: Draft, context: WriteContext) -> Written | None:
    """Set the draft's next version, or say that nothing changes."""
    wanted, current = draft.write, draft.current
    if wanted.if_match is not None and (current is None or not draft.exists or current.version != wanted.if_match):
        raise PreconditionFailed(
            f"{draft.place}: it is not at version {wanted.if_match} any more; read it again, then write"
        )
    if wanted.kind == "create" and wanted.id is not None and draft.exists:
        raise Conflict(f"{draft.place} is already here; update it instead")
    draft.version = current.version + 1 if current else 1
    draft.rid = current.rid if current else 0
    if wanted.kind == "delete":
        if current is None or current.deleted:
            return _unchanged(draft, context)
        draft.patient = current.patient
        return None
    if wanted.kind == "merge":
        draft.rows = None
        if current and draft.exists:
            draft.content = _content(_merged(parse(bodies.decompress(current.body)), _sent(draft)), draft.id)
    if (
        draft.exists
        and current
        and identical(_content(parse(bodies.decompress(current.body)), draft.id), draft.content)
    ):
        return _unchanged(draft, context)
    return None


def _sent(draft: Draft) -> dict[str, Any]:
    return _content(draft.write.resource or {}, draft.id)


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


def _written(draft: Draft, context: WriteContext) -> Written:
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


def _merged(current: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(current)
    for name, value in sent.items():
        known = result.get(name)
        result[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def identical(one: Any, other: Any) -> bool:
    """Whether two contents are the same to the last digit of every number; the order of names does not matter."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


@dataclass(slots=True)
class Columns:
    """The rows of one wave, as columns."""

    tokens: list[bytes] = field(default_factory=list)
    first_token: list[int] = field(default_factory=list)
    last_token: list[int] = field(default_factory=list)
    dates: list[tuple[int, int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int, float, float, int, int, int]] = field(default_factory=list)
    strings: list[tuple[int, int, str]] = field(default_factory=list)
    concepts: set[tuple[int, str]] = field(default_factory=set)

    def add(self, rid: int, rows: Rows | None) -> None:
        """The rows of one resource; None for a tombstone."""
        self.first_token.append(len(self.tokens) + 1)
        if rows is not None:
            self.tokens += rows.tokens
            self.dates += [(rid, *row) for row in rows.dates]
            self.numbers += [(rid, *row) for row in rows.numbers]
            self.strings += [(rid, *row) for row in rows.strings]
            self.concepts |= rows.concepts
        self.last_token.append(len(self.tokens))


async def _store(connection: Connection, drafts: list[Draft], context: WriteContext) -> set[bytes]:
    """Send the rows; returns the keys that somebody else created meanwhile."""
    if not drafts:
        return set()
    created = sorted((d for d in drafts if d.current is None), key=lambda d: d.key)
    changed = [d for d in drafts if d.current is not None]
    for draft, rid in zip(created, await _new_rids(connection, len(created)), strict=True):
        draft.rid = rid
    _finish(drafts, context)
    async with connection.pipeline():
        inserted = None
        columns = Columns()
        if created:
            for draft in created:
                columns.add(draft.rid, draft.rows)
            inserted = await connection.execute(SQL["insert_resources"], _insert_parameters(created, columns, context))
        if changed:
            await _replace(connection, changed, columns, context)
        await _insert_side_rows(connection, columns)
        await connection.execute(SQL["insert_changes"], _change_parameters(drafts, context))
    if inserted is not None and inserted.rowcount < len(created):
        return await _withdraw_lost(connection, created)
    return set()


async def _new_rids(connection: Connection, count: int) -> list[int]:
    """Row ids, taken from the sequence in blocks that stay with the connection."""
    spare = _spare_rids.setdefault(connection, [])
    if len(spare) < count:
        cursor = await connection.execute(SQL["next_rids"], [max(count - len(spare), _RIDS_AT_ONCE)])
        spare += [rid for (rid,) in await cursor.fetchall()]
    taken, spare[:] = spare[:count], spare[count:]
    return taken


def _finish(drafts: Sequence[Draft], context: WriteContext) -> None:
    """Set the server's meta and make the bodies."""
    stamp = context.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{context.at.microsecond // 1000:03d}Z"
    for draft in drafts:
        if draft.content is None or draft.rows is None:
            continue
        content = draft.content
        meta = {"versionId": str(draft.version), "lastUpdated": stamp, **content.get("meta", {})}
        rest = {name: value for name, value in content.items() if name not in {"resourceType", "id", "meta"}}
        draft.resource = {"resourceType": draft.write.type, "id": draft.id, "meta": meta, **rest}
        draft.body = bodies.compress(dump(draft.resource))
        draft.patient = draft.rows.patient


_EMPTY = Rows()


def _insert_parameters(drafts: Sequence[Draft], columns: Columns, context: WriteContext) -> list[arrays.Array]:
    count = len(drafts)
    rows = [d.rows or _EMPTY for d in drafts]
    return [
        arrays.int8_raw(columns.tokens),
        arrays.int8([d.rid for d in drafts]),
        arrays.uuid([d.key for d in drafts]),
        arrays.int2([d.index.number for d in drafts]),
        arrays.text([d.id for d in drafts]),
        arrays.int4([d.version for d in drafts]),
        arrays.instant([arrays.microseconds(context.at)] * count),
        arrays.int4([context.owner] * count),
        arrays.int8([d.patient for d in drafts]),
        arrays.int8([context.delivery] * count),
        arrays.int8([r.code for r in rows]),
        arrays.instant([r.at_low for r in rows]),
        arrays.instant([r.at_high for r in rows]),
        arrays.int4(columns.first_token),
        arrays.int4(columns.last_token),
        arrays.bytea([d.body for d in drafts]),
    ]


async def _replace(connection: Connection, drafts: Sequence[Draft], columns: Columns, context: WriteContext) -> None:
    rids = arrays.int8([d.rid for d in drafts])
    await connection.execute(SQL["keep_superseded"], [rids])
    for name in ("clear_dates", "clear_numbers", "clear_strings"):
        await connection.execute(SQL[name], [rids])
    start = len(columns.first_token)
    for draft in drafts:
        columns.add(draft.rid, draft.rows if draft.content is not None else None)
    count = len(drafts)
    rows = [d.rows or _EMPTY for d in drafts]
    parameters = [
        arrays.int8_raw(columns.tokens),
        rids,
        arrays.int4([d.version for d in drafts]),
        arrays.instant([arrays.microseconds(context.at)] * count),
        arrays.int4([context.owner] * count),
        arrays.int8([d.patient for d in drafts]),
        arrays.int8([context.delivery] * count),
        arrays.int8([r.code for r in rows]),
        arrays.instant([r.at_low for r in rows]),
        arrays.instant([r.at_high for r in rows]),
        arrays.boolean([d.content is None for d in drafts]),
        arrays.int4(columns.first_token[start:]),
        arrays.int4(columns.last_token[start:]),
        arrays.bytea([d.body for d in drafts]),
    ]
    await connection.execute(SQL["update_resources"], parameters)


async def _insert_side_rows(connection: Connection, columns: Columns) -> None:
    if columns.dates:
        rid, param, low, high = zip(*columns.dates, strict=True)
        await connection.execute(
            SQL["insert_dates"], [arrays.int8(rid), arrays.int4(param), arrays.instant(low), arrays.instant(high)]
        )
    if columns.numbers:
        rid, param, start, end, unit, label, code = zip(*columns.numbers, strict=True)
        await connection.execute(
            SQL["insert_numbers"],
            [
                arrays.int8(rid), arrays.int4(param), arrays.float8(start), arrays.float8(end),
                arrays.int8(unit), arrays.int8(label), arrays.int8(code),
            ],
        )  # fmt: skip
    if columns.strings:
        rid, param, value = zip(*columns.strings, strict=True)
        await connection.execute(SQL["insert_strings"], [arrays.int8(rid), arrays.int4(param), arrays.text(value)])
    if columns.concepts:
        param, value = zip(*columns.concepts, strict=True)
        tokens = [text_token(*concept) for concept in columns.concepts]
        await connection.execute(
            SQL["insert_concept_texts"], [arrays.int4(param), arrays.int8_raw(tokens), arrays.text(value)]
        )


def _change_parameters(drafts: Sequence[Draft], context: WriteContext) -> list[arrays.Array]:
    count = len(drafts)
    return [
        arrays.int8([d.rid for d in drafts]),
        arrays.int4([d.version for d in drafts]),
        arrays.int4([context.owner] * count),
        arrays.int8([d.patient for d in drafts]),
        arrays.int8([context.delivery] * count),
        arrays.instant([arrays.microseconds(context.at)] * count),
        arrays.text(["d" if d.content is None else "u" if d.exists else "c" for d in drafts]),
    ]


async def _withdraw_lost(connection: Connection, created: Sequence[Draft]) -> set[bytes]:
    """Take back the side rows of resources that somebody else created in the same moment; returns their keys."""
    ours = {draft.key: draft.rid for draft in created}
    cursor = await connection.execute(SQL["rids_of_keys"], [arrays.uuid(list(ours))])
    lost = {key.bytes for key, rid in await cursor.fetchall() if ours[key.bytes] != rid}
    rids = arrays.int8([ours[key] for key in lost])
    for name in ("clear_dates", "clear_numbers", "clear_strings", "clear_changes"):
        await connection.execute(SQL[name], [rids])
    return lost


def missing(type_: str, id_: str) -> NotFound:
    """The error for a resource that is not here, or not for this reader."""
    return NotFound(f"{type_}/{id_} is not known here")
