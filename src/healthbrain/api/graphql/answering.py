"""Answering a query: from the fields asked for and stored resources to a tree of exactly those fields.

Every resource is fetched within the scope that the caller has for its type, so a reference into what the caller may
not see is as if nothing were there. What fails in one place is null there and stands in `errors` with its path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from healthbrain.api.graphql.document import Field
from healthbrain.errors import Forbidden, HealthBrainError, Incorrect, NotFound, TooLarge
from healthbrain.fhir import definitions, fhirpath, reference
from healthbrain.fhir.definitions import TypeChoice
from healthbrain.fhir.fhirpath.budget import Budget
from healthbrain.fhir.primitives import is_primitive
from healthbrain.store import Page

MOST_FETCHES = 500  # reads and searches of one query
MOST_VALUES = 200_000  # values in the answer
USUAL, LARGEST = 50, 500  # resources of one list
_NO_ELEMENT = frozenset({"_count", "_offset", "fhirpath"})
_LONGEST_PATH = 1000  # characters of a FHIRPath expression
_STEPS = 100_000  # that the expressions of one query may take together

Resource = dict[str, Any]
Path = tuple[str | int, ...]
Read = Callable[[str, str], Awaitable[Resource]]
Search = Callable[[str, list[tuple[str, str]]], Awaitable[Page]]


@dataclass(slots=True)
class Answering:
    """One query under way. `read` and `search` know the caller's scope."""

    read: Read
    search: Search
    errors: list[dict[str, Any]] = field(default_factory=list)
    _held: dict[tuple[str, str], Resource | HealthBrainError] = field(default_factory=dict)
    _fetches: int = 0
    _values: int = 0
    _budget: Budget = field(default_factory=lambda: Budget(_STEPS))

    async def system(self, fields: Sequence[Field]) -> dict[str, Any]:
        """`{ Patient(id: "1") {...}  PatientList(name: "x") {...} }`"""
        made: dict[str, Any] = {}
        for one in fields:
            made[one.key] = await self._caught(self._root(one, (one.key,)), (one.key,))
        return made

    async def instance(self, resource: Resource, fields: Sequence[Field]) -> dict[str, Any]:
        """The fields of one resource."""
        return await self._object(resource, str(resource["resourceType"]), fields, (), resource)

    async def _root(self, one: Field, path: Path) -> Any:
        if one.name == "__typename":
            return "Query"
        if definitions().is_resource(one.name):
            id_ = one.arguments.get("id") or one.arguments.get("_id")
            if not isinstance(id_, str):
                raise Incorrect(f"{one.name} takes id, the logical id of the resource; {one.name}List searches")
            resource = await self._fetch(one.name, id_)
            return await self._object(resource, one.name, one.children, path, resource)
        return await self._found(one, path, None)

    # -- objects and their fields

    async def _object(
        self, value: Resource, type_: str, fields: Sequence[Field], path: Path, root: Resource
    ) -> dict[str, Any]:
        if not fields:
            raise Incorrect(f"{type_} has elements: say in braces which of them are wanted")
        made: dict[str, Any] = {}
        for one in fields:
            if one.on and one.on not in _kinds(type_):
                continue
            place = (*path, one.key)
            found = await self._caught(self._field(value, type_, one, place, root), place)
            if one.slice and found is not None:
                _in_slices(made, found, one)
            elif "flatten" in one.directives and found is not None:
                _flatten(made, found)
            elif one.key in made and isinstance(found, dict) and isinstance(made[one.key], dict):
                made[one.key] |= found  # the same field twice, from two fragments
            else:
                made[one.key] = found
        return made

    async def _field(self, value: Resource, type_: str, one: Field, path: Path, root: Resource) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            raise TooLarge(f"the answer would hold more than {MOST_VALUES} values; ask for less")
        if one.name == "__typename":
            return type_
        is_resource = definitions().is_resource(type_)
        if one.name == "resourceType" and is_resource:
            return type_
        if one.name == "resource" and type_ == "Reference":
            return await self._target(value, one, path, root)
        choice = _choice(type_, one.name)
        if choice is None:
            if is_resource and one.name.endswith(("List", "Connection")):
                return await self._found(one, path, f"{type_}/{value.get('id')}")
            raise Incorrect(f"{type_} has no element '{one.name}'")
        found = value.get(one.name)
        if found is None:
            return None
        if isinstance(found, list):
            return await self._list(found, choice, one, path, root)
        return await self._value(found, choice, one, path, root)

    async def _list(self, found: list[Any], choice: TypeChoice, one: Field, path: Path, root: Resource) -> Any:
        kept = [item for item in found if _fits(item, one.arguments)]
        if (path_ := one.arguments.get("fhirpath")) is not None:
            rule = _condition(path_)
            kept = [item for item in kept if self._holds(rule, item, choice, root)]
        offset = _whole(one.arguments.get("_offset", 0), "_offset")
        kept = kept[offset:]
        if (count := one.arguments.get("_count")) is not None:
            kept = kept[: _whole(count, "_count")]
        if "first" in one.directives:
            kept = kept[:1]
        made = [await self._value(item, choice, one, (*path, n), root) for n, item in enumerate(kept)]
        if one.slice:
            parts = [_slice_of(item, n, choice, one.slice) for n, item in enumerate(kept)]
            return list(zip(parts, made, strict=True))
        if "singleton" in one.directives or "first" in one.directives:
            return made[0] if made else None
        return made

    def _holds(self, rule: fhirpath.Expression, item: Any, choice: TypeChoice, root: Resource) -> bool:
        """Whether an item of a list is one that the expression says yes to."""
        if item is None:
            return False
        type_ = choice.shape if isinstance(item, dict) else choice.code
        return rule.boolean(item, type=type_, resource=root, budget=self._budget) is True

    async def _value(self, value: Any, choice: TypeChoice, one: Field, path: Path, root: Resource) -> Any:
        if not isinstance(value, dict):
            if one.children:
                raise Incorrect(f"'{one.name}' is a plain value and has no elements")
            return value
        type_ = choice.shape
        if type_ == "Resource":
            type_ = str(value.get("resourceType"))
        return await self._object(value, type_, one.children, path, root)

    # -- other resources

    async def _target(self, value: Resource, one: Field, path: Path, root: Resource) -> Any:
        text = value.get("reference")
        try:
            if not isinstance(text, str):
                raise NotFound("the reference names no resource")
            resource = await self._referred(text, root)
        except NotFound:
            if str(one.arguments.get("optional", "false")).lower() == "true":
                return None
            raise
        type_ = str(resource["resourceType"])
        if (wanted := one.arguments.get("type")) and wanted != type_:
            return None
        return await self._object(resource, type_, one.children, path, resource)

    async def _referred(self, text: str, root: Resource) -> Resource:
        if text.startswith("#"):
            contained = root.get("contained", [])
            found = next((item for item in contained if item.get("id") == text[1:]), root if text == "#" else None)
            if found is None:
                raise NotFound("the reference names no contained resource")
            return dict(found)
        target = reference.read(text)
        if target.form != "relative":
            raise NotFound("the reference leads to another server")
        return await self._fetch(target.type, target.id)

    async def _fetch(self, type_: str, id_: str) -> Resource:
        key = (type_, id_)
        if key not in self._held:
            self._count_fetch()
            try:
                self._held[key] = await self.read(type_, id_)
            except (NotFound, Forbidden) as missing:
                self._held[key] = missing
        held = self._held[key]
        if isinstance(held, HealthBrainError):
            raise held
        return held

    async def _found(self, one: Field, path: Path, referred: str | None) -> Any:
        """TypeList and TypeConnection: a search; inside a resource, for what refers to it by `_reference`."""
        connection = one.name.endswith("Connection")
        type_ = one.name.removesuffix("Connection" if connection else "List")
        if type_ == one.name or not definitions().is_resource(type_):
            raise Incorrect(
                "the query asks for Type(id: ...), TypeList(...) or TypeConnection(...), Type being one of R4"
            )
        question = _question(one, referred)
        total = connection and any(child.name == "count" for child in one.children)
        if total:
            question.append(("_total", "accurate"))
        self._count_fetch()
        page = await self.search(type_, question)
        resources = [stored.resource for stored in page.matches]
        if not connection:
            return [await self._object(item, type_, one.children, (*path, n), item) for n, item in enumerate(resources)]
        return await self._connection(one, type_, page, resources, path)

    async def _connection(
        self, one: Field, type_: str, page: Page, resources: Sequence[Resource], path: Path
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for child in one.children:
            match child.name:
                case "count":
                    made[child.key] = page.total
                case "pagesize":
                    made[child.key] = len(resources)
                case "next":
                    made[child.key] = page.next
                case "edges":
                    made[child.key] = [
                        await self._edge(child, type_, item, (*path, child.key, n)) for n, item in enumerate(resources)
                    ]
                case _:
                    raise Incorrect("a connection has count, pagesize, next and edges")
        return made

    async def _edge(self, edges: Field, type_: str, resource: Resource, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for child in edges.children:
            match child.name:
                case "mode":
                    made[child.key] = "match"
                case "resource":
                    made[child.key] = await self._object(resource, type_, child.children, (*path, child.key), resource)
                case _:
                    raise Incorrect("an edge has mode and resource")
        return made

    def _count_fetch(self) -> None:
        self._fetches += 1
        if self._fetches > MOST_FETCHES:
            raise TooLarge(f"the query leads to more than {MOST_FETCHES} reads and searches; ask for less at once")

    async def _caught(self, work: Awaitable[Any], path: Path) -> Any:
        """The result; or null and an error, unless the whole query is at fault."""
        try:
            return await work
        except TooLarge:
            raise
        except (Incorrect, NotFound, Forbidden) as error:
            self.errors.append({"message": error.message, "path": list(path)})
            return None


def _condition(text: Any) -> fhirpath.Expression:
    """name(fhirpath: "use = 'official'"): the expression that each item is asked (R4 graphql, list navigation)."""
    if not isinstance(text, str) or len(text) > _LONGEST_PATH:
        raise Incorrect(f"fhirpath is an expression of at most {_LONGEST_PATH} characters")
    return fhirpath.compile(text, limited=True)


def _kinds(type_: str) -> set[str]:
    return {type_, "Resource", "DomainResource"} if definitions().is_resource(type_) else {type_}


def _choice(type_: str, name: str) -> TypeChoice | None:
    """The type of an element by its JSON name; `_birthDate` is the Element beside a primitive."""
    try:
        elements = definitions().type(type_).elements
    except KeyError:
        return None
    for element in elements.values():
        found = element.keys().get(name)
        if found is not None:
            return found
        beside = element.keys().get(name.removeprefix("_")) if name.startswith("_") else None
        if beside is not None and is_primitive(beside.code):
            return TypeChoice("Element", (), "Element")
    return None


def _fits(item: Any, arguments: Mapping[str, Any]) -> bool:
    """name(use: official): of the items those whose elements have these values."""
    for name, wanted in arguments.items():
        if name in _NO_ELEMENT:
            continue
        value = item.get(name) if isinstance(item, dict) else None
        values = value if isinstance(value, list) else [value]
        if not any(str(one).lower() == str(wanted).lower() if isinstance(one, bool) else str(one) == str(wanted) for one in values if one is not None):  # fmt: skip
            return False
    return True


def _slice_of(item: Any, place: int, choice: TypeChoice, path: str) -> str:
    """The name of the slice an item belongs to: what the path finds in it, or its place in the list."""
    if path == "$index":
        return str(place)
    found = fhirpath.compile(path)(item, type=choice.shape if isinstance(item, dict) else choice.code)
    if len(found) > 1 or not all(isinstance(value, (str, int, float)) for value in found):
        raise Incorrect("the path of @slice leads to one plain value of each item")
    return _text(found[0]) if found else ""


def _in_slices(made: dict[str, Any], found: Any, one: Field) -> None:
    """@slice: each part of a list under a name of its own, name.official; with @flatten its fields, given.official."""
    if not isinstance(found, list):
        raise Incorrect("only an element that repeats can be sliced")
    flat = "flatten" in one.directives
    names = [part for part, _ in found]
    for part, value in found:
        single = names.count(part) == 1 and (flat or "singleton" in one.directives)
        if flat and not isinstance(value, dict):
            raise Incorrect("only what has elements of its own can be flattened")
        for name, content in value.items() if flat else [(one.key, value)]:
            key = f"{name}.{part}" if part else name
            if single:
                made[key] = content
            else:
                made.setdefault(key, []).extend(content if flat and isinstance(content, list) else [content])


def _question(one: Field, referred: str | None) -> list[tuple[str, str]]:
    """The arguments of a list as search parameters; GraphQL names have _ where FHIR has -."""
    question: list[tuple[str, str]] = []
    count = USUAL
    for name, value in one.arguments.items():
        if value is None:
            continue
        text = ",".join(map(_text, value)) if isinstance(value, list) else _text(value)
        if name == "_count":
            count = min(_whole(text, name), LARGEST)
        elif name == "_reference":
            if referred is None:
                raise Incorrect("_reference belongs to a list inside a resource")
            question.append((text.replace("_", "-"), referred))
        elif name.startswith(("_include", "_revinclude", "_elements", "_summary")):
            raise Incorrect(f"{name} has no meaning here: the query itself says what is wanted")
        else:
            question.append((name[0] + name[1:].replace("_", "-"), text))
    if referred is not None and "_reference" not in one.arguments:
        raise Incorrect(f"{one.name} inside a resource needs _reference, the parameter by which they refer to it")
    return [*question, ("_count", str(max(count, 1)))]


def _text(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise Incorrect("an argument is a plain value or a list of them")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(value: Any, name: str) -> int:
    text = str(value)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Incorrect(f"{name} is a whole number")
    return int(text)


def _flatten(made: dict[str, Any], found: Any) -> None:
    """@flatten: the element goes, its own fields stand in its place, of several as lists."""
    items = found if isinstance(found, list) else [found]
    for item in items:
        if not isinstance(item, dict):
            raise Incorrect("only what has elements of its own can be flattened")
        for key, value in item.items():
            if isinstance(found, list):
                held = made.setdefault(key, [])
                held.extend(value if isinstance(value, list) else [value]) if isinstance(held, list) else None
            else:
                made[key] = value
