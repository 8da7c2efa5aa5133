"""How often the token endpoint may be asked, by whom, and how often wrongly.

A bucket for each (address, client): it empties with each request and fills again with time. In memory of one process:
its purpose is to keep load and guessing bounded, the secrets themselves cannot be guessed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from healthbrain.errors import Busy

_MOST = 50_000  # buckets; beyond that the full ones are dropped


class Brake:
    """At most `burst` at once and `each_second` on average, for each key."""

    def __init__(self, burst: float, each_second: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._rate = each_second
        self._now = monotonic
        self._levels: dict[tuple[str, str], tuple[float, float]] = {}

    def check(self, key: tuple[str, str]) -> None:
        """Raises Busy when nothing is left."""
        if self._level(key) < 1:
            raise Busy("too many requests to the authorisation server; try again in a moment")

    def spend(self, key: tuple[str, str]) -> None:
        """One was used."""
        if len(self._levels) >= _MOST:
            self._levels = {known: kept for known, kept in self._levels.items() if self._level(known) < self._burst}
            if len(self._levels) >= _MOST:
                self._levels.clear()
        self._levels[key] = (self._level(key) - 1, self._now())

    def _level(self, key: tuple[str, str]) -> float:
        level, since = self._levels.get(key, (self._burst, self._now()))
        return min(self._burst, level + (self._now() - since) * self._rate)
