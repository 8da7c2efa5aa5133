"""Delivery to doors that fail as real ones do: order kept, everything sent again until it is answered, nothing twice."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from healthbrain.errors import Incorrect, Unauthenticated, Unavailable
from healthbrain.twin import Outgoing
from healthbrain.twin.send import Doors, Progress, send

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 1, 12)


@dataclass
class Platform:
    """Two doors that note what they take in. `answer` may spoil an answer: a status or 'drop', '207', 'AE'."""

    answer: Callable[[str, bytes, int], str] = lambda source, payload, attempt: ""
    taken: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    tries: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    broken_frames: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def fhir(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(headers["content-length"]))
                status = await self._judge(headers["authorization"].split()[1].upper(), body)
                if status == "drop":
                    break
                status = status or "200"
                reply = (
                    b"{}" if status == "200" else b'{"resourceType":"OperationOutcome","issue":[{"diagnostics":"no"}]}'
                )
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(reply)}\r\n\r\n".encode() + reply)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def mllp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while frame := await reader.readuntil(b"\x1c\r"):
                message = frame[1:-2]
                verdict = await self._judge("H", message)
                if verdict == "drop":
                    break
                code = "AA" if not verdict else "AE"
                error = (
                    f"ERR||PID-3|{'207^x' if verdict == '207' else '101^x'}|E||||PID-3 is missing\r" if verdict else ""
                )
                writer.write(f"\x0bMSH|^~\\&|HUB\rMSA|{code}|1\r{error}\x1c\r".encode())
                await writer.drain()
        except asyncio.IncompleteReadError as end:
            self.broken_frames += bool(end.partial)
        finally:
            writer.close()

    async def _judge(self, source: str, payload: bytes) -> str:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.002)
        self.at_once -= 1
        self.tries[payload] += 1
        verdict = self.answer(source, payload, self.tries[payload])
        if not verdict:
            self.taken[source].append(payload)
        return verdict


@asynccontextmanager
async def doors(platform: Platform) -> AsyncIterator[Doors]:
    web = await asyncio.start_server(platform.fhir, "127.0.0.1", 0)
    lines = await asyncio.start_server(platform.mllp, "127.0.0.1", 0)
    async with web, lines:
        ports = [server.sockets[0].getsockname()[1] for server in (web, lines)]
        yield Doors(f"http://127.0.0.1:{ports[0]}/fhir", "127.0.0.1", ports[1], {s: s for s in "ABCDEF"})


def message(source: str, number: int, *, kind: str = "visit", fault: str = "", cut: bool = False) -> Outgoing:
    door = "hl7v2" if source == "H" else "fhir"
    return Outgoing(
        source, door, NOON + timedelta(seconds=number), f"{source}{number:04d}".encode(), kind, 2, fault, cut
    )


def some(count: int, sources: str = "ABCH") -> list[Outgoing]:
    return [message(sources[number % len(sources)], number) for number in range(count)]


async def test_each_source_keeps_its_order_and_sources_go_side_by_side() -> None:
    platform = Platform()
    async with doors(platform) as open_doors:
        done = await send(some(200, "ABCDEFH"), open_doors, lanes=3)
    for source, taken in platform.taken.items():
        assert taken == sorted(taken), source
    assert sum(map(len, platform.taken.values())) == done.total("accepted") == 200
    assert done.total("resources") == 400
    assert 2 <= platform.most_at_once <= 6


async def test_what_is_not_acknowledged_is_sent_again_until_it_is() -> None:
    def trouble(source: str, payload: bytes, attempt: int) -> str:
        if attempt == 1 and payload[-1:] in b"37":
            return "207" if source == "H" else "503"
        return "drop" if attempt == 1 and payload[-1:] == b"5" else ""

    platform = Platform(trouble)
    async with doors(platform) as open_doors:
        done = await send(some(80), open_doors)
    assert done.total("accepted") == 80
    assert done.total("retried") == 24
    for taken in platform.taken.values():
        assert taken == sorted(set(taken))


async def test_a_refusal_is_final_and_its_reason_is_counted() -> None:
    platform = Platform(
        lambda source, payload, attempt: ("AE" if source == "H" else "422") if payload[-1:] == b"4" else ""
    )
    messages = [message("A", 4, fault="bad-code"), message("A", 5), message("A", 14), message("H", 24)]
    async with doors(platform) as open_doors:
        done = await send(messages, open_doors)
    assert (done.sources["A"].refused, done.sources["A"].unexpected, done.sources["A"].accepted) == (2, 1, 1)
    assert done.sources["A"].reasons == {"no": 2}
    assert done.sources["H"].reasons == {"PID-3 is missing": 1}
    assert platform.tries[b"A0004"] == 1


async def test_a_frame_cut_on_purpose_breaks_the_line_and_the_next_message_goes_through() -> None:
    platform = Platform()
    async with doors(platform) as open_doors:
        done = await send([message("H", 1, cut=True, fault="cut-frame"), message("H", 1)], open_doors)
        await asyncio.sleep(0.05)
    assert (done.sources["H"].cut, done.sources["H"].accepted) == (1, 1)
    assert platform.broken_frames == 1
    assert platform.taken["H"] == [b"H0001"]


async def test_the_directory_is_in_before_anything_that_refers_to_it() -> None:
    platform = Platform()
    order: list[bytes] = []
    platform.answer = lambda source, payload, attempt: order.append(payload) or ""
    async with doors(platform) as open_doors:
        await send([message("A", 1, kind="directory"), message("A", 2, kind="directory"), *some(40, "BC")], open_doors)
    assert order[:2] == [b"A0001", b"A0002"]


async def test_an_interrupted_delivery_goes_on_where_it_stopped(tmp_path: Path) -> None:
    cursor = tmp_path / "cursor.json"
    shut = {"on": True}
    platform = Platform(lambda source, payload, attempt: "503" if shut["on"] and payload == b"B0041" else "")
    messages = some(120)
    async with doors(platform) as open_doors:
        with pytest.raises(Unavailable, match="B in 2 attempts"):
            await send(messages, open_doors, attempts=2, cursor=cursor, label="x")
        before = sum(map(len, platform.taken.values()))
        assert 0 < before < 120
        shut["on"] = False
        await send(messages, open_doors, cursor=cursor, label="x")
        again = await send(messages, open_doors, cursor=cursor, label="x")
        assert again.done == 0
        with pytest.raises(Incorrect, match="another district"):
            await send(messages, open_doors, cursor=cursor, label="y")
    for source, taken in platform.taken.items():
        assert sorted(set(taken)) == [m.payload for m in messages if m.source == source]
        assert len(taken) - len(set(taken)) <= 1  # the one under way when it stopped
    assert json.loads(cursor.read_text())["done"] == dict.fromkeys("ABCH", 30)


async def test_a_token_that_is_not_accepted_or_missing_stops_the_delivery() -> None:
    platform = Platform(lambda source, payload, attempt: "401")
    async with doors(platform) as open_doors:
        with pytest.raises(Unauthenticated, match="of A"):
            await send([message("A", 1)], open_doors)
        with pytest.raises(Incorrect, match="source Z"):
            await send([message("Z", 1)], open_doors)


async def test_progress_is_told_after_every_message() -> None:
    heard: list[int] = []

    def listen(progress: Progress) -> None:
        heard.append(progress.done)

    async with doors(Platform()) as open_doors:
        await send(some(10), open_doors, on_progress=listen)
    assert heard == list(range(1, 11))
