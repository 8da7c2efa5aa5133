"""Whether the doors have time: how long ago they last kept the machine busy.

What follows the data (lake, texts, measures) would take cores away from whoever waits for an answer, and does more in one go
when it comes a little later. So it waits until the doors are calm, though never longer than its patience. The doors are
the supervisor's other children with theirs, without the database, which works for the worker too; what they take is read from
/proc, so nothing has to be told or shared. Where there is no /proc they count as calm.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_LOOK = 0.4  # seconds from one look to the next
_SEARCH = 5.0  # seconds for which the list of processes is good
_BUSY = 0.2  # cores: what the doors take when they are busy
_TICK = os.sysconf("SC_CLK_TCK")


class Doors:
    """The processes of the doors, as the worker sees them. `parent` is the supervisor, `own` the worker itself."""

    def __init__(
        self, parent: int, own: int, *, proc: Path = Path("/proc"), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._parent = parent
        self._own = own
        self._proc = proc
        self._now = monotonic
        self._processes: list[int] = []
        self._search_at = self._look_at = 0.0
        self._taken: dict[int, int] = {}
        self._seen = self._busy = monotonic()

    def calm_for(self) -> float:
        """Seconds since they were last seen busy."""
        now = self._now()
        if now >= self._look_at:
            self._look(now)
        return now - self._busy

    def _look(self, now: float) -> None:
        if now >= self._search_at:
            self._processes = self._search()
            self._search_at = now + _SEARCH
        taken = {one: ticks for one in self._processes if (ticks := self._ticks(one)) is not None}
        seconds = sum(ticks - self._taken[one] for one, ticks in taken.items() if one in self._taken) / _TICK
        if seconds >= _BUSY * (now - self._seen):
            self._busy = now
        self._taken, self._seen, self._look_at = taken, now, now + _LOOK

    def _search(self) -> list[int]:
        """The supervisor's children and theirs, without the worker and its own."""
        children: dict[int, list[int]] = {}
        try:
            names = [int(one.name) for one in self._proc.iterdir() if one.name.isdigit()]
        except OSError:
            return []
        for one in names:
            name, fields = self._stat(one)
            if fields and name != "postgres":
                children.setdefault(int(fields[1]), []).append(one)
        found: list[int] = []
        open_ = [one for one in children.get(self._parent, ()) if one != self._own]
        while open_:
            one = open_.pop()
            found.append(one)
            open_ += children.get(one, ())
        return found

    def _ticks(self, process: int) -> int | None:
        _, fields = self._stat(process)
        return int(fields[11]) + int(fields[12]) if fields else None

    def _stat(self, process: int) -> tuple[str, list[str]]:
        """The name in /proc/N/stat and what follows it: state, parent, …, user and system time (proc(5)); empty when it is gone."""
        try:
            before, _, after = (self._proc / str(process) / "stat").read_text().rpartition(")")
        except OSError:
            return "", []
        return before.partition("(")[2], after.split()
