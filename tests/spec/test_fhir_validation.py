"""What a resource must be to be stored: a table of wrong resources and where they are wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.fhir_samples import BUNDLE, CONDITION, OBSERVATION, PATIENT

from healthbrain.fhir import parse, validate

SECRET = "张伟-310118"  # a patient's value: it must never stand in a message


def altered(resource: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one value set (or removed, for `...`); the path is keys and indexes with dots."""
    found = copy.deepcopy(resource)
    node: Any = found
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return found


@pytest.mark.parametrize("resource", [PATIENT, OBSERVATION, CONDITION, BUNDLE], ids=lambda r: r["resourceType"])
def test_a_proper_resource_has_no_findings(resource: dict[str, Any]) -> None:
    assert validate(resource) == []
    assert validate(resource, resource["resourceType"]) == []


RIGHT = [
    # resource, path, value
    (PATIENT, "birthDate", "2024-02-29"),
    (PATIENT, "birthDate", "1960"),
    (PATIENT, "name.0.text", "欧阳\u3000娜娜\n(曾用名)"),
    (PATIENT, "managingOrganization", {"identifier": {"system": "urn:x", "value": "1"}}),
    (PATIENT, "managingOrganization", {"reference": "http://other.example/fhir/Organization/1/_history/2"}),
    (PATIENT, "managingOrganization", {"reference": "http://other.example/anything"}),
    (PATIENT, "managingOrganization", {"reference": "Organization?identifier=urn:x|1"}),
    (PATIENT, "managingOrganization", {"reference": "urn:oid:2.16.156"}),
    (PATIENT, "gender", ...),
    (PATIENT, "deceasedDateTime", "2026-01-05T23:59:60+14:00"),
    (PATIENT, "photo", [{"data": "aGk="}]),
    (PATIENT, "multipleBirthInteger", -2),
    (PATIENT, "_gender", {"extension": [{"url": "urn:x", "valueString": "kept beside the value"}]}),
    (OBSERVATION, "valueQuantity.value", parse('{"v": 1e400}')["v"]),
    (OBSERVATION, "subject", {"reference": "Patient/p1", "type": "Patient"}),
    (OBSERVATION, "subject", {"display": "unknown"}),
    (CONDITION, "clinicalStatus", {"extension": [{"url": "urn:reason", "valueCode": "unknown"}]}),
    (CONDITION, "contained.0.managingOrganization", {"reference": "#"}),
    (
        CONDITION,
        "clinicalStatus.coding.0",
        {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"},
    ),
]


@pytest.mark.parametrize(("resource", "path", "value"), RIGHT)
def test_what_r4_allows_passes(resource: dict[str, Any], path: str, value: Any) -> None:
    assert validate(altered(resource, path, value)) == []


S = SECRET
WRONG = [
    # resource, path, value set there (... = removed), issue code, where the finding is
    (PATIENT, "resourceType", ..., "required", "Resource.resourceType"),
    (PATIENT, "resourceType", "Patent", "structure", "Resource.resourceType"),
    (PATIENT, "resourceType", 1, "structure", "Resource.resourceType"),
    (PATIENT, "resourceType", "DomainResource", "structure", "Resource.resourceType"),
    # unknown elements
    (PATIENT, "nickname", S, "structure", "Patient.nickname"),
    (PATIENT, S, "x", "structure", "Patient"),
    (PATIENT, "_nickname", {"id": "1"}, "structure", "Patient._nickname"),
    (PATIENT, "_name", [{"id": "1"}], "structure", "Patient._name"),
    (PATIENT, "fhir_comments", ["x"], "structure", "Patient.fhir_comments"),
    (PATIENT, "contact.0.name.maiden", S, "structure", "Patient.contact[0].name.maiden"),
    (PATIENT, "value", 1, "structure", "Patient.value"),
    (OBSERVATION, "value", 1, "structure", "Observation.value"),
    (OBSERVATION, "valueMoney", {"value": 1}, "structure", "Observation.valueMoney"),
    (OBSERVATION, "component.0.subject", {"display": S}, "structure", "Observation.component[0].subject"),
    # cardinality and JSON form
    (PATIENT, "name", {"family": S}, "structure", "Patient.name"),
    (PATIENT, "name", [], "structure", "Patient.name"),
    (PATIENT, "name", None, "structure", "Patient.name"),
    (PATIENT, "name.0", None, "structure", "Patient.name[0]"),
    (PATIENT, "name.0", {}, "structure", "Patient.name[0]"),
    (PATIENT, "name.0", {"id": "only"}, "structure", "Patient.name[0]"),
    (PATIENT, "name.0", S, "structure", "Patient.name[0]"),
    (PATIENT, "birthDate", ["1960"], "structure", "Patient.birthDate"),
    (PATIENT, "birthDate", None, "structure", "Patient.birthDate"),
    (PATIENT, "birthDate", {"value": "1960"}, "value", "Patient.birthDate"),
    (PATIENT, "maritalStatus", [{"text": S}], "structure", "Patient.maritalStatus"),
    (PATIENT, "name.0.given", "伟", "structure", "Patient.name[0].given"),
    (PATIENT, "name.0.given", [], "structure", "Patient.name[0].given"),
    (OBSERVATION, "status", ..., "required", "Observation.status"),
    (OBSERVATION, "code", ..., "required", "Observation.code"),
    (OBSERVATION, "component.0.code", ..., "required", "Observation.component[0].code"),
    (PATIENT, "link.0.other", ..., "required", "Patient.link[0].other"),
    # choice
    (OBSERVATION, "valueString", S, "structure", "Observation.value"),
    (OBSERVATION, "_valueString", {"extension": [{"url": "u", "valueCode": "c"}]}, "structure", "Observation.value"),
    (OBSERVATION, "valueQuantity.value", "120", "value", "Observation.value.ofType(Quantity).value"),
    (OBSERVATION, "component.0.valueString", "", "value", "Observation.component[0].value.ofType(string)"),
    # primitives
    (PATIENT, "id", "a b", "value", "Patient.id"),
    (PATIENT, "id", "x" * 65, "value", "Patient.id"),
    (PATIENT, "id", "", "value", "Patient.id"),
    (PATIENT, "active", "true", "value", "Patient.active"),
    (PATIENT, "active", 1, "value", "Patient.active"),
    (PATIENT, "birthDate", "2023-02-29", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "2024-02-30", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "1900-02-29", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "2026-04-31", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "2026-13", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "2026-1-5", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "20260105", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "0000", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "2026-01-05T00:00:00Z", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "2026-01-05\n", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", "２０２６", "value", "Patient.birthDate"),
    (PATIENT, "birthDate", 1960, "value", "Patient.birthDate"),
    (OBSERVATION, "effectiveDateTime", "2026-01-05T08:30:00", "value", "Observation.effective.ofType(dateTime)"),
    (OBSERVATION, "effectiveDateTime", "2026-01-05T08:30Z", "value", "Observation.effective.ofType(dateTime)"),
    (OBSERVATION, "effectiveDateTime", "2026-02-30T08:30:00Z", "value", "Observation.effective.ofType(dateTime)"),
    (OBSERVATION, "effectiveDateTime", "2026-01-05T24:00:00Z", "value", "Observation.effective.ofType(dateTime)"),
    (OBSERVATION, "effectiveDateTime", "2026-01-05T08:30:00+15:00", "value", "Observation.effective.ofType(dateTime)"),
    (OBSERVATION, "issued", "2026-01-05", "value", "Observation.issued"),
    (OBSERVATION, "valueQuantity.value", True, "value", "Observation.value.ofType(Quantity).value"),
    (OBSERVATION, "valueQuantity.value", float("inf"), "value", "Observation.value.ofType(Quantity).value"),
    (OBSERVATION, "valueQuantity.value", float("nan"), "value", "Observation.value.ofType(Quantity).value"),
    (OBSERVATION, "valueQuantity.unit", "", "value", "Observation.value.ofType(Quantity).unit"),
    (OBSERVATION, "valueQuantity.unit", "a\x00b", "value", "Observation.value.ofType(Quantity).unit"),
    (OBSERVATION, "valueQuantity.unit", "x" * (1024 * 1024 + 1), "value", "Observation.value.ofType(Quantity).unit"),
    (OBSERVATION, "valueQuantity.system", "not a uri", "value", "Observation.value.ofType(Quantity).system"),
    (PATIENT, "identifier.0.system", "urn:oid:2.16.X", "value", "Patient.identifier[0].system"),
    (PATIENT, "identifier.0.system", "urn:uuid:123", "value", "Patient.identifier[0].system"),
    (PATIENT, "multipleBirthInteger", 1.0, "value", "Patient.multipleBirth.ofType(integer)"),
    (PATIENT, "multipleBirthInteger", 2**31, "value", "Patient.multipleBirth.ofType(integer)"),
    (
        PATIENT,
        "communication",
        [{"language": {"coding": [{"code": " zh"}]}}],
        "value",
        "Patient.communication[0].language.coding[0].code",
    ),
    (PATIENT, "photo", [{"data": "a"}], "value", "Patient.photo[0].data"),
    (PATIENT, "photo", [{"data": "张=="}], "value", "Patient.photo[0].data"),
    (PATIENT, "photo", [{"size": -1}], "value", "Patient.photo[0].size"),
    (PATIENT, "telecom", [{"rank": 0}], "value", "Patient.telecom[0].rank"),
    (PATIENT, "meta.profile", ["has space"], "value", "Patient.meta.profile[0]"),
    # required bindings
    (PATIENT, "gender", "男", "code-invalid", "Patient.gender"),
    (PATIENT, "gender", "Male", "code-invalid", "Patient.gender"),
    (PATIENT, "gender", 1, "code-invalid", "Patient.gender"),
    (OBSERVATION, "status", S, "code-invalid", "Observation.status"),
    (OBSERVATION, "status", ["final"], "structure", "Observation.status"),
    (CONDITION, "clinicalStatus.coding.0.code", S, "code-invalid", "Condition.clinicalStatus"),
    (CONDITION, "clinicalStatus.coding.0.system", "urn:other", "code-invalid", "Condition.clinicalStatus"),
    (CONDITION, "clinicalStatus", {"text": S}, "code-invalid", "Condition.clinicalStatus"),
    # references
    (OBSERVATION, "subject.reference", "patient 1", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject.reference", "Patient/", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject.reference", "Patient/a b", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject.reference", "Organization/1", "value", "Observation.subject.reference"),
    (
        OBSERVATION,
        "subject.reference",
        "http://other.example/fhir/Organization/1",
        "value",
        "Observation.subject.reference",
    ),
    (OBSERVATION, "subject.reference", "Alien/1", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject.reference", "urn:uuid:1", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject.reference", "Patient?name=x", "value", "Observation.subject.reference"),
    (OBSERVATION, "subject.reference", "#nobody", "not-found", "Observation.subject.reference"),
    (OBSERVATION, "subject", {"type": "Organization", "display": S}, "value", "Observation.subject.type"),
    (OBSERVATION, "subject", {"type": "Pat"}, "value", "Observation.subject.type"),
    (OBSERVATION, "subject.type", "Group", "value", "Observation.subject.reference"),
    (OBSERVATION, "focus", [{"reference": "Alien/1"}], "value", "Observation.focus[0].reference"),
    (CONDITION, "contained.0.resourceType", "Organization", "value", "Condition.subject.reference"),
    # contained
    (CONDITION, "contained.0.id", ..., "required", "Condition.contained[0].id"),
    (
        CONDITION,
        "contained.0.contained",
        [{"resourceType": "Patient", "id": "q"}],
        "invariant",
        "Condition.contained[0]",
    ),
    (CONDITION, "contained.0.gender", S, "code-invalid", "Condition.contained[0].gender"),
    (CONDITION, "contained", [PATIENT, PATIENT], "duplicate", "Condition.contained[1].id"),
    (CONDITION, "contained", [{"id": "p"}], "required", "Condition.contained[0].resourceType"),
    (CONDITION, "contained", ["x"], "structure", "Condition.contained[0]"),
    # extensions
    (PATIENT, "extension.0.url", ..., "required", "Patient.extension[0].url"),
    (PATIENT, "extension.0.valueString", ..., "invariant", "Patient.extension[0]"),
    (PATIENT, "extension.0.valueCode", "c", "structure", "Patient.extension[0].value"),
    (PATIENT, "extension.0.extension", [{"url": "a", "valueCode": "b"}], "invariant", "Patient.extension[0]"),
    (PATIENT, "extension.1.extension.0.valueCode", "", "value", "Patient.extension[1].extension[0].value.ofType(code)"),
    (PATIENT, "_birthDate", {}, "structure", "Patient.birthDate"),
    (PATIENT, "_birthDate", [{"id": "1"}], "structure", "Patient.birthDate"),
    (PATIENT, "_birthDate", {"value": S}, "structure", "Patient.birthDate.value"),
    (PATIENT, "_gender", {"id": 1}, "value", "Patient.gender.id"),
    (PATIENT, "_active", {"extension": [{"url": "u"}]}, "invariant", "Patient.active.extension[0]"),
    (PATIENT, "_deceasedBoolean", {"id": "alone"}, "structure", "Patient.deceased"),
    (PATIENT, "name.0._given", [None], "structure", "Patient.name[0].given"),
    (PATIENT, "name.0._given", [None, None], "structure", "Patient.name[0].given[1]"),
    (PATIENT, "name.0._given", {"id": "1"}, "structure", "Patient.name[0].given"),
    (PATIENT, "name.0._given", ..., "structure", "Patient.name[0].given[1]"),
    # narrative
    (PATIENT, "text.div", S, "structure", "Patient.text.div"),
    (PATIENT, "text.div", "<div>no namespace</div>", "structure", "Patient.text.div"),
    (PATIENT, "text.div", '<p xmlns="http://www.w3.org/1999/xhtml">x</p>', "structure", "Patient.text.div"),
    (PATIENT, "text.div", '<div xmlns="http://www.w3.org/1999/xhtml"> </div>', "structure", "Patient.text.div"),
    (PATIENT, "text.div", '<div xmlns="http://www.w3.org/1999/xhtml">x<br></div>', "structure", "Patient.text.div"),
    (PATIENT, "text.div", '<div xmlns="http://www.w3.org/1999/xhtml">a&nbsp;b</div>', "structure", "Patient.text.div"),
    (
        PATIENT,
        "text.div",
        '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>',
        "structure",
        "Patient.text.div",
    ),
    (
        PATIENT,
        "text.div",
        '<div xmlns="http://www.w3.org/1999/xhtml" onclick="x()">x</div>',
        "structure",
        "Patient.text.div",
    ),
    (
        PATIENT,
        "text.div",
        '<div xmlns="http://www.w3.org/1999/xhtml"><a href=" java\tscript:x">x</a></div>',
        "structure",
        "Patient.text.div",
    ),
    (
        PATIENT,
        "text.div",
        '<!DOCTYPE d [<!ENTITY a "b">]><div xmlns="http://www.w3.org/1999/xhtml">&a;</div>',
        "structure",
        "Patient.text.div",
    ),
    (PATIENT, "text.div", 7, "structure", "Patient.text.div"),
    (PATIENT, "text.status", ..., "required", "Patient.text.status"),
    # bundles
    (BUNDLE, "type", "collection", "value", "Bundle.entry[1].resource.performer[0].reference"),
    (
        BUNDLE,
        "entry.1.resource.encounter",
        {"reference": "urn:uuid:00000000-0000-0000-0000-000000000001"},
        "value",
        "Bundle.entry[1].resource.encounter.reference",
    ),
    (BUNDLE, "entry.0.resource.gender", S, "code-invalid", "Bundle.entry[0].resource.gender"),
    (BUNDLE, "entry.0.resource", {"resourceType": "Alien"}, "structure", "Bundle.entry[0].resource.resourceType"),
    (BUNDLE, "entry.0.resource", [], "structure", "Bundle.entry[0].resource"),
    (BUNDLE, "entry.0.request.method", ..., "required", "Bundle.entry[0].request.method"),
]


@pytest.mark.parametrize(
    ("resource", "path", "value", "code", "where"), WRONG, ids=[f"{w[4]}-{w[3]}-{i}" for i, w in enumerate(WRONG)]
)
def test_what_breaks_r4_is_located(resource: dict[str, Any], path: str, value: Any, code: str, where: str) -> None:
    issues = validate(altered(resource, path, value))
    assert (code, where) in [(issue.code, issue.expression) for issue in issues]
    assert {issue.severity for issue in issues} == {"error"}
    for issue in issues:
        assert SECRET not in issue.text + issue.expression
        assert issue.text


def test_another_type_than_expected_is_refused() -> None:
    (issue,) = validate(PATIENT, "Observation")
    assert (issue.code, issue.expression) == ("invalid", "Observation")


def test_all_errors_are_found_not_only_the_first() -> None:
    found = validate({"resourceType": "Observation", "issued": "x", "status": "y", "bodySite": 1, "what": 1})
    assert [issue.expression for issue in found] == [
        "Observation.issued",
        "Observation.status",
        "Observation.bodySite",
        "Observation.what",
        "Observation.code",
    ]


def test_at_most_a_hundred_findings_are_listed() -> None:
    assert len(validate({"resourceType": "Patient", "name": [{}] * 1000})) == 100


def test_local_references_are_resolved_within_their_own_bundle_entry() -> None:
    lone = {**CONDITION}
    del lone["contained"]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": CONDITION}, {"resource": lone}]}
    assert [issue.expression for issue in validate(bundle)] == ["Bundle.entry[1].resource.subject.reference"]


def test_a_canonical_may_point_to_a_contained_resource() -> None:
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q"}
    assert [issue.code for issue in validate(response)] == ["not-found"]
    contained = [{"resourceType": "Questionnaire", "id": "q", "status": "draft"}]
    assert validate({**response, "contained": contained}) == []


def test_recursive_elements_are_checked_at_any_depth() -> None:
    item: dict[str, Any] = {"linkId": "last", "type": "wrong"}
    for _ in range(20):
        item = {"linkId": "g", "type": "group", "item": [item]}
    (issue,) = validate({"resourceType": "Questionnaire", "status": "draft", "item": [item]})
    assert issue.expression == "Questionnaire" + ".item[0]" * 21 + ".type"


def test_a_restricted_quantity_has_no_comparator() -> None:
    quantity = {"value": 1, "comparator": "<"}
    dosage = {"doseAndRate": [{"doseQuantity": quantity}]}
    statement = {"resourceType": "MedicationStatement", "status": "active", "subject": {"reference": "Patient/1"}}
    found = validate({**statement, "medicationCodeableConcept": {"text": "x"}, "dosage": [dosage]})
    assert [i.expression for i in found] == [
        "MedicationStatement.dosage[0].doseAndRate[0].dose.ofType(Quantity).comparator"
    ]


def test_currencies_are_checked_by_their_form() -> None:
    invoice = {"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 1, "currency": "CNY"}}
    assert validate(invoice) == []
    assert validate(altered(invoice, "totalNet.currency", "rmb"))[0].expression == "Invoice.totalNet.currency"
