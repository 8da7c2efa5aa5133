"""Expressions as DuckDB SQL over the columns of a flat table.

A value is an SQL text with what is known of its type. No value is SQL's NULL, and the three-valued logic is SQL's.
`expression_rows` evaluates the same trees one row at a time; tests hold the two against each other.

Functions: `age(birth, at)` in completed years, `days(from, to)`, `iif(test, yes, no)`, `band(number, 15, 60)`, which class a
number is in: '0-14', '15-59', '60+'; and behind a value exists, empty, not, substring, startsWith, contains, lower, toString,
toInteger, toDecimal. Lists are written ('a' | 'b') or come from constants, and stand behind `in`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal as OneOf

from healthbrain.errors import Incorrect
from healthbrain.lake.engine import literal
from healthbrain.lake.expression import Binary, Call, Literal, Minus, Name, Node, Span, Variable

Kind = OneOf["text", "integer", "decimal", "boolean", "date", "instant"]

_TYPES: dict[Kind, str] = {"text": "varchar", "integer": "bigint", "decimal": "double", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class Value:
    """An SQL expression and what it yields; `many` = a list of texts."""

    sql: str
    kind: Kind
    many: bool = False


Constant = str | int | float | bool | date | tuple[str, ...] | Value | None  # a Value: what a name stands for in SQL


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean: the columns and the constants."""

    names: Mapping[str, Value]
    constants: Mapping[str, Constant]


def compile_expression(node: Node, scope: Scope) -> Value:
    """The SQL of an expression. Raises Incorrect for what cannot be expressed."""
    match node:
        case Literal(value):
            return constant(value)
        case Variable(key):
            if key not in scope.constants:
                raise Incorrect(f"%{key} is not defined")
            return constant(scope.constants[key])
        case Span():
            raise Incorrect("a length of time stands only beside + or -")
        case Name(key):
            if key not in scope.names:
                raise Incorrect(f"there is no column '{key}' here; known are {', '.join(sorted(scope.names))}")
            return scope.names[key]
        case Call(None, _, _):
            return _free(node, scope)
        case Call():
            return _of_value(node, scope)
        case Minus(of):
            number = _single(compile_expression(of, scope))
            return replace(number, sql=f"(-{number.sql})")
        case Binary():
            return _binary(node, scope)
    raise Incorrect("this kind of expression is not supported")


def cast(value: Value, wanted: Kind) -> Value:
    """A value as text, a number or a truth value; one that cannot be that is no value."""
    value = _single(value)
    if value.kind == wanted:
        return value
    return Value(_text(value) if wanted == "text" else f"try_cast({_text(value)} as {_TYPES[wanted]})", wanted)


def constant(value: Constant) -> Value:
    """A Python value as SQL."""
    match value:
        case Value():
            return value
        case None:
            return Value("NULL", "text")
        case bool():
            return Value("true" if value else "false", "boolean")
        case int():
            return Value(str(value), "integer")
        case float():
            return Value(f"cast({value!r} as double)", "decimal")
        case date():
            return Value(f"date '{value.isoformat()}'", "date")
        case tuple():
            return Value("[" + ", ".join(literal(item) for item in value) + "]", "text", many=True)
    return Value(literal(value), "text")


def _list(value: Value) -> Value:
    if value.many:
        return value
    return replace(value, sql=f"list_filter([{value.sql}], lambda x: x is not null)", many=True)


def _single(value: Value) -> Value:
    if value.many:
        raise Incorrect("a single value is needed here; a list stands only behind `in`")
    return value


def _text(value: Value) -> str:
    return value.sql if value.kind == "text" else f"cast({value.sql} as varchar)"


# -- functions


def _of_value(node: Call, scope: Scope) -> Value:
    if node.of is None:
        raise Incorrect(f"the function {node.name}() stands behind a value")
    value = _single(compile_expression(node.of, scope))
    arguments = [_single(compile_expression(argument, scope)) for argument in node.arguments]
    match node.name, arguments:
        case "exists", []:
            return Value(f"({value.sql} is not null)", "boolean")
        case "empty", []:
            return Value(f"(not ({value.sql} is not null))", "boolean")
        case "not", []:
            return Value(f"(not {value.sql})", "boolean")
        case "toString", []:
            return cast(value, "text")
        case "toDecimal", []:
            return cast(value, "decimal")
        case "toInteger", []:
            return cast(value, "integer")
        case "lower", []:
            return Value(f"lower({_text(value)})", "text")
        case "startsWith", [prefix]:
            return Value(f"starts_with({_text(value)}, {_text(prefix)})", "boolean")
        case "contains", [part]:
            return Value(f"contains({_text(value)}, {_text(part)})", "boolean")
        case "substring", [start]:
            return Value(f"nullif(substring({_text(value)}, {start.sql} + 1), '')", "text")
        case "substring", [start, length]:
            return Value(f"nullif(substring({_text(value)}, {start.sql} + 1, {length.sql}), '')", "text")
    raise Incorrect(f"the function {node.name}() is not supported with {len(arguments)} arguments behind a value")


def _free(node: Call, scope: Scope) -> Value:
    arguments = [compile_expression(argument, scope) for argument in node.arguments]
    match node.name, arguments:
        case "iif", [test, yes]:
            return replace(yes, sql=f"case when {test.sql} then {yes.sql} end")
        case "iif", [test, yes, no]:
            kind: Kind = "decimal" if "decimal" in {yes.kind, no.kind} else yes.kind
            return Value(f"case when {test.sql} then {yes.sql} else {no.sql} end", kind, yes.many)
        case "age", [birth, at]:
            return Value(f"hb_age({birth.sql}, {at.sql})", "integer")
        case "days", [start, end]:
            return Value(f"date_diff('day', {start.sql}, {end.sql})", "integer")
        case "band", [number, *_] if len(arguments) > 1:
            return Value(_band(number.sql, bounds_of(node.arguments[1:])), "text")
    raise Incorrect(f"the function {node.name}() is not supported with {len(arguments)} arguments")


def bounds_of(arguments: Sequence[Node]) -> list[int]:
    """The bounds of `band`, which are written numbers in rising order."""
    bounds = [one.value for one in arguments if isinstance(one, Literal) and type(one.value) is int]
    if len(bounds) != len(arguments) or bounds != sorted(set(bounds)) or bounds[0] <= 0:
        raise Incorrect("band() wants whole numbers above 0 in rising order after its first argument")
    return bounds


def band_names(bounds: Sequence[int]) -> list[str]:
    """The classes between the bounds: below the first, between each two, from the last on."""
    pairs = zip([0, *bounds], bounds, strict=False)
    return [*(str(low) if high == low + 1 else f"{low}-{high - 1}" for low, high in pairs), f"{bounds[-1]}+"]


def _band(number: str, bounds: Sequence[int]) -> str:
    names = band_names(bounds)
    tests = " ".join(
        f"when {number} < {bound} then {literal(label)}" for bound, label in zip(bounds, names, strict=False)
    )
    return f"case {tests} when {number} >= {bounds[-1]} then {literal(names[-1])} end"


# -- operators


def _binary(node: Binary, scope: Scope) -> Value:
    if isinstance(node.right, Span):
        return _shifted(node.operator, compile_expression(node.left, scope), node.right)
    left, right = compile_expression(node.left, scope), compile_expression(node.right, scope)
    match node.operator:
        case "and" | "or":
            return Value(f"({_single(left).sql} {node.operator} {_single(right).sql})", "boolean")
        case "xor":
            return Value(f"({_single(left).sql} <> {_single(right).sql})", "boolean")
        case "implies":
            return Value(f"(not {_single(left).sql} or {_single(right).sql})", "boolean")
        case "|":
            both = f"list_concat({_list(left).sql}, {_list(right).sql})"
            return Value(both, left.kind if left.sql != "NULL" else right.kind, many=True)
        case "in":
            found = f"coalesce(list_contains({_list(right).sql}, {_single(left).sql}), false)"
            return Value(f"case when {left.sql} is not null then {found} end", "boolean")
        case "=" | "!=" | "<" | ">" | "<=" | ">=":
            return _compared(node.operator, _single(left), _single(right))
    kind: Kind = "decimal" if "decimal" in {left.kind, right.kind} or node.operator == "/" else left.kind
    operator = "||" if node.operator == "+" and kind == "text" else node.operator
    return Value(f"({_single(left).sql} {operator} {_single(right).sql})", kind)


def _compared(operator: str, left: Value, right: Value) -> Value:
    numbers = {"integer", "decimal"}
    if left.kind != right.kind and not {left.kind, right.kind} <= numbers and "NULL" not in {left.sql, right.sql}:
        raise Incorrect(f"a {left.kind} cannot be compared with a {right.kind}")
    return Value(f"({left.sql} {operator} {right.sql})", "boolean")


def _shifted(operator: str, moment: Value, span: Span) -> Value:
    if moment.kind not in {"date", "instant"} or operator not in {"+", "-"}:
        raise Incorrect("a length of time is added to or taken from a date")
    moved = f"{_single(moment).sql} {operator} interval {span.number} {span.unit}"
    return Value(f"cast({moved} as date)" if moment.kind == "date" else f"({moved})", moment.kind)
