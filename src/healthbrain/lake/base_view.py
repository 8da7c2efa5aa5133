"""Base views: what measures take from resources, as SQL on FHIR ViewDefinitions that the one compiler (`sof`) runs.

Three things are added to a ViewDefinition here. Every row carries the resource's `_id`, `_patient`, `_owner` and `_updated`, which is
how people, institutions and the walk down to the raw message stay attached to a number. Constants are given when the view is
compiled. And a column of FHIR's date text that is tagged `hb/type` with `day` or `instant` comes out as a date or a timestamp
with the meaning of `local_time`. The oracle is `sof.evaluate`, row by row.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake import local_time
from healthbrain.lake.engine import name
from healthbrain.lake.expression_sql import Constant, Kind
from healthbrain.lake.sof import Column, Query, Target, ViewDefinition, compile_view, evaluate, read_view

CARRIED: dict[str, Kind] = {"_id": "text", "_patient": "integer", "_owner": "integer", "_updated": "instant"}
_TAG = "hb/type"
_CONSTANT = re.compile(r"%([A-Za-z]\w*)")
_MOMENTS: dict[str, tuple[Kind, str, Callable[[str], Any]]] = {
    "day": ("date", "hb_date", local_time.day),
    "instant": ("instant", "hb_instant", local_time.instant),
}
_KINDS: dict[str, Kind] = {"VARCHAR": "text", "BIGINT": "integer", "DOUBLE": "decimal", "BOOLEAN": "boolean"}
_DECLARED: dict[str, Kind] = {"integer": "integer", "decimal": "decimal", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class BaseView:
    """A flat table over one resource type; its definition's constants are filled in when it is compiled."""

    name: str
    definition: ViewDefinition
    used: frozenset[str] = frozenset()  # constants that its paths name

    @property
    def resource(self) -> str:
        """The type of resource that it flattens."""
        return self.definition.resource

    @property
    def repeats(self) -> bool:
        """Whether a resource may have several rows."""
        return any(select.iterates for select in self.definition.selects)

    def kinds(self) -> dict[str, Kind]:
        """The kind of every column it has."""
        return {**CARRIED, **{column.name: _kind(column) for column in self.definition.columns()}}


def base_view(name_: str, raw: Mapping[str, Any]) -> BaseView:
    """A view from its ViewDefinition. Raises Incorrect with the places of all that is wrong."""
    definition = read_view({**raw, "name": name_})
    for column in definition.columns():
        if (kind := dict(column.tags).get(_TAG, "day")) not in _MOMENTS:
            raise Incorrect(f"view {name_}, column {column.name}: {_TAG} is day or instant, not {kind}")
        if column.name in CARRIED or column.collection:
            raise Incorrect(f"view {name_}, column {column.name}: it needs another name, and one value")
    return BaseView(name_, definition, frozenset(_CONSTANT.findall(str(raw))))


def to_sql(view: BaseView, constants: Mapping[str, Constant]) -> str:
    """The view as a query over a Lake connection (with `local_time.MACROS`). Raises Incorrect."""
    return with_moments(view, f"({_compiled(view, _known(view, constants)).sql})")


def spark_sql(view: BaseView, constants: Mapping[str, Constant]) -> str:
    """The definition alone as a query in Spark SQL; `with_moments` says the rest over it."""
    _compiled(view, _known(view, constants))
    filled = _filled(view, _known(view, constants))
    return compile_view(filled, Target(carry=tuple(CARRIED), engine="spark")).sql


def with_moments(view: BaseView, flat: str) -> str:
    """Days and instants made of the date text in a relation that has the columns of the definition."""
    columns = [_output(column) for column in view.definition.columns()]
    return f"select {', '.join([*CARRIED, *columns])} from {flat}"


def to_rows(
    view: BaseView, resource: Mapping[str, Any], own: Mapping[str, Any], constants: Mapping[str, Constant]
) -> Iterator[dict[str, Any]]:
    """The view's rows of one resource: the oracle."""
    columns = {column.name: column for column in view.definition.columns()}
    for row in evaluate(_filled(view, _known(view, constants)), [resource]):
        found = {key: _plain(columns[key], value) for key, value in row.items()}
        yield {**{key: own[key] for key in CARRIED}, **found}


def _kind(column: Column) -> Kind:
    if tag := dict(column.tags).get(_TAG):
        return _MOMENTS[tag][0]
    return _DECLARED.get(column.type, "text")


def _output(column: Column) -> str:
    tag = dict(column.tags).get(_TAG)
    value = name(column.name)
    return f"{_MOMENTS[tag][1]}({value}) as {value}" if tag else value


def _plain(column: Column, value: Any) -> Any:
    tag = dict(column.tags).get(_TAG)
    if value is None:
        return None
    if _kind(column) == "decimal":
        return float(value)
    return _MOMENTS[tag][2](value) if tag else value


Known = tuple[tuple[str, str | int | float], ...]


def _known(view: BaseView, constants: Mapping[str, Constant]) -> Known:
    """The constants that a view names, of those that a ViewDefinition can have: not days, and not lists."""
    return tuple(
        (key, value) for key, value in constants.items() if key in view.used and isinstance(value, str | int | float)
    )


@lru_cache(maxsize=256)
def _filled(view: BaseView, constants: Known) -> ViewDefinition:
    values = {key: Decimal(str(value)) if isinstance(value, float) else value for key, value in constants}
    return replace(view.definition, constants=(*values.items(), *view.definition.constants))


@lru_cache(maxsize=256)
def _compiled(view: BaseView, constants: Known) -> Query:
    query = compile_view(_filled(view, constants), Target(carry=tuple(CARRIED)))
    for column, made in zip(view.definition.columns(), query.columns, strict=True):
        held = "text" if dict(column.tags).get(_TAG) else _kind(column)
        if _KINDS.get(made.sql_type) != held:
            raise Incorrect(f"view {view.name}, column {column.name}: it yields {made.type}; declare its type")
    return query
