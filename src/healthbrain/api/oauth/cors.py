"""Browser applications from elsewhere may call the API with their token, never with somebody's cookie.

Any origin may read the answers (Access-Control-Allow-Origin: *), because without credentials a browser sends no cookie
of ours, and whoever has a token may use it. Allow-Credentials is never sent (SMART App Launch, "CORS support").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ALLOWED = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"etag, location, content-location, last-modified, expires, retry-after, x-progress, x-request-id",
    ),
]
_PREFLIGHT = [
    *_ALLOWED,
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, prefer, if-match, if-none-match, if-none-exist, if-modified-since, "
        b"x-request-id, idempotency-key",
    ),
    (b"access-control-max-age", b"600"),
]


class Cors:
    """An ASGI application that others' pages may call."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a preflight is answered here."""
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or b"origin" not in headers:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_ALLOWED]
            await send(message)

        await self._app(scope, receive, sending)
