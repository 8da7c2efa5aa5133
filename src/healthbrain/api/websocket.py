"""The websocket of subscriptions: bound with a token, it is sent the events as they come, each at least once.

`bind-with-token <token>` binds one more subscription; the answer is its handshake. Whoever held the token decides what
is seen: notifications apply the scope of the subscription's owner, as everywhere.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from healthbrain.access import Gate
from healthbrain.api.lending import lend
from healthbrain.api.platform import Platform
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Unauthenticated
from healthbrain.exchange import notify
from healthbrain.fhir import dump
from healthbrain.scope import Action, Principal, Scope

_EVERY = 0.5  # seconds between looks for events
_PATIENCE = 30.0  # seconds in which a new connection has to be bound
_MOST = 100  # subscriptions of one connection
_COMMAND = "bind-with-token "


class Socket:
    """Starlette endpoint for the websocket."""

    def __init__(self, platform: Platform, gate: Gate) -> None:
        self._platform = platform
        self._gate = gate
        settings = platform.settings
        self._base = (settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}") + "/fhir"

    async def handle(self, socket: WebSocket) -> None:
        """One connection, from accept to close."""
        await socket.accept()
        bound: dict[str, float] = {}
        first = asyncio.Event()
        listening = asyncio.create_task(self._listen(socket, bound, first))
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.wait([listening, asyncio.create_task(first.wait())], return_when="FIRST_COMPLETED")
            while not listening.done():
                for id_ in list(bound):
                    await self._push(socket, id_, bound)
                await asyncio.wait([listening], timeout=_EVERY)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await listening
            with suppress(RuntimeError):
                await socket.close()

    async def _listen(self, socket: WebSocket, bound: dict[str, float], first: asyncio.Event) -> None:
        while True:
            text = await socket.receive_text()
            try:
                if not text.startswith(_COMMAND) or len(text) > 200 or len(bound) >= _MOST:
                    raise Unauthenticated("send bind-with-token and a token of $get-ws-binding-token")
                async with lend(self._platform.pool) as connection:
                    one = await notify.bound(connection, text.removeprefix(_COMMAND).strip(), self._platform.clock())
            except HealthBrainError:
                return  # closes the connection
            handshake = notify.event_bundle(one, "handshake", self._base, self._platform.clock())
            await socket.send_text(dump(handshake).decode())
            bound[one.id] = asyncio.get_running_loop().time()
            first.set()

    async def _push(self, socket: WebSocket, id_: str, bound: dict[str, float]) -> None:
        """Send what waits for one subscription; noted as sent after it went out."""
        now, at = asyncio.get_running_loop().time(), self._platform.clock()
        async with lend(self._platform.pool) as connection:
            try:
                one = await notify.find(connection, id_)
            except HealthBrainError:
                del bound[id_]
                return
            if one.state != "active":
                return
            events = await notify.events(connection, one.rid, state="waiting", count=one.wanted.most)
            if events:
                bundle, patients = await notify.events_bundle(
                    connection, one, events, self._decide, base=self._base, at=at
                )
                await socket.send_text(dump(bundle).decode())
                await notify.mark_sent(connection, one, events, patients, at)
                bound[id_] = now
                return
        if one.wanted.heartbeat and now - bound[id_] >= one.wanted.heartbeat:
            await socket.send_text(dump(notify.event_bundle(one, "heartbeat", self._base, at)).decode())
            bound[id_] = now

    async def _decide(self, _: Connection, who: Principal, action: Action, type_: str) -> Scope:
        return await self._gate.decide(who, action, type_, self._platform.clock())
