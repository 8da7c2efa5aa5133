"""Connections for requests: lent for a short time, and refused early when too many are waiting.

A read runs without a transaction block: one statement, one round trip. A request that waits too long for a connection,
or finds too many waiting before it, is told to come back (429/503 with Retry-After) instead of making the queue longer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg_pool import PoolClosed, PoolTimeout

from healthbrain.database import Connection, Pool
from healthbrain.errors import Busy, Unavailable

WAIT = 5.0  # seconds for a connection
MOST_WAITING = 64  # requests in this process beyond those that work


class Gangway:
    """Counts who is inside; raises Busy at the door when it is full."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._inside = 0

    def __enter__(self) -> None:
        if self._inside >= self._most:
            raise Busy("the server has as many requests as it can take; try again in a moment")
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1


@asynccontextmanager
async def lend(pool: Pool) -> AsyncIterator[Connection]:
    """A connection in a transaction that is committed at the end, or rolled back on error."""
    connection = await _get(pool)
    try:
        async with connection:  # commits or rolls back; the pool's connections do not close here
            yield connection
    finally:
        await pool.putconn(connection)


@asynccontextmanager
async def lend_reading(pool: Pool) -> AsyncIterator[Connection]:
    """A connection where every statement stands alone."""
    connection = await _get(pool)
    try:
        await connection.set_autocommit(True)
        yield connection
    finally:
        if not connection.closed and connection.autocommit:
            await connection.set_autocommit(False)
        await pool.putconn(connection)


async def _get(pool: Pool) -> Connection:
    try:
        return await pool.getconn(WAIT)
    except PoolTimeout:
        raise Unavailable("no database connection became free in time; try again in a few seconds") from None
    except PoolClosed:
        raise Unavailable("the server is stopping") from None
