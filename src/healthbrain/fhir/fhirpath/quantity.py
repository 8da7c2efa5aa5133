"""System.Quantity: a number with a UCUM unit or a calendar duration.

Rule source: FHIRPath, Quantity equality, equivalence, comparison, arithmetic and unit conversions. Calendar years and
months have no exact length, so they compare among themselves and with calendar days (12 months, 365 and 30 days), but
not with UCUM's `a`, `mo` or `d`; the other calendar units are the UCUM ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Context, Decimal, Overflow

from healthbrain.fhir.fhirpath import ucum

NUMBERS = Context(prec=34, rounding=ROUND_HALF_UP)
_TEXT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(?:'([^']+)'|([a-zA-Z]+))?")

CALENDAR: dict[str, str] = {
    word + ending: word
    for word in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for ending in ("", "s")
}
DEFINITE = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
LIKE = {**DEFINITE, "year": "a", "month": "mo"}
_MILLISECONDS = {
    "millisecond": 1, "second": 1000, "minute": 60_000, "hour": 3_600_000,
    "day": 86_400_000, "week": 7 * 86_400_000, "month": 30 * 86_400_000, "year": 365 * 86_400_000,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantity:
    """`value` of `unit`: a UCUM code or a calendar word as written. `system` is '' for these two.

    A FHIR quantity coded otherwise keeps its system and compares only with its like.
    """

    value: Decimal
    unit: str
    system: str = ""

    @classmethod
    def parse(cls, text: str) -> Quantity | None:
        """`4 days`, `10 'mm[Hg]'`, `1.5`; None when it is not a quantity."""
        found = _TEXT.fullmatch(text)
        if found is None or (found[3] is not None and found[3] not in CALENDAR):
            return None
        return cls(Decimal(found[1]), found[2] or found[3] or "1")

    @property
    def calendar(self) -> str:
        """The calendar unit, singular; '' when the unit is not one."""
        return "" if self.system else CALENDAR.get(self.unit, "")

    def __str__(self) -> str:
        return f"{self.value:f} {self.unit}" if self.calendar else f"{self.value:f} '{self.unit}'"

    @property
    def literal(self) -> str:
        """As written in an expression."""
        unit = self.unit.replace("\\", "\\\\").replace("'", "\\'")
        return f"{self.value:f} {unit}" if self.calendar else f"{self.value:f} '{unit}'"


def converted(quantity: Quantity, unit: str) -> Quantity | None:
    """The quantity in another unit, asked for explicitly, so that a year may become 'a'."""
    if quantity.unit == unit:
        return quantity
    source, target = quantity.calendar, CALENDAR.get(unit, "")
    if quantity.system:
        return None
    if source and target:
        value = _between_calendar(quantity.value, source, target)
    else:
        value = ucum.convert(quantity.value, LIKE.get(source, quantity.unit), LIKE.get(target, unit))
    return None if value is None else Quantity(value, unit)


def in_unit_of(quantity: Quantity, other: Quantity) -> Quantity | None:
    """The quantity in the unit of `other`, as operators do it: years and months only among calendar units."""
    if (quantity.unit, quantity.system) == (other.unit, other.system):
        return quantity
    if quantity.system or other.system:
        return None
    inexact = {"year", "month"} & {quantity.calendar, other.calendar}
    if inexact and not (quantity.calendar and other.calendar):
        return None
    return converted(quantity, other.unit)


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1; None when they cannot be compared."""
    turned = in_unit_of(right, left)
    if turned is None:
        return None
    if turned is not right and right.calendar == "year" and left.calendar == "month":
        return _sign(left.value - turned.value)
    back = in_unit_of(left, right)
    if left.value == turned.value or (back is not None and back.value == right.value):
        return 0  # one of both directions is exact when they are equal
    return _sign(left.value - turned.value)


def equivalent(left: Quantity, right: Quantity) -> bool | None:
    """Whether they agree to the digits of the less precise one, in the larger unit; None when incommensurable."""
    if (left.unit, left.system) != (right.unit, right.system):
        if left.system or right.system:
            return None
        larger, smaller = (left, right) if _size(left) >= _size(right) else (right, left)
        turned = converted(smaller, larger.unit)
        if turned is None:
            return None
        left, right = larger, replace(turned, unit=larger.unit)
    return equivalent_numbers(left.value, right.value)


def equivalent_numbers(left: Decimal, right: Decimal) -> bool:
    """Whether two numbers agree when rounded to the digits of the less precise; trailing zeroes do not count."""
    if left == right:
        return True
    digits = min(_digits(left), _digits(right))
    step = Decimal(1).scaleb(-digits)
    return left.quantize(step, ROUND_HALF_UP, NUMBERS) == right.quantize(step, ROUND_HALF_UP, NUMBERS)


def add(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """The sum (sign 1) or difference in the unit of the left one; None when the units do not allow it.

    Years and months are not converted silently: their lengths are only approximate.
    """
    if left.unit == "1" and right.unit != "1" and not left.system:
        left = replace(right, value=left.value)
    elif right.unit == "1" and not right.system:
        right = replace(left, value=right.value)
    if (
        left.unit != right.unit
        and left.calendar != right.calendar
        and {"year", "month"} & {left.calendar, right.calendar}
    ):
        return None
    turned = in_unit_of(right, left)
    return None if turned is None else replace(left, value=NUMBERS.add(left.value, sign * turned.value))


def multiply(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """The product (sign 1) or quotient (sign -1); None for calendar units, unknown units and division by zero."""
    unit: str | None
    if right.unit == "1" and not right.system:
        unit, system = left.unit, left.system
    elif left.unit == "1" and sign > 0 and not left.system:
        unit, system = right.unit, right.system
    elif left.system or right.system or left.calendar or right.calendar:
        return None
    else:
        unit, system = ucum.product(left.unit, right.unit, sign), ""
    if unit is None or (sign < 0 and right.value == 0):
        return None
    value = NUMBERS.multiply(left.value, right.value) if sign > 0 else NUMBERS.divide(left.value, right.value)
    return Quantity(value, unit, system)


def comparable(left: Quantity, right: Quantity) -> bool:
    """Whether `compare` would give an answer."""
    return in_unit_of(right, left) is not None


def _between_calendar(value: Decimal, source: str, target: str) -> Decimal | None:
    if {source, target} == {"year", "month"}:
        return NUMBERS.multiply(value, Decimal(12)) if source == "year" else NUMBERS.divide(value, Decimal(12))
    return NUMBERS.divide(NUMBERS.multiply(value, Decimal(_MILLISECONDS[source])), Decimal(_MILLISECONDS[target]))


def _size(quantity: Quantity) -> Decimal:
    """How large its unit is, to choose the coarser of two."""
    if quantity.calendar in ("year", "month"):
        return Decimal(_MILLISECONDS[quantity.calendar]) / 1000
    one = ucum.canonical(Decimal(1), DEFINITE.get(quantity.calendar, quantity.unit))
    return Decimal(0) if one is None else one[0]


def _digits(number: Decimal) -> int:
    try:
        exponent = number.normalize(NUMBERS).as_tuple().exponent
    except Overflow:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _sign(number: Decimal) -> int:
    return (number > 0) - (number < 0)
