"""$validate over HTTP: with profiles and value sets that are stored here, of stored resources, in every mode."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.api_world import World, inhabited, world

from healthbrain.api import validating

pytestmark = pytest.mark.anyio

CORE = "http://hl7.org/fhir/StructureDefinition/"
ADULT = "urn:profiles:adult"
ADULT_PROFILE: dict[str, Any] = {
    "resourceType": "StructureDefinition",
    "id": "adult",
    "url": ADULT,
    "version": "2",
    "name": "Adult",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": CORE + "Patient",
    "derivation": "constraint",
    "differential": {
        "element": [
            {"id": "Patient", "path": "Patient"},
            {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1},
            {
                "id": "Patient.maritalStatus",
                "path": "Patient.maritalStatus",
                "binding": {"strength": "required", "valueSet": "urn:sets:marital"},
            },
        ]
    },
}
MARITAL: dict[str, Any] = {
    "resourceType": "ValueSet",
    "id": "marital",
    "url": "urn:sets:marital",
    "status": "active",
    "compose": {"include": [{"system": "urn:own", "concept": [{"code": "10"}, {"code": "20"}]}]},
}
CHILD_PROFILE: dict[str, Any] = {
    **ADULT_PROFILE,
    "id": "resident",
    "url": "urn:profiles:resident",
    "baseDefinition": ADULT,
    "differential": {"element": [{"id": "Patient.gender", "path": "Patient.gender", "min": 1}]},
}


@pytest.fixture
async def hb(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(dsn, tmp_path) as made:
        await inhabited(made)
        for resource in (ADULT_PROFILE, CHILD_PROFILE, MARITAL):
            path = f"{resource['resourceType']}/{resource['id']}"
            assert (await made.ask("PUT", path, json=resource)).status_code == 201
        yield made


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **more}


def parameters(resource: dict[str, Any] | None, **more: str) -> dict[str, Any]:
    given: list[dict[str, Any]] = [{"name": "resource", "resource": resource}] if resource else []
    kinds = {"mode": "valueCode", "profile": "valueUri"}
    return {"resourceType": "Parameters", "parameter": [*given, *({"name": k, kinds[k]: v} for k, v in more.items())]}


async def told(hb: World, path: str, body: dict[str, Any] | None, who: str = "QP00") -> list[str]:
    """Severity and place of what the answer says, but for narratives and the all-clear."""
    answer = await hb.ask("POST", path, who, json=body) if body else await hb.ask("POST", path, who)
    assert answer.status_code == 200, answer.text
    issues = answer.json()["issue"]
    return [
        f"{one['severity']} {one['expression'][0]}"
        for one in issues
        if "expression" in one and not one["diagnostics"].startswith("dom-6")
    ]


async def test_stored_profiles_and_value_sets_are_used_and_built_on(hb: World) -> None:
    married = {"coding": [{"system": "urn:own", "code": "20"}]}
    unknown = {"coding": [{"system": "urn:own", "code": "99"}]}
    for body, expected in (
        (patient(birthDate="1961", gender="male", maritalStatus=married), []),
        (patient(birthDate="1961"), ["error Patient.gender"]),
        (patient(gender="male"), ["error Patient.birthDate"]),
    ):
        asked = parameters(body, profile="urn:profiles:resident")
        found = await told(hb, "Patient/$validate", asked)
        assert [one for one in found if one.startswith("error")] == expected
    asked = parameters(patient(birthDate="1961", gender="male", maritalStatus=unknown), profile=f"{ADULT}|2")
    assert "error Patient.maritalStatus" in await told(hb, "Patient/$validate", asked)


async def test_profiles_are_named_in_the_query_and_in_meta_too(hb: World) -> None:
    assert await told(hb, f"Patient/$validate?profile={ADULT}", patient()) == ["error Patient.birthDate"]
    declared = patient(meta={"profile": [ADULT]})
    assert await told(hb, "Patient/$validate", declared) == ["error Patient.birthDate"]
    assert await told(hb, f"Patient/$validate?profile={ADULT}|3", patient(birthDate="1961")) == ["error Patient"]


async def test_a_stored_resource_is_validated_without_a_body(hb: World) -> None:
    assert await told(hb, "Patient/a-zs/$validate", None) == []
    found = await told(hb, "Patient/a-zs/$validate", parameters(None, profile=CORE + "bp"))
    assert found == ["error Patient"]
    assert (await hb.ask("POST", "Patient/a-zs/$validate", "XHZX")).status_code in (403, 404)
    assert (await hb.ask("POST", "Patient/nobody/$validate")).status_code == 404


async def test_the_profile_of_a_target_is_read_from_the_store_if_the_caller_may(hb: World) -> None:
    profile = {
        **ADULT_PROFILE,
        "id": "about-adults",
        "url": "urn:profiles:about-adults",
        "type": "Observation",
        "baseDefinition": CORE + "Observation",
        "differential": {
            "element": [
                {
                    "id": "Observation.subject",
                    "path": "Observation.subject",
                    "type": [{"code": "Reference", "targetProfile": ["urn:profiles:resident"]}],
                }
            ]
        },
    }
    assert (await hb.ask("PUT", "StructureDefinition/about-adults", json=profile)).status_code == 201
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/a-zs"},
    }
    path = "Observation/$validate?profile=urn:profiles:about-adults"
    assert await told(hb, path, body) == []
    assert await told(hb, path, body, "XHZX") == ["information Observation.subject"]


async def test_modes(hb: World) -> None:
    assert await told(hb, "Patient/$validate?mode=update", patient()) == ["error Patient.id"]
    assert await told(hb, "Patient/$validate", parameters(patient(), mode="create")) == []
    assert await told(hb, "Patient/a-zs/$validate?mode=delete", None) == []
    assert (await hb.ask("POST", "Patient/$validate?mode=delete")).status_code == 400
    assert (await hb.ask("POST", "Patient/$validate?mode=maybe", json=patient())).status_code == 400
    assert (await hb.ask("POST", "Patient/$validate")).status_code == 400
    assert (await hb.ask("POST", "Patient/a-zs/$validate", json=patient(id="other"))).status_code == 422


async def test_stored_code_systems_questionnaires_and_our_tables_are_used(hb: World) -> None:
    colours: dict[str, Any] = {"resourceType": "CodeSystem", "id": "colours", "url": "urn:colours", "status": "active"}
    colours |= {"content": "complete", "concept": [{"code": "red"}]}
    form: dict[str, Any] = {"resourceType": "Questionnaire", "id": "form", "url": "urn:form", "status": "active"}
    form |= {"item": [{"linkId": "1", "type": "boolean"}]}
    for resource in (colours, form):
        path = f"{resource['resourceType']}/{resource['id']}"
        assert (await hb.ask("PUT", path, json=resource)).status_code == 201
    for system, code, display, expected in (
        ("urn:colours", "red", "x", []),
        ("urn:colours", "blue", "x", ["error Condition.code.coding[0].code"]),
        ("urn:oid:2.16.156.10011.2.3.3.11", "I10", "骨折", ["warning Condition.code.coding[0].display"]),
    ):
        code_ = {"coding": [{"system": system, "code": code, "display": display}]}
        body = {"resourceType": "Condition", "subject": {"reference": "Patient/a-zs"}, "code": code_}
        found = await told(hb, "Condition/$validate", body)
        assert [one for one in found if ".code" in one] == expected
    response: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "urn:form",
    }
    response |= {"item": [{"linkId": "1", "answer": [{"valueString": "x"}]}]}
    found = await told(hb, "QuestionnaireResponse/$validate", response)
    assert found == ["error QuestionnaireResponse.item[0].answer[0].value"]


EVIL = "urn:profiles:evil"
DEEP = "%resource.descendants()"
ENDLESS = f"{DEEP}.where({DEEP}.where({DEEP}.where({DEEP}.where({DEEP}.count() > 0).count() > 0).count() > 0).count() > 0).count() > 0"


def evil(rules: int) -> dict[str, Any]:
    constraints = [{"key": f"e-{n}", "severity": "error", "human": "x", "expression": ENDLESS} for n in range(rules)]
    return {
        **ADULT_PROFILE, "id": "evil", "url": EVIL,
        "differential": {"element": [{"id": "Patient", "path": "Patient", "constraint": constraints}]},
    }  # fmt: skip


async def test_a_long_validation_does_not_hold_up_others(hb: World) -> None:
    assert (await hb.ask("PUT", "StructureDefinition/evil", json=evil(100))).status_code == 201
    crowd = patient(gender="male", contact=[{"name": {"family": f"f{n}"}} for n in range(1500)])
    asked = parameters(crowd, profile=EVIL)
    validation = asyncio.create_task(hb.ask("POST", "Patient/$validate", "QPZS", json=asked))
    answered = 0
    while not validation.done():
        assert (await hb.ask("GET", "Patient/a-zs", "QPZS")).status_code == 200
        answered += 1
    answer = await validation
    assert answer.status_code == 200, answer.text
    costly = [one for one in answer.json()["issue"] if one["code"] == "too-costly"]
    assert len(costly) == 100
    assert answered > 2, "others were answered while it ran"


async def test_what_runs_apart_finds_the_same(hb: World, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = {"coding": [{"system": "urn:own", "code": "99"}]}
    asked = parameters(patient(maritalStatus=unknown, birthDate="1961.5"), profile="urn:profiles:resident")
    here = await hb.ask("POST", "Patient/$validate", "QP00", json=asked)
    monkeypatch.setattr(validating, "_LARGE", 0)
    apart = await hb.ask("POST", "Patient/$validate", "QP00", json=asked)
    assert apart.json() == here.json()
    about = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/a-zs"},
    }
    for monkey in (0, 1 << 20):
        monkeypatch.setattr(validating, "_LARGE", monkey)
        answer = await hb.ask("POST", "Observation/$validate", "QPZS", json=about)
        assert [one["severity"] for one in answer.json()["issue"]].count("error") == 0


async def test_a_validation_that_takes_too_long_is_ended_and_the_next_one_is_done(
    hb: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await hb.ask("PUT", "StructureDefinition/evil", json=evil(10))).status_code == 201
    crowd = patient(contact=[{"name": {"family": f"f{n}"}} for n in range(1500)])
    monkeypatch.setattr(validating, "LONGEST", 0.05)
    answer = await hb.ask("POST", "Patient/$validate", "QPZS", json=parameters(crowd, profile=EVIL))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "timeout")
    monkeypatch.setattr(validating, "LONGEST", 60.0)
    assert (await hb.ask("POST", "Patient/$validate", "QPZS", json=crowd)).status_code == 200
    assert not [one for one in multiprocessing.active_children() if one.name == "validation"]
