"""The store's face: one object with everything the rooms above may ask of it. Stateless; connections are passed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from healthbrain.database import Connection, Pool
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import bundles, labels, reading, ready, reindexing, searching, texts, writing
from healthbrain.store.arrays import Array
from healthbrain.store.parameters import Custom, listed
from healthbrain.store.terminology import StoredTerminology, Terminology
from healthbrain.store.values import WHOLE, Care, Observer, Page, Stored, Write, WriteContext, Written


class Store:
    """FHIR resources on PostgreSQL.

    Whoever writes owns the transaction: nothing is committed here, and after an error the transaction must be rolled
    back. Reads apply the scope they are given, in every statement.
    """

    def __init__(self, terminology: Terminology | None = None) -> None:
        self._terminology = terminology or StoredTerminology()

    async def write(
        self,
        connection: Connection,
        writes: Sequence[Write],
        context: WriteContext,
        *,
        observers: Sequence[Observer] = (),
        validated: bool = False,
    ) -> list[Written]:
        """Write them all, in order, in a handful of statements.

        Raises Invalid (with every issue), Incorrect, Conflict, PreconditionFailed or Forbidden. `validated` says that
        the caller has run fhir.validate on each resource. Observers run in the same transaction, after the writing.
        """
        return await writing.write(connection, writes, context, observers=observers, validated=validated)

    async def write_new(
        self, connection: Connection, columns: Sequence[Array], types: Collection[str]
    ) -> list[int | None]:
        """Write those of some resources made ready (`ready_write`, given as `ready_columns`) that are new.

        Returns the rid of each; None: it is here already and nothing of it was written. `types` are theirs. A store that
        narrows what may be written must override this too.
        """
        return await ready.write_new(connection, columns)

    async def bundle(
        self,
        connection: Connection,
        bundle: dict[str, Any],
        context: WriteContext,
        *,
        observers: Sequence[Observer] = (),
        largest: int = bundles.LARGEST_BUNDLE,
    ) -> dict[str, Any]:
        """Process a transaction or batch Bundle; returns the response Bundle. A transaction raises when it cannot be
        done; a batch answers with an OperationOutcome for each entry that cannot."""
        return await bundles.process(connection, bundle, context, observers=observers, largest=largest)

    async def read(self, connection: Connection, type: str, id: str, *, scope: Scope = EVERYTHING) -> Stored:
        """The current version. Raises NotFound (also when it is not open to `scope`) or Gone."""
        return await reading.read(connection, type, id, scope=scope)

    async def read_many(
        self, connection: Connection, keys: Sequence[tuple[str, str]], *, scope: Scope = EVERYTHING
    ) -> list[Stored]:
        """Those of the (type, id) that are here, not deleted and open to `scope`, in the order asked for."""
        return await reading.read_many(connection, keys, scope=scope)

    async def vread(
        self, connection: Connection, type: str, id: str, version: int, *, scope: Scope = EVERYTHING
    ) -> Stored:
        """One version. Raises NotFound, or Gone for the version that is a deletion."""
        return await reading.vread(connection, type, id, version, scope=scope)

    async def history(
        self,
        connection: Connection,
        type: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        during: tuple[datetime, datetime] | None = None,
        count: int = 100,
        cursor: str | None = None,
        scope: Scope = EVERYTHING,
    ) -> Page:
        """Versions newest first, of one resource, one type or everything; deletions are in it with an empty body.

        `during` keeps those that were current at some moment of that time.
        """
        return await reading.history(
            connection, type, id, since=since, during=during, count=count, cursor=cursor, scope=scope
        )

    async def search(
        self,
        connection: Connection,
        type: str | None,
        parameters: Sequence[tuple[str, str]],
        *,
        scope: Scope | Mapping[str, Scope] = EVERYTHING,
        strict: bool = True,
        within: tuple[str, str] | None = None,
    ) -> Page:
        """Resources that fulfil every parameter, a page at a time.

        `type` None searches the types of `_type`, or all; `scope` may then be one for each type, and types that it
        does not name are left out. `within` is the (type, id) whose compartment is searched.
        Beside the types' own parameters: _count, _sort, _total, _summary=count, _include, _revinclude (with :iterate),
        _filter, _list, _text, _content, and `_cursor` with the `next` of the page before. Raises Incorrect for a parameter the type does
        not have (ignored when not `strict`) and Unsupported for what is right but not offered.
        """
        return await searching.search(
            connection, type, parameters, scope=scope, strict=strict, terminology=self._terminology, within=within
        )

    async def labels(self, connection: Connection, scopes: Mapping[str, Scope]) -> list[dict[str, Any]]:
        """The profiles, tags and security labels in use in the types of `scopes`; a Meta with one of them each."""
        return await labels.labels(connection, scopes)

    async def parameters(self, connection: Connection) -> list[Custom]:
        """The search parameters added at run time, with how far older resources are indexed, and those refused."""
        return await listed(connection)

    async def reindex(self, connection: Connection) -> bool:
        """One step of indexing older resources for added search parameters; whether there may be more to do at once."""
        return await reindexing.reindex(connection)

    async def index_texts(self, pool: Pool) -> bool:
        """One step of bringing the text index up to the change feed; whether there may be more to do at once."""
        return await texts.index_texts(pool)

    async def everything(
        self,
        connection: Connection,
        patient_id: str,
        *,
        scope: Scope = EVERYTHING,
        count: int = 50,
        cursor: str | None = None,
        care: Care = WHOLE,
    ) -> Page:
        """The Patient, then every resource in its compartment that `care` leaves, in order of creation."""
        return await searching.everything(connection, patient_id, scope=scope, count=count, cursor=cursor, care=care)
