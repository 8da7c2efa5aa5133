"""FHIRPath tokens to a tree, by operator precedence. Grammar: FHIRPath N1, with 3.0's Long literals and sort order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from healthbrain.fhir.fhirpath.dates import Date, DateTime, Time
from healthbrain.fhir.fhirpath.lexer import Token, tokens
from healthbrain.fhir.fhirpath.problems import Unreadable
from healthbrain.fhir.fhirpath.quantity import CALENDAR, Quantity
from healthbrain.fhir.fhirpath.syntax import (
    BINDING,
    SIGN_BINDING,
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Node,
    Ordered,
    Sign,
    Special,
    TypeTest,
    Variable,
)
from healthbrain.fhir.fhirpath.values import Long

MAX_DEPTH = 100  # brackets and operators within each other; Python's own stack holds several times as much
MAX_CHAIN = 200
_RESERVED = frozenset(("and", "or", "xor", "implies", "div", "mod", "true", "false"))
_OPERAND = "a value, a path or an opening bracket"
_TEMPORAL: dict[str, Any] = {"date": Date, "datetime": DateTime, "time": Time}


def parse(text: str) -> Node:
    """The tree of an expression. Raises Unreadable with line, column and what was expected there."""
    reader = _Reader(text)
    tree = reader.expression(0)
    if reader.token.kind != "end":
        raise reader.unexpected("an operator or the end")
    return tree


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0
        self.token = self.tokens[0]

    def expression(self, least: int) -> Node:
        """An expression whose operators bind at least as tightly as `least`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("the expression is nested too deep; split it", self.text, self.token.offset)
        left = self.operand()
        for _ in range(MAX_CHAIN):
            operator = self.token.text if self.token.kind in ("symbol", "name") else ""
            binding = BINDING.get(operator, -1)
            if binding < least or binding < 0:
                self.depth -= 1
                return left
            offset = self.take().offset
            if operator == "is" or operator == "as":
                left = TypeTest("is" if operator == "is" else "as", left, self.type_name(), offset)
            else:
                left = Binary(operator, left, self.expression(binding + 1), offset)
        raise Unreadable("the expression has too many operators in a row; split it", self.text, self.token.offset)

    def operand(self) -> Node:
        if self.token.kind == "symbol" and self.token.text in ("+", "-"):
            sign = self.take()
            operand = self.expression(SIGN_BINDING)
            return Sign("-" if sign.text == "-" else "+", operand, sign.offset)
        return self.chain(self.term())

    def chain(self, node: Node) -> Node:
        for _ in range(MAX_CHAIN):
            if self.sees("."):
                self.take()
                node = self.invocation(node)
            elif self.sees("["):
                offset = self.take().offset
                node = Index(node, self.expression(0), offset)
                self.expect("]", "the index")
            else:
                return node
        raise Unreadable("the path has too many steps; split it", self.text, self.token.offset)

    def term(self) -> Node:
        token = self.token
        match token.kind:
            case "number":
                return self.number()
            case "string":
                return Literal(self.take().text, token.offset)
            case "date" | "datetime" | "time":
                return self.temporal()
            case "symbol" if token.text in "({%":
                return self.opened()
            case "name" if token.text in ("true", "false"):
                return Literal(self.take().text == "true", token.offset)
            case "name" if token.text in _RESERVED:
                raise self.unexpected(_OPERAND)
            case "name" | "quoted" | "special":
                return self.invocation(None)
        raise self.unexpected(_OPERAND)

    def opened(self) -> Node:
        token = self.take()
        if token.text == "(":
            inside = self.expression(0)
            self.expect(")", "the bracket")
            return inside
        if token.text == "{":
            self.expect("}", "the empty collection")
            return Empty(token.offset)
        if self.token.kind not in ("name", "quoted", "string"):
            raise self.unexpected("the name of a variable")
        return Variable(self.take().text, token.offset)

    def invocation(self, base: Node | None) -> Node:
        token = self.token
        if token.kind == "special":
            self.take()
            if base is not None:
                raise Unreadable(f"{token.text} stands at the beginning of a path only", self.text, token.offset)
            name: Any = token.text
            return Special(name, token.offset)
        self.name("the name of an element or function")
        if not self.sees("("):
            return Member(base, token.text, token.offset)
        self.take()
        return Call(base, token.text, self.arguments(token.text), token.offset)

    def arguments(self, function: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.sees(")"):
            if found:
                self.expect(",", f"the arguments of {function}()")
            argument = self.expression(0)
            if function == "sort" and self.token.kind == "name" and self.token.text in ("asc", "desc"):
                argument = Ordered(argument, self.token.text == "desc", self.take().offset)
            found.append(argument)
        self.take()
        return tuple(found)

    def type_name(self) -> tuple[str, ...]:
        names = [self.name("the name of a type")]
        # a dot after a full name belongs to the path only when a function follows
        while self.sees(".") and len(names) < 2 and self.tokens[self.at + 2].text != "(":
            self.take()
            names.append(self.name("the name of a type"))
        return tuple(names)

    def name(self, expected: str) -> str:
        if self.token.kind == "quoted" or (self.token.kind == "name" and self.token.text not in _RESERVED):
            return self.take().text
        raise self.unexpected(expected)

    def number(self) -> Node:
        token = self.take()
        follower = self.token
        if follower.kind == "name" and follower.text == "L" and follower.offset == token.offset + len(token.text):
            return self.long(token)
        if follower.kind == "string" or (follower.kind == "name" and follower.text in CALENDAR):
            return Literal(Quantity(Decimal(token.text), self.take().text), token.offset)
        if "." in token.text:
            return Literal(Decimal(token.text), token.offset)
        if len(token.text) > 10 or int(token.text) > 2**31:
            message = "an Integer is at most 2147483647; write a Long (with L) or a Decimal (with .0)"
            raise Unreadable(message, self.text, token.offset)
        return Literal(int(token.text), token.offset)

    def long(self, token: Token) -> Node:
        self.take()
        if "." in token.text or len(token.text) > 19 or int(token.text) >= 2**63:
            raise Unreadable("a Long is a whole number below 2^63", self.text, token.offset)
        return Literal(Long(token.text), token.offset)

    def temporal(self) -> Node:
        token = self.take()
        value = _TEMPORAL[token.kind].parse(token.text[1:])
        if value is None:
            raise Unreadable("there is no such date or time", self.text, token.offset)
        if token.kind == "time" and self.token.text == "Z" and self.token.offset == token.offset + len(token.text):
            raise Unreadable("a time has no offset from UTC; a date-time has", self.text, self.token.offset)
        return Literal(value, token.offset)

    def take(self) -> Token:
        token = self.token
        self.at += 1
        if token.kind != "end":
            self.token = self.tokens[self.at]
        return token

    def sees(self, symbol: str) -> bool:
        return self.token.text == symbol and self.token.kind == "symbol"

    def expect(self, symbol: str, what: str) -> None:
        if not self.sees(symbol):
            raise self.unexpected(f"'{symbol}' for {what}")
        self.take()

    def unexpected(self, expected: str) -> Unreadable:
        found = "the end" if self.token.kind == "end" else f"'{self.text[self.token.offset :][:20]}'"
        return Unreadable(f"expected {expected}, found {found}", self.text, self.token.offset)
