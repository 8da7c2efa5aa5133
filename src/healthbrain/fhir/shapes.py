"""Checks of whole types, compiled from the definitions when first needed.

A type's check walks the keys of an object once. Each key leads to its element's check and to a bit; the bits tell at
the end which required elements are missing and whether a choice element came twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthbrain.fhir.bindings import bound, code_rule
from healthbrain.fhir.checks import (
    Check,
    Object,
    Rule,
    Shape,
    canonical,
    canonicals,
    companion,
    json_kind,
    many,
    narrative,
    one,
    value,
    values,
)
from healthbrain.fhir.definitions import Definitions, Element, Type, TypeChoice
from healthbrain.fhir.findings import Findings, Place
from healthbrain.fhir.primitives import Primitive, is_primitive, primitives
from healthbrain.fhir.targets import reference_rules, targeted

_TWICE = "is given twice; a choice element has one value"

Table = Mapping[str, tuple[Check, int]]


class Shapes:
    """All checks of a set of definitions. `resource` checks an element that is itself a resource."""

    def __init__(self, definitions: Definitions, resource: Shape) -> None:
        self.definitions = definitions
        self.primitives = primitives()
        self._resource = resource
        self._shapes: dict[str, Shape] = {}
        self._extras: dict[str, Shape] = {"Extension": extension_rules, "Reference": reference_rules(definitions)}

    def shape(self, name: str) -> Shape:
        """The check of a type. Types refer to each other, so a shape exists before its table is filled."""
        found = self._shapes.get(name)
        if found is None:
            type_ = self.definitions.type(name)
            table: dict[str, tuple[Check, int]] = {}
            found = self._shapes[name] = _walk(type_, table, _Other(type_, table, self), self._extras.get(name))
            table.update(self._entries(type_))
        return found

    def _entries(self, type_: Type) -> dict[str, tuple[Check, int]]:
        table: dict[str, tuple[Check, int]] = {}
        for position, element in enumerate(type_.elements.values()):
            for key, choice in element.keys().items():
                label = f"{element.name}.ofType({choice.code})" if element.choice else element.name
                table[key] = self._element(element, choice, key, label), 1 << position
        if type_.kind == "resource":
            table["resourceType"] = _accept, 0
        return table

    def _element(self, element: Element, choice: TypeChoice, key: str, label: str) -> Check:
        code = choice.code
        if is_primitive(code):
            return self._primitive(element, self.primitives[code], key, label)
        if code == "Resource":
            inner = self._resource
        elif code == "Reference":
            inner = targeted(self.shape(code), choice.targets, self.definitions)
        else:
            inner = bound(self.shape(choice.shape), element, code, self.definitions)
        return many(inner, label, element) if element.repeats else one(inner, label)

    def _primitive(self, element: Element, primitive: Primitive, key: str, label: str) -> Check:
        if primitive.name == "xhtml":
            return narrative(label)
        if primitive.name == "canonical":
            return canonicals(key, label) if element.repeats else canonical(label)
        rule = Rule(primitive.valid, primitive.rule)
        if primitive.name == "code":
            rule = code_rule(element, self.definitions) or rule
        return values(rule, key, label) if element.repeats else value(rule, label)


class _Other:
    """A key that is not an element of its type: the `_` companion of a primitive, or a mistake."""

    __slots__ = ("_id", "_shapes", "_table", "_type")

    def __init__(self, type_: Type, table: Table, shapes: Shapes) -> None:
        self._type = type_
        self._table = table
        self._shapes = shapes
        text = shapes.primitives["string"]
        self._id = value(Rule(text.valid, text.rule), "id")

    def __call__(self, owner: Object, key: str, seen: int, place: Place, findings: Findings) -> int:
        """Check it; returns the bit of the element it stands for."""
        entry = self._table.get(key[1:]) if key.startswith("_") else None
        element = self._companioned(key[1:]) if entry else None
        if entry is None or element is None:
            findings.unknown(place, key, self._type.name)
            return 0
        bit = 0 if key[1:] in owner else entry[1]
        if seen & bit:
            findings.at("structure", place, element.name, _TWICE)
        companion(owner[key], owner.get(key[1:]), element, self._extension_only, place, findings)
        return bit

    def _companioned(self, key: str) -> Element | None:
        for element in self._type.elements.values():
            choice = element.keys().get(key)
            if choice is not None and is_primitive(choice.code) and choice.code != "xhtml":
                return element
        return None

    def _extension_only(self, content: Any, place: Place, findings: Findings) -> None:
        """The object behind `_`: id and extension."""
        if type(content) is not dict:
            findings.add("structure", place, f"'_' holds an object with id and extension, not {json_kind(content)}")
            return
        if not content:
            findings.add("structure", place, "'_' holds an empty object; leave it out")
        for key, inner in content.items():
            if key == "id":
                self._id(inner, content, place, findings)
            elif key == "extension":
                element = self._shapes.definitions.type("Element").elements["extension"]
                many(self._shapes.shape("Extension"), "extension", element)(inner, content, place, findings)
            else:
                findings.unknown(place, key, "a primitive element")


def _walk(type_: Type, table: Table, other: _Other, extra: Shape | None) -> Shape:
    elements = tuple(type_.elements.values())
    required = sum(1 << position for position, element in enumerate(elements) if element.min)

    def missing(seen: int, place: Place, findings: Findings) -> None:
        for position, element in enumerate(elements):
            if element.min and not seen >> position & 1:
                findings.at("required", place, element.name, f"is missing; {type_.name} must have it")

    def check(content: Any, place: Place, findings: Findings) -> None:
        if type(content) is not dict:
            findings.add("structure", place, f"must be a JSON object ({type_.name}), not {json_kind(content)}")
            return
        seen = 0
        for key, inner in content.items():
            entry = table.get(key)
            if entry is None:
                seen |= other(content, key, seen, place, findings)
                continue
            bit = entry[1]
            if seen & bit:
                findings.at("structure", place, elements[bit.bit_length() - 1].name, _TWICE)
            seen |= bit
            entry[0](inner, content, place, findings)
        if seen & required != required:
            missing(seen, place, findings)
        if len(content) < 2 and (not content or "id" in content):
            findings.add("structure", place, "is empty; leave it out or give it content")
        if extra is not None:
            extra(content, place, findings)

    return check


def extension_rules(content: Object, place: Place, findings: Findings) -> None:
    """ext-1: an extension has either a value or extensions."""
    valued = any(key.startswith(("value", "_value")) for key in content)
    if valued == ("extension" in content):
        text = (
            "must have either a value[x] or extensions, not both" if valued else "has neither value[x] nor extensions"
        )
        findings.add("invariant", place, text)


def _accept(content: Any, owner: Object, place: Place, findings: Findings) -> None:
    """resourceType was looked at before the shape was chosen."""
