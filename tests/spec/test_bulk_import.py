"""$import: a file of resources goes through the delivery ledger in the background, with the rights of who sent it."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.api_world import ID_B, World, observation, patient, world
from tests.bulk_client import lines

from healthbrain import exchange
from healthbrain.exchange import bulkdata
from healthbrain.runtime.jobs import desk
from healthbrain.store import patient_key

pytestmark = pytest.mark.anyio

FILE = [
    patient("b-zs", ID_B, "李娜", "1985-06-15", "female"),
    *(observation(f"o{n}", "b-zs", 4.0 + n) for n in range(5)),
]


@pytest.fixture
async def hb(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(dsn, tmp_path) as made:
        yield made


def ndjson(resources: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in resources)


async def send(hb: World, body: bytes, who: str = "QPZS", path: str = "$import", **headers: str) -> str:
    headers = {"content-type": "application/fhir+ndjson", **{k.replace("_", "-"): v for k, v in headers.items()}}
    answer = await hb.ask("POST", path, who, content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"]


async def imported(hb: World, body: bytes, who: str = "QPZS", path: str = "$import", **headers: str) -> dict[str, Any]:
    place = await send(hb, body, who, path, **headers)
    assert (await hb.ask("GET", place, who)).status_code == 202
    while await bulkdata.work_import(desk(hb.platform), hb.platform.observers):
        pass
    answer = await hb.ask("GET", place, who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_uploaded_file_is_written_and_counted(hb: World, tmp_path: Path) -> None:
    done = await imported(hb, ndjson(FILE))
    counts = done["extension"]
    assert (counts["state"], counts["lines"], counts["written"], counts["refused"]) == ("accepted", 6, 6, 0)
    assert done["error"] == []
    assert (await hb.ask("GET", "Observation?subject=Patient/b-zs&_total=accurate", "QPZS")).json()["total"] == 5
    async with hb.platform.pool.connection() as connection:
        delivery = await exchange.delivery(connection, counts["delivery"])
        assert await exchange.raw(connection, delivery.id) == ndjson(FILE)
    assert delivery.organisation == hb.keys["QPZS"]
    assert list((tmp_path / "export").glob("*/upload*")) == []
    events = [event for event in await hb.events() if "$import" in event.detail]
    assert any(event.patients == (patient_key("b-zs"),) and "6 resources" in event.detail for event in events)


async def test_a_packed_file_sent_twice_is_written_once(hb: World) -> None:
    packed = gzip.compress(ndjson(FILE))
    first = await imported(hb, packed, content_encoding="gzip")
    again = await imported(hb, ndjson(FILE))
    assert first["extension"]["delivery"] == again["extension"]["delivery"]
    assert (await hb.ask("GET", "Observation/o1", "QPZS")).json()["meta"]["versionId"] == "1"


async def test_wrong_lines_are_listed_as_outcomes_and_do_not_hold_up_the_others(hb: World) -> None:
    body = ndjson(FILE) + b'{"resourceType": "Observation", "id": "bad"}\n{"not json\n'
    done = await imported(hb, body)
    assert done["extension"]["state"] == "partly"
    assert done["extension"]["refused"] == 2
    (file,) = done["error"]
    assert (file["type"], file["count"]) == ("OperationOutcome", 2)
    seventh, eighth = await lines(hb, file["url"], "QPZS")
    assert all(one["resourceType"] == "OperationOutcome" for one in (seventh, eighth))
    assert seventh["issue"][0]["diagnostics"].startswith("line 7: ")
    assert eighth["issue"][0]["diagnostics"].startswith("line 8: ")


async def test_an_import_changes_nothing_that_its_requester_may_not_change(hb: World) -> None:
    theirs = patient("c-zx", ID_B, "王强", "1972-03-03", "male")
    assert (await hb.ask("PUT", "Patient/c-zx", "XHZX", json=theirs)).status_code == 201
    event = {"resourceType": "AuditEvent", "id": "forged", "recorded": "2026-01-01T00:00:00Z"}
    event |= {"type": {"code": "rest"}, "agent": [{"requestor": True}], "source": {"observer": {"display": "x"}}}
    transaction = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": event, "request": {"method": "PUT", "url": "AuditEvent/forged"}}],
    }
    done = await imported(hb, ndjson([{**theirs, "gender": "female"}, event, transaction, *FILE]))
    assert done["extension"]["refused"] == 3
    assert done["extension"]["written"] == 6
    assert (await hb.ask("GET", "Patient/c-zx", "XHZX")).json()["gender"] == "male"


async def test_only_systems_import_and_only_for_their_own_sources(hb: World) -> None:
    headers = {"content-type": "application/fhir+ndjson"}
    for path in ("$import?source=s-XHZX", "$import?source=nobody"):
        assert (await hb.ask("POST", path, "QPZS", content=ndjson(FILE), headers=headers)).status_code == 403
    done = await imported(hb, ndjson(FILE), "QP00", "$import?source=s-QPZS&name=june.ndjson")
    async with hb.platform.pool.connection() as connection:
        delivery = await exchange.delivery(connection, done["extension"]["delivery"])
    assert (delivery.organisation, delivery.name) == (hb.keys["QPZS"], "june.ndjson")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"content-type": "application/fhir+json"}, 415),
        (b"", {"content-type": "application/fhir+ndjson"}, 400),
        (b"plain", {"content-type": "application/fhir+ndjson", "content-encoding": "gzip"}, 400),
        (
            gzip.compress(b"{}\n" * 99, mtime=0)[:-4],
            {"content-type": "application/fhir+ndjson", "content-encoding": "gzip"},
            400,
        ),
        (b"x", {"content-type": "application/fhir+ndjson", "content-encoding": "br"}, 400),
    ],
)
async def test_what_is_no_file_of_resources_is_refused_and_leaves_nothing(
    hb: World, tmp_path: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await hb.ask("POST", "$import", "QPZS", content=body, headers=headers)).status_code == status
    assert list((tmp_path / "export").glob("*")) == []


async def test_a_cancelled_import_is_not_begun(hb: World, tmp_path: Path) -> None:
    place = await send(hb, ndjson(FILE))
    assert (await hb.ask("DELETE", place, "QPZS")).status_code == 202
    assert await bulkdata.work_import(desk(hb.platform), hb.platform.observers) is False
    assert (await hb.ask("GET", "Patient/b-zs", "QPZS")).status_code == 404
    assert list((tmp_path / "export").glob("*")) == []
