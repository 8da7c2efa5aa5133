"""`hb serve` as it runs: an import, an export of it, a rest-hook and a websocket told of it, through real processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.api_world import observation
from tests.running import Running
from tests.subscriber import events_of, kind_of, receiver, subscription, values_of

LINES = [observation(f"o{n}", "p") for n in range(50)]


@pytest.mark.fault
def test_a_running_platform_imports_notifies_and_exports(tmp_path: Path) -> None:
    running = Running(tmp_path / "data", HB_MLLP_PORT="0").start()
    try:
        asyncio.run(story(running, running.token()))
        assert running.stop() == 0
    finally:
        if running.process:
            running.kill_everything()


async def story(running: Running, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    async with receiver() as hook, aiohttp.ClientSession(f"{running.url}/", headers=headers) as client:
        await put(client, subscription(hook.url, "Observation?status=final"))
        wanted = subscription("", "Observation?status=final", channel={"type": "websocket"})
        del wanted["channel"]["endpoint"]
        await put(client, {**wanted, "id": "w"})
        await until(lambda: hook.of_kind("handshake"))
        async with client.get("fhir/Subscription/w/$get-ws-binding-token") as answer:
            values = values_of(await answer.json())
        body = b"".join(json.dumps(one).encode() + b"\n" for one in LINES)
        async with client.ws_connect(values["websocket-url"]) as socket:
            await socket.send_str(f"bind-with-token {values['token']}")
            assert kind_of(await socket.receive_json(timeout=20)) == "handshake"
            ndjson = {"content-type": "application/fhir+ndjson"}
            done = await finished(client, await kicked(client, "POST", "fhir/$import", data=body, headers=ndjson))
            assert done["extension"]["written"] == len(LINES)
            seen: list[Any] = []
            while len(seen) < len(LINES):
                seen += events_of(await socket.receive_json(timeout=20))
        await until(lambda: len(hook.events()) == len(LINES))
        place = await kicked(client, "GET", "fhir/$export?_type=Observation", headers={"prefer": "respond-async"})
        (file,) = (await finished(client, place))["output"]
        async with client.get(file["url"]) as answer:
            assert len((await answer.text()).splitlines()) == len(LINES)


async def put(client: aiohttp.ClientSession, resource: dict[str, Any]) -> None:
    async with client.put(f"fhir/Subscription/{resource['id']}", json=resource) as answer:
        assert answer.status == 201, await answer.text()


async def kicked(client: aiohttp.ClientSession, method: str, path: str, **more: Any) -> str:
    async with client.request(method, path, **more) as answer:
        assert answer.status == 202, await answer.text()
        return answer.headers["content-location"]


async def finished(client: aiohttp.ClientSession, place: str) -> dict[str, Any]:
    for _ in range(300):
        async with client.get(place) as answer:
            if answer.status != 202:
                assert answer.status == 200, await answer.text()
                return dict(await answer.json())
        await asyncio.sleep(0.1)
    raise AssertionError("the job did not end")


async def until(holds: Any) -> None:
    for _ in range(300):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come")
