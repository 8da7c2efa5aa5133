"""The express lane: single FHIR writes that nothing stands against, many of them in one call of the database.

A write is made ready outside any transaction, then waits for the next departure: while one call is under way the
writes that arrive meanwhile gather and go together. Most of what a call costs it costs once, so a call also waits a moment
for those who wrote just before: a client that sends its next write as soon as it has its answer is back within that moment.
A single client waits for nobody. A call holds each write's resource, ledger row and audit event, all or nothing. Whatever is out of the ordinary (a collision, a refusal, a type that somebody watches, an idempotency key) is
left to the ordinary way, one transaction each, which knows every case; so one write never spoils another.

A call that broke off with its connection is sent again under the same delivery numbers: had it been committed after
all, the numbers are taken, and that is how we know.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from healthbrain import audit
from healthbrain.audit import Event
from healthbrain.database import Pool, Statement
from healthbrain.errors import HealthBrainError
from healthbrain.exchange import ledger
from healthbrain.exchange.plausible import future_facts
from healthbrain.exchange.values import Arrival, Receipt, Source
from healthbrain.fhir import parse
from healthbrain.scope import Scope
from healthbrain.store import (
    READY_TYPES,
    Ready,
    Write,
    WriteContext,
    Written,
    arrays,
    make_ready,
    ready_columns,
    together,
)
from healthbrain.store.parameters import catalog, remembered
from healthbrain.store.together import Part

_MOST = 64  # writes in one call
_CALLS = 2  # under way at a time
_FULL = 8  # writes from which on a second call is worth its cost
_COMPANY = 0.002  # seconds that a call waits for those who came with the last one
_WAIT = 5.0  # seconds for a connection
_ATTEMPTS = 16  # more than a pool has connections: after a restart of the database each of them may be broken
_ENDING = (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown, psycopg.errors.CannotConnectNow)
_LARGEST = 64 * 1024  # bytes; a larger resource holds up those that travel with it
_NUMBERS = Statement("select nextval('delivery_id_seq') from generate_series(1, 256)", [])
_A = arrays
_OWN_TYPES = (
    *(kind.oid for kind in (_A.Int8, _A.Int4, _A.Instant, _A.Instant, _A.Text, _A.Bytes, _A.Int8, _A.Text, _A.Bytes)),
    17,  # bytea
    25,  # text
)
_DELIVERED = """
delivered as (
    insert into delivery (id, source, door, received_at, settled_at, state, message_type, digest, size, entries, written, request)
    select n.id, n.source, 'fhir', n.received, n.settled, 'accepted', n.type, n.digest, n.size, 1, 1, n.request::jsonb
    from unnest($1, $2, $3, $4, $5, $6, $7, $8) as n(id, source, received, settled, type, digest, size, request)
    returning 1)"""
_KEPT = "kept as (insert into delivery_raw (delivery, raw) select n.id, n.raw from unnest($1, $9) as n(id, raw))"


@functools.cache
def _take_in(parts: frozenset[Part]) -> Statement:
    """The statement for a group. The row of the ledger comes first: its number tells whether an earlier try was committed."""
    first = len(_OWN_TYPES) + 1
    queries = [_DELIVERED, _KEPT, *together.clauses(first, parts, "delivered")]
    sql = f"with {', '.join(queries)} select {together.placed(first, parts)}, audit_append($10, null, $11)"
    return Statement(sql, (*_OWN_TYPES, *READY_TYPES))


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever brings a write says about it: how far it may reach, and the audit event that belongs to it."""

    scope: Scope
    event: Callable[[Written], Event]


@dataclass(frozen=True, slots=True)
class _Passenger:
    arrival: Arrival
    source: Source
    ready: Ready
    terms: Terms
    at: datetime
    begun: float
    done: asyncio.Future[bool]

    @property
    def number(self) -> int:
        return self.ready.context.delivery or 0

    @property
    def settled(self) -> datetime:
        """Now, by the clock that said when it arrived."""
        return self.at + timedelta(seconds=time.monotonic() - self.begun)


class Lost(Exception):
    """The database went away and it is not known whether it had committed."""


class Express:
    """The express lane of one process. `pool` lends connections in autocommit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[_Passenger] = []
        self._driving: set[asyncio.Task[None] | None] = set()
        self._expected = 1  # how many write at a time, as far as the last calls tell
        self._complete = asyncio.Event()  # as many are waiting
        self._numbers: list[int] = []
        self._knowing = asyncio.Lock()

    async def take_in(self, arrival: Arrival, source: Source, terms: Terms, at: datetime) -> Receipt | None:
        """Take in one create or update; None when it has to go the ordinary way (nothing was written). Raises Lost."""
        begun = time.monotonic()
        try:
            ready = await self._prepare(arrival, source, terms, at)
        except (HealthBrainError, psycopg.Error, PoolTimeout, PoolClosed):
            return None  # the ordinary way says what is wrong, and lists it
        if ready is None:
            return None
        passenger = _Passenger(arrival, source, ready, terms, at, begun, asyncio.get_running_loop().create_future())
        self._waiting.append(passenger)
        if len(self._waiting) >= self._expected:
            self._complete.set()
        if not self._driving or (len(self._waiting) >= _FULL and len(self._driving) < _CALLS):
            self._driving.add(asyncio.create_task(self._drive(), name="express lane"))
        if not await passenger.done:
            return None
        written = ready.written
        return Receipt(passenger.number, "accepted", (), written.resource, (written,))

    async def _prepare(self, arrival: Arrival, source: Source, terms: Terms, at: datetime) -> Ready | None:
        wanted = arrival.interaction
        if wanted is None or wanted.method not in {"POST", "PUT"} or len(arrival.raw) > _LARGEST:
            return None
        await self._know_parameters()
        while not self._numbers:
            self._numbers += await self._more_numbers()
        context = WriteContext(
            source.organisation, at, self._numbers.pop(), arrival.author, terms.scope, invariants=source.invariants
        )
        resource = parse(arrival.raw)
        if future_facts(resource, at):
            return None
        if wanted.method == "POST":
            resource.pop("id", None)
            return await make_ready(None, Write("create", wanted.type, None, resource), context)
        write = Write("update", wanted.type, wanted.id, resource, wanted.if_match)
        connection = await self._pool.getconn(_WAIT)
        try:
            return await make_ready(connection, write, context)
        finally:
            await self._pool.putconn(connection)

    async def _know_parameters(self) -> None:
        """What search parameters were added at run time, looked at when that is a second old."""
        if remembered() is None:
            async with self._knowing:
                if remembered() is None:
                    async with self._pool.connection(_WAIT) as connection:
                        await catalog(connection)

    async def _more_numbers(self) -> list[int]:
        connection = await self._pool.getconn(_WAIT)
        try:
            return [int.from_bytes(row[0] or b"", "big") for row in await _NUMBERS(connection, [])]
        finally:
            await self._pool.putconn(connection)

    async def _drive(self) -> None:
        try:
            while self._waiting:
                await self._company()
                await self._send(self._depart())
        finally:  # at once, so that who comes now sees that nobody drives any more
            self._driving.discard(asyncio.current_task())

    async def _send(self, group: Sequence[_Passenger]) -> None:
        try:
            done = await self._carry(group)
        except BaseException as error:
            for one in group:
                if not one.done.done():
                    one.done.set_exception(Lost(type(error).__name__))
            if not isinstance(error, Exception):
                raise
        else:
            for one in group:
                if not one.done.done():
                    one.done.set_result(done)
        self._expected = min(len(group) + len(self._waiting), _FULL)

    async def _company(self) -> None:
        """Wait until as many are here as wrote just before, but no longer than a moment."""
        if len(self._waiting) < self._expected:
            self._complete.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_COMPANY):
                    await self._complete.wait()

    def _depart(self) -> list[_Passenger]:
        """Those who go now: the longest waiting, no resource twice."""
        group: dict[bytes, _Passenger] = {}
        stay: list[_Passenger] = []
        for one in self._waiting:
            if len(group) < _MOST and one.ready.key not in group:
                group[one.ready.key] = one
            else:
                stay.append(one)
        self._waiting = stay
        return [group[key] for key in sorted(group)]

    async def _carry(self, group: Sequence[_Passenger]) -> bool:
        """One call; False when it was refused as a whole. Raises what leaves it open whether it was committed."""
        try:
            columns = ready_columns([one.ready for one in group])
            parameters = [*_own_parameters(group), *columns]
        except Exception:  # alone the one that cannot be sent says why
            return False
        changing = any(one.ready.draft.current is not None for one in group)
        statement = _take_in(together.parts_of(columns, changing=changing))
        sent = False
        for attempt in range(_ATTEMPTS):
            try:
                connection = await self._pool.getconn(_WAIT)
            except (PoolTimeout, PoolClosed):
                if sent:
                    raise
                return False
            try:
                sent = True
                rids = _bigints((await statement(connection, parameters))[0][0] or b"")
            except psycopg.OperationalError as error:
                if not (connection.broken or isinstance(error, _ENDING)):
                    return False  # refused with a reason of its own, as a deadlock or a full disk: nothing was written
                if attempt + 1 == _ATTEMPTS:
                    raise
            except psycopg.errors.UniqueViolation as taken:
                return attempt > 0 and taken.diag.constraint_name == "delivery_pkey"
            except psycopg.Error:
                return False
            else:
                for one, rid in zip(group, rids, strict=True):
                    one.ready.draft.rid = rid
                return True
            finally:
                await self._pool.putconn(connection)
        return False


def _own_parameters(group: Sequence[_Passenger]) -> list[bytes | None]:
    moments = arrays.microseconds
    content, rows = audit.sealed([one.terms.event(one.ready.written) for one in group])
    return [
        arrays.int8([one.number for one in group]),
        arrays.int4([one.source.key for one in group]),
        arrays.instant([moments(one.arrival.received_at) for one in group]),
        arrays.instant([moments(one.settled) for one in group]),
        arrays.text([one.arrival.message_type[:60] for one in group]),
        arrays.bytea([ledger.digest(one.arrival.raw) for one in group]),
        arrays.int8([len(one.arrival.raw) for one in group]),
        arrays.text([orjson.dumps(one.arrival.interaction).decode() for one in group]),
        arrays.bytea([ledger.pack(one.arrival.raw) for one in group]),
        content,
        rows,
    ]


def _bigints(array: bytes) -> list[int]:
    """A bigint[] without nulls as PostgreSQL sends it."""
    return [int.from_bytes(array[n : n + 8], "big", signed=True) for n in range(24, len(array), 12)]
