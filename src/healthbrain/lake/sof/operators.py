"""FHIRPath's operators in the typed form: logic, equality, order, arithmetic, sets. Rule source: FHIRPath N1, Operations.

Three-valued logic is SQL's own. Operands are collections: `=` of several items with one is false, other operators fail
there. Numbers of the lake are doubles; results are cut to 15 digits, so that 1.1 + 2.2 is 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from healthbrain.fhir.fhirpath.syntax import Binary, Literal, Node, Sign
from healthbrain.lake.sof import temporal
from healthbrain.lake.sof.ir import (
    EMPTY,
    FALSE,
    NULL,
    Const,
    Kind,
    Let,
    Op,
    Sql,
    Value,
    boolean,
    decimal,
    integer,
    op,
    text,
)

if TYPE_CHECKING:
    from healthbrain.lake.sof.paths import Resolver, Scope

_NUMBERS = frozenset(("integer", "decimal"))
_TEMPORAL = frozenset(("date", "datetime", "time"))
_ORDER = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply"}


def binary(resolver: Resolver, node: Binary, scope: Scope) -> Value:
    """What an operator yields."""
    operator = node.operator
    if operator in ("and", "or", "xor", "implies"):
        left, right = (resolver.condition(resolver.of(side, scope), operator) for side in (node.left, node.right))
        return boolean(op(operator, left, right))
    left_, right_ = resolver.of(node.left, scope), resolver.of(node.right, scope)
    if operator == "|":
        return united(resolver, left_, right_, node)
    if operator in ("in", "contains"):
        return _member(resolver, *((left_, right_) if operator == "in" else (right_, left_)), node)
    if operator in ("=", "!="):
        found = equal(resolver, left_, right_, node)
        return found if operator == "=" else boolean(op("not", found.sql))
    if operator in ("~", "!~"):
        raise resolver.unsupported(f"the operator {operator}", node)
    left_, right_ = (operand(resolver, side, operator, node) for side in (left_, right_))
    if operator in _ORDER:
        return _ordered(resolver, operator, left_, right_, node)
    if operator == "&":
        parts = [_text(resolver, side, node) for side in (left_, right_)]
        return text(op("concat", *(op("coalesce", part, Const("")) for part in parts)))
    if left_.nothing or right_.nothing:
        return EMPTY
    return _calculated(resolver, operator, left_, right_, node)


def sign(resolver: Resolver, node: Sign, scope: Scope) -> Value:
    """A number with its sign."""
    found = operand(resolver, resolver.of(node.operand, scope), "a sign", node)
    if found.nothing:
        return EMPTY
    if found.kind not in _NUMBERS:
        raise resolver.unsupported("the sign of anything but a number", node)
    if node.sign == "+":
        return found
    if isinstance(found.sql, Const) and isinstance(found.sql.value, (int, Decimal)):
        return replace(found, sql=Const(-found.sql.value), known=-found.sql.value)
    return _number(op("negative", found.sql), found.kind)


def operand(resolver: Resolver, value: Value, what: str, node: Node) -> Value:
    """The one item that an operator takes, of one type."""
    return one_type(resolver, resolver.single(value, what), node)


def one_type(resolver: Resolver, value: Value, node: Node) -> Value:
    """The value when it has a single type; several are told apart by ofType()."""
    value = resolver.merged(value)
    if value.choices:
        raise resolver.unsupported("an element of several types without ofType()", node)
    return value


def _text(resolver: Resolver, value: Value, node: Node) -> Sql:
    if value.nothing:
        return NULL
    if value.kind not in ("text", "date", "datetime", "time"):
        raise resolver.wrong("a String is needed here; use toString()", node)
    return value.sql


# -- equality and order


def equal(resolver: Resolver, left: Value, right: Value, node: Node) -> Value:
    """`=` of two collections."""
    if left.nothing or right.nothing:
        return boolean(NULL)
    left, right = one_type(resolver, left, node), one_type(resolver, right, node)
    if not left.many and not right.many:
        return boolean(equal_items(resolver, left, right, node))
    if left.many and right.many:
        return _equal_lists(resolver, left, right, node)
    list_, one = (left, right) if left.many else (right, left)
    items = resolver.fresh()
    same = equal_items(resolver, list_.also(op("first", items), many=False), one, node)
    there = op("is_not_null", one.sql) if one.known is None else Const(True)
    return boolean(Let(items.name, list_.sql, op("when", there, op("if_one", items, same))))


def _equal_lists(resolver: Resolver, left: Value, right: Value, node: Node) -> Value:
    if left.kind != right.kind or left.kind not in ("text", "integer", "boolean", "decimal"):
        raise resolver.unsupported("the equality of collections of such items", node)
    one, other = resolver.fresh(), resolver.fresh()
    both = op("and", op("not_empty", one), op("not_empty", other))
    return boolean(Let(one.name, left.sql, Let(other.name, right.sql, op("when", both, op("equal", one, other)))))


def equal_items(resolver: Resolver, left: Value, right: Value, node: Node) -> Sql:
    """Whether two single items are equal; null when either is empty or it cannot be decided."""
    kinds = {left.kind, right.kind}
    if len(kinds) == 1 and left.kind in ("text", "boolean", "integer", "decimal"):
        return op("equal", left.sql, right.sql)
    if kinds <= _NUMBERS:
        return op("equal", *(_as_decimal(side) for side in (left, right)))
    if kinds <= _TEMPORAL and ("time" not in kinds or len(kinds) == 1):
        return op("equal", temporal.order(resolver, left, right, node), Const(0))
    if "parts" in kinds or "quantity" in kinds:
        raise resolver.unsupported("the equality of elements with parts", node)
    resolver.notices.append(f"`{resolver.text}`: a {left.kind} is never equal to a {right.kind}")
    there = [op("is_not_null", side.sql) for side in (left, right) if side.known is None]
    return op("when", op("and", *there) if len(there) == 2 else there[0] if there else Const(True), FALSE)


def _ordered(resolver: Resolver, operator: str, left: Value, right: Value, node: Node) -> Value:
    if left.nothing or right.nothing:
        return boolean(NULL)
    kinds = {left.kind, right.kind}
    if kinds == {"text"}:
        return boolean(op(_ORDER[operator], left.sql, right.sql))
    if kinds <= _NUMBERS:
        return boolean(op(_ORDER[operator], *_alike(left, right)))
    if kinds <= _TEMPORAL and ("time" not in kinds or len(kinds) == 1):
        return boolean(op(_ORDER[operator], temporal.order(resolver, left, right, node), Const(0)))
    if "quantity" in kinds or {left.type, right.type} & {"Quantity", "Age", "Duration", "SimpleQuantity"}:
        raise resolver.unsupported("the order of quantities with units", node)
    raise resolver.wrong(f"a {left.kind} and a {right.kind} have no order", node)


def _member(resolver: Resolver, item: Value, list_: Value, node: Node) -> Value:
    if item.nothing:
        return boolean(NULL)
    one = operand(resolver, item, "in", node)
    if list_.nothing:
        return boolean(op("when", op("is_not_null", one.sql), FALSE))
    list_ = one_type(resolver, list_, node)
    if one.kind in _NUMBERS and list_.kind in _NUMBERS and one.kind != list_.kind and not list_.many:
        one, list_ = (replace(side, sql=_as_decimal(side), type="System.Decimal") for side in (one, list_))
    if one.kind != list_.kind or one.kind not in ("text", "integer", "boolean", "decimal"):
        raise resolver.unsupported(f"a {one.kind} among values of {list_.kind}", node)
    constants = _constants(list_.sql)
    if constants is not None:
        return boolean(op("one_of", one.sql, *constants))
    if not list_.many:
        same = op("coalesce", op("equal", one.sql, list_.sql), FALSE)
        return boolean(op("when", op("is_not_null", one.sql), same))
    return boolean(op("when", op("is_not_null", one.sql), op("list_contains", list_.sql, one.sql)))


def _constants(sql: Sql) -> tuple[Sql, ...] | None:
    if isinstance(sql, Op) and sql.name == "list" and all(isinstance(one, Const) for one in sql.args):
        return sql.args
    return None


# -- sets


def united(resolver: Resolver, left: Value, right: Value, node: Node) -> Value:
    """`|`: the items of both without duplicates."""
    if left.nothing and right.nothing:
        return EMPTY
    if right.nothing or left.nothing:
        return distinct(resolver, right if left.nothing else left, node)
    both = combined(resolver, left, right, node)
    if isinstance(both.sql, Op) and both.sql.name == "list":
        return replace(both, sql=op("list", *dict.fromkeys(both.sql.args)))
    return distinct(resolver, both, node)


def combined(resolver: Resolver, left: Value, right: Value, node: Node) -> Value:
    """The items of both, one after the other."""
    if left.nothing or right.nothing:
        return right if left.nothing else left
    left, right = one_type(resolver, left, node), one_type(resolver, right, node)
    if {left.kind, right.kind} == _NUMBERS and not left.many and not right.many:
        left, right = (replace(side, sql=_as_decimal(side), type="System.Decimal") for side in (left, right))
    if left.kind != right.kind or left.kind in ("parts", "quantity"):
        raise resolver.unsupported("a union of elements with parts, or of values of several types,", node)
    type_ = left.type if left.type == right.type else system_type(left.kind)
    sides = [_flat(side) for side in (left, right)]
    if all(isinstance(one, Const) for side in sides if side is not None for one in side) and None not in sides:
        return Value(op("list", *(one for side in sides if side for one in side)), type_, many=True)
    return Value(op("list_concat", *(as_list(side) for side in (left, right))), type_, many=True)


def _flat(value: Value) -> tuple[Sql, ...] | None:
    if value.known is not None and isinstance(value.sql, Const):
        return (value.sql,)
    return _constants(value.sql)


def system_type(kind: Kind) -> str:
    """The System type of a kind of values."""
    return {"text": "System.String", "integer": "System.Integer", "decimal": "System.Decimal",
            "boolean": "System.Boolean", "date": "System.Date", "datetime": "System.DateTime",
            "time": "System.Time"}[kind]  # fmt: skip


def as_list(value: Value) -> Sql:
    """The items as a list."""
    return value.sql if value.many else op("list_of_present", value.sql)


def distinct(resolver: Resolver, value: Value, node: Node) -> Value:
    """The items without duplicates."""
    if value.nothing or not value.many:
        return value
    value = one_type(resolver, value, node)
    if value.kind not in ("text", "integer", "boolean", "decimal"):
        raise resolver.unsupported("finding duplicates among such items", node)
    items = resolver.fresh()
    return value.also(Let(items.name, value.sql, op("list_distinct", items)))


# -- arithmetic


def _calculated(resolver: Resolver, operator: str, left: Value, right: Value, node: Binary) -> Value:
    kinds = {left.kind, right.kind}
    if operator == "+" and kinds == {"text"}:
        return text(op("concat", left.sql, right.sql))
    if "quantity" in kinds and left.kind in _TEMPORAL and isinstance(node.right, Literal):
        return temporal.moved(resolver, left, right, operator, node)
    if not kinds <= _NUMBERS:
        if kinds & {"parts", "quantity"}:
            raise resolver.unsupported(f"{operator} of quantities", node)
        raise resolver.wrong(f"{operator} does not go with a {left.kind} and a {right.kind}", node)
    if kinds == {"integer"} and operator != "/":
        # constants alone would be of 32 bits, where the database fails instead of leaving the range
        first, second = (
            op("to_integer", side.sql) if isinstance(side.sql, Const) else side.sql for side in (left, right)
        )
        if operator in _ARITHMETIC:
            return integer(_in_range(resolver, op(_ARITHMETIC[operator], first, second)))
        name = "whole_divide" if operator == "div" else "remainder"
        return integer(op(name, first, op("null_if", second, Const(0))))
    one, other = resolver.fresh(), resolver.fresh()
    result = _OF_DECIMALS[operator](one, other)
    return decimal(Let(one.name, _as_decimal(left), Let(other.name, _as_decimal(right), result)))


def _quotient(one: Sql, other: Sql) -> Sql:
    return significant(op("divide", one, op("null_if", other, Const(Decimal("0.0")))))


_OF_DECIMALS: dict[str, Callable[[Sql, Sql], Sql]] = {
    "+": lambda one, other: op("decimal_add", one, other),
    "-": lambda one, other: op("decimal_subtract", one, other),
    "*": lambda one, other: significant(op("multiply", one, other)),
    "/": _quotient,
    "div": lambda one, other: op("truncate", _quotient(one, other)),
    "mod": lambda one, other: op(
        "decimal_subtract", one, significant(op("multiply", other, op("truncate", _quotient(one, other))))
    ),
}


def significant(sql: Sql) -> Sql:
    """A result without the noise of doubles."""
    return op("significant", sql)


def _in_range(resolver: Resolver, sql: Sql) -> Sql:
    """A result of 32 bits; beyond them it is empty."""
    found = resolver.fresh()
    return Let(found.name, sql, op("when", op("between", found, Const(-(2**31)), Const(2**31 - 1)), found))


def _number(sql: Sql, kind: Kind) -> Value:
    return integer(sql) if kind == "integer" else decimal(sql)


def _alike(left: Value, right: Value) -> tuple[Sql, Sql]:
    if left.kind == right.kind:
        return left.sql, right.sql
    return _as_decimal(left), _as_decimal(right)


def _as_decimal(value: Value) -> Sql:
    if value.kind == "decimal":
        return value.sql
    if isinstance(value.sql, Const) and isinstance(value.sql.value, int):
        return Const(Decimal(value.sql.value))
    return op("to_decimal", value.sql)
