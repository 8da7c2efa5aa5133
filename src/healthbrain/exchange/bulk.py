"""NDJSON: files of one resource a line, however large.

Lines are taken in by chunks, each in one transaction with its part of the raw file, so that a file can be broken off anywhere and
taken up again: the ledger knows how many lines are in. A line that is wrong is listed with its number and issues and
doesn't hold up the others. References inside the file stay as they are (bulk files name ids, and every line is an upsert by
its id).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import (
    Busy,
    Conflict,
    HealthBrainError,
    Incorrect,
    Issue,
    Malformed,
    NotFound,
    Unsupported,
    http_status,
)
from healthbrain.exchange import ledger as rows
from healthbrain.exchange.fhir_door import write_bundle
from healthbrain.exchange.plausible import future_facts
from healthbrain.exchange.receiving import COLLIDED, Ledger
from healthbrain.exchange.sources import admit
from healthbrain.exchange.values import Receipt, Source, State
from healthbrain.fhir import parse, validate
from healthbrain.store import Write, WriteContext

CHUNK = 1000  # lines in a transaction
_CHUNK_BYTES = 8 * 1024 * 1024
_ATTEMPTS = 4
_LINE_LIMIT = 16 * 1024 * 1024

_BEGIN = """
insert into delivery (id, source, door, received_at, settled_at, state, control_id, message_type, name, digest, size)
values (%s, %s, 'ndjson', %s, %s, 'held', %s, 'NDJSON', %s, '', 0)
on conflict (source, control_id, message_type) where control_id <> '' and state in ('accepted', 'partly', 'held')
do nothing returning id"""
_STAND = "select id, state, entries, written, refused from delivery where source = %s and control_id = %s and message_type = 'NDJSON' and state in ('accepted', 'partly', 'held')"
_LOCK = "select state, entries from delivery where id = %s for update"
_ADVANCE = """
update delivery set entries = entries + %s, written = written + %s, refused = refused + %s, size = size + %s, settled_at = %s,
    reason = case when reason = '' then %s else reason end,
    issues = case when jsonb_array_length(issues) < 50 then issues || %s::jsonb else issues end
where id = %s"""
_FINISH = """
update delivery set state = case when refused = 0 then 'accepted' when refused < entries then 'partly' else 'refused' end,
    digest = %s, settled_at = %s
where id = %s returning state"""
_REFUSED = """
insert into delivery_line (delivery, line, part, issues)
select %s, l, %s, i::jsonb from unnest(%s::bigint[], %s::text[]) r(l, i)
on conflict (delivery, line) do update set issues = excluded.issues"""
_RAW = "insert into delivery_raw (delivery, part, first_line, raw) values (%s, %s, %s, %s)"

Progress = Callable[["Standing"], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a file is."""

    delivery: int
    lines: int
    written: int
    refused: int
    state: State = "held"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a resource to write, a Bundle to process, or what is wrong with it."""

    number: int
    write: Write | None = None
    issues: tuple[Issue, ...] = ()
    bundle: dict[str, Any] | None = None


async def receive_ndjson(
    ledger: Ledger,
    lines: Iterable[bytes],
    source: Source,
    *,
    name: str,
    key: str = "",
    at: datetime,
    author: str = "",
    progress: Progress | None = None,
) -> Standing:
    """Take in the lines of a file called `name`. `key` names this very file (its digest): one that was broken off is taken up
    where it was, one that is in already is left alone.
    """
    admit(source)
    control_id = key or hashlib.sha256(f"{name}{at.isoformat()}".encode()).hexdigest()
    standing = await _begin(ledger, source, control_id, name, at)
    if standing.state != "held":
        return standing
    digest, skip, part = hashlib.sha256(), standing.lines, 0
    context = WriteContext(source.organisation, at, standing.delivery, author or source.code)
    async for part, first, chunk in _chunks(lines):
        raw = b"\n".join(chunk) + b"\n"
        digest.update(raw)
        if first + len(chunk) - 1 <= skip:
            continue
        standing = await _take_in(ledger, standing, context, chunk, first, part, raw)
        if progress is not None and (waiting := progress(standing)) is not None:
            await waiting
    return await _finish(ledger, standing, digest.digest(), at)


async def _begin(ledger: Ledger, source: Source, control_id: str, name: str, at: datetime) -> Standing:
    async with ledger.pool.connection() as connection, connection.transaction():
        number = await rows.next_id(connection)
        cursor = await connection.execute(_BEGIN, (number, source.key, at, at, control_id, name[:300]))
        if await cursor.fetchone() is not None:
            return Standing(number, 0, 0, 0)
        row = await (await connection.execute(_STAND, (source.key, control_id))).fetchone()
    if row is None:
        raise Conflict("this file is being taken in by somebody else; try again")
    return Standing(row[0], row[2], row[3], row[4], row[1])


async def _chunks(lines: Iterable[bytes]) -> AsyncIterator[tuple[int, int, list[bytes]]]:
    """(part, number of the first line, lines), read in a thread so that a slow disk blocks nobody."""
    walk = _cut(lines)
    while (found := await asyncio.to_thread(next, walk, None)) is not None:
        yield found


def _cut(lines: Iterable[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
    chunk: list[bytes] = []
    number, part, size = 0, 0, 0
    for number, line in enumerate(lines, 1):
        chunk.append(line.rstrip(b"\r\n"))
        size += len(line)
        if len(chunk) == CHUNK or size >= _CHUNK_BYTES:
            yield part, number - len(chunk) + 1, chunk
            chunk, part, size = [], part + 1, 0
    if chunk:
        yield part, number - len(chunk) + 1, chunk


async def _take_in(
    ledger: Ledger, standing: Standing, context: WriteContext, chunk: Sequence[bytes], first: int, part: int, raw: bytes
) -> Standing:
    read = await asyncio.to_thread(_read_lines, chunk, first, context.at)
    for attempt in range(_ATTEMPTS):
        try:
            async with ledger.pool.connection() as connection, connection.transaction():
                row = await (await connection.execute(_LOCK, (standing.delivery,))).fetchone()
                if row is None or row[1] != first - 1:
                    raise Conflict("this file is being taken in by somebody else; try again when they are done")
                changed, refused = await _write(connection, ledger, context, read)
                if refused:
                    await connection.execute(
                        _REFUSED,
                        (
                            standing.delivery,
                            part,
                            [one.number for one in refused],
                            [rows.issues_json(one.issues) for one in refused],
                        ),
                    )
                await connection.execute(_RAW, (standing.delivery, part, first, rows.pack(raw)))
                shown = refused[:5]
                await connection.execute(
                    _ADVANCE,
                    (
                        len(chunk),
                        changed,
                        len(refused),
                        len(raw),
                        context.at,
                        _reason(shown),
                        rows.issues_json(_placed(shown)),
                        standing.delivery,
                    ),
                )
            return Standing(
                standing.delivery, first + len(chunk) - 1, standing.written + changed, standing.refused + len(refused)
            )
        except COLLIDED:
            if attempt + 1 == _ATTEMPTS:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))
    raise AssertionError("unreachable")


async def _write(
    connection: Connection, ledger: Ledger, context: WriteContext, lines: Sequence[Line]
) -> tuple[int, list[Line]]:
    """All resources at once; when the store refuses one of them, each by itself. Bundles one by one."""
    refused = [one for one in lines if one.issues]
    changed = 0
    writes = [one.write for one in lines if one.write is not None]
    singly = [one for one in lines if one.bundle is not None]
    if writes:
        try:
            async with connection.transaction():
                done = await ledger.store.write(connection, writes, context, observers=ledger.observers, validated=True)
                changed = sum(one.changed for one in done)
        except HealthBrainError as error:
            _only_theirs(error)
            singly = [one for one in lines if not one.issues]
    for one in singly:
        try:
            async with connection.transaction():
                changed += await _write_one(connection, ledger, context, one)
        except HealthBrainError as error:
            _only_theirs(error)
            issues = error.issues or (Issue("error", "processing", "", error.message),)
            refused.append(Line(one.number, issues=tuple(issues)))
    return changed, sorted(refused, key=lambda one: one.number)


def _only_theirs(error: HealthBrainError) -> None:
    """A line is refused for what is wrong with it, never for trouble of ours: that ends the chunk, to be begun again."""
    if isinstance(error, Busy) or (http_status(error) >= 500 and not isinstance(error, Unsupported)):
        raise error


async def _write_one(connection: Connection, ledger: Ledger, context: WriteContext, line: Line) -> int:
    if line.write is not None:
        done = await ledger.store.write(connection, [line.write], context, observers=ledger.observers, validated=True)
        return sum(one.changed for one in done)
    if line.bundle is None:
        return 0
    outcome = await write_bundle(connection, ledger.store, line.bundle, context, ledger.observers)
    if outcome["refused"]:  # a batch line is all or nothing: half of it could not be told from the whole
        raise Incorrect("some entries of this batch were refused", issues=outcome["issues"])
    return int(outcome["changed"])


def _read_lines(chunk: Sequence[bytes], first: int, at: datetime) -> list[Line]:
    return [_read_line(line, number, at) for number, line in enumerate(chunk, first) if line.strip()]


def _read_line(line: bytes, number: int, at: datetime) -> Line:
    try:
        if len(line) > _LINE_LIMIT:
            raise Malformed(f"the line is longer than {_LINE_LIMIT // 1024 // 1024} MB")
        resource = parse(line)
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            raise Incorrect("the line has no resourceType")
        if kind == "Bundle" and resource.get("type") in {"transaction", "batch"}:
            return Line(number, bundle=resource)  # the store checks every entry
        found = [one for one in validate(resource) if one.severity in {"error", "fatal"}]
        if found := found or future_facts(resource, at):
            return Line(number, issues=tuple(found))
        return Line(number, _as_write(kind, resource))
    except HealthBrainError as error:
        return Line(number, issues=error.issues or (Issue("error", "structure", "", error.message),))


def _as_write(kind: str, resource: dict[str, Any]) -> Write:
    number = resource.get("id")
    return Write("update", kind, str(number), resource) if number else Write("create", kind, None, resource)


async def _finish(ledger: Ledger, standing: Standing, digest: bytes, at: datetime) -> Standing:
    async with ledger.pool.connection() as connection, connection.transaction():
        row = await (await connection.execute(_FINISH, (digest, at, standing.delivery))).fetchone()
    state: State = row[0] if row else "failed"
    return Standing(standing.delivery, standing.lines, standing.written, standing.refused, state)


_KEEP = """
insert into delivery_attempt (delivery, attempt, settled_at, state, reason, issues, replayed_by)
select id, attempt, settled_at, state, reason, issues, %s from delivery where id = %s"""
_LINES_OF = """
select l.line, l.part, r.first_line from delivery_line l join delivery_raw r using (delivery, part)
where l.delivery = %s order by l.line"""
_MENDED = "delete from delivery_line where delivery = %s and line = any(%s::bigint[])"
_AFTER = """
update delivery set attempt = attempt + 1, refused = %s, written = written + %s, settled_at = %s, issues = %s, reason = %s,
    state = case when %s = 0 then 'accepted' when %s < entries then 'partly' else 'refused' end
where id = %s returning state"""
_SOURCE = "select d.source, s.organisation, s.code from delivery d join source s on s.key = d.source where d.id = %s"


async def replay_lines(ledger: Ledger, delivery: int, *, by: str, at: datetime) -> Receipt:
    """Try the refused lines of a file once more."""
    async with ledger.pool.connection() as connection, connection.transaction():
        source = await (await connection.execute(_SOURCE, (delivery,))).fetchone()
        if source is None:
            raise NotFound(f"there is no delivery {delivery}")
        where = await (await connection.execute(_LINES_OF, (delivery,))).fetchall()
        wanted: list[tuple[int, bytes]] = []
        for part in sorted({row[1] for row in where}):
            content = (await rows.raw(connection, delivery, part)).split(b"\n")
            wanted += [(line, content[line - first]) for line, at_part, first in where if at_part == part]
        read = [_read_line(content, number, at) for number, content in wanted]
        context = WriteContext(source[1], at, delivery, by)
        await connection.execute(_KEEP, (by, delivery))
        changed, refused = await _write(connection, ledger, context, read)
        still = {one.number for one in refused}
        await connection.execute(_MENDED, (delivery, [number for number, _ in wanted if number not in still]))
        issues = _placed(refused[:50])
        row = await (
            await connection.execute(
                _AFTER,
                (
                    len(refused),
                    changed,
                    at,
                    rows.issues_json(issues),
                    _reason(refused),
                    len(refused),
                    len(refused),
                    delivery,
                ),
            )
        ).fetchone()
    state: State = row[0] if row else "failed"
    return Receipt(delivery, state, tuple(issues))


def _placed(refused: Sequence[Line]) -> list[Issue]:
    """The first issue of each line, with the line's number."""
    return [
        Issue(
            one.issues[0].severity,
            one.issues[0].code,
            f"line {one.number}: {one.issues[0].expression}".rstrip(": "),
            one.issues[0].text,
        )
        for one in refused
    ]


def _reason(refused: Sequence[Line]) -> str:
    if not refused:
        return ""
    first = refused[0].issues[0]
    return rows.shorten(f"{first.expression}: {first.text}" if first.expression else first.text)
