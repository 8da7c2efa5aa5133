"""Putting events into the chain, in the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from healthbrain.audit.events import Event, Row, clean_row, content_digest, line_of, row_of
from healthbrain.database import Connection

_APPEND = """
select audit_append(%b, %s, %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int[], %b::text[],
                    %b::text[], %b::text[], %b::text[], %b::smallint[], %b::text[], %b::text[], %b::text[])"""


async def record(connection: Connection, events: Sequence[Event]) -> None:
    """Write these events in the caller's transaction: they are there exactly if what they tell of is."""
    if events:
        rows = [clean_row(row_of(event)) for event in events]
        await append(connection, rows, [line_of(row) for row in rows], source=None)


async def append(connection: Connection, rows: Sequence[Row], lines: Sequence[bytes], *, source: str | None) -> bool:
    """One batch of canonical rows; False when the segment `source` was appended before."""
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    columns[9] = ["{" + ",".join(map(str, patients)) + "}" for patients in columns[9]]
    cursor = await connection.execute(_APPEND, (content_digest(lines), source, *columns))
    row = await cursor.fetchone()
    return bool(row and row[0])
