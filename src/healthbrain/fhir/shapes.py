"""Checks compiled from the definitions: one closure per type, one per element, made when first needed.

A type's check walks the keys of an object once. Each key leads to its element's check and to a bit; the bits tell at
the end which required elements are missing and whether a choice element came twice. Rules: R4 JSON format (empty
arrays and objects, null, `_element` companions), cardinality, data types, required bindings, reference targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.definitions import Definitions, Element, TypeChoice
from healthbrain.fhir.findings import SINGLE, Findings, Place
from healthbrain.fhir.primitives import Primitive, is_primitive, primitives
from healthbrain.fhir.xhtml import fault

Object = dict[str, Any]
Shape = Callable[[Any, Place, Findings], None]  # an object, where it is, what was found
Check = Callable[[Any, Object, Place, Findings], None]  # a value, the object it is in, where that is, what was found
Coded = Callable[[Any], str | None]  # what is wrong with the code, coding or concept

_FEW = 12
_CURRENCIES = "http://hl7.org/fhir/ValueSet/currencies"


class Shapes:
    """All checks of a set of definitions."""

    def __init__(self, definitions: Definitions, resource: Shape) -> None:
        self.definitions = definitions
        self.primitives = primitives()
        self._resource = resource
        self._shapes: dict[str, Shape] = {}

    def shape(self, name: str) -> Shape:
        """The check of a type. Types refer to each other, so a shape exists before its table is filled."""
        found = self._shapes.get(name)
        if found is None:
            table: dict[str, tuple[Check, int]] = {}
            found = self._shapes[name] = self._object(name, table)
            self._fill(name, table)
        return found

    def _fill(self, name: str, table: dict[str, tuple[Check, int]]) -> None:
        type_ = self.definitions.type(name)
        for position, element in enumerate(type_.elements.values()):
            for key, choice in element.keys().items():
                label = f"{element.name}.ofType({choice.code})" if element.choice else element.name
                table[key] = self._element(element, choice, key, label), 1 << position
        if type_.kind == "resource":
            table["resourceType"] = _accept, 0

    def _object(self, name: str, table: Mapping[str, tuple[Check, int]]) -> Shape:
        type_ = self.definitions.type(name)
        required = 0
        for position, element in enumerate(type_.elements.values()):
            required |= (1 << position) if element.min else 0
        extension = self._extension_only()
        kind = type_.name
        more = {"Extension": _extension_rules, "Reference": _reference_rules(self.definitions)}.get(name)

        def missing(seen: int, place: Place, findings: Findings) -> None:
            for position, element in enumerate(type_.elements.values()):
                if element.min and not seen >> position & 1:
                    findings.at("required", place, element.name, f"is missing; {kind} must have it")

        def other(value: Object, key: str, content: Any, seen: int, place: Place, findings: Findings) -> int:
            """A key that is not an element: the `_` companion of a primitive, or a mistake."""
            own = table.get(key[1:]) if key.startswith("_") else None
            choice = _primitive_of(type_.elements, key[1:]) if own else None
            if own is None or choice is None:
                findings.unknown(place, key, kind)
                return 0
            if key[1:] in value:
                _companion(content, value[key[1:]], choice, extension, place, findings)
                return 0
            if seen & own[1]:
                findings.at("structure", place, choice.name, "is given twice; a choice element has one value")
            _companion(content, None, choice, extension, place, findings)
            return own[1]

        def check(value: Any, place: Place, findings: Findings) -> None:
            if type(value) is not dict:
                findings.add("structure", place, f"must be a JSON object ({kind}), not {_json_kind(value)}")
                return
            seen = 0
            for key, content in value.items():
                entry = table.get(key)
                if entry is None:
                    seen |= other(value, key, content, seen, place, findings)
                    continue
                bit = entry[1]
                if seen & bit:
                    label = key if key not in table else _label(type_.elements, key)
                    findings.at("structure", place, label, "is given twice; a choice element has one value")
                seen |= bit
                entry[0](content, value, place, findings)
            if seen & required != required:
                missing(seen, place, findings)
            if len(value) < 2 and (not value or "id" in value):
                findings.add("structure", place, "is empty; leave it out or give it content")
            if more is not None:
                more(value, place, findings)

        return check

    def _element(self, element: Element, choice: TypeChoice, key: str, label: str) -> Check:
        code = choice.code
        if code == "xhtml":
            return _narrative(label)
        if is_primitive(code):
            return self._primitive(element, self.primitives[code], key, label)
        if code == "Resource":
            inner = self._resource
        elif code == "Reference":
            inner = _targeted(self.shape(code), choice.targets, self.definitions)
        else:
            inner = self.shape(choice.shape)
            wrong = self._coded(element, code)
            if wrong:
                inner = _bound(inner, wrong)
        return _many(inner, label, element) if element.repeats else _one(inner, label)

    def _primitive(self, element: Element, primitive: Primitive, key: str, label: str) -> Check:
        valid, rule, issue = primitive.valid, primitive.rule, "value"
        if primitive.name == "code" and element.binding and element.binding.strength == "required":
            codes = self.definitions.codes(element.binding.value_set)
            if codes:
                allowed = frozenset(code for listed in codes.values() for code in listed)
                valid, rule, issue = _member(allowed), _rule(allowed, element.binding.value_set), "code-invalid"
            elif element.binding.value_set == _CURRENCIES:
                valid, rule, issue = _currency, "must be an ISO 4217 currency of three capital letters", "code-invalid"
        if primitive.name == "canonical":
            return _canonical(label) if not element.repeats else _canonicals(key, label)
        if element.repeats:
            return _values(valid, rule, issue, key, label)
        return _value(valid, rule, issue, label)

    def _coded(self, element: Element, code: str) -> Coded | None:
        """The check of a required binding on a Coding or CodeableConcept; None where there is none."""
        if not element.binding or element.binding.strength != "required":
            return None
        codes = self.definitions.codes(element.binding.value_set)
        if not codes or code not in {"Coding", "CodeableConcept"}:
            return None
        pairs = frozenset((system, one) for system, listed in codes.items() for one in listed)
        rule = _rule(frozenset(one for _, one in pairs), element.binding.value_set)
        return _concept_in(pairs, rule) if code == "CodeableConcept" else _coding_in(pairs, rule)

    def _extension_only(self) -> Shape:
        """The check of a primitive's companion object: id and extension, made late as Extension refers to itself."""

        def check(value: Any, place: Place, findings: Findings) -> None:
            if type(value) is not dict:
                findings.add("structure", place, f"'_' holds an object with id and extension, not {_json_kind(value)}")
                return
            if not value:
                findings.add("structure", place, "'_' holds an empty object; leave it out")
            for key, content in value.items():
                if key == "id":
                    _value(self.primitives["string"].valid, self.primitives["string"].rule, "value", "id")(
                        content, value, place, findings
                    )
                elif key == "extension":
                    element = self.definitions.type("Element").elements["extension"]
                    _many(self.shape("Extension"), "extension", element)(content, value, place, findings)
                else:
                    findings.unknown(place, key, "a primitive element")

        return check


class _Companied:
    """A primitive element as its `_` companion needs it."""

    __slots__ = ("name", "repeats")

    def __init__(self, name: str, *, repeats: bool) -> None:
        self.name = name
        self.repeats = repeats


def _primitive_of(elements: Mapping[str, Element], key: str) -> _Companied | None:
    for element in elements.values():
        choice = element.keys().get(key)
        if choice is not None and is_primitive(choice.code) and choice.code != "xhtml":
            return _Companied(element.name, repeats=element.repeats)
    return None


def _label(elements: Mapping[str, Element], key: str) -> str:
    return next((e.name for e in elements.values() if key in e.keys()), key)


def _companion(
    content: Any, value: Any, element: _Companied, extension: Shape, place: Place, findings: Findings
) -> None:
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
        findings.at("structure", place, element.name, "the arrays with and without '_' differ in length; fill with null")
    for index, item in enumerate(content):
        inner = (place, element.name, index)
        here = value[index] if type(value) is list and index < len(value) else None
        if item is not None:
            extension(item, inner, findings)
        elif here is None:
            findings.add("structure", inner, "is null in both arrays; remove it from both")


def _accept(value: Any, owner: Object, place: Place, findings: Findings) -> None:
    """resourceType was looked at before the shape was chosen."""


def _one(inner: Shape, label: str) -> Check:
    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        inner(value, (place, label, SINGLE), findings)

    return check


def _many(inner: Shape, label: str, element: Element) -> Check:
    most, least = element.max, element.min

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        if type(value) is not list:
            findings.at("structure", place, label, f"repeats, so it must be an array, not {_json_kind(value)}")
            return
        if not value:
            findings.at("structure", place, label, "is an empty array; leave it out")
        elif (most is not None and len(value) > most) or len(value) < least:
            findings.at("structure", place, label, f"must have {least} to {most or 'any number of'} items")
        index = 0
        for item in value:
            inner(item, (place, label, index), findings)
            index += 1

    return check


def _value(valid: Callable[[object], bool], rule: str, issue: str, label: str) -> Check:
    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        if not valid(value):
            if type(value) is list:
                findings.at("structure", place, label, "does not repeat, so it must not be an array")
            elif value is None:
                findings.at("structure", place, label, "is null; leave it out")
            else:
                findings.at(issue, place, label, rule)

    return check


def _values(valid: Callable[[object], bool], rule: str, issue: str, key: str, label: str) -> Check:
    beside = f"_{key}"

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        if type(value) is not list:
            findings.at("structure", place, label, f"repeats, so it must be an array, not {_json_kind(value)}")
            return
        if not value:
            findings.at("structure", place, label, "is an empty array; leave it out")
        index = 0
        for item in value:
            if not valid(item):
                if item is not None:
                    findings.add(issue, (place, label, index), rule)
                elif beside not in owner:
                    findings.add("structure", (place, label, index), "is null without an extension beside it; remove it")
            index += 1

    return check


def _narrative(label: str) -> Check:
    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        wrong = fault(value)
        if wrong:
            findings.at("structure", place, label, wrong)

    return check


def _canonical(label: str) -> Check:
    canonical = primitives()["canonical"]
    plain = _value(canonical.valid, canonical.rule, "value", label)

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        plain(value, owner, place, findings)
        if type(value) is str and value.startswith("#"):
            _contained((place, label, SINGLE), value[1:], findings)

    return check


def _canonicals(key: str, label: str) -> Check:
    canonical = primitives()["canonical"]
    plain = _values(canonical.valid, canonical.rule, "value", key, label)

    def check(value: Any, owner: Object, place: Place, findings: Findings) -> None:
        plain(value, owner, place, findings)
        if type(value) is list:
            for index, item in enumerate(value):
                if type(item) is str and item.startswith("#"):
                    _contained((place, label, index), item[1:], findings)

    return check


def _contained(place: Place, id: str, findings: Findings) -> str:
    """The type of a contained resource; notes a finding when there is none."""
    found = findings.contained.get(id)
    if found is None:
        findings.add("not-found", place, "points to a contained resource that is not there; add it to contained")
        return ""
    return found


def _member(allowed: frozenset[str]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return type(value) is str and value in allowed

    return check


def _currency(value: object) -> bool:
    return type(value) is str and len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()


def _rule(allowed: frozenset[str], value_set: str) -> str:
    if len(allowed) <= _FEW:
        return f"must be one of {', '.join(sorted(allowed))}"
    return f"must be a code from {value_set}"


def _coding_in(pairs: frozenset[tuple[str, str]], rule: str) -> Coded:
    def wrong(value: Any) -> str | None:
        if type(value) is not dict or _pair(value) in pairs:
            return None
        return f"{rule}, with its system"

    return wrong


def _concept_in(pairs: frozenset[tuple[str, str]], rule: str) -> Coded:
    def wrong(value: Any) -> str | None:
        if type(value) is not dict:
            return None
        codings = value.get("coding")
        if type(codings) is list and any(type(one) is dict and _pair(one) in pairs for one in codings):
            return None
        if not codings and "extension" in value:  # a reason for the missing code
            return None
        return f"{rule}, as a coding with its system"

    return wrong


def _pair(coding: Object) -> tuple[str, str]:
    return str(coding.get("system")), str(coding.get("code"))


def _bound(inner: Shape, wrong: Coded) -> Shape:
    def check(value: Any, place: Place, findings: Findings) -> None:
        inner(value, place, findings)
        text = wrong(value)
        if text:
            findings.add("code-invalid", place, text)

    return check


def _extension_rules(value: Object, place: Place, findings: Findings) -> None:
    """ext-1: an extension has either a value or extensions."""
    valued = any(key.startswith(("value", "_value")) for key in value)
    if valued == ("extension" in value):
        text = "must have either a value[x] or extensions, not both" if valued else "has neither value[x] nor extensions"
        findings.add("invariant", place, text)


def _reference_rules(definitions: Definitions) -> Shape:
    is_resource = definitions.is_resource

    def check(value: Any, place: Place, findings: Findings) -> None:
        kind = value.get("type")
        if type(kind) is str and not is_resource(kind) and ":" not in kind:
            findings.at("value", place, "type", "must be the name of a FHIR resource type")

    return check


def _targeted(inner: Shape, targets: tuple[str, ...], definitions: Definitions) -> Shape:
    """A Reference with the types it may point to."""
    import re

    names = "|".join(targets or definitions.types)
    usual = re.compile(rf"(?:{names})/[A-Za-z0-9\-.]{{1,64}}(?:/_history/[A-Za-z0-9\-.]{{1,64}})?").fullmatch
    allowed = frozenset(targets or definitions.types)
    wish = f"must point to {' or '.join(targets)}" if targets else "must point to a FHIR resource"

    def check(value: Any, place: Place, findings: Findings) -> None:
        inner(value, place, findings)
        if type(value) is not dict:
            return
        text = value.get("reference")
        kind = value.get("type")
        if type(text) is str and (kind is not None or usual(text) is None):
            _target(text, kind, (place, "reference", SINGLE), findings)
        elif text is None and type(kind) is str and definitions.is_resource(kind) and kind not in allowed:
            findings.at("value", place, "type", wish)

    def _target(text: str, kind: Any, place: Place, findings: Findings) -> None:
        target = reference.read(text)
        found = target.type
        if target.form == "wrong":
            findings.add("value", place, "must be Type/id, an absolute URL, urn:uuid:..., or #id of a contained resource")
            return
        if target.form == "conditional" and not findings.transaction and not target.value:
            findings.add("value", place, "is conditional, which only a transaction Bundle resolves; write Type/id")
        if target.form == "local":
            if not target.id:
                return
            found = _contained(place, target.id, findings)
        if target.form == "absolute" and not definitions.is_resource(found):
            found = ""  # not a FHIR server's address
        if target.form in {"absolute", "urn"} and findings.transaction | bool(findings.bundle):
            findings.later.append((text, tuple(allowed), place))
        if found and found not in allowed:
            findings.add("value", place, wish)
        if found and type(kind) is str and definitions.is_resource(kind) and kind != found:
            findings.add("value", place, "points to another type than the type element beside it says")

    return check


def _json_kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
