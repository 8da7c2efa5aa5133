"""Functions of collections: existence, subsets, projections, sets, choices. Rule source: FHIRPath N1, the chapters of these names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from healthbrain.fhir.fhirpath.syntax import Call
from healthbrain.lake.sof.calls import argument, function, type_name
from healthbrain.lake.sof.ir import (
    EMPTY,
    FALSE,
    NULL,
    TRUE,
    Const,
    Each,
    Keep,
    Let,
    Sql,
    Value,
    Var,
    boolean,
    decimal,
    integer,
    op,
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
    return resolver.of_type(base, type_name(resolver, node), node)


@function("as", 1)
def _as(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.cast(base, type_name(resolver, node), node)


@function("is", 1)
def _is(resolver: Resolver, base: Value, node: Call, scope: Scope) -> Value:
    return resolver.is_of(base, type_name(resolver, node), node)


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
