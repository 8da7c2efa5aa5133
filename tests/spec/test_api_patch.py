"""PATCH (R4 http, 3.1.0.9): JSON Patch and FHIRPath Patch, by id and by condition, alone and in bundles."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, observation, own_world

pytestmark = pytest.mark.anyio

JSON_PATCH = {"content-type": "application/json-patch+json"}
FINAL = [{"op": "replace", "path": "/status", "value": "amended"}]


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        yield made


async def created(hb: World, **more: Any) -> str:
    answer = await hb.ask("POST", "Observation", "QPZS", json={**observation("x", "a-zs"), **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def operation(type: str, path: str, **value: Any) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}]
    parts += [{"name": "value", key: one} for key, one in value.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


async def test_a_json_patch_changes_what_it_names_and_makes_a_version(hb: World) -> None:
    id_ = await created(hb)
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=json.dumps(FINAL), headers=JSON_PATCH)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["etag"], answer.json()["status"]) == ('W/"2"', "amended")
    assert answer.headers["location"].endswith(f"Observation/{id_}/_history/2")
    read = await hb.ask("GET", f"Observation/{id_}", "QPZS")
    assert read.json() == answer.json()
    found = await hb.ask("GET", f"Observation?_id={id_}&status=amended", "QPZS")
    assert len(found.json()["entry"]) == 1


async def test_a_fhirpath_patch_comes_as_parameters_in_json_or_xml(hb: World) -> None:
    id_ = await created(hb)
    first = operation("replace", "Observation.status", valueCode="amended")
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", json=first)
    assert (answer.status_code, answer.json()["status"]) == (200, "amended")
    xml = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        '<part><name value="type"/><valueCode value="delete"/></part>'
        '<part><name value="path"/><valueString value="Observation.effective"/></part></parameter></Parameters>'
    )
    headers = {"content-type": "application/fhir+xml"}
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=xml, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "effectiveDateTime" not in answer.json()
    assert answer.headers["etag"] == 'W/"3"'


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("not json", "application/json-patch+json", 400),
        ('[],"x":[]', "application/json-patch+json", 400),
        ('[{"op":"fly","path":"/status"}]', "application/json-patch+json", 400),
        ('[{"op":"test","path":"/status","value":"unknown"}]', "application/json-patch+json", 422),
        ('[{"op":"remove","path":"/nothing"}]', "application/json-patch+json", 422),
        ('[{"op":"remove","path":"/status"}]', "application/json-patch+json", 422),
        ('[{"op":"replace","path":"/id","value":"other"}]', "application/json-patch+json", 422),
        ('[{"op":"replace","path":"/effectiveDateTime","value":"2999-01-01"}]', "application/json-patch+json", 422),
        ('{"resourceType":"Patient"}', "application/fhir+json", 400),
        ('{"resourceType":"Parameters"}', "text/plain", 415),
        ("<Patient xmlns='http://hl7.org/fhir'/>", "application/fhir+xml", 400),
    ],
)
async def test_a_patch_that_does_not_fit_changes_nothing(hb: World, body: str, kind: str, status: int) -> None:
    id_ = await created(hb)
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await hb.ask("GET", f"Observation/{id_}", "QPZS")).headers["etag"] == 'W/"1"'


async def test_if_match_guards_a_patch(hb: World) -> None:
    id_ = await created(hb)
    for tag, status in (('W/"7"', 412), ('W/"1"', 200), ('W/"1"', 412)):
        headers = {**JSON_PATCH, "if-match": tag}
        answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=json.dumps(FINAL), headers=headers)
        assert answer.status_code == status, answer.text


async def test_a_patch_that_changes_nothing_makes_no_version(hb: World) -> None:
    id_ = await created(hb)
    same = json.dumps([{"op": "replace", "path": "/status", "value": "final"}])
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=same, headers=JSON_PATCH)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"1"')


async def test_a_conditional_patch_needs_exactly_one_match(hb: World) -> None:
    value = "patched"
    id_ = await created(hb, identifier=[{"system": "urn:x", "value": value}])
    path = f"Observation?identifier=urn:x|{value}"
    answer = await hb.ask("PATCH", path, "QPZS", content=json.dumps(FINAL), headers=JSON_PATCH)
    assert (answer.status_code, answer.json()["id"]) == (200, id_)
    none = await hb.ask("PATCH", "Observation?identifier=urn:x|no", "QPZS", content="[]", headers=JSON_PATCH)
    assert none.status_code == 404
    await created(hb, identifier=[{"system": "urn:x", "value": value}])
    many = await hb.ask("PATCH", path, "QPZS", content=json.dumps(FINAL), headers=JSON_PATCH)
    assert many.status_code == 412
    bare = await hb.ask("PATCH", "Observation", "QPZS", content="[]", headers=JSON_PATCH)
    assert bare.status_code == 400


async def test_what_may_not_be_written_may_not_be_patched_and_says_nothing_of_its_content(hb: World) -> None:
    probe = json.dumps([{"op": "test", "path": "/status", "value": "final"}])
    wrong = json.dumps([{"op": "test", "path": "/status", "value": "amended"}])
    answers = [
        await hb.ask("PATCH", "Observation/o-c-zx", "QPZS", content=content, headers=JSON_PATCH)
        for content in (probe, wrong)
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()
    gone = await created(hb)
    await hb.ask("DELETE", f"Observation/{gone}", "QPZS")
    for id_, status in (("nowhere", 404), (gone, 410)):
        answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=probe, headers=JSON_PATCH)
        assert answer.status_code == status


async def test_a_patch_stands_in_the_ledger_and_in_the_audit_log(hb: World) -> None:
    id_ = await created(hb)
    headers = {**JSON_PATCH, "x-request-id": "patch-1"}
    await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=json.dumps(FINAL), headers=headers)
    (event,) = await hb.events("patch-1")
    assert (event.interaction, event.action, event.type, event.id, event.outcome) == (
        "patch",
        "U",
        "Observation",
        id_,
        0,
    )
    assert len(event.patients) == 1
    async with hb.platform.pool.connection() as connection:
        row = await (
            await connection.execute("select request->>'method', state from delivery order by settled_at desc limit 1")
        ).fetchone()
    assert row == ("PATCH", "accepted")


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_bundles_hold_patches_as_binary_or_parameters(hb: World, kind: str) -> None:
    one, other, third = [await created(hb) for _ in range(3)]
    data = base64.b64encode(json.dumps(FINAL).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    entries = [
        {"resource": binary, "request": {"method": "PATCH", "url": f"Observation/{one}", "ifMatch": 'W/"1"'}},
        {
            "resource": operation("replace", "Observation.status", valueCode="corrected"),
            "request": {"method": "PATCH", "url": f"Observation/{other}"},
        },
        {"request": {"method": "DELETE", "url": f"Observation/{third}"}},
    ]
    answer = await hb.ask("POST", "", "QPZS", json={"resourceType": "Bundle", "type": kind, "entry": entries})
    assert answer.status_code == 200, answer.text
    responses = [entry["response"] for entry in answer.json()["entry"]]
    assert [one["status"][:3] for one in responses] == ["200", "200", "204"]
    for id_, status in ((one, "amended"), (other, "corrected")):
        read = await hb.ask("GET", f"Observation/{id_}", "QPZS")
        assert (read.json()["status"], read.headers["etag"]) == (status, 'W/"2"')


async def test_a_transaction_whose_patch_fails_changes_nothing(hb: World) -> None:
    one, other = await created(hb), await created(hb)
    entries = [
        {
            "resource": operation("replace", "Observation.status", valueCode="corrected"),
            "request": {"method": "PATCH", "url": f"Observation/{id_}", "ifMatch": tag},
        }
        for id_, tag in ((one, 'W/"1"'), (other, 'W/"3"'))
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await hb.ask("POST", "", "QPZS", json=bundle)
    assert answer.status_code == 412
    assert "entry[1]" in answer.json()["issue"][0]["diagnostics"]
    assert (await hb.ask("GET", f"Observation/{one}", "QPZS")).headers["etag"] == 'W/"1"'
    bundle["type"] = "batch"
    answer = await hb.ask("POST", "", "QPZS", json=bundle)
    assert [entry["response"]["status"][:3] for entry in answer.json()["entry"]] == ["200", "412"]


XML_PATCH = {"content-type": "application/xml-patch+xml"}
TO_AMENDED = "<diff xmlns:f='http://hl7.org/fhir'><replace sel='f:Observation/f:status/@value'>amended</replace></diff>"


async def test_an_xml_patch_changes_what_it_names_alone_and_in_a_bundle(hb: World) -> None:
    id_ = await created(hb)
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=TO_AMENDED, headers=XML_PATCH)
    assert (answer.status_code, answer.json()["status"]) == (200, "amended"), answer.text
    assert answer.json()["valueQuantity"] == observation("x", "a-zs")["valueQuantity"]
    again = TO_AMENDED.replace("amended", "corrected")
    held = {"resourceType": "Binary", "contentType": "application/xml-patch+xml",
            "data": base64.b64encode(again.encode()).decode()}  # fmt: skip
    for kind in ("transaction", "batch"):
        entry = {"request": {"method": "PATCH", "url": f"Observation/{id_}"}, "resource": held}
        sent = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
        answer = await hb.ask("POST", "", "QPZS", json=sent)
        assert answer.json()["entry"][0]["response"]["etag"] == 'W/"3"'
    assert (await hb.ask("GET", f"Observation/{id_}", "QPZS")).json()["status"] == "corrected"


@pytest.mark.parametrize(
    ("content", "status"),
    [("<diff><remove sel='Observation/method'/></diff>", 422), ("<diff><remove/></diff>", 400), ("<diff>", 400),
     ("<diff><remove sel='Observation/status'/></diff>", 422)],
)  # fmt: skip
async def test_an_xml_patch_that_does_not_fit_changes_nothing(hb: World, content: str, status: int) -> None:
    id_ = await created(hb)
    answer = await hb.ask("PATCH", f"Observation/{id_}", "QPZS", content=content, headers=XML_PATCH)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), answer.text
    assert (await hb.ask("GET", f"Observation/{id_}", "QPZS")).headers["etag"] == 'W/"1"'
