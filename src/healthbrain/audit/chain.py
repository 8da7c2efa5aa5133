"""Walking the chain: is every event still as it was written, and is none missing or added?"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.audit.anchors import Heads
from healthbrain.audit.events import content_digest, line_of
from healthbrain.database import Connection


@dataclass(frozen=True, slots=True)
class Broken:
    """The first batch that is not what it was."""

    lane: int
    number: int
    sealed_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What the walk found. `broken is None` means that the log is whole."""

    batches: int
    events: int
    broken: Broken | None

    @property
    def whole(self) -> bool:
        """Whether nothing was changed, removed or added."""
        return self.broken is None


_BATCHES = "select lane, number, count, content, digest, sealed_at from audit_batch order by lane, number"
_EVENTS = """
select batch, (extract(epoch from at) * 1000000)::bigint, action, interaction, account, role, organisation, purpose,
       type, resource, patients, outcome, detail, address, request
from audit_event where lane = %s and batch between %s and %s order by batch, place"""
_STRAY = """
select e.lane, e.batch from audit_event e
where not exists (select 1 from audit_batch b where b.lane = e.lane and b.number = e.batch)
order by e.lane, e.batch limit 1"""
_STEP = 500  # batches whose events are fetched at once


async def verify(connection: Connection, *, anchor: Heads | None = None) -> Verification:
    """Walk all lanes; with `anchor` (heads kept elsewhere) also find a chain whose end was cut off."""
    batches = events = 0
    previous: dict[int, tuple[int, bytes]] = {}
    async with aclosing(_batches_with_rows(connection)) as walk:
        async for batch, rows in walk:
            lane, number, _, _, digest, _ = batch
            broken = _check(batch, rows, previous.get(lane), anchor or {})
            if broken:
                return Verification(batches, events, broken)
            previous[lane] = (number, digest)
            batches += 1
            events += len(rows)
    return Verification(batches, events, await _missing(connection, previous, anchor or {}))


async def _batches_with_rows(connection: Connection) -> AsyncGenerator[tuple[tuple[Any, ...], list[bytes]], None]:
    async with connection.transaction(), connection.cursor("audit_walk") as cursor:
        await cursor.execute(_BATCHES)
        while step := await cursor.fetchmany(_STEP):
            for lane in sorted({batch[0] for batch in step}):
                part = [batch for batch in step if batch[0] == lane]
                rows = await _rows(connection, lane, part[0][1], part[-1][1])
                for batch in part:
                    yield batch, rows.get(batch[1], [])


async def _rows(connection: Connection, lane: int, first: int, last: int) -> dict[int, list[bytes]]:
    cursor = await connection.execute(_EVENTS, (lane, first, last))
    found: dict[int, list[bytes]] = {}
    for batch, *row in await cursor.fetchall():
        found.setdefault(batch, []).append(line_of(row))
    return found


def _check(
    batch: tuple[Any, ...], rows: list[bytes], before: tuple[int, bytes] | None, anchor: Mapping[int, tuple[int, str]]
) -> Broken | None:
    lane, number, count, content, digest, sealed_at = batch
    if number != (before[0] if before else 0) + 1:
        return Broken(lane, number, sealed_at, "a batch before it is missing")
    if len(rows) != count:
        return Broken(lane, number, sealed_at, f"it was sealed with {count} events and has {len(rows)}")
    if content_digest(rows) != content:
        return Broken(lane, number, sealed_at, "an event was changed")
    start = before[1] if before else hashlib.sha256(f"healthbrain audit lane {lane}".encode()).digest()
    if hashlib.sha256(start + number.to_bytes(8, "big") + content).digest() != digest:
        return Broken(lane, number, sealed_at, "its digest does not continue the chain")
    if lane in anchor and anchor[lane][0] == number and anchor[lane][1] != digest.hex():
        return Broken(lane, number, sealed_at, "its digest is not the one kept elsewhere: the chain was rewritten")
    return None


async def _missing(connection: Connection, heads: Mapping[int, tuple[int, bytes]], anchor: Heads) -> Broken | None:
    for lane, (number, _) in sorted(anchor.items()):
        if lane not in heads or heads[lane][0] < number:
            last = heads[lane][0] if lane in heads else 0
            return Broken(lane, last + 1, None, f"the chain ends before batch {number}, which was there once")
    cursor = await connection.execute(_STRAY)
    stray = await cursor.fetchone()
    return Broken(stray[0], stray[1], None, "it has events but was never sealed") if stray else None
