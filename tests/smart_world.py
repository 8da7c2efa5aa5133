"""An application that speaks SMART App Launch to the small world: what a client library would do, in a few lines."""

from __future__ import annotations

import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from healthbrain import access
from healthbrain.access import Client
from healthbrain.access.smart.authorising import challenge_of
from tests.api_world import World

SITE = "http://testserver"
FHIR = f"{SITE}/fhir"
TOKEN_URL = f"{SITE}/oauth/token"
BACK = "https://app.example/callback"
ALL_SCOPES = (
    "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "online_access", "offline_access",
    "patient/*.cruds", "user/*.cruds",
)  # fmt: skip
EC_KEY = ECKey.generate_key("P-384", {"kid": "ec-1", "use": "sig", "alg": "ES384"})
RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS384"})


@dataclass
class App:
    """A registered application with what it keeps to itself."""

    world: World
    client: Client
    secret: str = ""
    key: Any = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def request(self, scope: str, **more: Any) -> dict[str, str]:
        """The fields of an authorization request; None takes one away."""
        fields = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": BACK,
            "scope": scope,
            "state": "s" * 24,
            "aud": FHIR,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **more,
        }
        return {name: value for name, value in fields.items() if value is not None}

    async def open(self, who: str | None, fields: dict[str, str]) -> httpx.Response:
        """The browser of somebody is sent to us."""
        return await self.world.client.get(
            f"/oauth/authorize?{urlencode(fields)}", headers=self.world.headers(who), follow_redirects=False
        )

    async def decide(
        self, who: str, page: httpx.Response, *, patient: str = "", decision: str = "allow", **more: Any
    ) -> httpx.Response:
        """The person answers the page."""
        form = {name: html.unescape(value) for name, value in hidden(page.text)}
        form |= {
            "decision": decision,
            "scope": scopes_on(page.text),
            **({"patient": patient} if patient else {}),
            **more,
        }
        headers = {name: value for name, value in self.world.headers(who).items() if name == "cookie"}
        return await self.world.client.post("/oauth/consent", data=form, headers=headers, follow_redirects=False)

    async def code(self, who: str, scope: str, *, patient: str = "", **more: Any) -> str:
        """A code, the usual way."""
        page = await self.open(who, self.request(scope, **more))
        assert page.status_code == 200, (page.status_code, page.headers.get("location"), page.text)
        answer = came_back(await self.decide(who, page, patient=patient))
        assert "code" in answer, answer
        return answer["code"]

    async def ask_token(self, **form: Any) -> httpx.Response:
        """A request to the token endpoint as this application."""
        form, headers = self.proof(form)
        return await self.world.client.post("/oauth/token", data=form, headers=headers)

    def proof(self, form: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """The form and headers with which it proves who it is."""
        if self.client.kind == "symmetric":
            return form, {"authorization": httpx.BasicAuth(self.client.id, self.secret)._auth_header}
        if self.client.kind == "asymmetric":
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            return {**form, "client_assertion_type": kind, "client_assertion": self.assertion()}, {}
        return {"client_id": self.client.id, **form}, {}

    def assertion(self, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """A signed assertion; keyword arguments change claims, None takes one away."""
        key = key or self.key
        now = int(self.world.platform.clock().timestamp())
        whole = {
            "iss": self.client.id, "sub": self.client.id, "aud": TOKEN_URL, "exp": now + 200,
            "jti": secrets.token_hex(8), **claims,
        }  # fmt: skip
        whole = {name: value for name, value in whole.items() if value is not None}
        algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
        full = {"alg": algorithm, "kid": key.kid, **(header or {})}
        return jwt.encode(full, whole, key, algorithms=[full["alg"]])

    async def redeem(self, code: str, **more: Any) -> httpx.Response:
        """Turn a code into tokens."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": self.verifier}
        return await self.ask_token(**{**form, **more})

    async def tokens(self, who: str, scope: str, *, patient: str = "", **more: Any) -> dict[str, Any]:
        """The whole way: what the token endpoint says in the end."""
        answer = await self.redeem(await self.code(who, scope, patient=patient, **more))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def bearer(self, name: str, who: str, scope: str, *, patient: str = "") -> str:
        """The same; the access token becomes usable in `world.ask(..., name)`."""
        self.world.tokens[name] = (await self.tokens(who, scope, patient=patient))["access_token"]
        return name


async def register(world: World, kind: str = "public", *, owner: str = "QP00", **more: Any) -> App:
    """A new application."""
    key = more.pop("key", EC_KEY if kind == "asymmetric" else None)
    values: dict[str, Any] = {"redirect_uris": [BACK], "scopes": ALL_SCOPES, "name": f"应用 {kind}", **more}
    if kind == "asymmetric":
        values.setdefault("jwks", {"keys": [key.as_dict(private=False)]})
    async with world.platform.pool.connection() as connection:
        client, secret = await access.register_client(connection, kind=kind, organisation=world.keys[owner], **values)
    return App(world, client, secret, key)


async def system(world: World, name: str, owner: str, scopes: list[str]) -> str:
    """A system of an organisation with an access token; usable as `name` in `world.ask`."""
    app = await register(world, "asymmetric", owner=owner, scopes=scopes)
    answer = await app.ask_token(grant_type="client_credentials", scope=" ".join(scopes))
    assert answer.status_code == 200, answer.text
    world.tokens[name] = answer.json()["access_token"]
    return name


def came_back(response: httpx.Response) -> dict[str, str]:
    """What the application gets at its return address."""
    goal = response.headers["location"]
    assert response.status_code == 303
    assert goal.startswith(f"{BACK}?"), goal
    return dict(parse_qsl(urlsplit(goal).query))


def hidden(page: str) -> list[tuple[str, str]]:
    """The hidden fields of the consent form."""
    form = page.split('action="/oauth/consent"', 1)[1]
    return re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)


def scopes_on(page: str) -> list[str]:
    """The scopes the page offers."""
    return [html.unescape(value) for value in re.findall(r'name="scope" value="([^"]*)"', page)]
