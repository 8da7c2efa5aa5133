"""How long a regular expression can take: refuses exponential ones, and tells the power of the others.

A pattern is exponential when a repetition without bound can split the same text in several ways: its body holds
another unbounded repetition, or alternatives that begin alike. It is safe when the body begins with a character that
nothing else in it matches, for then every turn has one beginning only. Otherwise the time grows with a power of the
length of the text: one for the search, one for each repetition that competes with an earlier one for characters.
A short repetition counts as a factor.
Sets of characters are judged on ASCII and a few others, which is on the safe side for the patterns in use.
"""

from __future__ import annotations

import re
from re import _constants as names  # type: ignore[attr-defined]  # no public module tells how a pattern was read
from re import _parser as reader  # type: ignore[attr-defined]
from typing import Any, NamedTuple

_OTHERS = "\x85\xa0éßΩд中々\u3000\U0001f525"
_UNIVERSE = frozenset([chr(code) for code in range(128)]) | frozenset(_OTHERS)
_MANY = 64  # a repetition of more turns counts as one without bound

_FEW = 10  # turns of an ambiguous repetition, or powers, that are still bearable
_DEAREST = 10_000_000

Part = tuple[Any, Any]


class Cost(NamedTuple):
    """`factor` times the text's length to a power."""

    power: int
    factor: int

    def and_then(self, other: Cost) -> Cost:
        """The cost of both, each way of one with each of the other."""
        return Cost(self.power + other.power, self.factor * other.factor)


class Explosive(ValueError):
    """The pattern can take exponential time."""


def cost_of(pattern: str, flags: int, *, whole: bool) -> Cost:
    """What matching a part, or the `whole`, of a text costs at worst. Raises Explosive when it is exponential or near."""
    parts = _inlined(reader.parse(pattern, flags))
    _refuse_explosive(parts)
    anchored = whole or (bool(parts) and parts[0][0] is names.AT and _at_beginning(parts[0][1], flags))
    if parts and not whole and _is_simple_repeat(*parts[-1]):
        parts.pop()  # nothing follows that could fail
    cost, _ = _cost(parts, [] if anchored else [_UNIVERSE])
    if cost.power > _FEW or cost.factor > _DEAREST:
        raise Explosive("the repetitions compete for characters in too many ways")
    return cost.and_then(Cost(1, 1))


def _is_simple_repeat(operator: Any, argument: Any) -> bool:
    if operator not in (names.MAX_REPEAT, names.MIN_REPEAT):
        return False
    body = _inlined(argument[2])
    return len(body) == 1 and _characters(*body[0]) is not None


def _at_beginning(anchor: Any, flags: int) -> bool:
    if anchor is names.AT_BEGINNING:
        return not flags & re.MULTILINE
    return anchor is names.AT_BEGINNING_STRING


def _inlined(parts: Any) -> list[Part]:
    """The parts with groups replaced by what they hold."""
    found: list[Part] = []
    for operator, argument in parts:
        if operator is names.SUBPATTERN:
            found.extend(_inlined(argument[3]))
        else:
            found.append((operator, argument))
    return found


def _refuse_explosive(parts: list[Part]) -> None:
    for operator, argument in parts:
        for body in _bodies(operator, argument):
            _refuse_explosive(body)
        if operator in (names.MAX_REPEAT, names.MIN_REPEAT) and argument[1] > _FEW:
            body = _inlined(argument[2])
            if _splits_in_ways(body) and not (_marked(body) or _decided_by_first(body)):
                raise Explosive("a repetition can split the same text in several ways")


def _bodies(operator: Any, argument: Any) -> list[list[Part]]:
    """The patterns inside a part."""
    if operator in (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT):
        return [_inlined(argument[2])]
    if operator is names.BRANCH:
        return [_inlined(one) for one in argument[1]]
    if operator in (names.ASSERT, names.ASSERT_NOT):
        return [_inlined(argument[1])]
    if operator is names.ATOMIC_GROUP:
        return [_inlined(argument)]
    if operator is names.GROUPREF_EXISTS:
        return [_inlined(one) for one in argument[1:] if one is not None]
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


def _marked(body: list[Part]) -> bool:
    """Whether every turn begins, or ends, with one character that nothing else in the body matches."""
    for mark, rest in ((body[:1], body[1:]), (body[-1:], body[:-1])):
        characters = _characters(*mark[0]) if mark else None
        if characters and characters.isdisjoint(_all_characters(rest)):
            return True
    return False


def _decided_by_first(body: list[Part]) -> bool:
    """Whether the body is a choice whose alternatives begin differently and have one length each."""
    if len(body) != 1 or body[0][0] is not names.BRANCH:
        return False
    begun: frozenset[str] = frozenset()
    for alternative in _bodies(*body[0]):
        first = _characters(*alternative[0]) if alternative else None
        if not first or not first.isdisjoint(begun) or _splits_in_ways(alternative):
            return False
        begun |= first
    return True


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


def _cost(parts: list[Part], before: list[frozenset[str]]) -> tuple[Cost, list[frozenset[str]]]:
    """The cost of trying all ways, and the repetitions that are still open at the end.

    A repetition competes when it can take characters from an earlier one that is open. One closes when a character
    must follow that it cannot match.
    """
    total, still_open = Cost(0, 1), list(before)
    for operator, argument in parts:
        single = _characters(operator, argument)
        if single is not None:
            still_open = [earlier for earlier in still_open if not single.isdisjoint(earlier)]
        elif operator in (names.MAX_REPEAT, names.MIN_REPEAT):
            cost, still_open = _cost_of_repeat(argument, still_open)
            total = total.and_then(cost)
        else:
            branches = [_cost(body, still_open) for body in _bodies(operator, argument)]
            for cost, _ in branches:
                total = total.and_then(cost)
            if operator is names.BRANCH:
                still_open = [one for _, after in branches for one in after]
    return total, still_open[:_MANY]


def _cost_of_repeat(argument: Any, still_open: list[frozenset[str]]) -> tuple[Cost, list[frozenset[str]]]:
    low, high, inside = argument
    body = _inlined(inside)
    characters = _all_characters(body)
    competes = any(not characters.isdisjoint(earlier) for earlier in still_open)
    if high > _MANY:
        cost = _cost(body, [])[0].and_then(Cost(int(competes), 1))
        return cost, [*still_open, characters]
    first, after = _cost(body, still_open)
    again, _ = _cost(body, after)
    cost = first
    for _ in range(min(high, _FEW) - 1):
        cost = cost.and_then(again)
    if high != low:
        cost = cost.and_then(Cost(0, high - low + 1 if competes else 1))
        after = [*still_open, *after, characters]
    return cost, after
