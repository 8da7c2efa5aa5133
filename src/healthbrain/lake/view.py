"""Views: flat tables over resources, in the form of SQL on FHIR's ViewDefinition (the part that measures need).

A view has `resource`, `where` (paths that must be true), and `select`: columns of the resource, and at most one
`forEach` whose columns repeat per item. Every view also carries the row's own `_id`, `_patient` and `_owner`, which is
how people, institutions and the walk down to the raw message stay attached to a number.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake import rows, sql
from healthbrain.lake.columns import fields_of
from healthbrain.lake.engine import name
from healthbrain.lake.path import parse
from healthbrain.lake.sql import Constant, Kind

CARRIED: dict[str, Kind] = {"_id": "text", "_patient": "integer", "_owner": "integer", "_updated": "instant"}
_ITEM = '"$item"'
_COLUMN_KINDS: dict[str, Kind] = {
    "string": "text",
    "integer": "integer",
    "decimal": "decimal",
    "boolean": "boolean",
    "date": "date",
    "dateTime": "instant",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, the path to its value, its type (string, integer, decimal, boolean, date, dateTime)."""

    name: str
    path: str
    type: str = "string"

    @property
    def kind(self) -> Kind:
        """The type as expressions know it."""
        if self.type not in _COLUMN_KINDS:
            raise Incorrect(f"column {self.name}: there is no type {self.type}")
        return _COLUMN_KINDS[self.type]


@dataclass(frozen=True, slots=True)
class View:
    """A flat table over one resource type."""

    name: str
    resource: str
    columns: tuple[Column, ...]
    where: tuple[str, ...] = ()
    for_each: str | None = None
    each: tuple[Column, ...] = ()

    def kinds(self) -> dict[str, Kind]:
        """The kind of every column it has."""
        return {**CARRIED, **{column.name: column.kind for column in (*self.columns, *self.each)}}


def view_of(name_: str, raw: Mapping[str, Any]) -> View:
    """A view from its declaration. Raises Incorrect for what is not supported."""
    columns: list[Column] = []
    each: list[Column] = []
    for_each: str | None = None
    for select in raw.get("select", ()):
        if unknown := set(select) - {"column", "forEach"}:
            raise Incorrect(f"view {name_}: select cannot have {', '.join(sorted(unknown))}")
        own = [Column(one["name"], one["path"], one.get("type", "string")) for one in select.get("column", ())]
        if "forEach" in select:
            if for_each is not None:
                raise Incorrect(f"view {name_}: only one forEach is supported")
            for_each, each = select["forEach"], own
        else:
            columns += own
    where = tuple(one["path"] for one in raw.get("where", ()))
    return View(name_, raw["resource"], tuple(columns), where, for_each, tuple(each))


def to_sql(view: View, constants: Mapping[str, Constant]) -> str:
    """The view as a query over a Lake connection."""
    scope = sql.of_fields(fields_of(view.resource), constants, CARRIED)
    outputs = [*CARRIED, *(_output(column, scope) for column in view.columns)]
    items = sql.compile_expression(parse(view.for_each), scope) if view.for_each else None
    if items:
        outputs.append(f"unnest({items.sql if items.many else f'[{items.sql}]'}) as {_ITEM}")
    query = f"select {', '.join(outputs)} from {name(view.resource)}"
    if view.where:
        tests = [sql.compile_expression(parse(path), scope).sql for path in view.where]
        query += f" where {' and '.join(tests)}"
    if not items:
        return query
    inside = scope.inside(sql.Value(_ITEM, items.kind, False, items.fields))
    kept = [*CARRIED, *(name(column.name) for column in view.columns)]
    return f"select {', '.join([*kept, *(_output(column, inside) for column in view.each)])} from ({query})"


def to_rows(
    view: View, resource: Mapping[str, Any], own: Mapping[str, Any], constants: Mapping[str, Constant]
) -> Iterator[dict[str, Any]]:
    """The view's rows of one resource: the oracle."""
    row = rows.Row(resource, constants, own)
    if not all(rows.single(parse(path), row) is True for path in view.where):
        return
    first = {**{key: own[key] for key in CARRIED}, **_values(view.columns, row)}
    if not view.for_each:
        yield first
        return
    for item in rows.evaluate(parse(view.for_each), row):
        yield {**first, **_values(view.each, rows.Row(item, constants, {}))}


def _output(column: Column, scope: sql.Scope) -> str:
    value = sql.compile_expression(parse(column.path), scope)
    return f"{sql.cast(value, column.type).sql} as {name(column.name)}"


def _values(columns: tuple[Column, ...], row: rows.Row) -> dict[str, Any]:
    return {column.name: rows.cast(rows.single(parse(column.path), row), column.type) for column in columns}
