"""Taking a person out of the materialised results. Counts stay as they were published: they name nobody."""

from __future__ import annotations

from collections.abc import Sequence

from healthbrain.database import Connection

TABLES = ("measure_member",)


async def forget(connection: Connection, persons: Sequence[str]) -> int:
    """Remove these persons from the members of every measure; returns how many rows went."""
    cursor = await connection.execute("delete from measure_member where subject = any(%s::text[])", (list(persons),))
    return cursor.rowcount
