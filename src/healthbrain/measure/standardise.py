"""Rates made comparable between populations of different age: direct and indirect standardisation.

Direct: the rate that a standard population would have. Interval of A. Dobson, K. Kuulasmaa, E. Eberle, J. Scherer (Stat Med
1991) by default, or the gamma interval of M. P. Fay, E. J. Feuer (Stat Med 1997), which holds for very few events.
Indirect: events observed ÷ events expected at the rates of a reference (SMR), with the exact interval of the count observed.

Standard populations: `who-2000` is the WHO World Standard Population 2000-2025 (O. B. Ahmad et al., Age standardization of
rates: a new WHO standard, GPE Discussion Paper 31, WHO 2001), in per cent; `china-2020` is the seventh national census (1
November 2020, National Bureau of Statistics, age by five years, servicemen aside), in thousands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

from healthbrain.errors import Incorrect
from healthbrain.measure.life_table import Estimate
from healthbrain.measure.statistics import Z, gamma_quantile, poisson

_WHO = (
    8.86, 8.69, 8.60, 8.47, 8.22, 7.93, 7.61, 7.15, 6.59, 6.04, 5.37, 4.55, 3.72, 2.96, 2.21, 1.52, 0.91, 0.63,
)  # fmt: skip
_CHINA = (
    77_884, 90_244, 85_256, 72_684, 74_942, 91_847, 124_145, 99_013, 92_955, 114_225, 121_164, 101_401, 73_383, 74_006,
    49_590, 31_239, 20_383, 15_418,
)  # fmt: skip
STANDARDS: Mapping[str, Sequence[float]] = {"who-2000": _WHO, "china-2020": _CHINA}  # 0-4, 5-9, ..., 80-84, 85+
_OPEN = 85
_CLASS = re.compile(r"(?P<low>\d+)(?:-(?P<high>\d+)|(?P<open>\+))?")


@dataclass(frozen=True, slots=True)
class Stratum:
    """Events and people of one age class of the population studied."""

    events: float
    people: float
    weight: float  # of the standard population (direct), or the reference rate (indirect)


def age_class(label: str) -> tuple[int, float]:
    """First age and the age after the last of '0', '1-4', '85+'. Raises Incorrect."""
    match = _CLASS.fullmatch(label)
    if match is None:
        raise Incorrect(f"'{label}' is not an age class; they are written 0, 1-4, 85+")
    low = int(match["low"])
    return low, inf if match["open"] else float(int(match["high"] or low) + 1)


def weight_of(label: str, standard: str) -> float:
    """How many of the standard population are in an age class; five-year classes are divided evenly."""
    if standard not in STANDARDS:
        raise Incorrect(f"there is no standard population {standard}; known are {', '.join(STANDARDS)}")
    low, high = age_class(label)
    weights = STANDARDS[standard]
    total = 0.0
    for number, weight in enumerate(weights):
        start = 5.0 * number
        if start == _OPEN:
            if high == inf and low <= _OPEN:
                total += weight
            elif high > _OPEN:
                raise Incorrect(f"the standard population {standard} does not divide ages from {_OPEN} on")
        else:
            total += weight * max(0.0, min(high, start + 5) - max(low, start)) / 5
    return total


def direct(strata: Sequence[Stratum], per: float = 100_000, *, gamma: bool = False, z: float = Z) -> Estimate | None:
    """The directly standardised rate; None when a class of the standard has nobody in the population studied."""
    whole = sum(one.weight for one in strata)
    if whole <= 0 or any(one.people <= 0 for one in strata if one.weight):
        return None
    shares = [(one, one.weight / whole / one.people) for one in strata if one.weight]
    rate = sum(share * one.events for one, share in shares)
    variance = sum(share * share * one.events for one, share in shares)
    if gamma:
        low, high = _gamma_interval(rate, variance, max(share for _, share in shares))
    else:
        events = sum(one.events for one, _ in shares)
        if events <= 0:
            low, high = 0.0, max(share for _, share in shares) * poisson(0)[1]
        else:
            below, above = poisson(events)
            scale = sqrt(variance / events)
            low, high = rate + scale * (below - events), rate + scale * (above - events)
    return Estimate(per * rate, per * max(0.0, low), per * high)


def indirect(strata: Sequence[Stratum], per: float = 1.0) -> Estimate | None:
    """Events observed ÷ expected (SMR), `weight` being the reference rate; None when none are expected."""
    expected = sum(one.weight * one.people for one in strata)
    if expected <= 0:
        return None
    observed = sum(one.events for one in strata)
    low, high = poisson(observed)
    return Estimate(per * observed / expected, per * low / expected, per * high / expected)


def _gamma_interval(rate: float, variance: float, widest: float, level: float = 0.95) -> tuple[float, float]:
    tail = (1 - level) / 2
    low = variance / rate * gamma_quantile(tail, rate * rate / variance) if rate > 0 else 0.0
    above, spread = rate + widest, variance + widest * widest
    return low, spread / above * gamma_quantile(1 - tail, above * above / spread)
