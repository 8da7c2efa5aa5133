"""Period life tables, healthy life expectancy and the probability of dying between two ages.

Complete (single years) and abridged tables are the same computation over age classes of any width (C. L. Chiang, The Life
Table and Its Applications, 1984; "Chiang II"): M = D/P, q = n·M / (1 + n·(1 - a)·M) with `a` the share of the class that
those who die in it live, on average. The last class is open: q = 1 and the years lived in it are l/M.

- a of infants and of 1-4 years follow from the infant death rate (A. J. Coale, P. Demeny, Regional Model Life Tables 1983,
  West; as in S. Preston, P. Heuveline, M. Guillot, Demography 2001, table 3.3); one half elsewhere.
- The variance of e is Chiang's, with the open class added as by P. B. S. Silcocks, D. A. Jenner, R. Reza
  (J Epidemiol Community Health 2001): leaving it out makes intervals of small places too narrow.
- Healthy life expectancy: D. F. Sullivan (HSMHA Health Reports 1971); its variance is that of the prevalences.
- 40q30, dying of one of the four main noncommunicable diseases between 30 and 70: WHO, NCD Global Monitoring Framework,
  indicator 1: 5q = 5·M / (1 + 2.5·M), 40q30 = 1 - Π(1 - 5q).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod, sqrt
from typing import Literal

from healthbrain.errors import Incorrect
from healthbrain.measure.statistics import Z

Sex = Literal["male", "female", "both"]
_INFANT = {"male": (0.045, 2.684, 0.330), "female": (0.053, 2.800, 0.350)}  # intercept, slope, from M0 = 0.107 on
_CHILD = {"male": (1.651, -2.816, 1.352), "female": (1.522, -1.518, 1.361)}  # years lived of 1-4 by those who die
_HIGH = 0.107


@dataclass(frozen=True, slots=True)
class AgeClass:
    """Deaths and person-years of one age class; `width` None = open."""

    start: int
    width: int | None
    deaths: float
    people: float
    lived: float | None = None  # share of the class that those who die live; None = by the rule


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a life table."""

    start: int
    width: int | None
    rate: float  # M
    lived: float  # a
    dying: float  # q
    alive: float  # l, of 100,000
    years: float  # L
    left: float  # T
    expectancy: float  # e
    variance: float  # of e


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


_RADIX = 100_000.0


def life_table(classes: Sequence[AgeClass], sex: Sex = "both") -> list[Row]:
    """The life table of age classes in rising order, the last one open. Raises Incorrect when none can be made."""
    _check(classes)
    rates = [one.deaths / one.people for one in classes]
    infant = rates[0] if classes[0].start == 0 and classes[0].width == 1 else None
    lived = [one.lived if one.lived is not None else _lived(one, infant, sex) for one in classes]
    dying = [
        1.0 if one.width is None else min(1.0, one.width * m / (1 + one.width * (1 - a) * m))
        for one, m, a in zip(classes, rates, lived, strict=True)
    ]
    alive = [_RADIX]
    for q in dying[:-1]:
        alive.append(alive[-1] * (1 - q))
    years = [
        alive[i] / rates[i] if one.width is None else one.width * (alive[i + 1] + lived[i] * alive[i] * dying[i])
        for i, one in enumerate(classes)
    ]
    left = [sum(years[i:]) for i in range(len(classes))]
    expectancy = [t / a if a > 0 else 0.0 for t, a in zip(left, alive, strict=True)]
    variance = _variances(classes, rates, lived, dying, alive, expectancy)
    columns = zip(classes, rates, lived, dying, alive, years, left, expectancy, variance, strict=True)
    return [Row(one.start, one.width, *rest) for one, *rest in columns]


def expectancy_at(table: Sequence[Row], age: int = 0, z: float = Z) -> Estimate:
    """Life expectancy at an age that begins a class, with its interval. Raises Incorrect."""
    row = next((one for one in table if one.start == age), None)
    if row is None:
        raise Incorrect(f"no age class of the life table begins at {age}")
    return _estimate(row.expectancy, row.variance, z)


def healthy_expectancy(
    table: Sequence[Row], unwell: Sequence[tuple[float, float]], age: int = 0, z: float = Z
) -> Estimate:
    """Years lived in good health from `age` on (Sullivan); `unwell` is (in poor health, asked) for each class.

    A class in which nobody was asked makes it impossible: Incorrect.
    """
    if len(unwell) != len(table):
        raise Incorrect("the prevalence of poor health is needed for every age class of the life table")
    if any(asked <= 0 for _, asked in unwell):
        raise Incorrect("nobody was asked about health in one of the age classes; join it with its neighbour")
    first = next((i for i, one in enumerate(table) if one.start == age), None)
    if first is None:
        raise Incorrect(f"no age class of the life table begins at {age}")
    alive = table[first].alive
    value = variance = 0.0
    for row, (ill, asked) in zip(table[first:], unwell[first:], strict=True):
        share = ill / asked
        value += row.years * (1 - share) / alive
        variance += (row.years / alive) ** 2 * share * (1 - share) / asked
    return _estimate(value, variance, z)


def dying_between(classes: Sequence[AgeClass], first: int = 30, last: int = 70, z: float = Z) -> Estimate:
    """The probability of dying between two exact ages from causes whose deaths are given, others aside (40q30)."""
    chosen = [one for one in classes if first <= one.start < last]
    ends = [one.start + (one.width or 0) for one in chosen]
    if not chosen or chosen[0].start != first or ends[-1] != last or ends[:-1] != [one.start for one in chosen[1:]]:
        raise Incorrect(f"age classes must cover {first} to {last - 1} without a gap")
    if any(one.people <= 0 for one in chosen):
        raise Incorrect("an age class has nobody at risk")
    dying = []
    for one in chosen:
        width, rate = one.width or 0, one.deaths / one.people
        dying.append(min(1.0, width * rate / (1 + width / 2 * rate)))
    surviving = prod(1 - q for q in dying)
    spread = sum(q * q / one.deaths / (1 - q) for q, one in zip(dying, chosen, strict=True) if one.deaths > 0 and q < 1)
    return _estimate(1 - surviving, surviving**2 * spread, z)


def _check(classes: Sequence[AgeClass]) -> None:
    if not classes or classes[-1].width is not None or any(one.width is None for one in classes[:-1]):
        raise Incorrect("a life table needs age classes of which the last, and only it, is open")
    for one, following in pairwise(classes):
        if one.start + (one.width or 0) != following.start:
            raise Incorrect(f"the age class from {one.start} does not end where the next one begins")
    if any(one.people <= 0 for one in classes):
        raise Incorrect("an age class of the life table has nobody at risk; join it with its neighbour")
    if classes[-1].deaths <= 0:
        raise Incorrect("the open age class of the life table has no deaths; begin it at a lower age")


def _lived(one: AgeClass, infant: float | None, sex: Sex) -> float:
    if infant is None or one.start > 1 or one.width is None or (one.start, one.width) not in {(0, 1), (1, 4)}:
        return 0.5
    table = _INFANT if one.start == 0 else _CHILD
    chosen = ("male", "female") if sex == "both" else (sex,)
    years = [high if infant >= _HIGH else base + slope * infant for base, slope, high in (table[key] for key in chosen)]
    return sum(years) / len(years) / one.width


def _variances(
    classes: Sequence[AgeClass], rates: Sequence[float], lived: Sequence[float], dying: Sequence[float],
    alive: Sequence[float], expectancy: Sequence[float],
) -> list[float]:  # fmt: skip
    last = len(classes) - 1
    total = alive[last] ** 2 / (classes[last].deaths * rates[last] ** 2)
    found = [0.0] * len(classes)
    found[last] = total / alive[last] ** 2 if alive[last] else 0.0
    for i in range(last - 1, -1, -1):
        width, deaths = classes[i].width or 0, classes[i].deaths
        of_q = dying[i] ** 2 * (1 - dying[i]) / deaths if deaths > 0 else 0.0
        total += alive[i] ** 2 * ((1 - lived[i]) * width + expectancy[i + 1]) ** 2 * of_q
        found[i] = total / alive[i] ** 2 if alive[i] else 0.0
    return found


def _estimate(value: float, variance: float, z: float) -> Estimate:
    spread = z * sqrt(variance)
    return Estimate(value, value - spread, value + spread)
