"""The operators + - * / div mod & and the signs. None is FHIRPath's empty.

Rule source: FHIRPath N1, Math and Date/Time Arithmetic. Overflow and division by zero give empty; operands of types
that do not go together are an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from healthbrain.fhir.fhirpath import dates, quantity
from healthbrain.fhir.fhirpath.comparison import kind
from healthbrain.fhir.fhirpath.dates import Temporal
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import NUMBERS, Quantity
from healthbrain.fhir.fhirpath.singletons import exact, number, single, text, value
from healthbrain.fhir.fhirpath.values import Collection, Item, Long

Number = int | Decimal
_UCUM_WORDS = {code: word for word, code in quantity.DEFINITE.items()}


def plus(left: Collection, right: Collection) -> Item | None:
    """Sum of numbers or quantities, strings in a row, or a date moved forward."""
    return _sum(left, right, 1)


def minus(left: Collection, right: Collection) -> Item | None:
    """Difference of numbers or quantities, or a date moved back."""
    return _sum(left, right, -1)


def times(left: Collection, right: Collection) -> Item | None:
    """Product of numbers or quantities."""
    one, other = number(left, "*"), number(right, "*")
    if one is None or other is None:
        return None
    if isinstance(one, Quantity) or isinstance(other, Quantity):
        return quantity.multiply(_as_quantity(one), _as_quantity(other), 1)
    return _calculate(one, other, lambda a, b: a * b, NUMBERS.multiply)


def divide(left: Collection, right: Collection) -> Item | None:
    """Quotient, always a Decimal or a quantity."""
    one, other = number(left, "/"), number(right, "/")
    if one is None or other is None:
        return None
    if isinstance(one, Quantity) or isinstance(other, Quantity):
        return quantity.multiply(_as_quantity(one), _as_quantity(other), -1)
    return exact(NUMBERS.divide(Decimal(one), Decimal(other))) if other else None


def whole_divide(left: Collection, right: Collection) -> Item | None:
    """Quotient without its fraction."""
    one, other = _plain_number(left, "div"), _plain_number(right, "div")
    if one is None or other is None or not other:
        return None
    return _calculate(one, other, _truncated, lambda a, b: Decimal(int(NUMBERS.divide(a, b))))


def remainder(left: Collection, right: Collection) -> Item | None:
    """What whole_divide leaves."""
    one, other = _plain_number(left, "mod"), _plain_number(right, "mod")
    if one is None or other is None or not other:
        return None
    return _calculate(one, other, lambda a, b: a - b * _truncated(a, b), NUMBERS.remainder)


def concatenate(left: Collection, right: Collection) -> str:
    """Strings in a row, nothing as ''."""
    return (text(left, "&") or "") + (text(right, "&") or "")


def negative(items: Collection) -> Item | None:
    """The number or quantity with its sign turned."""
    found = number(items, "the sign -")
    if found is None:
        return None
    if isinstance(found, Quantity):
        return replace(found, value=-found.value)
    return exact(Long(-found) if isinstance(found, Long) else -found)


def positive(items: Collection) -> Item | None:
    """The number or quantity itself."""
    number(items, "the sign +")
    return single(items, "the sign +")


def _sum(left: Collection, right: Collection, sign: int) -> Item | None:
    operator = "+" if sign > 0 else "-"
    one, other = value(left, operator), value(right, operator)
    if one is None or other is None:
        if (left and one is None and _has_parts(left)) or (right and other is None and _has_parts(right)):
            raise Unanswerable(f"{operator} takes values, not elements with parts")
        return None
    if isinstance(one, str) and isinstance(other, str) and sign > 0:
        return one + other
    if isinstance(one, Temporal) and isinstance(other, Quantity):
        return dates.add(one, sign * other.value, _calendar_unit(other))
    if _counts(one) and _counts(other):
        if isinstance(one, Quantity) or isinstance(other, Quantity):
            return quantity.add(_as_quantity(one), _as_quantity(other), sign)
        return _calculate(one, other, lambda a, b: a + sign * b, lambda a, b: NUMBERS.add(a, sign * b))
    raise Unanswerable(f"{operator} does not go with {kind(left[0])} and {kind(right[0])}")


def _has_parts(items: Collection) -> bool:
    return getattr(items[0], "value", None) is not None


def _counts(found: Item) -> bool:
    return isinstance(found, (int, Decimal, Quantity)) and found.__class__ is not bool


def _calendar_unit(found: Quantity) -> str:
    word = found.calendar or ("" if found.system else _UCUM_WORDS.get(found.unit, ""))
    if not word:
        raise Unanswerable("dates move by calendar durations (years, months, weeks, days ...) or wk, d, h, min, s, ms")
    return word


def _plain_number(items: Collection, operator: str) -> Number | None:
    found = number(items, operator)
    if isinstance(found, Quantity):
        raise Unanswerable(f"{operator} takes plain numbers, not quantities")
    return found


def _as_quantity(found: Number | Quantity) -> Quantity:
    return found if isinstance(found, Quantity) else Quantity(Decimal(found), "1")


def _truncated(one: int, other: int) -> int:
    result = abs(one) // abs(other)
    return result if (one < 0) == (other < 0) else -result


def _calculate(
    one: Number,
    other: Number,
    whole: Callable[[int, int], int],
    fractional: Callable[[Decimal, Decimal], Decimal],
) -> Number | None:
    if isinstance(one, int) and isinstance(other, int):
        result = whole(int(one), int(other))
        return exact(Long(result) if isinstance(one, Long) or isinstance(other, Long) else result)
    return exact(fractional(Decimal(one), Decimal(other)))
