"""Expressions over the columns of one flat row, in which measures are written, as a tree.

This is no FHIRPath, though it is written alike: a name is a column and has one value or none, and there are no steps into
resources. What is taken from resources is said by ViewDefinitions (`base_view`, compiled by `sof`).

Read here: literals, `%constants`, names of columns, function calls, calendar lengths (`90 days`) and operators with the
precedence they have in FHIRPath. What a function means is decided by who evaluates the tree: `expression_sql` (DuckDB) and
`expression_rows` (row by row, the oracle).

>>> parse("town.exists() and n + 1 > 2")      # doctest: +ELLIPSIS
Binary(operator='and', ...)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from healthbrain.errors import Incorrect


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number or truth value written in the expression; None is {}: no value."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Span:
    """A calendar length: 90 days."""

    number: int
    unit: str  # hour (of an instant only), day, week, month, year


@dataclass(frozen=True, slots=True)
class Variable:
    """%name: a constant of the definition."""

    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a column."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function, applied to `of` when it is written behind a value."""

    of: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Minus:
    """A negative number."""

    of: Node


Node = Literal | Span | Variable | Name | Call | Binary | Minus

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<variable>%[A-Za-z_]\w*)
    | (?P<name>[A-Za-z_]\w*|`[^`]+`)
    | (?P<operator><=|>=|!=|[-+*/=<>|.,(){}])
    )""",
    re.VERBOSE,
)
_PRECEDENCE = {
    **dict.fromkeys(("implies",), 1),
    **dict.fromkeys(("or", "xor"), 2),
    **dict.fromkeys(("and",), 3),
    **dict.fromkeys(("in",), 4),
    **dict.fromkeys(("=", "!="), 5),
    **dict.fromkeys(("<", ">", "<=", ">="), 6),
    **dict.fromkeys(("|",), 7),
    **dict.fromkeys(("+", "-"), 8),
    **dict.fromkeys(("*", "/"), 9),
}
_UNITS = {unit + plural: unit for unit in ("hour", "day", "week", "month", "year") for plural in ("", "s")}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The tree of an expression. Raises Incorrect with the place where it cannot be read."""
    reader = _Reader(text)
    tree = reader.expression(0)
    if reader.kind:
        raise reader.wrong("an operator")
    return tree


class _Reader:
    """Precedence climbing over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = self.end = 0
        self.kind: str | None = None
        self.value = ""
        self.advance()

    def advance(self) -> str:
        """Go to the next token; returns the text of the one before."""
        before, self.start = self.value, self.end
        match = _TOKEN.match(self.text, self.end)
        if match is None:
            if self.text[self.end :].strip():
                raise self.wrong("a token")
            self.kind, self.value = None, ""
            return before
        self.kind, self.end = match.lastgroup, match.end()
        self.value = match[match.lastgroup or 0]
        return before

    def wrong(self, wanted: str) -> Incorrect:
        return Incorrect(f"expression `{self.text}`, character {self.start + 1}: expected {wanted}")

    def take(self, symbol: str) -> None:
        if self.kind != "operator" or self.value != symbol:
            raise self.wrong(f"`{symbol}`")
        self.advance()

    def at(self, symbol: str) -> bool:
        return self.kind == "operator" and self.value == symbol

    def expression(self, floor: int) -> Node:
        left = self.unary()
        while self.kind in {"operator", "name"} and _PRECEDENCE.get(self.value, 0) > floor:
            operator = self.advance()
            left = Binary(operator, left, self.expression(_PRECEDENCE[operator]))
        return left

    def unary(self) -> Node:
        if self.at("-"):
            self.advance()
            return Minus(self.unary())
        return self.calls(self.term())

    def calls(self, node: Node) -> Node:
        """The functions written behind a value."""
        while self.at("."):
            self.advance()
            if self.kind != "name":
                raise self.wrong("the name of a function")
            name = self.advance()
            node = Call(node, name, self.arguments())
        return node

    def term(self) -> Node:
        if self.kind == "number":
            return self.number()
        if self.kind == "string":
            return Literal(_unquote(self.advance()))
        if self.kind == "variable":
            return Variable(self.advance()[1:])
        if self.at("("):
            self.advance()
            node = self.expression(0)
            self.take(")")
            return node
        if self.at("{"):
            self.advance()
            self.take("}")
            return Literal(None)
        if self.kind == "name":
            if self.value in {"true", "false"}:
                return Literal(self.advance() == "true")
            return self.named()
        raise self.wrong("a value")

    def number(self) -> Node:
        text = self.advance()
        if self.kind == "name" and self.value in _UNITS:
            return Span(int(text), _UNITS[self.advance()])
        return Literal(float(text) if "." in text else int(text))

    def named(self) -> Node:
        name = self.advance().strip("`")
        return Call(None, name, self.arguments()) if self.at("(") else Name(name)

    def arguments(self) -> tuple[Node, ...]:
        self.take("(")
        found: list[Node] = []
        while not self.at(")"):
            found.append(self.expression(0))
            if not self.at(")"):
                self.take(",")
        self.advance()
        return tuple(found)


def _unquote(token: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1])
