"""Index values of a whole resource, by search-parameter paths compiled ahead.

All paths of a type are merged into one tree of steps, so that each element is visited once however many parameters
use it, and elements a resource does not have cost nothing. What to do at each place is a closure; the paths come
from the compiled definitions (fhir.compile.paths).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import Component, Definitions, SearchParameter, ValuePath, definitions
from healthbrain.fhir.indexing import CONVERTERS, Convert, Found, code_with_system, references_to, resource_of
from healthbrain.fhir.values import Composite, IndexValues

Visit = Callable[[Any, Found], None]
Step = tuple[Any, ...]

_LISTS = {
    "token": "tokens",
    "reference": "references",
    "string": "texts",
    "date": "dates",
    "number": "numbers",
    "quantity": "numbers",
    "uri": "uris",
}


_Parts = tuple[tuple[Component, tuple[ValuePath, ...]], ...]
_new = tuple.__new__


@dataclass(slots=True)
class _Place:
    """A node of the tree: what is taken here, and where steps lead on to."""

    takes: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)  # (type, element, binding) -> params
    composites: list[tuple[str, _Parts]] = field(default_factory=list)
    steps: dict[Step, _Place] = field(default_factory=dict)

    def at(self, steps: tuple[Step, ...]) -> _Place:
        """The place the steps lead to, made if new."""
        place = self
        for step in steps:
            key = tuple(tuple(part) if isinstance(part, list) else part for part in step)
            place = place.steps.setdefault(key, _Place())
        return place


def extract(resource: dict[str, Any]) -> IndexValues:
    """Everything a (valid) resource can be found by, and the patients in whose compartment it lies."""
    name = resource["resourceType"]
    visit, compartment = _plan(name)
    found = Found(resource)
    visit(resource, found)
    patients = [ref.id for ref in found.references if ref.type == "Patient" and ref.id and ref.param in compartment]
    if name == "Patient" and "id" in resource:
        patients.insert(0, resource["id"])
    return IndexValues(
        tuple(found.tokens),
        tuple(found.references),
        tuple(found.texts),
        tuple(found.dates),
        tuple(found.numbers),
        tuple(found.uris),
        tuple(found.composites),
        tuple(dict.fromkeys(patients)),
    )


@cache
def _plan(name: str) -> tuple[Visit, frozenset[str]]:
    """The visit of a type's resources, and the parameters of its patient compartment."""
    known = definitions()
    root = _Place()
    for parameter in known.search_parameters(name).values():
        _enter(root, parameter)
    return _Compiler(known).object(root), frozenset(known.patient_compartment(name))


def _enter(root: _Place, parameter: SearchParameter) -> None:
    for index, path in enumerate(parameter.paths):
        place = root.at(path.steps)
        if parameter.type == "composite":
            parts = tuple((component, component.paths[index]) for component in parameter.components)
            place.composites.append((parameter.code, parts))
        else:
            kind = path.type if path.type != "Resource" or not parameter.targets else parameter.targets[0]
            place.takes.setdefault((parameter.type, kind, path.binding), []).append(parameter.code)


class _Compiler:
    """Turns a tree of places into closures."""

    def __init__(self, known: Definitions) -> None:
        self.known = known
        self.reference = references_to(known)

    def object(self, place: _Place) -> Visit:
        """A visit of an object by its keys: what the resource does not have is never looked for."""
        keyed: dict[str, list[Visit]] = {}
        always: list[Visit] = list(self._here(place))
        for step, after in place.steps.items():
            if step[0] in {"one", "many"}:
                keyed.setdefault(step[1], []).append(self._keyed(step[0], after))
            else:
                always.append(self._special(step, after))
        table = {key: _all(visits) for key, visits in keyed.items()}
        if len(table) <= 4 and not always:
            return _few_keys(tuple(table.items()))

        def visit(value: Any, found: Found) -> None:
            for key in value:
                inner = table.get(key)
                if inner is not None:
                    inner(value[key], found)
            for each in always:
                each(value, found)

        return visit

    def _keyed(self, kind: str, after: _Place) -> Visit:
        if any(step[0] == "at" for step in after.steps):
            return self._positions(after)
        inner = self._value(after)
        if kind == "one":
            return inner

        def each(values: Any, found: Found) -> None:
            for value in values:
                if value is not None:
                    inner(value, found)

        return each

    def _positions(self, after: _Place) -> Visit:
        """A list of which only one item counts, as in Bundle.entry[0]; other steps still see every item."""
        others = _Place(after.takes, after.composites, {s: p for s, p in after.steps.items() if s[0] != "at"})
        fixed = [(step[1], self._value(place)) for step, place in after.steps.items() if step[0] == "at"]
        rest = self._value(others)

        def visit(values: Any, found: Found) -> None:
            for value in values:
                rest(value, found)
            for index, inner in fixed:
                if index < len(values):
                    inner(values[index], found)

        return visit

    def _value(self, place: _Place) -> Visit:
        """A visit of one value: take it, and go on into it if it is an object."""
        visits = list(self._here(place))
        if place.steps:
            visits.append(self.object(_Place(steps=place.steps)))
        return _all(visits)

    def _here(self, place: _Place) -> list[Visit]:
        visits = []
        for (kind, element, binding), codes in place.takes.items():
            convert = self._converter(kind, element, binding)
            if convert is not None:
                visits.append(_take(convert, tuple(codes)))
        if place.composites:
            visits.append(self._composites(place.composites))
        return visits

    def _converter(self, kind: str, element: str, binding: str) -> Convert | None:
        if element == "Reference":
            return self.reference if kind == "reference" else None
        if element == "Extension":
            return self._extension_value(kind)
        if element == "code" and binding and (codes := self.known.codes(binding)):
            return code_with_system({code: system for system, listed in codes.items() for code in listed})
        if self.known.is_resource(element):
            return resource_of(element)
        return CONVERTERS.get((kind, element))

    def _extension_value(self, kind: str) -> Convert:
        """The value[x] of an extension, whatever type it has."""
        table = {}
        for key, choice in self.known.type("Extension").elements["value"].keys().items():
            convert = self._converter(kind, choice.code, "")
            if convert is not None:
                table[key] = convert

        def take(value: Any, params: tuple[str, ...], found: Found) -> None:
            for key, content in value.items():
                if key in table:
                    table[key](content, params, found)

        return take

    def _special(self, step: Step, after: _Place) -> Visit:
        kind = step[0]
        inner = self._value(after)
        if kind == "is":
            return self._only_type(step[1], inner)
        if kind == "where":
            return _where(step[1], step[2], inner)
        if kind == "has":
            return _has(step[1], inner)
        if kind == "ext":
            return _extension(step[1], inner)
        if kind == "true":
            return _set_and_true(step[1], inner)
        if kind == "root":
            return lambda value, found: inner(found.resource, found)
        raise AssertionError(f"unknown step {kind}")  # the compiler of paths makes no other

    def _only_type(self, wanted: str, inner: Visit) -> Visit:
        """References to resources of one type: by their text, their type element, or the contained resource."""
        start = f"{wanted}/"

        def visit(value: Any, found: Found) -> None:
            text = value.get("reference", "")
            if text.startswith(start) or _type_of(text, value, found) == wanted:
                inner(value, found)

        return visit

    def _composites(self, composites: list[tuple[str, _Parts]]) -> Visit:
        """All composites of one place. Parts that several have in common are read once."""
        readers: list[tuple[Visit, str]] = []
        known: dict[tuple[str, tuple[ValuePath, ...]], int] = {}
        plans: dict[str | None, list[tuple[str, list[int]]]] = {}  # by a key that must be there
        for code, parts in composites:
            columns = []
            for component, paths in parts:
                if (component.type, paths) not in known:
                    known[component.type, paths] = len(readers)
                    readers.append((self._part(component, paths), _LISTS[component.type]))
                columns.append(known[component.type, paths])
            for key in _first_keys(parts[-1][1]):
                plans.setdefault(key, []).append((code, columns))

        def visit(value: Any, found: Found) -> None:
            read: dict[int, list[Any]] = {}
            for key in plans:
                if key is None or key in value:
                    for code, columns in plans[key]:
                        for number in columns:
                            if number not in read:
                                read[number] = _column(readers[number], value, found)
                        for combination in product(*[read[number] for number in columns]):
                            found.composites.append(_new(Composite, (code, combination)))

        return visit

    def _part(self, component: Component, paths: tuple[ValuePath, ...]) -> Visit:
        place = _Place()
        for path in paths:
            place.at(path.steps).takes.setdefault((component.type, path.type, path.binding), []).append("")
        return self.object(place)


def _first_keys(paths: tuple[ValuePath, ...]) -> list[str | None]:
    """The keys one of which must be there for the paths to find anything; None when that is not simple.

    A choice element has one value, so at most one of several keys is there.
    """
    firsts = dict.fromkeys(path.steps[0] for path in paths)
    return [step[1] for step in firsts] if all(step[0] in {"one", "many"} for step in firsts) else [None]


def _column(reader: tuple[Visit, str], value: Any, found: Found) -> list[Any]:
    """The values of one part of a composite."""
    scratch = Found(found.resource)
    reader[0](value, scratch)
    column: list[Any] = getattr(scratch, reader[1])
    return column


def _take(convert: Convert, params: tuple[str, ...]) -> Visit:
    def visit(value: Any, found: Found) -> None:
        convert(value, params, found)

    return visit


def _all(visits: list[Visit]) -> Visit:
    if len(visits) == 1:
        return visits[0]
    many = tuple(visits)

    def visit(value: Any, found: Found) -> None:
        for each in many:
            each(value, found)

    return visit


def _few_keys(table: tuple[tuple[str, Visit], ...]) -> Visit:
    def visit(value: Any, found: Found) -> None:
        for key, inner in table:
            content = value.get(key)
            if content is not None:
                inner(content, found)

    return visit


def _where(key: str, wanted: str, inner: Visit) -> Visit:
    def visit(value: Any, found: Found) -> None:
        if value.get(key) == wanted:
            inner(value, found)

    return visit


def _has(url: str, inner: Visit) -> Visit:
    def visit(value: Any, found: Found) -> None:
        if any(extension.get("url") == url for extension in value.get("extension", ())):
            inner(value, found)

    return visit


def _extension(url: str, inner: Visit) -> Visit:
    def visit(value: Any, found: Found) -> None:
        for extension in value.get("extension", ()):
            if extension.get("url") == url:
                inner(extension, found)

    return visit


def _set_and_true(keys: tuple[str, ...], inner: Visit) -> Visit:
    def visit(value: Any, found: Found) -> None:
        inner(any(value.get(key, False) is not False for key in keys), found)

    return visit


def _type_of(text: str, value: dict[str, Any], found: Found) -> str:
    """The type a reference resolves to as far as the resource itself tells."""
    target = reference.read(text) if text else None
    if target is not None and target.form == "local":
        for contained in found.resource.get("contained", ()):
            if contained.get("id") == target.id:
                return str(contained.get("resourceType"))
    if target is not None and target.type:
        return target.type
    return str(value.get("type", ""))
