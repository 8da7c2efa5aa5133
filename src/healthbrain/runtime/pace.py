"""How often work is done that is never finished as long as data come.

Counting the measures anew after every change would take a fourth of a core from the doors. So while changes keep coming it
takes a tenth of the time at most; when they stop, it's done at the next look.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_OTHERS = 9  # of ten parts of the time
_SHORTEST = timedelta(seconds=30)


class Pace:
    """When one kind of work is due, by what it would work on and by how long it took last time."""

    def __init__(self) -> None:
        self._seen = ""
        self._rested: datetime | None = None

    def due(self, mark: str, at: datetime) -> bool:
        """Whether to do it now; `mark` stands for what it would work on."""
        still, self._seen = mark == self._seen, mark
        return still or self._rested is None or at >= self._rested

    def done(self, begun: datetime, ended: datetime) -> None:
        """It was done; rest in proportion."""
        self._rested = ended + max(_SHORTEST, (ended - begun) * _OTHERS)
