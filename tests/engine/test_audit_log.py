"""The audit log against the real database: kept, chained, found, and tampering named."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from healthbrain import audit
from healthbrain.audit import Event, Query
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Incorrect, NotFound
from healthbrain.scope import Principal, Scope

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC)
DOCTOR = Principal("zhang", "张医生", "doctor", 4, "TREAT")


def event(n: int, **more: object) -> Event:
    values = {"id": f"o{n}", "patients": (n % 7,), "interaction": "read", **more}
    return Event.of(DOCTOR, AT + timedelta(seconds=n), "R", "Observation", **values)  # type: ignore[arg-type]


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    opened = await open_pool(dsn, size=6)
    yield opened
    await opened.close()


async def filled(pool: Pool, batches: int = 6) -> None:
    for n in range(batches):
        async with pool.connection() as connection:
            await audit.record(connection, [event(3 * n), event(3 * n + 1), event(3 * n + 2)])


async def found(pool: Pool, query: Query | None = None, **more: object) -> list[audit.Record]:
    async with pool.connection() as connection:
        return (await audit.search(connection, query or Query(), count=1000, **more))[0]  # type: ignore[arg-type]


async def verified(pool: Pool, **more: object) -> audit.Verification:
    async with pool.connection() as connection:
        return await audit.verify(connection, **more)  # type: ignore[arg-type]


# -- written


async def test_a_change_and_its_event_are_there_together_or_not_at_all(pool: Pool) -> None:
    async with pool.connection() as connection:
        await audit.record(connection, [event(1)])
        await connection.rollback()
    assert await found(pool) == []
    async with pool.connection() as connection:
        await audit.record(connection, [event(2)])
    assert [record.event for record in await found(pool)] == [event(2)]


async def test_an_event_comes_back_exactly_as_it_was_written(pool: Pool) -> None:
    odd = event(
        1, detail='引号"反斜杠\\u0000 换行\n', patients=(-(2**63), 2**63 - 1, 5), outcome=4, address="::1", request="r"
    )
    async with pool.connection() as connection:
        await audit.record(connection, [odd, event(2, id=None, patients=())])
    one, other = sorted((record.event for record in await found(pool)), key=lambda e: e.at)
    assert (one.detail, one.at, one.outcome, one.address) == (odd.detail, odd.at, 4, "::1")
    assert set(one.patients) == set(odd.patients)
    assert other.id is None
    assert (await verified(pool)).whole


async def test_text_that_the_database_cannot_hold_is_kept_readable(pool: Pool, tmp_path: Path) -> None:
    recorder = audit.Recorder(tmp_path)
    await recorder.open(pool, every=60)
    for detail in ("a\0b", "a\ud800b", "plain \\u0000"):
        recorder.note(event(1, detail=detail))
    async with pool.connection() as connection:
        await audit.record(connection, [event(1, detail="c\0d")])
    await recorder.close()
    assert sorted(record.event.detail for record in await found(pool)) == [
        "a?b",
        "a\ufffdb",
        "c\ufffdd",
        "plain \\u0000",
    ]
    assert (await verified(pool)).whole


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_event set account = 'nobody'",
        "delete from audit_event",
        "truncate audit_event",
        "update audit_batch set count = 0",
        "delete from audit_batch",
        "truncate audit_batch",
    ],
)
async def test_the_log_only_grows(pool: Pool, statement: str) -> None:
    await filled(pool, 1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        async with pool.connection() as connection:
            await connection.execute(statement.encode())
    assert len(await found(pool)) == 3


async def test_writers_in_open_transactions_do_not_wait_for_each_other(pool: Pool) -> None:
    async with pool.connection() as first, pool.connection() as second, pool.connection() as third:
        for n, connection in enumerate((first, second, third)):
            await connection.execute("set lock_timeout = '2s'")
            await audit.record(connection, [event(n)])
            await audit.record(connection, [event(n + 10)])
        await second.rollback()
    assert len(await found(pool)) == 4
    assert (await verified(pool)).whole


async def test_sixteen_writers_make_one_whole_log(dsn: str) -> None:
    pool = await open_pool(dsn, size=8)

    async def writer(n: int) -> None:
        for step in range(15):
            async with pool.connection() as connection:
                await audit.record(connection, [event(n * 100 + step)])
                if step % 5 == 4:
                    await connection.rollback()

    await asyncio.gather(*(writer(n) for n in range(16)))
    result = await verified(pool)
    await pool.close()
    assert result == audit.Verification(batches=192, events=192, broken=None)


# -- tampering


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("update audit_event set account = 'nobody' where lane = {lane} and batch = 3 and place = 1", "changed"),
        ("update audit_event set at = at + interval '1 microsecond' where lane = {lane} and batch = 3 and place = 0", "changed"),
        ("update audit_event set patients = '{{}}' where lane = {lane} and batch = 3 and place = 2", "changed"),
        ("delete from audit_event where lane = {lane} and batch = 3 and place = 1", "2"),
        ("insert into audit_event select lane, batch, 3, at, action, interaction, account, role, organisation, purpose, type,"
         " resource, patients, outcome, detail, address, request from audit_event where lane = {lane} and batch = 3 and place = 0", "4"),
        ("update audit_batch set digest = sha256('x') where lane = {lane} and number = 3", "chain"),
        ("delete from audit_event where lane = {lane} and batch = 2; delete from audit_batch where lane = {lane} and number = 2", "missing"),
    ],
)  # fmt: skip
async def test_whoever_switches_the_guard_off_and_changes_something_is_found(
    pool: Pool, statement: str, reason: str
) -> None:
    async with pool.connection() as connection:  # one connection: one lane
        for n in range(5):
            await audit.record(connection, [event(3 * n), event(3 * n + 1), event(3 * n + 2)])
            await connection.commit()
    assert await verified(pool) == audit.Verification(batches=5, events=15, broken=None)
    (lane,) = {record.key.split(".")[0] for record in await found(pool)}
    await _as_superuser(pool, statement.format(lane=lane))
    result = await verified(pool)
    assert result.broken is not None
    assert (result.broken.lane, result.broken.number) == (int(lane), 3)
    assert reason in result.broken.reason


async def test_a_chain_whose_end_was_cut_off_is_found_by_the_heads_kept_elsewhere(pool: Pool, tmp_path: Path) -> None:
    recorder = audit.Recorder(tmp_path)
    await recorder.open(pool, every=0.02)
    recorder.note(event(1))
    for _ in range(100):
        await asyncio.sleep(0.02)
        if (anchor := audit.load_anchor(tmp_path / "anchor.json")) and await found(pool):
            break
    await recorder.close()
    assert (await verified(pool, anchor=anchor)).whole
    await _as_superuser(pool, "delete from audit_event; delete from audit_batch")
    assert (await verified(pool)).whole  # the chain alone cannot tell
    broken = (await verified(pool, anchor=anchor)).broken
    assert broken is not None
    assert "ends before" in broken.reason


async def test_events_that_were_slipped_in_without_a_batch_are_found(pool: Pool) -> None:
    await filled(pool, 1)
    await _as_superuser(
        pool,
        "insert into audit_event select 63, 99, 0, at, action, interaction, 'liar', role, organisation, purpose, type, resource,"
        " patients, outcome, detail, address, request from audit_event limit 1",
    )
    broken = (await verified(pool)).broken
    assert broken is not None
    assert (broken.lane, broken.number) == (63, 99)


async def _as_superuser(pool: Pool, statements: str) -> None:
    async with pool.connection() as connection:
        for table in ("audit_event", "audit_batch"):
            await connection.execute(f"alter table {table} disable trigger all".encode())
        for statement in statements.split(";"):
            await connection.execute(statement.encode())
        for table in ("audit_event", "audit_batch"):
            await connection.execute(f"alter table {table} enable trigger all".encode())


# -- noted


async def test_noted_events_reach_the_log_within_the_next_flush(pool: Pool, tmp_path: Path) -> None:
    recorder = audit.Recorder(tmp_path)
    await recorder.open(pool, every=60)
    for n in range(10):
        recorder.note(event(n))
    assert await recorder.flush() == 10
    assert await recorder.flush() == 0
    recorder.note(event(11))
    await recorder.close()
    assert len(await found(pool)) == 11
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_database_that_is_away_costs_no_event(pool: Pool, dsn: str, tmp_path: Path) -> None:
    away = await open_pool(dsn, size=1)
    recorder = audit.Recorder(tmp_path)
    await recorder.open(away, every=60)
    recorder.note(event(1))
    await away.close()
    with pytest.raises(Exception, match="closed"):
        await recorder.flush()
    recorder.note(event(2))
    await recorder.close()
    assert await found(pool) == []
    again = audit.Recorder(tmp_path)
    await again.open(pool, every=60)
    assert await again.flush() == 2
    await again.close()
    assert len(await found(pool)) == 2


async def test_a_segment_that_was_moved_but_not_removed_is_not_taken_twice(pool: Pool, tmp_path: Path) -> None:
    recorder = audit.Recorder(tmp_path)
    await recorder.open(pool, every=60)
    recorder.note(event(1))
    (segment,) = (tmp_path / "spool").iterdir()
    content = segment.read_bytes()
    await recorder.close()
    segment.write_bytes(content)  # as if the process had died between commit and removal
    again = audit.Recorder(tmp_path)
    await again.open(pool, every=60)
    await again.close()
    assert len(await found(pool)) == 1
    assert not segment.exists()
    assert (await verified(pool)).whole


async def test_the_spool_of_a_living_process_is_left_alone(pool: Pool, tmp_path: Path) -> None:
    one, other = audit.Recorder(tmp_path), audit.Recorder(tmp_path)
    await one.open(pool, every=60)
    one.note(event(1))
    await other.open(pool, every=60)
    assert await other.flush() == 0
    await other.close()
    await one.close()
    assert len(await found(pool)) == 1


async def test_a_process_killed_by_force_loses_no_event_it_noted(pool: Pool, tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from healthbrain import audit
        recorder = audit.Recorder(Path(sys.argv[1]))
        n = 0
        while True:
            recorder.note(audit.Event(datetime.now(UTC), "R", "zhang", "doctor", 4, "TREAT", "Patient", f"p{n}"))
            print(n, flush=True)
            n += 1
    """)
    process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for line by line
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for _ in range(200):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    said = 200 + len(process.stdout.read().splitlines())
    process.stdout.close()
    recorder = audit.Recorder(tmp_path)
    await recorder.open(pool, every=60)
    await recorder.close()
    kept = {record.event.id for record in await _all(pool)}
    assert {f"p{n}" for n in range(said - 1)} <= kept  # the last line of output may be cut off


async def _all(pool: Pool) -> list[audit.Record]:
    records: list[audit.Record] = []
    after = ""
    async with pool.connection() as connection:
        while True:
            page, after = await audit.search(connection, Query(), count=500, after=after)
            records += page
            if not after:
                return records


async def test_noting_costs_microseconds_and_the_log_takes_thousands_a_second(pool: Pool, tmp_path: Path) -> None:
    recorder = audit.Recorder(tmp_path)
    await recorder.open(pool, every=60)
    events = [event(n) for n in range(10_000)]
    begun = time.process_time()
    for one in events:
        recorder.note(one)
    noted = time.process_time() - begun
    begun = time.perf_counter()
    assert await recorder.flush() == 10_000
    moved = time.perf_counter() - begun
    await recorder.close()
    assert noted / 10_000 < 10e-6
    assert 10_000 / moved > 5_000


# -- found


async def test_the_log_is_searched_by_person_account_type_and_time(pool: Pool) -> None:
    async with pool.connection() as connection:
        await audit.record(connection, [event(n) for n in range(14)])
        other = Principal("li", "李护士", "doctor", 9, "TREAT")
        await audit.record(
            connection, [Event.of(other, AT, "C", "Patient", "p1", patients=(77,), outcome=audit.REFUSED)]
        )
    assert {r.event.id for r in await found(pool, Query(patients=(3,)))} == {"o3", "o10"}
    assert {r.event.account for r in await found(pool, Query(account="li"))} == {"li"}
    assert {r.event.id for r in await found(pool, Query(type="Patient", id="p1"))} == {"p1"}
    assert {r.event.id for r in await found(pool, Query(outcomes=(audit.REFUSED,)))} == {"p1"}
    window = Query(since=AT + timedelta(seconds=2), until=AT + timedelta(seconds=4))
    assert {r.event.id for r in await found(pool, window)} == {"o2", "o3"}


async def test_pages_follow_each_other_without_gap_or_repetition(pool: Pool) -> None:
    async with pool.connection() as connection:
        await audit.record(connection, [event(n // 3) for n in range(20)])
        keys: list[str] = []
        after = ""
        for _ in range(10):
            page, after = await audit.search(connection, Query(), count=3, after=after)
            keys += [record.key for record in page]
            if not after:
                break
        assert len(keys) == len(set(keys)) == 20
        with pytest.raises(Incorrect):
            await audit.search(connection, Query(), after="nonsense")


async def test_a_scope_shows_acts_of_its_organisations_and_acts_on_its_patients(pool: Pool) -> None:
    async with pool.connection() as connection:
        await audit.record(connection, [event(n) for n in range(7)])
        stranger = Principal("x", "x", "doctor", 9, "TREAT")
        await audit.record(connection, [Event.of(stranger, AT, "R", "Patient", "p", patients=(3,))])
    assert len(await found(pool, scope=Scope((4,), ()))) == 7
    assert {r.event.account for r in await found(pool, scope=Scope((), (3,)))} == {"zhang", "x"}
    assert await found(pool, scope=Scope((), ())) == []
    assert len(await found(pool, scope=Scope(None, None))) == 8
    record = (await found(pool, Query(account="x")))[0]
    async with pool.connection() as connection:
        assert await audit.read(connection, record.key, scope=Scope((), (3,))) == record
        for key, scope in (
            (record.key, Scope((4,), ())),
            ("1.2", Scope(None, None)),
            ("9.9.9", Scope(None, None)),
            ("a.b.c", Scope(None, None)),
        ):
            with pytest.raises(NotFound):
                await audit.read(connection, key, scope=scope)


class Deaf:
    """A pool whose question in hand answers a cancellation with an error of the database, as psycopg may; once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.asked = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
        if not self.asked.is_set():
            self.asked.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise psycopg.errors.QueryCanceled("canceling statement due to user request") from None
        async with self._pool.connection() as connection:
            yield connection


async def test_a_recorder_ends_though_a_question_took_the_cancellation_for_an_error(pool: Pool, tmp_path: Path) -> None:
    deaf = Deaf(pool)
    recorder = audit.Recorder(tmp_path)
    await recorder.open(deaf, every=0.01)  # type: ignore[arg-type]
    await asyncio.wait_for(deaf.asked.wait(), 30)
    recorder.note(event(1))
    await asyncio.wait_for(recorder.close(), 30)
    assert [record.event for record in await found(pool)] == [event(1)]
