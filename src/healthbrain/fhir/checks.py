"""Checks of single elements: one object or many, one primitive value or many, the `_` companion of a primitive.

Each function makes a closure for one element, with its label and its rule bound in. Rules: R4 JSON format (an element
that repeats is an array; no empty arrays or objects; null only where an extension stands beside it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from healthbrain.fhir.definitions import Element
from healthbrain.fhir.findings import SINGLE, Findings, Place
from healthbrain.fhir.primitives import primitives
from healthbrain.fhir.xhtml import fault

Object = dict[str, Any]
Shape = Callable[[Any, Place, Findings], None]  # an object, where it is, what was found
Check = Callable[[Any, Object, Place, Findings], None]  # a value, the object it is in, where that is, what was found


@dataclass(frozen=True, slots=True)
class Rule:
    """A primitive's test, and what to tell a sender whose value fails it."""

    valid: Callable[[object], bool]
    text: str
    code: str = "value"


def one(inner: Shape, label: str) -> Check:
    """An element that is one object."""

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        inner(value, (place, label, SINGLE), findings)

    return check


def many(inner: Shape, label: str, element: Element) -> Check:
    """An element that is an array of objects."""
    most, least = element.max, element.min

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        if type(value) is not list:
            findings.at("structure", place, label, f"repeats, so it must be an array, not {json_kind(value)}")
            return
        if not value:
            findings.at("structure", place, label, "is an empty array; leave it out")
        elif (most is not None and len(value) > most) or len(value) < least:
            findings.at("structure", place, label, f"must have {least} to {most or 'any number of'} items")
        for index, item in enumerate(value):
            inner(item, (place, label, index), findings)

    return check


def value(rule: Rule, label: str) -> Check:
    """An element that is one primitive value."""
    valid = rule.valid

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        if not valid(value):
            if type(value) is list:
                findings.at("structure", place, label, "does not repeat, so it must not be an array")
            elif value is None:
                findings.at("structure", place, label, "is null; leave it out")
            else:
                findings.at(rule.code, place, label, rule.text)

    return check


def values(rule: Rule, key: str, label: str) -> Check:
    """An element that is an array of primitive values."""
    valid = rule.valid
    beside = f"_{key}"

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        if type(value) is not list:
            findings.at("structure", place, label, f"repeats, so it must be an array, not {json_kind(value)}")
            return
        if not value:
            findings.at("structure", place, label, "is an empty array; leave it out")
        for index, item in enumerate(value):
            if not valid(item):
                if item is not None:
                    findings.add(rule.code, (place, label, index), rule.text)
                elif beside not in owner:
                    findings.add(
                        "structure", (place, label, index), "is null without an extension beside it; remove it"
                    )

    return check


def narrative(label: str) -> Check:
    """The div of a narrative."""

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        wrong = fault(value)
        if wrong:
            findings.at("structure", place, label, wrong)

    return check


def canonical(label: str) -> Check:
    """A canonical URL, or #id of a contained resource."""
    canonical = primitives()["canonical"]
    plain = value(Rule(canonical.valid, canonical.rule), label)

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        plain(value, owner, place, findings)
        if type(value) is str and value.startswith("#"):
            contained((place, label, SINGLE), value[1:], findings)

    return check


def canonicals(key: str, label: str) -> Check:
    """An array of canonical URLs."""
    canonical = primitives()["canonical"]
    plain = values(Rule(canonical.valid, canonical.rule), key, label)

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        plain(value, owner, place, findings)
        if type(value) is list:
            for index, item in enumerate(value):
                if type(item) is str and item.startswith("#"):
                    contained((place, label, index), item[1:], findings)

    return check


def contained(place: Place, id: str, findings: Findings) -> str:
    """The type of a contained resource; notes a finding when there is none."""
    found = findings.contained.get(id)
    if found is None:
        findings.add("not-found", place, "points to a contained resource that is not there; add it to contained")
        return ""
    return found


def companion(content: Any, value: Any, element: Element, extension: Shape, place: Place, findings: Findings) -> None:
    """The `_element` beside (or instead of) a primitive value."""
    if not element.repeats:
        inner = (place, element.name, SINGLE)
        extension(content, inner, findings)
        if value is None and type(content) is dict and "extension" not in content:
            findings.add("structure", inner, "has neither a value nor an extension")
        return
    if type(content) is not list or not content:
        findings.at("structure", place, element.name, "'_' must be an array beside the array of values")
        return
    if type(value) is list and len(value) != len(content):
        findings.at(
            "structure", place, element.name, "the arrays with and without '_' differ in length; fill with null"
        )
    for index, item in enumerate(content):
        inner = (place, element.name, index)
        here = value[index] if type(value) is list and index < len(value) else None
        if item is not None:
            extension(item, inner, findings)
        elif here is None:
            findings.add("structure", inner, "is null in both arrays; remove it from both")


def json_kind(value: Any) -> str:
    """What a JSON value is, in words."""
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
