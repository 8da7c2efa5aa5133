"""Writes made ready before their transaction begins, so that one call of the database carries many of them.

What is there is read without a lock; when somebody changes it meanwhile the database refuses the whole call
(resource_write_2 in strict mode) and the writes go the ordinary way, one by one. So this is only for single writes of which
nearly all are undisturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct

from healthbrain.database import Connection, Statement
from healthbrain.store import arrays
from healthbrain.store.columns import SideRows, version_columns
from healthbrain.store.drafts import Current, Draft, check, draft_of
from healthbrain.store.parameters import remembered
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
    "select rtype, fhir_id, rid, version, deleted, owner, patient, updated, body from resource where key = $1", [2950]
)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INT2, _INT4, _INT8 = Struct(">h"), Struct(">i"), Struct(">q")


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
    check([draft], False)
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


def ready_columns(writes: Sequence[Ready]) -> list[arrays.Array]:
    """The parameters of resource_write_2 after `strict_`, of types READY_TYPES."""
    drafts = [one.draft for one in writes]
    versions = version_columns(drafts, [one.context for one in writes])
    return [*versions, *SideRows.of([draft.rows for draft in drafts]).columns()]


def _meet(draft: Draft, row: Sequence[bytes | None], context: WriteContext) -> None:
    rtype, fhir_id, rid, version, deleted, owner, patient, updated, body = row
    current = Current(
        rid=_number(_INT8, rid),
        version=_number(_INT4, version),
        deleted=deleted == b"\x01",
        owner=_number(_INT4, owner),
        patient=None if patient is None else _number(_INT8, patient),
        updated=_EPOCH + timedelta(microseconds=_number(_INT8, updated)),
        body=body or b"",
    )
    meet(draft, _number(_INT2, rtype), (fhir_id or b"").decode(), current, context)


def _number(kind: Struct, value: bytes | None) -> int:
    return int(kind.unpack(value or b"")[0])
