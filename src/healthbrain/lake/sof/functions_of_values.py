"""Functions of single values, and those of FHIR: text, conversions, numbers; extension, getResourceKey, getReferenceKey, join.

Rule source: FHIRPath N1 and 3.0; SQL on FHIR v2, required functions. `join()` of nothing is '', as its suite has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.functions.patterns import compiled
from healthbrain.fhir.fhirpath.syntax import Call, Node
from healthbrain.lake.sof import temporal
from healthbrain.lake.sof.calls import argument, function, type_name
from healthbrain.lake.sof.ir import (
    EMPTY,
    FALSE,
    NULL,
    TRUE,
    Const,
    Get,
    Keep,
    Let,
    Sql,
    Value,
    boolean,
    decimal,
    integer,
    op,
    text,
)
from healthbrain.lake.sof.operators import (
    as_list,
    one_type,
    operand,
    significant,
)

if TYPE_CHECKING:
    from healthbrain.lake.sof.paths import Resolver, Scope


# -- FHIR


@function("extension", 1)
def _extension(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    if base.choices:
        raise resolver.unsupported("extension() of an element of several types", node)
    items, url = resolver.step(base, "extension"), argument(resolver, node, scope)
    if items.nothing or url.nothing:
        return EMPTY
    item = resolver.fresh()
    test = op("equal", resolver.step(resolver.item(items, item), "url").sql, url.sql)
    return items.also(Keep(items.sql, item.name, test))


@function("getResourceKey")
def _get_resource_key(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    one = resolver.single(base, "getResourceKey()")
    if one.nothing or one.choices or not model.is_resource(one.type):
        return EMPTY
    return resolver.step(one, "id")


@function("getReferenceKey", 0, 1)
def _get_reference_key(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    type_ = type_name(resolver, node)[-1] if node.arguments else ""
    base = resolver.merged(base)
    if base.choices:
        raise resolver.unsupported("getReferenceKey() of an element of several types", node)
    url = resolver.step(base, "reference") if base.type == "Reference" else base
    if url.nothing or url.kind != "text":
        return EMPTY

    def key(one: Sql) -> Sql:
        item = resolver.fresh()
        return Let(item.name, one, op("reference_key", item, Const(type_)))

    return Value(resolver.through(url, key, repeats=False), "System.String", url.many)


@function("trace", 1, 2)
def _trace(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return base


# -- text


def _string(resolver: Resolver, value: Value, node: Node) -> Sql:
    """A text, dates included."""
    if value.kind not in ("text", "date", "datetime", "time"):
        raise resolver.wrong("a String is needed here; use toString()", node)
    return value.sql


def _of_text(
    name: str, operation: str, least: int = 0, most: int | None = None, answer: Callable[[Sql], Value] = text
) -> None:
    """Declare a function of a text and other texts; empty when any is."""

    @function(name, least, most)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        subject = operand(resolver, base, f"{name}()", node)
        others = [argument(resolver, node, scope, place) for place in range(len(node.arguments))]
        if subject.nothing or any(other.nothing for other in others):
            return EMPTY
        return answer(op(operation, *(_string(resolver, one, node) for one in (subject, *others))))


_of_text("upper", "upper")
_of_text("lower", "lower")
_of_text("trim", "trim")
_of_text("length", "length", answer=integer)
_of_text("startsWith", "starts_with", 1, answer=boolean)
_of_text("endsWith", "ends_with", 1, answer=boolean)
_of_text("contains", "contains", 1, answer=boolean)
_of_text("indexOf", "index_of", 1, answer=integer)
_of_text("replace", "replace", 2)


@function("substring", 1, 2)
def _substring(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    subject = operand(resolver, base, "substring()", node)
    numbers = [argument(resolver, node, scope, place) for place in range(len(node.arguments))]
    if subject.nothing or numbers[0].nothing:
        return EMPTY
    if any(number.kind not in ("integer", "nothing") for number in numbers):
        raise resolver.wrong("substring() takes Integers", node)
    whole, start = resolver.fresh(), resolver.fresh()
    count: Sql = op("length", whole)
    if len(numbers) > 1 and not numbers[1].nothing:
        count = op("coalesce", op("greatest", numbers[1].sql, Const(0)), count)
    inside = op("and", op("not", op("less", start, Const(0))), op("less", start, op("length", whole)))
    part = op("when", inside, op("substring", whole, start, count))
    return text(Let(whole.name, _string(resolver, subject, node), Let(start.name, numbers[0].sql, part)))


def _pattern(resolver: Resolver, node: Call, scope: Scope) -> Sql:
    """A regular expression that the evaluator and the databases read alike."""
    known = argument(resolver, node, scope).known
    if not isinstance(known, str):
        raise resolver.unsupported(f"{node.name}() with a pattern that is not written in the path", node)
    compiled(known, "")  # refuses what cannot be read
    if any(
        sign in known for sign in ("(?", "\\b", "\\B", "\\w", "\\W", "\\p", "\\s", "\\S", "\\d", "\\D", "\\k", "\\u")
    ):
        raise resolver.unsupported(f"{node.name}() with look-around, classes or names in the pattern", node)
    return Const(known)


def _of_pattern(name: str, operation: str) -> None:
    @function(name, 1)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        subject = operand(resolver, base, f"{name}()", node)
        if subject.nothing:
            return EMPTY
        return boolean(op(operation, _string(resolver, subject, node), _pattern(resolver, node, scope)))


_of_pattern("matches", "matches")
_of_pattern("matchesFull", "matches_full")


@function("split", 1)
def _split(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    subject, between = operand(resolver, base, "split()", node), argument(resolver, node, scope)
    if subject.nothing or between.nothing:
        return EMPTY
    if not isinstance(between.known, str) or not between.known:
        raise resolver.unsupported("split() with a separator that is not written in the path", node)
    return Value(op("split", _string(resolver, subject, node), between.sql), "System.String", many=True)


@function("join", 0, 1)
def _join(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    between = argument(resolver, node, scope).sql if node.arguments else Const("")
    base = one_type(resolver, base, node)
    if base.nothing:
        return text(Const(""))
    sql = replace(base, sql=as_list(base))
    _string(resolver, sql, node)
    return text(op("join", sql.sql, op("coalesce", between, Const(""))))


# -- conversions


@function("toString")
def _to_string(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    one = operand(resolver, base, "toString()", node)
    if one.kind in ("nothing", "parts"):
        return EMPTY
    if one.kind == "decimal":
        raise resolver.unsupported("toString() of a decimal, whose digits the columns do not keep,", node)
    if one.kind == "quantity":
        raise resolver.unsupported("toString() of a quantity", node)
    return text(one.sql if one.kind not in ("boolean", "integer") else op("to_text", one.sql))


def _conversion(name: str, build: Callable[[Resolver, Value, Call], Value]) -> None:
    """Declare toX() and convertsToX()."""

    @function(f"to{name}")
    def _to(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        one = operand(resolver, base, f"to{name}()", node)
        return EMPTY if one.nothing else build(resolver, one, node)

    @function(f"convertsTo{name}")
    def _converts(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        one = operand(resolver, base, f"convertsTo{name}()", node)
        if one.nothing:
            return boolean(NULL)
        there = resolver.exists(one).sql
        return boolean(op("when", there, resolver.exists(replace(build(resolver, one, node), known=None)).sql))


def _to_integer(resolver: Resolver, one: Value, node: Call) -> Value:
    if one.kind == "integer":
        return one
    if one.kind == "boolean":
        return integer(op("to_integer", one.sql))
    if one.kind == "text":
        return integer(op("text_to_integer", one.sql))
    return EMPTY


def _to_decimal(resolver: Resolver, one: Value, node: Call) -> Value:
    if one.kind == "decimal":
        return one
    if one.kind in ("integer", "boolean"):
        return decimal(op("to_decimal", one.sql))
    return decimal(op("text_to_decimal", one.sql)) if one.kind == "text" else EMPTY


def _to_boolean(resolver: Resolver, one: Value, node: Call) -> Value:
    if one.kind == "boolean":
        return one
    if one.kind in ("integer", "decimal"):
        yes, no = (op("equal", one.sql, Const(number)) for number in (1, 0))
        return boolean(op("choose", yes, TRUE, op("when", no, FALSE)))
    return boolean(op("text_to_boolean", one.sql)) if one.kind == "text" else EMPTY


_conversion("Integer", _to_integer)
_conversion("Decimal", _to_decimal)
_conversion("Boolean", _to_boolean)


@function("toDate")
def _to_date(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    one = operand(resolver, base, "toDate()", node)
    if one.kind == "date":
        return replace(one, type="System.Date", need=None, parent=None)
    if one.kind == "datetime":
        return Value(op("left", one.sql, Const(10)), "System.Date")
    if one.nothing:
        return EMPTY
    raise resolver.unsupported(f"toDate() of a {one.kind}", node)


# -- numbers


def _of_number(name: str, operation: str, *, whole: bool) -> None:
    @function(name)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        one = operand(resolver, base, f"{name}()", node)
        if one.nothing:
            return EMPTY
        if one.kind not in ("integer", "decimal"):
            raise resolver.unsupported(f"{name}() of anything but a number", node)
        if one.kind == "integer" and (whole or name == "abs"):
            return one if whole else integer(op("absolute", one.sql))
        value = op("to_decimal", one.sql) if one.kind == "integer" else one.sql
        found = op(operation, value)
        return integer(op("to_integer", found)) if whole else decimal(found)


_of_number("abs", "absolute", whole=False)
_of_number("ceiling", "ceiling", whole=True)
_of_number("floor", "floor", whole=True)
_of_number("truncate", "truncate", whole=True)


@function("round", 0, 1)
def _round(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    one = operand(resolver, base, "round()", node)
    digits = argument(resolver, node, scope) if node.arguments else integer(Const(0))
    if one.nothing or digits.nothing:
        return EMPTY
    if one.kind not in ("integer", "decimal") or not isinstance(digits.sql, Const):
        raise resolver.unsupported(
            "round() of anything but a number, or to digits that are not written in the path,", node
        )
    value = op("to_decimal", one.sql) if one.kind == "integer" else one.sql
    return decimal(op("round_half_up", value, digits.sql))


@function("sqrt")
def _sqrt(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    one = operand(resolver, base, "sqrt()", node)
    if one.nothing:
        return EMPTY
    if one.kind not in ("integer", "decimal"):
        raise resolver.unsupported("sqrt() of anything but a number", node)
    value = op("to_decimal", one.sql)
    return decimal(significant(op("square_root", op("when", op("not", op("less", value, Const(0))), value))))


def _bound(name: str) -> None:
    @function(name)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        one = operand(resolver, base, f"{name}()", node)
        if one.nothing:
            return EMPTY
        if one.kind in ("date", "datetime", "time"):
            return temporal.boundary(resolver, one, name, node)
        if one.kind == "decimal" and one.need is not None and isinstance(one.sql, Get):
            one.need.digits = True
            item = resolver.fresh()
            high = "high" if name == "highBoundary" else "low"
            return decimal(Let(item.name, op("digits_of", one.sql), op(f"{high}_decimal", item)))
        raise resolver.unsupported(f"{name}() of a {one.kind} that is calculated", node)


_bound("lowBoundary")
_bound("highBoundary")
