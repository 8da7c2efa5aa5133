"""The grammar of _filter, read into a tree. Pure.

Rule source: FHIR R4 search_filter: `and` and `or` bind alike and are read from left to right; a path is a parameter,
or a chain of them, where a reference may carry a filter of its own in brackets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from healthbrain.errors import Incorrect, TooLarge

OPERATORS = (
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "ni", "re",
)  # fmt: skip
_LONGEST = 8000
_MOST_TESTS = 100
_DEEPEST = 20
_NAME = re.compile(r"[_A-Za-z][\w-]*", re.ASCII)
_WORD = re.compile(r"[^\s\])]+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BLANK = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """A parameter in a path, with the filter that stands behind it in brackets."""

    name: str
    filter: Node | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """path operator value"""

    path: tuple[Step, ...]
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Both:
    """Two filters joined by `and` or `or`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Not:
    """not(filter)"""

    inner: Node


Node = Check | Both | Not


def read_filter(text: str) -> Node:
    """The tree of a filter. Incorrect says at which character it cannot be read."""
    if len(text) > _LONGEST:
        raise TooLarge(f"'_filter' has at most {_LONGEST} characters")
    reader = _Reader(text)
    found = reader.filter(0)
    if reader.at < len(text):
        raise reader.wrong("the filter should end here, or go on with 'and' or 'or'")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = _end(_BLANK.match(text, 0))
        self.tests = 0

    def wrong(self, what: str) -> Incorrect:
        return Incorrect(f"'_filter', character {self.at + 1}: {what}")

    def filter(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise TooLarge("'_filter' is nested too deep")
        found = self._one(depth)
        while (word := self._peek_word()) in {"and", "or"}:
            self._skip(len(word))
            found = Both(word, found, self._one(depth))
        return found

    def _one(self, depth: int) -> Node:
        if self._take("("):
            found = self.filter(depth + 1)
            self._expect(")")
            return found
        if self._peek_word() == "not" and self.text[self.at + 3 :].lstrip().startswith("("):
            self._skip(3)
            self._expect("(")
            found = self.filter(depth + 1)
            self._expect(")")
            return Not(found)
        return self._test(depth)

    def _test(self, depth: int) -> Check:
        self.tests += 1
        if self.tests > _MOST_TESTS:
            raise TooLarge(f"'_filter' has at most {_MOST_TESTS} tests")
        path = [self._step(depth)]
        while self._take("."):
            path.append(self._step(depth))
        if path[-1].filter is not None:
            raise self.wrong("a filter in brackets is followed by '.' and a parameter")
        operator = self._peek_word().lower()
        if operator not in OPERATORS:
            raise self.wrong(f"an operator is one of {', '.join(OPERATORS)}")
        self._skip(len(operator))
        return Check(tuple(path), operator, self._value())

    def _step(self, depth: int) -> Step:
        match = _NAME.match(self.text, self.at)
        if match is None:
            raise self.wrong("the name of a search parameter, 'not(' or '(' is expected")
        self._skip(len(match[0]))
        if not self._take("["):
            return Step(match[0])
        inner = self.filter(depth + 1)
        self._expect("]")
        return Step(match[0], inner)

    def _value(self) -> str:
        if self.text[self.at : self.at + 1] == '"':
            match = _STRING.match(self.text, self.at)
            if match is None:
                raise self.wrong("the text that begins here has no end")
            try:
                value = str(json.loads(match[0]))
            except ValueError:
                raise self.wrong("a text is written as in JSON") from None
        else:
            match = _WORD.match(self.text, self.at)
            if match is None:
                raise self.wrong("a value is expected")
            value = match[0]
        self._skip(len(match[0]))
        return value

    def _peek_word(self) -> str:
        match = _NAME.match(self.text, self.at)
        return match[0] if match else ""

    def _take(self, sign: str) -> bool:
        if self.text[self.at : self.at + 1] != sign:
            return False
        self._skip(1)
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self.wrong(f"'{sign}' is expected")

    def _skip(self, count: int) -> None:
        self.at = _end(_BLANK.match(self.text, self.at + count))


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
