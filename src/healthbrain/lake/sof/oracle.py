"""Views evaluated resource by resource on our FHIRPath engine: slow, simple, and what the SQL is tested against.

Rule source: SQL on FHIR v2, processing model. `join()` of nothing is '' in views, as the suite of SQL on FHIR has it.
A row is a dict of the columns in their order; collections are lists, dates are text, decimals are floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from functools import lru_cache
from itertools import product
from typing import Any

import orjson

from healthbrain.errors import Incorrect
from healthbrain.fhir.fhirpath import Expression
from healthbrain.fhir.fhirpath import compile as compile_path
from healthbrain.fhir.fhirpath.dates import Temporal
from healthbrain.fhir.fhirpath.nodes import system
from healthbrain.fhir.fhirpath.syntax import Binary, Call, Literal, Node, text_of
from healthbrain.fhir.fhirpath.values import Item
from healthbrain.fhir.fhirpath.values import Node as Element
from healthbrain.lake.sof.definition import Column, Select, ViewDefinition, parse

Row = dict[str, Any]


def evaluate(view: ViewDefinition, resources: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows of a view. Raises Incorrect where a path has no answer, or a column several values."""
    run = _Run(view)
    names = [column.name for column in view.columns()]
    found = []
    for resource in resources:
        if resource.get("resourceType") == view.resource:
            found += [{name: row[name] for name in names} for row in run.resource(resource)]
    return found


class _Run:
    """One view on one resource after the other."""

    def __init__(self, view: ViewDefinition) -> None:
        self.view = view
        self.constants = dict(view.constants)
        self.current: Element | None = None

    def resource(self, resource: Mapping[str, Any]) -> Iterator[Row]:
        self.current = Element(resource, self.view.resource)
        focus: list[Item] = [self.current]
        for path in self.view.where:
            found = self.items(path, focus, 0)
            values = [system(item) for item in found]
            if len(values) > 1 or (values and not isinstance(values[0], bool)):
                raise Incorrect(f"ViewDefinition.where: `{path}` is not a condition; compare it, or ask exists()")
            if values != [True]:
                return
        yield from self.combined(self.view.selects, (), focus, 0)

    def items(self, path: str, focus: list[Item], place: int) -> list[Item]:
        env = {**self.constants, "rowIndex": place}
        return _expression(path).items(focus, resource=self.current, env=env)

    def select(self, select: Select, focus: list[Item], place: int) -> Iterator[Row]:
        """The rows of a select on a focus."""
        if not select.iterates:
            yield from self.one(select, focus, place)
            return
        if select.repeat:
            items = list(self.below(select.repeat, focus, place))
        else:
            items = self.items(select.for_each or select.for_each_or_null, focus, place)
        if not items and select.for_each_or_null:
            yield from self.one(select, [], 0)
        for number, item in enumerate(items):
            yield from self.one(select, [item], number)

    def below(self, paths: tuple[str, ...], focus: list[Item], place: int) -> Iterator[Item]:
        for path in paths:
            for item in self.items(path, focus, place):
                yield item
                yield from self.below(paths, [item], place)

    def one(self, select: Select, focus: list[Item], place: int) -> Iterator[Row]:
        own = {column.name: self.column(column, focus, place) for column in select.columns}
        for row in self.combined(select.selects, select.union, focus, place):
            yield {**own, **row}

    def combined(
        self, selects: tuple[Select, ...], union: tuple[Select, ...], focus: list[Item], place: int
    ) -> Iterator[Row]:
        """Every combination of the rows of selects and of a union."""
        parts = [list(self.select(select, focus, place)) for select in selects]
        if union:
            parts.append([row for branch in union for row in self.select(branch, focus, place)])
        for rows in product(*parts):
            yield {name: value for row in rows for name, value in row.items()}

    def column(self, column: Column, focus: list[Item], place: int) -> Any:
        values = [_plain(item) for item in self.items(column.path, focus, place)]
        present = [value for value in values if value is not None]
        if column.collection:
            return present
        if len(values) > 1:
            raise Incorrect(f"column {column.name}: a row has several values; use first(), or collection: true")
        return present[0] if present else None


@lru_cache(maxsize=4096)
def _expression(path: str) -> Expression:
    return compile_path(text_of(_with_joins(parse(path))))


def _with_joins(node: Any) -> Any:
    """The tree with `join()` of nothing as ''."""
    if not is_dataclass(node) or isinstance(node, type):
        return tuple(_with_joins(one) for one in node) if isinstance(node, tuple) else node
    inner: Node = replace(
        node, **{one.name: _with_joins(getattr(node, one.name)) for one in fields(node) if one.name != "value"}
    )  # type: ignore[assignment]  # a tree stays a tree
    return Binary("&", inner, Literal("")) if isinstance(inner, Call) and inner.name == "join" else inner


def _plain(item: Item) -> Any:
    """An item as a view puts it out."""
    if isinstance(item, Element) and isinstance(item.value, Mapping):
        return orjson.dumps(item.value).decode()
    if isinstance(item, Element) and isinstance(item.value, str):
        return item.value
    value = system(item)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Temporal):
        return str(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
