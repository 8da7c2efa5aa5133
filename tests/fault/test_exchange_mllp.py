"""The MLLP port under bad senders, a lost database and a full disk: no partial write, no crash, nothing acknowledged that isn't there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthbrain.access import put_organisation
from healthbrain.database import Embedded, Pool, apply_migrations, open_pool
from healthbrain.exchange import Ledger, MllpServer, arrivals, mllp_handler, put_source, serve_mllp
from healthbrain.exchange.hl7v2.mllp import Cutter, Frame
from healthbrain.identity import link
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
Scenario = Callable[[Pool, MllpServer], Awaitable[None]]


def adt(n: int, more: str = "") -> bytes:
    return (
        f"MSH|^~\\&|HIS|QP001|HB|QP00|20261122110000||ADT^A04|C{n}|P|2.5\rEVN|A04|20261122110000\r"
        f"PID|1||M{n}^^^QP001^MR||张{more}^伟||19900101|M\rPV1|1|O|||||||||||||||||V{n}|||||||||||||||||||||||||20261122103000\r"
    ).encode()


def framed(message: bytes) -> bytes:
    return b"\x0b" + message + b"\x1c\r"


async def answers(port: int, sent: bytes, expected: int, *, finish: bool = True) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    if finish:
        writer.write_eof()
    found = []
    with suppress(asyncio.IncompleteReadError):
        while len(found) < expected:
            found.append((await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)).decode().strip("\x0b\x1c\r"))
    writer.close()
    await writer.wait_closed()
    return found


def verdict(answer: str) -> str:
    return answer.split("\r")[1].split("|")[1]


async def register(pool: Pool) -> None:
    async with pool.connection() as c:
        key = await put_organisation(c, code="QP001", name="医院", kind="institution")
        await put_source(c, code="his", name="HIS", organisation=key, door="hl7v2", facility="QP001", at=AT)


def run(dsn: str, scenario: Scenario, *, observers: list[Any] | None = None, **options: Any) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=4)
        await register(pool)
        ledger = Ledger(pool, Store(), [link, *(observers or [])])
        server = await serve_mllp("127.0.0.1", 0, mllp_handler(ledger, lambda: AT), **options)
        try:
            await scenario(pool, server)
        finally:
            await server.stop(2)
            await pool.close()

    asyncio.run(whole())


async def states(pool: Pool) -> list[str]:
    async with pool.connection() as c:
        return [one.state for one in (await arrivals(c, count=500)).deliveries]


async def count(pool: Pool, kind: str) -> int:
    async with pool.connection() as c:
        page = await Store().search(c, kind, [("_count", "0"), ("_total", "accurate")])
        return page.total or 0


# -- framing, pure


@given(
    st.lists(
        st.binary(max_size=40).map(lambda b: bytes(c for c in b if c not in (0x0B, 0x1C))), min_size=1, max_size=6
    ),
    st.integers(1, 7),
)
@settings(max_examples=60)
def test_frames_come_out_whole_however_the_bytes_arrive(messages: list[bytes], step: int) -> None:
    stream = b"".join(framed(one) for one in messages)
    cutter, found = Cutter(1000), []
    for start in range(0, len(stream), step):
        found += cutter.feed(stream[start : start + step])
    assert [frame.raw for frame in found] == messages
    assert [frame.fault for frame in cutter.finish()] == []


def test_faulty_frames_do_not_disturb_the_next_ones() -> None:
    cutter = Cutter(100)
    sent = (
        b"noise"
        + framed(b"one")
        + b"\r\n"
        + b"\x0bbroken"
        + framed(b"two")
        + framed(b"x" * 5000)
        + framed(b"three")
        + b"\x0bhalf"
    )
    found = []
    for start in range(0, len(sent), 64):
        found += cutter.feed(sent[start : start + 64])
    found += cutter.finish()
    assert [(f.fault, f.raw[:5]) for f in found] == [
        ("unframed", b"noise"),
        ("", b"one"),
        ("truncated", b"broke"),
        ("", b"two"),
        ("oversized", b"xxxxx"),
        ("", b"three"),
        ("truncated", b"half"),
    ]
    assert found[4].size == 5000


def test_an_endless_frame_uses_no_endless_memory() -> None:
    cutter = Cutter(10_000)
    cutter.feed(b"\x0b")
    for _ in range(1000):
        cutter.feed(b"y" * 10_000)
    assert len(cutter._buffer) < 40_000
    (frame,) = cutter.feed(b"\x1c")
    assert frame == Frame(b"y" * 8192, "oversized", 10_000_000)


# -- on the wire


def test_several_messages_on_one_connection_are_answered_in_order(dsn: str) -> None:
    async def scenario(pool: Pool, server: MllpServer) -> None:
        found = await answers(server.port, b"".join(framed(adt(n)) for n in range(8)), 8)
        assert [verdict(one) for one in found] == ["AA"] * 8
        assert [one.split("\r")[1].split("|")[2] for one in found] == [f"C{n}" for n in range(8)]
        assert await count(pool, "Patient") == 8

    run(dsn, scenario)


def test_broken_frames_are_listed_refused_and_the_rest_goes_on(dsn: str) -> None:
    async def scenario(pool: Pool, server: MllpServer) -> None:
        sent = (
            b"GET / HTTP/1.1\r\n"
            + framed(adt(1))
            + b"\x0b"
            + adt(2)[:70]
            + framed(adt(3))
            + framed(adt(4, "长" * 3000))
            + framed(b"")
            + framed(adt(5))
        )
        found = [verdict(one) for one in await answers(server.port, sent, 7)]
        assert found == ["AR", "AA", "AR", "AA", "AR", "AR", "AA"]
        assert sorted(await states(pool)) == ["accepted"] * 3 + ["refused"] * 4
        assert await count(pool, "Patient") == 3

    run(dsn, scenario, max_frame=4096)


def test_a_connection_that_ends_inside_a_message_leaves_a_trace_and_no_data(dsn: str) -> None:
    async def scenario(pool: Pool, server: MllpServer) -> None:
        found = await answers(server.port, b"\x0b" + adt(1)[:-20], 1)
        assert [verdict(one) for one in found] == ["AR"]
        assert await states(pool) == ["refused"]
        assert await count(pool, "Patient") == 0

    run(dsn, scenario)


def test_a_sender_that_stops_in_the_middle_is_let_go(dsn: str) -> None:
    async def scenario(pool: Pool, server: MllpServer) -> None:
        found = await answers(server.port, b"\x0b" + adt(1)[:-20], 1, finish=False)
        assert [verdict(one) for one in found] == ["AR"]

    run(dsn, scenario, frame_seconds=0.3)


def test_many_connections_at_once_lose_nothing(dsn: str) -> None:
    async def scenario(pool: Pool, server: MllpServer) -> None:
        sent = [b"".join(framed(adt(100 * c + n)) for n in range(3)) for c in range(40)]
        found = await asyncio.gather(*(answers(server.port, one, 3) for one in sent))
        assert {verdict(one) for several in found for one in several} == {"AA"}
        assert await count(pool, "Patient") == 120

    run(dsn, scenario)


def test_stopping_answers_what_is_being_handled(dsn: str) -> None:
    async def slow(*_: Any) -> None:
        await asyncio.sleep(0.5)

    async def scenario(pool: Pool, server: MllpServer) -> None:
        waiting = asyncio.create_task(answers(server.port, framed(adt(1)), 1, finish=False))
        idle = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.sleep(0.2)
        await server.stop(5)
        assert [verdict(one) for one in await waiting] == ["AA"]
        assert await idle[0].read() == b""
        idle[1].close()
        await idle[1].wait_closed()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port or 1)
        assert await count(pool, "Patient") == 1

    run(dsn, scenario, observers=[slow])


def test_a_full_disk_acknowledges_nothing(dsn: str) -> None:
    async def scenario(pool: Pool, server: MllpServer) -> None:
        async with pool.connection() as c:
            await c.execute(
                "create function full_disk() returns trigger language plpgsql as $$begin raise sqlstate '53100'; end$$"
            )
            await c.execute(
                "create trigger full_disk before insert on delivery for each row execute function full_disk()"
            )
        found = await answers(server.port, framed(adt(1)), 1)
        assert [verdict(one) for one in found] == ["AE"]
        assert "207" in found[0]
        assert await count(pool, "Patient") == 0
        async with pool.connection() as c:
            await c.execute("drop trigger full_disk on delivery")
        assert [verdict(one) for one in await answers(server.port, framed(adt(1)), 1)] == ["AA"]

    run(dsn, scenario)


def test_connections_cut_by_the_server_fail_one_message_and_then_it_goes_on(dsn: str) -> None:
    cut = False

    async def cutting(connection: Any, *_: Any) -> None:
        nonlocal cut
        if not cut:
            cut = True
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    async def scenario(pool: Pool, server: MllpServer) -> None:
        first, second = await answers(server.port, framed(adt(1)) + framed(adt(2)), 2)
        assert (verdict(first), verdict(second)) == ("AE", "AA")
        assert sorted(await states(pool)) == ["accepted", "failed"]
        assert await count(pool, "Patient") == 1

    run(dsn, scenario, observers=[cutting])


@pytest.mark.fault
def test_what_was_acknowledged_before_the_database_was_killed_is_there_exactly_once(tmp_path: Path) -> None:
    database = Embedded(tmp_path / "pg", config={"shared_buffers": "128MB"})
    dsn = database.start()
    acknowledged: set[int] = set()

    async def sender(port: int, numbers: range) -> None:
        for n in numbers:
            for _ in range(60):  # a sender repeats until it is told AA
                with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                    (found,) = await answers(port, framed(adt(n)), 1)
                    if verdict(found) == "AA":
                        acknowledged.add(n)
                        break
                await asyncio.sleep(0.1)

    async def killer() -> None:
        for _ in range(2):
            await asyncio.sleep(0.7)
            pid = database.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(database.start)

    async def whole() -> None:
        apply_migrations(dsn)
        pool = await open_pool(dsn, size=4)
        await register(pool)
        server = await serve_mllp("127.0.0.1", 0, mllp_handler(Ledger(pool, Store(), [link]), lambda: AT))
        try:
            await asyncio.gather(killer(), *(sender(server.port, range(k, 200, 4)) for k in range(4)))
            async with pool.connection() as c:
                rows = await (
                    await c.execute("select control_id, count(*) from delivery where state = 'accepted' group by 1")
                ).fetchall()
            assert {int(control[1:]): n for control, n in rows} == dict.fromkeys(acknowledged, 1)
            assert len(acknowledged) == 200
            assert await count(pool, "Patient") == 200
            assert await count(pool, "Encounter") == 200
        finally:
            await server.stop(2)
            await pool.close()

    try:
        asyncio.run(whole())
    finally:
        database.stop()
