"""What a FHIRPath Patch puts in: a part of Parameters turned into the JSON of an element.

A part gives a value of a data type (`valueHumanName`), a resource, or, for an element that has no type of its own such
as Patient.contact, parts named after its elements (R4 fhirpatch). A primitive may be given as a related one, a date
for a dateTime or a string for a code; whether it is right, validation says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from healthbrain.errors import Invalid
from healthbrain.fhir.definitions import Element, TypeChoice, definitions
from healthbrain.fhir.patch.elements import Object, has, keys, length, put
from healthbrain.fhir.primitives import is_primitive

_JSON = {
    "boolean": "boolean",
    "decimal": "number",
    "integer": "number",
    "positiveInt": "number",
    "unsignedInt": "number",
}


class Content(NamedTuple):
    """An element ready to be put in: its JSON name, its value, and id and extensions of a primitive."""

    key: str
    value: Any
    extra: Object | None


def element_of(type_: str, name: str, title: str) -> Element:
    """The element of a type that `name` means: `value`, `value[x]` or `valueQuantity` all mean the choice."""
    elements = definitions().type("Element" if is_primitive(type_) else type_).elements
    found = elements.get(name.removesuffix("[x]"))
    if found is None and name in keys(type_):
        found = keys(type_)[name][0]
    if found is None:
        raise Invalid(f"{title}: {type_} has no element of the given name")
    return found


def content_of(part: Object, element: Element, title: str) -> Content:
    """The part as content of the element. Raises Invalid when it is not of its type."""
    if "part" in part:
        return _anonymous(part["part"], element, title)
    if "resource" in part:
        if element.types[0].code != "Resource":
            raise Invalid(f"{title}: {element.name} holds no resource")
        return Content(element.name, part["resource"], None)
    for key, (given, choice) in keys("Parameters.parameter").items():
        if given.name == "value" and (key in part or "_" + key in part):
            return Content(_key(choice.code, element, title), part.get(key), part.get("_" + key))
    raise Invalid(f"{title}: {element.name} is given no value")


def _anonymous(parts: list[Object], element: Element, title: str) -> Content:
    choice = element.types[0]
    if element.choice or is_primitive(choice.code) or choice.code == "Resource":
        raise Invalid(f"{title}: {element.name} must be given as value[x] or resource, not in parts")
    found: Object = {}
    for part in parts:
        inner = element_of(choice.code, part["name"], title)
        content = content_of(part, inner, title)
        if not inner.repeats and has(found, inner):
            raise Invalid(f"{title}: {inner.name} is given twice; it may stand once")
        put(found, content.key, length(found, content.key) if inner.repeats else None, content.value, content.extra)
    return Content(element.name, found, None)


def _key(type_: str, element: Element, title: str) -> str:
    """The JSON name for a value of a type. Raises Invalid when the element does not take it."""
    for key, choice in element.keys().items():
        if type_ == choice.code or (not element.choice and _related(type_, choice)):
            return key
    wanted = " or ".join(choice.code for choice in element.types[:5])
    raise Invalid(f"{title}: {element.name} takes {wanted}, not {type_}")


def _related(type_: str, choice: TypeChoice) -> bool:
    if is_primitive(type_) or is_primitive(choice.code):
        both = is_primitive(type_) and is_primitive(choice.code)
        return both and _JSON.get(type_, "string") == _JSON.get(choice.code, "string")
    return definitions().type(choice.code).base == type_ == "Quantity"
