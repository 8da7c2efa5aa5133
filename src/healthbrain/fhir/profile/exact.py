"""Fixed values, patterns and limits.

A fixed value is met exactly, a pattern by an element that has at least what the pattern has: each of its properties,
and for each item of its lists one that meets it (R4 ElementDefinition, pattern[x]).
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.fhirpath import Node, Unanswerable, compile
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.parts import Exact, Limit

_AT_LEAST = compile("%limit <= $this")
_AT_MOST = compile("$this <= %limit")
_ORDER = {operator: compile(f"$this {operator} %limit") for operator in ("<", ">", "<=", ">=")}


def meets(value: Any, wanted: Exact) -> bool:
    """Whether a value is the fixed one, or fits the pattern."""
    return _same(value, wanted.value) if wanted.fixed else _fits(value, wanted.value)


def at_least(item: Item, limit: Limit) -> bool:
    """Whether it is not below the limit; a value that does not compare is not known to be."""
    return _compares(item, limit, least=True)


def at_most(item: Item, limit: Limit) -> bool:
    """Whether it is not above the limit."""
    return _compares(item, limit, least=False)


def compare_plain(value: Any, limit: Any, type_: str, operator: str) -> bool | None:
    """Whether `value operator limit` holds, both of one type; None when they do not compare."""
    test = _ORDER.get(operator)
    if test is None:
        return None
    try:
        return test.boolean(Node(value, type_), env={"limit": Node(limit, type_)})
    except Unanswerable:
        return None


def _compares(item: Item, limit: Limit, *, least: bool) -> bool:
    test = _AT_LEAST if least else _AT_MOST
    try:
        return test.boolean(item.node, env={"limit": Node(limit.value, limit.type)}) is not False
    except Unanswerable:
        return True


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict)
            and value.keys() == wanted.keys()
            and all(_same(value[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_same(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(key in value and _fits(value[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(_fits(one, other) for one in value) for other in wanted)
    return _same(value, wanted)
