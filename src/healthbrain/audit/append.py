"""Putting events into the chain, in the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import psycopg

from healthbrain.audit.events import Event, clean_row, content_digest, line_of, row_of
from healthbrain.database import Connection

_APPEND = "select audit_append(%b, %s, %s)"


async def record(connection: Connection, events: Sequence[Event]) -> None:
    """Write these events in the caller's transaction: they are there exactly if what they tell of is."""
    if events:
        # the answer is not waited for: without a source it is always true
        await _send(connection, [_clean_line(event) for event in events], None)


def sealed(events: Sequence[Event]) -> tuple[bytes, bytes]:
    """What audit_append takes of these events: the digest of their content, and their rows as text."""
    lines = [_clean_line(event) for event in events]
    return content_digest(lines), b"[%b]" % b",".join(lines)


def _clean_line(event: Event) -> bytes:
    """The event's row without what PostgreSQL or JSON cannot hold, which hardly any has."""
    row = row_of(event)
    try:
        line = line_of(row)
    except orjson.JSONEncodeError:
        return line_of(clean_row(row))
    return line_of(clean_row(row)) if b"\\u0000" in line else line


async def append(connection: Connection, lines: Sequence[bytes], *, source: str) -> bool:
    """One batch of canonical rows; False when the segment `source` was appended before."""
    row = await (await _send(connection, lines, source)).fetchone()
    return bool(row and row[0])


async def _send(
    connection: Connection, lines: Sequence[bytes], source: str | None
) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    rows = b"[%b]" % b",".join(lines)
    return await connection.execute(_APPEND, (content_digest(lines), source, rows.decode()))
