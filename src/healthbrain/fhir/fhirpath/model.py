"""The FHIR R4 model as FHIRPath sees it: members of types, choice elements, subtypes, type names in expressions.

Rule source: FHIR R4, FHIRPath page (choice types are reached by their short name, primitives have a `value`), and
FHIRPath N1, Models. Unknown names in the closed System namespace are nobody's type; unknown FHIR names are an error.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from healthbrain.errors import Incorrect
from healthbrain.fhir.definitions import Type, definitions
from healthbrain.fhir.fhirpath.problems import Unanswerable

SYSTEM = ("Any", "Boolean", "String", "Integer", "Long", "Decimal", "Date", "DateTime", "Time", "Quantity")

# R4 derives these primitives from others (R4 datatypes, figure); all else derive from Element
_PRIMITIVE_BASE = {
    "code": "string", "id": "string", "markdown": "string",
    "url": "uri", "canonical": "uri", "oid": "uri", "uuid": "uri",
    "positiveInt": "integer", "unsignedInt": "integer",
}  # fmt: skip

_SYSTEM_TYPE = {
    "boolean": "Boolean", "integer": "Integer", "positiveInt": "Integer", "unsignedInt": "Integer", "integer64": "Long",
    "decimal": "Decimal", "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
}  # fmt: skip


class Member(NamedTuple):
    """How a member of a type is found in JSON.

    `key` and `type` for a plain element; `choices` (JSON key -> type) for a choice element.
    """

    key: str
    type: str
    primitive: bool
    choices: dict[str, str] | None
    repeats: bool


class TypeName(NamedTuple):
    """A type an expression names."""

    namespace: str
    name: str


def is_primitive(type_: str) -> bool:
    """Whether it is a FHIR primitive type such as `dateTime`."""
    return type_ in _primitives()


def system_type(type_: str) -> str:
    """The System type that holds the values of a FHIR primitive (String when nothing else does)."""
    return _SYSTEM_TYPE.get(type_, "String")


@cache
def members(type_: str) -> dict[str, Member] | None:
    """The members of a FHIR type by name; None for a type the model does not know."""
    if is_primitive(type_):
        return {
            "id": Member("id", "string", True, None, False),
            "extension": Member("extension", "Extension", False, None, True),
            "value": Member("value", "", True, None, False),
        }
    definition = _type(type_)
    if definition is None:
        return None
    found = {}
    for name, element in definition.elements.items():
        first = element.types[0].code if element.types else ""
        choices = None
        if element.choice:
            choices = {key: choice.code for key, choice in element.keys().items()}
        found[name] = Member(name, first, is_primitive(first), choices, element.repeats)
    return found


@cache
def ancestors(type_: str) -> tuple[str, ...]:
    """The type itself and all it derives from, nearest first."""
    found = [type_]
    while base := base_of(found[-1]):
        found.append(base)
    return tuple(found)


def base_of(type_: str) -> str:
    """The type it derives from; '' at the top."""
    if is_primitive(type_):
        return _PRIMITIVE_BASE.get(type_, "Element")
    definition = _type(type_)
    return definition.base if definition else ""


def is_a(type_: str, name: str) -> bool:
    """Whether a FHIR type is `name` or derives from it."""
    return type_ == name or name in ancestors(type_)


def resolve(names: tuple[str, ...]) -> TypeName:
    """The type that an expression names. Raises Unanswerable when there is none."""
    if len(names) == 1:
        if names[0] in SYSTEM and not knows(names[0]):
            return TypeName("System", names[0])
        if knows(names[0]):
            return TypeName("FHIR", names[0])
    elif names[0] == "System" or (names[0] == "FHIR" and knows(names[1])):
        return TypeName(names[0], names[1])
    raise Unanswerable(f"there is no type {'.'.join(names)} in FHIR R4 or System")


def knows(name: str) -> bool:
    """Whether FHIR R4 has a type of this name (nested ones such as `Patient.contact` included)."""
    return is_primitive(name) or _type(name) is not None


def is_resource(name: str) -> bool:
    """Whether it is a concrete resource type."""
    return definitions().is_resource(name)


@cache
def _primitives() -> frozenset[str]:
    return frozenset(definitions().primitives)


@cache
def _type(name: str) -> Type | None:
    """A resource, complex or nested type; None when there is none of this name."""
    try:
        return definitions().type(name)
    except (KeyError, Incorrect):
        return None
