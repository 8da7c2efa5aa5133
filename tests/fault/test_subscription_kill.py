"""The worker that follows the feed for subscribers is killed with -9 again and again; every event arrives, in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from random import Random

import pytest
from tests.api_world import observation, world
from tests.subscriber import receiver, subscription, work

from healthbrain.store import Write, WriteContext

WORKER = """
import asyncio, sys
from pathlib import Path
from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import find_events, send_notifications
from healthbrain.settings import Settings

async def main():
    async with Platform(Settings(data=Path(sys.argv[2])), dsn=sys.argv[1]) as platform:
        print("working", flush=True)
        while True:
            await find_events(platform)
            await send_notifications(platform)

asyncio.run(main())
"""
TURNS, EACH = 4, 6


@pytest.mark.fault
def test_no_event_is_skipped_when_the_worker_is_killed(dsn: str, tmp_path: Path) -> None:
    chance = Random(11)

    async def story() -> None:
        async with world(dsn, tmp_path) as hb, receiver() as hook:
            await work(hb)
            wanted = subscription(hook.url, "Observation?status=final")
            assert (await hb.ask("PUT", "Subscription/s", "QPZS", json=wanted)).status_code == 201
            await work(hb)
            for turn in range(TURNS):
                worker = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", WORKER, dsn, str(tmp_path), stdout=asyncio.subprocess.PIPE
                )
                assert worker.stdout is not None
                await worker.stdout.readline()
                for step in range(EACH):
                    names = [f"o{turn}-{step}-{n}" for n in range(10)]
                    writes = [Write("update", "Observation", name, observation(name, "p")) for name in names]
                    context = WriteContext(hb.keys["QPZS"], hb.platform.clock())
                    async with hb.platform.pool.connection() as connection:
                        await hb.platform.store.write(connection, writes, context)
                    await asyncio.sleep(chance.uniform(0.0, 0.05))
                worker.kill()
                assert await worker.wait() == -signal.SIGKILL
            await work(hb)
            events = hook.events()
            first_seen = list(dict.fromkeys(number for number, _ in events))
            assert first_seen == list(range(1, TURNS * EACH * 10 + 1))  # none skipped, in order; repeats are allowed
            assert len({focus for _, focus in events}) == TURNS * EACH * 10
            assert len(dict.fromkeys(events)) == TURNS * EACH * 10  # a repeated event has the number it had

    asyncio.run(story())
