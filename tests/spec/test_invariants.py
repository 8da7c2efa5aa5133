"""R4's invariants: each row is a resource and the rules it breaks, with the places."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthbrain.fhir import definitions, parse, validate
from healthbrain.fhir.profile import check_invariants, invariants, objections, rules

UCUM = "http://unitsofmeasure.org"
CONDITION = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def broken(resource: dict[str, Any]) -> list[str]:
    """The errors as `key place`."""
    return [f"{one.text.partition(':')[0]} {one.expression}" for one in check_invariants(resource, warnings=False)]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Patient", "contact": [{"gender": "male"}]}, ["pat-1 Patient.contact[0]"]),
        ({"resourceType": "Patient", "contact": [{"telecom": [{"system": "phone", "value": "1"}]}]}, []),
        ({"resourceType": "Patient", "telecom": [{"value": "1"}]}, ["cpt-2 Patient.telecom[0]"]),
        (
            {"resourceType": "Patient", "name": [{"period": {"start": "2026-02-01", "end": "2026-01-01"}}]},
            ["per-1 Patient.name[0].period"],
        ),
        ({"resourceType": "Patient", "name": [{"period": {"start": "2026-01", "end": "2026-01-15"}}]}, []),
        (
            {"resourceType": "Patient", "generalPractitioner": [{"reference": "#d"}]},
            ["ref-1 Patient.generalPractitioner[0]"],
        ),
        (
            {
                "resourceType": "Patient",
                "contained": [{"resourceType": "Practitioner", "id": "d"}],
                "generalPractitioner": [{"reference": "#d"}],
            },
            [],
        ),
        ({"resourceType": "Patient", "contained": [{"resourceType": "Practitioner", "id": "d"}]}, ["dom-3 Patient"]),
        (
            {
                "resourceType": "Patient",
                "contained": [{"resourceType": "Practitioner", "id": "d", "meta": {"versionId": "1"}}],
                "generalPractitioner": [{"reference": "#d"}],
            },
            ["dom-4 Patient"],
        ),
        ({"resourceType": "Patient", "photo": [{"data": "aGk="}]}, ["att-1 Patient.photo[0]"]),
        (observation(valueString="x", dataAbsentReason={"text": "x"}), ["obs-6 Observation"]),
        (observation(valueQuantity={"value": 1, "code": "kg"}), ["qty-3 Observation.value.ofType(Quantity)"]),
        (observation(valueQuantity={"value": 1, "code": "kg", "system": UCUM}), []),
        (observation(referenceRange=[{"type": {"text": "x"}}]), ["obs-3 Observation.referenceRange[0]"]),
        (
            observation(valueRange={"low": {"value": 3}, "high": {"value": 2}}),
            ["rng-2 Observation.value.ofType(Range)"],
        ),
        (
            observation(component=[{"code": {"coding": [{"code": "a"}]}}], valueString="x"),
            [],
        ),
        (
            {
                **observation(valueString="x", component=[{"code": {"coding": [{"code": "a"}]}}]),
                "code": {"coding": [{"code": "a"}]},
            },
            ["obs-7 Observation"],
        ),
        (
            {
                "resourceType": "Condition",
                "subject": {"display": "a"},
                "abatementDateTime": "2026",
                "clinicalStatus": {"coding": [{"system": CONDITION, "code": "active"}]},
            },
            ["con-4 Condition"],
        ),
        (
            {
                "resourceType": "Bundle",
                "type": "document",
                "timestamp": "2026-01-01T00:00:00Z",
                "identifier": {"system": "urn:a", "value": "b"},
                "entry": [{"resource": {"resourceType": "Patient", "contact": [{}]}}],
            },
            ["bdl-11 Bundle", "pat-1 Bundle.entry[0].resource.contact[0]"],
        ),
        (
            {
                "resourceType": "Organization",
                "name": "a",
                "telecom": [{"system": "phone", "value": "1", "use": "home"}],
            },
            ["org-3 Organization.telecom[0]"],
        ),
        (
            {
                "resourceType": "Patient",
                "extension": [{"url": "urn:a", "valuePeriod": {"start": "2026", "end": "2025"}}],
            },
            ["per-1 Patient.extension[0].value.ofType(Period)"],
        ),
        (
            {
                "resourceType": "Patient",
                "_birthDate": {"extension": [{"url": "urn:a", "valueReference": {"reference": "#a"}}]},
            },
            ["ref-1 Patient.birthDate.extension[0].value.ofType(Reference)"],
        ),
        (
            {
                "resourceType": "Questionnaire",
                "status": "active",
                "item": [
                    {"linkId": "a", "type": "group", "item": [{"linkId": "a", "type": "display", "required": True}]}
                ],
            },
            ["que-2 Questionnaire", "que-6 Questionnaire.item[0].item[0]"],
        ),
        (
            {"resourceType": "Parameters", "parameter": [{"name": "a", "valueString": "x", "part": [{"name": "b"}]}]},
            ["inv-1 Parameters.parameter[0]", "inv-1 Parameters.parameter[0].part[0]"],
        ),
    ],
)
def test_a_resource_breaks_these_rules_and_no_others(resource: dict[str, Any], expected: list[str]) -> None:
    assert broken(resource) == expected


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"resourceType": "Patient", "extension": [{"url": "urn:a"}]}, "Patient.extension[0]"),
        (
            {"resourceType": "Patient", "extension": [{"url": "urn:a", "valueCode": "a", "extension": []}]},
            "Patient.extension[0]",
        ),
        ({"resourceType": "Patient", "name": [{"id": "a"}]}, "Patient.name[0]"),
        ({"resourceType": "Patient", "text": {"status": "generated", "div": "<p/>"}}, "Patient.text.div"),
    ],
)
def test_what_ele_1_ext_1_txt_1_and_txt_2_forbid_is_a_matter_of_structure(resource: dict[str, Any], place: str) -> None:
    assert place in [one.expression for one in validate(resource)]


def test_best_practice_is_a_warning_with_its_human_text() -> None:
    (issue,) = check_invariants({"resourceType": "Patient"})
    assert (issue.severity, issue.code, issue.expression) == ("warning", "invariant", "Patient")
    assert issue.text == "dom-6: A resource should have narrative for robust management"
    contained = {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        "contained": [{"resourceType": "Practitioner", "id": "d"}],
        "generalPractitioner": [{"reference": "#d"}],
    }
    assert check_invariants(contained) == []


_ELEMENTS = [{"id": path, "path": path} for path in ("Patient", "Patient.name", "Patient.name.family")]
STRUCTURE: dict[str, Any] = {
    "resourceType": "StructureDefinition", "url": "urn:a", "name": "A", "status": "draft", "kind": "resource",
    "abstract": False, "type": "Patient", "derivation": "constraint",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "snapshot": {"element": _ELEMENTS}, "differential": {"element": _ELEMENTS},
}  # fmt: skip


@pytest.mark.suite
def test_the_linear_forms_say_what_the_published_rules_say(suites: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = list(_variations(STRUCTURE))
    with tarfile.open(suites / "fhir-r4-examples.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".json") and member.size < 60_000:
                resource = parse(archive.extractfile(member).read())  # type: ignore[union-attr]  # a file
                changed += [resource, *_variations(resource)]
    ours = [broken(one) for one in changed]
    monkeypatch.setattr(rules, "linear_form", lambda key, expression: None)
    published = invariants._Plans(definitions(), warnings=False)
    monkeypatch.setattr(invariants, "_plans", lambda warnings: published)
    theirs = [broken(one) for one in changed]
    assert ours == theirs
    keys = {one.partition(" ")[0] for found in ours for one in found}
    assert {"dom-3", "ref-1", "obs-7", "sdf-8", "sdf-8a"} <= keys


def _variations(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same with a contained resource nobody refers to, a broken local reference, a repeated code, other paths."""
    if "contained" in resource:
        contained = resource["contained"]
        yield {**resource, "contained": [*contained, {"resourceType": "Basic", "id": "lonely", "code": {"text": "a"}}]}
        yield {**resource, "contained": [{**one, "id": f"{one['id']}x"} for one in contained]}
    if resource["resourceType"] == "Observation" and "component" in resource:
        code = resource["component"][0]["code"]
        yield {**resource, "code": code, "valueString": "a"}
        yield {**resource, "code": code}
    if resource["resourceType"] == "StructureDefinition":
        yield {**resource, "type": "Basic"}
        for part in ("snapshot", "differential"):
            if part in resource:
                elements = resource[part]["element"]
                last = {**elements[-1], "path": "Other.path"}
                yield {**resource, part: {"element": [*elements[:-1], last]}}
                yield {**resource, part: {"element": elements[:1]}}


def test_what_is_refused_is_the_structure_first_and_then_the_rules() -> None:
    wrong = {"resourceType": "Patient", "unknown": 1, "telecom": [{"value": "1"}]}
    assert [one.expression for one in objections(wrong)] == ["Patient.unknown"]
    del wrong["unknown"]
    assert [one.text.partition(":")[0] for one in objections(wrong)] == ["cpt-2"]
    assert objections(wrong, invariants=False) == []
    assert objections({"resourceType": "Patient"}) == []
