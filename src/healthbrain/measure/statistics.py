"""Intervals of proportions and of counts of events, at 95 % unless another level is asked for.

- `wilson`: Wilson's score interval of a proportion (E. B. Wilson, J Am Stat Assoc 1927); within 0 and 1 and honest where
  counts are small, unlike the normal approximation.
- `poisson`: the exact interval of a count (F. Garwood, Biometrika 1936), by the quantiles of the gamma distribution.
- `byar`: Byar's approximation of it (N. E. Breslow, N. E. Day, Statistical Methods in Cancer Research II, IARC 1987, p. 69).
- `difference`: of two proportions, Newcombe's method 10 (R. G. Newcombe, Stat Med 1998), from two Wilson intervals.
- `rate_ratio`: of two rates, by the normal approximation of its logarithm.
"""

from __future__ import annotations

from math import exp, inf, lgamma, log, sqrt
from statistics import NormalDist

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
SMALL = 30  # a proportion of fewer people than this is marked: it says little
SMALL_EVENTS = 20  # and so is a rate of fewer events


def quantile(level: float) -> float:
    """The normal quantile for a two-sided interval of `level`."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(numerator: float, denominator: float, z: float = Z) -> tuple[float, float] | None:
    """The interval of numerator/denominator; None when nobody was counted.

    >>> [round(bound, 4) for bound in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if denominator <= 0:
        return None
    p, n, z2 = numerator / denominator, denominator, z * z
    centre = p + z2 / (2 * n)
    spread = z * sqrt(max(0.0, p * (1 - p)) / n + z2 / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z2 / n)), min(1.0, (centre + spread) / (1 + z2 / n))


def byar(events: float, z: float = Z) -> tuple[float, float]:
    """The interval of the mean of a count, close to the exact one.

    >>> [round(bound, 2) for bound in byar(10)]
    [4.79, 18.39]
    """
    above = events + 1
    high = above * (1 - 1 / (9 * above) + z / (3 * sqrt(above))) ** 3
    if events <= 0:
        return 0.0, high
    return max(0.0, events * (1 - 1 / (9 * events) - z / (3 * sqrt(events))) ** 3), high


def poisson(events: float, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of the mean of a count.

    >>> [round(bound, 3) for bound in poisson(10)]
    [4.795, 18.39]
    """
    tail = (1 - level) / 2
    return (gamma_quantile(tail, events) if events > 0 else 0.0), gamma_quantile(1 - tail, events + 1)


def difference(a: tuple[float, float], b: tuple[float, float], z: float = Z) -> tuple[float, float, float] | None:
    """Proportion a (numerator, denominator) minus proportion b, with its interval; None when one has nobody.

    >>> [round(one, 4) for one in difference((56, 70), (48, 80))]
    [0.2, 0.0524, 0.3339]
    """
    first, second = wilson(*a, z), wilson(*b, z)
    if first is None or second is None:
        return None
    p, q = a[0] / a[1], b[0] / b[1]
    low = p - q - sqrt((p - first[0]) ** 2 + (second[1] - q) ** 2)
    high = p - q + sqrt((first[1] - p) ** 2 + (q - second[0]) ** 2)
    return p - q, low, high


def rate_ratio(a: tuple[float, float], b: tuple[float, float], z: float = Z) -> tuple[float, float, float] | None:
    """Rate a (events, people) divided by rate b, with its interval; None when one has no events or no people."""
    if min(*a, *b) <= 0:
        return None
    ratio = (a[0] / a[1]) / (b[0] / b[1])
    spread = z * sqrt(1 / a[0] + 1 / b[0])
    return ratio, ratio * exp(-spread), ratio * exp(spread)


def gamma_quantile(probability: float, shape: float) -> float:
    """The value below which a gamma variate (scale 1) lies with this probability, to 12 digits, by bisection."""
    low, high = 0.0, max(1.0, shape)
    while gamma_share(shape, high) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if gamma_share(shape, middle) < probability:
            low = middle
        else:
            high = middle
        if high - low <= 1e-13 * high:
            break
    return (low + high) / 2


def gamma_share(shape: float, x: float) -> float:
    """The regularised lower incomplete gamma function P(shape, x): series below shape + 1, continued fraction above."""
    if x <= 0:
        return 0.0
    if x == inf:
        return 1.0
    front = exp(shape * log(x) - x - lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        number = shape
        while term > total * 1e-17:
            number += 1
            term *= x / number
            total += term
        return front * total
    tiny = 1e-300
    b = x + 1 - shape
    c, d = 1 / tiny, 1 / b
    found = d
    for i in range(1, 10_000):
        a = -i * (i - shape)
        b += 2
        d = 1 / (a * d + b or tiny)
        c = b + a / c or tiny
        found *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return 1 - front * found
