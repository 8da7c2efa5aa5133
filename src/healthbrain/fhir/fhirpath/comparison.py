"""Equality, equivalence and order of items and collections; None is FHIRPath's empty.

Rule source: FHIRPath N1, Equality and Comparison. Elements with parts are equal when all their parts are, by the rules
of each part's type. Sets (distinct, union ...) find duplicates by key first, so that long collections stay linear.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal
from functools import cache

from healthbrain.fhir.fhirpath import dates, model, quantity
from healthbrain.fhir.fhirpath.budget import Budget
from healthbrain.fhir.fhirpath.dates import DateTime, Temporal, Time
from healthbrain.fhir.fhirpath.nodes import BOUNDED, node_of, system
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.singletons import single
from healthbrain.fhir.fhirpath.values import Collection, Item, Node

_SPACES = dict.fromkeys(
    (*range(9, 14), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000), " "
)


def equal(left: Collection, right: Collection) -> bool | None:
    """`=`: in order, item by item; None when either is empty or a pair cannot be decided."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    decided: bool | None = True
    for one, other in zip(left, right, strict=True):
        same = equal_items(one, other)
        if same is False:
            return False
        if same is None:
            decided = None
    return decided


def equal_items(one: Item, other: Item) -> bool | None:
    """Whether two items are equal; None when that cannot be decided."""
    left, right = system(one), system(other)
    if left.__class__ is str and right.__class__ is str:
        return bool(left == right)
    if left is None or right is None:
        return _equal_elements(one, other) if left is right else False
    return _equal_values(left, right)


def equivalent(left: Collection, right: Collection) -> bool | None:
    """`~`: in any order; None only for quantities whose units do not compare."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent_items(left[0], right[0])
    rest = list(right)
    for one in left:
        for place, other in enumerate(rest):
            if equivalent_items(one, other):
                del rest[place]
                break
        else:
            return False
    return True


def equivalent_items(one: Item, other: Item) -> bool | None:
    """Whether two items mean the same."""
    left, right = system(one), system(other)
    if left is None or right is None:
        return _equivalent_elements(one, other) if left is right else False
    if isinstance(left, str) and isinstance(right, str):
        return _folded(left) == _folded(right)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        if isinstance(left, Time) != isinstance(right, Time) or not dates.same_precision(left, right):
            return False
        return dates.compare(left, right) == 0
    left, right = _same_kind(left, right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return quantity.equivalent(left, right)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        if not _is_number(left) or not _is_number(right):
            return False
        return quantity.equivalent_numbers(Decimal(left), Decimal(right))
    return bool(type(left) is type(right) and left == right)


def compare(left: Collection, right: Collection, operator: str) -> int | None:
    """-1, 0 or 1; None when either is empty or precision leaves it open. Raises Unanswerable for unlike types."""
    one, other = single(left, operator), single(right, operator)
    return None if one is None or other is None else compare_items(one, other)


def compare_items(one: Item, other: Item) -> int | None:
    """The order of two items; None when precision or units leave it open."""
    if _without_value(one) or _without_value(other):
        return None
    left, right = _same_kind(system(one), system(other))
    if (left.__class__ is str and right.__class__ is str) or (_is_number(left) and _is_number(right)):
        return int(left > right) - int(left < right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return None if BOUNDED in (left.system, right.system) else quantity.compare(left, right)
    if (isinstance(left, DateTime) and isinstance(right, DateTime)) or (
        isinstance(left, Time) and isinstance(right, Time)
    ):
        return dates.compare(left, right)
    raise Unanswerable(f"{kind(one)} and {kind(other)} have no order")


def kind(item: Item) -> str:
    """The type of an item, in words for a message."""
    if isinstance(item, Node):
        return f"a FHIR {item.type or 'element'}"
    names = {bool: "a Boolean", str: "a String", int: "an Integer"}
    return names.get(type(item)) or f"a {type(item).__name__}"


def distinct(items: Iterable[Item]) -> Collection:
    """The items without duplicates, in order of first appearance."""
    seen = Seen()
    return [item for item in items if seen.add(item)]


class Seen:
    """A set of items under `=`. Items of alike keys are compared one by one, which a `budget` counts."""

    def __init__(self, items: Iterable[Item] = (), budget: Budget | None = None) -> None:
        self._found: dict[Hashable, list[Item]] = {}
        self._budget = budget
        for item in items:
            self.add(item)

    def add(self, item: Item) -> bool:
        """Add the item; False when an equal one was there."""
        key, certain = _key(item)
        alike = self._found.get(key)
        if alike is None:
            self._found[key] = [item]
            return True
        if self._budget is not None and not certain:
            self._budget.spend(len(alike))
        if certain or any(equal_items(item, other) for other in alike):
            return False
        alike.append(item)
        return True

    def __contains__(self, item: Item) -> bool:
        key, certain = _key(item)
        alike = self._found.get(key, ())
        return bool(alike) and (certain or any(equal_items(item, other) for other in alike))


def _key(item: Item) -> tuple[Hashable, bool]:
    """A key that equal items share, and whether sharing it is already equality."""
    value = system(item)
    if value.__class__ is str:
        return value, True
    if _is_number(value):
        return ("number", value), True
    if isinstance(value, Quantity):
        return (("number", value.value), False) if value.unit == "1" else ("quantity", False)
    if isinstance(value, Temporal):
        return ("time" if isinstance(value, Time) else "date"), False
    if isinstance(item, Node) and item.value.__class__ is dict:
        return ("parts", *sorted(item.value)), False
    return (value.__class__, value), value is not None


def _is_number(value: Item) -> bool:
    return isinstance(value, (int, Decimal)) and value.__class__ is not bool


def _without_value(item: Item) -> bool:
    return item.__class__ is Node and item.value.__class__ is not dict and item.value is None


def _same_kind(left: Item, right: Item) -> tuple[Item, Item]:
    """A number beside a quantity becomes a quantity of unit 1."""
    if isinstance(left, Quantity) and _is_number(right):
        return left, Quantity(Decimal(right), "1")
    if isinstance(right, Quantity) and _is_number(left):
        return Quantity(Decimal(left), "1"), right
    return left, right


def _equal_values(left: Item, right: Item) -> bool | None:
    left, right = _same_kind(left, right)
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        if left == right:
            return True
        order = None if BOUNDED in (left.system, right.system) else quantity.compare(left, right)
        return None if order is None else order == 0
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        if isinstance(left, Time) != isinstance(right, Time):
            return False
        found = dates.compare(left, right)
        return None if found is None else found == 0
    return bool(type(left) is type(right) and left == right)


def _folded(text: str) -> str:
    return text.translate(_SPACES).casefold()


def _equal_elements(one: Item, other: Item) -> bool | None:
    if not isinstance(one, Node) or not isinstance(other, Node):
        return False
    if one.value is other.value and one.value is not None:
        return True
    if one.value.__class__ is not dict or other.value.__class__ is not dict:
        return bool(one.value is None and other.value is None and one.extra == other.extra)
    left, right = _parts(one), _parts(other)
    if left.keys() != right.keys():
        return False
    decided: bool | None = True
    for name, part in left.items():
        same = equal(part, right[name]) if part or right[name] else True
        if same is False:
            return False
        if same is None:
            decided = None
    return decided


def _equivalent_elements(one: Item, other: Item) -> bool:
    if not isinstance(one, Node) or not isinstance(other, Node):
        return False
    if one.value.__class__ is not dict or other.value.__class__ is not dict:
        return bool(one.value is None and other.value is None and one.extra == other.extra)
    left, right = _parts(one), _parts(other)
    return left.keys() == right.keys() and all(equivalent(part, right[name]) for name, part in left.items())


def _parts(node: Node) -> dict[str, Collection]:
    """The parts of an element by JSON key, typed."""
    types = _types_of_keys(node.type)
    found = {}
    for key, child in node.value.items():
        items = child if child.__class__ is list else [child]
        found[key] = [node_of(item, types.get(key, "")) for item in items]
    return found


@cache
def _types_of_keys(type_: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, member in (model.members(type_) or {}).items():
        found.update(member.choices if member.choices is not None else {name: member.type})
    return found
