"""The change feed: every committed change, in one order that is the same for every consumer.

Sequence numbers are given before commit, so reading by them alone skips a transaction that commits late. Here whoever
polls closes a batch with the database's own snapshot: batch n holds exactly what snapshot n sees and snapshot n-1 did
not. A long transaction holds nobody up; its changes come in the batch after its commit. docs/decisions/0004-change-feed.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.pq import TransactionStatus

from healthbrain.database import Connection
from healthbrain.errors import Fault, Gone, Incorrect
from healthbrain.store.statements import SQL
from healthbrain.store.types import type_name

ChangeKind = Literal["create", "update", "delete"]
_KINDS: dict[bytes, ChangeKind] = {b"c": "create", b"u": "update", b"d": "delete"}
_LOCK = 0x48_42_02  # one closer of batches at a time


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the feed: everything up to and including it has been seen."""

    epoch: int = 0
    batch: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}.{self.batch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that `str` wrote. Incorrect when it is none."""
        try:
            epoch, batch, seq = map(int, text.split("."))
        except ValueError:
            raise Incorrect("a position in the change feed is written epoch.batch.seq") from None
        return cls(epoch, batch, seq)


START = Position()


@dataclass(frozen=True, slots=True)
class Change:
    """One version of one resource came to be."""

    position: Position
    type: str
    id: str
    version: int
    kind: ChangeKind
    rid: int
    owner: int
    patient: int | None
    delivery: int | None
    at: datetime


async def changes(connection: Connection, after: Position = START, limit: int = 1000) -> tuple[list[Change], Position]:
    """At most `limit` changes after a position, oldest first, and the position to go on from.

    Outside a transaction only: closing a batch must be durable before anybody remembers a position in it. Raises Gone
    when the feed was rebuilt (after a restore into another server) or pruned beyond `after`: the consumer starts
    from what the store holds now.
    """
    _outside_transaction(connection)
    epoch, pruned = await _epoch(connection)
    if after.epoch not in {0, epoch}:
        raise Gone("the change feed was rebuilt; read the store afresh, then follow the feed from its latest position")
    if after.batch < pruned:
        raise Gone(
            "the change feed no longer reaches back that far; read the store afresh, then follow it from its latest position"
        )
    position = Position(epoch, after.batch, after.seq)
    found = await _read(connection, position, limit)
    if len(found) < limit:
        # Whoever closes the batch, we or another consumer since our reading: what it holds is ours to read now, so an
        # empty answer means that nothing was committed before it.
        await _close_batch(connection)
        found += await _read(connection, found[-1].position if found else position, limit - len(found))
    return found, found[-1].position if found else position


async def latest(connection: Connection) -> Position:
    """The position after everything that is committed now."""
    _outside_transaction(connection)
    epoch, pruned = await _epoch(connection)
    await _close_batch(connection)
    async with connection.transaction():
        row = await (await connection.execute(SQL["last_batch"])).fetchone()
    return Position(epoch, row[0], row[1]) if row else Position(epoch, pruned, 0)


async def prune(connection: Connection, upto: Position) -> int:
    """Forget the batches before the one of `upto`; returns how many changes went. For when every consumer is past it."""
    _outside_transaction(connection)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        rows = await (await connection.execute(SQL["batches_before"], [upto.batch])).fetchall()
        gone = 0
        for batch, first, last in rows:
            cursor = await connection.execute(SQL["prune_changes"], [batch, first, last])
            gone += cursor.rowcount
        if rows:
            await connection.execute(SQL["prune_batches"], [rows[-1][0]])
            await connection.execute("update change_epoch set pruned = %s", [rows[-1][0]])
    return gone


def _outside_transaction(connection: Connection) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise Fault("the change feed is read outside a transaction")


async def _epoch(connection: Connection) -> tuple[int, int]:
    """The feed's epoch and how far it is pruned. A database that moved to another server gets a new epoch: transaction
    ids of the old one mean nothing here, so what is in the feed is dropped."""
    async with connection.transaction():
        row = await (await connection.execute(SQL["epoch"])).fetchone()
        if row is not None and not row[2]:
            await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            await connection.execute(SQL["new_epoch"])
            row = await (await connection.execute(SQL["epoch"])).fetchone()
    if row is None:
        raise Fault("the change feed has lost its epoch; table change_epoch is empty")
    return row[0], row[1]


async def _close_batch(connection: Connection) -> bool:
    """Close a batch with everything committed since the last one; False when there is nothing."""
    async with connection.transaction():
        if not (await (await connection.execute(SQL["anything_new"])).fetchone() or (False,))[0]:
            return False
        await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        # a new statement takes its snapshot after the lock was got, so it sees the batch closed before it
        cursor = await connection.execute(SQL["close_batch"])
        return cursor.rowcount > 0


async def _read(connection: Connection, after: Position, limit: int) -> list[Change]:
    if limit <= 0:
        return []
    found: list[Change] = []
    async with connection.transaction():
        batches = await (await connection.execute(SQL["batches_from"], [after.batch])).fetchall()
        for batch, first, last in batches:
            start = max(first, after.seq + 1) if batch == after.batch else first
            rows = await (
                await connection.execute(SQL["changes_of_batch"], [batch, start, last, limit - len(found)])
            ).fetchall()
            found += [_change(after.epoch, batch, row) for row in rows]
            if len(found) >= limit:
                break
    return found


def _change(epoch: int, batch: int, row: tuple[Any, ...]) -> Change:
    seq, rtype, fhir_id, version, kind, rid, owner, patient, delivery, at = row
    code = kind if isinstance(kind, bytes) else str(kind).encode()
    return Change(
        Position(epoch, batch, seq), type_name(rtype), fhir_id, version, _KINDS[code], rid, owner, patient, delivery, at
    )
