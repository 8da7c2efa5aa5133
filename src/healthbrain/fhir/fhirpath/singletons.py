"""Singleton evaluation: what an operator or function that wants one value takes a collection for.

Rule source: FHIRPath N1, Singleton Evaluation of Collections. Nothing stays nothing (None); more than one item is an
error; one item of any kind is true where a Boolean is asked for.
"""

from __future__ import annotations

from decimal import Decimal

from healthbrain.fhir.fhirpath.nodes import system
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.values import Collection, Item, Long, Node


def single(items: Collection, what: str) -> Item | None:
    """The one item; None when there is none. Raises Unanswerable when there are more."""
    if not items:
        return None
    if len(items) > 1:
        raise Unanswerable(f"{what} takes one item, not {len(items)}; use first(), where() or select()")
    return items[0]


def value(items: Collection, what: str) -> Item | None:
    """The System value of the one item; None when there is none."""
    item = single(items, what)
    return None if item is None else system(item)


def boolean(items: Collection, what: str) -> bool | None:
    """The items as a condition: a Boolean as it is, any other single item is true, none is None."""
    if not items:
        return None
    if len(items) > 1:
        raise Unanswerable(f"{what} takes one Boolean, not {len(items)} items; use exists() or all()")
    found = items[0]
    if found.__class__ is bool:
        return found
    if found.__class__ is Node and found.value.__class__ is bool:
        return found.value
    return True


def text(items: Collection, what: str) -> str | None:
    """The String of the one item; None when there is none. Raises Unanswerable for another type."""
    found = value(items, what)
    if found is None and items and not (items[0].__class__ is Node and items[0].value is None):
        raise Unanswerable(f"{what} takes a String, not an element with parts")
    if found is not None and found.__class__ is not str:
        if isinstance(items[0], Node) and isinstance(items[0].value, str):
            return items[0].value  # FHIR dates are Strings wherever one is asked for
        raise Unanswerable(f"{what} takes a String; use toString()")
    return found


def integer(items: Collection, what: str) -> int | None:
    """The Integer of the one item; None when there is none. Raises Unanswerable for another type."""
    found = value(items, what)
    if found is None and not items:
        return None
    if not isinstance(found, int) or isinstance(found, bool):
        raise Unanswerable(f"{what} takes an Integer")
    return found


def number(items: Collection, what: str) -> int | Decimal | Quantity | None:
    """The number or Quantity of the one item; None when there is none."""
    found = value(items, what)
    if found is None and not items:
        return None
    if found.__class__ is bool or not isinstance(found, (int, Decimal, Quantity)):
        raise Unanswerable(f"{what} takes a number")
    return found


def exact(found: int | Decimal) -> int | Decimal | None:
    """A result within its type's range; None when it overflows (FHIRPath, Math)."""
    if isinstance(found, Decimal):
        return found if found.is_finite() and found.adjusted() < 28 else None
    limit = 2**63 if isinstance(found, Long) else 2**31
    return found if -limit <= found < limit else None
