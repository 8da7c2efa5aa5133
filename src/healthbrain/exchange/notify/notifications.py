"""What a subscriber is sent: Bundles of type history that begin with the subscription's status (R5 backport for R4)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.exchange.notify.evaluate import Decide
from healthbrain.exchange.notify.table import Event, Subscription
from healthbrain.exchange.notify.wanted import Content
from healthbrain.store import Store, Stored

Kind = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
_METHODS = {"create": ("POST", "201"), "update": ("PUT", "200"), "delete": ("DELETE", "204")}


def status_of(
    one: Subscription, kind: Kind, events: Sequence[Event] = (), content: Content = "empty"
) -> dict[str, Any]:
    """The status of a subscription, as Parameters."""
    found: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"Subscription/{one.id}"}},
        *([{"name": "topic", "valueCanonical": one.wanted.topic}] if one.wanted.topic else []),
        {"name": "status", "valueCode": one.state},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(one.events)},
    ]
    for event in events:
        parts: list[dict[str, Any]] = [
            {"name": "event-number", "valueString": str(event.number)},
            {"name": "timestamp", "valueInstant": _instant(event.at)},
        ]
        if content != "empty":
            parts.append({"name": "focus", "valueReference": {"reference": f"{event.type}/{event.id}"}})
        found.append({"name": "notification-event", "part": parts})
    if one.error:
        found.append({"name": "error", "valueCodeableConcept": {"text": one.error}})
    profile = f"{_BACKPORT}backport-subscription-status-r4"
    return {"resourceType": "Parameters", "id": str(uuid.uuid4()), "meta": {"profile": [profile]}, "parameter": found}


def event_bundle(one: Subscription, kind: Kind, base: str, at: datetime) -> dict[str, Any]:
    """A notification without events: a handshake or heartbeat."""
    return _bundle(one, status_of(one, kind), [], base, at)


async def events_bundle(
    connection: Connection,
    one: Subscription,
    events: Sequence[Event],
    decide: Decide,
    *,
    base: str,
    at: datetime,
    kind: Kind = "event-notification",
    content: Content | None = None,
) -> tuple[dict[str, Any], set[int]]:
    """A notification of events and whose records are in it.

    The scope of the subscription's owner is applied once more: what is not theirs to see any more is not sent, and an
    event of which nothing may be shown keeps its number only.
    """
    content = content or one.wanted.content
    shown = await _resources(connection, one, events, decide) if content != "empty" else {}
    told = [
        event for event in events if (event.type, event.id) in shown or event.kind == "delete"
    ] if content != "empty" else []  # fmt: skip
    named = {event.number for event in told}
    status = status_of(one, kind, events, content)
    for parameter, event in zip(
        [p for p in status["parameter"] if p["name"] == "notification-event"], events, strict=True
    ):
        if event.number not in named:
            parameter["part"] = [part for part in parameter["part"] if part["name"] != "focus"]
    entries: list[dict[str, Any]] = []
    for event in told:
        method, answer = _METHODS[event.kind]
        url = event.type if method == "POST" else f"{event.type}/{event.id}"
        entry: dict[str, Any] = {"fullUrl": f"{base}/{event.type}/{event.id}"}
        stored = shown.get((event.type, event.id))
        if content == "full-resource" and stored is not None and event.kind != "delete":
            entry["resource"] = stored.resource
        entries.append(entry | {"request": {"method": method, "url": url}, "response": {"status": answer}})
    patients = {one.patient for one in shown.values() if one.patient is not None}
    return _bundle(one, status, entries, base, at), patients


async def _resources(
    connection: Connection, one: Subscription, events: Sequence[Event], decide: Decide
) -> dict[tuple[str, str], Stored]:
    found: dict[tuple[str, str], Stored] = {}
    for type_ in {event.type for event in events}:
        try:
            scope = one.narrowed(await decide(connection, one.eyes, "read", type_))
        except Forbidden:
            continue
        keys = list({(event.type, event.id) for event in events if event.type == type_ and event.kind != "delete"})
        for stored in await Store().read_many(connection, keys, scope=scope):
            found[stored.type, stored.id] = stored
    return found


def _bundle(
    one: Subscription, status: dict[str, Any], entries: list[dict[str, Any]], base: str, at: datetime
) -> dict[str, Any]:
    first = {
        "fullUrl": f"urn:uuid:{status['id']}",
        "resource": status,
        "request": {"method": "GET", "url": f"{base}/Subscription/{one.id}/$status"},
        "response": {"status": "200"},
    }
    return {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [f"{_BACKPORT}backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": _instant(at),
        "entry": [first, *entries],
    }


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
