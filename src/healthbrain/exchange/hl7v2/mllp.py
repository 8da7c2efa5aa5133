"""MLLP: HL7 v2 messages framed on a TCP connection (Transport Specification: MLLP, Release 1).

A frame is 0x0B, the message, 0x1C 0x0D. Real senders forget the last byte, put line ends between frames, break off in the middle, or
send more than fits; each of these is handed on as a faulty frame, so that it can be listed, and never disturbs the
frames that follow. Messages of one connection are handled in order, connections side by side. An answer is sent when the
handler has returned, that is after the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

_log = logging.getLogger(__name__)
START, END, RETURN = b"\x0b", b"\x1c", b"\r"
_CHUNK = 1 << 16
_HEAD = 8192  # bytes kept of a frame that is too large

Fault = Literal["", "truncated", "oversized", "unframed"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. With a fault `raw` is what there was of it, and `size` how much there had been."""

    raw: bytes
    fault: Fault = ""
    size: int = 0


Handler = Callable[[Frame], Awaitable[bytes | None]]


class Cutter:
    """Cuts a stream of bytes into frames. Pure; feed it what arrives."""

    def __init__(self, max_frame: int) -> None:
        self._max = max_frame
        self._buffer = bytearray()
        self._inside = False
        self._dropped = 0  # bytes of an oversized frame that are gone
        self._searched = 0
        self._strays = bytearray()

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        self._buffer += data
        found: list[Frame] = []
        while True:
            if not self._inside and not self._begin(found):
                return found
            end = self._buffer.find(END, self._searched)
            again = self._buffer.find(START, self._searched)
            if again != -1 and (end == -1 or again < end):  # a new frame begins: this one was never finished
                found.append(self._cut(again, "truncated"))
                del self._buffer[:again]
                self._inside = False
            elif end != -1:
                found.append(self._cut(end, ""))
                del self._buffer[: end + 1]
                self._inside = False
            else:
                self._searched = len(self._buffer)
                self._shrink()
                return found

    def finish(self) -> list[Frame]:
        """What is left when the connection ends."""
        found = []
        if self._inside and (self._buffer or self._dropped):
            found.append(self._cut(len(self._buffer), "truncated"))
        elif self._strays.strip():
            found.append(Frame(bytes(self._strays), "unframed", len(self._strays)))
        self._inside = False
        self._buffer.clear()
        self._strays.clear()
        return found

    def _begin(self, found: list[Frame]) -> bool:
        start = self._buffer.find(START)
        stray = self._buffer if start == -1 else self._buffer[:start]
        if stray.strip(b"\r\n \t\x00\x1c"):
            self._strays += stray[: _HEAD - len(self._strays)]
        if start == -1:
            self._buffer.clear()
            return False
        if self._strays:
            found.append(Frame(bytes(self._strays), "unframed", len(self._strays)))
            self._strays.clear()
        del self._buffer[: start + 1]
        self._inside, self._searched, self._dropped = True, 0, 0
        return True

    def _cut(self, end: int, fault: Fault) -> Frame:
        size = end + self._dropped
        if size > self._max:
            return Frame(bytes(self._buffer[: min(end, _HEAD)]), "oversized", size)
        return Frame(bytes(self._buffer[:end]), fault, size)

    def _shrink(self) -> None:
        if len(self._buffer) + self._dropped > self._max:
            self._dropped += max(0, len(self._buffer) - _HEAD)
            del self._buffer[_HEAD:]
            self._searched = len(self._buffer)


class MllpServer:
    """A listening MLLP port."""

    def __init__(
        self, handler: Handler, *, max_frame: int, frame_seconds: float, idle_seconds: float, max_connections: int
    ) -> None:
        self._handler = handler
        self._max_frame = max_frame
        self._frame_seconds = frame_seconds
        self._idle_seconds = idle_seconds
        self._max_connections = max_connections
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], bool] = {}  # connection -> whether it handles a message now
        self._stopping = False

    async def start(self, host: str, port: int) -> None:
        """Begin to listen; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=_CHUNK)

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None or not self._server.sockets:
            return 0
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace: float = 20.0) -> None:
        """Take no more connections, answer what is being handled, then close."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for task, busy in list(self._open.items()):
            if not busy:
                task.cancel()
        if self._open:
            _, late = await asyncio.wait(list(self._open), timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 5)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._stopping or len(self._open) >= self._max_connections:
            writer.close()
            return
        self._open[task] = False
        try:
            await self._converse(task, reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the other side or `stop` ended it
        finally:
            self._open.pop(task, None)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with contextlib.aclosing(self._frames(reader)) as frames:
            async for frame in frames:
                self._open[task] = True
                answer = await self._handler(frame)
                if answer is not None:
                    writer.write(START + answer + END + RETURN)
                    await asyncio.wait_for(writer.drain(), self._frame_seconds)
                self._open[task] = False
                if self._stopping:
                    return

    async def _frames(self, reader: asyncio.StreamReader) -> AsyncGenerator[Frame, None]:
        cutter = Cutter(self._max_frame)
        while True:
            patience = self._frame_seconds if cutter.inside else self._idle_seconds
            try:
                data = await asyncio.wait_for(reader.read(_CHUNK), patience)
            except (TimeoutError, ConnectionError):
                data = b""
            for frame in cutter.feed(data) if data else cutter.finish():
                yield frame
            if not data:
                return


async def serve_mllp(
    host: str,
    port: int,
    handler: Handler,
    *,
    max_frame: int = 64 * 1024 * 1024,
    frame_seconds: float = 60.0,
    idle_seconds: float = 3600.0,
    max_connections: int = 1000,
) -> MllpServer:
    """Listen for MLLP on `host`:`port`; every frame goes to `handler`, whose answer is sent back."""
    server = MllpServer(
        handler,
        max_frame=max_frame,
        frame_seconds=frame_seconds,
        idle_seconds=idle_seconds,
        max_connections=max_connections,
    )
    await server.start(host, port)
    return server
