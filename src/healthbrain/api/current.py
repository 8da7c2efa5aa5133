"""What belongs to one request while it is inside the process's ledger: how far it may reach, and who watches.

The ledger is shared by all requests of a process. The scope narrows every write of the store below it, and the witness
sees what was written; both travel in a context variable, because the ledger need not know of either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from healthbrain.api.entries import Reach
from healthbrain.api.witness import Witness
from healthbrain.database import Connection
from healthbrain.errors import Unsupported
from healthbrain.scope import Scope
from healthbrain.store import LARGEST_BUNDLE, Array, Observer, Store, Write, WriteContext, Written


@dataclass(frozen=True, slots=True)
class Change:
    """The change that is being made by the running request."""

    scope: Scope
    witness: Witness
    reach: Reach | None = None  # of the entries of a bundle
    elsewhere: frozenset[int] = frozenset()  # entries of a batch that are answered one by one
    operate: Operate | None = None  # answers an operation in a transaction


Operate = Callable[[Connection, int], Awaitable[dict[str, Any]]]
_CURRENT: ContextVar[Change] = ContextVar("change")


@contextmanager
def changing(
    scope: Scope,
    witness: Witness,
    reach: Reach | None = None,
    elsewhere: frozenset[int] = frozenset(),
    operate: Operate | None = None,
) -> Iterator[None]:
    """Inside, everything written is written by this change."""
    token = _CURRENT.set(Change(scope, witness, reach, elsewhere, operate))
    try:
        yield
    finally:
        _CURRENT.reset(token)


async def observe(connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
    """Store observer: tells the witness of the current change."""
    await _CURRENT.get().witness(connection, context, written)


class ScopedStore(Store):
    """The store with every write narrowed to the scope of the current change."""

    async def write(
        self,
        connection: Connection,
        writes: Sequence[Write],
        context: WriteContext,
        *,
        observers: Sequence[Observer] = (),
        validated: bool = False,
    ) -> list[Written]:
        """As `Store.write`."""
        return await super().write(connection, writes, _narrowed(context), observers=observers, validated=validated)

    async def write_new(
        self, connection: Connection, columns: Sequence[Array], types: Collection[str]
    ) -> list[int | None]:
        """Nothing that the API takes in is prepared for this."""
        raise Unsupported("the API writes one by one and in bundles")

    async def bundle(
        self,
        connection: Connection,
        bundle: dict[str, Any],
        context: WriteContext,
        *,
        observers: Sequence[Observer] = (),
        largest: int = LARGEST_BUNDLE,
    ) -> dict[str, Any]:
        """As `Store.bundle`."""
        return await super().bundle(connection, bundle, _narrowed(context), observers=observers, largest=largest)


def _narrowed(context: WriteContext) -> WriteContext:
    current = _CURRENT.get()
    elsewhere = context.elsewhere | current.elsewhere
    return replace(context, scope=current.scope, reach=current.reach, elsewhere=elsewhere, operate=current.operate)
