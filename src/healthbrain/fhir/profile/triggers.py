"""When a rule need not be evaluated at all.

Most FHIRPath rules of R4 speak about optional elements: `code.empty() or system.exists()` holds wherever there is no
code, and wherever there is a system. This module finds that out from the tree of the rule, once: it evaluates the
rule with one element absent (or present) and everything else unknown. Where the outcome cannot be false, the rule
need only run when that element is there (or is not). Nothing is guessed: what is not understood is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from healthbrain.fhir.fhirpath.syntax import Binary, Call, Empty, Index, Literal, Member, Node, TypeTest


class _Outcome(Enum):
    """What is known of a part of a rule without data."""

    NOTHING = auto()  # the empty collection
    PRESENT = auto()  # at least one item
    TRUE = auto()
    FALSE = auto()
    TRUE_OR_NOTHING = auto()
    UNKNOWN = auto()


_HOLDS = {_Outcome.NOTHING, _Outcome.TRUE, _Outcome.TRUE_OR_NOTHING}
# what functions make of nothing; those that are not named stay unknown
_KEEP_NOTHING = frozenset([
    "where", "select", "ofType", "as", "is", "first", "last", "tail", "skip", "take", "single", "trace", "resolve",
    "extension", "descendants", "children", "matches", "startsWith", "endsWith", "contains", "length", "toInteger",
    "toDecimal", "toString", "substring", "upper", "lower",
])  # fmt: skip
_OF_NOTHING = {"exists": _Outcome.FALSE, "empty": _Outcome.TRUE, "all": _Outcome.TRUE, "isDistinct": _Outcome.TRUE}
_OF_NOTHING["hasValue"] = _Outcome.FALSE
_OF_PRESENT = {"exists": _Outcome.TRUE, "empty": _Outcome.FALSE}


class Triggers(NamedTuple):
    """Elements a rule hangs on: it holds when any of `needs` is absent, and when any of `settled` is present.

    `prefix` is an element and a text it must begin with for the rule to be broken.
    """

    needs: tuple[str, ...]
    settled: tuple[str, ...]
    prefix: tuple[str, str] | None


def triggers(tree: Node) -> Triggers:
    """The triggers of a rule, as names of elements of its focus."""
    names = sorted(set(_names(tree)))
    return Triggers(
        tuple(name for name in names if _outcome(tree, name, _Outcome.NOTHING) in _HOLDS),
        tuple(name for name in names if _outcome(tree, name, _Outcome.PRESENT) in _HOLDS),
        _prefix(tree),
    )


def _prefix(tree: Node) -> tuple[str, str] | None:
    """The element and text of a rule `element.startsWith('text').not() or ...`, such as ref-1."""
    match tree:
        case Binary("or", Call(Call(Member(None, name), "startsWith", (Literal(str(text)),)), "not", ()), _):
            return name, text
    return None


def _names(tree: object) -> Iterable[str]:
    """Every member named at the root of a path, wherever it stands; too many do no harm."""
    if isinstance(tree, Member) and (tree.base is None or _is_type(tree.base)):
        yield tree.name
    for part in _parts(tree):
        yield from _names(part)


def _parts(tree: object) -> Iterable[object]:
    match tree:
        case Member(base, _):
            return (base,)
        case Call(base, _, arguments):
            return (base, *arguments)
        case Binary(_, left, right):
            return (left, right)
        case Index(base, index):
            return (base, index)
        case TypeTest(_, operand, _):
            return (operand,)
    return ()


def _is_type(tree: Node | None) -> bool:
    """Whether it names the type of the focus, as in `Appointment.status`."""
    return isinstance(tree, Member) and tree.base is None and tree.name[:1].isupper()


def _outcome(tree: Node, name: str, given: _Outcome) -> _Outcome:
    """What a part of a rule comes to when the element `name` of its focus is `given`."""
    match tree:
        case Empty():
            return _Outcome.NOTHING
        case Literal(value):
            return {True: _Outcome.TRUE, False: _Outcome.FALSE}[value] if type(value) is bool else _Outcome.PRESENT
        case Member(base, member):
            if base is None or _is_type(base):
                return given if member == name else _Outcome.UNKNOWN
            return _kept(_outcome(base, name, given))
        case Index(base, _):
            return _kept(_outcome(base, name, given))
        case TypeTest(_, operand, _):
            return _kept(_outcome(operand, name, given))
        case Call():
            return _call(tree, name, given)
        case Binary():
            return _binary(tree, name, given)
    return _Outcome.UNKNOWN


def _kept(base: _Outcome) -> _Outcome:
    return base if base is _Outcome.NOTHING else _Outcome.UNKNOWN


def _call(tree: Call, name: str, given: _Outcome) -> _Outcome:
    if tree.base is None:
        return _Outcome.UNKNOWN
    base = _outcome(tree.base, name, given)
    if tree.name == "not" and base in _NOT:
        return _NOT[base]
    if base is _Outcome.NOTHING:
        if tree.name in _KEEP_NOTHING:
            return base
        return _OF_NOTHING.get(tree.name, _Outcome.UNKNOWN)
    if tree.arguments:
        return _Outcome.UNKNOWN
    if base is _Outcome.PRESENT:
        return _OF_PRESENT.get(tree.name, _Outcome.UNKNOWN)
    return _Outcome.UNKNOWN


_NOT = {_Outcome.TRUE: _Outcome.FALSE, _Outcome.FALSE: _Outcome.TRUE, _Outcome.NOTHING: _Outcome.NOTHING}


def _binary(tree: Binary, name: str, given: _Outcome) -> _Outcome:
    left, right = _outcome(tree.left, name, given), _outcome(tree.right, name, given)
    match tree.operator:
        case "or":
            return _either(left, right)
        case "and":
            return _both(left, right)
        case "implies":
            if left is _Outcome.NOTHING:  # {} implies true is true, {} implies anything else is empty
                return _Outcome.TRUE if right is _Outcome.TRUE else _Outcome.TRUE_OR_NOTHING
            return _either(_NOT.get(left, _Outcome.UNKNOWN), right)
        case "=" | "!=" | "<" | ">" | "<=" | ">=" | "in":
            return _Outcome.NOTHING if left is _Outcome.NOTHING else _Outcome.UNKNOWN
    return _Outcome.UNKNOWN


def _either(left: _Outcome, right: _Outcome) -> _Outcome:
    """or: true when one is; false only when both are, so nothing beside anything is not false."""
    if _Outcome.TRUE in (left, right):
        return _Outcome.TRUE
    if left in _HOLDS or right in _HOLDS:
        return _Outcome.TRUE_OR_NOTHING
    if left is right is _Outcome.FALSE:
        return _Outcome.FALSE
    return _Outcome.UNKNOWN


def _both(left: _Outcome, right: _Outcome) -> _Outcome:
    if _Outcome.FALSE in (left, right):
        return _Outcome.FALSE
    if {left, right} <= _HOLDS:
        return _Outcome.TRUE if left is right is _Outcome.TRUE else _Outcome.TRUE_OR_NOTHING
    return _Outcome.UNKNOWN
