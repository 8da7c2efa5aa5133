"""What an application was not granted when it sent it is not let in when somebody replays it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.api_world import World, inhabited, observation, own_world
from tests.smart_world import register, system

from healthbrain import exchange
from healthbrain.exchange import bulkdata
from healthbrain.exchange.limits import Limits, read_limits
from healthbrain.runtime.jobs import desk
from healthbrain.scope import Rule, Scope

pytestmark = pytest.mark.anyio

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
RESTRICTED = f"system/Observation.cruds?category={CATEGORY}|laboratory"


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        yield made


def of_category(id_: str, code: str, patient: str = "b-zs") -> dict[str, Any]:
    return {**observation(id_, patient), "category": [{"coding": [{"system": CATEGORY, "code": code}]}]}


def put(resource: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}, "resource": resource}


async def newest(hb: World) -> int:
    async with hb.platform.pool.connection() as connection:
        row = await (await connection.execute("select id from delivery order by received_at desc limit 1")).fetchone()
    assert row is not None
    return int(row[0])


async def again(hb: World, delivery: int) -> str:
    receipt = await exchange.replay(hb.platform.ledger, delivery, by="admin", at=datetime.now(UTC))
    return receipt.state


async def there(hb: World, id_: str) -> bool:
    return (await hb.ask("GET", f"Observation/{id_}", "QPZS")).status_code == 200


async def test_a_single_write_that_was_not_granted_stays_out(hb: World) -> None:
    who = await system(hb, "laboratory", "QPZS", [RESTRICTED])
    answer = await hb.ask("PUT", "Observation/v1", who, json=of_category("v1", "vital-signs"))
    assert answer.status_code == 403, answer.text
    delivery = await newest(hb)
    assert await again(hb, delivery) == "refused"
    assert not await there(hb, "v1")
    async with hb.platform.pool.connection() as connection:  # the organisation itself might
        await connection.execute("update delivery set limits = null where id = %s", (delivery,))
    assert await again(hb, delivery) == "accepted"
    patch = [{"op": "replace", "path": "/status", "value": "amended"}]
    headers = {"content-type": "application/json-patch+json"}
    answer = await hb.ask("PATCH", "Observation/o-b-zs", who, content=json.dumps(patch), headers=headers)
    assert answer.status_code == 403
    assert await again(hb, await newest(hb)) == "refused"
    assert (await hb.ask("GET", "Observation/o-b-zs", "QPZS")).json()["status"] == "final"


async def test_of_a_batch_only_what_was_granted_comes_in(hb: World) -> None:
    who = await system(hb, "laboratory batch", "QPZS", [RESTRICTED])
    entries = [put(of_category("b1", "laboratory")), put(of_category("b2", "vital-signs")),
               put({"resourceType": "Condition", "id": "b3", "subject": {"reference": "Patient/b-zs"}})]  # fmt: skip
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert [one["response"]["status"][:3] for one in answer.json()["entry"]] == ["201", "403", "403"]
    assert await again(hb, await newest(hb)) == "partly"
    assert not await there(hb, "b2")
    assert (await hb.ask("GET", "Condition/b3", "QPZS")).status_code == 404


async def test_a_transaction_beyond_the_patient_in_context_stays_out(hb: World) -> None:
    app = await register(hb, owner="QPZS")
    who = await app.bearer("for one", "doctor", "patient/Observation.cruds", patient="a-zs")
    entries = [put(of_category("t1", "laboratory", "a-zs")), put(of_category("t2", "laboratory", "b-zs"))]
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 403, answer.text
    assert await again(hb, await newest(hb)) == "refused"
    assert not await there(hb, "t1")
    assert not await there(hb, "t2")


async def test_what_was_granted_comes_in_when_the_reason_of_its_refusal_is_gone(hb: World) -> None:
    who = await system(hb, "laboratory later", "QPZS", [RESTRICTED])
    sent = {**of_category("l1", "laboratory"), "effectiveDateTime": "2999-01-01"}
    assert (await hb.ask("PUT", "Observation/l1", who, json=sent)).status_code == 422
    delivery = await newest(hb)
    assert await again(hb, delivery) == "refused"
    async with hb.platform.pool.connection() as connection:  # as if the rule had been ours to mend
        raw = exchange.ledger.pack(json.dumps(of_category("l1", "laboratory")).encode())
        await connection.execute("update delivery_raw set raw = %s where delivery = %s", (raw, delivery))
    assert await again(hb, delivery) == "accepted"
    assert await there(hb, "l1")


async def test_lines_of_an_import_that_were_not_granted_stay_out(hb: World) -> None:
    who = await system(hb, "laboratory files", "QPZS", ["system/Observation.cruds", "system/Patient.cruds",
                                                        "system/Organization.cruds"])  # fmt: skip
    body = b"\n".join(json.dumps(one).encode() for one in (
        of_category("i1", "laboratory"), {"resourceType": "Condition", "id": "i2", "subject": {"reference": "Patient/b-zs"}},
    ))  # fmt: skip
    headers = {"content-type": "application/fhir+ndjson", "prefer": "respond-async"}
    answer = await hb.ask("POST", "$import", who, content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    while await bulkdata.work_import(desk(hb.platform), hb.platform.observers):
        pass
    assert await there(hb, "i1")
    assert await again(hb, await newest(hb)) == "partly"
    assert (await hb.ask("GET", "Condition/i2", "QPZS")).status_code == 404


async def test_what_a_system_of_the_organisation_itself_sent_is_replayed_as_before(hb: World) -> None:
    assert (
        await hb.ask("PUT", "Observation/s1", "QPZS", json={**of_category("s1", "x"), "status": "?"})
    ).status_code == 422
    async with hb.platform.pool.connection() as connection:
        row = await (
            await connection.execute("select limits from delivery order by received_at desc limit 1")
        ).fetchone()
    assert row == (None,)


def test_limits_are_read_as_they_were_kept() -> None:
    rules = (Rule("Observation", "cu", (-5, 7), (("category", "a|b"),)), Rule("*", "r"))
    wide, narrow = Scope(None, None, True, rules), Scope((1, 2), (9,), False, ())
    for one in (
        Limits(wide),
        Limits(narrow, {("write", "Patient"): wide, ("read", "*"): None, ("delete", "X"): narrow}),
    ):
        assert read_limits(json.loads(json.dumps(one.as_json()))) == one
    assert read_limits(None) is None
