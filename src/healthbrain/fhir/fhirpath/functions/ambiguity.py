"""How long a regular expression can take: refuses exponential ones, and tells the power of the others.

A pattern is exponential when a repetition without bound can split the same text in several ways: its body holds
another unbounded repetition, or alternatives that begin alike. It is safe when the body begins with a character that
nothing else in it matches, for then every turn has one beginning only. Otherwise the time grows with a power of the
length of the text: one for the search, one for each repetition that competes with an earlier one for characters.
Sets of characters are judged on ASCII and a few others, which is on the safe side for the patterns in use.
"""

from __future__ import annotations

import re
from re import _constants as names  # type: ignore[attr-defined]  # no public module tells how a pattern was read
from re import _parser as reader  # type: ignore[attr-defined]
from typing import Any

_OTHERS = "\x85\xa0éßΩд中々\u3000\U0001f525"
_UNIVERSE = frozenset([chr(code) for code in range(128)]) | frozenset(_OTHERS)
_MANY = 64  # a repetition of more turns counts as one without bound

Part = tuple[Any, Any]


class Explosive(ValueError):
    """The pattern can take exponential time."""


def degree(pattern: str, flags: int) -> int:
    """The power of the text's length with which matching can grow, at least 1. Raises Explosive."""
    parts = list(reader.parse(pattern, flags))
    _refuse_explosive(parts)
    return 1 + _competing(parts)


def _refuse_explosive(parts: list[Part]) -> None:
    for operator, argument in parts:
        for body in _bodies(operator, argument):
            _refuse_explosive(body)
        if operator in (names.MAX_REPEAT, names.MIN_REPEAT) and argument[1] > _MANY:
            body = list(argument[2])
            if _splits_in_ways(body) and not _begins_uniquely(body):
                raise Explosive("a repetition can split the same text in several ways")


def _bodies(operator: Any, argument: Any) -> list[list[Part]]:
    """The patterns inside a part."""
    if operator in (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT):
        return [list(argument[2])]
    if operator is names.SUBPATTERN:
        return [list(argument[3])]
    if operator is names.BRANCH:
        return [list(one) for one in argument[1]]
    if operator in (names.ASSERT, names.ASSERT_NOT):
        return [list(argument[1])]
    if operator is names.ATOMIC_GROUP:
        return [list(argument)]
    if operator is names.GROUPREF_EXISTS:
        return [list(one) for one in argument[1:] if one is not None]
    return []


def _splits_in_ways(body: list[Part]) -> bool:
    """Whether the same text may be matched by the repeated body in more than one way."""
    for operator, argument in body:
        if operator in (names.MAX_REPEAT, names.MIN_REPEAT):
            low, high, _ = argument
            if high != low:
                return True
        if operator is names.BRANCH:
            return True
        if operator is names.GROUPREF:
            return True
        if any(_splits_in_ways(inner) for inner in _bodies(operator, argument)):
            return True
    return False


def _begins_uniquely(body: list[Part]) -> bool:
    """Whether every turn begins with one character that nothing else in the body matches."""
    if not body:
        return False
    operator, argument = body[0]
    if operator is names.SUBPATTERN:
        return _begins_uniquely([*argument[3], *body[1:]])
    if operator is names.BRANCH:
        return False
    first = _characters(operator, argument)
    if first is None or not first:
        return False
    rest = _all_characters(body[1:])
    return first.isdisjoint(rest)


def _all_characters(parts: list[Part]) -> frozenset[str]:
    """Every character a pattern can match anywhere."""
    found: frozenset[str] = frozenset()
    for operator, argument in parts:
        single = _characters(operator, argument)
        if single is not None:
            found |= single
        elif operator is names.GROUPREF:
            return _UNIVERSE
        for body in _bodies(operator, argument):
            found |= _all_characters(body)
    return found


def _characters(operator: Any, argument: Any) -> frozenset[str] | None:
    """The characters of a part that matches exactly one; None for any other part."""
    if operator is names.LITERAL:
        return _either_case(chr(argument))
    if operator is names.NOT_LITERAL:
        return _UNIVERSE - {chr(argument)}
    if operator is names.ANY:
        return _UNIVERSE
    if operator is names.IN:
        return _of_set(argument)
    return None


def _either_case(character: str) -> frozenset[str]:
    return frozenset((character, character.lower(), character.upper()))


def _of_set(items: list[Part]) -> frozenset[str]:
    found: set[str] = set()
    negated = False
    for operator, argument in items:
        if operator is names.NEGATE:
            negated = True
        elif operator is names.LITERAL:
            found |= _either_case(chr(argument))
        elif operator is names.RANGE:
            found |= {c for c in _UNIVERSE if argument[0] <= ord(c) <= argument[1]}
        elif operator is names.CATEGORY:
            found |= _of_category(argument)
    return _UNIVERSE - found if negated else frozenset(found)


def _of_category(category: Any) -> set[str]:
    class_ = {
        names.CATEGORY_DIGIT: r"\d",
        names.CATEGORY_NOT_DIGIT: r"\D",
        names.CATEGORY_SPACE: r"\s",
        names.CATEGORY_NOT_SPACE: r"\S",
        names.CATEGORY_WORD: r"\w",
        names.CATEGORY_NOT_WORD: r"\W",
    }[category]
    matches = re.compile(class_).match
    return {character for character in _UNIVERSE if matches(character)}


def _competing(parts: list[Part]) -> int:
    """How many unbounded repetitions can take characters from an earlier one, or from the search itself."""
    count = 0
    open_sets: list[frozenset[str]] = [_UNIVERSE]  # search() begins anywhere
    for operator, argument in parts:
        if operator in (names.MAX_REPEAT, names.MIN_REPEAT):
            low, high, inner = argument
            characters = _all_characters(list(inner))
            if high > _MANY:
                if any(not characters.isdisjoint(earlier) for earlier in open_sets):
                    count += 1
                open_sets.append(characters)
                continue
            if low == 0:
                continue
        elif operator is names.AT or operator in (names.ASSERT, names.ASSERT_NOT):
            if operator is names.AT and argument in (names.AT_BEGINNING_STRING,):
                open_sets = []
            continue
        inner_bodies = _bodies(operator, argument)
        if inner_bodies:
            count += max((_competing(body) for body in inner_bodies), default=0)
            continue
        single = _characters(operator, argument)
        if single is not None:
            open_sets = [earlier for earlier in open_sets if not single.isdisjoint(earlier)]
    return count
