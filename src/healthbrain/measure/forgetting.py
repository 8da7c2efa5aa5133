"""Taking a person out of the materialised results. Counts stay as they were published: they name nobody.

What measures are counted from (`lake/measures`) has rows of persons; it is thrown away and made anew from the lake.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from healthbrain.database import Connection
from healthbrain.measure.base import FOLDER


async def forget(connection: Connection, persons: Sequence[str]) -> int:
    """Remove these persons from the members that were kept before members were found when asked for; how many rows went.

    That table is there only until the upgrade is finished.
    """
    row = await (await connection.execute("select to_regclass('measure_member')")).fetchone()
    if not row or row[0] is None:
        return 0
    cursor = await connection.execute("delete from measure_member where subject = any(%s::text[])", (list(persons),))
    return cursor.rowcount


def forget_base(lake: Path) -> None:
    """Throw away what measures are counted from; the next refresh makes it anew."""
    shutil.rmtree(lake / FOLDER, ignore_errors=True)
