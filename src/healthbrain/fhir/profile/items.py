"""Elements of an instance as a profile meets them: value, type, place, and the resource around.

Choice elements are reached by their short name, primitives carry their `_` companion, references are resolved among
contained resources and entries of the Bundle, then by the caller's function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import Element, definitions
from healthbrain.fhir.fhirpath import Node
from healthbrain.fhir.findings import SINGLE, Place
from healthbrain.fhir.primitives import is_primitive
from healthbrain.fhir.profile.ground import Functions, Scope

Resolve = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Around:
    """The resource an element is in, its container (itself unless contained), and the entries of Bundles around."""

    resource: dict[str, Any]
    root: dict[str, Any]
    entries: dict[str, dict[str, Any]]
    resolver: Resolve | None
    functions: Functions = field(default_factory=dict)
    at: datetime | None = None

    def resolve(self, text: str) -> dict[str, Any] | None:
        """The resource a reference points to; None when it is not at hand."""
        if text.startswith("#"):
            if text == "#":
                return self.root
            contained = self.root.get("contained")
            for one in contained if isinstance(contained, list) else ():
                if isinstance(one, dict) and one.get("id") == text[1:]:
                    return one
            return None
        found = self.entries.get(text)
        if found is None and self.resolver is not None:
            found = self.resolver(text)
        return found

    @property
    def scope(self) -> Scope:
        """As FHIRPath rules take it."""
        return Scope(self.resource, self.root, {**self.functions, "resolve": self._or_stub}, self.at)

    def _or_stub(self, text: str) -> dict[str, Any] | None:
        """The resource, or what its reference tells of it."""
        found = self.resolve(text)
        if found is not None:
            return found
        target = reference.read(text)
        return {"resourceType": target.type, "id": target.id} if definitions().is_resource(target.type) else None


class Item:
    """One element: `type` is the name of its definition, `extra` the `_` companion of a primitive."""

    __slots__ = ("around", "element", "extra", "owner", "place", "type", "value")

    def __init__(
        self,
        value: Any,
        type_: str,
        place: Place,
        around: Around,
        *,
        extra: Any = None,
        owner: Item | None = None,
        element: Element | None = None,
    ) -> None:
        self.value = value
        self.type = type_
        self.place = place
        self.around = around
        self.extra = extra if isinstance(extra, dict) else None
        self.owner = owner
        self.element = element

    @property
    def node(self) -> Node:
        """As FHIRPath takes it."""
        return Node(self.value, self.type, self.extra)

    def children(self, name: str) -> list[Item]:
        """Its elements of one name."""
        found: list[Item] = []
        if not isinstance(self.value, dict):
            content = (self.extra or {}).get(name) if name in ("extension", "id") else None
            type_ = definitions().type("Element")
            return _items(self, content, None, "Extension", type_.elements[name], name) if content is not None else []
        for key, (element, label, shape) in _table(self.type).get(name, {}).items():
            beside = self.value.get(f"_{key}")
            if key in self.value or beside is not None:
                found += _items(self, self.value.get(key), beside, shape, element, label)
        return found

    def all_children(self) -> Iterator[Item]:
        """All its elements."""
        if isinstance(self.value, dict):
            for name in _table(self.type):
                yield from self.children(name)
        else:
            yield from self.children("extension")

    def resolved(self) -> Item | None:
        """The resource this reference points to, if it is at hand."""
        text = self.value.get("reference") if isinstance(self.value, dict) else self.value
        found = self.around.resolve(text) if isinstance(text, str) and text else None
        if found is None or not definitions().is_resource(found.get("resourceType")):
            return None
        contained = isinstance(text, str) and text.startswith("#")
        return resource_item(
            found, (self.place, "resolve()", SINGLE), self.around, contained=contained and found is not self.around.root
        )


def top_item(
    resource: dict[str, Any],
    type_: str,
    resolver: Resolve | None,
    functions: Functions | None = None,
    at: datetime | None = None,
) -> Item:
    """The item of a resource standing alone."""
    around = Around(resource, resource, _entries(resource, {}), resolver, functions or {}, at)
    return Item(resource, type_, (None, type_, SINGLE), around)


def resource_item(
    resource: dict[str, Any], place: Place, around: Around, *, contained: bool, owner: Item | None = None
) -> Item:
    """The item of a resource within another, or referred to by it."""
    root = around.root if contained else resource
    entries = around.entries if contained else _entries(resource, around.entries)
    inner = Around(resource, root, entries, around.resolver, around.functions, around.at)
    return Item(resource, str(resource.get("resourceType")), place, inner, owner=owner)


def _items(owner: Item, value: Any, beside: Any, shape: str, element: Element, label: str) -> list[Item]:
    if not element.repeats and not isinstance(value, list):
        return [_item(owner, value, beside, shape, element, (owner.place, label, SINGLE))]
    values = value if isinstance(value, list) else [] if value is None else [value]
    extras = beside if isinstance(beside, list) else []
    found = []
    for index in range(max(len(values), len(extras))):
        one = values[index] if index < len(values) else None
        more = extras[index] if index < len(extras) else None
        if one is not None or more is not None:
            found.append(_item(owner, one, more, shape, element, (owner.place, label, index)))
    return found


def _item(owner: Item, value: Any, beside: Any, shape: str, element: Element, place: Place) -> Item:
    if shape == "Resource" and isinstance(value, dict) and definitions().is_resource(value.get("resourceType")):
        item = resource_item(value, place, owner.around, contained=element.name == "contained", owner=owner)
        item.element = element
        return item
    return Item(value, shape, place, owner.around, extra=beside, owner=owner, element=element)


@cache
def _table(type_: str) -> dict[str, dict[str, tuple[Element, str, str]]]:
    """Element name -> JSON key -> element, label in places, name of the definition of its content."""
    if type_ not in definitions().type_names:
        return {}
    found: dict[str, dict[str, tuple[Element, str, str]]] = {}
    for element in definitions().type(type_).elements.values():
        keys = {}
        for key, choice in element.keys().items():
            label = f"{element.name}.ofType({choice.code})" if element.choice else element.name
            keys[key] = element, label, choice.code if is_primitive(choice.code) else choice.shape
        found[element.name] = keys
    return found


def _entries(resource: dict[str, Any], outer: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries of a Bundle by fullUrl and by Type/id, those of Bundles around it included."""
    listed = resource.get("entry") if resource.get("resourceType") == "Bundle" else None
    if not isinstance(listed, list):
        return outer
    found = dict(outer)
    for entry in listed:
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inner, dict):
            if isinstance(id_ := inner.get("id"), str):
                found[f"{inner.get('resourceType')}/{id_}"] = inner
            if isinstance(url := entry.get("fullUrl"), str):
                found[url] = inner
    return found
