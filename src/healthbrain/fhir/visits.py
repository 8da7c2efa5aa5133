"""A tree of search-parameter paths turned into closures that walk a resource once.

All closures have one form, (value, params, found); those that only lead on ignore `params`. What is to be done with a
value is a tuple of such closures with their params, so that a place costs a loop and not a chain of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import Component, Definitions, ValuePath
from healthbrain.fhir.indexing import (
    CONVERTERS,
    Convert,
    Found,
    Params,
    code_with_system,
    references_to,
    resource_of,
)
from healthbrain.fhir.values import Composite

Step = tuple[Any, ...]
Parts = tuple[tuple[Component, tuple[ValuePath, ...]], ...]
Does = tuple[tuple[Convert, Params], ...]

_LISTS = {
    "token": "tokens",
    "reference": "references",
    "string": "texts",
    "date": "dates",
    "number": "numbers",
    "quantity": "numbers",
    "uri": "uris",
}
_NONE: Params = ()
_new = tuple.__new__


@dataclass(slots=True)
class Place:
    """A node of the tree: what is taken here, and where steps lead on to."""

    takes: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)  # (type, element, binding) -> params
    composites: list[tuple[str, Parts]] = field(default_factory=list)
    steps: dict[Step, Place] = field(default_factory=dict)

    def at(self, steps: tuple[Step, ...]) -> Place:
        """The place the steps lead to, made if new."""
        place = self
        for step in steps:
            key = tuple(tuple(part) if isinstance(part, list) else part for part in step)
            place = place.steps.setdefault(key, Place())
        return place

    def take(self, kind: str, path: ValuePath, param: str, targets: tuple[str, ...] = ()) -> None:
        """Take the values at the end of a path for a parameter of the kind."""
        element = targets[0] if targets and path.type == "Resource" else path.type
        self.at(path.steps).takes.setdefault((kind, element, path.binding), []).append(param)


class Compiler:
    """Turns places into closures."""

    def __init__(self, known: Definitions) -> None:
        self.known = known
        self.reference = references_to(known)

    def object(self, place: Place) -> Convert:
        """The walk of an object by its keys: what the resource does not have is never looked for."""
        table: dict[str, Does] = {}
        always = self._takes(place)
        for step, after in place.steps.items():
            if step[0] == "one":
                table[step[1]] = table.get(step[1], ()) + self.does(after)
            elif step[0] == "many":
                table[step[1]] = (*table.get(step[1], ()), (self._each(after), _NONE))
            else:
                always = (*always, (self._special(step, after), _NONE))
        return _by_wanted_keys(tuple(table.items())) if len(table) <= 4 and not always else _by_own_keys(table, always)

    def does(self, place: Place) -> Does:
        """What to do with one value: take it, and go on into it if it is an object."""
        here = self._takes(place)
        return (*here, (self.object(Place(steps=place.steps)), _NONE)) if place.steps else here

    def converter(self, kind: str, element: str, binding: str = "") -> Convert | None:
        """How values of an element type answer a parameter type; None when they don't."""
        if element == "Reference":
            return self.reference if kind == "reference" else None
        if element == "Extension":
            return self._extension_value(kind)
        if element == "code" and binding and (codes := self.known.codes(binding)):
            return code_with_system({code: system for system, listed in codes.items() for code in listed})
        if self.known.is_resource(element):
            return resource_of(element)
        return CONVERTERS.get((kind, element))

    def _takes(self, place: Place) -> Does:
        does = [
            (convert, tuple(codes))
            for (kind, element, binding), codes in place.takes.items()
            if (convert := self.converter(kind, element, binding)) is not None
        ]
        if place.composites:
            does.append((self._composites(place.composites), _NONE))
        return tuple(does)

    def _each(self, after: Place) -> Convert:
        """The walk of an array; `[0]`, as in Bundle.entry[0], sees one item, everything else all."""
        fixed = [(step[1], self.does(place)) for step, place in after.steps.items() if step[0] == "at"]
        does = self.does(Place(after.takes, after.composites, {s: p for s, p in after.steps.items() if s[0] != "at"}))

        def each(values: Any, params: Params, found: Found) -> None:
            for value in values:
                if value is not None:
                    for do, names in does:
                        do(value, names, found)
            for index, first in fixed:
                if index < len(values):
                    _do(first, values[index], found)

        return each

    def _extension_value(self, kind: str) -> Convert:
        """The value[x] of an extension, whatever type it has."""
        table = {}
        for key, choice in self.known.type("Extension").elements["value"].keys().items():
            convert = self.converter(kind, choice.code)
            if convert is not None:
                table[key] = convert

        def take(value: Any, params: Params, found: Found) -> None:
            for key, content in value.items():
                if key in table:
                    table[key](content, params, found)

        return take

    def _special(self, step: Step, after: Place) -> Convert:
        does = self.does(after)
        name, *arguments = step
        special: dict[str, Callable[..., Convert]] = {
            "is": _only_type,
            "where": _where,
            "has": _has,
            "ext": _extension,
            "true": _set_and_true,
            "root": _root,
        }
        return special[name](does, *arguments)

    def _composites(self, composites: list[tuple[str, Parts]]) -> Convert:
        """All composites of one place. Parts that several have in common are read once."""
        readers: list[tuple[Convert, str]] = []
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

        def visit(value: Any, params: Params, found: Found) -> None:
            read: dict[int, list[Any]] = {}
            scratch: Found | None = None
            for key in plans:
                if key is None or key in value:
                    scratch = scratch or Found(found.resource, found.amounts)
                    for code, columns in plans[key]:
                        for number in columns:
                            if number not in read:
                                read[number] = _column(readers[number], value, scratch)
                        for combination in product(*[read[number] for number in columns]):
                            found.composites.append(_new(Composite, (code, combination)))

        return visit

    def _part(self, component: Component, paths: tuple[ValuePath, ...]) -> Convert:
        place = Place()
        for path in paths:
            place.take(component.type, path, "")
        return self.object(place)


def _do(does: Does, value: Any, found: Found) -> None:
    for do, names in does:
        do(value, names, found)


def _by_own_keys(table: dict[str, Does], always: Does) -> Convert:
    def walk(value: Any, params: Params, found: Found) -> None:
        for key in value:
            if key in table:
                content = value[key]
                for do, names in table[key]:
                    do(content, names, found)
        for do, names in always:
            do(value, names, found)

    return walk


def _by_wanted_keys(table: tuple[tuple[str, Does], ...]) -> Convert:
    def walk(value: Any, params: Params, found: Found) -> None:
        for key, does in table:
            if key in value:
                content = value[key]
                for do, names in does:
                    do(content, names, found)

    return walk


def _first_keys(paths: tuple[ValuePath, ...]) -> Iterator[str | None]:
    """The keys one of which must be there for the paths to find anything; None when that is not simple.

    A choice element has one value, so at most one of several keys is there.
    """
    firsts = dict.fromkeys(path.steps[0] for path in paths)
    simple = all(step[0] in {"one", "many"} for step in firsts)
    return iter([step[1] for step in firsts] if simple else [None])


def _column(reader: tuple[Convert, str], value: Any, scratch: Found) -> list[Any]:
    """The values of one part of a composite; the list is taken out of the scratch record."""
    walk, kind = reader
    walk(value, _NONE, scratch)
    column: list[Any] = getattr(scratch, kind)
    setattr(scratch, kind, [])
    return column


def _only_type(does: Does, wanted: str) -> Convert:
    """References to resources of one type: by their text, their type element, or the contained resource."""
    start = f"{wanted}/"

    def visit(value: Any, params: Params, found: Found) -> None:
        if value.get("reference", "").startswith(start) or _type_of(value, found) == wanted:
            for do, names in does:
                do(value, names, found)

    return visit


def _type_of(value: dict[str, Any], found: Found) -> str:
    """The type a reference resolves to as far as the resource itself tells."""
    text = value.get("reference", "")
    if text and not text.startswith("urn:"):
        target = reference.read(text)
        if target.form == "local":
            contained = found.resource.get("contained", ())
            return next((str(one.get("resourceType")) for one in contained if one.get("id") == target.id), "")
        if target.type:
            return target.type
    return str(value.get("type", ""))


def _where(does: Does, key: str, wanted: str) -> Convert:
    def visit(value: Any, params: Params, found: Found) -> None:
        if value.get(key) == wanted:
            _do(does, value, found)

    return visit


def _has(does: Does, url: str) -> Convert:
    def visit(value: Any, params: Params, found: Found) -> None:
        if any(extension.get("url") == url for extension in value.get("extension", ())):
            _do(does, value, found)

    return visit


def _extension(does: Does, url: str) -> Convert:
    def visit(value: Any, params: Params, found: Found) -> None:
        for extension in value.get("extension", ()):
            if extension.get("url") == url:
                _do(does, extension, found)

    return visit


def _set_and_true(does: Does, keys: tuple[str, ...]) -> Convert:
    def visit(value: Any, params: Params, found: Found) -> None:
        _do(does, any(value.get(key, False) is not False for key in keys), found)

    return visit


def _root(does: Does) -> Convert:
    def visit(value: Any, params: Params, found: Found) -> None:
        _do(does, found.resource, found)

    return visit
