"""Which units measure the same, and searched numbers converted between them. Pure.

By UCUM mol is a number, so mmol/L and 10*9/L would be commensurable; nobody who searches for an amount of substance
wants cell counts. A search therefore keeps amounts (mol, osm, eq, kat, U) and counts apart
(docs/spec-readings.md#quantities-in-other-units).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from healthbrain.fhir.fhirpath import ucum
from healthbrain.store.moments import Amount

_AMOUNTS = ("mol", "osm", "eq", "kat", "U")


@lru_cache(maxsize=1024)
def units_like(unit: str, used: tuple[str, ...]) -> tuple[str, ...]:
    """The unit itself, and those of `used` that measure the same."""
    return tuple(dict.fromkeys([unit, *(one for one in used if _same(unit, one))]))


def converted(asked: Amount, unit: str, other: str) -> Amount | None:
    """A searched number in another unit; None when the scale turns round (pH) and comparisons with it."""
    if unit == other:
        return asked
    value, low, high = (ucum.convert(Decimal(repr(x)), unit, other) for x in (asked.value, asked.low, asked.high))
    if value is None or low is None or high is None or low > high:
        return None
    return Amount(asked.prefix, float(value), float(low), float(high))


def in_base(unit: str) -> tuple[float, float] | None:
    """(factor, shift) that bring a value of the unit into the base unit of its dimension; None when no line does."""
    zero, one, two = (ucum.canonical(Decimal(n), unit) for n in (0, 1, 2))
    if zero is None or one is None or two is None or two[0] - one[0] != one[0] - zero[0]:
        return None
    return float(one[0] - zero[0]), float(zero[0])


def _same(one: str, other: str) -> bool:
    return ucum.commensurable(one, other) and _amounts(one) == _amounts(other)


def _amounts(unit: str) -> int:
    return sum(exponent for symbol, exponent in ucum.unit(unit).symbols if symbol.endswith(_AMOUNTS))


def lines(units: Iterable[str]) -> list[tuple[str, float, float]]:
    """The units that a factor and a shift bring into their base unit."""
    return [(unit, *line) for unit in units if (line := in_base(unit)) is not None]
