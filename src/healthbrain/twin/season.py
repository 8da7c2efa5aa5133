"""When things happen: the year's course of infections, the week's of clinics, the day's of doors.

Shapes follow what Chinese surveillance shows for the east: influenza in winter with a lesser summer wave, hand, foot
and mouth disease in May to July and again in autumn, bacterial diarrhoea in summer, viral diarrhoea in winter.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta
from itertools import accumulate
from math import exp
from random import Random

# season -> bumps (day of year of the peak, width in days, height over a base of 1)
_BUMPS: dict[str, tuple[float, tuple[tuple[float, float, float], ...]]] = {
    "none": (1.0, ()),
    "cold": (0.65, ((10, 45, 1.1), (345, 30, 0.7))),
    "winter": (0.5, ((15, 40, 2.0), (350, 30, 1.2))),
    "flu": (0.06, ((5, 24, 3.2), (355, 20, 2.4), (205, 24, 0.7))),
    "covid": (0.25, ((60, 30, 0.8), (225, 28, 1.6))),
    "hfmd": (0.10, ((160, 28, 3.0), (290, 22, 1.2))),
    "summer": (0.55, ((205, 45, 1.6),)),
    "autumn": (0.6, ((285, 38, 1.6),)),
    "spring": (0.6, ((115, 38, 1.4),)),
}


def intensity(season: str, on: date) -> float:
    """How likely something is on a day, relative to other days."""
    base, bumps = _BUMPS[season]
    day = on.timetuple().tm_yday
    total = base
    for peak, width, height in bumps:
        distance = min(abs(day - peak), 365 - abs(day - peak))
        total += height * exp(-((distance / width) ** 2))
    return total


class Calendar:
    """The simulated period [start, end), with a way to draw days from it."""

    def __init__(self, start: date, end: date) -> None:
        self.start, self.end = start, end
        self.days = (end - start).days
        self._dates = [start + timedelta(days=n) for n in range(self.days)]
        self._midnights = [datetime(d.year, d.month, d.day) for d in self._dates]  # noqa: DTZ001 - local time, see events
        weekday = [(1.25, 1.08, 1.0, 1.0, 1.02, 0.72, 0.5)[d.weekday()] for d in self._dates]
        self._clinic = {s: self._sums(s, weekday) for s in _BUMPS}
        self._always = {s: self._sums(s, [1.0] * self.days) for s in _BUMPS}

    def _sums(self, season: str, weekday: list[float]) -> list[float]:
        return list(accumulate(intensity(season, d) * w for d, w in zip(self._dates, weekday, strict=True)))

    def clinic(self, rng: Random, season: str) -> datetime:
        """A moment in opening hours."""
        sums = self._clinic[season]
        day = bisect_right(sums, rng.random() * sums[-1])
        return self._midnights[min(day, self.days - 1)] + timedelta(seconds=opening(rng))

    def always(self, rng: Random, season: str) -> datetime:
        """A moment of day or night, as emergencies come."""
        sums = self._always[season]
        day = bisect_right(sums, rng.random() * sums[-1])
        hour = 8 + 14 * rng.random() if rng.random() < 0.78 else 24 * rng.random()
        return self._midnights[min(day, self.days - 1)] + timedelta(seconds=int(hour * 3600))

    def on(self, rng: Random, day: date) -> datetime:
        """A moment in opening hours of a given day, moved from Sunday to Monday."""
        if day.weekday() == 6:
            day += timedelta(days=1)
        return datetime(day.year, day.month, day.day) + timedelta(seconds=opening(rng))  # noqa: DTZ001 - local time


def opening(rng: Random) -> int:
    """Seconds after midnight at which somebody comes to a clinic: mostly in the morning."""
    if rng.random() < 0.64:
        return 27900 + int(rng.random() * 12600)
    return 46800 + int(rng.random() * 12600)
