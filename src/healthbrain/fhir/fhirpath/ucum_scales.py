"""UCUM's special units: scales that are not ratios, such as temperatures and levels.

Rule source: The Unified Code for Units of Measure, sections 21 and 22 and the tables of special units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal

_EXACT = Context(prec=34)


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale that is not a ratio: how to come from it to its proper unit, and back."""

    unit: str
    to_proper: Callable[[Decimal], Decimal]
    from_proper: Callable[[Decimal], Decimal]


def _logarithm(unit_code: str, base: float, step: float = 1) -> Scale:
    """A level: `step` times the logarithm of the proper value."""
    return Scale(
        unit_code,
        lambda value: Decimal(repr(base ** (float(value) / step))),
        lambda value: Decimal(repr(step * math.log(float(value)) / math.log(base))),
    )


_KELVIN = Decimal("273.15")
SCALES: dict[str, Scale] = {
    "Cel": Scale("K", lambda v: v + _KELVIN, lambda v: v - _KELVIN),
    "[degF]": Scale(
        "K",
        lambda v: _EXACT.divide((v + Decimal("459.67")) * 5, Decimal(9)),
        lambda v: _EXACT.divide(v * 9, Decimal(5)) - Decimal("459.67"),
    ),
    "[degRe]": Scale(
        "K",
        lambda v: v * Decimal("1.25") + _KELVIN,
        lambda v: _EXACT.divide(v - _KELVIN, Decimal("1.25")),
    ),
    "[pH]": _logarithm("mol/l", 10, -1),
    "Np": _logarithm("10*0", math.e),
    "B": _logarithm("10*0", 10),
    "B[SPL]": _logarithm("10*-5.Pa", 10, 2),
    "B[V]": _logarithm("V", 10, 2),
    "B[mV]": _logarithm("mV", 10, 2),
    "B[uV]": _logarithm("uV", 10, 2),
    "B[W]": _logarithm("W", 10),
    "B[kW]": _logarithm("kW", 10),
    "bit_s": _logarithm("10*0", 2),
    "[p'diop]": Scale(
        "rad",
        lambda v: Decimal(repr(math.atan(float(v) / 100))),
        lambda v: Decimal(repr(100 * math.tan(float(v)))),
    ),
    "%[slope]": Scale(
        "rad",
        lambda v: Decimal(repr(math.atan(float(v) / 100))),
        lambda v: Decimal(repr(100 * math.tan(float(v)))),
    ),
}
METRIC_SCALES = frozenset({"Cel", "Np", "B", "B[SPL]", "B[V]", "B[mV]", "B[uV]", "B[W]", "B[kW]"})
