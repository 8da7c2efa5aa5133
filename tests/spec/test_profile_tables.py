"""The tables of profiles.md, executed; and the rules about which profiles can be used."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from healthbrain.errors import Issue
from healthbrain.fhir.profile import as_operation_outcome, validate_resource

URL = "urn:profile"
CORE = "http://hl7.org/fhir/StructureDefinition/"
ASIDE = ("dom-6", "codes of ", "has a code without its system")
MINIMAL: dict[str, dict[str, Any]] = {
    "Patient": {},
    "Observation": {"status": "final", "code": {"text": "x"}},
    "Bundle": {"type": "collection"},
    "Questionnaire": {"status": "active"},
}


class Row(NamedTuple):
    """One row: the profile's elements, a resource, and what is found."""

    title: str
    profile: dict[str, Any]
    resource: dict[str, Any]
    expected: list[str]


def structure(type_: str, elements: dict[str, Any], url: str = URL, base: str = "") -> dict[str, Any]:
    """A StructureDefinition from element ids without their first part."""
    found = []
    for name, facts in elements.items():
        id_ = f"{type_}.{name}" if name else type_
        path = ".".join(part.partition(":")[0] for part in id_.split("."))
        found.append({"id": id_, "path": path, **facts})
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "type": type_,
        "kind": "resource",
        "derivation": "constraint",
        "baseDefinition": base or CORE + type_,
        "differential": {"element": found},
    }


def rows() -> list[Row]:
    text = Path(__file__).with_name("profiles.md").read_text(encoding="utf-8")
    found = []
    for section in text.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
        assert block, title
        profile = yaml.safe_load(block[1])
        for cell, finding in re.findall(r"^\| `(.*)` \| (.*) \|$", section, re.MULTILINE):
            resource = {"resourceType": profile["type"], **MINIMAL[profile["type"]], **yaml.safe_load(cell)}
            expected = [] if finding == "right" else [one.strip() for one in finding.split(";")]
            found.append(Row(title, structure(profile["type"], profile["elements"]), resource, expected))
    return found


def member_of(system: str | None, code: str, value_set: str) -> bool | None:
    return (system, code) == ("urn:body", "arm") if value_set == "urn:sites" else None


def told(issues: list[Issue]) -> list[str]:
    """Severity and place of what is found, but for the advice to add a narrative and notes on invented systems."""
    return sorted(f"{one.severity} {one.expression}" for one in issues if not one.text.startswith(ASIDE))


def test_the_tables_are_read() -> None:
    assert len(rows()) > 80


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.title)
def test_a_profile_finds_what_its_table_says(row: Row) -> None:
    issues = validate_resource(row.resource, profiles=[URL], lookup={URL: row.profile}.get, member_of=member_of)
    assert told(issues) == sorted(row.expected), [one.text for one in issues]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.title)
def test_a_profile_built_on_it_finds_the_same(row: Row) -> None:
    known = {URL: row.profile, "urn:derived": structure(row.profile["type"], {}, "urn:derived", base=URL)}
    issues = validate_resource(row.resource, profiles=["urn:derived"], lookup=known.get, member_of=member_of)
    assert told(issues) == sorted(row.expected)


def blood_pressure(*codes: str, **changes: Any) -> dict[str, Any]:
    ucum = {"system": "http://unitsofmeasure.org", "code": "mm[Hg]", "unit": "mm[Hg]"}
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    found = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [category]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-03-10T09:30:00+08:00",
        "component": [
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": 120, **ucum},
            }
            for code in codes
        ],
        **changes,
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


BOTH = "8480-6", "8462-4"


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (blood_pressure(*BOTH), []),
        (blood_pressure("8480-6"), ["Observation.component", "Observation.component"]),  # at least two; no diastolic
        (blood_pressure(*BOTH, category=None), ["Observation.category", "Observation.category"]),
        (blood_pressure(*BOTH, subject=None), ["Observation.subject"]),
        (blood_pressure(*BOTH, effectiveDateTime=None), ["Observation.effective"]),
        (blood_pressure(*BOTH, effectiveDateTime="2026"), ["Observation.effective.ofType(dateTime)"]),  # vs-1
        (
            blood_pressure(*BOTH, code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}),
            ["Observation.code.coding"],
        ),
        (
            blood_pressure(*BOTH, component=[]),
            ["Observation", "Observation.component", "Observation.component", "Observation.component"],  # vs-2
        ),
        (blood_pressure(*BOTH, valueString="x"), ["Observation.value.ofType(string)"]),
    ],
)
def test_the_vital_signs_profiles_of_r4_are_known(resource: dict[str, Any], expected: list[str]) -> None:
    issues = validate_resource(resource, profiles=[CORE + "bp"])
    assert sorted(one.expression for one in issues if one.severity == "error") == sorted(expected)


def test_a_finding_names_rule_and_profile_and_no_value() -> None:
    resource = blood_pressure(*BOTH, effectiveDateTime="1961", note=[{"text": "张伟"}])
    (issue,) = [one for one in validate_resource(resource, profiles=[CORE + "bp"]) if one.severity == "error"]
    assert issue.code == "invariant"
    assert issue.text.startswith("vs-1: ")
    assert issue.text.endswith(f"(profile {CORE}vitalsigns)")
    assert "1961" not in issue.text


def test_declared_profiles_are_checked_wherever_a_resource_stands() -> None:
    inner = blood_pressure("8480-6", "8462-4", subject=None, meta={"profile": [CORE + "bp"]})
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    assert "error Bundle.entry[0].resource.subject" in told(validate_resource(bundle))


def test_a_declared_profile_that_is_unknown_is_a_warning_and_an_asked_one_an_error() -> None:
    patient = {"resourceType": "Patient", "meta": {"profile": ["urn:unknown"]}}
    assert told(validate_resource(patient)) == ["warning Patient.meta.profile[0]"]
    assert told(validate_resource(patient, profiles=["urn:other"])) == [
        "error Patient",
        "warning Patient.meta.profile[0]",
    ]


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (structure("Patient", {}, base="urn:unknown"), "not known here"),
        (structure("Patient", {}, base=URL), "built on itself"),
        (structure("Starship", {}), "not about a resource"),
    ],
)
def test_a_profile_that_cannot_be_used_says_why(definition: dict[str, Any], reason: str) -> None:
    issues = validate_resource({"resourceType": "Patient"}, profiles=[URL], lookup={URL: definition}.get)
    assert [one.severity for one in issues if reason in one.text] == ["error"]


def test_profiles_that_refer_to_each_other_come_to_an_end() -> None:
    reference = {"type": [{"code": "Reference", "targetProfile": [URL]}]}
    known = {URL: structure("Patient", {"link.other": reference})}
    patient = {"resourceType": "Patient", "link": [{"other": {"reference": "Patient/p1"}, "type": "seealso"}]}
    assert told(validate_resource(patient, profiles=[URL], lookup=known.get, resolve=lambda _: patient)) == []


def test_the_profile_of_a_target_is_checked_when_it_is_at_hand() -> None:
    born = {"urn:born": structure("Patient", {"birthDate": {"min": 1}}, "urn:born")}
    known = born | {
        URL: structure("Observation", {"subject": {"type": [{"code": "Reference", "targetProfile": ["urn:born"]}]}})
    }
    resource = {"resourceType": "Observation", **MINIMAL["Observation"], "subject": {"reference": "Patient/p1"}}
    patient = {"resourceType": "Patient", "id": "p1"}

    def check(target: dict[str, Any] | None) -> list[str]:
        return told(validate_resource(resource, profiles=[URL], lookup=known.get, resolve=lambda _: target))

    assert check(None) == ["information Observation.subject"]
    assert check(patient) == ["error Observation.subject.resolve().birthDate"]
    assert check(patient | {"birthDate": "1961"}) == []


def test_a_profile_of_a_type_that_is_unknown_is_never_taken_for_met() -> None:
    types = {"type": [{"code": "HumanName", "profile": ["urn:unknown-a", "urn:unknown-b"]}]}
    subject = {"type": [{"code": "Reference", "targetProfile": ["urn:unknown-c"]}]}
    known = {URL: structure("Patient", {"name": types, "link.other": subject})}
    patient = {
        "resourceType": "Patient",
        "name": [{"text": "a"}],
        "link": [{"other": {"reference": "Patient/p1"}, "type": "seealso"}],
    }
    issues = validate_resource(patient, profiles=[URL], lookup=known.get, resolve=lambda _: {"resourceType": "Patient"})
    assert told(issues) == ["information Patient.link[0].other.resolve()", "information Patient.name[0]"]


def test_rules_may_ask_for_the_time() -> None:
    rule = {"key": "t-1", "severity": "error", "human": "born before today", "expression": "birthDate <= today()"}
    known = {URL: structure("Patient", {"": {"constraint": [rule]}})}
    patient = {"resourceType": "Patient", "birthDate": "2030-01-01"}

    def check(at: datetime | None) -> list[str]:
        return told(validate_resource(patient, profiles=[URL], lookup=known.get, at=at))

    assert check(datetime(2026, 11, 22, tzinfo=UTC)) == ["error Patient"]
    assert check(datetime(2030, 11, 22, tzinfo=UTC)) == []
    assert check(None) == ["information Patient"]


def test_a_snapshot_alone_is_enough() -> None:
    definition = structure("Patient", {"": {}, "birthDate": {"min": 1, "max": "1"}}, base="urn:unknown")
    definition["snapshot"] = definition.pop("differential")
    issues = validate_resource({"resourceType": "Patient"}, profiles=[URL], lookup={URL: definition}.get)
    assert told(issues) == ["error Patient.birthDate"]


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ({"extension": [{"url": CORE + "patient-birthTime", "valueDateTime": "1961"}]}, ["error Patient.extension[0]"]),
        (
            {"modifierExtension": [{"url": CORE + "patient-birthPlace", "valueAddress": {"city": "a"}}]},
            ["error Patient.modifierExtension[0]"],
        ),
        ({"extension": [{"url": CORE + "no-such", "valueString": "a"}]}, ["warning Patient.extension[0]"]),
        ({"extension": [{"url": "urn:own", "valueString": "a"}]}, ["information Patient.extension[0]"]),
        ({"modifierExtension": [{"url": "urn:own", "valueString": "a"}]}, ["error Patient.modifierExtension[0]"]),
        (
            {"extension": [{"url": CORE + "patient-nationality", "extension": [{"url": "code", "valueString": "CN"}]}]},
            ["error Patient.extension[0].extension[0].value.ofType(string)"],
        ),
    ],
)
def test_extensions_are_checked_without_any_profile(patient: dict[str, Any], expected: list[str]) -> None:
    assert told(validate_resource({"resourceType": "Patient", **patient})) == expected


def test_advice_that_repeats_does_not_hide_errors() -> None:
    entries: list[dict[str, Any]] = [{"resource": {"resourceType": "Basic", "code": {"text": "x"}}} for _ in range(700)]
    entries.append({"resource": {"resourceType": "Patient", "contact": [{"gender": "male"}]}})
    issues = validate_resource({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert [one.expression for one in issues if one.severity == "error"] == ["Bundle.entry[700].resource.contact[0]"]
    assert len(issues) < 50
    assert issues[-1].text == "681 more warnings and notes say the same of other places"


def test_checking_ends_after_many_errors_and_says_so() -> None:
    contact = [{"gender": "male"} for _ in range(2000)]
    issues = validate_resource({"resourceType": "Patient", "contact": contact})
    assert sum(one.severity == "error" for one in issues) == 500
    assert issues[-1].code == "too-costly"


def test_a_snapshot_repeats_r4s_own_rules_without_their_being_told_twice() -> None:
    definition = structure("Patient", {"": {}, "contact": {}})
    own = {"key": "pat-1", "severity": "error", "human": "other words", "expression": "name.exists()"}
    mine = {"key": "inv-1", "severity": "error", "human": "mine", "expression": "name.exists()"}
    definition["snapshot"] = definition.pop("differential")
    definition["snapshot"]["element"][1]["constraint"] = [own, mine]
    patient = {"resourceType": "Patient", "contact": [{"gender": "male"}]}
    issues = validate_resource(patient, profiles=[URL], lookup={URL: definition}.get)
    assert [one.text.partition(":")[0] for one in issues if one.severity == "error"] == ["pat-1", "inv-1"]


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", ["warning Patient.meta.tag[0].code"]),
        ("http://hl7.org/fhir/administrative-gender", ["error Patient.meta.tag[0].code"]),
        ("http://loinc.org", ["error Patient.meta.tag[0].code"]),  # its form cannot be right
        ("http://www.nlm.nih.gov/research/umls/rxnorm", []),
    ],
)
def test_a_code_that_its_system_does_not_have(system: str, expected: list[str]) -> None:
    patient = {"resourceType": "Patient", "meta": {"tag": [{"system": system, "code": "no-such"}]}}
    assert told(validate_resource(patient)) == expected


def test_an_update_needs_an_id() -> None:
    assert told(validate_resource({"resourceType": "Patient"}, mode="update")) == ["error Patient.id"]
    assert told(validate_resource({"resourceType": "Patient", "id": "a"}, mode="update")) == []


def test_the_outcome_says_so_when_nothing_is_wrong() -> None:
    assert as_operation_outcome([])["issue"] == [
        {"severity": "information", "code": "informational", "diagnostics": "no errors found"}
    ]
    issues = validate_resource({"resourceType": "Patient", "gender": "x"})
    assert as_operation_outcome(issues)["issue"][0]["severity"] == "error"
