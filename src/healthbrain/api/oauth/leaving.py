"""GET or POST /oauth/logout: an application says that the person wants to leave (OpenID Connect RP-Initiated Logout 1.0).

With an id_token of ours that is about whoever is signed in here, the session ends at once; without it the person is
asked, because any site can send a browser here. The browser goes back only to an address registered for the application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import Client, csrf_holds, csrf_token, find_client, sign_out
from healthbrain.access.smart.keyring import ALGORITHM
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.access.smart.signatures import signed_claims
from healthbrain.api.lending import lend
from healthbrain.api.oauth.desk import SESSION_COOKIE, Desk, each_once, fields_of, form_of, subject
from healthbrain.api.oauth.page import leaving_page, refusal_page
from healthbrain.errors import HealthBrainError, Incorrect, NotFound


@dataclass(frozen=True, slots=True)
class _Wish:
    fields: dict[str, str]
    client: Client | None
    hinted: str  # sub of the id_token, '' without one
    goal: str  # where the browser goes afterwards


async def logout(desk: Desk, request: Request) -> Response:
    """GET or POST /oauth/logout"""
    try:
        pairs = await form_of(request) if request.method == "POST" else fields_of(request.url.query.encode())
        wish = await _read(desk, request, each_once(pairs))
    except HealthBrainError as error:
        return refusal_page(request, desk.platform.settings.language, error)
    visitor = await desk.visitor(request)
    if visitor is None:
        return RedirectResponse(wish.goal, 303)
    principal, cookie, _ = visitor
    sure = wish.hinted == subject(principal.account)
    confirmed = request.method == "POST" and csrf_holds(cookie, wish.fields.get("csrf", ""))
    if not sure and not confirmed:
        kept = {name: value for name, value in wish.fields.items() if name != "csrf"}
        name = wish.client.name if wish.client else ""
        return leaving_page(
            request, desk.platform.settings.language, name, urlencode(kept), csrf_token(cookie), wish.goal
        )
    async with lend(desk.platform.pool) as connection:
        await sign_out(connection, cookie, desk.platform.clock())
        client = wish.client.id if wish.client else ""
        await audit.record(connection, [desk.event(request, "sign-out", principal, client=client)])
    desk.gate.forget()
    response = RedirectResponse(wish.goal, 303, {"cache-control": "no-store"})
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


async def _read(desk: Desk, request: Request, fields: dict[str, str]) -> _Wish:
    claims = _claims(desk, fields.get("id_token_hint", ""))
    if claims and claims.get("iss") != desk.issuer(request):
        raise Incorrect("id_token_hint: not an id_token of this server")
    audience = str(claims.get("aud", ""))
    name = fields.get("client_id", "") or audience
    if claims and name != audience:
        raise Incorrect("client_id: the id_token is of another application")
    client = None
    if name:
        try:
            async with lend(desk.platform.pool) as connection:
                client = await find_client(connection, name)
        except NotFound:
            raise Incorrect("client_id: there is no such application") from None
    goal = "/login"
    if wanted := fields.get("post_logout_redirect_uri", ""):
        if client is None or client.disabled_at is not None or wanted not in client.post_logout_uris:
            raise Incorrect("post_logout_redirect_uri: not exactly one of those registered for this application")
        state = urlencode({"state": fields["state"]}) if fields.get("state") else ""
        goal = f"{wanted}{'&' if '?' in wanted else '?'}{state}" if state else wanted
    return _Wish(fields, client, str(claims.get("sub", "")), goal)


def _claims(desk: Desk, token: str) -> dict[str, Any]:
    """What our own id_token says, also an expired one; {} when there is none or it is not ours."""
    if not token:
        return {}
    try:
        return signed_claims(token, desk.keys.public(desk.platform.clock()), (ALGORITHM,))
    except OAuthRefusal:
        return {}
