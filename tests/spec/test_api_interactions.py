"""Status codes and headers of every FHIR R4 interaction (http://hl7.org/fhir/R4/http.html), as a client sees them."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import BASE, World, observation, world

pytestmark = pytest.mark.anyio

PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"text": "测试"}], "gender": "male"}


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_api_interactions"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        yield made


async def created(hb: World, resource: dict[str, Any] | None = None) -> str:
    answer = await hb.ask("POST", (resource or PATIENT)["resourceType"], json=resource or PATIENT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


# -- create


async def test_create_answers_201_with_location_etag_and_the_resource(hb: World) -> None:
    answer = await hb.ask("POST", "Patient", json={**PATIENT, "id": "mine"})
    body = answer.json()
    assert answer.status_code == 201
    assert body["id"] != "mine"  # the server gives the id
    assert answer.headers["location"] == f"{BASE}/Patient/{body['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["last-modified"])
    assert body["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    ("prefer", "kind"), [("", "Patient"), ("return=representation", "Patient"), ("return=OperationOutcome", "OperationOutcome"), ("return=minimal", None)]
)  # fmt: skip
async def test_prefer_return_decides_what_comes_back_from_a_change(hb: World, prefer: str, kind: str | None) -> None:
    headers = {"prefer": prefer} if prefer else {}
    first = await hb.ask("POST", "Patient", json=PATIENT, headers=headers)
    place = first.headers["location"].split("/")[-3]
    second = await hb.ask("PUT", f"Patient/{place}", json={**PATIENT, "id": place, "active": True}, headers=headers)
    for answer, status in ((first, 201), (second, 200)):
        assert answer.status_code == status
        assert (answer.json()["resourceType"] if answer.content else None) == kind


async def test_conditional_create_makes_one_resource_and_finds_it_again(hb: World) -> None:
    body = {**PATIENT, "identifier": [{"system": "urn:x", "value": "once"}]}
    condition = {"if-none-exist": "identifier=urn:x|once"}
    first = await hb.ask("POST", "Patient", json=body, headers=condition)
    again = await hb.ask("POST", "Patient", json=body, headers=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()
    await created(hb, body)
    twice = await hb.ask("POST", "Patient", json=body, headers=condition)
    assert twice.status_code == 412


# -- read


async def test_read_sends_etag_and_last_modified_and_the_stored_bytes(hb: World) -> None:
    id_ = await created(hb, observation("x", "nobody", 72.50))
    answer = await hb.ask("GET", f"Observation/{id_}")
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"1"'
    assert "last-modified" in answer.headers
    assert answer.headers["cache-control"] == "no-store"


async def test_decimals_come_back_as_they_were_written(hb: World) -> None:
    raw = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":72.50}}'
    made = await hb.ask("POST", "Observation", content=raw, headers={"content-type": "application/fhir+json"})
    id_ = made.json()["id"]
    for path in (
        f"Observation/{id_}",
        f"Observation?_id={id_}",
        f"Observation/{id_}?_pretty=true",
        f"Observation/{id_}?_elements=value",
    ):
        answer = await hb.ask("GET", path)
        assert re.search(rb'"value":\s*72\.50\b', answer.content), path


async def test_head_is_get_without_body(hb: World) -> None:
    id_ = await created(hb)
    get, head = await hb.ask("GET", f"Patient/{id_}"), await hb.ask("HEAD", f"Patient/{id_}")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]


async def test_a_known_version_is_not_sent_again(hb: World) -> None:
    id_ = await created(hb)
    answer = await hb.ask("GET", f"Patient/{id_}")
    modified = answer.headers["last-modified"]
    table = [
        ({"if-none-match": 'W/"1"'}, 304),
        ({"if-none-match": '"1"'}, 304),
        ({"if-none-match": 'W/"7", W/"1"'}, 304),
        ({"if-none-match": 'W/"2"'}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": "Mon, 01 Jan 2024 00:00:00 GMT"}, 200),
        ({"if-modified-since": "gibberish"}, 200),
    ]
    for headers, status in table:
        answer = await hb.ask("GET", f"Patient/{id_}", headers=headers)
        assert answer.status_code == status, headers
        assert (answer.content == b"") == (status == 304)


async def test_what_is_not_there_is_404_and_what_was_deleted_410(hb: World) -> None:
    id_ = await created(hb)
    await hb.ask("DELETE", f"Patient/{id_}")
    table = [
        (f"Patient/{id_}", 410),
        (f"Patient/{id_}/_history/2", 410),
        (f"Patient/{id_}/_history/1", 200),
        (f"Patient/{id_}/_history/9", 404),
        (f"Patient/{id_}/_history/x", 404),
        ("Patient/none", 404),
        ("Patient/none/_history", 404),
        ("Patient/none/_history/1", 404),
        ("Patient/not_an_id!", 404),
        (f"Observation/{id_}", 404),
        ("Unicorn/1", 404),
        ("patient/1", 404),
        ("Patient/1/2/3/4", 404),
        ("Patient/none/$everything", 404),
    ]
    for path, status in table:
        answer = await hb.ask("GET", path)
        assert answer.status_code == status, path
        assert answer.json()["resourceType"] == ("OperationOutcome" if status > 200 else "Patient")


# -- update and delete


async def test_update_makes_versions_and_if_match_guards_them(hb: World) -> None:
    id_ = await created(hb)
    body = {**PATIENT, "id": id_}
    table = [
        ({"if-match": 'W/"1"'}, {"active": True}, 200, 'W/"2"'),
        ({"if-match": 'W/"1"'}, {"active": False}, 412, None),
        ({"if-match": "nonsense!"}, {"active": False}, 400, None),
        ({}, {"active": False}, 200, 'W/"3"'),
        ({}, {"active": False}, 200, 'W/"3"'),  # the same content: no new version
    ]
    for headers, more, status, etag in table:
        answer = await hb.ask("PUT", f"Patient/{id_}", json={**body, **more}, headers=headers)
        assert (answer.status_code, answer.headers.get("etag")) == (status, etag)


async def test_update_of_an_unused_id_creates(hb: World) -> None:
    answer = await hb.ask("PUT", "Patient/chosen-1", json={**PATIENT, "id": "chosen-1"})
    assert answer.status_code == 201
    assert answer.headers["location"].endswith("/Patient/chosen-1/_history/1")
    wrong = await hb.ask("PUT", "Patient/chosen-2", json={**PATIENT, "id": "other"})
    assert wrong.status_code == 400
    bad = await hb.ask("PUT", "Patient/bad_id", json={**PATIENT, "id": "bad_id"})
    assert bad.status_code == 400


async def test_conditional_update_creates_changes_and_refuses_two(hb: World) -> None:
    body = {**PATIENT, "identifier": [{"system": "urn:y", "value": "1"}]}
    path = "Patient?identifier=urn:y|1"
    first = await hb.ask("PUT", path, json=body)
    second = await hb.ask("PUT", path, json={**body, "active": True})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    await created(hb, body)
    assert (await hb.ask("PUT", path, json=body)).status_code == 412
    assert (await hb.ask("PUT", "Patient", json=body)).status_code == 400


async def test_delete_answers_204_and_once_more_204(hb: World) -> None:
    id_ = await created(hb)
    first, second = await hb.ask("DELETE", f"Patient/{id_}"), await hb.ask("DELETE", f"Patient/{id_}")
    assert (first.status_code, first.headers["etag"], first.content) == (204, 'W/"2"', b"")
    assert second.status_code == 204
    assert (await hb.ask("DELETE", "Patient/never-was")).status_code == 204


async def test_conditional_delete_deletes_exactly_one(hb: World) -> None:
    body = {**PATIENT, "identifier": [{"system": "urn:z", "value": "1"}]}
    path = "Patient?identifier=urn:z|1"
    assert (await hb.ask("DELETE", path)).status_code == 204, "no match is like deleting what is not there"
    id_ = await created(hb, body)
    assert (await hb.ask("DELETE", path)).status_code == 204
    assert (await hb.ask("GET", f"Patient/{id_}")).status_code == 410
    await created(hb, body)
    await created(hb, body)
    assert (await hb.ask("DELETE", path)).status_code == 412


# -- history


async def test_history_tells_what_was_done_newest_first(hb: World) -> None:
    id_ = await created(hb)
    await hb.ask("PUT", f"Patient/{id_}", json={**PATIENT, "id": id_, "active": True})
    await hb.ask("DELETE", f"Patient/{id_}")
    for path in (f"Patient/{id_}/_history", "Patient/_history?_count=3", "_history?_count=3"):
        bundle = (await hb.ask("GET", path)).json()
        assert bundle["type"] == "history"
        told = [(e["request"]["method"], e["response"]["status"], e["response"]["etag"]) for e in bundle["entry"]]
        assert told == [("DELETE", "204", 'W/"3"'), ("PUT", "200", 'W/"2"'), ("POST", "201", 'W/"1"')]
        assert "resource" not in bundle["entry"][0]
        assert {e["fullUrl"] for e in bundle["entry"]} == {f"{BASE}/Patient/{id_}"}


async def test_history_pages_and_since(hb: World) -> None:
    id_ = await created(hb)
    for n in range(4):
        await hb.ask("PUT", f"Patient/{id_}", json={**PATIENT, "id": id_, "multipleBirthInteger": n + 1})
    seen: list[str] = []
    url = f"Patient/{id_}/_history?_count=2"
    for _ in range(5):
        bundle = (await hb.ask("GET", url)).json()
        seen += [entry["response"]["etag"] for entry in bundle["entry"]]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            break
        url = following[0]
    assert seen == [f'W/"{n}"' for n in (5, 4, 3, 2, 1)]
    third = (await hb.ask("GET", f"Patient/{id_}/_history/3")).json()["meta"]["lastUpdated"]
    since = (await hb.ask("GET", f"Patient/{id_}/_history", params={"_since": third})).json()
    assert len(since["entry"]) == 3
    assert (await hb.ask("GET", f"Patient/{id_}/_history?_since=soon")).status_code == 400


# -- search


async def test_a_searchset_has_links_full_urls_and_modes(hb: World) -> None:
    patient_id = await created(hb)
    await created(hb, observation("x", patient_id))
    answer = await hb.ask("GET", f"Observation?patient={patient_id}&_include=Observation:subject&_count=5")
    bundle = answer.json()
    assert bundle["type"] == "searchset"
    assert "total" not in bundle  # never counted unless asked
    assert bundle["link"][0]["relation"] == "self"
    assert [(e["search"]["mode"], e["fullUrl"].split("/")[-2]) for e in bundle["entry"]] == [
        ("match", "Observation"), ("include", "Patient"),
    ]  # fmt: skip
    assert all(e["fullUrl"] == f"{BASE}/{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"])


async def test_pages_of_a_search_follow_each_other(hb: World) -> None:
    for n in range(5):
        await created(hb, {**PATIENT, "identifier": [{"system": "urn:page", "value": f"p{n}"}]})
    seen: list[str] = []
    url = "Patient?identifier=urn:page|&_count=2&_total=accurate"
    for _ in range(5):
        bundle = (await hb.ask("GET", url)).json()
        assert bundle["total"] == 5
        seen += [entry["resource"]["identifier"][0]["value"] for entry in bundle["entry"]]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            break
        url = following[0]
    assert sorted(seen) == ["p0", "p1", "p2", "p3", "p4"]


async def test_post_search_is_get_search(hb: World) -> None:
    id_ = await created(hb)
    form = {"content-type": "application/x-www-form-urlencoded"}
    posted = await hb.ask("POST", "Patient/_search", content=f"_id={id_}", headers=form)
    assert posted.json()["entry"][0]["resource"]["id"] == id_
    both = await hb.ask("POST", "Patient/_search?gender=female", content=f"_id={id_}", headers=form)
    assert "entry" not in both.json()
    assert (await hb.ask("POST", "Patient/_search", json={"_id": id_})).status_code == 415


async def test_unknown_parameters_are_refused_unless_lenient(hb: World) -> None:
    strict = await hb.ask("GET", "Patient?colour=red")
    assert strict.status_code == 400
    assert "colour" in strict.text
    lenient = await hb.ask("GET", "Patient?colour=red&_count=1", headers={"prefer": "handling=lenient"})
    assert lenient.status_code == 200


async def test_summary_and_elements_cut_and_mark(hb: World) -> None:
    id_ = await created(hb, {**observation("x", "nobody"), "note": [{"text": "n"}], "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">t</div>'}})  # fmt: skip
    table = [
        ("_elements=subject", {"subject", "status", "code"}, {"valueQuantity", "note", "text"}),
        ("_elements=value", {"valueQuantity"}, {"note", "text", "subject"}),
        ("_summary=true", {"status", "code", "subject", "valueQuantity"}, {"note", "text"}),
        ("_summary=text", {"text", "status", "code"}, {"note", "valueQuantity"}),
        ("_summary=data", {"note", "status"}, {"text"}),
        ("_summary=false", {"note", "text"}, set()),
    ]
    for query, present, absent in table:
        for path in (f"Observation/{id_}?{query}", f"Observation?_id={id_}&{query}"):
            body = (await hb.ask("GET", path)).json()
            resource = body["entry"][0]["resource"] if body["resourceType"] == "Bundle" else body
            assert present <= set(resource), path
            assert not absent & set(resource), path
            tagged = "SUBSETTED" in {tag["code"] for tag in resource["meta"].get("tag", [])}
            assert tagged == (query != "_summary=false")
    assert (await hb.ask("GET", f"Observation/{id_}?_summary=maybe")).status_code == 400
    counted = (await hb.ask("GET", f"Observation?_id={id_}&_summary=count")).json()
    assert counted["total"] == 1
    assert "entry" not in counted


async def test_everything_gives_the_patient_and_the_compartment_in_pages(hb: World) -> None:
    id_ = await created(hb)
    for _ in range(3):
        await created(hb, observation("x", id_))
    first = (await hb.ask("GET", f"Patient/{id_}/$everything?_count=2")).json()
    assert first["entry"][0]["resource"]["id"] == id_
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = (await hb.ask("GET", following)).json()
    ids = [entry["resource"]["id"] for entry in (*first["entry"], *second["entry"])]
    assert len(ids) == len(set(ids)) == 4


# -- bundles


async def test_a_transaction_is_answered_entry_by_entry(hb: World) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": "urn:uuid:6b1f0a4e-0000-4000-8000-000000000001", "resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
            {"resource": observation("x", "x") | {"subject": {"reference": "urn:uuid:6b1f0a4e-0000-4000-8000-000000000001"}},
             "request": {"method": "POST", "url": "Observation"}},
        ],
    }  # fmt: skip
    answer = await hb.ask("POST", "", json=bundle)
    assert answer.status_code == 200
    body = answer.json()
    assert body["type"] == "transaction-response"
    assert [entry["response"]["status"][:3] for entry in body["entry"]] == ["201", "201"]
    observed = (await hb.ask("GET", body["entry"][1]["response"]["location"].rpartition("/_history")[0])).json()
    assert observed["subject"]["reference"] == body["entry"][0]["response"]["location"].rpartition("/_history")[0]


async def test_a_transaction_with_one_wrong_entry_changes_nothing_and_says_which(hb: World) -> None:
    good = {
        "resource": {**PATIENT, "identifier": [{"system": "urn:t", "value": "t"}]},
        "request": {"method": "POST", "url": "Patient"},
    }
    wrong = {"resource": {**PATIENT, "gender": "unsure"}, "request": {"method": "POST", "url": "Patient"}}
    answer = await hb.ask("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": [good, wrong]})
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1].resource")
    assert "entry" not in (await hb.ask("GET", "Patient?identifier=urn:t|t")).json()
    batch = await hb.ask("POST", "", json={"resourceType": "Bundle", "type": "batch", "entry": [good, wrong]})
    assert [entry["response"]["status"][:3] for entry in batch.json()["entry"]] == ["201", "422"]


async def test_reads_inside_a_batch_are_answered(hb: World) -> None:
    id_ = await created(hb)
    entries = [
        {"request": {"method": "GET", "url": url}} for url in (f"Patient/{id_}", "Patient/none", f"Patient?_id={id_}")
    ]
    answer = await hb.ask("POST", "", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    found = answer.json()["entry"]
    assert [entry["response"]["status"][:3] for entry in found] == ["200", "404", "200"]
    assert found[0]["resource"]["id"] == found[2]["resource"]["entry"][0]["resource"]["id"] == id_


async def test_an_idempotency_key_makes_resending_safe(hb: World) -> None:
    key = {"idempotency-key": "k-1"}
    body = {**PATIENT, "identifier": [{"system": "urn:i", "value": "1"}]}
    entry = {
        "resource": {**body, "identifier": [{"system": "urn:i", "value": "2"}]},
        "request": {"method": "POST", "url": "Patient"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    for path, sent in (("Patient", body), ("", bundle)):
        first = await hb.ask("POST", path, json=sent, headers=key)
        again = await hb.ask("POST", path, json=sent, headers=key)
        other = await hb.ask("POST", path, json={**sent, "language": "zh"}, headers=key)
        assert (first.status_code // 100, again.status_code, other.status_code) == (2, 200, 409)
        assert again.json()["issue"][0]["code"] == "duplicate"
    assert (await hb.ask("GET", "Patient?identifier=urn:i|&_summary=count")).json()["total"] == 2


# -- validate, metadata, methods, formats


async def test_validate_finds_without_storing(hb: World) -> None:
    good = await hb.ask("POST", "Patient/$validate", json=PATIENT)
    assert good.json()["issue"][0]["severity"] == "information"
    wrapped = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": {**PATIENT, "gender": "unsure"}}],
    }
    bad = await hb.ask("POST", "Patient/$validate", json=wrapped)
    assert bad.status_code == 200
    assert bad.json()["issue"][0]["expression"] == ["Patient.gender"]
    assert (await hb.ask("POST", "Patient/$validate", json={"resourceType": "Parameters"})).status_code == 400
    assert (await hb.ask("POST", "Observation/$validate", json=PATIENT)).status_code == 422


async def test_the_capability_statement_is_open_and_names_what_works(hb: World) -> None:
    answer = await hb.ask("GET", "metadata", None)
    body = answer.json()
    assert answer.status_code == 200
    assert body["fhirVersion"] == "4.0.1"
    resources = {resource["type"]: resource for resource in body["rest"][0]["resource"]}
    assert set(resources) == {*hb.platform.definitions.types, "ViewDefinition"}
    for name, resource in resources.items():
        for parameter in resource["searchParam"]:
            own = name in {"AuditEvent", "ViewDefinition"}  # these have parameters of their own
            assert own or parameter["name"] in hb.platform.definitions.search_parameters(name)
    assert [i["code"] for i in resources["AuditEvent"]["interaction"]] == ["read", "search-type"]
    assert {o["name"] for o in resources["Patient"]["operation"]} >= {"validate", "everything"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "Patient/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("OPTIONS", "Patient", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("GET", "Patient/_search", {"POST"}),
        ("POST", "Patient/_history", {"GET", "HEAD"}),
        ("PUT", "Patient/x/_history/1", {"GET", "HEAD"}),
        ("PUT", "", {"GET", "HEAD", "POST"}),
        ("DELETE", "metadata", {"GET", "HEAD"}),
        ("PUT", "AuditEvent/1.1.1", {"GET", "HEAD"}),
        ("POST", "AuditEvent", {"GET", "HEAD"}),
        ("DELETE", "AuditEvent/1.1.1", {"GET", "HEAD"}),
    ],
)
async def test_what_cannot_be_done_somewhere_is_405_with_what_can(
    hb: World, method: str, path: str, allow: set[str]
) -> None:
    answer = await hb.ask(method, path)
    assert answer.status_code == 405
    assert {word.strip() for word in answer.headers["allow"].split(",")} == allow
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_operations_that_are_not_offered_are_501(hb: World) -> None:
    for path in ("Patient/$match", "Patient/x/$graph", "Patient/x/$summary"):
        assert (await hb.ask("GET", path)).status_code == 501


async def test_a_format_that_is_not_written_here_is_406(hb: World) -> None:
    id_ = await created(hb)
    table = [
        ({"accept": "application/fhir+json"}, "", 200),
        ({"accept": "application/json"}, "", 200),
        ({"accept": "*/*"}, "", 200),
        ({"accept": "application/fhir+xml, application/json;q=0.5"}, "", 200),
        ({"accept": "image/png"}, "", 406),
        ({"accept": "application/fhir+xml"}, "?_format=json", 200),
        ({}, "?_format=ttl", 406),
        ({}, "?_format=application/fhir%2Bjson", 200),
        ({}, "?_format=application/fhir+json", 200),  # '+' decoded to a blank, as clients often send it
    ]
    for headers, query, status in table:
        answer = await hb.ask("GET", f"Patient/{id_}{query}", headers=headers)
        assert answer.status_code == status, (headers, query)


async def test_pretty_is_the_same_json_with_indents(hb: World) -> None:
    id_ = await created(hb, {**PATIENT, "name": [{"text": 'a "b" {c}, [d]: e\\'}]})
    plain, pretty = await hb.ask("GET", f"Patient/{id_}"), await hb.ask("GET", f"Patient/{id_}?_pretty=true")
    assert pretty.json() == plain.json()
    assert pretty.text.startswith('{\n  "resourceType": "Patient",\n')


async def test_large_answers_are_packed_and_packed_bodies_are_read(hb: World) -> None:
    raw = gzip.compress(b'{"resourceType":"Patient","name":[{"text":"packed"}]}')
    sent = await hb.ask(
        "POST", "Patient", content=raw, headers={"content-encoding": "gzip", "content-type": "application/fhir+json"}
    )
    assert sent.status_code == 201
    large = await hb.ask("GET", "metadata", None, headers={"accept-encoding": "gzip"})
    assert large.headers["content-encoding"] == "gzip"
    small = await hb.ask("GET", f"Patient/{sent.json()['id']}", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers


async def test_a_request_id_is_taken_or_made_and_sent_back(hb: World) -> None:
    given = await hb.ask("GET", "Patient/none", headers={"x-request-id": "abc-123"})
    made = await hb.ask("GET", "Patient/none", headers={"x-request-id": "bad id\twith blanks"})
    assert given.headers["x-request-id"] == "abc-123"
    assert re.fullmatch(r"[0-9a-f]{16}", made.headers["x-request-id"])


async def test_urls_are_those_the_client_knows(hb: World) -> None:
    headers = {"host": "fhir.example.cn", "x-forwarded-proto": "https"}
    answer = await hb.ask("POST", "Patient", json=PATIENT, headers=headers)
    assert answer.headers["location"].startswith("https://fhir.example.cn/fhir/Patient/")
    odd = await hb.ask("POST", "Patient", json=PATIENT, headers={"host": 'evil"host'})
    assert odd.headers["location"].startswith("/fhir/Patient/")


async def test_healthz_is_open_and_says_ready(hb: World) -> None:
    answer = await hb.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_if_none_match_star_writes_only_what_is_new(hb: World) -> None:
    body = {"resourceType": "Patient", "id": "once", "active": True}
    star = {"if-none-match": "*"}
    assert (await hb.ask("PUT", "Patient/once", "QPZS", json=body, headers=star)).status_code == 201
    again = await hb.ask("PUT", "Patient/once", "QPZS", json={**body, "active": False}, headers=star)
    assert again.status_code == 412, again.text
    entry = {"resource": body, "request": {"method": "PUT", "url": "Patient/once", "ifNoneMatch": "*"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    answer = await hb.ask("POST", "", "QPZS", json=batch)
    assert answer.json()["entry"][0]["response"]["status"][:3] == "412"
    await hb.ask("DELETE", "Patient/once", "QPZS")
    assert (await hb.ask("PUT", "Patient/once", "QPZS", json=body, headers=star)).status_code == 201


async def test_a_history_tells_what_was_current_at_a_time(hb: World) -> None:
    moments = []
    for n in range(3):
        body = {"resourceType": "Patient", "id": "changing", "name": [{"text": str(n)}]}
        answer = await hb.ask("PUT", "Patient/changing", "QPZS", json=body)
        moments.append(answer.json()["meta"]["lastUpdated"])
        await anyio.sleep(0.005)  # times are kept to the millisecond

    async def versions(query: str) -> list[str]:
        found = (await hb.ask("GET", f"Patient/changing/_history?{query}", "QPZS")).json()
        return [one["resource"]["meta"]["versionId"] for one in found.get("entry", ())]

    assert await versions(f"_at={moments[0]}") == ["1"]
    assert await versions(f"_at={moments[1]}") == ["2"]
    assert await versions(f"_at={moments[2][:10]}") == ["3", "2", "1"]
    assert await versions("_at=2999") == ["3"]
    assert await versions("_at=1999") == []
    for wrong in ("_at=never", "_sort=_lastUpdated", "nonsense=1"):
        assert (await hb.ask("GET", f"Patient/changing/_history?{wrong}", "QPZS")).status_code == 400
    system = (await hb.ask("GET", f"Patient/_history?_at={moments[0]}&_count=1000", "QPZS")).json()
    mine = [one for one in system["entry"] if one["fullUrl"].endswith("/changing")]
    assert [one["resource"]["meta"]["versionId"] for one in mine] == ["1"]
