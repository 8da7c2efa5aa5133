"""What single resource types ask beyond structure, invariants and profiles: each with its own check."""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.findings import SINGLE
from healthbrain.fhir.profile.bundles import check_bundle
from healthbrain.fhir.profile.conformance import Conformance
from healthbrain.fhir.profile.content import check_code_system, check_concept_map, check_value_set
from healthbrain.fhir.profile.definitional import check_search_parameter, check_structure_definition
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.questions import Answers, check_questionnaire


def check_special(item: Item, checker: Conformance) -> None:
    """Note what the rules of a resource's own type find."""
    match item.type:
        case "Bundle":
            check_bundle(item, checker.report)
        case "CodeSystem":
            check_code_system(item, checker)
        case "ConceptMap":
            check_concept_map(item, checker)
        case "ValueSet":
            check_value_set(item, checker)
        case "Questionnaire":
            check_questionnaire(item, checker.report)
        case "QuestionnaireResponse":
            _response(item, checker)
        case "SearchParameter":
            check_search_parameter(item, checker.report)
        case "StructureDefinition":
            check_structure_definition(item, checker)


def _response(item: Item, checker: Conformance) -> None:
    canonical = item.value.get("questionnaire")
    if not isinstance(canonical, str):
        text = "names no questionnaire, so its answers were not checked"
        checker.report.add("information", "not-found", item.place, text)
        return
    found = _questionnaire(item, canonical, checker)
    if found is None or found.get("resourceType") != "Questionnaire":
        text = "the answers were not checked: the questionnaire is not known here"
        checker.report.add("warning", "not-found", (item.place, "questionnaire", SINGLE), text)
        return
    Answers(found, item, checker.report).check()


def _questionnaire(item: Item, canonical: str, checker: Conformance) -> dict[str, Any] | None:
    """The Questionnaire that is contained, in the Bundle, or known to the caller."""
    if canonical.startswith("#"):
        return item.around.resolve(canonical)
    return checker.work.questionnaires(canonical) if checker.work.questionnaires else None
