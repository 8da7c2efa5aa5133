"""Reads are audited without a database round trip, and still none is lost.

`note` appends the event to a file before the answer goes out; the operating system keeps it even if the process is
killed. Every second the file's events become one batch of the chain. A file is one segment, named once and for all:
the batch carries the name, so a segment whose process died between commit and removal is not taken twice. Segments
left by dead processes (nobody holds their lock) are picked up by any other.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import orjson
import psycopg
from psycopg_pool import PoolTimeout

from healthbrain.audit import anchors
from healthbrain.audit.append import append
from healthbrain.audit.events import Event, clean_row, line_of, row_of
from healthbrain.database import Pool
from healthbrain.errors import Unavailable

log = logging.getLogger("healthbrain.audit")

EVERY = 1.0  # seconds between flushes
_PATIENCE = 1.0  # seconds until the flushing is told again to end
_SEGMENT = 4 * 1024 * 1024  # bytes; a larger segment is closed at once
_ADOPT_EVERY = 60  # flushes between looks for segments of dead processes, and between anchors
_SUFFIX = ".ndjson"


@dataclass(slots=True)
class _Segment:
    path: Path
    handle: int
    size: int = 0

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(_SUFFIX)

    def close(self) -> None:
        os.close(self.handle)


class Recorder:
    """The audit writer of one process. `folder` is shared by all processes of the platform."""

    def __init__(self, folder: Path, *, name: str = "") -> None:
        self._folder = folder / "spool"
        self._anchor = folder / anchors.NAME
        self._name = f"{name or os.getpid()}-{uuid.uuid4().hex}"
        self._made = 0
        self._current: _Segment | None = None
        self._waiting: list[_Segment] = []
        self._pool: Pool | None = None
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()

    async def open(self, pool: Pool, *, every: float = EVERY) -> None:
        """Begin to move events to the database; takes up what dead processes left."""
        self._pool = pool
        self._adopt()
        self._task = asyncio.create_task(self._keep_flushing(every), name="audit flush")

    async def close(self) -> None:
        """Move what is left and stop."""
        if self._task is not None:
            # a question to the database that is cut off may take the cancellation for an error of its own and go on
            while not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task], timeout=_PATIENCE)
            self._task = None
        if self._pool is not None:
            try:
                await self.flush()
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("audit events stay in the spool until the next start (%s)", type(error).__name__)
        for segment in (*self._waiting, *([self._current] if self._current else [])):
            segment.close()
        self._waiting, self._current, self._pool = [], None, None

    def note(self, event: Event) -> None:
        """Keep an event. It outlives this process from here on; raises Unavailable when the disk refuses it."""
        try:
            line = line_of(row_of(event))
        except orjson.JSONEncodeError:
            line = line_of(clean_row(row_of(event)))
        try:
            segment = self._current or self._new_segment()
            written = os.write(segment.handle, line)
            if written != len(line):
                os.ftruncate(segment.handle, segment.size)
                raise OSError("short write")
        except OSError as error:
            raise Unavailable(
                "the audit log cannot be written (is the disk full?); without it nothing is shown"
            ) from error
        segment.size += written
        if segment.size > _SEGMENT:
            self._waiting.append(segment)
            self._current = None

    async def flush(self) -> int:
        """Move everything noted so far into the database; returns the number of events moved."""
        if self._pool is None:
            raise RuntimeError("the recorder is not open")
        async with self._flushing:
            if self._current is not None:
                self._waiting.append(self._current)
                self._current = None
            moved = 0
            while self._waiting:
                moved += await self._move(self._pool, self._waiting[0])
                done = self._waiting.pop(0)
                done.path.unlink(missing_ok=True)
                done.close()
            return moved

    async def _keep_flushing(self, every: float) -> None:
        turns = 0
        while True:
            await asyncio.sleep(every)
            turns += 1
            try:
                await self.flush()
                if turns % _ADOPT_EVERY == 1 and self._pool is not None:
                    self._adopt()
                    async with self._pool.connection() as connection:
                        await anchors.drop(connection, self._anchor)
            except (psycopg.Error, PoolTimeout, OSError) as error:
                log.warning("audit events wait in the spool: %s", type(error).__name__)

    async def _move(self, pool: Pool, segment: _Segment) -> int:
        lines = [line for line in _read(segment.handle).splitlines(keepends=True) if line.endswith(b"\n")]
        if not lines:
            return 0
        if any(b"\\u0000" in line for line in lines):  # perhaps a NUL, which PostgreSQL does not keep
            lines = [line_of(clean_row(orjson.loads(line))) for line in lines]
        async with pool.connection() as connection:
            await append(connection, lines, source=segment.name)
        return len(lines)

    def _new_segment(self) -> _Segment:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            self._made += 1
            path = self._folder / f"{self._name}-{self._made}{_SUFFIX}"
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if _lock(handle):
                self._current = _Segment(path, handle)
                return self._current
            os.close(handle)  # somebody looking for orphans was quicker; they remove it

    def _adopt(self) -> None:
        mine = {s.path for s in self._waiting} | ({self._current.path} if self._current else set())
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path in mine:
                continue
            try:
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            if _lock(handle):
                self._waiting.append(_Segment(path, handle))
            else:
                os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(handle: int) -> bytes:
    size = os.fstat(handle).st_size
    return os.pread(handle, size, 0)
