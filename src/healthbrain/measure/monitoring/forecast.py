"""A forecast for short series, with an interval that says how little is known: the random walk with drift.

The last value moves on by the mean change per period; with T points and h periods ahead the variance is
s² · h · (1 + h / (T − 1)), s² being the variance of the changes (Hyndman and Athanasopoulos, Forecasting: Principles and
Practice, §5.5), to which the sampling variance of the last value is added. Quantiles are Student's with T − 2 degrees of freedom.
It needs no library, has one parameter, and never claims more than the changes seen so far support. A regression line
would: points of a twelve-month window overlap, so its residuals say little.

No forecast is made from fewer than `FEWEST` points, nor further ahead than `FURTHEST` times the time observed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FEWEST = 5  # points
FURTHEST = 2.0  # times the time observed
LEVEL = 0.8  # of ten such intervals eight hold the value that comes

Why = Literal["few", "far", "past"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected so many periods after the last point. `error` is the mean miss of the method on this very series,
    one period ahead; None when there are too few points to tell."""

    steps: int
    value: float
    low: float
    high: float
    points: int
    error: float | None


@dataclass(frozen=True, slots=True)
class NoForecast:
    """Why there is none: too few points, too far ahead, or the date has passed."""

    why: Why
    points: int


def forecast(
    values: Sequence[float],
    steps: int,
    *,
    noise: float = 0.0,
    lowest: float = -math.inf,
    highest: float = math.inf,
) -> Forecast | NoForecast:
    """The value `steps` periods after the last one. `noise` is the standard error of the last value.

    >>> forecast([1.0, 2.0, 3.0], 1)
    NoForecast(why='few', points=3)
    >>> forecast([1.0, 2.0, 3.0, 4.0, 5.0], 2).value
    7.0
    """
    count = len(values)
    if steps <= 0:
        return NoForecast("past", count)
    if count < FEWEST:
        return NoForecast("few", count)
    if steps > FURTHEST * (count - 1):
        return NoForecast("far", count)
    changes = [after - before for before, after in itertools.pairwise(values)]
    drift = sum(changes) / len(changes)
    spread = sum((one - drift) ** 2 for one in changes) / (len(changes) - 1)
    error = math.sqrt(spread * steps * (1 + steps / (count - 1)) + noise**2)
    half = student(0.5 + LEVEL / 2, count - 2) * error
    middle = values[-1] + drift * steps
    return Forecast(
        steps,
        _within(middle, lowest, highest),
        _within(middle - half, lowest, highest),
        _within(middle + half, lowest, highest),
        count,
        _missed(values),
    )


def student(probability: float, freedom: int) -> float:
    """The quantile of Student's distribution, by halving its distribution function.

    >>> round(student(0.975, 10), 3)
    2.228
    >>> round(student(0.9, 3), 3)
    1.638
    """
    low, high = 0.0, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        if _below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _below(t: float, freedom: int) -> float:
    """P(T ≤ t) for t ≥ 0: the finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    cos, sin = math.cos(angle), math.sin(angle)
    term, total = 1.0, 0.0
    if freedom % 2:
        term = cos
        for k in range(3, freedom + 1, 2):
            total += term
            term *= cos * cos * (k - 1) / k
        inside = 2 / math.pi * (angle + sin * total)
    else:
        for k in range(2, freedom + 1, 2):
            total += term
            term *= cos * cos * (k - 1) / k
        inside = sin * total
    return 0.5 + inside / 2


def _missed(values: Sequence[float]) -> float | None:
    """The mean absolute miss, each value from the third on forecast from those before it."""
    misses = [abs(values[i] - (values[i - 1] + (values[i - 1] - values[0]) / (i - 1))) for i in range(3, len(values))]
    return sum(misses) / len(misses) if len(misses) >= 2 else None


def _within(value: float, lowest: float, highest: float) -> float:
    return min(max(value, lowest), highest)
