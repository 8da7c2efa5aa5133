"""Whatever breaks an invariant of R4 is refused by every door, with the rule and its place; a source can be let off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.api_world import World, own_world

from healthbrain import exchange
from healthbrain.fhir import dump

pytestmark = pytest.mark.anyio
WRONG = {"resourceType": "Patient", "id": "p", "telecom": [{"value": "1"}]}
RIGHT = {"resourceType": "Patient", "id": "p", "telecom": [{"system": "phone", "value": "1"}]}


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        yield made


def told(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    return [(i["expression"][0], i["diagnostics"].partition(":")[0]) for i in outcome["issue"]]


def bundle(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    entry = {"request": {"method": "PUT", "url": "Patient/p"}, "resource": resource}
    return {"resourceType": "Bundle", "type": kind, "entry": [entry]}


async def test_a_single_write_a_patch_and_a_transaction_are_refused(hb: World) -> None:
    for method, path in (("POST", "Patient"), ("PUT", "Patient/p")):
        answer = await hb.ask(method, path, "QPZS", json=WRONG)
        assert (answer.status_code, told(answer.json())) == (422, [("Patient.telecom[0]", "cpt-2")])
    answer = await hb.ask("POST", "", "QPZS", json=bundle("transaction", WRONG))
    assert (answer.status_code, told(answer.json())) == (422, [("Bundle.entry[0].resource.telecom[0]", "cpt-2")])
    answer = await hb.ask("POST", "", "QPZS", json=bundle("batch", WRONG))
    assert answer.json()["entry"][0]["response"]["status"].startswith("422")
    assert (await hb.ask("PUT", "Patient/p", "QPZS", json=RIGHT)).status_code == 201
    patch = [{"op": "remove", "path": "/telecom/0/system"}]
    answer = await hb.ask(
        "PATCH", "Patient/p", "QPZS", json=patch, headers={"content-type": "application/json-patch+json"}
    )
    assert answer.status_code == 422
    assert [rule for _, rule in told(answer.json())] == ["cpt-2"]


async def test_a_source_that_is_let_off_needs_only_the_structure(hb: World) -> None:
    at = datetime.now(UTC)
    async with hb.platform.pool.connection() as connection:
        made = await exchange.put_source(
            connection, code="loose", name="loose", organisation=hb.keys["QPZS"], door="ndjson", at=at
        )
        assert made.invariants
        loose = await exchange.ask_invariants(connection, made.key, False)
        kept = await exchange.put_source(
            connection, code="loose", name="changed", organisation=hb.keys["QPZS"], door="ndjson", at=at
        )
    assert not loose.invariants
    assert not kept.invariants
    line = [dump({**WRONG, "id": "n"})]
    strict = await exchange.receive_ndjson(hb.platform.ledger, line, made, name="a", key="a", at=at)
    assert (strict.written, strict.refused) == (0, 1)
    taken = await exchange.receive_ndjson(hb.platform.ledger, line, loose, name="b", key="b", at=at)
    assert (taken.written, taken.refused) == (1, 0)
    broken = [dump({**WRONG, "id": "n", "unknown": 1})]
    refused = await exchange.receive_ndjson(hb.platform.ledger, broken, loose, name="c", key="c", at=at)
    assert refused.refused == 1
    (reason,) = await _reasons(hb, strict.delivery)
    assert "cpt-2" in reason


async def _reasons(hb: World, delivery: int) -> list[str]:
    async with hb.platform.pool.connection() as connection:
        rows = await (await connection.execute("select reason from delivery where id = %s", (delivery,))).fetchall()
    return [row[0] for row in rows]
