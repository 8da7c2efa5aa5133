"""The worker is killed with -9 in the middle of a bulk job; the next one does the job whole."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from tests.api_world import observation, world
from tests.bulk_client import kick_off, lines

from healthbrain import exchange
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
        if sys.argv[3] == "export":
            await bulkdata.work_export(desk(platform))
        else:
            await bulkdata.work_import(desk(platform), platform.observers)

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
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, dsn, str(tmp_path), "export")
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


@pytest.mark.fault
def test_an_import_that_was_killed_goes_on_and_writes_every_line_once(dsn: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(dsn, tmp_path) as hb:
            body = b"".join(json.dumps(observation(f"o{n}", "p")).encode() + b"\n" for n in range(2500))
            headers = {"content-type": "application/fhir+ndjson"}
            answer = await hb.ask("POST", "$import", "QPZS", content=body, headers=headers)
            place = answer.headers["content-location"]
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, dsn, str(tmp_path), "import")
            assert await child.wait() == -signal.SIGKILL
            for _ in range(200):
                if await bulkdata.work_import(desk(hb.platform), hb.platform.observers):
                    break
                await asyncio.sleep(0.1)
            counts = (await hb.ask("GET", place, "QPZS")).json()["extension"]
            assert (counts["state"], counts["lines"], counts["written"]) == ("accepted", 2500, 2500)
            async with hb.platform.pool.connection() as connection:
                assert await exchange.raw(connection, counts["delivery"]) == body
            one = (await hb.ask("GET", "Observation/o0", "QPZS")).json()
            assert one["meta"]["versionId"] == "1"

    asyncio.run(story())
