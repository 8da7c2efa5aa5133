"""A subscriber on loopback: takes notifications in, or refuses them, as a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web

from healthbrain.exchange import notify
from healthbrain.runtime.jobs import post
from tests.api_world import World

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"


@dataclass
class Receiver:
    """Where notifications arrive. `status` is what it answers."""

    url: str = ""
    status: int = 200
    taken: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [bundle for bundle in self.taken if kind_of(bundle) == kind]

    def events(self) -> list[tuple[int, str]]:
        """(number, focus) of every event that arrived, in order of arrival."""
        found = []
        for bundle in self.of_kind("event-notification"):
            found += events_of(bundle)
        return found


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        if made.status == 200:
            made.taken.append(body)
            made.headers.append(dict(request.headers))
        return web.Response(status=made.status)

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield made
    finally:
        await runner.cleanup()


def values_of(status: dict[str, Any]) -> dict[str, Any]:
    return {
        one["name"]: next((value for key, value in one.items() if key.startswith("value")), None)
        for one in status["parameter"]
    }


def kind_of(bundle: dict[str, Any]) -> str:
    return str(values_of(bundle["entry"][0]["resource"])["type"])


def events_of(bundle: dict[str, Any]) -> list[tuple[int, str]]:
    found = []
    for parameter in bundle["entry"][0]["resource"]["parameter"]:
        if parameter["name"] == "notification-event":
            part = {one["name"]: one for one in parameter["part"]}
            focus = part.get("focus", {}).get("valueReference", {}).get("reference", "")
            found.append((int(part["event-number"]["valueString"]), focus))
    return found


def subscription(url: str, criteria: str, **more: Any) -> dict[str, Any]:
    channel = {"type": "rest-hook", "endpoint": url, "payload": "application/fhir+json", **more.pop("channel", {})}
    made = {"resourceType": "Subscription", "id": "s", "status": "requested", "reason": "test", "criteria": criteria}
    return {**made, "channel": channel, **more}


def content(code: str) -> dict[str, Any]:
    """Channel part that says what is sent."""
    return {"_payload": {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": code}]}}


async def work(hb: World, *, later: int = 0) -> None:
    """What the background worker does, until there is nothing more, `later` seconds from now."""
    clock = hb.platform.clock
    hb.platform.clock = lambda: clock() + timedelta(seconds=later)  # type: ignore[method-assign]
    try:
        for _ in range(20):
            found = await notify.evaluate(hb.platform.pool, hb.platform.decide)
            if not (await notify.deliver(post(hb.platform)) or found):
                break
    finally:
        hb.platform.clock = clock  # type: ignore[method-assign]
