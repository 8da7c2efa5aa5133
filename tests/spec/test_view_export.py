"""$viewdefinition-export as a client sees it: kick-off, status, result, files; cancelled, expired, and nothing for others."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.api_world import World, inhabited, world
from tests.bulk_client import ASYNC

from healthbrain import identity, lake
from healthbrain.exchange import bulkdata
from healthbrain.runtime.jobs import export_views, sweep_files

pytestmark = pytest.mark.anyio

VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition", "name": "observations", "status": "active", "resource": "Observation",
    "select": [{"column": [{"name": "id", "path": "getResourceKey()"}, {"name": "value", "path": "value.ofType(Quantity).value"}]}],
}  # fmt: skip
PERSONS = {**VIEW, "name": "persons", "resource": "Patient", "select": [{"column": [{"name": "id", "path": "id"}]}]}


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    import psycopg
    from psycopg.conninfo import make_conninfo

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute('drop database if exists "hb_view_export" with (force)')
        connection.execute(f'create database "hb_view_export" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname="hb_view_export"), folder) as made:
        await inhabited(made)
        await lake.sync(made.platform.pool, made.platform.settings.lake, made.platform.clock(), persons=identity.links)
        yield made


def asking(*views: dict[str, Any], **more: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [
        {"name": "view", "part": [{"name": "viewResource", "resource": one}]} for one in views
    ]
    return {
        "resourceType": "Parameters",
        "parameter": [*listed, *({"name": k, "valueString": v} for k, v in more.items())],
    }


async def kick_off(hb: World, who: str, body: dict[str, Any]) -> str:
    answer = await hb.ask("POST", "ViewDefinition/$viewdefinition-export", who, json=body, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"]


async def outputs(hb: World, who: str, body: dict[str, Any]) -> dict[str, str]:
    """Name -> address of the files of an export that is worked on at once."""
    place = await kick_off(hb, who, body)
    waiting = await hb.ask("GET", place, who)
    assert waiting.status_code == 202
    assert waiting.headers["x-progress"] == "waiting"
    while await export_views(hb.platform):
        pass
    done = await hb.ask("GET", place, who)
    assert done.status_code == 200, done.text
    assert "expires" in done.headers
    told = {one["name"]: one for one in done.json()["parameter"]}
    assert told["status"]["valueCode"] == "completed"
    found = {}
    for one in done.json()["parameter"]:
        if one["name"] == "output":
            parts = {part["name"]: part for part in one["part"]}
            found[parts["name"]["valueString"]] = parts["location"]["valueUri"]
    return found


async def test_each_view_becomes_a_file_of_what_the_requester_may_see(hb: World) -> None:
    found = await outputs(hb, "QPXY", asking(VIEW, PERSONS, clientTrackingId="mine"))
    assert set(found) == {"observations", "persons"}
    answer = await hb.ask("GET", found["observations"], "QPXY")
    assert answer.headers["content-type"] == "application/ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == [{"id": "o-a-xy", "value": 6.1}]
    persons = await hb.ask("GET", found["persons"], "QPXY")
    assert [json.loads(line) for line in persons.text.splitlines()] == [{"id": "a-xy"}]


@pytest.mark.parametrize("format_", ["csv", "parquet"])
async def test_files_have_the_format_that_was_asked_for(hb: World, format_: str, tmp_path: Path) -> None:
    found = await outputs(hb, "QP00", asking(VIEW, _format=format_))
    file = tmp_path / f"rows.{format_}"
    file.write_bytes((await hb.ask("GET", found["observations"], "QP00")).content)
    assert duckdb.sql(f"select count(*), sum(value) from '{file}'").fetchone() == (3, pytest.approx(18.3))


async def test_a_view_of_the_libraries_is_exported_at_its_address(hb: World) -> None:
    answer = await hb.ask(
        "GET", "ViewDefinition/major-disease.glucose/$viewdefinition-export?_format=csv", headers=ASYNC
    )
    assert answer.status_code == 202, answer.text
    told = {one["name"]: one for one in answer.json()["parameter"]}
    assert told["status"]["valueCode"] == "accepted"
    assert told["location"]["valueUri"] == answer.headers["content-location"]
    await hb.ask("DELETE", answer.headers["content-location"])


@pytest.mark.parametrize("who", ["leader", "administrator"])
async def test_who_sees_figures_only_exports_no_residents(hb: World, who: str) -> None:
    answer = await hb.ask("POST", "$viewdefinition-export", who, json=asking(VIEW), headers=ASYNC)
    assert answer.status_code == 403


async def test_nobody_else_sees_the_job_or_its_files(hb: World) -> None:
    found = await outputs(hb, "QPZS", asking(VIEW))
    for who in ("QP00", "XH00", "manager"):
        assert (await hb.ask("GET", found["observations"], who)).status_code == 404
        assert (await hb.ask("GET", found["observations"].rpartition("/")[0], who)).status_code == 404
    assert (await hb.ask("GET", found["observations"], None)).status_code == 401


async def test_a_cancelled_export_leaves_nothing(hb: World) -> None:
    place = await kick_off(hb, "QP00", asking(VIEW))
    assert (await hb.ask("DELETE", place)).status_code == 202
    assert (await hb.ask("GET", place)).status_code == 404
    assert await export_views(hb.platform) is False


async def test_files_are_deleted_when_somebody_is_erased(hb: World) -> None:
    found = await outputs(hb, "QP00", asking(VIEW))
    async with hb.platform.pool.connection() as connection:
        await bulkdata.expire(connection, hb.platform.clock())
    await sweep_files(hb.platform)
    assert (await hb.ask("GET", found["observations"])).status_code == 404
    folder = hb.platform.settings.data / "export" / found["observations"].split("/")[-2]
    assert not folder.exists()


async def test_who_may_no_longer_see_gets_no_file(hb: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await kick_off(hb, "QP00", asking(VIEW))
    from healthbrain.errors import Forbidden

    async def refuse(*_: object) -> None:
        raise Forbidden("not any more")

    monkeypatch.setattr(hb.platform, "decide", refuse)
    await export_views(hb.platform)
    monkeypatch.undo()
    answer = await hb.ask("GET", place)
    assert answer.status_code == 500
    assert answer.json()["issue"][0]["code"] == "forbidden"


async def test_the_audit_log_says_whose_rows_are_in_a_file(hb: World) -> None:
    await outputs(hb, "QPXY", asking(VIEW))
    event = [one for one in await hb.events() if "rows of observations" in one.detail][-1]
    assert (event.type, len(event.patients), event.account) == ("Observation", 1, "system-QPXY")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (asking(VIEW), {}), (asking(), ASYNC), (asking(VIEW, _format="json"), ASYNC), (asking(VIEW, _limit="5"), ASYNC),
        (asking({**VIEW, "select": []}), ASYNC),
    ],
    ids=["not asynchronous", "no view", "format", "limit", "broken view"],
)  # fmt: skip
async def test_a_kick_off_that_is_not_right_is_refused_at_once(
    hb: World, body: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = await hb.ask("POST", "ViewDefinition/$viewdefinition-export", json=body, headers=headers)
    assert answer.status_code == 400, answer.text


async def test_files_lie_packed(hb: World) -> None:
    found = await outputs(hb, "QP00", asking(VIEW))
    id_, name = found["observations"].split("/")[-2:]
    packed = hb.platform.settings.data / "export" / id_ / f"{name}.gz"
    assert len(gzip.decompress(packed.read_bytes()).splitlines()) == 3
