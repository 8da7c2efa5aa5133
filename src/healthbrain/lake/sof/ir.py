"""The small typed form between FHIRPath and SQL: expressions over the JSON of a resource, in no SQL dialect.

A FHIRPath collection is an SQL list when its path can yield several items, else a value; empty is NULL, or an empty list.
`Value` is an expression with what is known of it. Operations (`Op`) have the names that every dialect must know
(`dialects.OPERATIONS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.syntax import Constant
from healthbrain.lake.sof.needs import Need

Kind = Literal["text", "integer", "decimal", "boolean", "date", "datetime", "time", "quantity", "parts", "nothing"]

_SYSTEM: dict[str, Kind] = {
    "Boolean": "boolean", "Integer": "integer", "Long": "integer", "Decimal": "decimal", "String": "text",
    "Date": "date", "DateTime": "datetime", "Time": "time", "Quantity": "quantity",
}  # fmt: skip
NOTHING = ""  # the type of what is always empty


@dataclass(frozen=True, slots=True)
class Const:
    """A constant."""

    value: bool | int | Decimal | str | None


@dataclass(frozen=True, slots=True)
class Var:
    """A name: the item of a lambda, or a column of the relation."""

    name: str


@dataclass(frozen=True, slots=True)
class Root:
    """The resource."""


@dataclass(frozen=True, slots=True, eq=False)
class Get:
    """A member of an object; as JSON text when `whole`."""

    of: Sql
    need: Need
    whole: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """JSON text read as an object (or, `many`, a list of JSON texts as objects) of the members that are needed."""

    of: Sql
    need: Need
    many: bool


@dataclass(frozen=True, slots=True)
class Op:
    """An operation of the dialects."""

    name: str
    args: tuple[Sql, ...] = ()


@dataclass(frozen=True, slots=True)
class Each:
    """A list with `body` for every item `var`; `index` names its place from 0."""

    items: Sql
    var: str
    body: Sql
    index: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """The items for which `test` is true."""

    items: Sql
    var: str
    test: Sql
    index: str = ""


@dataclass(frozen=True, slots=True)
class Let:
    """`body` where `var` is `value`, which is calculated once."""

    var: str
    value: Sql
    body: Sql


@dataclass(frozen=True, slots=True)
class Pack:
    """An object of named members."""

    fields: tuple[tuple[str, Sql], ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an object that the query itself made."""

    of: Sql
    name: str


Sql = Const | Var | Root | Get | Parsed | Op | Each | Keep | Let | Pack | Field

TRUE, FALSE, NULL = Const(True), Const(False), Const(None)


@dataclass(frozen=True, slots=True)
class Value:
    """What a path yields: how to calculate it, its R4 or System type, whether it is a list.

    `need` records which members are asked for. An element of several types has one `choices` value for each.
    `parent` is where a primitive's `_name` sibling is found. `known` is the value of a constant.
    """

    sql: Sql
    type: str
    many: bool = False
    need: Need | None = None
    choices: tuple[Value, ...] = ()
    parent: Value | None = None
    known: Constant | None = None

    @property
    def kind(self) -> Kind:
        """The kind of value, as operators see it."""
        return kind_of(self.type)

    @property
    def nothing(self) -> bool:
        """Whether it is empty for every resource."""
        return self.type == NOTHING and not self.choices

    def also(self, sql: Sql, *, many: bool | None = None) -> Value:
        """Some of the same items, calculated by `sql`."""
        return replace(self, sql=sql, many=self.many if many is None else many, parent=None, known=None)


EMPTY = Value(NULL, NOTHING)


def kind_of(type_: str) -> Kind:
    """The kind of a type's values."""
    if type_ == NOTHING:
        return "nothing"
    if type_.startswith("System."):
        return _SYSTEM[type_.removeprefix("System.")]
    if model.is_primitive(type_):
        return _SYSTEM[model.system_type(type_)]
    return "parts"


def text(sql: Sql) -> Value:
    """A String."""
    return Value(sql, "System.String")


def integer(sql: Sql) -> Value:
    """An Integer."""
    return Value(sql, "System.Integer")


def decimal(sql: Sql) -> Value:
    """A Decimal."""
    return Value(sql, "System.Decimal")


def boolean(sql: Sql) -> Value:
    """A Boolean."""
    return Value(sql, "System.Boolean")


def op(name: str, *args: Sql) -> Op:
    """An operation."""
    return Op(name, args)


def uses(sql: Sql, var: Var) -> bool:
    """Whether an expression mentions a name."""
    return any(one == var for one in walk(sql))


def walk(sql: Sql) -> Iterator[Sql]:
    """An expression and all within it."""
    yield sql
    for name in getattr(sql, "__dataclass_fields__", ()):
        part = getattr(sql, name)
        for one in part if isinstance(part, tuple) else (part,):
            inner = one[1] if isinstance(one, tuple) and len(one) == 2 else one
            if hasattr(inner, "__dataclass_fields__") and not hasattr(inner, "children"):
                yield from walk(inner)


def first(items: Sql, fresh: Callable[[], Var]) -> Sql:
    """The first item of a list. Of `where(...).code` it is looked for in one pass: the first that meets the test and has a
    code, then its code.
    """
    match items:
        case Keep(Each(inner, var, body, ""), kept, Op("is_not_null", (Var(name),)), "") if name == kept:
            match inner:
                case Keep(all_, item, test, ""):
                    present = op("is_not_null", substituted(body, var, Var(item)))
                    one = op("item", Keep(all_, item, op("and", test, present)), Const(0))
                case _:
                    one = op("item", Keep(inner, var, op("is_not_null", body)), Const(0))
            if sum(part == Var(var) for part in walk(body)) == 1:
                return substituted(body, var, one)
            found = fresh()
            return Let(found.name, one, substituted(body, var, found))
    return op("item", items, Const(0))


def substituted(sql: Sql, name: str, by: Sql) -> Sql:
    """An expression with another one in the place of a name."""
    if isinstance(sql, Var):
        return by if sql.name == name else sql
    parts: dict[str, Any] = {}
    for one in fields(sql):
        part = getattr(sql, one.name)
        if isinstance(part, tuple):
            parts[one.name] = tuple(
                (inner[0], substituted(inner[1], name, by))
                if isinstance(inner, tuple)
                else substituted(inner, name, by)
                for inner in part
            )
        elif is_dataclass(part) and not isinstance(part, Need):
            parts[one.name] = substituted(part, name, by)  # type: ignore[arg-type]  # what is no Need is an expression
    return replace(sql, **parts) if parts else sql
