"""ViewDefinitions of SQL on FHIR v2: reading one from its JSON, with every fault and its place.

Rule source: SQL on FHIR v2, ViewDefinition (elements, constraints sql-name, sql-expressions, unionAll with equal columns,
one iteration per select) and its experimental `repeat`. Whether paths make sense on the resource is decided by `compile_view`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from healthbrain.errors import Incorrect, Issue
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath.dates import Date, DateTime, Time
from healthbrain.fhir.fhirpath.parser import parse as parse_path
from healthbrain.fhir.fhirpath.problems import Unreadable
from healthbrain.fhir.fhirpath.syntax import Constant, Node

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_ANY = frozenset(("id", "extension", "modifierExtension", "fhir_comments"))
_VIEW = _ANY | {"resource", "constant", "where", "select", "resourceType", "meta", "implicitRules", "language", "text",
    "contained", "url", "identifier", "version", "versionAlgorithmString", "versionAlgorithmCoding", "name", "title",
    "status", "experimental", "date", "publisher", "contact", "description", "useContext", "jurisdiction", "purpose",
    "copyright", "copyrightLabel", "fhirVersion", "profile", "approvalDate", "lastReviewDate", "effectivePeriod",
    "topic", "author", "editor", "reviewer", "endorser", "relatedArtifact"}  # fmt: skip
_SELECT = _ANY | {"column", "select", "forEach", "forEachOrNull", "repeat", "unionAll"}
_COLUMN = _ANY | {"name", "path", "description", "collection", "type", "tag"}
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")
_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Column:
    """An output column. `type` is '' when the view leaves it to the path; tags are (name, value)."""

    name: str
    path: str
    type: str = ""
    collection: bool = False
    description: str = ""
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    """Columns, selects and a union, once or for each item of a path."""

    columns: tuple[Column, ...] = ()
    selects: tuple[Select, ...] = ()
    union: tuple[Select, ...] = ()
    for_each: str = ""
    for_each_or_null: str = ""
    repeat: tuple[str, ...] = ()

    @property
    def iterates(self) -> bool:
        """Whether its columns come once per item."""
        return bool(self.for_each or self.for_each_or_null or self.repeat)

    def all_columns(self) -> tuple[Column, ...]:
        """The columns it yields, in their order; those of a union are its first branch's."""
        found = list(self.columns)
        for select in self.selects:
            found += select.all_columns()
        if self.union:
            found += self.union[0].all_columns()
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ViewDefinition:
    """A flat table over the resources of one type."""

    resource: str
    selects: tuple[Select, ...]
    where: tuple[str, ...] = ()
    constants: tuple[tuple[str, Constant], ...] = ()
    name: str = ""
    title: str = ""
    url: str = ""
    version: str = ""
    description: str = ""

    def columns(self) -> tuple[Column, ...]:
        """The output columns in their order."""
        return tuple(column for select in self.selects for column in select.all_columns())

    def constant(self, name: str) -> Constant | None:
        """The value of a constant; None when there is none of that name."""
        return dict(self.constants).get(name)


@lru_cache(maxsize=4096)
def parse(path: str) -> Node:
    """The tree of a path."""
    return parse_path(path)


def read_view(resource: Mapping[str, Any]) -> ViewDefinition:
    """The view that a ViewDefinition declares. Raises Incorrect that lists every fault with its place."""
    reader = _Reader()
    view = reader.view(resource)
    if reader.issues:
        what = "; ".join(f"{issue.expression}: {issue.text}" for issue in reader.issues)
        raise Incorrect(f"the ViewDefinition cannot be used: {what}", issues=reader.issues)
    return view


class _Reader:
    """Reads what it can and notes what is wrong."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def wrong(self, place: str, text: str, code: str = "value") -> None:
        self.issues.append(Issue("error", code, place, text))

    def view(self, raw: Any) -> ViewDefinition:
        place = "ViewDefinition"
        if not isinstance(raw, Mapping):
            self.wrong(place, "a ViewDefinition is a JSON object", "structure")
            return ViewDefinition("", ())
        self.known(raw, _VIEW, place)
        if raw.get("resourceType", "ViewDefinition") != "ViewDefinition":
            self.wrong(f"{place}.resourceType", "it is another resource; send a ViewDefinition")
        type_ = self.text(raw, "resource", place, needed=True)
        if type_ and not definitions().is_resource(type_):
            self.wrong(f"{place}.resource", "there is no resource type of this name in FHIR R4")
        constants = tuple(self.constants(raw, place))
        selects = tuple(self.select(one, at, 1) for one, at in self.items(raw, "select", place))
        if not selects and "select" not in {i.expression.rpartition(".")[2] for i in self.issues}:
            self.wrong(f"{place}.select", "a view selects something; add at least one select with columns", "required")
        where = tuple(
            self.path(one, at)
            for one, at in self.items(raw, "where", place)
            if self.known(one, {*_ANY, "path", "description"}, at)
        )
        names = [column.name for select in selects for column in select.all_columns() if column.name]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.wrong(f"{place}.select", f"the column {name} is there more than once; give each its own name")
        return ViewDefinition(
            type_, selects, where, constants,
            *(raw[key] if isinstance(raw.get(key), str) else "" for key in ("name", "title", "url", "version", "description")),
        )  # fmt: skip

    def known(self, raw: Any, names: frozenset[str] | set[str], place: str) -> bool:
        """Whether it is an object; elements that it cannot have are noted."""
        if not isinstance(raw, Mapping):
            self.wrong(place, "an object belongs here", "structure")
            return False
        for key in raw:
            if key.lstrip("_") not in names:
                self.wrong(f"{place}.{key}", "there is no such element; check its spelling", "structure")
        return True

    def items(self, raw: Mapping[str, Any], key: str, place: str) -> Iterator[tuple[Any, str]]:
        """The items of an array, each with its place."""
        found = raw.get(key)
        if found is None:
            return
        if not isinstance(found, list) or not found:
            self.wrong(f"{place}.{key}", "an array with at least one item belongs here", "structure")
            return
        for number, one in enumerate(found):
            yield one, f"{place}.{key}[{number}]"

    def text(self, raw: Mapping[str, Any], key: str, place: str, *, needed: bool = False) -> str:
        found = raw.get(key)
        if found is None and not needed:
            return ""
        if not isinstance(found, str) or not found.strip():
            self.wrong(f"{place}.{key}", "it needs a text here", "required" if found is None else "structure")
            return ""
        return found

    def path(self, raw: Mapping[str, Any], place: str, key: str = "path", *, needed: bool = True) -> str:
        return self.readable(self.text(raw, key, place, needed=needed), f"{place}.{key}")

    def readable(self, path: str, place: str) -> str:
        try:
            if path:
                parse(path)
        except Unreadable as problem:
            self.wrong(place, problem.message, "invalid")
            return ""
        return path

    def select(self, raw: Any, place: str, depth: int) -> Select:
        if not self.known(raw, _SELECT, place):
            return Select()
        if depth > _DEEPEST:
            self.wrong(place, f"selects are nested more than {_DEEPEST} deep", "structure")
            return Select()
        present = [key for key in _ITERATIONS if key in raw]
        if len(present) > 1:
            self.wrong(place, f"{' and '.join(present)} exclude each other; nest one select in another")
        columns = tuple(self.column(one, at) for one, at in self.items(raw, "column", place))
        selects = tuple(self.select(one, at, depth + 1) for one, at in self.items(raw, "select", place))
        union = tuple(self.select(one, at, depth + 1) for one, at in self.items(raw, "unionAll", place))
        if not {"column", "select", "unionAll"} & set(raw):
            self.wrong(place, "it selects nothing; add column, select or unionAll", "required")
        self.equal_columns(union, place)
        return Select(
            columns, selects, union,
            self.path(raw, place, "forEach", needed="forEach" in raw),
            self.path(raw, place, "forEachOrNull", needed="forEachOrNull" in raw),
            tuple(self.repeated(raw, place)),
        )  # fmt: skip

    def repeated(self, raw: Mapping[str, Any], place: str) -> Iterator[str]:
        for one, at in self.items(raw, "repeat", place):
            if isinstance(one, str) and one.strip():
                yield self.readable(one, at)
            else:
                self.wrong(at, "it needs a text here", "structure")

    def equal_columns(self, union: tuple[Select, ...], place: str) -> None:
        """Constraint sql-union: every branch has the same columns in the same order."""
        if len({_signature(select) for select in union}) > 1:
            self.wrong(
                f"{place}.unionAll", "all branches need the same columns, in the same order and of the same types"
            )

    def column(self, raw: Any, place: str) -> Column:
        if not self.known(raw, _COLUMN, place):
            return Column("", "")
        name = self.text(raw, "name", place, needed=True)
        if name and not _NAME.fullmatch(name):
            self.wrong(f"{place}.name", "a name has letters, digits and underscores, and begins with a letter")
        collection = raw.get("collection", False)
        if not isinstance(collection, bool):
            self.wrong(f"{place}.collection", "it is true or false", "structure")
        tags = tuple(
            (self.text(one, "name", at, needed=True), self.text(one, "value", at, needed=True))
            for one, at in self.items(raw, "tag", place) if self.known(one, {*_ANY, "name", "value"}, at)
        )  # fmt: skip
        type_ = self.text(raw, "type", place).removeprefix(_STRUCTURE)
        return Column(
            name, self.path(raw, place), type_, collection is True, self.text(raw, "description", place), tags
        )

    def constants(self, raw: Mapping[str, Any], place: str) -> Iterator[tuple[str, Constant]]:
        seen = set()
        for one, at in self.items(raw, "constant", place):
            if not isinstance(one, Mapping):
                self.wrong(at, "an object belongs here", "structure")
                continue
            name = self.text(one, "name", at, needed=True)
            if name and not _NAME.fullmatch(name):
                self.wrong(f"{at}.name", "a name has letters, digits and underscores, and begins with a letter")
            if name in seen:
                self.wrong(f"{at}.name", "there is a constant of this name already")
            seen.add(name)
            value = self.constant(one, at)
            if value is not None and name:
                yield name, value

    def constant(self, raw: Mapping[str, Any], place: str) -> Constant | None:
        keys = [key for key in raw if key.startswith("value")]
        self.known({key: 0 for key in raw if key not in keys}, {*_ANY, "name"}, place)
        if len(keys) != 1 or keys[0] not in _CONSTANTS:
            self.wrong(place, f"a constant has one value: {', '.join(sorted(_CONSTANTS))}", "required")
            return None
        found = _CONSTANTS[keys[0]](raw[keys[0]])
        if found is None:
            self.wrong(f"{place}.{keys[0]}", "this is no value of that type")
        return found


def _signature(select: Select) -> tuple[tuple[str, str, bool], ...]:
    return tuple((column.name, column.type, column.collection) for column in select.all_columns())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31 else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    found = Decimal(str(value))
    return found if found.is_finite() else None


def _temporal(of: type[Date] | type[DateTime] | type[Time]) -> Callable[[Any], Constant | None]:
    return lambda value: of.parse(value) if isinstance(value, str) else None


# The types of ViewDefinition.constant.value[x]
_CONSTANTS: dict[str, Callable[[Any], Constant | None]] = {
    **{f"value{name}": _text for name in ("Base64Binary", "Code", "Id", "Oid", "String", "Uri", "Url", "Uuid", "Canonical", "Markdown")},
    **{f"value{name}": _integer for name in ("Integer", "PositiveInt", "UnsignedInt")},
    "valueBoolean": _boolean,
    "valueDecimal": _decimal,
    "valueDate": _temporal(Date),
    "valueDateTime": _temporal(DateTime),
    "valueInstant": _temporal(DateTime),
    "valueTime": _temporal(Time),
}  # fmt: skip
