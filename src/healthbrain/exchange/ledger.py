"""The delivery ledger's rows: who sent what when, and what became of it. Only SQL; `receiving` decides.

A delivery's number is taken before anything is written, so that every resource carries it; the row itself is written
last, in the same transaction. Of two messages with one number the second waits for the first at the unique index and
then finds itself a duplicate.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import zstandard

from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Issue, NotFound
from healthbrain.exchange.values import State

_local = threading.local()
MAX_ISSUES = 200  # of one delivery; the rest is only counted
_LARGEST = 1 << 30
_LARGE = 256 * 1024  # bytes; from here on compressing happens in a thread


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written about one attempt."""

    source: int | None
    door: str
    received_at: datetime
    settled_at: datetime
    state: State
    digest: bytes
    size: int
    message_at: datetime | None = None
    control_id: str = ""
    message_type: str = ""
    name: str = ""
    entries: int = 0
    written: int = 0
    refused: int = 0
    issues: Sequence[Issue] = ()
    error: HealthBrainError | None = None
    original: int | None = None
    request: dict[str, Any] | None = None  # the REST interaction
    limits: dict[str, Any] | None = None  # of a further attempt


_NEXT = "select nextval('delivery_id_seq') from generate_series(1, 64)"
_spare: WeakKeyDictionary[Connection, list[int]] = WeakKeyDictionary()

# what was already taken in under this number
_KNOWN = """
select id, digest, state from delivery
where source = %s and control_id = %s and message_type = %s and state in ('accepted', 'partly', 'held')"""

_INSERT = """
with row as (insert into delivery (id, source, door, received_at, message_at, settled_at, state, control_id, message_type, name, digest,
    size, entries, written, refused, warnings, reason, issues, original, request, limits)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (source, control_id, message_type) where control_id <> '' and state in ('accepted', 'partly', 'held')
do nothing returning id),
content as (insert into delivery_raw (delivery, raw) select id, %s from row where %s)
select id from row"""

# a replayed delivery: its former outcome goes to the attempts, the row says how it stands now
_KEEP_ATTEMPT = """
insert into delivery_attempt (delivery, attempt, settled_at, state, reason, issues, replayed_by)
select id, attempt, settled_at, state, reason, issues, %s from delivery where id = %s"""
_STATE = "select state, attempt from delivery where id = %s for update"
_LIST_ATTEMPT = """
with next as (update delivery set attempt = attempt + 1 where id = %s)
insert into delivery_attempt (delivery, attempt, settled_at, state, reason, issues, replayed_by)
values (%s, %s, %s, %s, %s, %s, %s)"""
_SETTLE = """
update delivery set attempt = attempt + 1, settled_at = %s, state = %s, source = %s, control_id = %s, message_type = %s,
    message_at = %s, entries = %s, written = %s, refused = %s, warnings = %s, reason = %s, issues = %s, original = %s
where id = %s"""
_RAW = "select raw from delivery_raw where delivery = %s order by part"
_RAW_PART = "select raw from delivery_raw where delivery = %s and part = %s"


def digest(raw: bytes) -> bytes:
    """SHA-256 of what was sent."""
    return hashlib.sha256(raw).digest()


def pack(raw: bytes) -> bytes:
    """As it is kept."""
    try:
        compressor = _local.compressor
    except AttributeError:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=3)
    packed: bytes = compressor.compress(raw)
    return packed


async def _packed(raw: bytes) -> bytes:
    return await asyncio.to_thread(pack, raw) if len(raw) > _LARGE else pack(raw)


def unpack(packed: bytes) -> bytes:
    """As it was sent."""
    raw: bytes = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_LARGEST)
    return raw


async def next_id(connection: Connection) -> int:
    """A number for a new delivery, from a block that stays with the connection: gaps and order mean nothing."""
    spare = _spare.setdefault(connection, [])
    if not spare:
        spare += [row[0] for row in await (await connection.execute(_NEXT)).fetchall()]
    return spare.pop(0)


async def known(
    connection: Connection, source: int | None, control_id: str, message_type: str
) -> tuple[int, bytes] | None:
    """The delivery already taken in under this number, and its digest."""
    if source is None or not control_id:
        return None
    row = await (await connection.execute(_KNOWN, (source, control_id, message_type))).fetchone()
    return (int(row[0]), bytes(row[1])) if row else None


async def record(connection: Connection, number: int, entry: Entry, raw: bytes | None) -> bool:
    """Write a new delivery; False when its message was taken in by somebody else meanwhile."""
    values = (
        number, entry.source, entry.door, entry.received_at, entry.message_at, entry.settled_at, entry.state,
        entry.control_id, entry.message_type, entry.name, entry.digest, entry.size, entry.entries, entry.written,
        entry.refused, _warnings(entry), reason(entry), issues_json(entry.issues, entry.error), entry.original,
        orjson.dumps(entry.request).decode() if entry.request else None,
        orjson.dumps(entry.limits).decode() if entry.limits else None,
    )  # fmt: skip
    packed = (b"", False) if raw is None else (await _packed(raw), True)
    return await (await connection.execute(_INSERT, (*values, *packed))).fetchone() is not None


async def settle(connection: Connection, number: int, entry: Entry, by: str) -> None:
    """Write how a further attempt ended; the former outcome is kept.

    What was taken in once stays taken in: an attempt that fails afterwards is only listed.
    """
    row = await (await connection.execute(_STATE, (number,))).fetchone()
    if row is not None and row[0] in {"accepted", "partly"} and entry.state in {"refused", "failed"}:
        listed = (
            number,
            number,
            row[1],
            entry.settled_at,
            entry.state,
            reason(entry),
            issues_json(entry.issues, entry.error),
            by,
        )
        await connection.execute(_LIST_ATTEMPT, listed)
        return
    await connection.execute(_KEEP_ATTEMPT, (by, number))
    await connection.execute(
        _SETTLE,
        (
            entry.settled_at, entry.state, entry.source, entry.control_id, entry.message_type, entry.message_at,
            entry.entries, entry.written, entry.refused, _warnings(entry), reason(entry),
            issues_json(entry.issues, entry.error), entry.original, number,
        ),
    )  # fmt: skip


async def raw(connection: Connection, number: int, part: int | None = None) -> bytes:
    """What was sent, byte for byte; NotFound when there is no such delivery."""
    cursor = await (
        connection.execute(_RAW, (number,)) if part is None else connection.execute(_RAW_PART, (number, part))
    )
    found = await cursor.fetchall()
    if not found:
        raise NotFound(f"delivery {number} is not in the ledger or its content is no longer kept")
    return b"".join(unpack(bytes(row[0])) for row in found)


def reason(entry: Entry) -> str:
    """The first error in short: what to group refusals by. Places lose their repetition numbers."""
    for issue in entry.issues:
        if issue.severity in {"error", "fatal"}:
            return shorten(f"{_plain(issue.expression)}: {issue.text}" if issue.expression else issue.text)
    if entry.error is not None:
        return shorten(entry.error.message)
    return ""


def shorten(text: str) -> str:
    """At most 300 characters."""
    return text if len(text) <= 300 else text[:299] + "…"


def _plain(place: str) -> str:
    out, depth = [], 0
    for character in place:
        depth += (character == "[") - (character == "]")
        if depth == 0 and character != "]":
            out.append(character)
    return "".join(out)


def issues_json(issues: Sequence[Issue], error: HealthBrainError | None = None) -> str:
    """Issues as JSON; an error without issues of its own becomes one."""
    found = list(issues[:MAX_ISSUES])
    if error is not None and not any(one.severity in {"error", "fatal"} for one in found):
        found.insert(0, Issue("error", "processing", "", error.message))
    return orjson.dumps([_issue(one) for one in found]).decode()


def _issue(issue: Issue) -> dict[str, Any]:
    return {"severity": issue.severity, "code": issue.code, "expression": issue.expression, "text": issue.text}


def _warnings(entry: Entry) -> int:
    return sum(issue.severity == "warning" for issue in entry.issues)
