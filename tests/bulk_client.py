"""A bulk-data client as the specification describes one: kick off, poll, download."""

from __future__ import annotations

import json
from typing import Any

import httpx

from healthbrain.exchange import bulkdata
from healthbrain.runtime.jobs import desk
from tests.api_world import World

ASYNC = {"prefer": "respond-async"}


async def kick_off(hb: World, path: str, who: str = "QP00", method: str = "GET", **more: Any) -> str:
    """Ask for an export; returns the status address."""
    headers = {**ASYNC, **more.pop("headers", {})}
    answer = await hb.ask(method, path, who, headers=headers, **more)
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"]


async def manifest(hb: World, path: str, who: str = "QP00", method: str = "GET", **more: Any) -> dict[str, Any]:
    """The manifest of an export that is worked on at once."""
    place = await kick_off(hb, path, who, method, **more)
    assert (await hb.ask("GET", place, who)).status_code == 202
    while await bulkdata.work_export(desk(hb.platform)):
        pass
    answer = await hb.ask("GET", place, who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def lines(hb: World, url: str, who: str = "QP00") -> list[dict[str, Any]]:
    """The resources of one file."""
    answer: httpx.Response = await hb.ask("GET", url, who, headers={"accept": "application/fhir+ndjson"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def exported(hb: World, path: str, who: str = "QP00", method: str = "GET", **more: Any) -> set[str]:
    """'Type/id' of everything an export gives; counts and types of the manifest are compared on the way."""
    found: list[str] = []
    for file in (await manifest(hb, path, who, method, **more))["output"]:
        content = await lines(hb, file["url"], who)
        assert len(content) == file["count"]
        assert {one["resourceType"] for one in content} == {file["type"]}
        found += [f"{one['resourceType']}/{one['id']}" for one in content]
    assert len(found) == len(set(found))
    return set(found)
