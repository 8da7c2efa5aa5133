"""FHIRPath Patch (R4 fhirpatch): add, insert, delete, replace, move, in order; the first that fails ends it.

Paths are checked against the type of the resource first, so that a misspelt one fails instead of finding nothing.
Works on the resource it is given (the caller passes a copy).
"""

from __future__ import annotations

import copy
from typing import Any, NoReturn

from healthbrain.errors import Incorrect, Invalid, Issue, Malformed
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.fhirpath import Expression, Unreadable, compile
from healthbrain.fhir.fhirpath.syntax import Member, text_of
from healthbrain.fhir.fhirpath.syntax import Node as Tree
from healthbrain.fhir.patch.elements import Object, Place, Twin, content, has, keys, length, prune, put, take
from healthbrain.fhir.patch.operations import Operation, read
from healthbrain.fhir.patch.values import content_of, element_of


def apply(resource: Object, parameters: dict[str, Any]) -> Object:
    """The resource after all operations; it is changed in place. Raises Malformed, Invalid or TooLarge."""
    operations = read(copy.deepcopy(parameters))
    if not definitions().is_resource(str(resource.get("resourceType"))):
        raise Invalid("what is to be patched is no FHIR R4 resource")
    for operation in operations:
        try:
            _Step(resource, operation).take()
        except Unreadable as problem:
            raise Malformed(f"{operation.title}: {problem.message}") from None
        except Invalid:
            raise
        except Incorrect as problem:
            raise Invalid(f"{operation.title}: {problem.message}") from None
    return resource


class _Step:
    """One operation on the resource as it is now."""

    def __init__(self, resource: Object, operation: Operation) -> None:
        self._operation = operation
        self._twin = Twin(resource)

    def take(self) -> None:
        {
            "add": self._add,
            "insert": self._insert,
            "delete": self._delete,
            "replace": self._replace,
            "move": self._move,
        }[self._operation.kind]()

    def _add(self) -> None:
        target = self._single("add to")
        element = element_of(target.type, self._operation.name, self._operation.title)
        added = content_of(self._operation.value, element, self._operation.title)
        owner = content(target)
        if not element.repeats and has(owner, element):
            self._refuse("duplicate", f"{element.name} is there already and does not repeat; use replace")
        put(owner, added.key, length(owner, added.key) if element.repeats else None, added.value, added.extra)
        if target.primitive:  # its companion may not have been there
            value, _ = take(target)
            put(target.owner, target.key, target.index, value, owner)

    def _insert(self) -> None:
        owner, key, type_ = self._list()
        element, _ = keys(type_)[key]
        size, index = length(owner, key), self._operation.index
        if not 0 <= index <= size:
            self._refuse("value", f"'index' must be from 0 to {size}, the number of elements there")
        added = content_of(self._operation.value, element, self._operation.title)
        put(owner, key, index, added.value, added.extra)

    def _delete(self) -> None:
        places = self._places(_compiled(self._operation.path))
        if len(places) > 1:
            self._refuse("multiple-matches", f"the path finds {len(places)} elements; only one can be deleted at once")
        for place in places:
            self._not_the_resource(place)
            take(place)
            prune(place.around)

    def _replace(self) -> None:
        target = self._single("replace")
        self._not_the_resource(target)
        element, _ = keys(target.holder)[target.key]
        new = content_of(self._operation.value, element, self._operation.title)
        take(target)
        put(target.owner, new.key, target.index, new.value, new.extra)

    def _move(self) -> None:
        owner, key, type_ = self._list()
        size = length(owner, key)
        for name in ("source", "destination"):
            if not 0 <= getattr(self._operation, name) < size:
                self._refuse("value", f"'{name}' must be from 0 to {size - 1}; the list has {size} elements")
        value, extra = take(Place(owner, key, self._operation.source, type_, None))
        put(owner, key, self._operation.destination, value, extra)

    # where

    def _places(self, expression: Expression) -> list[Place]:
        found = [self._twin.place(item) for item in expression.items(self._twin.resource)]
        places = [place for place in found if place is not None]
        if len(places) != len(found):
            self._refuse("value", "the path must find elements of the resource, not values made from them")
        return places

    def _single(self, what: str) -> Place:
        places = self._places(_compiled(self._operation.path))
        if not places:
            self._refuse("not-found", f"the path finds no element to {what}")
        if len(places) > 1:
            self._refuse("multiple-matches", f"the path finds {len(places)} elements to {what}; it must find one")
        return places[0]

    def _list(self) -> tuple[Object, str, str]:
        """The one list that the path finds, whole: the object it stands in, its name there, the object's type."""
        expression = _compiled(self._operation.path)
        places = self._places(expression)
        if not places:
            return self._list_to_be(expression.tree)
        first = places[0]
        if first.index is None:
            self._refuse("value", "the path finds an element that does not repeat; it must find a list")
        if any(place.owner is not first.owner or place.key != first.key for place in places):
            self._refuse("multiple-matches", "the path finds elements of several lists; it must find one list")
        if len(places) != length(first.owner, first.key):
            self._refuse("value", "the path finds a part of a list; it must find the whole list")
        return first.owner, first.key, first.holder

    def _list_to_be(self, tree: Tree) -> tuple[Object, str, str]:
        """A list that has no elements yet is known by its name: the last step of the path."""
        if not isinstance(tree, Member) or tree.base is None:
            self._refuse("not-found", "the path finds no list")
        parents = self._places(compile(text_of(tree.base), strict=True))
        if len(parents) != 1 or parents[0].primitive or tree.name not in keys(parents[0].type):
            self._refuse("not-found", "the path finds no list")
        if not keys(parents[0].type)[tree.name][0].repeats:
            self._refuse("value", "the path is that of an element that does not repeat; use add")
        return content(parents[0]), tree.name, parents[0].type

    def _not_the_resource(self, place: Place) -> None:
        if place.root:
            self._refuse("value", "the path finds the resource itself; send an update or a delete instead")

    def _refuse(self, code: str, text: str) -> NoReturn:
        text = f"{self._operation.title}: {text}"
        raise Invalid(text, issues=[Issue("error", code, "", text)])


def _compiled(path: str) -> Expression:
    """The path as an expression. `text.div` is read although FHIRPath wants its keyword `div` in backticks."""
    try:
        return compile(path, strict=True)
    except Unreadable as problem:
        before, at = path[: problem.offset], problem.offset
        if not before.endswith("text.") or not path.startswith("div", at):
            raise
        return compile(f"{before}`div`{path[at + 3 :]}", strict=True)
