"""Taking in what arrives: read, translate, write, and put it in the ledger; then, and only then, acknowledge.

One database transaction holds the resources, what the observers add, and the ledger row: what is acknowledged is there
exactly once. When anything is wrong the transaction is rolled back and the arrival is put in the ledger as refused (the
sender's fault) or failed (ours, to be replayed) in a transaction of its own. When even that can't be written the sender is told to
send again and nothing is acknowledged. The lists of states and of what leads to them: docs/reference/exchange.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from healthbrain.access import Tree, organisations
from healthbrain.database import Connection, Pool
from healthbrain.errors import (
    Busy,
    Conflict,
    Fault,
    HealthBrainError,
    Invalid,
    Issue,
    Unavailable,
    http_status,
)
from healthbrain.exchange import ledger
from healthbrain.exchange.express import Express, Lost, Terms
from healthbrain.exchange.fhir_door import write_fhir
from healthbrain.exchange.hl7v2.ack import Verdict, acknowledge
from healthbrain.exchange.hl7v2.charset import first_line
from healthbrain.exchange.hl7v2.dates import moment
from healthbrain.exchange.hl7v2.door import write_translation
from healthbrain.exchange.hl7v2.message import Message, parse
from healthbrain.exchange.hl7v2.translate import Translation, translate
from healthbrain.exchange.sources import admit, quarantine, source, source_for_mllp
from healthbrain.exchange.values import Arrival, Receipt, Source, State
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Observer, Store, WriteContext, Written, watched

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_LARGE = 256 * 1024  # bytes; from here on reading happens in a thread
_ATTEMPTS = 4  # when two transactions block each other one of them is begun again
_CACHE_SECONDS = 5.0
COLLIDED = (Busy, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)  # the store says Busy
DOWN = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed, OSError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the writing inside the transaction came to."""

    written: tuple[Written, ...] = ()
    response: Any = None
    entries: int = 0
    changed: int = 0
    refused: int = 0
    issues: tuple[Issue, ...] = ()
    message_at: datetime | None = None

    @property
    def state(self) -> State:
        """`partly` when some entries of a batch were refused."""
        if not self.refused:
            return "accepted"
        return "partly" if self.refused < self.entries else "refused"


class Writer(Protocol):
    """Writes the content of one arrival; called once per try, inside the transaction."""

    def __call__(self, connection: Connection, delivery: int) -> Awaitable[Outcome]: ...


@dataclass(frozen=True, slots=True)
class Again:
    """A further attempt of a delivery that is already in the ledger."""

    delivery: int
    by: str


class _AlreadyHere(Exception):
    pass


class Ledger:
    """The doors' way into the store. One per process; connections come from its pool."""

    def __init__(
        self,
        pool: Pool,
        store: Store,
        observers: Sequence[Observer] = (),
        *,
        unknown_sources: str = "accept",
        singles: Pool | None = None,
        beside: Sequence[Observer] = (),
    ) -> None:
        """`singles` lends connections in autocommit: with them single writes take the express lane. Observers `beside` see
        every write that does not; for one that does, what they would do is in its Terms.
        """
        self.pool = pool
        self.store = store
        self.observers = (*observers, *beside)
        self._watching = tuple(observers)
        self._express = Express(singles) if singles else None
        self._accept_unknown = unknown_sources == "accept"
        self._sources: dict[object, tuple[float, Source | None]] = {}
        self._tree: tuple[float, Tree | None] = (0.0, None)

    async def receive(
        self, arrival: Arrival, *, at: datetime, again: Again | None = None, terms: Terms | None = None
    ) -> Receipt:
        """Take in one arrival; never raises for what was sent or for a database that is down: the receipt says it.

        With `terms` a single FHIR write may take the express lane.
        """
        if arrival.door == "hl7v2":
            return await self._hl7v2(arrival, at, again)
        owner = None
        try:
            owner = await self._source(arrival.source)
            if owner is None:
                raise Conflict("a FHIR arrival needs a registered source; issue a token for one")
            admit(owner)
        except HealthBrainError as error:
            return await self._not_taken(arrival, None, error, at, again)
        except DOWN as error:
            return _lost(error)
        if terms is not None and (receipt := await self._quickly(arrival, owner, terms, at)) is not None:
            return receipt
        taken = owner

        async def write(connection: Connection, delivery: int) -> Outcome:
            scope = await self.scope_of(taken, connection)
            context = WriteContext(taken.organisation, at, delivery, arrival.author, scope, invariants=taken.invariants)
            if arrival.limits is not None:
                context = arrival.limits.narrowed(context)
            done = await write_fhir(connection, self.store, arrival, context, self.observers)
            return Outcome(**done)

        return await self._take_in(arrival, taken, write, at=at, again=again)

    async def refuse(
        self, arrival: Arrival, error: HealthBrainError, *, at: datetime, size: int | None = None
    ) -> Receipt:
        """List an arrival that can't even be read (a broken frame); `size` is what it had been."""
        return await self._not_taken(arrival, None, error, at, None, size=size)

    async def _quickly(self, arrival: Arrival, owner: Source, terms: Terms, at: datetime) -> Receipt | None:
        """By the express lane; None when it is not for this one."""
        wanted = arrival.interaction
        if self._express is None or wanted is None or wanted.condition or wanted.if_none_exist or arrival.control_id:
            return None
        if watched(self._watching, wanted.type):
            return None
        try:
            return await self._express.take_in(arrival, owner, terms, at)
        except Lost as error:
            return _lost(error)

    # -- HL7 v2

    async def _hl7v2(self, arrival: Arrival, at: datetime, again: Again | None) -> Receipt:
        sender: Source | None = None
        message: Message | None = None
        try:
            sender = await self._sender(arrival, at)
            registered = sender.charset if sender else ""
            message = await _maybe_in_thread(arrival.raw, lambda: parse(arrival.raw, registered=registered))
            arrival = replace(arrival, control_id=message.control_id, message_type=message.type)
            if sender is None:
                return await self._stranger(arrival, message, at, again)
            admit(sender)
            if not message.control_id:
                raise _required("MSH-10", "a message control id is required")
            known = sender
            made = await _maybe_in_thread(arrival.raw, lambda: translate(message, known.sender, at=at))
            if made.refused:
                raise Invalid("the message is refused", issues=made.issues)
        except HealthBrainError as error:
            receipt = await self._not_taken(arrival, sender, error, at, again, _said_at(message, sender))
            return _acknowledged(receipt, message or arrival.raw, "AE" if isinstance(error, Invalid) else "AR", at)
        except DOWN as error:
            return _acknowledged(_lost(error), message or arrival.raw, "AE", at)
        except Exception as error:
            receipt = await self._not_taken(arrival, sender, _fault(error), at, again)
            return _acknowledged(receipt, message or arrival.raw, "AE", at)
        receipt = await self._take_in(
            arrival, known, self._translated(made, known, at, _said_at(message, known)), at=at, again=again
        )
        return _acknowledged(receipt, message, "AA" if receipt.state in {"accepted", "duplicate"} else "AE", at)

    def _translated(self, made: Translation, sender: Source, at: datetime, said_at: datetime | None) -> Writer:
        async def write(connection: Connection, delivery: int) -> Outcome:
            scope = await self.scope_of(sender, connection)
            context = WriteContext(sender.organisation, at, delivery, sender.code, scope, invariants=sender.invariants)
            done = await write_translation(connection, self.store, made.made, context, self.observers)
            changed = sum(one.changed for one in done)
            return Outcome(tuple(done), None, len(made.made), changed, 0, made.issues, said_at)

        return write

    async def _sender(self, arrival: Arrival, at: datetime) -> Source | None:
        if arrival.source is not None:
            return await self._source(arrival.source)
        line = first_line(arrival.raw)
        if len(line) < 8 or not line.startswith("MSH"):
            return None
        fields = line.split(line[3])
        component = line[4]
        application, facility = ((fields[n].split(component)[0].strip() if len(fields) > n else "") for n in (2, 3))
        key = (application, facility)
        if (held := self._held(key)) is not None:
            return held
        async with self.pool.connection() as connection:
            found = await source_for_mllp(connection, application, facility)
            if found is None and self._accept_unknown:
                found = await quarantine(connection, application, facility, at)
        self._sources[key] = (time.monotonic() + _CACHE_SECONDS, found)
        return found

    async def _stranger(self, arrival: Arrival, message: Message, at: datetime, again: Again | None) -> Receipt:
        issue = Issue(
            "error", "forbidden", "MSH-4", "this facility is not registered here; ask the platform to register it"
        )
        error = HealthBrainError("MSH-4: the sending facility is not registered", issues=[issue])
        receipt = await self._not_taken(arrival, None, error, at, again, refused=True)
        return _acknowledged(receipt, message, "AR", at)

    async def scope_of(self, source: Source, connection: Connection) -> Scope:
        """What a source may change: what its organisation and those below it own, whoever sends or replays for it."""
        until, tree = self._tree
        if tree is None or until < time.monotonic() or source.organisation not in tree:
            tree = await organisations(connection)
            self._tree = (time.monotonic() + _CACHE_SECONDS, tree)
        return EVERYTHING if tree.covers_all(source.organisation) else Scope(tree.subtree(source.organisation), ())

    async def _source(self, key: int | None) -> Source | None:
        if key is None:
            return None
        if (held := self._held(key)) is not None:
            return held
        async with self.pool.connection() as connection:
            found = await source(connection, key)
        self._sources[key] = (time.monotonic() + _CACHE_SECONDS, found)
        return found

    def forget_sources(self) -> None:
        """Look every source up again, because one was changed in this process."""
        self._sources.clear()

    def _held(self, key: object) -> Source | None:
        until, found = self._sources.get(key, (0.0, None))
        return found if until > time.monotonic() else None

    # -- the transaction

    async def _take_in(
        self, arrival: Arrival, owner: Source, write: Writer, *, at: datetime, again: Again | None
    ) -> Receipt:
        error: HealthBrainError
        for attempt in range(_ATTEMPTS):
            try:
                return await self._try(arrival, owner, write, at, again)
            except _AlreadyHere:
                return await self._duplicate(arrival, owner, at, again)
            except COLLIDED as clash:
                if attempt + 1 < _ATTEMPTS:
                    await asyncio.sleep(0.01 * (attempt + 1))
                    continue
                error = Busy("others write the same records at this moment; send again")
                _log.warning("delivery given up after %d collisions: %s", _ATTEMPTS, type(clash).__name__)
            except HealthBrainError as wrong:
                error = wrong
            except DOWN as down:
                error = Unavailable("the database can't be reached or can't write; nothing was stored, send again")
                _log.error("delivery not stored: %s", _described(down))
            except Exception as ours:
                error = _fault(ours)
            return await self._not_taken(arrival, owner, error, at, again)
        raise AssertionError("unreachable")

    async def _try(self, arrival: Arrival, owner: Source, write: Writer, at: datetime, again: Again | None) -> Receipt:
        begun = time.monotonic()
        async with self.pool.connection() as connection, connection.transaction():
            number = again.delivery if again else await ledger.next_id(connection)
            if again:
                earlier = await ledger.known(connection, owner.key, arrival.control_id or "", arrival.message_type)
                if earlier is not None and earlier[0] != number:
                    raise _AlreadyHere
            outcome = await write(connection, number)
            entry = _entry(
                arrival, owner, outcome.state, _later(at, begun), message_at=outcome.message_at,
                entries=outcome.entries, written=outcome.changed, refused=outcome.refused, issues=outcome.issues,
            )  # fmt: skip
            if again:
                await ledger.settle(connection, number, entry, again.by)
            elif not await ledger.record(connection, number, entry, arrival.raw):
                raise _AlreadyHere
        return Receipt(number, outcome.state, outcome.issues, outcome.response, outcome.written)

    async def _duplicate(self, arrival: Arrival, owner: Source, at: datetime, again: Again | None) -> Receipt:
        """The number was taken in before: the same content is acknowledged again, another one is a conflict."""
        digest = ledger.digest(arrival.raw)
        try:
            async with self.pool.connection() as connection, connection.transaction():
                earlier = await ledger.known(connection, owner.key, arrival.control_id or "", arrival.message_type)
                same = earlier is not None and earlier[1] == digest
                if earlier is not None and same:
                    number = again.delivery if again else await ledger.next_id(connection)
                    entry = replace(_entry(arrival, owner, "duplicate", at), original=earlier[0])
                    if again:
                        await ledger.settle(connection, number, entry, again.by)
                    else:
                        await ledger.record(connection, number, entry, None)
                    return Receipt(number, "duplicate", original=earlier[0])
        except DOWN as error:
            return _lost(error)
        place = "MSH-10" if arrival.door == "hl7v2" else ""
        issue = Issue(
            "error",
            "conflict",
            place,
            "this number was used before for other content; give every message a number of its own",
        )
        return await self._not_taken(arrival, owner, Conflict(issue.text, issues=[issue]), at, again)

    async def _not_taken(
        self,
        arrival: Arrival,
        owner: Source | None,
        error: HealthBrainError,
        at: datetime,
        again: Again | None,
        message_at: datetime | None = None,
        *,
        refused: bool = False,
        size: int | None = None,
    ) -> Receipt:
        """Put a refusal or failure in the ledger, in a transaction of its own."""
        ours = not refused and ((http_status(error) >= 500 and http_status(error) != 501) or isinstance(error, Busy))
        state: State = "failed" if ours else "refused"
        issues = error.issues or (Issue("error", "transient" if ours else "processing", "", error.message),)
        entry = _entry(arrival, owner, state, at, message_at=message_at, refused=1, issues=issues, error=error)
        if size is not None:
            entry = replace(entry, size=size)
        try:
            async with self.pool.connection() as connection, connection.transaction():
                number = again.delivery if again else await ledger.next_id(connection)
                if again:
                    await ledger.settle(connection, number, entry, again.by)
                else:
                    await ledger.record(connection, number, entry, arrival.raw)
        except DOWN as down:
            return _lost(down)
        return Receipt(number, state, tuple(issues), None, (), error)


def _entry(arrival: Arrival, owner: Source | None, state: State, settled_at: datetime, **more: Any) -> ledger.Entry:
    return ledger.Entry(
        source=owner.key if owner else arrival.source,
        door=arrival.door,
        received_at=arrival.received_at,
        settled_at=settled_at,
        state=state,
        digest=ledger.digest(arrival.raw),
        size=len(arrival.raw),
        control_id=(arrival.control_id or "")[:200],
        message_type=arrival.message_type[:60],
        name=arrival.name[:300],
        request=asdict(arrival.interaction) if arrival.interaction else None,
        limits=arrival.limits.as_json() if arrival.limits and state not in {"accepted", "duplicate"} else None,
        **more,
    )


def _acknowledged(receipt: Receipt, message: Message | bytes, verdict: Verdict, at: datetime) -> Receipt:
    if receipt.state in {"failed"}:
        verdict = "AE"
    response = acknowledge(message, verdict, receipt.issues, at=at, number=receipt.delivery)
    return replace(receipt, response=response)


def _lost(error: Exception) -> Receipt:
    """Nothing could be written, not even that: the sender keeps the message."""
    _log.error("the ledger can't be written: %s", _described(error))
    stored = (
        "perhaps it was stored, look or send it again" if isinstance(error, Lost) else "nothing was stored, send again"
    )
    wrong = Unavailable(f"the database can't be reached or can't write; {stored}")
    return Receipt(None, "failed", (Issue("error", "transient", "", wrong.message),), error=wrong)


def _fault(error: Exception) -> Fault:
    # the text of a foreign exception may hold a patient's values: only its kind and place are logged
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "?"
    _log.error("arrival failed by our mistake: %s at %s", _described(error), where)
    return Fault("an error on our side; the message is kept and will be replayed")


def _described(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}{f' ({state})' if state else ''}"


def _required(place: str, text: str) -> Invalid:
    return Invalid(f"{place}: {text}", issues=[Issue("error", "required", place, text)])


def _said_at(message: Message | None, sender: Source | None) -> datetime | None:
    """MSH-7, when it is readable and not absurd."""
    if message is None:
        return None
    try:
        return moment(message.header.text(7), sender.zone if sender else "+08:00").starts
    except (ValueError, OverflowError):
        return None


def _later(at: datetime, begun: float) -> datetime:
    return at + timedelta(seconds=time.monotonic() - begun)


async def _maybe_in_thread(raw: bytes, work: Callable[[], _T]) -> _T:
    return await asyncio.to_thread(work) if len(raw) > _LARGE else work()


async def receive(
    pool: Pool,
    arrival: Arrival,
    *,
    store: Store,
    observers: Sequence[Observer] = (),
    at: datetime,
    unknown_sources: str = "accept",
) -> Receipt:
    """Take in one arrival. For many of them keep a `Ledger`."""
    return await Ledger(pool, store, observers, unknown_sources=unknown_sources).receive(arrival, at=at)
