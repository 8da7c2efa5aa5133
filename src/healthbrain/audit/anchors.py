"""The heads of all lanes, dropped outside the database once a minute.

A chain proves that nothing inside it was changed; it cannot prove that its end was not cut off. Comparing it with a
head that was kept elsewhere can. The operator copies the file away (docs/how-to); each new one covers all before.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from healthbrain.database import Connection

NAME = "anchor.json"

Heads = dict[int, tuple[int, str]]  # lane -> (number of its newest batch, that batch's digest)

_HEADS = """
select b.lane, b.number, encode(b.digest, 'hex')
from generate_series(0, 63) as lane
cross join lateral (
    select * from audit_batch where audit_batch.lane = lane.lane order by number desc limit 1) as b"""


async def heads(connection: Connection) -> Heads:
    """The newest batch of every lane."""
    cursor = await connection.execute(_HEADS)
    return {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}


async def drop(connection: Connection, path: Path) -> None:
    """Write the heads to `path`, all or nothing."""
    found = await heads(connection)
    if not found:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(orjson.dumps({str(lane): list(head) for lane, head in sorted(found.items())}))
    fresh.replace(path)


def load(path: Path) -> Heads:
    """The heads kept in `path`; none when there is no such file."""
    if not path.exists():
        return {}
    return {int(lane): (head[0], head[1]) for lane, head in orjson.loads(path.read_bytes()).items()}
