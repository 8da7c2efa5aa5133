"""One search under way: who asks, how strictly, and what had to be looked up before its SQL could be written.

Conditions are made without touching the database. When one depends on what is stored (the codes of a value set, the
entries of a list, the units in use), it raises `Wanted`; the search fetches that, once, and makes the conditions again.
A search that needs nothing pays nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from healthbrain.database import Connection
from healthbrain.errors import TooLarge
from healthbrain.fhir import extract
from healthbrain.fhir.values import IndexValues
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store.parameters import Catalog, catalog, values_of
from healthbrain.store.terminology import StoredTerminology, Terminology
from healthbrain.store.types import TypeIndex, type_index

T = TypeVar("T")
_MOST_SELECTS = 300  # types and steps that the chains of one search may visit together


class Need(ABC):
    """Something stored that a condition depends on. Hashable: the same need is fetched once."""

    @abstractmethod
    async def fetch(self, connection: Connection, asking: Asking) -> Any:
        """What is stored, as far as it is open to the reader."""


class Wanted(Exception):
    """A condition cannot be made before this need is known."""

    def __init__(self, need: Need) -> None:
        super().__init__()
        self.need = need


@dataclass(frozen=True, slots=True)
class _Added(Need):
    """The parameters added at run time, as they are now."""

    async def fetch(self, connection: Connection, asking: Asking) -> Catalog:
        return await catalog(connection, trust=0)


_ADDED = _Added()


@dataclass(slots=True)
class Asking:
    """The reader's scope, and what is known so far."""

    scope: Scope = EVERYTHING
    strict: bool = True
    terminology: Terminology = field(default_factory=StoredTerminology)
    known: dict[Need, Any] = field(default_factory=dict)
    selects: int = 0
    ignored: set[str] = field(default_factory=set)  # parameters that are unknown, when not strict
    notes: list[str] = field(default_factory=list)  # what the reader should be told beside the result

    def need(self, need: Need) -> Any:
        """What was fetched for a need."""
        if need not in self.known:
            raise Wanted(need)
        return self.known[need]

    async def until_known(self, connection: Connection, make: Callable[[], T]) -> T:
        """What `make` makes, once everything it needs is fetched."""
        while True:
            self.selects = 0
            try:
                return make()
            except Wanted as wanted:
                self.known[wanted.need] = await wanted.need.fetch(connection, self)

    def index(self, type_: str) -> TypeIndex:
        """The parameters of a type; those added at run time among them once somebody asked for one (see `has`)."""
        known: Catalog | None = self.known.get(_ADDED)
        return known.index(type_) if known is not None else type_index(type_)

    def has(self, index: TypeIndex, name: str) -> bool:
        """Whether a type has a parameter; a name that R4 does not know may have been added at run time."""
        if name in index.parameters:
            if index is not type_index(index.name):
                self._note(index.name, name)
            return True
        self.need(_ADDED)
        return False

    def values(self, type_: str, resource: dict[str, Any]) -> IndexValues:
        """What a resource is found by, through added parameters too if the search asked for one."""
        found = extract(resource)
        known: Catalog | None = self.known.get(_ADDED)
        for custom in known.customs.get(type_, {}).values() if known is not None else ():
            more = values_of(custom.parameter, resource)
            found = found._replace(
                tokens=found.tokens + more.tokens,
                references=found.references + more.references,
                uris=found.uris + more.uris,
            )
        return found

    def _note(self, type_: str, name: str) -> None:
        custom = self.known[_ADDED].customs.get(type_, {}).get(name)
        if custom is not None and custom.state != "ready":
            text = (
                f"{type_}.{name} was added lately; {custom.share:.0%} of what was here before is indexed, so older"
                " resources may be missing"
            )
            if text not in self.notes:
                self.notes.append(text)

    def count_select(self, written: str) -> None:
        """One more type visited by a chain; TooLarge when it branches without bound."""
        self.selects += 1
        if self.selects > _MOST_SELECTS:
            raise TooLarge(
                f"'{written}' may lead over too many types; name the type after each reference, as in a:Type.b"
            )
