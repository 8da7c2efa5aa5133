"""The views of the catalogue (`lake.library`) as base views of measures, so that an own measure can be counted in any of them.

A view `emr.visit` is the table `emr__visit`. Its dates are local days; columns that would clash with what is attached to every row
(person, place, age) have `_own` behind their name. Views over views are not offered: what they are made of is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from healthbrain.lake import library
from healthbrain.lake.base_view import CARRIED, BaseView, base_view
from healthbrain.lake.library import View

_DAYS = frozenset({"date", "dateTime", "instant"})
_ATTACHED = frozenset({"person", "town", "institution", "age", "gone", *CARRIED})


@cache
def catalogue_views() -> Mapping[str, BaseView]:
    """Every view over resources by the name of its table."""
    return {table_of(one): base_view(table_of(one), _definition(one)) for one in offered().values()}


@cache
def offered() -> Mapping[str, View]:
    """The views that can be counted in, by the name of their table."""
    return {table_of(one): one for one in library.views() if one.derived is None}


def table_of(view: View) -> str:
    """What a view is called as a table of measures."""
    return view.id.replace(".", "__").replace("-", "_")


def column_of(name: str) -> str:
    """What a column of a view is called in its table."""
    return f"{name}_own" if name in _ATTACHED else name


def _definition(view: View) -> dict[str, Any]:
    """The ViewDefinition with its dates marked; the code systems are given when it is compiled."""
    raw = {key: value for key, value in view.definition.items() if key != "constant"}
    return {**raw, "select": list(_selects(view.definition["select"]))}


def _selects(selects: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in selects:
        made = dict(one)
        if "column" in one:
            made["column"] = [_column(column) for column in one["column"]]
        for inner in ("select", "unionAll"):
            if inner in one:
                made[inner] = list(_selects(one[inner]))
        yield made


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    tags = list(column.get("tag", ()))
    if column.get("type") in _DAYS:
        tags.append({"name": "hb/type", "value": "day"})
    return {**column, "name": column_of(column["name"]), "tag": tags}
