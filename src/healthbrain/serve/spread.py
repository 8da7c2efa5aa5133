"""Connections spread over the web processes: who has two busy ones more than another process lets one go.

Every web process listens on the same port and Linux picks one for each connection by a hash of its addresses. Of four
connections that live long, three or four come to the same process half of the time, and the other cores stand idle as long
as they live. So each process tells the others, in a file that all map into their memory, how many connections keep it busy;
the one that has at least two more than another answers one of them with `Connection: close` (RFC 9112, 9.6). The
client connects anew with its next request, and the hash is drawn again. Nothing is asked of clients but what HTTP asks.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from struct import Struct
from typing import Any

_PLACE = Struct("=QdQ")  # which process, when it said so, its busy connections
_PLACES = 256  # more processes than any machine has cores for
_LOOK = 0.2  # seconds from one look to the next
_BUSY = 4  # requests on one connection between two looks, from which on it counts: 20 a second
_SHARE = 5  # of many connections a fifth more is no matter
_OLD = 1.0  # seconds after which a process that said nothing has no busy connections, or is no more
_SHORTEST = 0.1  # seconds between the begin of a process's work and its first look

Client = tuple[str, int]
Message = MutableMapping[str, Any]


class Spread:
    """What one web process knows of its own connections and the others' numbers. `path` is the shared file."""

    def __init__(
        self, path: Path, *, monotonic: Callable[[], float] = time.monotonic, process: int | None = None
    ) -> None:
        self._now = monotonic
        self._process = process or os.getpid()
        self._asked: dict[Client, int] = {}
        self._leaving: Client | None = None
        self._look_at = monotonic() + _SHORTEST
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, _PLACES * _PLACE.size)
            self._places = mmap.mmap(file, _PLACES * _PLACE.size)
            self._own = self._take_place(file)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # the map keeps a copy of `file`, and with it the lock
            os.close(file)

    def lets_go(self, client: Client) -> bool:
        """Note one request of this connection; whether its answer shall be the last one on it."""
        self._asked[client] = self._asked.get(client, 0) + 1
        if self._now() >= self._look_at:
            self._look()
        if client != self._leaving:
            return False
        self._leaving = None
        return True

    def _look(self) -> None:
        now = self._now()
        busy = {client: number for client, number in self._asked.items() if number >= _BUSY}
        self._asked.clear()
        self._look_at = now + _LOOK
        _PLACE.pack_into(self._places, self._own, self._process, now, len(busy))
        others = self._others(now)
        too_many = bool(others) and len(busy) - min(others) >= max(2, min(others) // _SHARE)
        self._leaving = min(busy, key=busy.__getitem__) if too_many else None

    def _others(self, now: float) -> list[int]:
        """How many busy connections each other process has. One that is quiet says nothing; it has none."""
        found = []
        for place in range(0, _PLACES * _PLACE.size, _PLACE.size):
            process, when, number = _PLACE.unpack_from(self._places, place)
            if process and place != self._own:
                found.append(number if 0 <= now - when < _OLD else 0)
        return found

    def _take_place(self, file: int) -> int:
        """A place of one's own: free, or left by a process that is no more."""
        fcntl.flock(file, fcntl.LOCK_EX)
        free = -1
        for place in range(0, _PLACES * _PLACE.size, _PLACE.size):
            process = _PLACE.unpack_from(self._places, place)[0]
            if process and process != self._process and _lives(process):
                continue
            _PLACE.pack_into(self._places, place, 0, 0.0, 0)
            free = place if free < 0 else free
        _PLACE.pack_into(self._places, free, self._process, 0.0, 0)
        return free


def last_one(message: Message) -> None:
    """Say in the start of an answer that the connection ends with it."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
