"""Readers open one whole state while data arrive, parts are compacted, the writer is killed, and the disk is full."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from healthbrain import lake
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Conflict
from healthbrain.lake import Lake
from healthbrain.store import Store, Write, WriteContext

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
STORE = Store()
FOLLOWER = """
import asyncio, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from healthbrain import lake
from healthbrain.database import open_pool
from healthbrain.errors import Conflict

async def main(dsn, folder, largest):
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    pool = await open_pool(dsn, size=2)
    print("following", flush=True)
    while True:
        try:
            await lake.sync(pool, folder, datetime.now(UTC), batch=7)
        except Conflict:
            await asyncio.sleep(0.01)
        except Exception as error:
            print(type(error).__name__, flush=True)
            if largest:
                return

asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
"""


async def write_pairs(pool: Pool, turn: int, number: int = 12) -> None:
    """Two resources that always carry the same mark, written in one transaction: a reader must never see them differ."""
    writes = [
        write
        for n in range(number)
        for write in (
            Write("update", "Patient", f"p{n}", {"resourceType": "Patient", "language": f"x-t{turn}"}),
            Write("update", "Organization", f"o{n}", {"resourceType": "Organization", "name": f"x-t{turn}"}),
        )
    ]
    async with pool.connection() as connection, connection.transaction():
        await STORE.write(connection, writes, WriteContext(owner=1, at=datetime.now(UTC)))


def torn(folder: Path) -> int:
    """How many pairs of one state differ between the two types."""
    reader = Lake(folder).connect(types=["Patient", "Organization"])
    try:
        found = reader.execute(
            "select count(*) from Patient p join Organization o on p._id[2:] = o._id[2:] where p.language <> o.name"
        ).fetchone()
        again = reader.execute(
            "select count(*) from Patient p join Organization o on p._id[2:] = o._id[2:] where p.language <> o.name"
        ).fetchone()
        assert found == again  # one state for as long as the connection is open
        return int(found[0]) if found else 0
    finally:
        reader.close()


def run(dsn: str, story: Callable[[Pool], Any]) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=3)
        try:
            await story(pool)
        finally:
            await pool.close()

    asyncio.run(whole())


@pytest.mark.fault
def test_readers_see_whole_states_while_a_writer_a_compactor_and_kills_are_at_work(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    stop, seen, faults = threading.Event(), [0], list[BaseException]()

    def read() -> None:
        try:
            while not stop.is_set():
                assert torn(folder) == 0
                seen[0] += 1
        except BaseException as error:
            faults.append(error)

    async def follow() -> asyncio.subprocess.Process:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOLLOWER, dsn, str(folder), "0", stdout=asyncio.subprocess.PIPE
        )
        assert started.stdout is not None
        assert (await started.stdout.readline()).strip() == b"following"
        return started

    async def story(pool: Pool) -> None:
        await write_pairs(pool, 0)
        await lake.sync(pool, folder, datetime.now(UTC))
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for life in range(3):
            follower = await follow()
            for turn in range(6):
                await write_pairs(pool, life * 10 + turn + 1)
                try:
                    await asyncio.to_thread(lake.compact, folder, datetime.now(UTC))
                except Conflict:
                    await asyncio.sleep(0.02)
            follower.kill()
            assert await follower.wait() == -signal.SIGKILL
        stop.set()
        for reader in readers:
            reader.join()
        assert not faults, faults[0]
        assert seen[0] >= 3
        await lake.sync(pool, folder, datetime.now(UTC))
        assert not (await lake.verify(pool, folder, datetime.now(UTC))).findings
        assert torn(folder) == 0

    run(dsn, story)


@pytest.mark.fault
def test_a_full_disk_leaves_the_state_as_it_was_and_the_next_run_goes_on(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "lake"

    async def story(pool: Pool) -> None:
        await write_pairs(pool, 0)
        await lake.sync(pool, folder, AT)
        before = Lake(folder).state()
        await write_pairs(pool, 1, number=60)
        # a file cannot grow beyond some bytes: what a write to a full disk looks like to the process
        follower = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOLLOWER, dsn, str(folder), "2000", stdout=asyncio.subprocess.PIPE
        )
        said, _ = await follower.communicate()
        assert said.decode().split()[1:], "it must have failed"
        assert Lake(folder).state() == before
        assert torn(folder) == 0
        await lake.sync(pool, folder, AT)
        verdict = await lake.verify(pool, folder, AT)
        assert (verdict.compared, verdict.findings) == (True, ())
        named = Lake(folder).state().files() | {one.file for one in Lake(folder).state().retired}
        named |= {f"shapes/{path.name}" for path in folder.glob("shapes/*")}  # these have no rows
        assert {str(path.relative_to(folder)) for path in folder.glob("*/**/*.parquet")} <= named

    run(dsn, story)


def test_any_engine_reads_the_same_rows_from_files_and_plain_sql(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        for turn in range(3):
            await write_pairs(pool, turn)
            await lake.sync(pool, tmp_path, AT, batch=10)
        async with pool.connection() as connection, connection.transaction():
            await STORE.write(connection, [Write("delete", "Patient", "p3", None)], WriteContext(owner=1, at=AT))
        await lake.sync(pool, tmp_path, AT)
        lake.erase(tmp_path, [lake.Erased(Lake(tmp_path).state().position, type="Patient", id="p4")], AT)
        files = Lake(tmp_path).tables()["Patient"]
        assert files.dead
        assert files.erased
        plain = duckdb.connect()  # knows nothing of the lake
        plain.execute(f"create view parts as select * from read_parquet({list(files.parts)}, union_by_name = true)")
        plain.execute(f"create view dead as select * from read_parquet({list(files.dead)})")
        query = files.select("parts", "dead")
        mine = plain.execute(f"select _id, _version from ({query}) order by 1").fetchall()
        plain.close()
        reader = Lake(tmp_path).connect()
        assert mine == reader.execute("select _id, _version from Patient order by 1").fetchall()
        reader.close()
        assert len(mine) == 10

    run(dsn, story)
