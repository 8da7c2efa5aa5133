"""Trying again: one delivery, or all that a filter finds. Every former outcome stays in the ledger.

A refused message is replayed after its reason is gone (a code was mapped, a source registered), a failed one after ours is. The
content is the raw one that arrived; the moment of arrival stays, so that "in the future" means what it meant,
and so does what an application might do that sent it (limits.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, NotFound
from healthbrain.exchange import ledger as rows
from healthbrain.exchange.bulk import replay_lines
from healthbrain.exchange.limits import read_limits
from healthbrain.exchange.listing import Filter, arrivals
from healthbrain.exchange.receiving import Again, Ledger
from healthbrain.exchange.values import Arrival, Interaction, Receipt

_ONE = """
select d.source, d.door, d.received_at, d.state, d.control_id, d.message_type, d.name, d.request, d.limits
from delivery d where d.id = %s"""
_ATTEMPTS = """
select attempt, settled_at, state, reason, issues, replayed_by from delivery_attempt where delivery = %s order by attempt"""


async def replay(ledger: Ledger, delivery: int, *, by: str, at: datetime) -> Receipt:
    """Take in delivery number `delivery` once more. Raises NotFound, or Conflict when there is nothing to gain."""
    async with ledger.pool.connection() as connection:
        row = await (await connection.execute(_ONE, (delivery,))).fetchone()
        if row is None:
            raise NotFound(f"there is no delivery {delivery}")
        source, door, received_at, state, control_id, message_type, name, request, limits = row
        if state == "duplicate":
            raise Conflict(f"delivery {delivery} is a duplicate; replay the original")
        if door == "ndjson":
            return await replay_lines(ledger, delivery, by=by, at=at)
        raw = await rows.raw(connection, delivery)
    arrival = Arrival(
        door=door,
        source=source if door != "hl7v2" else None,
        raw=raw,
        received_at=received_at,
        control_id=control_id or None,
        message_type=message_type,
        name=name,
        interaction=Interaction(**request) if request else None,
        author=by,
        limits=read_limits(limits),
    )
    return await ledger.receive(arrival, at=at, again=Again(delivery, by))


async def replay_all(
    ledger: Ledger, wanted: Filter, *, by: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[tuple[int, Receipt]]:
    """Replay everything the filter finds, oldest first, one after the other."""
    cursor, numbers = None, []
    while True:
        async with ledger.pool.connection() as connection:
            page = await arrivals(connection, wanted, count=500, cursor=cursor)
        numbers += [one.id for one in page.deliveries if one.state != "duplicate"]
        cursor = page.next
        if cursor is None:
            break
    for number in sorted(numbers):
        yield number, await replay(ledger, number, by=by, at=clock())


async def attempts(connection: Connection, delivery: int) -> list[dict[str, Any]]:
    """The former outcomes of a delivery that was replayed, oldest first."""
    found = await (await connection.execute(_ATTEMPTS, (delivery,))).fetchall()
    return [
        {
            "attempt": row[0],
            "settled_at": row[1],
            "state": row[2],
            "reason": row[3],
            "issues": cast(list[Any], row[4] if isinstance(row[4], list) else orjson.loads(row[4])),
            "replayed_by": row[5],
        }
        for row in found
    ]
