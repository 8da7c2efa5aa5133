"""POST /oauth/register: an application registers itself (RFC 7591) and waits for an administrator (HB_REGISTRATION).

Nobody's record opens by registering: until somebody approves it the application is as shut as a disabled one. It gets no
registration access token; what changes later, an administrator changes.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from healthbrain import audit
from healthbrain.access import Client, register_client
from healthbrain.access.smart.grammar import split_scopes
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.api.lending import lend
from healthbrain.api.oauth.desk import Desk, address, said
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound

_LARGEST = 64 * 1024
_KINDS = {"none": "public", "client_secret_basic": "symmetric", "private_key_jwt": "asymmetric"}
_GRANTS = frozenset({"authorization_code", "refresh_token", "client_credentials"})


async def register(desk: Desk, request: Request) -> Response:
    """POST /oauth/register"""
    if desk.platform.settings.registration != "approval":
        raise NotFound("applications are registered here by an administrator")
    key = (address(request), "register")
    desk.requests.check(key)
    desk.failures.check(key)
    desk.failures.spend(key)  # registering is rare: each counts like a failure
    wish = await _wish(request)
    try:
        async with lend(desk.platform.pool) as connection:
            client, secret = await _register(desk, connection, wish)
            await audit.record(connection, [desk.event(request, "register", None, client=client.id)])
    except Incorrect as wrong:
        about_return = "return" in wrong.message
        raise OAuthRefusal(
            "invalid_redirect_uri" if about_return else "invalid_client_metadata", wrong.message
        ) from None
    return said(_answer(client, secret, wish), 201)


async def _register(desk: Desk, connection: Connection, wish: dict[str, Any]) -> tuple[Client, str]:
    root = (await desk.gate.tree()).root
    if root is None:
        raise NotFound("there is no organisation yet that could answer for an application")
    way = wish.get("token_endpoint_auth_method", "client_secret_basic")
    kind = _KINDS.get(way) if isinstance(way, str) else None
    if kind is None:
        raise Incorrect(f"token_endpoint_auth_method is {', '.join(_KINDS)}")
    grants = _texts(wish, "grant_types") or ("authorization_code",)
    if not set(grants) <= _GRANTS or ("client_credentials" in grants and kind != "asymmetric"):
        raise Incorrect(
            f"grant_types are {', '.join(sorted(_GRANTS))}; client_credentials is for private_key_jwt alone"
        )
    if set(_texts(wish, "response_types")) - {"code"}:
        raise Incorrect("response_types is code")
    redirect_uris = _texts(wish, "redirect_uris")
    if "authorization_code" in grants and not redirect_uris:
        raise Incorrect("an address to return to is needed (redirect_uris)")
    jwks = wish.get("jwks")
    if jwks is not None and not isinstance(jwks, dict):
        raise Incorrect("jwks is a JSON object with a list 'keys'")
    return await register_client(
        connection, name=_text(wish, "client_name"), kind=kind, organisation=root.key,
        scopes=split_scopes(_text(wish, "scope")), redirect_uris=redirect_uris,
        launch_uri=_text(wish, "initiate_login_uri"), jwks=jwks, jwks_uri=_text(wish, "jwks_uri"),
        post_logout_uris=_texts(wish, "post_logout_redirect_uris"), waiting=True, at=desk.platform.clock(),
    )  # fmt: skip


def _answer(client: Client, secret: str, wish: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "client_name": client.name,
        "token_endpoint_auth_method": next(way for way, kind in _KINDS.items() if kind == client.kind),
        "grant_types": list(_texts(wish, "grant_types") or ("authorization_code",)),
        "redirect_uris": list(client.redirect_uris),
        "scope": " ".join(client.scopes),
    }
    if secret:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    if client.jwks_uri:
        answer["jwks_uri"] = client.jwks_uri
    if client.post_logout_uris:
        answer["post_logout_redirect_uris"] = list(client.post_logout_uris)
    return answer


async def _wish(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise OAuthRefusal("invalid_client_metadata", "the registration is larger than 64 KiB")
    try:
        found = orjson.loads(bytes(body))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OAuthRefusal("invalid_client_metadata", "a registration is a JSON object (RFC 7591)")
    return found


def _text(wish: dict[str, Any], name: str) -> str:
    value = wish.get(name, "")
    if not isinstance(value, str) or len(value) > 4000 or "\0" in value:
        raise Incorrect(f"{name} is a text")
    return value


def _texts(wish: dict[str, Any], name: str) -> tuple[str, ...]:
    value = wish.get(name, [])
    if (
        not isinstance(value, list)
        or len(value) > 20
        or not all(isinstance(one, str) and len(one) <= 2000 for one in value)
    ):
        raise Incorrect(f"{name} is a list of texts")
    return tuple(value)
