"""How many requests one client may send: a bucket that each request takes from and that fills again with time.

A client is whoever signed in (an account, a token, an application for an account), or an address for requests without
a valid name. The buckets lie in one file that every process of the server maps into its memory, so that the limit holds
for the server as a whole however its processes share the connections (HB_RATE_LIMIT, per minute;
docs/reference/settings.md). A lock on the file is held for the few microseconds in which a bucket changes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
import weakref
from collections.abc import Callable
from math import ceil
from pathlib import Path
from struct import Struct

from xxhash import xxh64_intdigest

from healthbrain.errors import Busy
from healthbrain.scope import Principal

_BUCKET = Struct("=Qdd")  # who, what is left, when that was
_PLACES = 1 << 16
_TRIED = 8  # places where a client's bucket may lie; when all are taken the fullest is given up


class Throttled(Busy):
    """The client sends more than it may."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Rates:
    """At most `per_minute` requests in a minute, all of them at once if need be; 0 = as many as they like.

    `path` is the file of the buckets. Times are those of the machine's monotonic clock, which all processes share;
    a bucket that seems to be of the future is from before the machine was started, and full.
    """

    def __init__(self, per_minute: int, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._each_second = per_minute / 60
        self._now = monotonic
        if not per_minute:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, _PLACES * _BUCKET.size)  # what is there already stays
        self._buckets = mmap.mmap(self._file, _PLACES * _BUCKET.size)

    def admit(self, client: str) -> None:
        """Count one request. Raises Throttled with the seconds after which the next one will be admitted."""
        if not self._most:
            return
        who = xxh64_intdigest(client.encode()) or 1
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            now = self._now()
            place, level = self._bucket(who, now)
            if level >= 1:
                _BUCKET.pack_into(self._buckets, place, who, level - 1, now)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        if level < 1:
            seconds = max(1, ceil((1 - level) / self._each_second))
            raise Throttled(
                f"more than {self._most:.0f} requests in a minute; go on after {seconds} s (HB_RATE_LIMIT)", seconds
            )

    def _bucket(self, who: int, now: float) -> tuple[int, float]:
        """Where the client's bucket lies and what is in it; a new one is full and takes the place of the fullest."""
        fullest, most = 0, -1.0
        for step in range(_TRIED):
            place = (who + step) % _PLACES * _BUCKET.size
            owner, left, since = _BUCKET.unpack_from(self._buckets, place)
            level = (
                self._most if not owner or since > now else min(self._most, left + (now - since) * self._each_second)
            )
            if owner == who:
                return place, level
            if level > most:
                fullest, most = place, level
        return fullest, self._most


def client_of(principal: Principal) -> str:
    """Who is counted together."""
    return f"{principal.account} {principal.grant.client if principal.grant else ''}"
