"""How many requests one client may send: a bucket that each request takes from and that fills again with time.

A client is whoever signed in (an account, a token, an application for an account), or an address for requests without
a valid name. Counted in the memory of each process: what it protects is that process's share of the machine
(HB_RATE_LIMIT, per minute; docs/reference/settings.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

from healthbrain.errors import Busy
from healthbrain.scope import Principal

_MOST = 50_000  # clients remembered; beyond that those whose bucket is full are forgotten


class Throttled(Busy):
    """The client sends more than it may."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Rates:
    """At most `per_minute` requests in a minute, all of them at once if need be; 0 = as many as they like."""

    def __init__(self, per_minute: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._each_second = per_minute / 60
        self._now = monotonic
        self._levels: dict[str, tuple[float, float]] = {}

    def admit(self, client: str) -> None:
        """Count one request. Raises Throttled with the seconds after which the next one will be admitted."""
        if not self._most:
            return
        now = self._now()
        level = self._level(client, now)
        if level < 1:
            seconds = max(1, ceil((1 - level) / self._each_second))
            raise Throttled(
                f"more than {self._most:.0f} requests in a minute; go on after {seconds} s (HB_RATE_LIMIT)", seconds
            )
        if len(self._levels) >= _MOST and client not in self._levels:
            self._forget(now)
        self._levels[client] = (level - 1, now)

    def _level(self, client: str, now: float) -> float:
        level, since = self._levels.get(client, (self._most, now))
        return min(self._most, level + (now - since) * self._each_second)

    def _forget(self, now: float) -> None:
        self._levels = {one: kept for one, kept in self._levels.items() if self._level(one, now) < self._most}
        if len(self._levels) >= _MOST:
            self._levels.clear()


def client_of(principal: Principal) -> str:
    """Who is counted together."""
    return f"{principal.account} {principal.grant.client if principal.grant else ''}"
