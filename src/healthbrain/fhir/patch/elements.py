"""Elements of a resource as things that can be found by FHIRPath and changed where they stand.

An expression yields values, and a value does not know where it came from. So it is evaluated on a twin of the resource
in which every element is an object of its own: complex ones are anyway, and primitives get an empty `_name` beside
them. Which place an object of the twin stands for is noted while the twin is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from healthbrain.fhir.definitions import Element, TypeChoice, definitions
from healthbrain.fhir.fhirpath import Node
from healthbrain.fhir.primitives import is_primitive

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where an element stands: under `key` of `owner`, in an array at `index`. The resource itself has no key.

    `around` is the place of the owner; `type` is that of the element, such as `Patient.contact`.
    """

    owner: Object
    key: str
    index: int | None
    type: str
    around: Place | None

    @property
    def root(self) -> bool:
        """Whether it is the resource."""
        return not self.key

    @property
    def primitive(self) -> bool:
        """Whether its id and extensions stand in a `_` companion."""
        return not self.root and is_primitive(self.type)

    @property
    def holder(self) -> str:
        """The type of what it stands in; '' for the resource."""
        if self.around is None:
            return ""
        return "Element" if self.around.primitive else self.around.type


class Twin:
    """A copy of a resource made for searching. It holds as long as the resource is not changed."""

    def __init__(self, resource: Object) -> None:
        self.root = Place(resource, "", None, str(resource.get("resourceType")), None)
        self._places: dict[int, Place] = {}
        self.resource = self._object(resource, self.root)

    def place(self, item: object) -> Place | None:
        """The place an item of a FHIRPath result stands for; None when it is not an element of the resource."""
        if not isinstance(item, Node):
            return None
        return self._places.get(id(item.value if isinstance(item.value, dict) else item.extra))

    def _object(self, content: Object, place: Place) -> Object:
        known = keys(place.type)
        twin: Object = {}
        for key, value in content.items():
            if key[1:] in known and key.startswith("_"):
                if key[1:] not in content:
                    self._primitive(content, key[1:], known[key[1:]], twin, place)
            elif key not in known:
                twin[key] = value
            elif is_primitive(known[key][1].code):
                self._primitive(content, key, known[key], twin, place)
            elif isinstance(value, list):
                twin[key] = [self._element(content, key, i, item, known[key], place) for i, item in enumerate(value)]
            else:
                twin[key] = self._element(content, key, None, value, known[key], place)
        self._places[id(twin)] = place
        return twin

    def _element(
        self, owner: Object, key: str, index: int | None, value: Any, known: tuple[Element, TypeChoice], around: Place
    ) -> Any:
        if not isinstance(value, dict):
            return value
        type_ = str(value.get("resourceType")) if known[1].code == "Resource" else known[1].code
        return self._object(value, Place(owner, key, index, type_, around))

    def _primitive(
        self, owner: Object, key: str, known: tuple[Element, TypeChoice], twin: Object, around: Place
    ) -> None:
        values, extras = owner.get(key), owner.get("_" + key)
        if values is not None:
            twin[key] = values
        if isinstance(values, list) or isinstance(extras, list):
            length = max(len(values or ()), len(extras or ()))
            twin["_" + key] = [
                self._extra(Place(owner, key, index, known[1].code, around), extras[index] if extras else None)
                for index in range(length)
            ]
        else:
            twin["_" + key] = self._extra(Place(owner, key, None, known[1].code, around), extras)

    def _extra(self, place: Place, extra: Any) -> Object:
        twin: Object = {}
        if isinstance(extra, dict):
            type_ = keys("Element")["extension"]
            for key, value in extra.items():
                if key == "extension" and isinstance(value, list):
                    twin[key] = [self._element(extra, key, i, item, type_, place) for i, item in enumerate(value)]
                else:
                    twin[key] = value
        self._places[id(twin)] = place
        return twin


@cache
def keys(type_: str) -> Mapping[str, tuple[Element, TypeChoice]]:
    """The JSON names in a type, with the element and the alternative each stands for; none for an unknown type."""
    if type_ not in definitions().type_names:
        return {}
    return {
        key: (element, choice)
        for element in definitions().type(type_).elements.values()
        for key, choice in element.keys().items()
    }


def has(owner: Object, element: Element) -> bool:
    """Whether an object has an element, in whatever type."""
    return any(key in owner or "_" + key in owner for key, _ in element.keys().items())


def put(owner: Object, key: str, index: int | None, value: Any, extra: Object | None) -> None:
    """Put an element in, before the one at `index` of its array, or as the only one."""
    if index is None:
        for name, content in ((key, value), ("_" + key, extra)):
            if content is not None:
                owner[name] = content
        return
    values, extras = _arrays(owner, key)
    values.insert(index, value)
    extras.insert(index, extra)
    _settle(owner, key, values, extras)


def take(place: Place) -> tuple[Any, Object | None]:
    """Take an element out, with the `_` companion of a primitive. What it leaves empty stays; see `prune`."""
    owner, key = place.owner, place.key
    if place.index is None:
        return owner.pop(key, None), owner.pop("_" + key, None)
    values, extras = _arrays(owner, key)
    taken = values.pop(place.index), extras.pop(place.index)
    _settle(owner, key, values, extras)
    return taken


def prune(place: Place | None) -> None:
    """Take out the element at a place when nothing is left in it, and then what holds it. A resource stays."""
    while place is not None and not place.root and not content(place):
        value, _ = take(place)
        if place.primitive and value is not None:  # its extensions are gone, its value is not
            put(place.owner, place.key, place.index, value, None)
            return
        place = place.around


def content(place: Place) -> Object:
    """What children of the element stand in: itself, or the companion of a primitive ({} when it has none)."""
    if place.root:
        return place.owner
    found = place.owner.get("_" + place.key if place.primitive else place.key)
    if place.index is not None and found is not None:
        found = found[place.index]
    return found if isinstance(found, dict) else {}


def length(owner: Object, key: str) -> int:
    """The number of elements in an array."""
    return len(_arrays(owner, key)[0])


def _arrays(owner: Object, key: str) -> tuple[list[Any], list[Any]]:
    """Values and companions of an array, filled to the same length."""
    values, extras = list(owner.get(key) or ()), list(owner.get("_" + key) or ())
    longest = max(len(values), len(extras))
    for array in (values, extras):
        array.extend([None] * (longest - len(array)))
    return values, extras


def _settle(owner: Object, key: str, values: list[Any], extras: list[Any]) -> None:
    """Arrays back to where they belong; one without content is left out."""
    for name, array in ((key, values), ("_" + key, extras)):
        if any(item is not None for item in array):
            owner[name] = array
        else:
            owner.pop(name, None)
