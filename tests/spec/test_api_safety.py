"""What keeps one client from taking the whole server: rates and sizes. Crowds and time limits: test_api_bad_input."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.api_world import World, own_world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb"), rate_limit=40) as made:
        yield made


async def test_each_client_has_its_own_rate_and_is_told_when_to_come_back(hb: World) -> None:
    answers = [await hb.ask("GET", "Patient/none", "QPXY") for _ in range(45)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 4 <= len(refused) <= 5
    assert int(refused[-1].headers["retry-after"]) >= 1
    assert refused[-1].json()["issue"][0]["code"] == "throttled"
    assert (await hb.ask("GET", "Patient/none", "XHZX")).status_code == 404
    for _ in range(45):
        wrong = await hb.client.get("/fhir/Patient", headers={"authorization": "Bearer guessed"})
    assert wrong.status_code == 429
    assert (await hb.ask("GET", "Patient/none", "XHZX")).status_code == 404


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"resourceType":"Patient","extension":' + b'[{"extension":' * 200 + b"[]" + b"}]" * 200 + b"}", "json", 400),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "json", 400),
        (b"<Patient xmlns='http://hl7.org/fhir'>" + b"<extension>" * 5000 + b"</extension>" * 5000 + b"</Patient>", "xml", 400),
    ],
)  # fmt: skip
async def test_what_is_nested_too_deep_is_refused(hb: World, body: bytes, kind: str, status: int) -> None:
    answer = await hb.ask("POST", "Patient", "QPZS", content=body, headers={"content-type": f"application/fhir+{kind}"})
    assert answer.status_code == status, answer.text


async def test_a_bundle_of_too_many_entries_is_refused(hb: World) -> None:
    entries = [{"request": {"method": "GET", "url": "Patient/x"}}] * 10_001
    answer = await hb.ask("POST", "", "QPZS", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert answer.status_code == 413
