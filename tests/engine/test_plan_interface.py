"""Other systems read plans and supervision tasks with a bearer token and the permissions of its organisation."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.running import Running


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("plans") / "data").start()
    yield running
    running.stop()


def test_every_indicator_of_every_plan_is_listed_with_target_light_and_reason(platform: Running) -> None:
    headers = {"Authorization": f"Bearer {platform.token()}"}
    listed = httpx.get(f"{platform.url}/api/plans", headers=headers, timeout=20)
    assert listed.status_code == 200, listed.text
    assert {one["id"] for one in listed.json()["plans"]} == {"qingpu", "chongqing", "yangpu", "jinan", "changning"}
    for one in listed.json()["plans"]:
        whole = httpx.get(f"{platform.url}/api/plans/{one['id']}", headers=headers, timeout=20).json()
        assert whole["indicators"]
        assert sum(one["lights"].values()) == len(whole["indicators"])
        for indicator in whole["indicators"]:
            assert indicator["target"]["printed"]["zh"], indicator["id"]
            assert indicator["light"] in one["lights"]
            assert indicator["why"]
    tasks = httpx.get(f"{platform.url}/api/supervision", headers=headers, timeout=20)
    assert (tasks.status_code, tasks.json()) == (200, {"tasks": []})
    assert httpx.get(f"{platform.url}/api/plans/nowhere", headers=headers, timeout=20).status_code == 404


def test_a_stranger_gets_nothing(platform: Running) -> None:
    for path in ("/api/plans", "/api/plans/qingpu", "/api/supervision"):
        assert httpx.get(f"{platform.url}{path}", timeout=20).status_code == 401, path
