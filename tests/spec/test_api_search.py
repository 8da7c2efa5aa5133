"""Search over HTTP: addresses, links, scopes by type, the capability statement (http://hl7.org/fhir/R4/search.html)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.api_world import BASE, World, observation, own_world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        for n in (1, 2):
            await made.ask("PUT", f"Patient/p{n}", json={"resourceType": "Patient", "id": f"p{n}", "gender": "male"})
        for n in (1, 2, 3):
            body = observation(f"o{n}", f"p{1 + n % 2}")
            assert (await made.ask("PUT", f"Observation/o{n}", json=body)).status_code == 201
        yield made


async def ids(hb: World, path: str, who: str = "QP00", **more) -> list[str]:
    answer = await hb.ask("GET", path, who, **more)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [entry["resource"]["id"] for entry in found.get("entry", []) if entry["search"]["mode"] == "match"]


async def test_a_compartment_is_searched_at_its_address_with_links_that_stay_there(hb: World) -> None:
    answer = (await hb.ask("GET", "Patient/p2/Observation?_count=1")).json()
    assert [entry["resource"]["id"] for entry in answer["entry"]] == ["o1"]
    links = {link["relation"]: link["url"] for link in answer["link"]}
    assert links["next"].startswith(f"{BASE}/Patient/p2/Observation?_count=1&_cursor=")
    assert await ids(hb, links["next"]) == ["o3"]
    assert sorted(await ids(hb, "Patient/p2/*")) == ["o1", "o3", "p2"]
    posted = await hb.ask("POST", "Patient/p1/Observation/_search", data={"status": "final"})
    assert [entry["resource"]["id"] for entry in posted.json()["entry"]] == ["o2"]
    assert (await hb.ask("GET", "Patient/p1/Organization")).status_code == 400
    assert (await hb.ask("GET", "Organization/x/Observation")).status_code == 404


async def test_all_types_are_searched_at_the_root(hb: World) -> None:
    found = await ids(hb, "?_type=Patient,Observation&_sort=-_id&_count=3")
    assert found == ["p2", "p1", "o3"]
    answer = (await hb.ask("GET", "?_type=Patient&_count=1")).json()
    links = {link["relation"]: link["url"] for link in answer["link"]}
    assert links["next"].startswith(f"{BASE}?_type=Patient&_count=1&_cursor=")
    posted = await hb.ask("POST", "_search", data={"_type": "Observation", "_id": "o2"})
    assert [entry["resource"]["id"] for entry in posted.json()["entry"]] == ["o2"]
    assert (await hb.ask("GET", "?_type=Nobody")).status_code == 400
    assert (await hb.ask("GET", "?_type=AuditEvent")).status_code == 400


async def test_filters_sorts_and_totals_work_over_http(hb: World) -> None:
    assert await ids(hb, "Observation?_filter=subject re Patient/p1 and status eq final") == ["o2"]
    assert await ids(hb, "Observation?_sort=subject,-_id") == ["o2", "o3", "o1"]
    answer = (await hb.ask("GET", "Observation?_total=estimate&_count=1")).json()
    assert answer["total"] == 3
    wrong = await hb.ask("GET", "Observation?_filter=status is final")
    assert wrong.status_code == 400
    assert "character 8" in wrong.json()["issue"][0]["diagnostics"]


async def test_the_capability_statement_says_what_can_be_searched(hb: World) -> None:
    rest = (await hb.ask("GET", "metadata", None)).json()["rest"][0]
    assert {"code": "search-system"} in rest["interaction"]
    patient = next(one for one in rest["resource"] if one["type"] == "Patient")
    names = {one["name"] for one in patient["searchParam"]}
    assert {"_filter", "_has", "name", "_id"} - names <= {"_has"}
    assert not {"_query"} & names
    assert "Observation:subject" in patient["searchRevInclude"]
    for one in patient["searchParam"]:
        value = {"date": "2020", "number": "1", "quantity": "1", "reference": "x"}.get(one["type"], "true")
        if one["name"] in {"_filter", "_text", "_content"}:
            value = {"_filter": "_id eq x"}.get(one["name"], "发热")
        assert (await hb.ask("GET", f"Patient?{one['name']}={value}")).status_code == 200, one["name"]


async def test_a_search_parameter_is_added_over_http(hb: World) -> None:
    made = {
        "resourceType": "SearchParameter", "url": "urn:sp:blood", "name": "blood", "status": "active", "description": "x",
        "code": "blood", "base": ["Patient"], "type": "token", "expression": "Patient.extension('urn:blood').value",
    }  # fmt: skip
    assert (await hb.ask("GET", "Patient?blood=A")).status_code == 400
    assert (await hb.ask("PUT", "SearchParameter/blood", json=made | {"id": "blood"})).status_code == 201
    body = {"resourceType": "Patient", "extension": [{"url": "urn:blood", "valueCode": "A"}]}
    created = (await hb.ask("POST", "Patient", json=body)).json()["id"]
    answer = (await hb.ask("GET", "Patient?blood=A")).json()
    assert [(e["search"]["mode"], e["resource"].get("id")) for e in answer["entry"]] == [
        ("match", created),
        ("outcome", None),
    ]
    rest = (await hb.ask("GET", "metadata", None)).json()["rest"][0]
    patient = next(one for one in rest["resource"] if one["type"] == "Patient")
    assert {"name": "blood", "definition": "urn:sp:blood", "type": "token"} in patient["searchParam"]


async def test_a_text_is_found_over_http_and_not_written_into_the_log(hb: World) -> None:
    note = {"resourceType": "Basic", "id": "n", "code": {"text": "慢性阻塞性肺疾病"}}
    assert (await hb.ask("PUT", "Basic/n", json=note)).status_code == 201
    answer = await hb.ask("GET", "Basic?_content=肺疾病", headers={"x-request-id": "texts"})
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == ["n"]
    (event,) = await hb.events("texts")
    assert "肺" not in str(event.detail)


async def test_the_self_link_says_what_was_processed(hb: World) -> None:
    answer = await hb.ask(
        "GET", "Patient?nonsense=1&gender=female&active=", "QPZS", headers={"prefer": "handling=lenient"}
    )
    links = {link["relation"]: link["url"] for link in answer.json()["link"]}
    assert links == {"self": "http://testserver/fhir/Patient?gender=female"}


async def test_contained_resources_stand_under_the_address_of_what_contains_them(hb: World) -> None:
    inner = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": "J01"}]}}
    order = {"resourceType": "MedicationRequest", "id": "holder", "status": "active", "intent": "order", "contained": [inner],
             "subject": {"reference": "Patient/p1"}, "medicationReference": {"reference": "#m"}}  # fmt: skip
    assert (await hb.ask("PUT", "MedicationRequest/holder", json=order)).status_code == 201
    query = "Medication?code=J01&_contained=true"
    container = (await hb.ask("GET", query)).json()["entry"]
    assert [one["fullUrl"] for one in container] == ["http://testserver/fhir/MedicationRequest/holder"]
    contained = (await hb.ask("GET", f"{query}&_containedType=contained")).json()["entry"]
    assert [(one["fullUrl"], one["resource"]) for one in contained] == [
        ("http://testserver/fhir/MedicationRequest/holder#m", inner)
    ]
    assert "entry" not in (await hb.ask("GET", query, "XHZX")).json(), "not of the other district"
    for wrong in ("_contained=maybe", "_containedType=maybe"):
        assert (await hb.ask("GET", f"Medication?{wrong}")).status_code == 400
