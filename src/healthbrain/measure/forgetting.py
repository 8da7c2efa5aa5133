"""Taking a person out of the materialised results. Counts stay as they were published: they name nobody.

What measures are counted from (`lake/measures`) has rows of persons; it is thrown away and made anew from the lake.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from healthbrain.database import Connection
from healthbrain.measure.base import FOLDER

TABLES = ("measure_member",)


async def forget(connection: Connection, persons: Sequence[str]) -> int:
    """Remove these persons from the members of every measure; returns how many rows went."""
    cursor = await connection.execute("delete from measure_member where subject = any(%s::text[])", (list(persons),))
    return cursor.rowcount


def forget_base(lake: Path) -> None:
    """Throw away what measures are counted from; the next refresh makes it anew."""
    shutil.rmtree(lake / FOLDER, ignore_errors=True)
