"""The worker is killed with -9 in the middle of a bulk job; the next one does the job whole."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from tests.api_world import observation, world
from tests.bulk_client import kick_off, lines

from healthbrain.exchange import bulkdata
from healthbrain.runtime.jobs import desk
from healthbrain.store import Write, WriteContext

WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
from healthbrain.exchange import bulkdata
from healthbrain.exchange.bulkdata import jobs
from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import desk
from healthbrain.settings import Settings

beat = jobs.beat

async def beat_or_die(*arguments):
    await beat(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

jobs.beat = beat_or_die

async def main():
    async with Platform(Settings(data=Path(sys.argv[2])), dsn=sys.argv[1]) as platform:
        await bulkdata.work_export(desk(platform))

asyncio.run(main())
"""


@pytest.mark.fault
def test_an_export_that_was_killed_is_begun_again_and_is_whole(dsn: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(dsn, tmp_path) as hb:
            writes = [Write("update", "Observation", f"o{n}", observation(f"o{n}", "p")) for n in range(3000)]
            async with hb.platform.pool.connection() as connection:
                await hb.platform.store.write(connection, writes, WriteContext(hb.keys["QPZS"], hb.platform.clock()))
            place = await kick_off(hb, "$export")
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, dsn, str(tmp_path))
            assert await child.wait() == -signal.SIGKILL
            assert list((tmp_path / "export").glob("*/*.gz"))  # it had begun
            assert (await hb.ask("GET", place)).status_code == 202
            for _ in range(200):  # the database notices the death, not at the very moment
                if await bulkdata.work_export(desk(hb.platform)):
                    break
                await asyncio.sleep(0.1)
            manifest = (await hb.ask("GET", place)).json()
            found = [one["id"] for file in manifest["output"] for one in await lines(hb, file["url"])]
            assert sorted(found) == sorted(f"o{n}" for n in range(3000))

    asyncio.run(story())
