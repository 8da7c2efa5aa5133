"""Signing in through an external identity provider: a small one that runs in the test, honest or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from healthbrain import access
from healthbrain.access.smart.authorising import challenge_of
from healthbrain.api import create_api
from healthbrain.errors import Conflict, NotFound
from healthbrain.web import create_web
from tests.api_world import World, inhabited, world

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})


@dataclass
class IdentityProvider:
    """It knows one person; `claims`, `key` and `header` make it lie."""

    subject: str = "citizen-77"
    key: RSAKey = field(default_factory=lambda: KEY)
    shown: list[RSAKey] = field(default_factory=lambda: [KEY])
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    issuer: str = ISSUER
    down: bool = False
    attempt: dict[str, str] = field(default_factory=dict)
    now: float = 0.0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discover),
                Route("/keys", self.keys),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def discover(self, request: Request) -> Response:
        if self.down:
            return Response("down", 503)
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{ISSUER}/authorize?tenant=shanghai",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
            }
        )

    async def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.shown]})

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        right = (
            form["code"] == "good"
            and challenge_of(form["code_verifier"]) == self.attempt["code_challenge"]
            and form["redirect_uri"] == self.attempt["redirect_uri"]
            and request.headers["authorization"] == httpx.BasicAuth("hb", "provider-secret")._auth_header
        )
        if not right:
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {
            "iss": ISSUER, "sub": self.subject, "aud": "hb", "exp": int(self.now) + 300, "iat": int(self.now),
            "nonce": self.attempt["nonce"], **self.claims,
        }  # fmt: skip
        header = {"alg": self.algorithm, "kid": self.key.kid}
        return JSONResponse({"id_token": jwt.encode(header, claims, self.key, algorithms=[self.algorithm])})


@dataclass
class Browser:
    """A browser at our door, and the provider behind it."""

    hb: World
    client: httpx.AsyncClient
    provider: IdentityProvider

    async def start(self, goal: str = "/residents") -> dict[str, str]:
        answer = await self.client.get("/sign-in/external", params={"next": goal})
        assert answer.status_code == 303, answer.text
        there = answer.headers["location"]
        assert there.startswith(f"{ISSUER}/authorize?tenant=shanghai&")
        self.provider.attempt = dict(parse_qsl(urlsplit(there).query))
        self.provider.now = self.hb.platform.clock().timestamp()
        return self.provider.attempt

    async def back(self, **fields: str) -> httpx.Response:
        query = {"code": "good", "state": self.provider.attempt.get("state", ""), **fields}
        return await self.client.get("/sign-in/external/back", params=query)


@asynccontextmanager
async def browser(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[Browser]:
    provider = IdentityProvider()
    chosen = {"oidc_issuer": ISSUER, "oidc_client_id": "hb", "oidc_client_secret": "provider-secret", **settings}
    async with world(dsn, folder, **chosen) as hb:
        await inhabited(hb)
        app = Starlette(routes=create_api(hb.platform, provider=httpx.ASGITransport(app=provider.app())))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            async with hb.platform.pool.connection() as connection:
                await access.link_identity(
                    connection, issuer=ISSUER, value="citizen-77", name="doctor", at=hb.platform.clock()
                )
            yield Browser(hb, client, provider)


async def test_who_is_linked_signs_in_and_nobody_else(dsn: str, tmp_path: Path) -> None:
    async with browser(dsn, tmp_path) as visitor:
        attempt = await visitor.start()
        assert attempt["code_challenge_method"] == "S256"
        assert attempt["redirect_uri"] == "http://testserver/sign-in/external/back"
        answer = await visitor.back()
        assert (answer.status_code, answer.headers["location"]) == (303, "/residents")
        assert (await visitor.client.get("/fhir/Patient")).status_code == 200  # the cookie is in the browser
        assert any(e.interaction == "sign-in" and e.account == "doctor" for e in await visitor.hb.events())

        visitor.client.cookies.clear()
        visitor.provider.subject = "stranger"
        await visitor.start()
        refused = await visitor.back()
        assert refused.status_code == 401
        assert "hb_session" not in visitor.client.cookies
        assert any(e.interaction == "sign-in" and e.outcome == 4 for e in await visitor.hb.events())

        visitor.provider.subject = "citizen-77"
        at = visitor.hb.platform.clock()
        async with visitor.hb.platform.pool.connection() as connection:
            assert await access.identities_of(connection, "doctor") == [(ISSUER, "citizen-77")]
            with pytest.raises(Conflict):
                await access.link_identity(connection, issuer=ISSUER, value="citizen-77", name="manager", at=at)
            with pytest.raises(NotFound):
                await access.link_identity(connection, issuer=ISSUER, value="x", name="nobody", at=at)
            await access.disable_account(connection, "doctor", at=at)
        await visitor.start()
        assert (await visitor.back()).status_code == 401


async def test_an_answer_that_cannot_be_trusted_opens_nothing(dsn: str, tmp_path: Path) -> None:
    async with browser(dsn, tmp_path) as visitor:
        now = visitor.hb.platform.clock().timestamp()
        lies: list[dict[str, Any]] = [
            {"claims": {"nonce": "another"}},
            {"claims": {"aud": "another"}},
            {"claims": {"aud": ["hb", "another"]}},
            {"claims": {"iss": "https://evil.example"}},
            {"claims": {"exp": int(now) - 600}},
            {"claims": {"iat": int(now) + 6000}},
            {"claims": {"sub": 77}},
            {"key": NEXT_KEY},
            {"algorithm": "RS512"},
        ]
        for lie in lies:
            for name, value in lie.items():
                setattr(visitor.provider, name, value)
            await visitor.start()
            answer = await visitor.back()
            assert answer.status_code == 401, lie
            assert "hb_session" not in visitor.client.cookies
            visitor.provider.claims, visitor.provider.key, visitor.provider.algorithm = {}, KEY, "RS256"
        await visitor.start()
        assert (await visitor.back(code="bad")).status_code == 401
        await visitor.start()
        assert (await visitor.back(state="made up")).status_code == 401
        await visitor.start()
        assert (await visitor.back(iss="https://evil.example")).status_code == 401  # mix-up (RFC 9207)
        await visitor.start()
        visitor.client.cookies.clear()  # somebody else's browser
        assert (await visitor.back()).status_code == 401


async def test_the_provider_may_change_its_keys(dsn: str, tmp_path: Path) -> None:
    async with browser(dsn, tmp_path) as visitor:
        await visitor.start()
        assert (await visitor.back()).status_code == 303
        visitor.provider.key, visitor.provider.shown = NEXT_KEY, [KEY, NEXT_KEY]
        await visitor.start()
        assert (await visitor.back()).status_code == 303


async def test_nobody_is_led_off_the_site_after_signing_in(dsn: str, tmp_path: Path) -> None:
    async with browser(dsn, tmp_path) as visitor:
        for goal in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb"):
            await visitor.start(goal)
            assert (await visitor.back()).headers["location"] == "/"
        await visitor.start("/oauth/authorize?client_id=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcb")
        where = (await visitor.back()).headers["location"]
        assert parse_qs(urlsplit(where).query)["redirect_uri"] == ["https://app.example/cb"]


async def test_another_claim_may_say_who_it_is(dsn: str, tmp_path: Path) -> None:
    async with browser(dsn, tmp_path, oidc_claim="employee_number") as visitor:
        visitor.provider.claims = {"employee_number": "citizen-77", "sub": "someone"}
        await visitor.start()
        assert (await visitor.back()).status_code == 303
        visitor.provider.claims = {}
        await visitor.start()
        assert (await visitor.back()).status_code == 401


async def test_a_provider_that_is_down_or_calls_itself_otherwise_is_said_to_be(dsn: str, tmp_path: Path) -> None:
    async with browser(dsn, tmp_path) as visitor:
        visitor.provider.down = True
        answer = await visitor.client.get("/sign-in/external")
        assert answer.status_code == 503
        assert "sign in with a password" in answer.text
        visitor.provider.down, visitor.provider.issuer = False, "https://other.example"
        answer = await visitor.client.get("/sign-in/external")
        assert "HB_OIDC_ISSUER" in answer.text


async def test_without_a_provider_there_is_nothing_to_start(dsn: str, tmp_path: Path) -> None:
    async with world(dsn, tmp_path) as hb:
        answer = await hb.client.get("/sign-in/external")
        assert answer.status_code == 404
        assert "HB_OIDC_ISSUER" in answer.text


async def test_the_sign_in_page_offers_the_provider_when_there_is_one(dsn: str, tmp_path: Path) -> None:
    for settings, offered in (({"oidc_issuer": ISSUER, "oidc_name": "随申办"}, True), ({}, False)):
        async with world(dsn, tmp_path, **settings) as hb:
            app = Starlette(routes=create_web(hb.platform))
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://testserver"
            ) as client:
                page = (await client.get("/login", params={"next": "/residents?q=1&r=2"})).text
        assert ("/sign-in/external?next=/residents%3Fq%3D1%26r%3D2" in page) is offered
        assert ("随申办" in page) is offered
