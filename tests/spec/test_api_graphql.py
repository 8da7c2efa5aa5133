"""$graphql (R4 graphql): elements, references, lists, connections, fragments, directives; scope and limits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, observation, own_world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        name = [
            {"use": "official", "text": "孙丽", "given": ["丽"]},
            {"use": "old", "text": "孙小丽", "given": ["小丽", "丽"]},
        ]
        person = {"resourceType": "Patient", "id": "g", "active": True, "name": name, "managingOrganization": {"reference": "#o"},
                  "contained": [{"resourceType": "Organization", "id": "o", "name": "某医院"}],
                  "birthDate": "1980-01-01", "_birthDate": {"id": "b"}}  # fmt: skip
        exact = b'{"resourceType":"Observation","id":"g1","status":"final","code":{"coding":[{"code":"14771-0"}]},"subject":{"reference":"Patient/g"},"valueQuantity":{"value":72.50,"unit":"mmol/L"}}'
        await made.ask(
            "PUT", "Observation/g1", "QPZS", content=exact, headers={"content-type": "application/fhir+json"}
        )
        for resource in (person, observation("g2", "g"), observation("g3", "c-zx")):
            answer = await made.ask("PUT", f"{resource['resourceType']}/{resource['id']}", "QPZS", json=resource)
            assert answer.status_code == 201, answer.text
        yield made


async def ask(hb: World, query: str, path: str = "", who: str = "QPZS", **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    answer = await hb.ask("POST", f"{path}$graphql", who, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


INSTANCE: list[tuple[str, Any]] = [
    ("{id active}", {"id": "g", "active": True}),
    ("{resourceType __typename}", {"resourceType": "Patient", "__typename": "Patient"}),
    ("{who: id gender}", {"who": "g", "gender": None}),
    ("{name{text}}", {"name": [{"text": "孙丽"}, {"text": "孙小丽"}]}),
    ("{name(use: official){text}}", {"name": [{"text": "孙丽"}]}),
    ("{name(given: \"小丽\"){text}}", {"name": [{"text": "孙小丽"}]}),
    ("{name(_offset: 1, _count: 1){use}}", {"name": [{"use": "old"}]}),
    ("{name @first {text}}", {"name": {"text": "孙丽"}}),
    ("{name @flatten {given}}", {"given": ["丽", "小丽", "丽"]}),
    ("{name @slice(path: \"use\") {text}}", {"name.official": [{"text": "孙丽"}], "name.old": [{"text": "孙小丽"}]}),
    ("{name @slice(path: \"use\") @singleton {text}}", {"name.official": {"text": "孙丽"}, "name.old": {"text": "孙小丽"}}),
    ("{name @flatten @slice(path: \"use\") {text given @first}}",
     {"text.official": "孙丽", "given.official": "丽", "text.old": "孙小丽", "given.old": "小丽"}),
    ("{name @slice(path: \"$index\") {text}}", {"name.0": [{"text": "孙丽"}], "name.1": [{"text": "孙小丽"}]}),
    ("{name @flatten @slice(path: \"period.start\") {use given}}", {"use": ["official", "old"], "given": ["丽", "小丽", "丽"]}),
    ("{birthDate _birthDate{id}}", {"birthDate": "1980-01-01", "_birthDate": {"id": "b"}}),
    ("{... on Patient{id} ... on Observation{status}}", {"id": "g"}),
    ("query a($x: Boolean = false){id active @include(if: $x)}", {"id": "g"}),
    ("{id active @skip(if: true)}", {"id": "g"}),
    ("{...f} fragment f on Patient {id name{...n}} fragment n on HumanName {use}",
     {"id": "g", "name": [{"use": "official"}, {"use": "old"}]}),
    ("{managingOrganization{reference resource{... on Organization{name}}}}",
     {"managingOrganization": {"reference": "#o", "resource": {"name": "某医院"}}}),
    ("{ObservationList(_reference: patient, _sort: \"_id\"){id subject{resource(type: Patient){id}}}}",
     {"ObservationList": [{"id": "g1", "subject": {"resource": {"id": "g"}}}, {"id": "g2", "subject": {"resource": {"id": "g"}}}]}),
    ("{contained{... on Organization{name}}}", {"contained": [{"name": "某医院"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), INSTANCE)
async def test_of_a_resource_what_is_named_comes_back(hb: World, query: str, expected: Any) -> None:
    assert await ask(hb, query, "Patient/g/") == {"data": expected}


async def test_all_resources_are_asked_by_id_search_and_connection(hb: World) -> None:
    query = """query q($id: String!) {
        Patient(id: $id) { id }
        ObservationList(patient: $id, _sort: "_id", _count: 1) { id valueQuantity { value unit } }
        ObservationConnection(patient: $id, code: ["14771-0", "x"]) { count pagesize edges { mode resource { id } } }
    }"""
    answer = await hb.ask("POST", "$graphql", "QPZS", json={"query": query, "variables": {"id": "g"}})
    assert b'"value":72.50' in answer.content
    data = answer.json()["data"]
    assert data["Patient"] == {"id": "g"}
    assert [one["id"] for one in data["ObservationList"]] == ["g1"]
    connection = data["ObservationConnection"]
    assert (connection["count"], connection["pagesize"], connection["edges"][0]["mode"]) == (2, 2, "match")


async def test_a_query_may_come_in_every_way(hb: World) -> None:
    expected = {"data": {"id": "g"}}
    get = await hb.ask("GET", "Patient/g/$graphql?query={id}", "QPZS")
    kind = {"content-type": "application/graphql"}
    raw = await hb.ask("POST", "Patient/g/$graphql", "QPZS", content="{id}", headers=kind)
    named = {"query": "query a{id} query b{active}", "operationName": "a"}
    by_name = await hb.ask("POST", "Patient/g/$graphql", "QPZS", json=named)
    variables = await hb.ask(
        "GET", 'Patient/g/$graphql?query=query($w:Boolean){id @include(if:$w)}&variables={"w":true}', "QPZS"
    )
    for answer in (get, raw, by_name, variables):
        assert (answer.status_code, answer.json()) == (200, expected), answer.text


async def test_what_the_caller_may_not_see_is_not_there(hb: World) -> None:
    hidden = await ask(hb, '{Patient(id: "c-zx"){id}}')
    assert hidden["data"] == {"Patient": None}
    assert hidden["errors"][0]["path"] == ["Patient"]
    through = await ask(hb, "{subject{reference resource{... on Patient{name{text}}}}}", "Observation/g3/")
    assert through["data"]["subject"] == {"reference": "Patient/c-zx", "resource": None}
    assert through["errors"][0]["path"] == ["subject", "resource"]
    optional = await ask(hb, "{subject{resource(optional: true){... on Patient{id}}}}", "Observation/g3/")
    assert optional == {"data": {"subject": {"resource": None}}}
    lists = await ask(hb, "{PatientList{id}}")
    assert "c-zx" not in {one["id"] for one in lists["data"]["PatientList"]}
    assert (await hb.ask("GET", "Patient/c-zx/$graphql?query={id}", "QPZS")).status_code == 404
    figures = await ask(hb, "{PatientList{id}}", who="leader")
    assert figures["data"] == {"PatientList": None}
    log = await ask(hb, '{AuditEventList{id} AuditEvent(id: "1"){id}}', who="administrator")
    assert log["data"] == {"AuditEventList": None, "AuditEvent": None}


async def test_a_query_stands_in_the_log_with_whom_it_showed(hb: World) -> None:
    body = {"query": "{ObservationList(_reference: patient){id}}"}
    await hb.ask("POST", "Patient/g/$graphql", "QPZS", json=body, headers={"x-request-id": "graph-1"})
    (event,) = await hb.events("graph-1")
    assert (event.interaction, event.detail, event.outcome, len(event.patients)) == ("operation", "$graphql", 0, 1)


@pytest.mark.parametrize(
    "query",
    ["{nothing}", "{name}", "{id{x}}", "{name{text(_count: x)}}", "{ObservationList{id}}", "{ObservationList(_reference: nothing){id}}",
     "{name(_count: -1){text}}", "{name @first {nothing}}", "{NothingList(_reference: patient){id}}"],
)  # fmt: skip
async def test_what_is_wrong_in_one_place_is_null_there_and_an_error(hb: World, query: str) -> None:
    found = await ask(hb, query, "Patient/g/")
    if query == "{name{text(_count: x)}}":  # arguments of plain values are nothing to choose by
        assert "errors" not in found
        return
    assert found["errors"], found
    assert "张" not in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{name(fhirpath: \"use = 'official'\"){use}}", ["official"]),
        ("{name(fhirpath: \"use = 'old' or use = 'official'\", _count: 1){use}}", ["official"]),
        ('{name(fhirpath: "use.empty()"){use}}', []),
        ("query q($p: String){name(fhirpath: $p, use: old){use}}", ["old"]),
        ("{name(fhirpath: \"%resource.id = 'g'\", use: official){use}}", ["official"]),
    ],
)
async def test_items_of_a_list_are_chosen_by_an_expression(hb: World, query: str, expected: list[str]) -> None:
    body = {"query": query, "variables": {"p": "use.exists()"}}
    answer = (await hb.ask("POST", "Patient/g/$graphql", "QPZS", json=body)).json()
    assert "errors" not in answer
    assert [one["use"] for one in answer["data"]["name"]] == expected


ALL = "%resource.descendants()"
ENDLESS = f"{ALL}.where({ALL}.where({ALL}.where({ALL}.where({ALL}.count() > 1).exists()).exists()).exists()).exists()"


@pytest.mark.parametrize(
    "path",
    ["(", "1", "name(", "x" * 2000, "use + 1", ENDLESS],
)  # fmt: skip
async def test_an_expression_that_is_none_or_too_much_is_an_error_at_its_place(hb: World, path: str) -> None:
    body = {"query": "query q($p: String){id name(fhirpath: $p){use}}", "variables": {"p": path}}
    answer = (await hb.ask("POST", "Patient/g/$graphql", "QPZS", json=body)).json()
    assert answer["data"]["id"] == "g"
    if path != "1":  # a single value is taken as true
        assert answer["errors"][0]["path"] == ["name"]
        assert "张" not in json.dumps(answer, ensure_ascii=False)


DEEP = "{" + "subject{resource{... on Observation{" * 10 + "id" + "}}}" * 10 + "}"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("{", 400),
        ("{id", 400),
        ("{" * 5000, 413),
        ("{id}" + " " * 60_000, 413),
        (DEEP, 413),
        ("{" + " ".join(f"a{n}: id" for n in range(1100)) + "}", 413),
        ("mutation{id}", 501),
        ("subscription{id}", 501),
        ("type A {b: Int}", 400),
        ("query a{id} query b{id}", 400),
        ("query a($x: String!){id}", 400),
        ("{id @include(if: 3)}", 400),
        ("{id @sliced(path: \"x\")}", 501),
        ("{name @slice(path: \"descendants()\"){text}}", 400),
        ("{name @slice{text}}", 400),
        ("{name(use: $x){text}}", 400),
        ("{...f}", 400),
        ("{...f} fragment f on Patient {...f}", 400),
        ("{...a} " + " ".join(f"fragment f{n} on Patient {{...f{n + 1} ...f{n + 1}}}" for n in range(20)) + " fragment f20 on Patient {id} fragment a on Patient {...f0}", 413),
        ("{...f0} " + " ".join(f"fragment f{n} on Patient {{...f{n + 1} ...f{n + 1}}}" for n in range(40)) + " fragment f40 on Patient {id @skip(if: true)}", 413),
    ],
)  # fmt: skip
async def test_a_query_that_is_wrong_or_too_much_is_refused_whole(hb: World, query: str, status: int) -> None:
    answer = await hb.ask("POST", "Patient/g/$graphql", "QPZS", json={"query": query})
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), answer.text
    for body in ("[]", "x", '{"query": 7}'):
        wrong = await hb.ask("POST", "Patient/g/$graphql", "QPZS", content=body)
        assert wrong.status_code == 400
