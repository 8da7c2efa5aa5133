"""A statement for the hottest paths: prepared once per connection, parameters and rows in PostgreSQL's binary form.

psycopg's own `execute` costs 55 µs of CPU for a short question, most of it for things that do not change from one to
the next (adapting, looking for the prepared name, a timer per wait). Talking to libpq directly costs 15. Only for connections in
autocommit, where a statement is a transaction of its own. Everything else goes through psycopg as usual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from weakref import WeakSet

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from healthbrain.database.pool import Connection

_FINE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_numbers = count(1)
_GLANCES = 12  # a read is answered in 50 µs: looking a few times for 10 µs is less than being put to sleep and woken (6 % of a read)


class Statement:
    """One SQL statement with `$1` parameters whose type OIDs are `types`."""

    def __init__(self, sql: str, types: Sequence[int]) -> None:
        self._sql = sql.encode()
        self._types = tuple(types)
        self._formats = [1] * len(self._types)
        self._name = f"hb{next(_numbers)}".encode()
        self._prepared: WeakSet[Connection] = WeakSet()

    async def __call__(
        self, connection: Connection, parameters: Sequence[bytes | None]
    ) -> list[tuple[bytes | None, ...]]:
        """Run it; the rows with every value as PostgreSQL sends it. Raises psycopg's errors.

        When the caller is cancelled the statement is cancelled too and the connection is given up.
        """
        async with connection.lock:
            try:
                result = await self._run(connection, parameters)
            except (
                errors.InvalidSqlStatementName
            ):  # psycopg forgets prepared statements after a rollback, and so does the server
                self._prepared.discard(connection)
                if connection.info.transaction_status != TransactionStatus.IDLE:
                    raise
                result = await self._run(connection, parameters)
        columns = range(result.nfields)
        return [tuple([result.get_value(row, column) for column in columns]) for row in range(result.ntuples)]

    async def _run(self, connection: Connection, parameters: Sequence[bytes | None]) -> PGresult:
        pgconn = connection.pgconn
        try:
            if connection not in self._prepared:
                pgconn.send_prepare(self._name, self._sql, self._types)
                await _result(connection)
                self._prepared.add(connection)
            pgconn.send_query_prepared(self._name, parameters, self._formats, 1)
            return await _result(connection)
        except asyncio.CancelledError:
            await connection.cancel_safe(timeout=5)
            await connection.close()
            raise


async def _result(connection: Connection) -> PGresult:
    """The one result of what was sent."""
    pgconn = connection.pgconn
    if pgconn.flush():  # more than the socket takes at once
        await connection.wait(generators.send(pgconn))
    loop, socket = asyncio.get_running_loop(), pgconn.socket
    last: PGresult | None = None
    for _ in range(_GLANCES):
        if not pgconn.is_busy():
            break
        pgconn.consume_input()
    while True:
        while pgconn.is_busy():
            arrived = loop.create_future()
            loop.add_reader(socket, _wake, arrived)
            try:
                await arrived
            finally:
                loop.remove_reader(socket)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            break
        last = result
    if last is None:
        raise psycopg.OperationalError("the database gave no result")
    if last.status not in _FINE:
        raise errors.error_from_result(last, encoding="utf-8")
    return last


def _wake(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
