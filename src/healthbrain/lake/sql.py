"""Expressions as DuckDB SQL over the lake's typed columns.

A value is an SQL text with what is known of its type and whether it is a list. FHIRPath's empty collection is SQL's
NULL (or an empty list), and its three-valued logic is SQL's, so conditions mean the same in both. `rows` evaluates
the same trees one row at a time; tests hold the two against each other.

Functions of our own, beside FHIRPath's and SQL on FHIR's: `age(birth, at)` in completed years, `days(from, to)`,
`band(number, 15, 60)`, which class a number is in: '0-14', '15-59', '60+'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal as OneOf

from healthbrain.errors import Incorrect
from healthbrain.lake.columns import Field
from healthbrain.lake.engine import literal, name
from healthbrain.lake.path import Binary, Call, Index, Literal, Member, Minus, Node, Span, Variable

Kind = OneOf["text", "integer", "decimal", "boolean", "json", "struct", "date", "instant"]

# FHIR dates are text of any precision with any offset. A day is a day of local time, an instant the earliest one
# that the text may mean. Installed once per connection.
MACROS = """
create or replace macro hb_instant(t) as cast(case length(t)
    when 4 then t || '-01-01 00:00:00+08' when 7 then t || '-01 00:00:00+08' when 10 then t || ' 00:00:00+08'
    else t end as timestamptz);
create or replace macro hb_date(t) as case length(t)
    when 4 then cast(t || '-01-01' as date) when 7 then cast(t || '-01' as date) when 10 then cast(t as date)
    else cast((cast(t as timestamptz) at time zone 'Asia/Shanghai') as date) end;
create or replace macro hb_age(b, d) as
    year(d) - year(b) - cast(month(d) * 100 + day(d) < month(b) * 100 + day(b) as integer);
"""
_CASTS = {"string": "text", "integer": "integer", "decimal": "decimal", "boolean": "boolean"}
_TYPES: dict[str, str] = {"text": "varchar", "integer": "bigint", "decimal": "double", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class Value:
    """An SQL expression and what it yields."""

    sql: str
    kind: Kind
    many: bool = False
    fields: tuple[Field, ...] = ()


Constant = str | int | float | bool | date | tuple[str, ...] | Value | None  # a Value: what a name stands for in SQL


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean at one place of an expression."""

    names: Mapping[str, Value]
    constants: Mapping[str, Constant]
    this: Value | None = None
    depth: int = 0

    def inside(self, this: Value) -> Scope:
        """The scope within a function's argument, where names are members of the item at hand."""
        members = {field.name: _member(this, field) for field in this.fields}
        return replace(self, names=members, this=this, depth=self.depth + 1)


def of_fields(fields: tuple[Field, ...], constants: Mapping[str, Constant], own: Mapping[str, Kind]) -> Scope:
    """The scope of a resource type's table."""
    names = {field.name: Value(name(field.name), field.kind, field.many, field.fields) for field in fields}
    return Scope({**names, **{key: Value(name(key), kind) for key, kind in own.items()}}, constants)


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
        case Member(None, key):
            return _named(key, scope)
        case Member(of, key) if of is not None:
            return _step(compile_expression(of, scope), key)
        case Call():
            return _call(node, scope)
        case Index(of, at):
            items = _list(compile_expression(of, scope))
            position = compile_expression(at, scope)
            return replace(items, sql=f"{items.sql}[{position.sql} + 1]", many=False)
        case Minus(of):
            number = _single(compile_expression(of, scope))
            return replace(number, sql=f"(-{number.sql})")
        case Binary():
            return _binary(node, scope)
    raise Incorrect("this kind of expression is not supported")


def cast(value: Value, type_: str) -> Value:
    """A column's value in the type that its view declares."""
    value = _single(value)
    if type_ in {"date", "dateTime"}:
        kind: Kind = "date" if type_ == "date" else "instant"
        if value.kind == kind:
            return value
        return Value(f"{'hb_date' if kind == 'date' else 'hb_instant'}({_text(value)})", kind)
    wanted = _CASTS.get(type_)
    if wanted is None:
        raise Incorrect(f"a column cannot have the type {type_}")
    if value.kind == wanted:
        return value
    sql = _text(value) if wanted == "text" else f"try_cast({_text(value)} as {_TYPES[wanted]})"
    return Value(sql, wanted)  # type: ignore[arg-type]  # the values of _CASTS are kinds


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


# -- steps


def _named(key: str, scope: Scope) -> Value:
    if key == "$this":
        if scope.this is None:
            raise Incorrect("$this has a meaning only inside a function's argument")
        return scope.this
    if key in scope.names:
        return scope.names[key]
    if scope.this is not None and scope.this.kind == "json":
        return _step(scope.this, key)
    raise Incorrect(f"there is no element or column '{key}' here; known are {', '.join(sorted(scope.names))}")


def _member(value: Value, field: Field) -> Value:
    return Value(f"{value.sql}.{name(field.name)}", field.kind, field.many, field.fields)


def _step(value: Value, key: str) -> Value:
    if value.kind == "json":
        return _json_step(value, key)
    field = next((field for field in value.fields if field.name == key), None)
    if field is None:
        raise Incorrect(f"there is no element '{key}' here; choices are written value.ofType(Quantity)")
    if not value.many:
        return _member(value, field)
    inner = f"list_transform({value.sql}, lambda x: x.{name(key)})"
    if field.many:
        inner = f"flatten({inner})"
    return Value(f"list_filter({inner}, lambda x: x is not null)", field.kind, True, field.fields)


def _json_step(value: Value, key: str) -> Value:
    path = literal(f"$.{key}")
    one = (
        f"case json_type(x, {path}) when 'ARRAY' then cast(json_extract(x, {path}) as json[]) "
        f"else list_filter([json_extract(x, {path})], lambda y: y is not null) end"
    )
    items = _list(value)
    return Value(f"flatten(list_transform({items.sql}, lambda x: {one}))", "json", True)


def _list(value: Value) -> Value:
    if value.many:
        return value
    return replace(value, sql=f"list_filter([{value.sql}], lambda x: x is not null)", many=True)


def _single(value: Value) -> Value:
    if value.many and value.kind == "json":  # JSON does not say what repeats
        return replace(value, sql=f"{value.sql}[1]", many=False)
    if value.many:
        raise Incorrect("a single value is needed here; say which by first() or where()")
    return value


def _text(value: Value) -> str:
    if value.kind == "json":
        return f"({value.sql} ->> '$')"
    return value.sql if value.kind == "text" else f"cast({value.sql} as varchar)"


# -- functions


def _call(node: Call, scope: Scope) -> Value:
    if node.name == "ofType":
        return _of_type(node, scope)
    if node.name == "extension":
        items = (
            _named("extension", scope) if node.of is None else _step(compile_expression(node.of, scope), "extension")
        )
        url = compile_expression(node.arguments[0], scope)
        return replace(items, sql=f"list_filter({items.sql}, lambda x: (x ->> '$.url') = {url.sql})")
    if node.of is None:
        return _free(node, scope)
    value = compile_expression(node.of, scope)
    if node.name in {"where", "exists"} and node.arguments:
        value = _filtered(value, node.arguments[0], scope)
        return value if node.name == "where" else _exists(value)
    if node.name in {"startsWith", "substring", "getReferenceKey", "contains"}:
        return _with_arguments(value, node, scope)
    return _plain(value, node.name)


def _plain(value: Value, function: str) -> Value:
    match function:
        case "first":
            return replace(value, sql=f"{value.sql}[1]", many=False) if value.many else value
        case "last":
            return replace(value, sql=f"{value.sql}[-1]", many=False) if value.many else value
        case "exists":
            return _exists(value)
        case "empty":
            return Value(f"(not {_exists(value).sql})", "boolean")
        case "count":
            return Value(f"coalesce(len({_list(value).sql}), 0)", "integer")
        case "not":
            return Value(f"(not {_single(value).sql})", "boolean")
        case "getReferenceKey":
            return _reference_key(value, "[A-Za-z]+")
        case "toString":
            return cast(value, "string")
        case "toDecimal":
            return cast(value, "decimal")
        case "toInteger":
            return cast(value, "integer")
        case "lower":
            return Value(f"lower({_text(_single(value))})", "text")
    raise Incorrect(f"the function {function}() is not supported")


def _exists(value: Value) -> Value:
    return Value(f"(coalesce(len({value.sql}), 0) > 0)" if value.many else f"({value.sql} is not null)", "boolean")


def _filtered(value: Value, condition: Node, scope: Scope) -> Value:
    if not value.many:
        test = compile_expression(condition, scope.inside(value))
        return replace(value, sql=f"case when {test.sql} then {value.sql} end")
    item = f"i{scope.depth}"
    test = compile_expression(condition, scope.inside(replace(value, sql=item, many=False)))
    return replace(value, sql=f"list_filter({value.sql}, lambda {item}: {test.sql})")


def _with_arguments(value: Value, node: Call, scope: Scope) -> Value:
    if node.name == "getReferenceKey":
        wanted = node.arguments[0] if node.arguments else None
        return _reference_key(value, wanted.name if isinstance(wanted, Member) else "[A-Za-z]+")
    arguments = [compile_expression(argument, scope) for argument in node.arguments]
    text = _text(_single(value))
    if node.name == "startsWith":
        return Value(f"starts_with({text}, {_text(arguments[0])})", "boolean")
    if node.name == "contains":
        return Value(f"contains({text}, {_text(arguments[0])})", "boolean")
    length = f", {arguments[1].sql}" if len(arguments) > 1 else ""
    return Value(f"nullif(substring({text}, {arguments[0].sql} + 1{length}), '')", "text")


def _reference_key(value: Value, type_: str) -> Value:
    reference = _step(value, "reference")
    if reference.many:
        reference = replace(reference, sql=f"{reference.sql}[1]", many=False)
    pattern = literal(f"(?:^|/){type_}/([^/]+)(?:/_history/[^/]+)?$")
    return Value(f"nullif(regexp_extract({reference.sql}, {pattern}, 1), '')", "text")


def _of_type(node: Call, scope: Scope) -> Value:
    source, wanted = node.of, node.arguments[0]
    if not isinstance(source, Member) or not isinstance(wanted, Member):
        raise Incorrect("ofType() follows the name of a choice element: value.ofType(Quantity)")
    key = source.name + wanted.name[0].upper() + wanted.name[1:]
    return compile_expression(Member(source.of, key), scope)


def _free(node: Call, scope: Scope) -> Value:
    if node.name == "getResourceKey":
        return scope.names["_id"]
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
            return Value(both, left.kind if left.sql != "NULL" else right.kind, True, left.fields)
        case "in":
            found = f"coalesce(list_contains({_list(right).sql}, {_single(left).sql}), false)"
            return Value(f"case when {left.sql} is not null then {found} end", "boolean")
        case "=" | "!=" | "<" | ">" | "<=" | ">=":
            return _compared(node.operator, _single(left), _single(right))
    kind: Kind = "decimal" if "decimal" in {left.kind, right.kind} or node.operator == "/" else left.kind
    operator = "||" if node.operator == "+" and kind == "text" else node.operator
    return Value(f"({_single(left).sql} {operator} {_single(right).sql})", kind)


def _compared(operator: str, left: Value, right: Value) -> Value:
    if "json" in {left.kind, right.kind}:
        return Value(f"({_text(left)} {operator} {_text(right)})", "boolean")
    numbers = {"integer", "decimal"}
    if left.kind != right.kind and not {left.kind, right.kind} <= numbers and "NULL" not in {left.sql, right.sql}:
        raise Incorrect(f"a {left.kind} cannot be compared with a {right.kind}")
    return Value(f"({left.sql} {operator} {right.sql})", "boolean")


def _shifted(operator: str, moment: Value, span: Span) -> Value:
    if moment.kind not in {"date", "instant"} or operator not in {"+", "-"}:
        raise Incorrect("a length of time is added to or taken from a date")
    moved = f"{_single(moment).sql} {operator} interval {span.number} {span.unit}"
    return Value(f"cast({moved} as date)" if moment.kind == "date" else f"({moved})", moment.kind)
