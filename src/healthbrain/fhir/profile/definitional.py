"""Definitions that are to be used here: profiles must be such that they can be, expressions must be readable.

A StructureDefinition is laid over its base as it would be for use; what stands against that is an error where it stands.
Rule source: R4 StructureDefinition, ElementDefinition, SearchParameter.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.fhirpath import Unanswerable, Unreadable, compile
from healthbrain.fhir.findings import SINGLE, Place
from healthbrain.fhir.profile.conformance import Conformance
from healthbrain.fhir.profile.derivation import Unusable, derive
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.report import Report

_VIEWS = ("differential", "snapshot")


def check_search_parameter(item: Item, report: Report) -> None:
    """The expression of a search parameter is FHIRPath."""
    _expression(item.value.get("expression"), (item.place, "expression", SINGLE), report)


def check_structure_definition(item: Item, checker: Conformance) -> None:
    """A profile can be laid over its base, and its rules can be read."""
    if item.value.get("derivation") == "constraint":
        try:
            derive(item.value, checker.work.profiles.structure)
        except Unusable as problem:
            checker.report.error("business-rule", item.place, f"cannot be used as a profile: {problem.message}")
    for view in _VIEWS:
        content = item.value.get(view)
        elements = content.get("element") if isinstance(content, dict) else None
        for index, one in enumerate(elements if isinstance(elements, list) else ()):
            if isinstance(one, dict):
                _element(one, ((item.place, view, SINGLE), "element", index), checker.report)


def _element(element: dict[str, Any], place: Place, report: Report) -> None:
    rules = element.get("constraint")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            _expression(rule.get("expression"), ((place, "constraint", index), "expression", SINGLE), report)


def _expression(text: Any, place: Place, report: Report) -> None:
    if not isinstance(text, str):
        return
    try:
        compile(text, published=True, limited=True)
    except (Unreadable, Unanswerable) as problem:
        report.error("invalid", place, f"is no FHIRPath that can be evaluated: {problem.message}")
