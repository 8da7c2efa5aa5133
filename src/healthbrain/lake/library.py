"""The base and theme libraries of the warehouse (数字健康数据仓): named sets of views, read from libraries/*.yaml.

A library has an owner, a source clause and views; each view is a SQL on FHIR ViewDefinition with a Chinese and an
English name per column, and rules of quality in the four dimensions completeness, accuracy, logic and timeliness
(完整性、准确性、逻辑性、及时性; HUB-EX-20). `%NAME` in a path is a code system of `terms.systems`, filled in here, so
that `View.definition` is complete and can be run by anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake.sof import ViewDefinition, read_view
from healthbrain.terms import systems

Kind = Literal["base", "theme"]
Dimension = Literal["completeness", "accuracy", "logic", "timeliness"]
DIMENSIONS: tuple[Dimension, ...] = ("completeness", "accuracy", "logic", "timeliness")
Words = Mapping[str, str]  # language (zh, en) -> text
_CONSTANT = re.compile(r"%([A-Z][A-Z0-9_]+)")
_TESTS = {"one_of", "pattern", "between", "not_after", "at_most", "unique", "within_hours"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a row should fulfil. `test` has one entry: which check with which argument; none = the column has a value."""

    kind: Dimension
    column: str
    title: Words
    test: tuple[str, Any] | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its names and where its value comes from."""

    name: str
    type: str
    path: str
    title: Words
    inside: str = ""  # the path of forEach it stands under


@dataclass(frozen=True, slots=True)
class View:
    """One dataset of a library."""

    library: str
    name: str
    resource: str
    title: Words
    description: Words
    definition: Mapping[str, Any]  # the ViewDefinition resource
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]

    @property
    def id(self) -> str:
        """library.view"""
        return f"{self.library}.{self.name}"

    def parsed(self) -> ViewDefinition:
        """The definition as the compiler reads it."""
        return read_view(self.definition)


@dataclass(frozen=True, slots=True)
class Library:
    """A base library (基础库) or a theme library (主题库)."""

    id: str
    kind: Kind
    row: str  # of the requirement catalogue
    title: Words
    description: Words
    owner: Words
    source: str
    views: tuple[View, ...]


@cache
def libraries() -> tuple[Library, ...]:
    """All libraries, base ones first."""
    folder = resources.files(__package__) / "libraries"
    raw = [
        (yaml.safe_load(file.read_text("utf-8")), file.name) for file in folder.iterdir() if file.name.endswith(".yaml")
    ]
    return tuple(library_of(one, name) for one, name in sorted(raw, key=lambda pair: pair[0]["order"]))


def views() -> Iterator[View]:
    """Every view of every library."""
    return (view for library in libraries() for view in library.views)


def find(library: str, view: str) -> View:
    """A view by its library and name. Raises NotFound."""
    for one in views():
        if (one.library, one.name) == (library, view):
            return one
    raise NotFound("there is no such view in the catalogue")


def library_of(raw: Mapping[str, Any], where: str) -> Library:
    """A library from its declaration. Raises Incorrect, with the file and what is wrong in it."""
    try:
        if raw["kind"] not in ("base", "theme"):
            raise Incorrect(f"{where}: kind is base or theme")
        return Library(
            raw["id"], raw["kind"], raw["row"], raw["title"], raw["description"], raw["owner"],
            f"{raw['source']['document']} {raw['source']['clause']}",
            tuple(_view(raw["id"], one, where) for one in raw["views"]),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise Incorrect(f"{where}: {error} is missing or has the wrong form") from None


def _view(library: str, raw: Mapping[str, Any], where: str) -> View:
    declared = raw["definition"]
    name = declared["name"]
    used = sorted({one for path in _paths(declared) for one in _CONSTANT.findall(path)})
    definition = {
        "resourceType": "ViewDefinition",
        "url": f"urn:healthbrain:view:{library}.{name}",
        "title": raw["title"]["zh"],
        "fhirVersion": ["4.0.1"],
        **declared,
        **({"constant": [{"name": one, "valueString": _system(one, where)} for one in used]} if used else {}),
    }
    columns = tuple(_columns(declared["select"], ""))
    rules = tuple(_rule(one, columns, f"{where}: {name}") for one in raw["rules"])
    view = View(
        library, name, declared["resource"], raw["title"], raw["description"], definition, columns, rules
    )  # fmt: skip
    view.parsed()
    return view


def _columns(selects: list[Mapping[str, Any]], inside: str) -> Iterator[Column]:
    for select in selects:
        below = select.get("forEach") or select.get("forEachOrNull") or inside
        for one in select.get("column", ()):
            chinese = next((tag["value"] for tag in one.get("tag", ()) if tag["name"] == "zh"), one["name"])
            title = {"zh": chinese, "en": one.get("description", one["name"])}
            yield Column(one["name"], one.get("type", "string"), one["path"], title, below)
        yield from _columns(select.get("select", []), below)


def _rule(raw: Mapping[str, Any], columns: tuple[Column, ...], where: str) -> Rule:
    names = {column.name for column in columns}
    tests = [(key, raw[key]) for key in raw if key in _TESTS]
    others = [value for key, value in tests if key in {"not_after", "at_most"}]
    if raw["kind"] not in DIMENSIONS or len(tests) > 1 or not {raw["column"], *others} <= names:
        raise Incorrect(f"{where}: a rule names a dimension, columns of the view, and at most one test")
    return Rule(raw["kind"], raw["column"], raw["title"], tests[0] if tests else None)


def _paths(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in {"path", "forEach", "forEachOrNull"} and isinstance(value, str):
                yield value
            else:
                yield from _paths(value)
    elif isinstance(node, list):
        for item in node:
            yield from _paths(item)


def _system(name: str, where: str) -> str:
    value = getattr(systems, name, None)
    if not isinstance(value, str):
        raise Incorrect(f"{where}: %{name} is no code system of terms.systems")
    return value
