"""HUB-00: one deployment lists the six hubs with state and inventory, and an application can call each through an API."""

from __future__ import annotations

import httpx
import pytest

from tests.mllp_client import Sender, admission
from tests.running import Running


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Running:
    running = Running(tmp_path_factory.mktemp("hubs") / "data").start()
    yield running
    running.stop()


def test_six_hubs_are_listed_with_state_inventory_and_interfaces(platform: Running) -> None:
    with Sender(platform.mllp_port) as sender:
        sender.send(admission("HUB-1", 1))
    headers = {"Authorization": f"Bearer {platform.token()}"}
    answer = httpx.get(f"{platform.url}/api/hubs", headers=headers, timeout=20)
    found = {hub["id"]: hub for hub in answer.json()["hubs"]}
    assert list(found) == [
        "cloud-network", "data-exchange", "medical-knowledge", "smart-components", "decision-support", "standards",
    ]  # fmt: skip
    arrived = {h["en"]: h["value"] for h in found["data-exchange"]["holdings"]}
    assert arrived["deliveries in 7 days"] == 1
    assert all(hub["holdings"] and hub["interfaces"] for hub in found.values())
    for hub in found.values():
        for interface in hub["interfaces"]:
            method, _, path = interface["call"].partition(" ")
            if method == "GET" and "{" not in path:
                called = httpx.get(f"{platform.url}{path}", headers=headers, timeout=20)
                assert called.status_code in {200, 303}, interface


def test_a_stranger_gets_nothing(platform: Running) -> None:
    assert httpx.get(f"{platform.url}/api/hubs", timeout=20).status_code == 401
    wrong = httpx.get(f"{platform.url}/api/hubs", headers={"Authorization": "Bearer hb_wrong"}, timeout=20)
    assert (wrong.status_code, wrong.json()["resourceType"]) == (401, "OperationOutcome")
