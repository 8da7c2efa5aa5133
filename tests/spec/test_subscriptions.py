"""Subscriptions of R4 and of the R5 backport, with a real receiver on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.api_world import World, observation, world
from tests.subscriber import (
    BACKPORT,
    Receiver,
    content,
    events_of,
    kind_of,
    receiver,
    subscription,
    values_of,
    work,
)

from healthbrain.exchange.notify.send import ATTEMPTS
from healthbrain.runtime.jobs import follow_feed, prune_feed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hb(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(dsn, tmp_path) as made:
        await work(made)  # the feed is followed from here
        yield made


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


async def put(hb: World, resource: dict[str, Any], who: str = "QPZS") -> None:
    answer = await hb.ask("PUT", f"{resource['resourceType']}/{resource['id']}", who, json=resource)
    assert answer.status_code in (200, 201), answer.text


async def status(hb: World, id_: str = "s", who: str = "QPZS") -> str:
    return str((await hb.ask("GET", f"Subscription/{id_}", who)).json()["status"])


async def test_a_subscription_shakes_hands_becomes_active_and_is_told_of_what_it_asks_for(
    hb: World, hook: Receiver
) -> None:
    await put(hb, subscription(hook.url, "Observation?value-quantity=gt10", channel={"header": ["X-Key: abc"]}))
    assert await status(hb) == "requested"
    await work(hb)
    assert [kind_of(one) for one in hook.taken] == ["handshake"]
    assert await status(hb) == "active"
    await put(hb, observation("low", "p", 6.0))
    await put(hb, observation("high", "p", 11.0))
    await work(hb)
    (bundle,) = hook.of_kind("event-notification")
    assert hook.headers[-1]["X-Key"] == "abc"
    assert hook.headers[-1]["Content-Type"] == "application/fhir+json"
    assert bundle["type"] == "history"
    assert events_of(bundle) == [(1, "Observation/high")]
    values = values_of(bundle["entry"][0]["resource"])
    assert (values["status"], values["events-since-subscription-start"]) == ("active", "1")
    assert bundle["entry"][1]["resource"] == (await hb.ask("GET", "Observation/high", "QPZS")).json()


@pytest.mark.parametrize(("code", "focus", "resource"), [("empty", "", False), ("id-only", "Observation/o", False), ("full-resource", "Observation/o", True)])  # fmt: skip
async def test_the_payload_is_what_was_asked_for(
    hb: World, hook: Receiver, code: str, focus: str, resource: bool
) -> None:
    await put(hb, subscription(hook.url, "Observation?status=final", channel=content(code)))
    await put(hb, observation("o", "p"))
    await work(hb)
    (bundle,) = hook.of_kind("event-notification")
    assert events_of(bundle) == [(1, focus)]
    assert any("resource" in entry for entry in bundle["entry"][1:]) is resource


async def test_a_tenant_is_told_of_its_own_resources_only(hb: World, hook: Receiver) -> None:
    await put(hb, subscription(hook.url, "Observation?status=final"))
    await put(hb, {**subscription(hook.url, "Observation?status=final"), "id": "district"}, "QP00")
    for owner in ("QPZS", "QPXY", "XHZX"):
        await put(hb, observation(f"o-{owner}", "p"), owner)
    await work(hb)
    by_subscription: dict[str, set[str]] = {}
    for bundle in hook.of_kind("event-notification"):
        name = values_of(bundle["entry"][0]["resource"])["subscription"]["reference"]
        by_subscription.setdefault(name, set()).update(focus for _, focus in events_of(bundle))
    assert by_subscription == {
        "Subscription/s": {"Observation/o-QPZS"},
        "Subscription/district": {"Observation/o-QPZS", "Observation/o-QPXY"},
    }


async def test_topics_tell_of_deletions_and_take_filters_and_how_many_at_once(hb: World, hook: Receiver) -> None:
    topic = "urn:healthbrain:topic:Observation"
    extension = [{"url": f"{BACKPORT}max-count", "valuePositiveInt": 2}]
    await put(hb, subscription(hook.url, topic, channel={**content("id-only"), "extension": extension}))
    for n in range(3):
        await put(hb, observation(f"o{n}", "p"))
    await work(hb)
    assert [len(events_of(one)) for one in hook.of_kind("event-notification")] == [2, 1]
    assert (await hb.ask("DELETE", "Observation/o1", "QPZS")).status_code == 204
    await work(hb)
    assert hook.events()[-1] == (4, "Observation/o1")
    assert hook.taken[-1]["entry"][1]["request"]["method"] == "DELETE"
    filters = [{"url": f"{BACKPORT}filter-criteria", "valueString": "Observation?value-quantity=gt10"}]
    narrow = subscription(hook.url, topic, channel=content("id-only"), _criteria={"extension": filters})
    await put(hb, {**narrow, "id": "narrow"})
    hook.taken.clear()
    await put(hb, observation("low", "p", 6.0))
    await put(hb, observation("high", "p", 12.0))
    await work(hb)
    told = [focus for one in hook.of_kind("event-notification") for _, focus in events_of(one)]
    assert sorted(told) == ["Observation/high", "Observation/high", "Observation/low"]


async def test_a_topic_is_a_basic_resource(hb: World, hook: Receiver) -> None:
    form = "http://hl7.org/fhir/4.3/StructureDefinition/extension-SubscriptionTopic."
    trigger = [
        {"url": "resource", "valueUri": "http://hl7.org/fhir/StructureDefinition/Observation"},
        {"url": "supportedInteraction", "valueCode": "create"},
        {"url": "queryCriteria", "extension": [{"url": "current", "valueString": "value-quantity=gt10"}]},
    ]
    basic = {
        "resourceType": "Basic",
        "id": "topic",
        "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
        "extension": [
            {"url": f"{form}url", "valueUri": "http://example.org/topic/high"},
            {"url": f"{form}resourceTrigger", "extension": trigger},
        ],
    }
    await put(hb, basic)
    await put(hb, subscription(hook.url, "http://example.org/topic/high", channel=content("id-only")))
    await put(hb, observation("high", "p", 12.0))
    await put(hb, observation("low", "p", 6.0))
    await work(hb)
    await put(hb, observation("high", "p", 13.0))
    await work(hb)
    assert hook.events() == [(1, "Observation/high")]


async def test_what_fails_is_tried_again_then_becomes_a_dead_letter_and_can_be_replayed(
    hb: World, hook: Receiver
) -> None:
    await put(hb, subscription(hook.url, "Observation?status=final"))
    await work(hb)
    hook.status = 503
    await put(hb, observation("o1", "p"))
    await work(hb)
    await work(hb)  # not due again yet
    hook.status = 200
    await work(hb, later=10)
    assert hook.events() == [(1, "Observation/o1")]
    hook.status = 500
    await put(hb, observation("o2", "p"))
    for n in range(ATTEMPTS):
        await work(hb, later=1000 * (n + 1))
    assert await status(hb) == "error"
    assert "500" in (await hb.ask("GET", "Subscription/s", "QPZS")).json()["error"]
    await put(hb, observation("o3", "p"))
    await work(hb, later=100_000)
    letters = (await hb.ask("GET", "Subscription/s/$dead-letters", "QPZS")).json()["parameter"]
    shown = [{part["name"]: next(v for k, v in part.items() if k != "name") for part in one["part"]} for one in letters]
    assert [(one["event-number"], one["focus"]["reference"]) for one in shown] == [
        ("2", "Observation/o2"),
        ("3", "Observation/o3"),
    ]
    assert shown[0]["attempts"] == ATTEMPTS
    assert (await hb.ask("GET", "Subscription/s/$dead-letters", "QPXY")).status_code == 404
    hook.status = 200
    replayed = await hb.ask("POST", "Subscription/s/$replay", "QPZS")
    assert replayed.json()["parameter"][0]["valueInteger"] == 2
    await work(hb)
    assert hook.events() == [(1, "Observation/o1"), (2, "Observation/o2"), (3, "Observation/o3")]
    assert await status(hb) == "active"
    assert "parameter" not in {
        k for k, v in (await hb.ask("GET", "Subscription/s/$dead-letters", "QPZS")).json().items() if v
    }


async def test_an_endpoint_that_never_shakes_hands_ends_in_error(hb: World, hook: Receiver) -> None:
    hook.status = 404
    await put(hb, subscription(hook.url, "Observation?status=final"))
    for n in range(ATTEMPTS):
        await work(hb, later=1000 * (n + 1))
    assert await status(hb) == "error"


async def test_status_and_events_can_be_asked_for(hb: World, hook: Receiver) -> None:
    await put(hb, subscription(hook.url, "Observation?status=final"))
    for n in range(3):
        await put(hb, observation(f"o{n}", "p"))
    await work(hb)
    shown = (await hb.ask("GET", "Subscription/s/$status", "QPZS")).json()
    values = values_of(shown["entry"][0]["resource"])
    assert (values["status"], values["type"], values["events-since-subscription-start"]) == (
        "active",
        "query-status",
        "3",
    )
    both = await hb.ask("GET", "Subscription/$status?id=s", "QP00")
    assert both.json()["total"] == 1
    again = (await hb.ask("GET", "Subscription/s/$events?eventsSinceNumber=2&content=full-resource", "QPZS")).json()
    assert [number for number, _ in events_of(again)] == [2, 3]
    assert again["entry"][1]["resource"]["resourceType"] == "Observation"
    assert (await hb.ask("GET", "Subscription/s/$status", "XH00")).status_code == 404


async def test_the_feed_is_kept_for_subscribers_that_are_behind_the_lake(hb: World, hook: Receiver) -> None:
    await put(hb, subscription(hook.url, "Observation?status=final"))
    await work(hb)
    for n in range(3):
        await put(hb, observation(f"o{n}", "p"))
        await follow_feed(hb.platform)  # closes a batch each time
    await prune_feed(hb.platform)
    await work(hb)
    assert [focus for _, focus in hook.events()] == ["Observation/o0", "Observation/o1", "Observation/o2"]
    await follow_feed(hb.platform)
    await prune_feed(hb.platform)
    async with hb.platform.pool.connection() as connection:
        row = await (await connection.execute("select pruned from change_epoch")).fetchone()
    assert row is not None
    assert row[0] > 0


async def test_a_heartbeat_is_sent_when_nothing_else_was(hb: World, hook: Receiver) -> None:
    extension = [{"url": f"{BACKPORT}heartbeat-period", "valueUnsignedInt": 60}]
    await put(hb, subscription(hook.url, "Observation?status=final", channel={"extension": extension}))
    await work(hb)
    await work(hb, later=30)
    assert hook.of_kind("heartbeat") == []
    await work(hb, later=61)
    assert len(hook.of_kind("heartbeat")) == 1


async def test_a_subscription_that_is_off_or_deleted_is_silent(hb: World, hook: Receiver) -> None:
    await put(hb, subscription(hook.url, "Observation?status=final"))
    await put(hb, {**subscription(hook.url, "Observation?status=final"), "id": "t"})
    await work(hb)
    await put(hb, subscription(hook.url, "Observation?status=final", status="off"))
    assert (await hb.ask("DELETE", "Subscription/t", "QPZS")).status_code == 204
    await put(hb, observation("o", "p"))
    await work(hb)
    assert hook.events() == []


@pytest.mark.parametrize(
    "wrong",
    [
        subscription("http://example.org/hook", "Observation?status=final"),
        subscription("http://169.254.169.254/latest", "Observation?status=final"),
        subscription("http://127.0.0.1@example.org/", "Observation?status=final"),
        subscription("file:///etc/passwd", "Observation?status=final"),
        subscription("http://127.0.0.1/", "Nothing?status=final"),
        subscription("http://127.0.0.1/", "Observation?nonsense=1"),
        subscription("http://127.0.0.1/", "http://example.org/no-such-topic"),
        subscription("http://127.0.0.1/", "Observation?status=final", channel={"header": ["X: a\r\nHost: b"]}),
        subscription("http://127.0.0.1/", "Observation?status=final", channel={"header": ["Host: b"]}),
    ],
    ids=["other host", "metadata", "user", "file", "type", "parameter", "topic", "two headers", "host header"],
)
async def test_what_cannot_or_must_not_be_done_is_refused_when_it_is_written(hb: World, wrong: dict[str, Any]) -> None:
    answer = await hb.ask("PUT", "Subscription/s", "QPZS", json=wrong)
    assert answer.status_code == 422, answer.text
    assert (await hb.ask("GET", "Subscription/s", "QPZS")).status_code == 404


async def test_other_channels_are_not_offered(hb: World) -> None:
    mail = subscription("mailto:a@example.org", "Observation?status=final", channel={"type": "email"})
    assert (await hb.ask("PUT", "Subscription/s", "QPZS", json=mail)).status_code == 501


class Client:
    """A websocket client that speaks ASGI."""

    def __init__(self, hb: World) -> None:
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "scheme": "ws", "path": "/fhir/$subscriptions", "root_path": "",
            "query_string": b"", "headers": [], "subprotocols": [],
        }  # fmt: skip
        app = hb.client._transport.app  # type: ignore[attr-defined]
        self._sent.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(scope, self._sent.get, self._got.put))

    def send(self, text: str) -> None:
        self._sent.put_nowait({"type": "websocket.receive", "text": text})

    async def get(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return await self._got.get()

    async def bundle(self) -> dict[str, Any]:
        message = await self.get()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def leave(self) -> None:
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(10):
            await self.task


async def test_a_websocket_is_bound_with_a_token_and_sent_the_events(hb: World) -> None:
    wanted = subscription("", "Observation?status=final", channel={"type": "websocket"})
    del wanted["channel"]["endpoint"]
    await put(hb, wanted)
    await work(hb)
    assert await status(hb) == "active"
    await put(hb, observation("before", "p"))
    await work(hb)
    answer = (await hb.ask("GET", "Subscription/s/$get-ws-binding-token", "QPZS")).json()
    values = values_of(answer)
    assert values["websocket-url"] == "ws://testserver/fhir/$subscriptions"
    assert (await hb.ask("GET", "Subscription/s/$get-ws-binding-token", "XH00")).status_code == 404
    client = Client(hb)
    assert (await client.get())["type"] == "websocket.accept"
    client.send(f"bind-with-token {values['token']}")
    assert kind_of(await client.bundle()) == "handshake"
    assert events_of(await client.bundle()) == [(1, "Observation/before")]
    await put(hb, observation("after", "p"))
    await put(hb, observation("theirs", "p"), "XHZX")
    await work(hb)
    assert events_of(await client.bundle()) == [(2, "Observation/after")]
    await client.leave()


async def test_a_websocket_with_a_wrong_token_is_closed(hb: World) -> None:
    client = Client(hb)
    await client.get()
    client.send("bind-with-token nonsense")
    assert (await client.get())["type"] == "websocket.close"
    async with asyncio.timeout(10):
        await client.task
