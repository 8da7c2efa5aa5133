"""When cached copies of access data are out of date.

Every change that a cache must notice adds a row to `access_change` in its own transaction; a cache compares stamps at
most once a second. Rows are never updated: writers inside long transactions don't wait for each other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from healthbrain.database import Connection

Kind = Literal["tree", "accounts"]
Stamp = tuple[tuple[str, int, int], ...]  # (kind, number of changes kept, newest change)

_KEEP = timedelta(days=1)

_READ = "select what, count(*), max(id) from access_change group by what order by what"
_ADD = "insert into access_change (what, at) values (%s, %s)"
# pruning changes the stamp too, which costs one needless reload and nothing else
_PRUNE = """
delete from access_change where id in (
    select id from access_change where at < %s order by id limit 100 for update skip locked)"""


async def current(connection: Connection) -> Stamp:
    """The state of everything cached; equal stamps mean nothing has changed."""
    cursor = await connection.execute(_READ)
    return tuple((row[0], row[1], row[2]) for row in await cursor.fetchall())


async def changed(connection: Connection, what: Kind, at: datetime) -> None:
    """Tell every process that `what` changed; they notice once this transaction commits."""
    await connection.execute(_ADD, (what, at))
    await connection.execute(_PRUNE, (at - _KEEP,))
