"""A data set from collection to its withdrawal, over HTTP: every step kept with its evidence, and what subscribers may read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from starlette.applications import Starlette
from tests.api_world import PASSWORD, World, inhabited, observation, own_world

from healthbrain import access, identity, lake
from healthbrain.api import create_api
from healthbrain.lake.library import find
from healthbrain.lake.stored import library_id
from healthbrain.runtime import catalogue, jobs
from healthbrain.runtime.views import export_views
from healthbrain.web import create_web

pytestmark = pytest.mark.anyio
VIEW = find("emr", "laboratory_result")
ID, PAGE = library_id(VIEW), f"/catalogue/{VIEW.library}/{VIEW.name}"


@pytest.fixture
async def hb(postgres: str, template: str, tmp_path: Path) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path) as made:
        await inhabited(made)
        async with made.platform.pool.connection() as connection:
            for name in ("wang", "li"):
                await access.create_account(
                    connection, name=name, password=PASSWORD, role="administrator", organisation=made.keys["SH"], display=name
                )  # fmt: skip
        async with made.platform.pool.connection() as connection:
            for name in ("wang", "li"):
                made.cookies[name] = (await access.sign_in(connection, name, PASSWORD, made.platform.clock())).cookie
        for owner, id_ in (("QPZS", "a-zs"), ("QPXY", "a-xy"), ("QPZS", "b-zs"), ("XHZX", "c-zx")):
            result = {**observation(f"o-{id_}", id_), "category": [{"coding": [{"code": "laboratory"}]}]}
            assert (await made.ask("PUT", f"Observation/o-{id_}", owner, json=result)).status_code == 200
        await lake.sync(made.platform.pool, made.platform.settings.lake, made.platform.clock(), persons=identity.links)
        await catalogue.count_views(made.platform)
        app = Starlette(routes=[*create_api(made.platform), *create_web(made.platform)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver") as client:
            made.client = client
            yield made


async def step(hb: World, who: str, act: str, **form: str) -> httpx.Response:
    cookie = hb.cookies[who]
    data = {"csrf": access.csrf_token(cookie), "act": act, "reason": "区数据局第3号", **form}
    return await hb.client.post(f"{PAGE}/life", data=data, headers={"cookie": f"hb_session={cookie}"})


async def told(hb: World, who: str = "leader") -> dict[str, Any]:
    answer = await hb.client.get(f"{PAGE}?format=life", headers={"cookie": f"hb_session={hb.cookies[who]}"})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def run(hb: World, who: str) -> httpx.Response:
    return await hb.ask("GET", f"ViewDefinition/{ID}/$viewdefinition-run?_format=ndjson", who)


async def published(hb: World, *, mode: str = "subscription") -> None:
    for who, act, more in (
        ("wang", "collect", {}), ("wang", "clean", {}),
        ("wang", "propose", {"version": "2026.1", "conditions": "仅用于区域统计，不得转发", "mode": mode}), ("li", "publish", {}),
    ):  # fmt: skip
        answer = await step(hb, who, act, **more)
        assert answer.status_code == 303, answer.text


def until(hb: World, days: int = 30) -> str:
    return (hb.platform.clock() + timedelta(days=days)).date().isoformat()


async def test_a_data_set_goes_from_collection_to_subscribers_and_every_step_keeps_its_evidence(hb: World) -> None:
    assert len((await run(hb, "QPZS")).text.splitlines()) == 2  # not managed yet: as far as the scope goes
    await published(hb)
    for who in ("QPZS", "QPXY", "cdc"):
        refused = await run(hb, who)
        assert refused.status_code == 403
        assert "by subscription" in refused.text
    answer = await step(hb, "wang", "subscribe", kind="token", subscriber="QPZS/system-QPZS", until=until(hb))
    assert answer.status_code == 303
    assert len((await run(hb, "QPZS")).text.splitlines()) == 2  # what its scope shows, no more
    assert (await run(hb, "QPXY")).status_code == 403
    life = await told(hb)
    assert life["state"] == "opened"
    steps = {one["act"]: one for one in life["steps"]}
    assert [one["act"] for one in reversed(life["steps"])] == ["collect", "clean", "propose", "publish", "subscribe"]
    assert {one["by"] for one in life["steps"]} == {"wang", "li"}
    collected = steps["collect"]["evidence"]
    assert collected["rows"] == 4
    assert {(one["organisation"], one["rows"]) for one in collected["sources"]} >= {("夏阳街道社区卫生服务中心", 1)}
    assert sum(one["deliveries"] for one in collected["sources"]) > 0
    cleaned = steps["clean"]["evidence"]
    assert len(cleaned["rules"]) == len(VIEW.rules)
    assert len(cleaned["rules_version"]) == 64
    issued = steps["publish"]["evidence"]
    assert (issued["version"], issued["proposed_by"], issued["columns"]) == (
        "2026.1",
        "wang",
        [c.name for c in VIEW.columns],
    )
    events = [one for one in await hb.events() if one.detail.startswith("life cycle")]
    assert [one.detail for one in events] == [f"life cycle: {one['act']}" for one in reversed(life["steps"])]
    page = (await hb.client.get(PAGE, headers={"cookie": f"hb_session={hb.cookies['wang']}"})).text
    for text in ("全生命周期", "已开放", "仅用于区域统计", "system-QPZS"):
        assert text in page, text


async def test_an_end_a_withdrawal_and_the_last_day_each_stop_the_reading(hb: World) -> None:
    await published(hb)
    await step(hb, "wang", "subscribe", kind="organisation", subscriber="QPZS", until=until(hb))
    assert (await run(hb, "QPZS")).status_code == 200
    number = (await told(hb))["subscriptions"][0]["id"]
    assert (await step(hb, "wang", "end", subscription=str(number))).status_code == 303
    assert (await run(hb, "QPZS")).status_code == 403
    assert (await told(hb))["state"] == "published"
    await step(hb, "wang", "subscribe", kind="organisation", subscriber="QPZS", until=until(hb))
    async with hb.platform.pool.connection() as connection:
        await connection.execute("update dataset_subscription set until_at = now() where ended_at is null")
    assert (await run(hb, "QPZS")).status_code == 403
    await step(hb, "wang", "subscribe", kind="organisation", subscriber="QPZS", until=until(hb))
    kick = {"prefer": "respond-async"}
    path = f"ViewDefinition/{ID}/$viewdefinition-export?_format=csv"
    assert (await hb.ask("GET", path, "QPXY", headers=kick)).status_code == 403
    first = await hb.ask("GET", path, "QPZS", headers=kick)
    assert first.status_code == 202, first.text
    assert await export_views(hb.platform, jobs.desk(hb.platform))
    assert (await hb.client.get(first.headers["content-location"], headers=hb.headers("QPZS"))).status_code == 200
    late = await hb.ask("GET", path, "QPZS", headers=kick)
    assert (await step(hb, "wang", "withdraw")).status_code == 303
    withdrawn = await run(hb, "QPZS")
    assert withdrawn.status_code == 403
    assert "withdrawn" in withdrawn.text
    await export_views(hb.platform, jobs.desk(hb.platform))  # the job that waited is given up
    given_up = await hb.client.get(late.headers["content-location"], headers=hb.headers("QPZS"))
    assert given_up.status_code >= 400
    assert "withdrawn" in given_up.text
    assert (await step(hb, "wang", "archive")).status_code == 303
    assert (await step(hb, "wang", "destroy")).status_code == 403
    assert (await step(hb, "li", "destroy")).status_code == 303
    assert (await told(hb))["state"] == "destroyed"
    assert (await step(hb, "li", "collect")).status_code == 409


async def test_an_open_data_set_is_read_by_whoever_may_see_the_records(hb: World) -> None:
    await published(hb, mode="open")
    assert len((await run(hb, "QPXY")).text.splitlines()) == 1


async def test_steps_out_of_order_by_one_person_or_by_others_are_refused(hb: World) -> None:
    assert (await step(hb, "wang", "publish")).status_code == 409
    assert (await step(hb, "wang", "collect", reason=" ")).status_code == 400
    assert (await step(hb, "leader", "collect")).status_code == 403
    assert (await step(hb, "administrator", "collect")).status_code == 403  # of one district only
    assert (await told(hb))["state"] is None
    await step(hb, "wang", "collect")
    await step(hb, "wang", "clean")
    assert (await step(hb, "wang", "propose", version="", conditions="x")).status_code == 400
    await step(hb, "wang", "propose", version="1", conditions="x")
    assert (await step(hb, "wang", "publish")).status_code == 403
    assert (await step(hb, "li", "return")).status_code == 303
    assert (await told(hb))["state"] == "cleaned"
    for form in (
        {"kind": "token", "subscriber": "QPZS"},
        {"kind": "organisation", "subscriber": "NONE"},
        {"kind": "x", "subscriber": "a"},
    ):
        assert (await step(hb, "li", "subscribe", until=until(hb), **form)).status_code == 409
    await step(hb, "wang", "propose", version="1", conditions="x")
    await step(hb, "li", "publish")
    for form in (
        {"kind": "token", "subscriber": "QPZS"},
        {"kind": "organisation", "subscriber": "NONE"},
        {"kind": "x", "subscriber": "a"},
    ):
        assert (await step(hb, "li", "subscribe", until=until(hb), **form)).status_code == 400
    assert (
        await step(hb, "li", "subscribe", kind="organisation", subscriber="QPZS", until=until(hb, -2))
    ).status_code == 400


async def test_the_steps_cannot_be_changed(hb: World) -> None:
    await step(hb, "wang", "collect")
    for statement in ("update dataset_step set by = 'x'", "delete from dataset_step"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with hb.platform.pool.connection() as connection:
                await connection.execute(statement)
