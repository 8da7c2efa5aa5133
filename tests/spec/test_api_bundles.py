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
    assert statuses(answer) == ["201", "403", "200", "200", "404", "400"]
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
