"""NDJSON: files of one resource a line, however large.

Lines are taken in by chunks, each in one transaction with its part of the raw file, so that a file can be broken off anywhere and
taken up again: the ledger knows how many lines are in. A line that is wrong is listed with its number and issues and
doesn't hold up the others. References inside the file stay as they are (bulk files name ids, and every line is an upsert by
its id).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import multiprocessing
import multiprocessing.context
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from multiprocessing import forkserver
from typing import Any

from psycopg.types.json import Jsonb

from healthbrain.database import Connection
from healthbrain.errors import (
    Busy,
    Conflict,
    HealthBrainError,
    Incorrect,
    Issue,
    NotFound,
    Unsupported,
    http_status,
)
from healthbrain.exchange import ledger as rows
from healthbrain.exchange.fhir_door import write_bundle
from healthbrain.exchange.limits import Limits, read_limits
from healthbrain.exchange.lines import Line, Prepared, begin_process, joined, prepare, read_line, read_lines
from healthbrain.exchange.receiving import COLLIDED, Ledger
from healthbrain.exchange.sources import admit
from healthbrain.exchange.sources import source as source_of
from healthbrain.exchange.values import Receipt, Source, State
from healthbrain.store import WriteContext, catalog, to_the_millisecond, watched_types

_log = logging.getLogger(__name__)
CHUNK = 1000  # lines in a transaction
_CHUNK_BYTES = 8 * 1024 * 1024
_ATTEMPTS = 4

_BEGIN = """
insert into delivery (id, source, door, received_at, settled_at, state, control_id, message_type, name, digest, size, limits)
values (%s, %s, 'ndjson', %s, %s, 'held', %s, 'NDJSON', %s, '', 0, %s)
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
class _Chunk:
    """Consecutive lines, the `part`-th chunk of the file."""

    part: int
    first: int
    lines: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


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
    helpers: Executor | None = None,
    limits: Limits | None = None,
) -> Standing:
    """Take in the lines of a file called `name`. `key` names this very file (its digest): one that was broken off is taken up
    where it was, one that is in already is left alone. `helpers` prepare chunks while others are written (see
    `helping_processes`); without them a thread does, one chunk after another. `limits` are those of the application that sent it,
    for lines that are tried again.
    """
    admit(source)
    control_id = key or hashlib.sha256(f"{name}{at.isoformat()}".encode()).hexdigest()
    standing = await _begin(ledger, source, control_id, name, at, limits)
    if standing.state != "held":
        return standing
    digest = hashlib.sha256()
    async with ledger.pool.connection() as connection:
        scope = await ledger.scope_of(source, connection)
    by = author or source.code
    context = to_the_millisecond(
        WriteContext(source.organisation, at, standing.delivery, by, scope, invariants=source.invariants)
    )
    async with aclosing(_prepared(ledger, lines, context, standing.lines, digest, helpers)) as walk:
        async for chunk, prepared in walk:
            standing = await _take_in(ledger, standing, context, chunk, prepared)
            if progress is not None and (waiting := progress(standing)) is not None:
                await waiting
    return await _finish(ledger, standing, digest.digest(), at)


def expect_help() -> None:
    """Begin what helping processes are made from, so that it is there when they are: it takes a moment to import."""
    _helping()
    forkserver.ensure_running()


@contextmanager
def helping_processes(count: int | None = None) -> Iterator[Executor]:
    """Processes that prepare lines, one per core; they end with this one, however it ends."""
    with ProcessPoolExecutor(count or os.cpu_count() or 1, mp_context=_helping(), initializer=begin_process) as helpers:
        yield helpers


def _helping() -> multiprocessing.context.ForkServerContext:
    """Helpers are copies of one process that has imported what they need, and nothing else: it has no threads, no connections."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["healthbrain.exchange.lines"])
    return context


async def _prepared(
    ledger: Ledger,
    lines: Iterable[bytes],
    context: WriteContext,
    skip: int,
    digest: Any,
    helpers: Executor | None,
) -> AsyncGenerator[tuple[_Chunk, Prepared], None]:
    """Every chunk after the first `skip` lines, in order, while the ones after it are already being prepared."""
    watched = watched_types(ledger.observers)
    ahead = 2 * (os.cpu_count() or 1) if helpers else 1
    under_way: deque[tuple[_Chunk, asyncio.Future[Prepared]]] = deque()
    broken: Exception | None = None
    walk = _chunks(lines)
    try:
        while True:
            try:
                chunk = await anext(walk, None)
            except Exception as error:  # what was read until then is taken in first
                broken, chunk = error, None
            if chunk is None:
                break
            digest.update(joined(chunk.lines))
            if chunk.last <= skip:
                continue
            async with ledger.pool.connection() as connection:
                known = (await catalog(connection)).alone
            work = partial(prepare, chunk.lines, chunk.first, context, watched, known)
            under_way.append((chunk, asyncio.ensure_future(_helped(work, helpers))))
            await asyncio.sleep(0)  # it is handed over before the next chunk is read
            if len(under_way) > ahead:
                done, result = under_way.popleft()
                yield done, await result
        while under_way:
            done, result = under_way.popleft()
            yield done, await result
        if broken is not None:
            raise broken
    finally:
        for _, future in under_way:
            future.cancel()


async def _begin(
    ledger: Ledger, source: Source, control_id: str, name: str, at: datetime, limits: Limits | None
) -> Standing:
    async with ledger.pool.connection() as connection, connection.transaction():
        number = await rows.next_id(connection)
        kept = Jsonb(limits.as_json()) if limits is not None else None
        cursor = await connection.execute(_BEGIN, (number, source.key, at, at, control_id, name[:300], kept))
        if await cursor.fetchone() is not None:
            return Standing(number, 0, 0, 0)
        row = await (await connection.execute(_STAND, (source.key, control_id))).fetchone()
    if row is None:
        raise Conflict("this file is being taken in by somebody else; try again")
    return Standing(row[0], row[2], row[3], row[4], row[1])


async def _helped(work: Callable[[], Prepared], helpers: Executor | None) -> Prepared:
    """Done by a helper, or by a thread when there is none or it has died."""
    if helpers is not None:
        try:
            return await asyncio.get_running_loop().run_in_executor(helpers, work)
        except BrokenExecutor:
            _log.warning("a helping process has died; the import goes on without help")
    return await asyncio.to_thread(work)


async def _chunks(lines: Iterable[bytes]) -> AsyncIterator[_Chunk]:
    """The file cut into chunks, read in a thread so that a slow disk blocks nobody."""
    walk = _cut(lines)
    while (found := await asyncio.to_thread(next, walk, None)) is not None:
        yield found


def _cut(lines: Iterable[bytes]) -> Iterator[_Chunk]:
    chunk: list[bytes] = []
    number, part, size = 0, 0, 0
    for number, line in enumerate(lines, 1):
        chunk.append(line.rstrip(b"\r\n"))
        size += len(line)
        if len(chunk) == CHUNK or size >= _CHUNK_BYTES:
            yield _Chunk(part, number - len(chunk) + 1, chunk)
            chunk, part, size = [], part + 1, 0
    if chunk:
        yield _Chunk(part, number - len(chunk) + 1, chunk)


async def _take_in(
    ledger: Ledger, standing: Standing, context: WriteContext, chunk: _Chunk, prepared: Prepared
) -> Standing:
    first, last = chunk.first, chunk.last
    for attempt in range(_ATTEMPTS):
        try:
            async with ledger.pool.connection() as connection, connection.transaction():
                row = await (await connection.execute(_LOCK, (standing.delivery,))).fetchone()
                if row is None or row[1] != first - 1:
                    raise Conflict("this file is being taken in by somebody else; try again when they are done")
                changed, refused = await _write_chunk(connection, ledger, context, chunk, prepared)
                if refused:
                    await connection.execute(
                        _REFUSED,
                        (
                            standing.delivery,
                            chunk.part,
                            [one.number for one in refused],
                            [rows.issues_json(one.issues) for one in refused],
                        ),
                    )
                await connection.execute(_RAW, (standing.delivery, chunk.part, first, prepared.packed))
                shown = refused[:5]
                await connection.execute(
                    _ADVANCE,
                    (
                        len(chunk.lines),
                        changed,
                        len(refused),
                        sum(map(len, chunk.lines)) + len(chunk.lines),
                        context.at,
                        _reason(shown),
                        rows.issues_json(_placed(shown)),
                        standing.delivery,
                    ),
                )
            return Standing(standing.delivery, last, standing.written + changed, standing.refused + len(refused))
        except COLLIDED:
            if attempt + 1 == _ATTEMPTS:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))
    raise AssertionError("unreachable")


async def _write_chunk(
    connection: Connection, ledger: Ledger, context: WriteContext, chunk: _Chunk, prepared: Prepared
) -> tuple[int, list[Line]]:
    """As it was prepared, then what is here already the ordinary way; all of it the ordinary way when an observer stands
    against it."""
    try:
        async with connection.transaction():
            new = ledger.store.write_new
            rids = await new(connection, prepared.columns, prepared.types) if prepared.owners else []
            seen = [replace(written, rid=rids[place] or 0) for place, written in prepared.seen if rids[place]]
            for observer in ledger.observers if seen else ():
                await observer(connection, context, seen)
    except HealthBrainError as error:
        _only_theirs(error)
        read = await asyncio.to_thread(read_lines, chunk.lines, chunk.first, context.at)
        return await _write(connection, ledger, context, read)
    known = {owner for owner, rid in zip(prepared.owners, rids, strict=True) if rid is None}
    again = [read_line(chunk.lines[number - chunk.first], number, context.at) for number in sorted(known)]
    ordinary = sorted([*prepared.later, *again], key=lambda one: one.number)
    changed, refused = await _write(connection, ledger, context, ordinary)
    written = len(rids) - rids.count(None)
    return written + changed, sorted([*prepared.refused, *refused], key=lambda one: one.number)


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
_SOURCE = "select source, limits from delivery where id = %s and source is not null"


async def replay_lines(ledger: Ledger, delivery: int, *, by: str, at: datetime) -> Receipt:
    """Try the refused lines of a file once more."""
    async with ledger.pool.connection() as connection, connection.transaction():
        found = await (await connection.execute(_SOURCE, (delivery,))).fetchone()
        if found is None:
            raise NotFound(f"there is no delivery {delivery}")
        sender = await source_of(connection, found[0])
        scope = await ledger.scope_of(sender, connection)
        where = await (await connection.execute(_LINES_OF, (delivery,))).fetchall()
        wanted: list[tuple[int, bytes]] = []
        for part in sorted({row[1] for row in where}):
            content = (await rows.raw(connection, delivery, part)).split(b"\n")
            wanted += [(line, content[line - first]) for line, at_part, first in where if at_part == part]
        read = [read_line(content, number, at, invariants=sender.invariants) for number, content in wanted]
        context = WriteContext(sender.organisation, at, delivery, by, scope, invariants=sender.invariants)
        if (limits := read_limits(found[1])) is not None:
            context = limits.narrowed(context)
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
