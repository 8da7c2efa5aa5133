"""Compiling the official package: types, value sets, search-parameter paths."""

from __future__ import annotations

from typing import Any

import pytest

from healthbrain.fhir.compile.package import Package
from healthbrain.fhir.compile.paths import compile_path, split
from healthbrain.fhir.compile.types import types
from healthbrain.fhir.compile.valuesets import expansions
from healthbrain.fhir.definitions import definitions

KINDS = (
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "SearchParameter",
    "CompartmentDefinition",
    "OperationDefinition",
)


def package(**resources: list[dict[str, Any]]) -> Package:
    return Package({kind: resources.get(kind, []) for kind in KINDS})


def records() -> dict[str, Any]:
    found: dict[str, Any] = definitions()._data["types"]
    return found


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("Observation.status", "Observation", [("status", "code")]),
        ("(Observation.value as Quantity)", "Observation", [("valueQuantity", "Quantity")]),
        ("Observation.value.ofType(Quantity)", "Observation", [("valueQuantity", "Quantity")]),
        ("(Observation.value as CodeableConcept).text", "Observation", [("valueCodeableConcept.text", "string")]),
        ("value.as(DateTime)", "Observation", [("valueDateTime", "dateTime")]),
        ("Goal.start as date", "Goal", None),
        ("Patient.contact.telecom.where(system='phone')", "Patient", [("contact*.telecom*.where", "ContactPoint")]),
        ("Patient.deceased.exists() and Patient.deceased != false", "Patient", [("true", "boolean")]),
        ("Bundle.entry[0].resource", "Bundle", [("entry*.at.resource", "Resource")]),
        (
            "%resource.referenceSeq.chromosome",
            "MolecularSequence.variant",
            [("root.referenceSeq.chromosome", "CodeableConcept")],
        ),
        ("Device.extension('urn:x')", "Device", [("ext", "Extension")]),
        ("Account.subject.where(resolve() is Patient)", "Account", [("subject*.is", "Reference")]),
        ("Patient.name.explode()", "Patient", None),
        ("Patient.name + 1", "Patient", None),
        ("Patient.(name", "Patient", None),
    ],
)
def test_an_expression_becomes_typed_steps_or_is_refused(
    expression: str, start: str, expected: list[tuple[str, str]] | None
) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"expression|function|expected"):
            compile_path(expression, start, records())
        return
    found = [
        (".".join(_shown(step) for step in path.steps), path.type)
        for path in compile_path(expression, start, records())
    ]
    assert found == expected


def _shown(step: tuple[Any, ...]) -> str:
    return {"one": step[-1], "many": f"{step[-1]}*"}.get(step[0], step[0])


def test_a_choice_element_without_a_type_stands_for_all_its_types() -> None:
    paths = compile_path("Observation.effective", "Observation", records())
    assert [path.type for path in paths] == ["dateTime", "Period", "Timing", "instant"]


def test_a_union_is_split_by_the_type_it_starts_at() -> None:
    expression = "Patient.name | (Person.value as Period) | Resource.id | PatientX.name | alias"
    assert split(expression, "Patient") == ["Patient.name", "Resource.id", "alias"]


def test_value_sets_expand_only_when_they_are_finite() -> None:
    systems = [
        {
            "url": "urn:s",
            "content": "complete",
            "concept": [
                {"code": "a", "concept": [{"code": "a1"}]},
                {"code": "x", "property": [{"code": "notSelectable", "valueBoolean": True}]},
            ],
        },
        {"url": "urn:fragment", "content": "fragment", "concept": [{"code": "z"}]},
    ]

    def value_set(url: str, *include: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"url": url, "compose": {"include": list(include), **more}}

    sets = [
        value_set("urn:whole", {"system": "urn:s"}),
        value_set("urn:listed", {"system": "urn:t", "concept": [{"code": "q"}]}, {"system": "urn:s"}),
        value_set("urn:open", {"system": "urn:fragment"}),
        value_set("urn:filtered", {"system": "urn:s", "filter": [{}]}),
        value_set("urn:without", {"system": "urn:s"}, exclude=[{"system": "urn:s"}]),
    ]
    urls = [one["url"] for one in sets] + ["urn:absent"]
    assert expansions(package(ValueSet=sets, CodeSystem=systems), urls) == {
        "urn:whole": [["urn:s", ["a", "a1"]]],
        "urn:listed": [["urn:s", ["a", "a1"]], ["urn:t", ["q"]]],
    }


def test_nested_elements_become_types_named_by_their_path() -> None:
    def element(path: str, code: str = "string", **more: Any) -> dict[str, Any]:
        return {"path": path, "min": 0, "max": "1", "type": [{"code": code}], **more}

    definition = {
        "kind": "resource",
        "name": "Thing",
        "type": "Thing",
        "abstract": False,
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/DomainResource",
        "snapshot": {
            "element": [
                {"path": "Thing", "min": 0, "max": "*"},
                element("Thing.part", "BackboneElement", max="*"),
                element("Thing.part.name", min=1),
                {"path": "Thing.part.part", "min": 0, "max": "*", "contentReference": "#Thing.part"},
                element("Thing.gone", max="0"),
            ]
        },
    }
    found = types(package(StructureDefinition=[definition]))
    assert list(found) == ["Thing", "Thing.part"]
    assert [e["name"] for e in found["Thing"]["elements"]] == ["part"]
    assert [e["types"] for e in found["Thing.part"]["elements"]] == [
        [["string", [], "string"]],
        [["Thing.part", [], "Thing.part"]],
    ]
