"""Required bindings: codes, codings and concepts that must come from a finite value set.

Open value sets (media types, UCUM) are not checked; currencies only by their form, three capital letters.
A CodeableConcept satisfies a required binding with one coding of the value set (R4 terminologies, "required").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from healthbrain.fhir.checks import Object, Rule, Shape
from healthbrain.fhir.definitions import Definitions, Element
from healthbrain.fhir.findings import Findings, Place

Coded = Callable[[Any], str | None]  # what is wrong with a coding or concept

_FEW = 12
_CURRENCIES = "http://hl7.org/fhir/ValueSet/currencies"


def code_rule(element: Element, definitions: Definitions) -> Rule | None:
    """The rule of a code element with a required binding; None where any code will do."""
    if not element.binding or element.binding.strength != "required":
        return None
    codes = definitions.codes(element.binding.value_set)
    if codes:
        allowed = frozenset(code for listed in codes.values() for code in listed)
        return Rule(_member(allowed), _rule(allowed, element.binding.value_set), "code-invalid")
    if element.binding.value_set == _CURRENCIES:
        return Rule(_currency, "must be an ISO 4217 currency of three capital letters", "code-invalid")
    return None


def bound(inner: Shape, element: Element, kind: str, definitions: Definitions) -> Shape:
    """The shape of a Coding or CodeableConcept with the element's required binding added, if it has one."""
    if kind not in {"Coding", "CodeableConcept"} or not element.binding or element.binding.strength != "required":
        return inner
    codes = definitions.codes(element.binding.value_set)
    if not codes:
        return inner
    pairs = frozenset((system, one) for system, listed in codes.items() for one in listed)
    rule = _rule(frozenset(one for _, one in pairs), element.binding.value_set)
    return _also(inner, _concept_in(pairs, rule) if kind == "CodeableConcept" else _coding_in(pairs, rule))


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


def _also(inner: Shape, wrong: Coded) -> Shape:
    def check(value: Any, place: Place, findings: Findings) -> None:
        inner(value, place, findings)
        text = wrong(value)
        if text:
            findings.add("code-invalid", place, text)

    return check
