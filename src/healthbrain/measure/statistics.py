"""Rates with their uncertainty.

The interval of a proportion is Wilson's score interval (E. B. Wilson 1927) at 95 %: it stays within 0 and 1 and is
honest where counts are small, unlike the normal approximation.
"""

from __future__ import annotations

from math import sqrt

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
SMALL = 30  # a proportion of fewer people than this is marked: it says little


def wilson(numerator: int, denominator: int) -> tuple[float, float] | None:
    """The 95 % interval of numerator/denominator; None when nobody was counted.

    >>> [round(bound, 4) for bound in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if denominator <= 0:
        return None
    p, n, z2 = numerator / denominator, denominator, _Z * _Z
    centre = p + z2 / (2 * n)
    spread = _Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z2 / n)), min(1.0, (centre + spread) / (1 + z2 / n))
