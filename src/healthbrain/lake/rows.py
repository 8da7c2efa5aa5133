"""Expressions evaluated one row at a time, in plain Python: the oracle for `sql`, and slow on purpose.

A collection is a list without None. A row is a resource (its JSON) or a mapping of column values.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake.path import Binary, Call, Index, Literal, Member, Minus, Node, Span, Variable
from healthbrain.lake.sql import band_names

LOCAL = timezone(timedelta(hours=8))  # China has one time zone and no summer time


@dataclass(frozen=True, slots=True)
class Row:
    """What names mean: the row, the constants, and the lake's own columns for a resource."""

    item: Any
    constants: Mapping[str, Any]
    own: Mapping[str, Any]


def evaluate(node: Node, row: Row) -> list[Any]:
    """The collection an expression yields."""
    match node:
        case Literal(value):
            return _of(value)
        case Variable(key):
            return _of(row.constants[key])
        case Member(None, "$this"):
            return [row.item]
        case Member(None, key):
            return _of(row.own[key]) if key in row.own else _children([row.item], key)
        case Member(of, key) if of is not None:
            return _children(evaluate(of, row), key)
        case Call():
            return _call(node, row)
        case Index(of, at):
            items, position = evaluate(of, row), single(at, row)
            return items[position : position + 1]
        case Minus(of):
            return [-value for value in evaluate(of, row)]
        case Binary():
            return _binary(node, row)
    raise Incorrect("this kind of expression is not supported")


def single(node: Node, row: Row) -> Any:
    """The one value an expression yields; None when empty."""
    values = evaluate(node, row)
    if len(values) > 1:
        raise Incorrect("a single value is needed here; say which by first() or where()")
    return values[0] if values else None


def cast(value: Any, type_: str) -> Any:
    """A value in a view's column type."""
    if value is None:
        return None
    if type_ == "date":
        return value if isinstance(value, date) and not isinstance(value, datetime) else day(value)
    if type_ == "dateTime":
        return value if isinstance(value, datetime) else instant(value)
    if type_ == "decimal":
        return float(value)
    if type_ == "integer":
        return int(value)
    return value


def instant(text: str) -> datetime:
    """The earliest moment a FHIR date or dateTime may mean."""
    if len(text) <= 10:
        year, month, day_ = (*(int(part) for part in text.split("-")), 1, 1)[:3]
        return datetime(year, month, day_, tzinfo=LOCAL)
    return datetime.fromisoformat(text)


def day(text: str) -> date:
    """The local day of a FHIR date or dateTime; the first one that it may mean."""
    return instant(text).astimezone(LOCAL).date()


def age(birth: date, at: date) -> int:
    """Completed years."""
    return at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))


def shift(moment: Any, number: int, unit: str) -> Any:
    """A date moved by a calendar length; the last day of a month stays within it."""
    if unit == "hour":
        return moment + timedelta(hours=number)
    if unit in {"day", "week"}:
        return moment + timedelta(days=number * (7 if unit == "week" else 1))
    months = moment.year * 12 + moment.month - 1 + number * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def _of(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _children(items: list[Any], key: str) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if isinstance(item, Mapping):
            found += _of(item.get(key))
    return [float(value) if isinstance(value, Decimal) else value for value in found]


def _call(node: Call, row: Row) -> list[Any]:
    if node.of is None and node.name != "extension":
        return _free(node, row)
    if node.name == "ofType":
        source, wanted = node.of, node.arguments[0]
        assert isinstance(source, Member)  # noqa: S101  # `sql` has refused anything else
        assert isinstance(wanted, Member)  # noqa: S101
        return evaluate(Member(source.of, source.name + wanted.name[0].upper() + wanted.name[1:]), row)
    items = [row.item] if node.of is None else evaluate(node.of, row)
    if node.name in {"where", "exists"}:
        if node.arguments:
            items = [one for one in items if single(node.arguments[0], Row(one, row.constants, {})) is True]
        return items if node.name == "where" else [bool(items)]
    return _function(node, items, row)


def _function(node: Call, items: list[Any], row: Row) -> list[Any]:
    if node.name == "getReferenceKey":
        wanted = node.arguments[0] if node.arguments else None
        return _keys(items, wanted.name if isinstance(wanted, Member) else "[A-Za-z]+")
    arguments = [single(argument, row) for argument in node.arguments]
    match node.name:
        case "first":
            return items[:1]
        case "last":
            return items[-1:]
        case "empty":
            return [not items]
        case "count":
            return [len(items)]
        case "not":
            return [not value for value in items]
        case "extension":
            return [one for one in _children(items, "extension") if one.get("url") == arguments[0]]
        case "startsWith":
            return [value.startswith(arguments[0]) for value in items]
        case "contains":
            return [arguments[0] in value for value in items]
        case "substring":
            end = arguments[0] + arguments[1] if len(arguments) > 1 else None
            return [part for value in items if (part := value[arguments[0] : end])]
        case "lower":
            return [value.lower() for value in items]
        case "toString":
            return [str(value) for value in items]
        case "toDecimal":
            return [float(value) for value in items]
        case "toInteger":
            return [int(value) for value in items]
    raise Incorrect(f"the function {node.name}() is not supported")


def _keys(items: list[Any], type_: str) -> list[Any]:
    pattern = re.compile(rf"(?:^|/){type_}/([^/]+)(?:/_history/[^/]+)?$")
    found = [pattern.search(reference) for reference in _children(items, "reference")[:1]]
    return [match[1] for match in found if match]


def _free(node: Call, row: Row) -> list[Any]:
    if node.name == "getResourceKey":
        return _of(row.own["_id"])
    if node.name == "iif":
        if single(node.arguments[0], row) is True:
            return evaluate(node.arguments[1], row)
        return evaluate(node.arguments[2], row) if len(node.arguments) > 2 else []
    arguments = [single(argument, row) for argument in node.arguments]
    if None in arguments:
        return []
    if node.name == "age":
        return [age(*arguments)]
    if node.name == "days":
        return [(arguments[1] - arguments[0]).days]
    if node.name == "band":
        return [band_names(arguments[1:])[bisect_right(arguments[1:], arguments[0])]]
    raise Incorrect(f"the function {node.name}() is not supported")


def _binary(node: Binary, row: Row) -> list[Any]:
    if isinstance(node.right, Span):
        number = node.right.number if node.operator == "+" else -node.right.number
        return [shift(moment, number, node.right.unit) for moment in evaluate(node.left, row)]
    if node.operator == "|":
        return evaluate(node.left, row) + evaluate(node.right, row)
    left = single(node.left, row)
    if node.operator == "in":
        return [] if left is None else [left in evaluate(node.right, row)]
    right = single(node.right, row)
    if node.operator in {"and", "or", "xor", "implies"}:
        return _of(_logic(node.operator, left, right))
    return [] if left is None or right is None else [_OPERATORS[node.operator](left, right)]


def _logic(operator: str, left: bool | None, right: bool | None) -> bool | None:
    match operator:
        case "and":
            return False if left is False or right is False else None if None in (left, right) else True
        case "or":
            return True if left is True or right is True else None if None in (left, right) else False
        case "xor":
            return None if left is None or right is None else left != right
    return _logic("or", None if left is None else not left, right)


_OPERATORS: dict[str, Any] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
