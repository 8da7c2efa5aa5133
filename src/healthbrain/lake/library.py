"""The base and theme libraries of the warehouse (数字健康数据仓): named sets of views, read from libraries/*.yaml.

A library has an owner, a source clause and views; each view is a SQL on FHIR ViewDefinition with a Chinese and an
English name per column, and rules of quality in the four dimensions completeness, accuracy, logic and timeliness
(完整性、准确性、逻辑性、及时性; HUB-EX-20). `%NAME` in a path is a code system of `terms.systems`, filled in here, so
that `View.definition` is complete and can be run by anybody.

A view of a theme library may instead be made of views of the base libraries (`over`, see lake.derived): its columns take name,
type and origin from those it is made of, and its definition is a Library with the profile SQLQuery of SQL on FHIR.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake.derived import CARRIED, Derived, Origin, Output, checked, table_of
from healthbrain.lake.sof import Query, QueryColumn, Target, ViewDefinition, compile_view, read_view
from healthbrain.terms import systems

Kind = Literal["base", "theme"]
Dimension = Literal["completeness", "accuracy", "logic", "timeliness"]
DIMENSIONS: tuple[Dimension, ...] = ("completeness", "accuracy", "logic", "timeliness")
Words = Mapping[str, str]  # language (zh, en) -> text
_CONSTANT = re.compile(r"%([A-Z][A-Z0-9_]+)")
_SQL = {"integer": "BIGINT", "decimal": "DOUBLE", "boolean": "BOOLEAN"}
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
    origins: tuple[Origin, ...] = ()  # the columns of other views that it is computed from


@dataclass(frozen=True, slots=True)
class View:
    """One dataset of a library."""

    library: str
    name: str
    resource: str  # that its rows come from
    title: Words
    description: Words
    definition: Mapping[str, Any]  # the ViewDefinition resource; of a view over views a Library (SQLQuery)
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    derived: Derived | None = None  # how it is made of other views
    bases: tuple[View, ...] = ()  # those views

    @property
    def id(self) -> str:
        """library.view"""
        return f"{self.library}.{self.name}"

    @property
    def types(self) -> frozenset[str]:
        """The resource types that it reads."""
        return frozenset({self.resource, *(one.resource for one in self.bases)})

    def parsed(self) -> ViewDefinition:
        """The definition as the compiler reads it. Only of a view over resources."""
        return read_view(self.definition)

    def sql(self, carry: Sequence[str], relations: Mapping[str, str] | None = None) -> str:
        """The query over the lake; `relations` says what is read instead of a resource type, or of a base view."""
        given = relations or {}
        if self.derived is None:
            return compile_view(self.parsed(), Target(relation=given.get(self.resource, ""), carry=tuple(carry))).sql
        inner = {one.id: given.get(one.id) or f"({one.sql(CARRIED, given)})" for one in self.bases}
        return self.derived.over_relations(inner, carry)


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
    found: list[Library] = []
    for one, name in sorted(raw, key=lambda pair: (pair[0]["kind"] != "base", pair[0]["order"])):
        found.append(
            library_of(one, name, [view for library in found if library.kind == "base" for view in library.views])
        )
    return tuple(found)


def views() -> Iterator[View]:
    """Every view of every library."""
    return (view for library in libraries() for view in library.views)


def find(library: str, view: str) -> View:
    """A view by its library and name. Raises NotFound."""
    for one in views():
        if (one.library, one.name) == (library, view):
            return one
    raise NotFound("there is no such view in the catalogue")


def query_columns(view: View) -> Query:
    """The columns of a view over views as a query has them; its statement is made by `View.sql`."""
    return Query(
        "", tuple(QueryColumn(one.name, one.type, _SQL.get(one.type, "VARCHAR"), False) for one in view.columns)
    )


def library_of(raw: Mapping[str, Any], where: str, bases: Sequence[View] = ()) -> Library:
    """A library from its declaration; its views may be made of `bases`. Raises Incorrect, with the file and what is wrong in it."""
    try:
        if raw["kind"] not in ("base", "theme"):
            raise Incorrect(f"{where}: kind is base or theme")
        return Library(
            raw["id"], raw["kind"], raw["row"], raw["title"], raw["description"], raw["owner"],
            f"{raw['source']['document']} {raw['source']['clause']}",
            tuple(
                _over(raw["id"], one, where, bases) if "over" in one else _view(raw["id"], one, where) for one in raw["views"]
            ),
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


def _over(library: str, raw: Mapping[str, Any], where: str, bases: Sequence[View]) -> View:
    """A view made of base views: a column is one of `over` by its name, or an expression with its words."""
    known, name, place = {one.id: one for one in bases}, raw["name"], f"{where}: {raw['name']}"
    if raw["over"] not in known:
        raise Incorrect(f"{place}: there is no base view {raw['over']}")
    outputs = [
        Output(one, f"b.{one}") if isinstance(one, str) else Output(one["name"], one["sql"]) for one in raw["columns"]
    ]
    derived = Derived(raw["over"], tuple(outputs), " ".join(raw.get("join", "").split()), raw.get("where", ""))
    checked(derived, known.keys(), place)
    columns = tuple(_made(derived, one, known, place) for one in raw["columns"])
    rules = tuple(_rule(one, columns, place) for one in raw["rules"])
    tables = {table_of(one.id): one for one in bases}
    mine = tuple(tables[one] for one in derived.reads())
    return View(
        library, name, known[raw["over"]].resource, raw["title"], raw["description"],
        _query(library, raw, derived, mine), columns, rules, derived, mine,
    )  # fmt: skip


def _made(derived: Derived, raw: Any, known: Mapping[str, View], where: str) -> Column:
    """A column of a view over views: what it does not say itself is said by the column it is taken from."""
    own: Mapping[str, Any] = {"name": raw} if isinstance(raw, str) else raw
    tables = {table_of(one): one for one in known}
    origins = tuple((tables[table], name) for table, name in derived.origins(own["name"]))
    sources = [column for view, name in origins for column in known[view].columns if column.name == name]
    if len(sources) != len(origins):
        raise Incorrect(f"{where}: column {own['name']} reads a column that its views do not have")
    taken = [one for one in sources if isinstance(raw, str) or own["sql"].partition(".")[2] == one.name]
    plain = taken[0] if len(taken) == len(sources) == 1 or (taken and isinstance(raw, str)) else None
    if plain is None and not {"type", "zh", "en"} <= own.keys():
        raise Incorrect(f"{where}: column {own['name']} is computed, so it says type, zh and en")
    title = {
        "zh": own.get("zh", plain.title["zh"] if plain else ""),
        "en": own.get("en", plain.title["en"] if plain else ""),
    }
    return Column(
        own["name"], own.get("type", plain.type if plain else ""), plain.path if plain else own["sql"], title,
        plain.inside if plain else "", origins,
    )  # fmt: skip


def _query(library: str, raw: Mapping[str, Any], derived: Derived, bases: Sequence[View]) -> dict[str, Any]:
    """The definition as SQL on FHIR exchanges it: a Library of the profile SQLQuery, with the views it depends on."""
    sql = derived.statement()
    return {
        "resourceType": "Library",
        "meta": {"profile": ["https://sql-on-fhir.org/ig/StructureDefinition/SQLQuery"]},
        "url": f"urn:healthbrain:view:{library}.{raw['name']}",
        "name": raw["name"],
        "title": raw["title"]["zh"],
        "status": "active",
        "type": {
            "coding": [{"system": "https://sql-on-fhir.org/ig/CodeSystem/LibraryTypesCodes", "code": "sql-query"}]
        },
        "relatedArtifact": [
            {"type": "depends-on", "resource": one.definition["url"], "label": table_of(one.id)} for one in bases
        ],
        "content": [
            {
                "contentType": "application/sql",
                "extension": [{"url": "https://sql-on-fhir.org/ig/StructureDefinition/sql-text", "valueString": sql}],
                "data": base64.b64encode(sql.encode()).decode(),
            }
        ],
    }


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
