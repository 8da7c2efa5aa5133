"""Connections for requests: lent for a short time, and refused early when too many are waiting.

A request that waits too long for a connection, or finds too many waiting before it, is told to come back (429 or 503
with Retry-After) instead of making the queue longer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TypeVar

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from healthbrain.database import Connection, Pool
from healthbrain.errors import Busy, Unavailable

WAIT = 5.0  # seconds for a connection
MOST_INSIDE = 256  # requests of this process that are worked on or wait for a connection
_ATTEMPTS = 16  # more than a pool has connections: after a restart of the database each of them may be broken

_T = TypeVar("_T")
_INSIDE: ContextVar[Connection | None] = ContextVar("inside", default=None)


@contextmanager
def inside(connection: Connection) -> Iterator[None]:
    """Inside, everything is asked on this connection: it sees what its transaction changed, and is undone with it."""
    token = _INSIDE.set(connection)
    try:
        yield
    finally:
        _INSIDE.reset(token)


class Gangway:
    """Counts who is inside; raises Busy at the door when it is full."""

    def __init__(self, most: int = MOST_INSIDE) -> None:
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
    if (held := _INSIDE.get()) is not None:
        yield held
        return
    connection = await _get(pool)
    try:
        async with connection:  # commits or rolls back; a connection of a pool does not close here
            yield connection
    finally:
        await pool.putconn(connection)


async def ask(readers: Pool, question: Callable[[Connection], Awaitable[_T]]) -> _T:
    """The answer to a question that changes nothing. It is asked again while connections turn out to be broken."""
    if (held := _INSIDE.get()) is not None:
        return await question(held)
    for attempt in range(_ATTEMPTS):
        connection = await _get(readers)
        try:
            return await question(connection)
        except psycopg.OperationalError:
            if not connection.broken or attempt == _ATTEMPTS - 1:
                raise
        finally:
            await readers.putconn(connection)
    raise AssertionError("unreachable")


async def _get(pool: Pool) -> Connection:
    try:
        return await pool.getconn(WAIT)
    except PoolTimeout:
        raise Unavailable("no database connection became free in time; try again in a few seconds") from None
    except PoolClosed:
        raise Unavailable("the server is stopping") from None
