"""Applications that register themselves (RFC 7591), keys at an address of theirs (jwks_uri), signing out (OIDC RP-initiated)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from tests.api_world import World, inhabited, own_world, world
from tests.smart_world import BACK, EC_KEY, SITE, App, register, system

from healthbrain import access
from healthbrain.access import csrf_token
from healthbrain.api import create_api
from healthbrain.api.oauth.remote_keys import AGAIN, RemoteKeys
from healthbrain.errors import Incorrect

pytestmark = pytest.mark.anyio
KEYS = "https://keys.example/jwks.json"
NEXT_KEY = ECKey.generate_key("P-384", {"kid": "ec-2", "use": "sig", "alg": "ES384"})
GONE = "https://app.example/gone"


@dataclass
class Internet:
    """Where keys are fetched from in tests; notes every request that left the platform."""

    keys: list[Any] = field(default_factory=lambda: [EC_KEY])
    places: dict[str, Sequence[str]] = field(default_factory=lambda: {"keys.example": ["8.8.8.8"]})
    asked: list[httpx.Request] = field(default_factory=list)
    status: int = 200
    now: float = 1000.0
    body: bytes = b""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return self.places.get(host, [])

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.body:
            return httpx.Response(self.status, content=self.body)
        content = {"keys": [key.as_dict(private=False) for key in self.keys]}
        return httpx.Response(self.status, json=content, headers={"location": "https://10.0.0.1/"})

    def remote(self, *own: str) -> RemoteKeys:
        return RemoteKeys(frozenset(own), httpx.MockTransport(self.answer), self.resolve, lambda: self.now)


NET = Internet()
REMOTE = RemoteKeys(frozenset(), httpx.MockTransport(NET.answer), NET.resolve, lambda: NET.now)


@pytest.fixture
def net() -> Internet:
    fresh = Internet()
    for name in ("keys", "places", "asked", "status", "now", "body"):
        setattr(NET, name, getattr(fresh, name))
    REMOTE._known.clear()
    return NET


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb"), registration="approval") as made:
        await inhabited(made)
        transport = httpx.ASGITransport(app=Starlette(routes=create_api(made.platform, remote=REMOTE)))
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            made.client = client
            yield made


async def with_address(hb: World, url: str = KEYS) -> App:
    async with hb.platform.pool.connection() as connection:
        client, _ = await access.register_client(
            connection,
            name="系统",
            kind="asymmetric",
            organisation=hb.keys["QPZS"],
            scopes=["system/*.rs"],
            jwks_uri=url,
        )
    return App(hb, client, "", EC_KEY)


async def token(app: App, **more: Any) -> httpx.Response:
    return await app.ask_token(grant_type="client_credentials", scope="system/*.rs", **more)


async def test_keys_are_fetched_from_the_address_checked_and_kept_for_a_while(hb: World, net: Internet) -> None:
    app = await with_address(hb)
    assert (await token(app)).status_code == 200
    assert (await token(app)).status_code == 200
    (asked,) = net.asked
    assert (asked.url.host, asked.headers["host"]) == ("8.8.8.8", "keys.example")
    assert asked.extensions["sni_hostname"] == "keys.example"
    async with hb.platform.pool.connection() as connection:
        assert (await access.find_client(connection, app.client.id)).last_used_at is not None


async def test_a_new_key_is_found_and_an_old_one_ends(hb: World, net: Internet) -> None:
    app = await with_address(hb)
    assert (await token(app)).status_code == 200
    net.keys = [NEXT_KEY]
    app.key = NEXT_KEY
    assert (await token(app)).status_code == 401, "asked a moment ago"
    net.now += AGAIN + 1
    assert (await token(app)).status_code == 200
    app.key = EC_KEY
    assert (await token(app)).status_code == 401
    assert len(net.asked) == 2


@pytest.mark.parametrize(
    "places", [["10.0.0.5"], ["127.0.0.1"], ["169.254.169.254"], ["8.8.8.8", "192.168.1.1"], ["::1"], ["fd00::1"], ["::ffff:10.0.0.1"], ["100.64.0.1"], []], ids=str
)  # fmt: skip
async def test_an_address_in_a_network_of_ones_own_is_not_asked(hb: World, net: Internet, places: list[str]) -> None:
    net.places["keys.example"] = places
    assert (await token(await with_address(hb))).status_code == 401
    assert net.asked == []


async def test_a_host_that_the_operator_named_may_be_inside(net: Internet) -> None:
    net.places["keys.example"] = ["10.0.0.5"]
    found = await net.remote("keys.example").at(KEYS, "ec-1")
    assert [key["kid"] for key in found["keys"]] == ["ec-1"]


@pytest.mark.parametrize(
    ("status", "body"), [(302, b""), (500, b""), (200, b"{}"), (200, b"x" * 70_000), (200, b"[1]")]
)
async def test_what_is_no_set_of_keys_lets_nobody_in(hb: World, net: Internet, status: int, body: bytes) -> None:
    net.status, net.body = status, body
    assert (await token(await with_address(hb))).status_code == 401
    assert (await token(await with_address(hb))).status_code == 401
    assert len(net.asked) == 1, "a failure is not asked for again at once"


@pytest.mark.parametrize("url", ["http://keys.example/a", "https://user@keys.example/", "file:///etc/passwd", "https:///x", "https://a.example/#b"])  # fmt: skip
async def test_an_unsafe_address_is_not_registered(hb: World, url: str) -> None:
    with pytest.raises(Incorrect):
        await with_address(hb, url)


WISH = {
    "client_name": "血压日记", "redirect_uris": [BACK], "scope": "openid launch/patient patient/Observation.rs",
    "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
    "post_logout_redirect_uris": [GONE],
}  # fmt: skip


async def test_an_application_that_registers_waits_until_it_is_let_in(hb: World) -> None:
    described = (await hb.client.get("/.well-known/openid-configuration")).json()
    assert described["registration_endpoint"] == f"{SITE}/oauth/register"
    answer = await hb.client.post("/oauth/register", json=WISH)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["scope"] == WISH["scope"]
    assert "client_secret" not in made
    async with hb.platform.pool.connection() as connection:
        client = await access.find_client(connection, made["client_id"])
    app = App(hb, client)
    assert (await app.open("resident", app.request("openid"))).status_code == 400
    async with hb.platform.pool.connection() as connection:
        with pytest.raises(Exception, match="no such application"):
            await access.enable_client(connection, client.id, at=hb.platform.clock())
    async with hb.platform.pool.connection() as connection:
        narrower = ["openid", "launch/patient"]
        at = hb.platform.clock()
        await access.approve_client(connection, client.id, organisation=hb.keys["QP00"], scopes=narrower, at=at)
    page = await app.open("resident", app.request("openid launch/patient patient/Observation.rs"))
    assert page.status_code == 200
    assert (
        "patient/Observation.rs"
        not in page.text.replace(urlencode({"s": "patient/Observation.rs"}), "").partition("<fieldset")[2]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": ["http://evil.example/"]}, {"redirect_uris": []}, {"redirect_uris": "x"}, {"scope": "what"},
        {"token_endpoint_auth_method": "private_key_jwt"}, {"token_endpoint_auth_method": "client_secret_post"},
        {"grant_types": ["implicit"]}, {"grant_types": ["client_credentials"]}, {"response_types": ["token"]},
        {"client_name": ""}, {"client_name": 7}, {"jwks": []}, {"jwks_uri": "http://10.0.0.1/"},
        {"post_logout_redirect_uris": ["javascript:alert(1)"]},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_unsafe_or_not_offered_is_not_registered(hb: World, change: dict[str, Any]) -> None:
    answer = await hb.client.post("/oauth/register", json={**WISH, **change})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")


async def test_registering_is_off_unless_it_was_turned_on(dsn: str, tmp_path: Path) -> None:
    async with world(dsn, tmp_path) as closed:
        assert (await closed.client.post("/oauth/register", json=WISH)).status_code == 404
        described = (await closed.client.get("/.well-known/smart-configuration")).json()
        assert "registration_endpoint" not in described


async def test_an_application_signs_the_person_out_with_its_id_token(hb: World) -> None:
    app = await register(hb, post_logout_uris=[GONE])
    tokens = await app.tokens("doctor", "openid")
    cookie = {"cookie": f"hb_session={hb.cookies['doctor']}"}
    query = urlencode({"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": GONE, "state": "a b"})
    answer = await hb.client.get(f"/oauth/logout?{query}", headers=cookie)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{GONE}?state=a+b")
    assert (await hb.ask("GET", "metadata", "doctor")).status_code in (200, 401)
    assert (await hb.ask("GET", "Observation", "doctor")).status_code == 401


async def test_without_proof_the_person_is_asked(hb: World) -> None:
    app = await register(hb, post_logout_uris=[GONE])
    cookie = {"cookie": f"hb_session={hb.cookies['manager']}"}
    query = {"client_id": app.client.id, "post_logout_redirect_uri": GONE}
    page = await hb.client.get(f"/oauth/logout?{urlencode(query)}", headers=cookie)
    assert page.status_code == 200
    assert "退出登录" in page.text
    assert (await hb.client.post("/oauth/logout", data=query, headers=cookie)).status_code == 200, "no token of ours"
    assert (await hb.ask("GET", "Measure", "manager")).status_code == 200
    form = {**query, "csrf": csrf_token(hb.cookies["manager"])}
    answer = await hb.client.post("/oauth/logout", data=form, headers=cookie)
    assert (answer.status_code, answer.headers["location"]) == (303, GONE)
    assert (await hb.ask("GET", "Measure", "manager")).status_code == 401


@pytest.mark.parametrize("goal", ["https://evil.example/", "https://app.example/gone/more", "//evil.example"])
async def test_nobody_is_sent_to_an_address_that_is_not_registered(hb: World, goal: str) -> None:
    app = await register(hb, post_logout_uris=[GONE])
    query = urlencode({"client_id": app.client.id, "post_logout_redirect_uri": goal})
    for who in (None, "cdc"):
        headers = {"cookie": f"hb_session={hb.cookies[who]}"} if who else {}
        answer = await hb.client.get(f"/oauth/logout?{query}", headers=headers)
        assert answer.status_code == 400
    await system(hb, "still a system", "QPZS", ["system/*.rs"])
