"""The files of bulk jobs: gzip-packed NDJSON, one folder a job, removed when the job is cancelled or expires."""

from __future__ import annotations

import asyncio
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from healthbrain.database import Pool
from healthbrain.errors import NotFound
from healthbrain.exchange.bulkdata import jobs

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]{4,}\.(?:ndjson|csv|json|parquet)")
_ID = re.compile(r"[0-9a-f]{32}")
_MOST_LINES = 100_000
_MOST_BYTES = 128 * 1024 * 1024
_PIECE = 256 * 1024
_UPLOADING = timedelta(hours=1)


@dataclass(slots=True)
class Lines:
    """Files of one type, a next one begun when one is full. Everything here may run in a thread."""

    folder: Path
    type: str
    finished: list[dict[str, object]] = field(default_factory=list)  # name, type, count
    count: int = 0
    _bytes: int = 0
    _file: BinaryIO | None = None
    _packer: zlib._Compress | None = None

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines, each without its line end."""
        if not lines:
            return
        if self._file is None or self._packer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / f"{self._name}.gz").open("wb")
            self._packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        text = b"\n".join(lines) + b"\n"
        self._file.write(self._packer.compress(text))
        self.count += len(lines)
        self._bytes += len(text)

    @property
    def full(self) -> bool:
        """Whether the next lines belong into another file."""
        return self.count >= _MOST_LINES or self._bytes >= _MOST_BYTES

    def close(self) -> None:
        """Finish the file, if there is one."""
        if self._file is None or self._packer is None:
            return
        self._file.write(self._packer.flush())
        self._file.close()
        self.finished.append({"name": self._name, "type": self.type, "count": self.count})
        self._file, self._packer, self.count, self._bytes = None, None, 0, 0

    @property
    def _name(self) -> str:
        return f"{self.type}-{len(self.finished) + 1:04d}.ndjson"


def folder_of(root: Path, id_: str) -> Path:
    """Where a job keeps its files."""
    return root / id_


def open_file(root: Path, job: jobs.Job, name: str) -> Path:
    """The packed file of a job by the name its manifest gives. NotFound when there is none."""
    path = folder_of(root, job.id) / f"{name}.gz"
    if not _NAME.fullmatch(name) or job.state != "done" or not path.is_file():
        raise NotFound("there is no such file; the job's manifest lists those that are")
    return path


def pieces(path: Path, *, packed: bool) -> Iterator[bytes]:
    """The content of a packed file in pieces, packed as it is or unpacked."""
    unpacker = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece if packed else unpacker.decompress(piece)


def remove(root: Path, id_: str) -> None:
    """Remove a job's files."""
    shutil.rmtree(folder_of(root, id_), ignore_errors=True)


async def sweep(pool: Pool, root: Path, at: datetime) -> int:
    """Remove the files of jobs that were cancelled, have expired or are unknown; returns how many folders went."""
    async with pool.connection() as connection:
        await jobs.forget(connection, at)
        known = await jobs.with_files(connection, at)
    return await asyncio.to_thread(_remove_stale, root, known, (at - _UPLOADING).timestamp())


def _remove_stale(root: Path, known: Mapping[str, bool], before: float) -> int:
    found = [one for one in root.iterdir() if _ID.fullmatch(one.name)] if root.is_dir() else []
    # a folder without a job may be an upload that has just begun
    stale = [one.name for one in found if not known.get(one.name, one.stat().st_mtime > before)]
    for name in stale:
        remove(root, name)
    return len(stale)
