"""Writes made ready before their transaction begins, so that one call of the database carries many of them.

What is there is read without a lock; when somebody changes it meanwhile the database refuses the whole call
(resource_write_2 in strict mode) and the writes go the ordinary way, one by one. So this is only for single writes of which
nearly all are undisturbed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.database import Connection, Statement
from healthbrain.store import arrays, binary
from healthbrain.store.bundles import plain_entries, write_of
from healthbrain.store.columns import SideRows, version_columns
from healthbrain.store.drafts import Current, Draft, check, draft_of
from healthbrain.store.parameters import Catalog, remembered
from healthbrain.store.statements import SQL
from healthbrain.store.values import Write, WriteContext, Written
from healthbrain.store.writing import decide, finish, meet, to_the_millisecond, written_of

# the parameters of resource_write_2 after the first; OIDs as arrays.py makes them
_KINDS = (
    arrays.Instant, arrays.Int4, arrays.Int8,
    arrays.Int8, arrays.Uuid, arrays.Int2, arrays.Text, arrays.Int4, arrays.Int8, arrays.Int8,
    arrays.Instant, arrays.Instant, arrays.Text, arrays.Bytes, arrays.Text,
    arrays.Int4, arrays.Int4, arrays.Instant, arrays.Instant,
    arrays.Int4, arrays.Int4, arrays.Float8, arrays.Float8, arrays.Int8, arrays.Int8, arrays.Int8,
    arrays.Int4, arrays.Int4, arrays.Text,
    arrays.Int4, arrays.Int8, arrays.Text,
)  # fmt: skip
READY_TYPES = tuple(kind.oid for kind in _KINDS)

_CURRENT = Statement(
    "select rtype, fhir_id, rid, version, deleted, owner, patient, updated, body from resource where key = $1",
    [binary.UUID],
)


@dataclass(frozen=True, slots=True)
class Ready:
    """A write with everything the database will hold of it."""

    draft: Draft
    context: WriteContext

    @property
    def key(self) -> bytes:
        """What it writes; two writes with one key do not go into one call."""
        return self.draft.key

    @property
    def type(self) -> str:
        """The type of what it writes."""
        return self.draft.write.type

    @property
    def written(self) -> Written:
        """What it will have become."""
        return written_of(self.draft, self.context)


async def make_ready(connection: Connection | None, write: Write, context: WriteContext) -> Ready | None:
    """Make a create or update ready; None when nothing would change. Raises as `Store.write` does.

    `connection` (in autocommit) is needed for a write that names an id.
    """
    known = remembered()
    if known is None or write.type == "SearchParameter":
        return None  # the ordinary way looks what parameters there are, and learns new ones
    context = to_the_millisecond(context)
    draft = draft_of(write, "")
    check([draft], validated=False, invariants=context.invariants)
    if write.id is not None and connection is not None:
        rows = await _CURRENT(connection, [draft.key])
        if rows:
            _meet(draft, rows[0], context)
    if decide(draft, context) is not None:
        return None
    finish(draft, context)
    if draft.rows is not None and draft.resource is not None:
        known.add(write.type, draft.rows, draft.resource)
    return Ready(draft, context)


def ready_write(write: Write, context: WriteContext, known: Catalog) -> Ready | None:
    """Make a validated create or update ready as if its resource were new; None when only the ordinary way can."""
    if write.type == "SearchParameter":  # there it is learned
        return None
    return _ready_all([write], context, [""], known, validated=True)[0]


def ready_bundle(bundle: Mapping[str, Any], context: WriteContext, known: Catalog) -> list[Ready] | None:
    """The same for all entries of a transaction that only creates; None for any other. Raises as `Store.bundle` does."""
    entries = plain_entries(bundle)
    if entries is None or any(one.type == "SearchParameter" for one in entries):
        return None
    places = [f"{one.place}.resource" for one in entries]
    return _ready_all([write_of(one) for one in entries], context, places, known)


def _ready_all(
    writes: Sequence[Write],
    context: WriteContext,
    places: Sequence[str],
    known: Catalog,
    *,
    validated: bool = False,
) -> list[Ready]:
    context = to_the_millisecond(context)
    drafts = [draft_of(one, place) for one, place in zip(writes, places, strict=True)]
    check(drafts, validated=validated, invariants=context.invariants)
    for draft in drafts:
        draft.version = 1
        finish(draft, context)
        if draft.rows is not None and draft.resource is not None:
            known.add(draft.write.type, draft.rows, draft.resource)
    return [Ready(draft, context) for draft in drafts]


async def write_new(connection: Connection, columns: Sequence[arrays.Array]) -> list[int | None]:
    """Write those of the resources given as `ready_columns` that are new, in the caller's transaction.

    Returns the rid of each; None: it is here already, and nothing of it was written.
    """
    arrays.teach(connection)
    row = await (await connection.execute(SQL["write"], [False, *columns])).fetchone()
    return list(row[0]) if row else []


def ready_columns(writes: Sequence[Ready]) -> list[arrays.Array]:
    """The parameters of resource_write_2 after `strict_`, of types READY_TYPES."""
    drafts = [one.draft for one in writes]
    versions = version_columns(drafts, [one.context for one in writes])
    return [*versions, *SideRows.of([draft.rows for draft in drafts]).columns()]


def _meet(draft: Draft, row: Sequence[bytes | None], context: WriteContext) -> None:
    rtype, fhir_id, rid, version, deleted, owner, patient, updated, body = row
    current = Current(
        rid=binary.number(rid),
        version=binary.number(version),
        deleted=binary.truth(deleted),
        owner=binary.number(owner),
        patient=binary.number_or_none(patient),
        updated=binary.instant(updated),
        body=body or b"",
    )
    meet(draft, binary.number(rtype), binary.text(fhir_id), current, context)
