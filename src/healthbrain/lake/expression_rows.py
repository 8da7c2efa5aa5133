"""Expressions evaluated one row at a time, in plain Python: the oracle for `expression_sql`, and slow on purpose.

A value that is not there is None; what stands behind `in` is a list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake.expression import Binary, Call, Literal, Minus, Name, Node, Span, Variable
from healthbrain.lake.expression_sql import band_names
from healthbrain.lake.local_time import age, shift


@dataclass(frozen=True, slots=True)
class Row:
    """What names mean: the columns and the constants."""

    columns: Mapping[str, Any]
    constants: Mapping[str, Any]


def evaluate(node: Node, row: Row) -> Any:
    """What an expression yields."""
    match node:
        case Literal(value):
            return value
        case Variable(key):
            return row.constants[key]
        case Name(key):
            return row.columns[key]
        case Call(None, _, _):
            return _free(node, row)
        case Call():
            return _of_value(node, row)
        case Minus(of):
            value = evaluate(of, row)
            return None if value is None else -value
        case Binary():
            return _binary(node, row)
    raise Incorrect("this kind of expression is not supported")


def _of_value(node: Call, row: Row) -> Any:
    value = evaluate(node.of, row) if node.of is not None else None
    if node.name in {"exists", "empty"}:
        return (value is None) == (node.name == "empty")
    if node.name not in _FUNCTIONS:
        raise Incorrect(f"the function {node.name}() is not supported")
    arguments = [evaluate(argument, row) for argument in node.arguments]
    return None if value is None else _FUNCTIONS[node.name](value, *arguments)


def _substring(value: str, start: int, length: int | None = None) -> str | None:
    return value[start : None if length is None else start + length] or None


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not value,
    "startsWith": lambda value, prefix: value.startswith(prefix),
    "contains": lambda value, part: part in value,
    "substring": _substring,
    "lower": lambda value: value.lower(),
    "toString": lambda value: str(value).lower() if isinstance(value, bool) else str(value),
    "toDecimal": float,
    "toInteger": int,
}


def _free(node: Call, row: Row) -> Any:
    if node.name == "iif":
        if evaluate(node.arguments[0], row) is True:
            return evaluate(node.arguments[1], row)
        return evaluate(node.arguments[2], row) if len(node.arguments) > 2 else None
    arguments = [evaluate(argument, row) for argument in node.arguments]
    if None in arguments:
        return None
    match node.name:
        case "age":
            return age(*arguments)
        case "days":
            return (arguments[1] - arguments[0]).days
        case "band":
            return band_names(arguments[1:])[bisect_right(arguments[1:], arguments[0])]
    raise Incorrect(f"the function {node.name}() is not supported")


def _binary(node: Binary, row: Row) -> Any:
    left = evaluate(node.left, row)
    if isinstance(node.right, Span):
        number = node.right.number if node.operator == "+" else -node.right.number
        return None if left is None else shift(left, number, node.right.unit)
    right = evaluate(node.right, row)
    if node.operator == "|":
        return [*_listed(left), *_listed(right)]
    if node.operator == "in":
        return None if left is None else left in _listed(right)
    if node.operator in {"and", "or", "xor", "implies"}:
        return _logic(node.operator, left, right)
    return None if left is None or right is None else _OPERATORS[node.operator](left, right)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _logic(operator: str, left: bool | None, right: bool | None) -> bool | None:
    match operator:
        case "and":
            return False if left is False or right is False else None if None in (left, right) else True
        case "or":
            return True if left is True or right is True else None if None in (left, right) else False
        case "xor":
            return None if left is None or right is None else left != right
    return _logic("or", None if left is None else not left, right)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
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
