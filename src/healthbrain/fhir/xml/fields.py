"""What can stand inside an element: compiled from the definitions when first needed.

R4 writes two things as XML attributes: the id of an element that is not a resource, and the url of an extension.
All else is a child element, in the order of the definition; a primitive holds its value in the attribute `value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from healthbrain.fhir.definitions import Element, TypeChoice, definitions
from healthbrain.fhir.primitives import is_primitive

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"

Kind = Literal["primitive", "complex", "wrapper", "resource", "narrative"]


@dataclass(frozen=True, slots=True)
class Field:
    """A child element. `label` is its name in FHIRPath; a wrapper is an element that holds a whole resource."""

    key: str
    label: str
    position: int
    repeats: bool
    kind: Kind
    type: str


@cache
def fields(type_: str) -> Mapping[str, Field]:
    """The child elements of a type by JSON key."""
    definition = definitions().type(type_)
    found: dict[str, Field] = {}
    for position, element in enumerate(definition.elements.values(), 1):
        if element.name not in attributes(type_):
            for key, choice in element.keys().items():
                found[key] = _field(element, choice, key, position)
    return found


@cache
def attributes(type_: str) -> frozenset[str]:
    """The elements of a type that XML writes as attributes."""
    if type_ == "Extension":
        return frozenset({"id", "url"})
    return frozenset() if definitions().type(type_).kind == "resource" else frozenset({"id"})


@cache
def children(type_: str) -> Mapping[str, Field]:
    """The child elements of a type by namespace and name, as a namespace-aware parser reports them."""
    return {f"{XHTML if f.kind == 'narrative' else FHIR} {key}": f for key, f in fields(type_).items()}


@cache
def resources() -> Mapping[str, Field]:
    """What may stand where a resource is wanted."""
    return {f"{FHIR} {name}": Field(name, name, 1, False, "resource", name) for name in definitions().types}


@cache
def extension_only() -> Mapping[str, Field]:
    """What may stand in a primitive."""
    return {f"{FHIR} extension": fields("Element")["extension"]}


def _field(element: Element, choice: TypeChoice, key: str, position: int) -> Field:
    label = f"{element.name}.ofType({choice.code})" if element.choice else element.name
    kind: Kind = "complex"
    if choice.code == "xhtml":
        kind = "narrative"
    elif is_primitive(choice.code):
        kind = "primitive"
    elif choice.code == "Resource":
        kind = "wrapper"
    return Field(key, label, position, element.repeats, kind, choice.code if kind == "primitive" else choice.shape)
