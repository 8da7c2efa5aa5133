"""The operators as functions of collections, and the logical ones as functions of evaluators.

Rule source: FHIRPath N1, Operations. Logic is three-valued and stops early where the answer is settled.
"""

from __future__ import annotations

from collections.abc import Callable

from healthbrain.fhir.fhirpath import arithmetic, comparison
from healthbrain.fhir.fhirpath.frame import Evaluator, Frame
from healthbrain.fhir.fhirpath.nodes import has_plain_text
from healthbrain.fhir.fhirpath.singletons import single
from healthbrain.fhir.fhirpath.values import Collection, Item
from healthbrain.fhir.fhirpath.values import Node as Element

TRUE: Collection = [True]
FALSE: Collection = [False]
NOTHING: Collection = []


def one(item: Item | None) -> Collection:
    """The collection of an item, or nothing."""
    return [] if item is None else [item]


def _truth(found: bool | None) -> Collection:
    return NOTHING if found is None else TRUE if found else FALSE


def _negated(found: bool | None) -> Collection:
    return NOTHING if found is None else FALSE if found else TRUE


def _ordered(operator: str, holds: Callable[[int], bool]) -> Callable[[Collection, Collection], Collection]:
    def apply(left: Collection, right: Collection) -> Collection:
        order = comparison.compare(left, right, operator)
        return NOTHING if order is None else TRUE if holds(order) else FALSE

    return apply


def _member_of(left: Collection, right: Collection) -> Collection:
    item = single(left, "in")
    if item is None:
        return NOTHING
    return _truth(any(comparison.equal_items(item, other) for other in right))


def _contains(left: Collection, right: Collection) -> Collection:
    return _member_of(right, left)


OPERATORS: dict[str, Callable[[Collection, Collection], Collection]] = {
    "=": lambda left, right: _truth(comparison.equal(left, right)),
    "!=": lambda left, right: _negated(comparison.equal(left, right)),
    "~": lambda left, right: _truth(comparison.equivalent(left, right)),
    "!~": lambda left, right: _negated(comparison.equivalent(left, right)),
    "<": _ordered("<", lambda order: order < 0),
    "<=": _ordered("<=", lambda order: order <= 0),
    ">": _ordered(">", lambda order: order > 0),
    ">=": _ordered(">=", lambda order: order >= 0),
    "in": _member_of,
    "contains": _contains,
    "|": lambda left, right: comparison.distinct([*left, *right]),
    "+": lambda left, right: one(arithmetic.plus(left, right)),
    "-": lambda left, right: one(arithmetic.minus(left, right)),
    "*": lambda left, right: one(arithmetic.times(left, right)),
    "/": lambda left, right: one(arithmetic.divide(left, right)),
    "div": lambda left, right: one(arithmetic.whole_divide(left, right)),
    "mod": lambda left, right: one(arithmetic.remainder(left, right)),
    "&": lambda left, right: [arithmetic.concatenate(left, right)],
}

Condition = Callable[[Collection, str], bool | None]


def _and(left: Evaluator, right: Evaluator, condition: Condition) -> Evaluator:
    def evaluate(frame: Frame) -> Collection:
        first = condition(left(frame), "and")
        if first is False:
            return FALSE
        second = condition(right(frame), "and")
        if second is False:
            return FALSE
        return NOTHING if first is None or second is None else TRUE

    return evaluate


def _or(left: Evaluator, right: Evaluator, condition: Condition) -> Evaluator:
    def evaluate(frame: Frame) -> Collection:
        first = condition(left(frame), "or")
        if first:
            return TRUE
        second = condition(right(frame), "or")
        if second:
            return TRUE
        return NOTHING if first is None or second is None else FALSE

    return evaluate


def _xor(left: Evaluator, right: Evaluator, condition: Condition) -> Evaluator:
    def evaluate(frame: Frame) -> Collection:
        first, second = condition(left(frame), "xor"), condition(right(frame), "xor")
        return NOTHING if first is None or second is None else _truth(first is not second)

    return evaluate


def _implies(left: Evaluator, right: Evaluator, condition: Condition) -> Evaluator:
    def evaluate(frame: Frame) -> Collection:
        first = condition(left(frame), "implies")
        if first is False:
            return TRUE
        second = condition(right(frame), "implies")
        if second:
            return TRUE
        return NOTHING if first is None or second is None else FALSE

    return evaluate


LOGIC: dict[str, Callable[[Evaluator, Evaluator, Condition], Evaluator]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}


def equals_text(left: Evaluator, text: str, when_equal: Collection) -> Evaluator:
    """`path = 'text'`, by far the most frequent comparison."""
    wanted = [text]
    otherwise = FALSE if when_equal is TRUE else TRUE
    general = OPERATORS["=" if when_equal is TRUE else "!="]

    def evaluate(frame: Frame) -> Collection:
        items = left(frame)
        if len(items) == 1:
            item = items[0]
            if item.__class__ is Element and has_plain_text(item):
                return when_equal if item.value == text else otherwise
        return general(items, wanted)

    return evaluate
