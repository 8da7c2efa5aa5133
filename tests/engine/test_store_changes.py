"""The change feed: nothing skipped, nothing reordered, one order for everybody."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from healthbrain.errors import Busy, Fault, Gone, Incorrect, NotFound
from healthbrain.store import START, Change, Position, Store, Write, changes, latest, prune
from tests.engine.store_samples import AT, context, opened, patient, put

store = Store()
pytestmark = pytest.mark.anyio


class Boom(Exception):
    """A writer changes its mind."""


async def test_sixteen_writers_with_late_commits_and_rollbacks_are_followed_exactly(dsn):
    """Two consumers with page sizes of their own follow while 16 clients write, wait, commit or roll back."""
    committed: list[tuple[str, int]] = []
    running = True
    rng = random.Random(11)

    async def writer(pool, number: int) -> None:
        for turn in range(12):
            names = [f"p{rng.randrange(24)}" for _ in range(rng.randrange(1, 5))]
            writes = [put(patient(name, f"{number}-{turn}")) for name in dict.fromkeys(names)]
            if rng.random() < 0.2:
                writes.append(Write("delete", "Patient", f"p{rng.randrange(24, 30)}", None))
                writes.append(put(patient(f"w{number}-{turn}")))
            try:
                async with pool.connection() as connection, connection.transaction():
                    written = await store.write(connection, writes, context(turn))
                    await asyncio.sleep(rng.choice([0, 0, 0.002, 0.03]))
                    if rng.random() < 0.2:
                        raise Boom
            except (Boom, Busy):
                continue
            committed.extend((w.id, w.version) for w in written if w.changed)

    async def consumer(pool, limit: int) -> list[Change]:
        seen: list[Change] = []
        position = START
        async with pool.connection() as connection:
            while True:
                last_round = not running
                found, position = await changes(connection, position, limit)
                seen += found
                if not found:
                    if last_round:
                        return seen
                    await asyncio.sleep(rng.choice([0, 0.001, 0.01]))

    async with opened(dsn, size=20) as pool:
        following = [asyncio.create_task(consumer(pool, limit)) for limit in (3, 1000)]
        await asyncio.gather(*(writer(pool, number) for number in range(16)))
        running = False
        one, other = await asyncio.gather(*following)

    assert one == other, "every consumer sees one order"
    assert [c.position for c in one] == sorted(c.position for c in one)
    assert sorted((c.id, c.version) for c in one) == sorted(committed), "each committed change exactly once"
    newest: dict[str, int] = {}
    for change in one:
        assert change.version == newest.get(change.id, 0) + 1, "versions of a resource in order, none missing"
        newest[change.id] = change.version
    assert len({c.position.batch for c in one}) > 5, "the test closed several batches while writing went on"


async def test_a_long_transaction_stalls_nobody_and_is_not_lost(dsn):
    async with opened(dsn) as pool, pool.connection() as slow, pool.connection() as fast, pool.connection() as reader:
        await store.write(slow, [put(patient("slow"))], context())
        await store.write(fast, [put(patient("fast"))], context())
        await fast.commit()
        found, position = await changes(reader)
        assert [c.id for c in found] == ["fast"], "a lower sequence number that is not committed yet is not waited for"
        assert await changes(reader, position) == ([], position)
        await slow.commit()
        found, position = await changes(reader, position)
        assert [c.id for c in found] == ["slow"]
        assert position == await latest(reader)


async def test_a_change_says_what_whose_and_where_from(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        (written,) = await store.write(connection, [put(patient("p1"))], context(owner=7, delivery=99))
        await store.write(connection, [Write("delete", "Patient", "p1", None)], context(1, owner=8))
        await connection.commit()
        created, deleted = (await changes(connection))[0]
    assert created == Change(created.position, "Patient", "p1", 1, "create", written.rid, 7, written.patient, 99, AT)
    assert (deleted.kind, deleted.version, deleted.owner, deleted.delivery) == ("delete", 2, 8, None)
    assert deleted.at == AT + timedelta(minutes=1)


async def test_the_feed_is_not_read_inside_a_transaction(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await connection.execute("select 1")
        with pytest.raises(Fault):
            await changes(connection)


async def test_pruned_changes_are_gone_and_the_rest_stays(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        ends = []
        for name in "abcd":
            await store.write(connection, [put(patient(name))], context())
            await connection.commit()
            ends.append(await latest(connection))
        assert await prune(connection, ends[2]) == 2
        found, _ = await changes(connection, ends[1])
        assert [c.id for c in found] == ["c", "d"]
        with pytest.raises(Gone):
            await changes(connection, START)
        with pytest.raises(Gone):
            await changes(connection, ends[0])
        await store.write(connection, [put(patient("e"))], context())
        await connection.commit()
        assert [c.id for c in (await changes(connection, ends[3]))[0]] == ["e"]
        assert await prune(connection, await latest(connection)) == 2
        assert [c.id for c in (await changes(connection, ends[3]))[0]] == ["e"]


async def test_a_database_moved_to_another_server_starts_a_new_epoch(dsn):
    """After a restore, transaction ids mean nothing: consumers are told to start afresh."""
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("a"))], context())
        await connection.commit()
        before = await latest(connection)
        await connection.execute("update change_epoch set cluster = cluster - 1")
        await connection.commit()
        with pytest.raises(Gone):
            await changes(connection, before)
        fresh = await latest(connection)
        assert fresh.epoch == before.epoch + 1
        await store.write(connection, [put(patient("b"))], context())
        await connection.commit()
        assert [c.id for c in (await changes(connection, fresh))[0]] == ["b"]
        assert (await store.read(connection, "Patient", "a")).version == 1


def test_positions_are_ordered_and_survive_text():
    assert Position.parse(str(Position(1, 20, 3))) == Position(1, 20, 3)
    assert START < Position(1, 2, 30) < Position(1, 10, 1) < Position(2, 0, 0)
    for wrong in ("", "1.2", "a.b.c", "1.2.3.4"):
        with pytest.raises(Incorrect):
            Position.parse(wrong)


async def test_what_was_rolled_back_leaves_no_trace(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("a"))], context())
        await connection.rollback()
        assert (await changes(connection))[0] == []
        with pytest.raises(NotFound):
            await store.read(connection, "Patient", "a")
