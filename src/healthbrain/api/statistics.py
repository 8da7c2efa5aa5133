"""Figures over the values of observations (R4 observation-statistics), in one unit, in decimal arithmetic.

Values in other units of the same kind are converted (UCUM); what cannot be, has a comparator such as `<`, or says why it
is absent, is counted in `total-count` only. Standard deviation and variance are those of a sample. Percentiles lie
between the two nearest values, in proportion (the method of Hyndman and Fan no. 7). Results carry two digits more than
the most exact value that went in.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.fhir import parse
from healthbrain.fhir.codec import number
from healthbrain.fhir.fhirpath import ucum

Sample = Decimal
_UCUM = "http://unitsofmeasure.org"
_MOST_DIGITS = 12


def _percentile(part: Decimal) -> Callable[[Sequence[Decimal]], Decimal]:
    def of(values: Sequence[Decimal]) -> Decimal:
        ordered = sorted(values)
        place = part * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    return of


def _moment(values: Sequence[Decimal], power: int) -> Decimal:
    mean = statistics.mean(values)
    return sum(((value - mean) ** power for value in values), Decimal(0)) / len(values)


def _skew(values: Sequence[Decimal]) -> Decimal:
    return _moment(values, 3) / _moment(values, 2).sqrt() ** 3


def _kurtosis(values: Sequence[Decimal]) -> Decimal:
    return _moment(values, 4) / _moment(values, 2) ** 2 - 3


_LOWER, _UPPER = _percentile(Decimal("0.25")), _percentile(Decimal("0.75"))

# name -> (figure, fewest values, in the unit of the values)
_FIGURES: Mapping[str, tuple[Callable[[Sequence[Decimal]], Decimal], int, bool]] = {
    "average": (statistics.mean, 1, True),
    "maximum": (max, 1, True),
    "minimum": (min, 1, True),
    "median": (statistics.median, 1, True),
    "std-dev": (statistics.stdev, 2, True),
    "sum": (lambda values: sum(values, Decimal(0)), 1, True),
    "variance": (statistics.variance, 2, False),
    "20-percent": (_percentile(Decimal("0.2")), 1, True),
    "80-percent": (_percentile(Decimal("0.8")), 1, True),
    "4-lower": (_LOWER, 1, True),
    "4-upper": (_UPPER, 1, True),
    "4-dev": (lambda values: _UPPER(values) - _LOWER(values), 1, True),
    "5-1": (_percentile(Decimal("0.2")), 1, True),
    "5-2": (_percentile(Decimal("0.4")), 1, True),
    "5-3": (_percentile(Decimal("0.6")), 1, True),
    "5-4": (_percentile(Decimal("0.8")), 1, True),
    "skew": (_skew, 3, False),
    "kurtosis": (_kurtosis, 4, False),
}
STATISTICS = ("count", "total-count", *_FIGURES)


def figures(
    wanted: Iterable[str], samples: Sequence[Sample], total: int
) -> Iterable[tuple[str, int | float | None, bool]]:
    """(name, value or None when there are too few, whether it has the unit of the values)."""
    digits = max((-int(one.as_tuple().exponent) for one in samples), default=0)
    for name in wanted:
        if name in ("count", "total-count"):
            yield name, len(samples) if name == "count" else total, False
            continue
        figure, fewest, has_unit = _FIGURES[name]
        yield name, _rounded(figure, samples, digits) if len(samples) >= fewest else None, has_unit


def _rounded(
    figure: Callable[[Sequence[Decimal]], Decimal], samples: Sequence[Sample], digits: int
) -> int | float | None:
    try:
        value = figure(samples)
    except ArithmeticError:  # all values are the same: there is no shape to measure
        return None
    if not value.is_finite():
        return None
    if (figure is max or figure is min) and abs(value) < Decimal(10) ** _MOST_DIGITS:
        return number(format(value, "f"))
    return number(format(round(value, min(max(digits, 0) + 2, _MOST_DIGITS)), "f"))


def samples_of(bodies: Iterable[bytes], token: str) -> tuple[list[Sample], str, int]:
    """The values of one code (`system|code`, `code`) in observations, newest first, their unit, how many there were."""
    system, bar, code = token.replace("\\", "").rpartition("|")
    found: list[Sample] = []
    unit, total = "", 0
    for body in bodies:
        resource = parse(body)
        for part in (resource, *resource.get("component", ())):
            if not _is_of(part.get("code", {}), system if bar else None, code):
                continue
            total += 1
            quantity = part.get("valueQuantity")
            value = _value(quantity) if quantity else None
            if quantity is None or value is None:
                continue
            own = str(quantity.get("code") or quantity.get("unit") or "")
            unit = unit or own
            same = value if own == unit else _converted(value, quantity, own, unit)
            if same is not None:
                found.append(same)
    return found, unit, total


def _is_of(concept: Mapping[str, Any], system: str | None, code: str) -> bool:
    return any(
        one.get("code") == code and (system is None or one.get("system", "") == system)
        for one in concept.get("coding", ())
    )


def _value(quantity: Mapping[str, Any]) -> Decimal | None:
    if quantity.get("comparator") or "value" not in quantity:
        return None
    return Decimal(str(quantity["value"]))


def _converted(value: Decimal, quantity: Mapping[str, Any], own: str, unit: str) -> Decimal | None:
    if quantity.get("system", _UCUM) != _UCUM:
        return None
    try:
        return ucum.convert(value, own, unit)
    except Incorrect:
        return None
