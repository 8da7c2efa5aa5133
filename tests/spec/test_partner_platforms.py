"""Platforms that ask under an agreement, over HTTP: what is answered, what is refused, and what is measured."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from tests.api_world import PASSWORD, World, inhabited, observation, own_world

from healthbrain import access
from healthbrain.api import create_api
from healthbrain.runtime.partners import CLASSES, Passed
from healthbrain.web import create_web

pytestmark = pytest.mark.anyio
AGREED = {
    "code": "SHPT", "name": "市健康信息平台", "level": "upper", "organisation": "SH", "account": "system-SH", "client": "",
    "document": "沪卫数〔2026〕1号", "contact": "信息中心 值班", "from": "2026-01-01", "until": "2099-12-31", "rate": "50",
    "types": "Observation", "views": "emr-vital-sign",
}  # fmt: skip


@pytest.fixture
async def hb(postgres: str, template: str, tmp_path: Path) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path) as made:
        await inhabited(made)
        async with made.platform.pool.connection() as connection:
            await access.create_account(
                connection, name="wang", password=PASSWORD, role="administrator", organisation=made.keys["SH"], display="wang"
            )  # fmt: skip
        async with made.platform.pool.connection() as connection:
            made.cookies["wang"] = (await access.sign_in(connection, "wang", PASSWORD, made.platform.clock())).cookie
        app = Starlette(routes=[*create_api(made.platform), *create_web(made.platform)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver") as client:
            made.client = client
            yield made


async def agree(hb: World, interfaces: tuple[str, ...] = ("read", "search"), who: str = "wang", **change: str) -> int:
    cookie = hb.cookies[who]
    data = {"csrf": access.csrf_token(cookie), **AGREED, **change, "interface": list(interfaces)}
    answer = await hb.client.post("/partners", data=data, headers={"cookie": f"hb_session={cookie}"})
    hb.platform.partners._read_at = -10.0  # do not wait until what is remembered is too old
    return answer.status_code


async def table(hb: World) -> list[dict[str, str]]:
    await hb.platform.partners.flush()
    answer = await hb.client.get(
        "/partners?format=csv", headers={"cookie": f"hb_session={hb.cookies['wang']}", "accept-language": "en"}
    )
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_what_is_agreed_is_answered_the_rest_refused_and_both_are_measured(hb: World) -> None:
    assert await agree(hb) == 303
    got = await hb.ask("GET", "Observation/o-a-zs", "SH")
    assert got.status_code == 200
    assert (await hb.ask("GET", "Observation?_count=2", "SH")).status_code == 200
    assert (await hb.ask("GET", "Observation/nothing", "SH")).status_code == 404
    for method, path in (
        ("GET", "Patient/a-zs"),
        ("GET", "Patient?name=x"),
        ("PUT", "Observation/o-a-zs"),
        ("POST", "$viewdefinition-run"),
    ):
        refused = await hb.ask(method, path, "SH", json=observation("o-a-zs", "a-zs") if method != "GET" else None)
        assert refused.status_code == 403, path
        assert "沪卫数〔2026〕1号" in refused.text
    found = {row["Interface"]: row for row in await table(hb)}
    assert found["read Observation"]["Requests"] == "2"
    assert found["read Observation"]["Refused"] == "1"
    assert int(found["read Observation"]["Bytes"]) > len(got.content)
    assert (
        0 < float(found["read Observation"]["Median delay (ms)"]) <= float(found["read Observation"]["P95 delay (ms)"])
    )
    assert (found["write Observation"]["Requests"], found["write Observation"]["Refused"]) == ("1", "1")
    page = (await hb.client.get("/partners", headers={"cookie": f"hb_session={hb.cookies['wang']}"})).text
    assert "平台对接" in page
    assert "市健康信息平台" in page


async def test_no_way_of_asking_leads_around_the_agreement(hb: World) -> None:
    await agree(hb, ("read", "search", "write", "operation"))
    bundle = {
        "resourceType": "Bundle", "type": "batch",
        "entry": [{"request": {"method": "GET", "url": url}} for url in ("Observation/o-a-zs", "Patient/a-zs")],
    }  # fmt: skip
    answer = (await hb.ask("POST", "", "SH", json=bundle)).json()
    assert [one["response"]["status"][:3] for one in answer["entry"]] == ["200", "403"]
    included = (await hb.ask("GET", "Observation?_include=Observation:subject", "SH")).json()
    assert {one["resource"]["resourceType"] for one in included["entry"]} == {"Observation"}
    everything = await hb.ask("GET", "Patient/a-zs/$everything", "SH")
    assert everything.status_code == 403


async def test_others_are_not_touched_and_not_measured(hb: World) -> None:
    await agree(hb)
    assert (await hb.ask("GET", "Patient/a-zs", "QPZS")).status_code == 200
    assert (await hb.ask("GET", "Patient/a-zs", "cdc")).status_code == 200
    assert await table(hb) == []


async def test_an_agreement_ends_on_its_day_at_once_when_ended_and_has_a_rate(hb: World) -> None:
    await agree(hb, until="2026-01-02")
    over = await hb.ask("GET", "Observation/o-a-zs", "SH")
    assert over.status_code == 403
    assert "not in force" in over.text
    await agree(hb, rate="2")
    states = [(await hb.ask("GET", "Observation/o-a-zs", "SH")).status_code for _ in range(3)]
    assert states == [200, 200, 429]
    assert await agree(hb, wish="end") == 303
    assert (await hb.ask("GET", "Observation/o-a-zs", "SH")).status_code == 403


async def test_only_who_looks_after_the_organisation_agrees_and_what_is_missing_is_told(hb: World) -> None:
    assert await agree(hb, who="leader") == 403
    assert await agree(hb, who="administrator") == 400  # the municipality is not below the district
    assert await agree(hb, ()) == 400
    for change in (
        {"document": ""},
        {"level": "x"},
        {"until": "soon"},
        {"until": "2020-01-01"},
        {"rate": "0"},
        {"rate": "x"},
    ):
        assert await agree(hb, **change) == 400, change
    assert await agree(hb, wish="end") == 404


def test_percentiles_are_told_from_classes_of_delay() -> None:
    passed = Passed()
    assert passed.percentile(0.5) is None
    for milliseconds in (*[4.0] * 90, *[400.0] * 10):
        passed.add(200, 10, milliseconds / 1000)
    assert 3 < (passed.percentile(0.5) or 0) <= 5
    assert 300 < (passed.percentile(0.95) or 0) <= 500
    passed.add(500, 0, 99)
    assert passed.errors == 1
    assert passed.percentile(1) == CLASSES[-1]
