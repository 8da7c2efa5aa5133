"""The lake's writer is killed with -9 at moments of its choosing; nothing is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from healthbrain import lake
from healthbrain.database import open_pool
from healthbrain.lake import Lake
from healthbrain.store import Store, Write, WriteContext

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
FOLLOWER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from healthbrain import lake
from healthbrain.database import open_pool

async def main():
    pool = await open_pool(sys.argv[1], size=2)
    print("following", flush=True)
    while True:
        await lake.sync(pool, Path(sys.argv[2]), datetime.now(UTC), batch=40)

asyncio.run(main())
"""


@pytest.mark.fault
def test_a_writer_killed_again_and_again_leaves_every_version_exactly_once(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    chance = Random(7)

    async def story() -> None:
        pool = await open_pool(dsn, size=2)
        store = Store()

        async def write(turn: int) -> None:
            writes = [
                Write("update", type_, f"x{chance.randrange(150)}", {"resourceType": type_, **content})
                for type_, content in (
                    ("Patient", {"gender": chance.choice(["male", "female"])}),
                    ("Organization", {"name": f"turn {turn}"}),
                )
                for _ in range(15)
            ]
            async with pool.connection() as connection, connection.transaction():
                await store.write(connection, writes, WriteContext(owner=1, at=AT))

        for turn in range(6):
            follower = await asyncio.create_subprocess_exec(
                sys.executable, "-c", FOLLOWER, dsn, str(folder), stdout=asyncio.subprocess.PIPE
            )
            assert follower.stdout is not None
            await follower.stdout.readline()
            for step in range(6):
                await write(turn * 10 + step)
                await asyncio.sleep(chance.uniform(0.0, 0.15))
            follower.kill()
            assert await follower.wait() == -signal.SIGKILL
        await lake.sync(pool, folder, AT)
        await check(pool)
        await pool.close()

    async def check(pool: Any) -> None:
        reader = Lake(folder).connect()
        for type_ in ("Patient", "Organization"):
            doubled = reader.execute(
                f'select _id, _version from "{type_}_all" group by all having count(*) > 1'
            ).fetchall()
            assert doubled == []
            in_lake = reader.execute(f'select _id, _version from "{type_}" order by 1').fetchall()
            assert in_lake == await stored(pool, type_)
        reader.close()

    async def stored(pool: Any, type_: str) -> list[tuple[str, int]]:
        async with pool.connection() as connection:
            page = await Store().search(connection, type_, [("_count", "1000")])
            return sorted((one.id, one.version) for one in page.matches)

    asyncio.run(story())
