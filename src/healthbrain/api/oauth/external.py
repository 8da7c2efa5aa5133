"""Signing in through an external OpenID Connect provider (HB_OIDC_ISSUER), with the authorization code flow and PKCE.

What belongs to one attempt (state, nonce, verifier, where to go) stays in a cookie of this browser for ten minutes, so
an answer that this browser did not ask for is refused. Which account it is, federation.py says.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import open_session
from healthbrain.access.secrets import same
from healthbrain.access.smart.authorising import challenge_of
from healthbrain.access.smart.federation import account_of_identity, check_id_token
from healthbrain.api.lending import lend
from healthbrain.api.oauth.desk import SESSION_COOKIE, Desk, address, each_once, fields_of
from healthbrain.api.oauth.page import refusal_page
from healthbrain.errors import HealthBrainError, NotFound, Unauthenticated, Unavailable

START, BACK = "/sign-in/external", "/sign-in/external/back"
_COOKIE = "hb_external"
_MINUTES = 10
_BELIEVED = 3600.0  # seconds for which the provider's documents are kept
_LARGEST = 1024 * 1024
_LOCAL = ("localhost", "127.0.0.1")


@dataclass(slots=True)
class Provider:
    """What is known of the provider."""

    desk: Desk
    _documents: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Its name; raises NotFound when none is set."""
        issuer = self.desk.platform.settings.oidc_issuer.rstrip("/")
        if not issuer:
            raise NotFound("no external identity provider is set up (HB_OIDC_ISSUER)")
        return issuer

    async def discovered(self) -> Mapping[str, Any]:
        """Its discovery document. Raises Unavailable."""
        found = await self._document(f"{self.issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != self.issuer:
            raise Unavailable("the identity provider calls itself otherwise than HB_OIDC_ISSUER; check the setting")
        return found

    async def keys(self, *, afresh: bool = False) -> Mapping[str, Any]:
        """Its public keys."""
        return await self._document(str((await self.discovered())["jwks_uri"]), afresh=afresh)

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        """The id_token that a code stands for. Raises Unauthenticated or Unavailable."""
        settings = self.desk.platform.settings
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier,
            "client_id": settings.oidc_client_id,
        }  # fmt: skip
        headers = {"accept": "application/json"}
        if settings.oidc_client_secret:
            pair = f"{quote(settings.oidc_client_id, safe='')}:{quote(settings.oidc_client_secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        url = str((await self.discovered())["token_endpoint"])
        content = await self._ask("POST", url, data=form, headers=headers)
        token = content.get("id_token")
        if not isinstance(token, str):
            raise Unauthenticated("the identity provider did not confirm the sign-in; try again")
        return token

    async def _document(self, url: str, *, afresh: bool = False) -> Mapping[str, Any]:
        known = self._documents.get(url)
        if known is None or known[0] < time.monotonic() or afresh:
            known = (time.monotonic() + _BELIEVED, await self._ask("GET", url))
            self._documents[url] = known
        return known[1]

    async def _ask(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise Unavailable("the identity provider is not reached over https; check HB_OIDC_ISSUER")
        try:
            async with httpx.AsyncClient(timeout=10, transport=self.desk.provider) as client:
                answer = await client.request(method, url, **more)
            content = orjson.loads(answer.content[:_LARGEST])
        except (httpx.HTTPError, ValueError):
            raise Unavailable("the identity provider does not answer; try again, or sign in with a password") from None
        if answer.status_code >= 500 or not isinstance(content, dict):
            raise Unavailable("the identity provider has a problem; try again, or sign in with a password")
        return content if answer.status_code == 200 else {}


class External:
    """The two endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._provider = Provider(desk)

    async def start(self, desk: Desk, request: Request) -> Response:
        """GET /sign-in/external?next=…: to the provider"""
        try:
            found = await self._provider.discovered()
            goal = safe_goal(request.query_params.get("next", ""))
            attempt = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
            settings = desk.platform.settings
            query = {
                "response_type": "code", "client_id": settings.oidc_client_id, "scope": settings.oidc_scopes,
                "redirect_uri": desk.issuer(request) + BACK, "state": attempt["state"], "nonce": attempt["nonce"],
                "code_challenge": challenge_of(attempt["verifier"]), "code_challenge_method": "S256",
            }  # fmt: skip
            there = str(found["authorization_endpoint"])
            response = RedirectResponse(f"{there}{'&' if '?' in there else '?'}{urlencode(query)}", 303)
        except HealthBrainError as error:
            return refusal_page(request, desk.platform.settings.language, error)
        kept = urlencode({**attempt, "next": goal})
        _set(request, desk, response, _COOKIE, quote(kept), 60 * _MINUTES, BACK)
        return response

    async def back(self, desk: Desk, request: Request) -> Response:
        """GET /sign-in/external/back: from the provider"""
        try:
            return await self._enter(desk, request)
        except HealthBrainError as error:
            outcome = desk.event(
                request, "sign-in", None, detail=f"external: {type(error).__name__}", outcome=audit.REFUSED
            )
            desk.platform.audit.note(outcome)
            response = refusal_page(request, desk.platform.settings.language, error)
            response.delete_cookie(_COOKIE, path=BACK)
            return response

    async def _enter(self, desk: Desk, request: Request) -> Response:
        fields = each_once(fields_of(request.url.query.encode()))
        attempt = _attempt(request)
        if not attempt or not same(attempt["state"], fields.get("state", "")):
            raise Unauthenticated("this sign-in was not begun in this browser, or too long ago; begin again")
        if "code" not in fields or fields.get("iss", self._provider.issuer).rstrip("/") != self._provider.issuer:
            raise Unauthenticated("the identity provider refused, or the answer is another provider's; begin again")
        claims = await self._claims(desk, request, fields["code"], attempt)
        settings, at = desk.platform.settings, desk.platform.clock()
        value = claims.get(settings.oidc_claim)
        if not isinstance(value, str) or not value:
            raise Unauthenticated("the identity provider did not say who you are (HB_OIDC_CLAIM)")
        async with lend(desk.platform.pool) as connection:
            name = await account_of_identity(connection, issuer=self._provider.issuer, value=value, at=at)
            opened = await open_session(
                connection, name, at, address=address(request), agent=request.headers.get("user-agent", "")
            )
            event = desk.event(request, "sign-in", opened.principal, detail="external identity provider")
            await audit.record(connection, [event])
        response = RedirectResponse(safe_goal(attempt["next"]), 303)
        seconds = int((opened.until - at).total_seconds())
        _set(request, desk, response, SESSION_COOKIE, opened.cookie, seconds, "/")
        response.delete_cookie(_COOKIE, path=BACK)
        return response

    async def _claims(self, desk: Desk, request: Request, code: str, attempt: Mapping[str, str]) -> dict[str, Any]:
        token = await self._provider.exchange(code, attempt["verifier"], desk.issuer(request) + BACK)
        for afresh in (False, True):  # a key that is not known yet may be a new one
            keys = await self._provider.keys(afresh=afresh)
            try:
                return check_id_token(
                    token, issuer=str((await self._provider.discovered())["issuer"]), nonce=attempt["nonce"], jwks=keys,
                    client=desk.platform.settings.oidc_client_id, at=desk.platform.clock(),
                )  # fmt: skip
            except Unauthenticated:
                if afresh:
                    raise
        raise AssertionError("unreachable")


def safe_goal(goal: str) -> str:
    """A place on this site; anything else becomes the start page."""
    parts = urlsplit(goal)
    strange = parts.scheme or parts.netloc or goal.startswith("//") or "\\" in goal or any(ord(c) < 33 for c in goal)
    return "/" if strange or not goal.startswith("/") else goal


def _attempt(request: Request) -> dict[str, str]:
    kept = dict(parse_qsl(unquote(request.cookies.get(_COOKIE, "")), keep_blank_values=True))
    return kept if {"state", "nonce", "verifier", "next"} <= kept.keys() else {}


def _set(request: Request, desk: Desk, response: Response, name: str, value: str, seconds: int, path: str) -> None:
    secure = desk.issuer(request).startswith("https:")
    response.set_cookie(name, value, max_age=seconds, path=path, httponly=True, samesite="lax", secure=secure)
