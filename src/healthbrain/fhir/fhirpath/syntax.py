"""The tree of an expression. Immutable; `text_of` writes it back so that it reads the same again."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal as OneOf

from healthbrain.fhir.fhirpath.dates import Date, DateTime, Time
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.values import Long

Constant = bool | str | int | Long | Decimal | Date | DateTime | Time | Quantity


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`"""

    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant value."""

    value: Constant
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name`"""

    name: str
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index` or `$total`."""

    name: OneOf["$this", "$index", "$total"]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`name` at the root of an expression (base None) or `base.name`."""

    base: Node | None
    name: str
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)` at the root or `base.name(arguments)`."""

    base: Node | None
    name: str
    arguments: tuple[Node, ...]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """`base[index]`"""

    base: Node
    index: Node
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Sign:
    """`+operand` or `-operand`"""

    sign: OneOf["+", "-"]
    operand: Node
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`"""

    operator: str
    left: Node
    right: Node
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`operand is type` or `operand as type`; a type is one or two names."""

    operator: OneOf["is", "as"]
    operand: Node
    type: tuple[str, ...]
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Ordered:
    """`key asc` or `key desc`, an argument of sort()."""

    key: Node
    descending: bool
    offset: int = field(default=0, compare=False)


Node = Empty | Literal | Variable | Special | Member | Call | Index | Sign | Binary | TypeTest | Ordered

# how tightly an operator binds; higher is tighter (FHIRPath, operator precedence)
BINDING: dict[str, int] = {
    "*": 11, "/": 11, "div": 11, "mod": 11,
    "+": 10, "-": 10, "&": 10,
    "is": 9, "as": 9,
    "|": 8,
    "<": 7, "<=": 7, ">": 7, ">=": 7,
    "=": 6, "~": 6, "!=": 6, "!~": 6,
    "in": 5, "contains": 5,
    "and": 4,
    "or": 3, "xor": 3,
    "implies": 2,
}  # fmt: skip
SIGN_BINDING = 12
TERM_BINDING = 13
KEYWORDS = frozenset(
    [
        "and",
        "or",
        "xor",
        "implies",
        "div",
        "mod",
        "in",
        "contains",
        "is",
        "as",
        "true",
        "false",
        "year",
        "month",
        "week",
        "day",
        "hour",
        "minute",
        "second",
        "millisecond",
        "years",
        "months",
        "weeks",
        "days",
        "hours",
        "minutes",
        "seconds",
        "milliseconds",
    ]
)


def text_of(node: Node) -> str:
    """The expression as text, with no more brackets than it needs."""
    return _text(node, 0)


def _text(node: Node, outer: int) -> str:
    text, binding = _bound(node)
    return f"({text})" if binding < outer else text


def _bound(node: Node) -> tuple[str, int]:
    """Text and how tightly it holds together."""
    match node:
        case Binary(operator, left, right):
            own = BINDING[operator]
            return f"{_text(left, own)} {operator} {_text(right, own + 1)}", own
        case TypeTest(operator, operand, type_):
            own = BINDING[operator]
            return f"{_text(operand, own)} {operator} {'.'.join(map(_name, type_))}", own
        case Sign(sign, operand):
            return sign + _text(operand, SIGN_BINDING), SIGN_BINDING
        case Ordered(key, descending):
            return f"{_text(key, 1)} {'desc' if descending else 'asc'}", 1
        case _:
            return _term(node), TERM_BINDING


def _term(node: Node) -> str:
    match node:
        case Empty():
            return "{}"
        case Literal(value):
            return _literal(value)
        case Variable(name):
            return "%" + _name(name)
        case Special(name):
            return name
        case Member(base, name):
            return _with_base(base) + _name(name)
        case Call(base, name, arguments):
            return f"{_with_base(base)}{_name(name)}({', '.join(_text(a, 0) for a in arguments)})"
        case Index(base, index):
            return f"{_text(base, TERM_BINDING)}[{_text(index, 0)}]"
    raise AssertionError(f"{type(node).__name__} is not a term")


def _with_base(base: Node | None) -> str:
    return "" if base is None else _text(base, TERM_BINDING) + "."


def _name(name: str) -> str:
    if name.isidentifier() and name.isascii() and name not in KEYWORDS:
        return name
    return f"`{_escaped(name, '`')}`"


def _literal(value: Constant) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{_escaped(value, chr(39))}'"
    if isinstance(value, Long):
        return f"{int(value)}L"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, int) else value.literal


def _escaped(text: str, quote: str) -> str:
    text = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    for plain, escape in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\f", "\\f")):
        text = text.replace(plain, escape)
    return text
