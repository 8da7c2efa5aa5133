"""FHIRPath's functions in the typed form, and those of SQL on FHIR: getResourceKey, getReferenceKey, join of nothing as ''.

Rule source: FHIRPath N1 and 3.0, Functions; SQL on FHIR v2, required and experimental functions. A function that is not here has
no form in SQL and says so; views with it can be evaluated row by row (`oracle`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.functions import FUNCTIONS as KNOWN
from healthbrain.fhir.fhirpath.functions.patterns import compiled
from healthbrain.fhir.fhirpath.syntax import Call, Member, Node
from healthbrain.lake.sof import temporal
from healthbrain.lake.sof.ir import (
    EMPTY,
    FALSE,
    NULL,
    TRUE,
    Const,
    Each,
    Get,
    Keep,
    Let,
    Sql,
    Value,
    Var,
    boolean,
    decimal,
    integer,
    op,
    text,
)
from healthbrain.lake.sof.operators import (
    as_list,
    combined,
    distinct,
    one_type,
    operand,
    significant,
    united,
)

if TYPE_CHECKING:
    from healthbrain.lake.sof.paths import Resolver, Scope

Apply = Callable[[Sql], Sql]
Function = Callable[["Resolver", Value, Call, "Scope"], Value]

_FUNCTIONS: dict[str, tuple[Function, int, int]] = {}
_TYPED = ("ofType", "as", "is", "getReferenceKey")


def call(resolver: Resolver, node: Call, scope: Scope) -> Value:
    """What a function yields."""
    known = _FUNCTIONS.get(node.name)
    if known is None:
        if node.name in KNOWN or node.name == "sort":
            raise resolver.unsupported(f"the function {node.name}()", node)
        raise resolver.wrong(f"there is no function {node.name}()", node)
    function, least, most = known
    if not least <= len(node.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise resolver.wrong(f"{node.name}() takes {wanted} arguments, not {len(node.arguments)}", node)
    base = scope.this if node.base is None else resolver.of(node.base, scope)
    return function(resolver, base, node, scope)


def function(name: str, least: int = 0, most: int | None = None) -> Callable[[Function], Function]:
    """Declare a function with its number of arguments."""

    def declare(implementation: Function) -> Function:
        _FUNCTIONS[name] = (implementation, least, least if most is None else most)
        return implementation

    return declare


def argument(resolver: Resolver, node: Call, scope: Scope, place: int = 0) -> Value:
    """An argument that is evaluated where the function stands, as one item."""
    return operand(resolver, resolver.of(node.arguments[place], scope), f"{node.name}()", node)


# -- existence


@function("exists", 0, 1)
def _exists(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    found = resolver.where(base, node.arguments[0], scope) if node.arguments else base
    if node.arguments and not found.choices and not found.many and not found.nothing:
        test = resolver.condition(
            resolver.of(node.arguments[0], scope.inside(base, Const(0))), "the criteria of exists()"
        )
        there = TRUE if base.known is not None else op("is_not_null", base.sql)
        return boolean(op("and", there, op("coalesce", test, FALSE)))
    return resolver.exists(found)


@function("empty")
def _empty(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return boolean(op("not", resolver.exists(base).sql))


@function("not")
def _not(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return boolean(op("not", resolver.condition(base, "not()")))


@function("count")
def _count(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    base = resolver.merged(base)
    if base.choices:
        found = [_count(resolver, one, node, scope).sql for one in base.choices]
        total = found[0]
        for one in found[1:]:
            total = op("add", total, one)
        return integer(total)
    if base.many:
        return integer(op("length_of_list", base.sql))
    return integer(op("choose", resolver.exists(base).sql, Const(1), Const(0)))


@function("hasValue")
def _has_value(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    base = resolver.merged(base)
    if base.choices and base.many:
        raise resolver.unsupported("hasValue() of an element of several types", node)
    if base.choices:
        primitives = [one for one in base.choices if one.kind != "parts"]
        return resolver.exists(replace(base, choices=tuple(primitives))) if primitives else boolean(FALSE)
    if base.nothing or base.kind in ("parts", "quantity"):
        return boolean(FALSE)
    if not base.many:
        return resolver.exists(base)
    items = resolver.fresh()
    one = op("and", op("equal", op("length_of_list", items), Const(1)), op("is_not_null", op("first", items)))
    return boolean(Let(items.name, base.sql, one))


@function("getValue")
def _get_value(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    found = operand(resolver, base, "getValue()", node)
    if found.kind in ("parts", "quantity", "nothing"):
        return EMPTY
    return found


@function("all", 1)
def _all(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    if base.nothing:
        return boolean(TRUE)
    base = one_type(resolver, base, node)
    item, index = resolver.fresh(), resolver.fresh()
    inside = scope.inside(resolver.item(base, item), index)
    test = resolver.condition(resolver.of(node.arguments[0], inside), "the criteria of all()")
    failing = Keep(as_list(base), item.name, op("not", op("coalesce", test, FALSE)), index.name)
    return boolean(op("not", op("not_empty", failing)))


def _of_booleans(name: str, wanted: bool, answer: bool) -> None:
    """Declare allTrue and the like: whether any item is `wanted` decides, else `answer`."""

    @function(name)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        base = one_type(resolver, base, node)
        if base.nothing:
            return boolean(Const(answer))
        if base.kind != "boolean":
            raise resolver.wrong(f"{name}() takes Booleans only", node)
        found = op("list_contains", as_list(base), Const(wanted))
        return boolean(op("not", found) if answer else found)


_of_booleans("allTrue", wanted=False, answer=True)
_of_booleans("anyTrue", wanted=True, answer=False)
_of_booleans("allFalse", wanted=True, answer=True)
_of_booleans("anyFalse", wanted=False, answer=False)


# -- subsets


@function("where", 1)
def _where(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.where(base, node.arguments[0], scope)


@function("first")
def _first(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.at(base, Const(0), node)


@function("last")
def _last(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    if base.choices and base.many:
        raise resolver.unsupported("the order of items of several types", node)
    return base.also(op("last", base.sql), many=False) if base.many else base


@function("single")
def _single(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.single(base, "single()")


def _part(name: str, operation: str, arguments: int) -> None:
    @function(name, arguments)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        number = argument(resolver, node, scope) if arguments else integer(Const(1))
        if base.nothing or number.nothing:
            return EMPTY
        if number.kind != "integer":
            raise resolver.wrong(f"{name}() takes an Integer", node)
        base = one_type(resolver, base, node)
        items = resolver.fresh()
        return base.also(Let(items.name, as_list(base), op(operation, items, number.sql)), many=True)


_part("tail", "list_skip", 0)
_part("skip", "list_skip", 1)
_part("take", "list_take", 1)


@function("ofType", 1)
def _of_type(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.of_type(base, _type_name(resolver, node), node)


@function("as", 1)
def _as(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.cast(base, _type_name(resolver, node), node)


@function("is", 1)
def _is(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.is_of(base, _type_name(resolver, node), node)


def _type_name(resolver: Resolver, node: Call) -> tuple[str, ...]:
    match node.arguments:
        case (Member(None, name),):
            return (name,)
        case (Member(Member(None, namespace), name),):
            return (namespace, name)
    raise resolver.wrong(f"{node.name}() takes the name of a type", node)


# -- projections and sets


@function("select", 1)
def _select(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    if base.nothing:
        return EMPTY
    base = one_type(resolver, base, node)
    if not base.many:
        found = resolver.of(node.arguments[0], scope.inside(base, Const(0)))
        if found.nothing or found.choices:
            return found
        there = TRUE if base.known is not None else op("is_not_null", base.sql)
        return found.also(op("when", there, found.sql))
    item, index = resolver.fresh(), resolver.fresh()
    found = resolver.of(node.arguments[0], scope.inside(resolver.item(base, item), index))
    if found.nothing:
        return EMPTY
    found = one_type(resolver, found, node)
    return replace(found, sql=_gathered(resolver, base.sql, item, index, found), many=True, parent=None, known=None)


def _gathered(resolver: Resolver, items: Sql, item: Var, index: Var, found: Value) -> Sql:
    each = Each(items, item.name, found.sql, index.name)
    if found.many:
        return op("flatten", each)
    left = resolver.fresh()
    return Keep(each, left.name, op("is_not_null", left))


@function("union", 1)
def _union(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return united(resolver, base, resolver.of(node.arguments[0], scope), node)


@function("combine", 1, 2)
def _combine(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return combined(resolver, base, resolver.of(node.arguments[0], scope), node)


@function("distinct")
def _distinct(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return distinct(resolver, base, node)


@function("isDistinct")
def _is_distinct(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    base = one_type(resolver, base, node)
    if base.nothing or not base.many:
        return boolean(TRUE)
    kept = distinct(resolver, base, node)
    return boolean(op("equal", op("length_of_list", kept.sql), op("length_of_list", base.sql)))


def _of_sets(name: str, build: Callable[[Resolver, Value, Value, Call], Value]) -> None:
    @function(name, 1)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        other = resolver.of(node.arguments[0], scope)
        base, other = one_type(resolver, base, node), one_type(resolver, other, node)
        kinds = {side.kind for side in (base, other) if not side.nothing}
        if len(kinds) > 1 or kinds - {"text", "integer", "boolean", "decimal"}:
            raise resolver.unsupported(f"{name}() of such items", node)
        return build(resolver, base, other, node)


def _kept(resolver: Resolver, base: Value, other: Value, *, there: bool) -> Sql:
    item = resolver.fresh()
    held = op("list_contains", as_list(other), item)
    return Keep(as_list(base), item.name, held if there else op("not", held))


def _intersect(resolver: Resolver, base: Value, other: Value, node: Call) -> Value:
    if base.nothing or other.nothing:
        return EMPTY
    return distinct(resolver, base.also(_kept(resolver, base, other, there=True), many=True), node)


def _exclude(resolver: Resolver, base: Value, other: Value, node: Call) -> Value:
    if base.nothing or other.nothing:
        return base
    return base.also(_kept(resolver, base, other, there=False), many=True)


def _subset_of(resolver: Resolver, base: Value, other: Value, node: Call) -> Value:
    if base.nothing:
        return boolean(TRUE)
    left = as_list(base) if other.nothing else _kept(resolver, base, other, there=False)
    return boolean(op("not", op("not_empty", left)))


_of_sets("intersect", _intersect)
_of_sets("exclude", _exclude)
_of_sets("subsetOf", _subset_of)
_of_sets("supersetOf", lambda resolver, base, other, node: _subset_of(resolver, other, base, node))


def _total(name: str, operation: str) -> None:
    @function(name)
    def _call(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
        base = one_type(resolver, base, node)
        if base.nothing:
            return EMPTY
        if base.kind not in ("integer", "decimal"):
            raise resolver.unsupported(f"{name}() of anything but numbers", node)
        if not base.many and name != "avg":
            return base
        found = op(operation, as_list(base))
        if base.kind == "integer" and name != "avg":
            return integer(found)
        return decimal(significant(found))


for _name in ("sum", "min", "max", "avg"):
    _total(_name, f"list_{_name}")


# -- choices


@function("iif", 2, 3)
def _iif(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    inside = scope if node.base is None else scope.inside(resolver.single(base, "iif()"))
    test = resolver.condition(resolver.of(node.arguments[0], inside), "the criterion of iif()")
    yes = resolver.of(node.arguments[1], inside)
    no = resolver.of(node.arguments[2], inside) if len(node.arguments) > 2 else EMPTY
    return _either(resolver, yes, no, lambda one, other: op("choose", test, one, other), node)


@function("coalesce", 1, 20)
def _coalesce(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    inside = scope if node.base is None else scope.inside(resolver.single(base, "coalesce()"))
    found = resolver.of(node.arguments[-1], inside)
    for place in reversed(node.arguments[:-1]):
        one = resolver.of(place, inside)
        there = resolver.exists(one).sql
        found = _either(resolver, one, found, lambda a, b, there=there: op("choose", there, a, b), node)  # type: ignore[misc]  # a default binds the loop's value
    return found


def _either(resolver: Resolver, one: Value, other: Value, choose: Callable[[Sql, Sql], Sql], node: Call) -> Value:
    """One of two results, which have to be of one kind."""
    one, other = one_type(resolver, one, node), one_type(resolver, other, node)
    if one.nothing or other.nothing:
        known = other if one.nothing else one
        return known.also(choose(NULL, known.sql) if one.nothing else choose(known.sql, NULL))
    if one.kind != other.kind:
        if {one.kind, other.kind} != {"integer", "decimal"} or one.many or other.many:
            raise resolver.unsupported(f"{node.name}() with results of several types", node)
        sides = [decimal(op("to_decimal", side.sql)) if side.kind == "integer" else side for side in (one, other)]
        return decimal(choose(sides[0].sql, sides[1].sql))
    if one.kind in ("parts", "quantity") and one.need is not other.need:
        raise resolver.unsupported(f"{node.name}() with elements from two places", node)
    many = one.many or other.many
    sql = choose(as_list(one), as_list(other)) if many else choose(one.sql, other.sql)
    return one.also(sql, many=many)


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
    type_ = _type_name(resolver, node)[-1] if node.arguments else ""
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
