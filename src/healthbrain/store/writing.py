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
from datetime import UTC, datetime
from typing import Any

import psycopg

from healthbrain.database import Connection
from healthbrain.errors import Busy, Conflict, Fault, Forbidden, Incorrect, Invalid, Issue, NotFound, PreconditionFailed
from healthbrain.fhir import dump, extract, parse, validate
from healthbrain.store import arrays, bodies, keys
from healthbrain.store.rows import Rows, index_rows, text_token
from healthbrain.store.statements import SQL
from healthbrain.store.types import TypeIndex, type_index
from healthbrain.store.values import Observer, Write, WriteContext, Written
from healthbrain.store.visibility import writable

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ATTEMPTS = 5


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
    try:
        for wave in _waves(drafts):
            for draft, written in zip(wave, await _write_wave(connection, wave, context, validated), strict=True):
                results[id(draft)] = written
    except psycopg.errors.DeadlockDetected:  # both created what the other changes: rare, and one of the two goes on
        raise Busy("somebody else writes the same resources at this moment; send it again") from None
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
        pending = await _store(connection, changing, context)
        for draft in changing:
            if draft.rid:
                results[id(draft)] = _written(draft, context)
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


async def _store(connection: Connection, drafts: Sequence[Draft], context: WriteContext) -> list[Draft]:
    """Write the rows in one call; returns the drafts whose resource somebody else created meanwhile."""
    if not drafts:
        return []
    _finish(drafts, context)
    side = SideRows.of([draft.rows for draft in drafts])
    parameters = [context.at, context.owner, context.delivery, *_version_columns(drafts), *side.columns()]
    row = await (await connection.execute(SQL["write"], parameters)).fetchone()
    if row is None:
        raise Fault("the database wrote nothing and did not say why")
    for draft, rid in zip(drafts, row[0], strict=True):
        draft.rid = rid or 0
    return [draft for draft in drafts if not draft.rid]


def _finish(drafts: Sequence[Draft], context: WriteContext) -> None:
    """Set the server's meta and make the bodies."""
    stamp = instant_text(context.at)
    for draft in drafts:
        if draft.content is None or draft.rows is None:
            continue
        content = draft.content
        meta = {"versionId": str(draft.version), "lastUpdated": stamp, **content.get("meta", {})}
        rest = {name: value for name, value in content.items() if name not in {"resourceType", "id", "meta"}}
        draft.resource = {"resourceType": draft.write.type, "id": draft.id, "meta": meta, **rest}
        draft.body = bodies.compress(dump(draft.resource))
        draft.patient = draft.rows.patient


def instant_text(at: datetime) -> str:
    """An instant as lastUpdated shows it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


_NOTHING = Rows()


def _version_columns(drafts: Sequence[Draft]) -> list[arrays.Array]:
    rows = [d.rows if d.rows is not None and d.content is not None else _NOTHING for d in drafts]
    return [
        arrays.int8([d.current.rid if d.current else None for d in drafts]),
        arrays.uuid([d.key for d in drafts]),
        arrays.int2([d.index.number for d in drafts]),
        arrays.text([d.id for d in drafts]),
        arrays.int4([d.version for d in drafts]),
        arrays.int8([d.patient for d in drafts]),
        arrays.int8([r.code for r in rows]),
        arrays.instant([r.at_low for r in rows]),
        arrays.instant([r.at_high for r in rows]),
        arrays.text([arrays.int8_text(r.tokens) for r in rows]),
        arrays.bytea([d.body for d in drafts]),
        arrays.text(["d" if d.content is None else "u" if d.exists else "c" for d in drafts]),
    ]


@dataclass(slots=True)
class SideRows:
    """The rows of the side tables; each begins with the place of its version, counted from 1."""

    dates: list[tuple[int, int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int, float, float, int, int, int]] = field(default_factory=list)
    strings: list[tuple[int, int, str]] = field(default_factory=list)
    concepts: set[tuple[int, str]] = field(default_factory=set)

    @classmethod
    def of(cls, versions: Sequence[Rows | None]) -> SideRows:
        """Gather them from all versions."""
        side = cls()
        for place, rows in enumerate(versions, 1):
            if rows is not None:
                side.dates += [(place, *row) for row in rows.dates]
                side.numbers += [(place, *row) for row in rows.numbers]
                side.strings += [(place, *row) for row in rows.strings]
                side.concepts |= rows.concepts
        return side

    def columns(self) -> list[arrays.Array]:
        """As parameters of the write statement."""
        d_place, d_param, d_low, d_high = columns(self.dates, 4)
        n_place, n_param, n_low, n_high, n_unit, n_label, n_code = columns(self.numbers, 7)
        s_place, s_param, s_value = columns(self.strings, 3)
        c_param, c_value = columns(sorted(self.concepts), 2)
        c_token = [text_token(param, value) for param, value in zip(c_param, c_value, strict=True)]
        int4, int8, float8 = arrays.int4, arrays.int8, arrays.float8
        return [
            int4(d_place), int4(d_param), arrays.instant(d_low), arrays.instant(d_high),
            int4(n_place), int4(n_param), float8(n_low), float8(n_high), int8(n_unit), int8(n_label), int8(n_code),
            int4(s_place), int4(s_param), arrays.text(s_value),
            int4(c_param), arrays.int8_raw(c_token), arrays.text(c_value),
        ]  # fmt: skip


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    """Rows as columns; empty columns when there are no rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def missing(type_: str, id_: str) -> NotFound:
    """The error for a resource that is not here, or not for this reader."""
    return NotFound(f"{type_}/{id_} is not known here")
