"""What goes into the store and what comes out: frozen values, no behaviour beyond reading them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from healthbrain.database import Connection
from healthbrain.fhir import parse
from healthbrain.scope import EVERYTHING, Action, Scope

Kind = Literal["create", "update", "delete", "merge"]


NOTHING = -1


@dataclass(frozen=True, slots=True)
class Write:
    """One wish to change a resource.

    `create` without id gets one from the server. `update` is an upsert by id. `merge` lays the elements present in
    `resource` over the current version (objects recursively, lists and plain values replaced) and creates it when it
    is not there. `if_match` is the version the sender has seen; NOTHING when it must not be there.
    """

    kind: Kind
    type: str
    id: str | None
    resource: Mapping[str, Any] | None
    if_match: int | None = None


@dataclass(frozen=True, slots=True)
class WriteContext:
    """Who writes and when. Existing resources outside `scope` are not touched (Forbidden).

    `reach` says how far each entry of a bundle may go, by what it does to which type; it raises when that is nowhere.
    Without it `scope` holds for all of them. The changes of a transaction always have `scope`, being one change.
    Without `invariants` a resource need not keep R4's rules, only have its structure. `elsewhere` are the entries of a
    batch that somebody else answers: they are passed over. `operate` answers an entry that calls an operation which
    reads, on the connection of the bundle; without it such an entry has no answer.
    """

    owner: int
    at: datetime
    delivery: int | None = None
    author: str = ""
    scope: Scope = EVERYTHING
    reach: Callable[[Action, str], Scope] | None = None
    invariants: bool = True
    elsewhere: frozenset[int] = frozenset()
    operate: Callable[[Connection, int], Awaitable[dict[str, Any]]] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a Write. `changed` is False when the content was already there: no new version."""

    type: str
    id: str
    version: int
    created: bool
    changed: bool
    deleted: bool
    rid: int
    patient: int | None
    updated: datetime
    resource: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Care:
    """Which part of a patient's record: of these types, cared for from `start` on and before `end`, changed since."""

    types: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    since: datetime | None = None


WHOLE = Care()

Observer = Callable[[Connection, WriteContext, Sequence[Written]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Watching:
    """An observer that is told only of some types; writes of others need not wait for it."""

    types: frozenset[str]
    observer: Observer

    async def __call__(self, connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
        """As an Observer."""
        seen = [one for one in written if one.type in self.types]
        if seen:
            await self.observer(connection, context, seen)


def watched_types(observers: Sequence[Observer]) -> frozenset[str] | None:
    """The types that observers want to see; None when somebody wants to see all."""
    types: frozenset[str] = frozenset()
    for one in observers:
        if not isinstance(one, Watching):
            return None
        types |= one.types
    return types


def watched(observers: Sequence[Observer], type: str) -> bool:
    """Whether one of the observers wants to see writes of this type."""
    return any(not isinstance(one, Watching) or type in one.types for one in observers)


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource as it is kept. `body` is its JSON, ready to send."""

    type: str
    id: str
    version: int
    updated: datetime
    owner: int
    delivery: int | None
    patient: int | None
    body: bytes
    deleted: bool
    rid: int = 0
    inside: str = ""  # Type/id of the resource that contains it

    @property
    def resource(self) -> dict[str, Any]:
        """The body, parsed."""
        return parse(self.body)


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a result. `next` is the cursor of the following page; `total` is known only when asked for."""

    matches: list[Stored]
    included: list[Stored]
    next: str | None
    total: int | None = None
    notes: tuple[str, ...] = ()  # what the reader should know about the result
    ignored: frozenset[str] = frozenset()  # parameters that had no part in it, as they were written
