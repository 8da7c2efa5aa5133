"""Bundles as a client meets them: batch entries that stand for themselves, and Prefer (R4 http, 3.1.0.11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, observation, own_world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        yield made


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def put(id_: str, patient: str) -> dict[str, Any]:
    return {"request": {"method": "PUT", "url": f"Observation/{id_}"}, "resource": observation(id_, patient)}


def ask(method: str, url: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}}


def statuses(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


async def test_a_batch_does_what_is_permitted_and_answers_403_for_the_rest(hb: World) -> None:
    headers = {"x-request-id": "mixed-1"}
    entries = [
        put("mine", "a-xy"),
        ask("DELETE", "Observation/o-a-xy"),
        ask("GET", "Patient/a-xy"),
        ask("GET", "http://testserver/fhir/Patient/a-xy"),
        ask("GET", "Patient/c-zx"),
        ask("GET", "Nothing/1"),
    ]
    answer = await hb.ask("POST", "", "doctor", json=bundle("batch", *entries), headers=headers)
    assert statuses(answer) == ["201", "403", "200", "200", "404", "404"]
    refusal = answer.json()["entry"][1]["response"]["outcome"]
    assert refusal["issue"][0]["code"] == "forbidden"
    (event,) = await hb.events("mixed-1")
    assert event.outcome == 0
    assert "1 entries forbidden" in event.detail
    assert (await hb.ask("GET", "Observation/o-a-xy", "QPXY")).status_code == 200


async def test_a_batch_of_which_nothing_is_permitted_is_a_refusal_in_the_log_and_no_arrival(hb: World) -> None:
    async def arrivals() -> int:
        async with hb.platform.pool.connection() as connection:
            row = await (await connection.execute("select count(*) from delivery")).fetchone()
        assert row is not None
        return int(row[0])

    before = await arrivals()
    for kind, who in (("DELETE", "doctor"), ("PUT", "leader")):
        entry = ask(kind, "Observation/o-a-xy") | ({"resource": observation("o-a-xy", "a-xy")} if kind == "PUT" else {})
        headers = {"x-request-id": f"none-{who}"}
        answer = await hb.ask("POST", "", who, json=bundle("batch", entry, entry), headers=headers)
        assert statuses(answer) == ["403", "403"]
        (event,) = await hb.events(f"none-{who}")
        assert event.outcome == 4
    assert await arrivals() == before


async def test_who_sees_only_figures_sees_no_resident_in_a_batch(hb: World) -> None:
    entries = [ask("GET", "Patient/a-zs"), ask("GET", "Patient"), ask("GET", "Practitioner/prac-1")]
    answer = await hb.ask("POST", "", "leader", json=bundle("batch", *entries))
    assert statuses(answer) == ["403", "403", "200"]
    assert "张" not in answer.text


async def test_a_transaction_reads_as_far_as_reading_reaches(hb: World) -> None:
    entries = [put("both", "a-xy"), ask("GET", "Patient/a-zs")]
    answer = await hb.ask("POST", "", "doctor", json=bundle("transaction", *entries))
    alone = await hb.ask("GET", "Patient/a-zs", "doctor")
    assert answer.status_code == alone.status_code
    if alone.status_code == 200:
        assert statuses(answer) == ["201", "200"]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
@pytest.mark.parametrize(
    ("prefer", "resource", "outcome"),
    [
        ("", False, False),
        ("return=minimal", False, False),
        ("return=representation", True, False),
        ("return=OperationOutcome", False, True),
    ],
)
async def test_prefer_decides_what_each_entry_answers(
    hb: World, kind: str, prefer: str, resource: bool, outcome: bool
) -> None:
    create = {"request": {"method": "POST", "url": "Observation"}, "resource": observation("x", "a-zs", 72.50)}
    headers = {"prefer": prefer} if prefer else {}
    answer = await hb.ask("POST", "", "QPZS", json=bundle(kind, create, put("same", "a-zs")), headers=headers)
    for entry in answer.json()["entry"]:
        assert ("resource" in entry) == resource
        assert ("outcome" in entry["response"]) == outcome
        if resource:
            assert entry["response"]["location"].startswith(f"Observation/{entry['resource']['id']}/")
            assert entry["resource"]["meta"]["versionId"] == entry["response"]["etag"][3:-1]


# -- what reads


READS = [
    ("Patient/a-zs", "Patient"),
    ("Patient/a-zs/_history", "Bundle history"),
    ("Patient/a-zs/_history/1", "Patient"),
    ("Patient/_history?_count=1", "Bundle history"),
    ("_history?_count=1", "Bundle history"),
    ("Patient?identifier=urn:none|1", "Bundle searchset"),
    ("Patient/a-zs/Observation?code=14771-0", "Bundle searchset"),
    ("Patient/a-zs/*", "Bundle searchset"),
    ("?_type=Patient,Observation&_count=1", "Bundle searchset"),
    ("Patient/a-zs/$everything", "Bundle searchset"),
    ("Observation/$lastn?patient=a-zs", "Bundle searchset"),
    ("Observation/$stats?subject=Patient/a-zs&code=14771-0&system=http://loinc.org&statistic=count", "Parameters"),
    ("Patient/a-zs/$meta", "Parameters"),
    ("Patient/$meta", "Parameters"),
    ("metadata", "CapabilityStatement"),
    ("Patient/a-zs/$graphql?query={id}", "Binary"),
]


async def test_a_batch_reads_whatever_can_be_read_alone(hb: World) -> None:
    headers = {"x-request-id": "reads-1"}
    sent = bundle("batch", *(ask("GET", url) for url, _ in READS))
    answer = await hb.ask("POST", "", "QPZS", json=sent, headers=headers)
    assert set(statuses(answer)) == {"200"}
    for entry, (url, expected) in zip(answer.json()["entry"], READS, strict=True):
        found = entry["resource"]
        assert (
            " ".join([found["resourceType"], *([found["type"]] if found["resourceType"] == "Bundle" else [])])
            == expected
        )
        alone = (await hb.ask("GET", url, "QPZS")).json()
        if found["resourceType"] == "Bundle":
            assert found == alone, url
        elif "meta" in found:
            assert entry["response"]["lastModified"] == found["meta"]["lastUpdated"]
            assert entry["response"]["etag"] == f'W/"{found["meta"]["versionId"]}"'
    (event,) = await hb.events("reads-1")
    assert len(event.patients) >= 2, "everybody who was shown is in the one event"


async def test_an_entry_may_be_an_operation_that_is_posted(hb: World) -> None:
    wrong = {"resourceType": "Patient", "gender": "x"}
    label = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "seen"}]}}]}
    sent = bundle(
        "batch",
        {"request": {"method": "POST", "url": "Patient/$validate"}, "resource": wrong},
        {"request": {"method": "POST", "url": "Patient/b-zs/$meta-add"}, "resource": label},
        put("beside", "b-zs"),
        ask("GET", "Observation/beside"),
    )
    answer = await hb.ask("POST", "", "QPZS", json=sent)
    assert statuses(answer) == ["200", "200", "201", "200"]
    assert answer.json()["entry"][0]["resource"]["issue"][0]["expression"] == ["Patient.gender"]
    assert (await hb.ask("GET", "Patient?_tag=seen", "QPZS")).json()["entry"][0]["resource"]["id"] == "b-zs"


async def test_entries_are_refused_as_they_would_be_alone(hb: World) -> None:
    urls = [
        "$export",
        "Patient/c-zx/$everything",
        "Patient/$nothing",
        "Patient?x=1",
        "http://elsewhere/Patient/1",
        "Patient/a-zs/Organization",
    ]
    entries = [ask("GET", url) for url in urls]
    prefer = {"prefer": "respond-async"}
    answer = await hb.ask("POST", "", "QPZS", json=bundle("batch", *entries), headers=prefer)
    assert statuses(answer) == ["400", "404", "501", "400", "400", "400"]
    lenient = await hb.ask(
        "POST", "", "QPZS", json=bundle("batch", ask("GET", "Patient?x=1")), headers={"prefer": "handling=lenient"}
    )
    assert statuses(lenient) == ["200"]


async def test_what_is_known_already_is_not_sent_again(hb: World) -> None:
    known = {"request": {"method": "GET", "url": "Patient/a-zs", "ifNoneMatch": 'W/"1"'}}
    fresh = {"request": {"method": "GET", "url": "Patient/a-zs", "ifModifiedSince": "2999-01-01T00:00:00Z"}}
    part = ask("GET", "Patient/a-zs?_elements=birthDate")
    answer = await hb.ask("POST", "", "QPZS", json=bundle("batch", known, fresh, part))
    assert statuses(answer) == ["304", "304", "200"]
    assert "name" not in answer.json()["entry"][2]["resource"]


async def test_a_transaction_reads_what_it_wrote_with_whole_links(hb: World) -> None:
    urls = [
        "Observation/tx/_history", "Observation/_history?_count=1", "Patient/b-zs/Observation?_id=tx", "?_type=Patient,Observation&_id=tx",
        "Observation?patient=b-zs&_count=1&_elements=status", "Observation/tx?_summary=true",
    ]  # fmt: skip
    answer = await hb.ask(
        "POST", "", "QPZS", json=bundle("transaction", put("tx", "b-zs"), *(ask("GET", url) for url in urls))
    )
    assert statuses(answer) == ["201"] + ["200"] * 6
    _, instance, history, compartment, system, search, read = answer.json()["entry"]
    assert [one["resource"]["id"] for one in instance["resource"]["entry"]] == ["tx"]
    assert instance["resource"]["entry"][0]["fullUrl"] == "http://testserver/fhir/Observation/tx"
    for found in (compartment, system):
        assert [one["resource"]["id"] for one in found["resource"]["entry"]] == ["tx"]
    for found in (history, search):
        following = {link["relation"]: link["url"] for link in found["resource"]["link"]}["next"]
        assert (await hb.ask("GET", following, "QPZS")).status_code == 200
    assert "valueQuantity" not in search["resource"]["entry"][0]["resource"]
    assert read["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.parametrize(
    "url", ["Patient/none/$everything", "_history", "Patient/a-zs/*", "Patient/none/_history", "Patient/c-zx"]
)
async def test_a_transaction_with_a_read_that_cannot_be_done_is_refused_whole(hb: World, url: str) -> None:
    answer = await hb.ask("POST", "", "QPZS", json=bundle("transaction", put("never", "b-zs"), ask("GET", url)))
    assert answer.status_code in (400, 404, 501), answer.text
    assert (await hb.ask("GET", "Observation/never", "QPZS")).status_code == 404


async def test_answers_stand_at_the_places_of_their_entries_whatever_becomes_of_the_others(hb: World) -> None:
    future = {
        "request": {"method": "PUT", "url": "Observation/late"},
        "resource": {**observation("late", "b-zs"), "effectiveDateTime": "2999-01-01"},
    }
    sent = bundle("batch", future, ask("GET", "Patient/b-zs"), put("one", "b-zs"), future, put("two", "b-zs"))
    answer = await hb.ask("POST", "", "QPZS", json=sent)
    assert statuses(answer) == ["422", "200", "201", "422", "201"]
    assert answer.json()["entry"][4]["response"]["location"].startswith("Observation/two/")


def call(method: str, url: str, **resource: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url}}
    return made | ({"resource": resource} if resource else {})


def labels(*codes: str) -> dict[str, Any]:
    tags = [{"system": "urn:t", "code": code} for code in codes]
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": tags}}]}


async def test_operations_in_a_transaction_see_what_it_changed(hb: World) -> None:
    entries = [
        call("GET", "Patient/b-zs/$everything?_type=Observation"),
        call("POST", "Observation/$validate", **observation("any", "b-zs") | {"status": "wrong"}),
        call("GET", "Observation/ops/$meta"),
        call("GET", "Observation/$lastn?patient=b-zs&code=14771-0"),
        call("GET", "$graphql?query=%7BObservation(id:%22ops%22)%7Bstatus%7D%7D"),
        put("ops", "b-zs"),
    ]
    answer = await hb.ask("POST", "", "QPZS", json=bundle("transaction", *entries))
    assert statuses(answer) == ["200"] * 5 + ["201"]
    found = answer.json()["entry"]
    assert "ops" in [one["resource"]["id"] for one in found[0]["resource"]["entry"]]
    assert found[0]["resource"]["link"][0]["url"].startswith("http://testserver/fhir/Patient/b-zs/$everything")
    assert found[1]["resource"]["issue"][0]["severity"] == "error"
    assert found[2]["resource"]["parameter"][0]["valueMeta"]["versionId"] == "1"
    assert "ops" in [one["resource"]["id"] for one in found[3]["resource"]["entry"]]
    assert found[4]["resource"]["resourceType"] == "Binary"


async def test_labels_are_changed_with_the_rest_of_a_transaction(hb: World) -> None:
    await hb.ask("PUT", "Observation/labelled", "QPZS", json=observation("labelled", "b-zs"))
    entries = [call("POST", "Observation/labelled/$meta-add", **labels("x", "y")), put("beside-labels", "b-zs")]
    answer = await hb.ask(
        "POST", "", "QPZS", json=bundle("transaction", *entries), headers={"prefer": "return=representation"}
    )
    assert statuses(answer) == ["200", "201"]
    shown = answer.json()["entry"][0]["resource"]["parameter"][0]["valueMeta"]
    assert [one["code"] for one in shown["tag"]] == ["x", "y"]
    gone = call("POST", "Observation/labelled/$meta-delete", **labels("x"))
    answer = await hb.ask("POST", "", "QPZS", json=bundle("transaction", gone))
    stored = (await hb.ask("GET", "Observation/labelled", "QPZS")).json()
    assert [one["code"] for one in stored["meta"]["tag"]] == ["y"]
    assert stored["meta"]["versionId"] == "3"


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (call("GET", "Patient/nobody/$everything"), 404),
        (call("GET", "Patient/c-zx/$everything"), 404),
        (call("POST", "Observation/$validate"), 400),
        (call("GET", "Patient/$export"), 501),
        (call("POST", "$import", **labels("x")), 501),
        (call("PUT", "Patient/b-zs/$validate", **labels("x")), 501),
        (call("POST", "Observation/none/$meta-add", **labels("x")), 404),
        (call("POST", "Observation/$meta-add", **labels("x")), 400),
        (call("POST", "Observation/o-a-xy/$meta-add", resourceType="Parameters"), 400),
        (call("POST", "Observation/never/$meta-add", **labels("x")), 400),
        (call("POST", "Patient/c-zx/$meta-add", **labels("x")), 403),
    ],
)
async def test_an_operation_that_cannot_be_done_ends_the_transaction(
    hb: World, entry: dict[str, Any], status: int
) -> None:
    answer = await hb.ask("POST", "", "QPZS", json=bundle("transaction", put("never", "b-zs"), entry))
    assert answer.status_code == status, answer.text
    if status != 403:
        assert "Bundle.entry[1]" in answer.text
    assert (await hb.ask("GET", "Observation/never", "QPZS")).status_code == 404


async def test_operations_in_a_transaction_need_their_permission(hb: World) -> None:
    entries = [call("GET", "Patient/a-zs/$everything"), call("GET", "Observation?_count=1")]
    answer = await hb.ask("POST", "", "leader", json=bundle("transaction", *entries))
    assert answer.status_code == 403
    assert "张" not in answer.text
    only = await hb.ask("POST", "", "QPZS", json=bundle("transaction", entries[0]))
    assert statuses(only) == ["200"]
