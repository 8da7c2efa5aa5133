"""Connections to PostgreSQL: one pool per process.

Search statements rely on `plan_cache_mode=force_custom_plan`: with psycopg's automatic prepare PostgreSQL would switch
to a generic plan after a few calls and walk whole tables (docs/decisions/0003-store-shape.md).
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]


async def open_pool(
    dsn: str, *, size: int = 8, name: str = "healthbrain", reading: bool = False, generic: bool = False
) -> Pool:
    """An open pool of at most `size` connections. Close it with `await pool.close()`.

    With `reading` every statement stands alone and a connection is not looked at before it is lent; who uses it asks again
    when the connection turns out to be broken. `generic` is for statements that
    have one good plan (by key, or a call of a function): they are not planned again each time.
    """

    async def tried(connection: Connection) -> None:
        """Raises when the connection is broken. An ended one can be read from although nothing was asked."""
        if not _speaks(connection.fileno()):
            return
        try:
            await AsyncConnectionPool.check_connection(connection)
        except Exception:
            await pool.check()  # the database was restarted: the others are broken too, and each would cost a pause
            raise

    pool: Pool = AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        open=False,
        timeout=20,
        name=name,
        check=None if reading else tried,
        configure=_configure,
        kwargs={
            "application_name": name,
            "autocommit": reading,
            "options": f"-c plan_cache_mode=force_{'generic' if generic else 'custom'}_plan -c timezone=UTC",
        },
    )
    await pool.open(wait=True, timeout=60)
    return pool


def _speaks(socket: int) -> bool:
    """Whether there is something to read, the end included."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


async def _configure(connection: Connection) -> None:
    connection.prepare_threshold = 3
