"""The platform as one object: settings, database pool and the rooms, wired the same way for every edge.

Rooms on one floor do not know each other; what joins them lives here: identity links each Patient that the store
writes, a family-doctor contract written as EpisodeOfCare fills the doctor's panel, arrivals go through the exchange
ledger into the store with those observers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from healthbrain import access, audit, exchange, identity
from healthbrain.access import Tree
from healthbrain.database import Connection, Pool, open_pool
from healthbrain.exchange import notify
from healthbrain.fhir import Definitions, definitions
from healthbrain.runtime.database import dsn_of
from healthbrain.runtime.panel import fill_panel
from healthbrain.runtime.partners import Desk
from healthbrain.scope import Action, Principal, Scope
from healthbrain.settings import Settings
from healthbrain.store import Observer, Store, Watching

_POOL_SIZE = 10
_READERS = 8
_SINGLES = 6


class Platform:
    """Open it once per process: `async with Platform(settings) as platform`."""

    def __init__(self, settings: Settings, *, dsn: str | None = None) -> None:
        self.settings = settings
        self.dsn = dsn or dsn_of(settings)
        self.store = Store()
        self.observers: tuple[Observer, ...] = (
            Watching(frozenset({"Patient"}), identity.link),
            Watching(frozenset({"EpisodeOfCare"}), fill_panel),
            Watching(frozenset({"Subscription"}), notify.Keeper(settings.subscription_hosts)),
        )
        self.audit = audit.Recorder(settings.data / "audit", name=f"{os.getpid()}")
        self.partners = Desk()
        self._pool: Pool | None = None
        self._readers: Pool | None = None
        self._singles: Pool | None = None
        self._ledger: exchange.Ledger | None = None

    @property
    def pool(self) -> Pool:
        """The open connection pool."""
        if self._pool is None:
            raise RuntimeError("the platform is not open; use `async with platform`")
        return self._pool

    @property
    def readers(self) -> Pool:
        """Connections for single statements; see `open_pool(reading=True)`."""
        if self._readers is None:
            raise RuntimeError("the platform is not open; use `async with platform`")
        return self._readers

    @property
    def singles(self) -> Pool:
        """Connections for single statements that have one good plan: reads by key, writes by one call."""
        if self._singles is None:
            raise RuntimeError("the platform is not open; use `async with platform`")
        return self._singles

    @property
    def ledger(self) -> exchange.Ledger:
        """The doors' way into the store, with the observers of this platform."""
        if self._ledger is None:
            self._ledger = exchange.Ledger(
                self.pool, self.store, self.observers, unknown_sources=self.settings.unknown_sources
            )
        return self._ledger

    @property
    def definitions(self) -> Definitions:
        """FHIR R4 definitions."""
        return definitions()

    def clock(self) -> datetime:
        """Now, in UTC. The only place where the time is taken."""
        return datetime.now(UTC)

    async def __aenter__(self) -> Self:
        definitions()
        self._pool = await open_pool(self.dsn, size=_POOL_SIZE)
        self._readers = await open_pool(self.dsn, size=_READERS, reading=True)
        self._singles = await open_pool(self.dsn, size=_SINGLES, reading=True, generic=True)
        await self.audit.open(self._pool)
        self.partners.open(self._pool)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.audit.close()
        await self.partners.close()
        for pool in (self._readers, self._singles):
            if pool is not None:
                await pool.close()
        self._readers = self._singles = None
        if self._pool is not None:
            await self._pool.close()
            self._pool = self._ledger = None

    # -- what joins the rooms

    async def tree(self, connection: Connection | None = None) -> Tree:
        """The organisation tree."""
        if connection is not None:
            return await access.organisations(connection)
        async with self.pool.connection() as own:
            return await access.organisations(own)

    async def decide(self, connection: Connection, principal: Principal, action: Action, type: str) -> Scope:
        """What `principal` may touch of `type`; raises Forbidden."""
        return await access.decide(connection, principal, action, type, self.clock(), patients_of=identity.patients_of)

    async def receive(self, arrival: exchange.Arrival) -> exchange.Receipt:
        """Take one arrival through the ledger into the store."""
        return await self.ledger.receive(arrival, at=self.clock())

    async def persons_of(self, connection: Connection, patients: Iterable[int]) -> dict[int, str]:
        """The person of each patient key that is linked."""
        return await identity.person_of(connection, list(patients))
