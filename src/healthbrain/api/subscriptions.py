"""Operations of Subscription: $status, $events, $get-ws-binding-token (R5 backport), $dead-letters and $replay (ours)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from healthbrain.access import Gate
from healthbrain.api.answer import Answer
from healthbrain.api.call import Call
from healthbrain.api.lending import lend
from healthbrain.api.platform import Platform
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.exchange import notify
from healthbrain.exchange.notify import Event, Subscription
from healthbrain.exchange.notify.wanted import Content
from healthbrain.fhir import dump
from healthbrain.scope import Action

SOCKET = "$subscriptions"  # the websocket's path below the base

_MOST = 1000

Handlers = dict[str, Callable[[], Awaitable[Answer]]]


class Subscriptions:
    """The requests around subscriptions beside reading and writing them."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate

    def handlers(self, call: Call) -> Handlers | None:
        """What may be done at this address; None when it has nothing to do with subscriptions."""
        match call.segments:
            case ["Subscription", "$status"]:
                return _both(lambda: self.statuses(call))
            case ["Subscription", id_, "$status"]:
                return _both(lambda: self.status(call, id_))
            case ["Subscription", id_, "$events"]:
                return _both(lambda: self.events(call, id_))
            case ["Subscription", id_, "$get-ws-binding-token"]:
                return _both(lambda: self.bind(call, id_))
            case ["Subscription", id_, "$dead-letters"]:
                return {"GET": lambda: self.dead_letters(call, id_)}
            case ["Subscription", id_, "$replay"]:
                return {"POST": lambda: self.replay(call, id_)}
        return None

    async def status(self, call: Call, id_: str) -> Answer:
        """…/Subscription/id/$status"""
        async with lend(self._platform.pool) as connection:
            one = await self._one(connection, call, id_, "$status", "read")
        return Answer(200, dump(_searchset(call, [notify.status_of(one, "query-status")])))

    async def statuses(self, call: Call) -> Answer:
        """…/Subscription/$status?id=a&id=b: of those named that may be seen"""
        wanted = [id_ for name, value in call.params if name == "id" for id_ in value.split(",") if id_]
        if not wanted or len(wanted) > _MOST:
            raise Incorrect(f"name 1 to {_MOST} subscriptions by id")
        async with lend(self._platform.pool) as connection:
            found = [await self._one(connection, call, id_, "$status", "read") for id_ in dict.fromkeys(wanted)]
        return Answer(200, dump(_searchset(call, [notify.status_of(one, "query-status") for one in found])))

    async def events(self, call: Call, id_: str) -> Answer:
        """…/$events?eventsSinceNumber=&eventsUntilNumber=&content=: what happened, again"""
        first, last = _number(call, "eventsSinceNumber", 1), _number(call, "eventsUntilNumber", _MOST * _MOST)
        content = call.param("content") or "id-only"
        if content not in ("empty", "id-only", "full-resource"):
            raise Incorrect("content is empty, id-only or full-resource")
        async with lend(self._platform.pool) as connection:
            one = await self._one(connection, call, id_, "$events", "read")
            if content == "full-resource" and one.wanted.content != "full-resource":
                raise Forbidden("the subscription does not ask for whole resources")
            found = await notify.events(connection, one.rid, first=first, last=last, count=_MOST)
            bundle, patients = await notify.events_bundle(
                connection, one, found, self._decide(call), base=call.base, at=call.at, kind="query-event",
                content=cast(Content, content),
            )  # fmt: skip
        call.trace.patients |= patients
        return Answer(200, dump(bundle))

    async def bind(self, call: Call, id_: str) -> Answer:
        """…/$get-ws-binding-token"""
        async with lend(self._platform.pool) as connection:
            one = await self._one(connection, call, id_, "$get-ws-binding-token", "write")
            if one.wanted.channel != "websocket":
                raise Incorrect("the subscription's channel is not a websocket")
            token, until = await notify.bind(connection, one.rid, call.at)
        socket = f"{call.base.replace('http', 'ws', 1)}/{SOCKET}"
        return Answer(
            200,
            _parameters(
                ("token", "valueString", token),
                ("expiration", "valueDateTime", until.isoformat(timespec="seconds").replace("+00:00", "Z")),
                ("subscription", "valueString", id_),
                ("websocket-url", "valueUrl", socket),
            ),
        )

    async def dead_letters(self, call: Call, id_: str) -> Answer:
        """…/$dead-letters?after=: events that could not be delivered, with the reason"""
        after = _number(call, "after", 0)
        async with lend(self._platform.pool) as connection:
            one = await self._one(connection, call, id_, "$dead-letters", "read")
            found = await notify.dead_letters(connection, one.rid, first=after + 1, count=_MOST)
        return Answer(200, dump({"resourceType": "Parameters", "parameter": [_letter(event) for event in found]}))

    async def replay(self, call: Call, id_: str) -> Answer:
        """POST …/$replay, with event-number for one of them: dead events are sent again"""
        number = _number(call, "event-number", 0)
        async with lend(self._platform.pool) as connection:
            one = await self._one(connection, call, id_, "$replay", "write")
            count = await notify.replay(connection, one.rid, number or None)
        return Answer(200, _parameters(("replayed", "valueInteger", count)))

    async def _one(self, connection: Connection, call: Call, id_: str, operation: str, action: Action) -> Subscription:
        """The subscription, when it is open to the requester."""
        trace = call.trace
        trace.interaction, trace.action, trace.type, trace.id, trace.detail = (
            "operation", "E", "Subscription", id_[:64], operation,
        )  # fmt: skip
        if action == "write":
            await self._gate.decide(call.who, "write", "Subscription", call.at)
        scope = await self._gate.decide(call.who, "read", "Subscription", call.at)
        if not scope.identified:
            raise Forbidden("you see figures, not single resources")
        await self._platform.store.read(connection, "Subscription", id_, scope=scope)
        return await notify.find(connection, id_)

    def _decide(self, call: Call) -> Any:
        async def decide(connection: Connection, who: Any, action: Action, type_: str) -> Any:
            return await self._gate.decide(who, action, type_, call.at)

        return decide


def _both(handler: Callable[[], Awaitable[Answer]]) -> Handlers:
    return {"GET": handler, "POST": handler}


def _number(call: Call, name: str, usual: int) -> int:
    text = call.param(name)
    if text and (not text.isascii() or not text.isdigit() or len(text) > 18):
        raise Incorrect(f"{name} is a whole number")
    return int(text) if text else usual


def _parameters(*values: tuple[str, str, Any]) -> bytes:
    found = [{"name": name, key: value} for name, key, value in values]
    return dump({"resourceType": "Parameters", "parameter": found})


def _letter(event: Event) -> dict[str, Any]:
    parts = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")},
        {"name": "focus", "valueReference": {"reference": f"{event.type}/{event.id}"}},
        {"name": "attempts", "valueInteger": event.attempts},
        {"name": "reason", "valueString": event.reason or "not delivered"},
    ]
    return {"name": "dead-letter", "part": parts}


def _searchset(call: Call, resources: list[dict[str, Any]]) -> dict[str, Any]:
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
