"""What an attacker tries on an authorisation server, after RFC 6819, RFC 9700 and OpenID Connect: each is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from psycopg.conninfo import make_conninfo
from tests.api_world import World, inhabited, world
from tests.smart_world import BACK, EC_KEY, FHIR, RSA_KEY, SITE, TOKEN_URL, App, came_back, hidden, register

from healthbrain import access
from healthbrain.access.smart.authorising import CODE, challenge_of, redeem_code
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.api.oauth.brake import Brake
from healthbrain.errors import Busy

pytestmark = pytest.mark.anyio
SCOPE = "launch/patient patient/*.rs offline_access"


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_smart_security"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        yield made


@pytest.fixture(scope="module")
async def app(hb: World) -> App:
    return await register(hb)


def error(answer: Any) -> str:
    return str(answer.json()["error"])


# -- the authorization request


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://elsewhere.example/fhir"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJ"}, "invalid_request"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"launch": "made up", "scope": "launch patient/*.rs"}, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_told_to_the_application(app: App, changed: dict[str, Any], code: str) -> None:
    answer = came_back(await app.open("resident", app.request(**{"scope": SCOPE, **changed})))
    assert answer["error"] == code
    assert answer["iss"] == SITE
    assert "code" not in answer


@pytest.mark.parametrize(
    "uri",
    [
        "", "https://evil.example/", f"{BACK}/", f"{BACK}?x=1", f"{BACK}#x", BACK.upper(), "https://app.example.evil.example/callback",
        "https://app.example/callback/../evil", "//app.example/callback", "javascript:alert(1)",
    ],
)  # fmt: skip
async def test_nobody_is_sent_to_an_address_that_is_not_registered_exactly(app: App, uri: str) -> None:
    answer = await app.open("resident", {**app.request(SCOPE), "redirect_uri": uri})
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "无法继续" in answer.text


async def test_an_unknown_or_disabled_application_is_not_an_open_redirect(hb: World) -> None:
    gone = await register(hb)
    async with hb.platform.pool.connection() as connection:
        await access.disable_client(connection, gone.client.id, at=hb.platform.clock())
    for client in (gone.client.id, "app-nobody", "", "x\0y"):
        answer = await gone.open("resident", {**gone.request(SCOPE), "client_id": client})
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_a_parameter_that_comes_twice_is_refused(app: App) -> None:
    headers = app.world.headers("resident")
    url = "/oauth/authorize?" + str(
        app.world.client.build_request("GET", "/", params=app.request(SCOPE)).url.query, "ascii"
    )
    answer = await app.world.client.get(f"{url}&client_id=other", headers=headers)
    assert answer.status_code == 400


async def test_what_is_shown_cannot_be_framed_or_inject_anything(hb: World) -> None:
    nasty = await register(hb, name='<script>alert("x")</script>')
    page = await nasty.open("resident", nasty.request(SCOPE, state='"><script>alert(1)</script>'))
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example" in policy
    assert "script-src" not in policy
    assert page.headers["cache-control"] == "no-store"


# -- consent


async def test_consent_counts_only_from_our_own_page_in_the_same_session(hb: World, app: App) -> None:
    page = await app.open("resident", app.request(SCOPE))
    forged = await app.decide("resident", page, patient="a-zs", csrf="0" * 64)
    assert forged.status_code == 403
    others = await app.decide("doctor", page, patient="a-xy")  # the doctor's cookie with the resident's page
    assert others.status_code == 403
    form = {**dict(hidden(page.text)), "decision": "allow", "patient": "a-zs", "scope": ["patient/*.rs"]}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        cookie = {"cookie": hb.headers("resident")["cookie"]}
        answer = await hb.client.post("/oauth/consent", data=form, headers={**headers, **cookie})
        assert answer.status_code == 403
    nobody = await hb.client.post("/oauth/consent", data=form)
    assert nobody.status_code == 403


async def test_the_answer_cannot_ask_for_more_than_the_question(app: App) -> None:
    page = await app.open("resident", app.request("launch/patient patient/Observation.rs"))
    more = ["patient/Observation.rs", "patient/*.rs", "user/*.cruds", "offline_access"]
    answer = came_back(await app.decide("resident", page, patient="a-zs", scope=more))
    assert (await app.redeem(answer["code"])).json()["scope"] == "launch/patient patient/Observation.rs"


async def test_a_resident_cannot_let_an_application_see_somebody_else(app: App) -> None:
    page = await app.open("resident", app.request(SCOPE))
    assert 'value="b-zs"' not in page.text
    for patient in ("b-zs", "c-zx", "nobody", "a b"):
        answer = came_back(await app.decide("resident", page, patient=patient))
        assert answer["error"] == "access_denied"


async def test_a_leader_who_sees_figures_cannot_give_records_away(app: App) -> None:
    for scope in ("launch/patient patient/*.rs", "patient/Observation.rs"):
        answer = await app.open("leader", app.request(scope))
        if answer.status_code == 303:
            assert came_back(answer)["error"] == "invalid_scope"
        else:
            page = came_back(await app.decide("leader", answer, patient="a-zs"))
            assert page["error"] == "access_denied"


# -- codes


async def test_a_code_works_once_and_the_second_time_ends_what_it_gave(hb: World, app: App) -> None:
    code = await app.code("resident", SCOPE, patient="a-zs")
    said = (await app.redeem(code)).json()
    hb.tokens["first"] = said["access_token"]
    assert (await hb.ask("GET", "Patient/a-zs", "first")).status_code == 200
    again = await app.redeem(code)
    assert (again.status_code, error(again)) == (400, "invalid_grant")
    refreshed = await app.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])
    assert error(refreshed) == "invalid_grant"
    bearer = await hb.client.get("/oauth/userinfo", headers={"authorization": f"Bearer {said['access_token']}"})
    assert bearer.status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"code_verifier": "short"},
        {"redirect_uri": "https://app.example/other"},
        {"redirect_uri": ""},
        {"code": "made-up"},
        {"code": ""},
    ],
)
async def test_a_code_needs_its_verifier_and_address(app: App, changed: dict[str, str]) -> None:
    code = await app.code("resident", SCOPE, patient="a-zs")
    answer = await app.redeem(changed.pop("code", code), **changed)
    assert (answer.status_code, error(answer)) == (400, "invalid_grant")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_challenge_itself_is_no_verifier(app: App) -> None:
    code = await app.code("resident", SCOPE, patient="a-zs")
    assert error(await app.redeem(code, code_verifier=challenge_of(app.verifier))) == "invalid_grant"


async def test_another_application_cannot_redeem_a_code_nor_spoil_it(hb: World, app: App) -> None:
    other = await register(hb, "symmetric")
    code = await app.code("resident", SCOPE, patient="a-zs")
    stolen = await other.redeem(code, code_verifier=app.verifier)
    assert error(stolen) == "invalid_grant"
    assert (await app.redeem(code)).status_code == 200


async def test_a_code_is_short_lived(hb: World, app: App) -> None:
    code = await app.code("resident", SCOPE, patient="a-zs")
    later = hb.platform.clock() + CODE
    async with hb.platform.pool.connection() as connection:
        with pytest.raises(OAuthRefusal) as caught:
            await redeem_code(connection, app.client, code, redirect_uri=BACK, verifier=app.verifier, at=later)
    assert caught.value.code == "invalid_grant"


# -- refresh tokens


async def test_a_refresh_token_that_comes_back_ends_everything_beside_it(hb: World, app: App) -> None:
    said = await app.tokens("resident", SCOPE, patient="a-zs")
    fresh = (await app.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])).json()
    copied = await app.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])
    assert (copied.status_code, error(copied)) == (400, "invalid_grant")
    owner = await app.ask_token(grant_type="refresh_token", refresh_token=fresh["refresh_token"])
    assert error(owner) == "invalid_grant"
    hb.tokens["after"] = fresh["access_token"]
    answer = await hb.client.get("/oauth/userinfo", headers=hb.headers("after"))
    assert answer.status_code == 401


async def test_a_refresh_token_belongs_to_its_application_and_never_widens(hb: World, app: App) -> None:
    said = await app.tokens("resident", "launch/patient patient/Observation.rs offline_access", patient="a-zs")
    other = await register(hb)
    stolen = await other.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])
    assert error(stolen) == "invalid_grant"
    wider = await app.ask_token(
        grant_type="refresh_token", refresh_token=said["refresh_token"], scope="patient/*.rs user/*.cruds"
    )
    assert wider.json()["scope"] == "patient/Observation.rs"


async def test_a_closed_account_takes_its_applications_along(hb: World, app: App) -> None:
    async with hb.platform.pool.connection() as connection:
        await access.create_account(
            connection,
            name="leaving",
            password="Sunny-Day-42",
            role="manager",
            organisation=hb.keys["QPZS"],
            display="x",
        )
        session = await access.sign_in(connection, "leaving", "Sunny-Day-42", hb.platform.clock())
    hb.cookies["leaving"] = session.cookie
    said = await app.tokens("leaving", "user/*.rs offline_access")
    async with hb.platform.pool.connection() as connection:
        await access.disable_account(connection, "leaving", at=hb.platform.clock())
    assert (
        error(await app.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])) == "invalid_grant"
    )
    hb.tokens["leaving"] = said["access_token"]
    assert (await hb.ask("GET", "Patient", "leaving")).status_code == 401


# -- how applications prove who they are


async def test_a_secret_is_needed_and_sent_by_http_basic_alone(hb: World) -> None:
    one = await register(hb, "symmetric")
    form = {"grant_type": "authorization_code", "code": "x"}
    wrong = base64.b64encode(f"{one.client.id}:wrong".encode()).decode()
    for headers, more in [
        ({"authorization": f"Basic {wrong}"}, {}),
        ({"authorization": "Basic !!!"}, {}),
        ({"authorization": "Bearer x"}, {}),
        ({}, {"client_id": one.client.id}),
        ({}, {"client_id": one.client.id, "client_secret": one.secret}),
        ({"authorization": one.proof({})[1]["authorization"]}, {"client_id": "another"}),
    ]:
        answer = await hb.client.post("/oauth/token", data={**form, **more}, headers=headers)
        assert (answer.status_code, error(answer)) == (401, "invalid_client"), (headers, more)
        assert "www-authenticate" in answer.headers


def unsigned(claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "kid": "ec-1"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


THIEF = ECKey.generate_key("P-384", {"kid": "ec-1"})
OTHER_KIND = RSAKey.generate_key(2048, {"kid": "ec-1"})
PUBLIC_AS_SECRET = OctKey.import_key(json.dumps(EC_KEY.as_dict(private=False)).encode())
ASSERTION = {
    "grant_type": "client_credentials",
    "scope": "system/*.rs",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
}


def forgeries(app: App) -> dict[str, str]:
    """Assertions that must not be believed, by what is wrong with them."""
    now = int(app.world.platform.clock().timestamp())
    own: dict[str, Any] = {"iss": app.client.id, "sub": app.client.id, "aud": TOKEN_URL, "exp": now + 200, "jti": "j"}
    inside = {"alg": "ES384", "kid": "ec-1", "jwk": THIEF.as_dict(private=False)}
    return {
        "not a token": "abc",
        "alg none": unsigned(own),
        "alg none with a signature": unsigned(own) + "eA",
        "another key of the same kid": app.assertion(key=THIEF),
        "another kind of key of the same kid": app.assertion(key=OTHER_KIND),
        "the public key as a secret": jwt.encode({"alg": "HS256", "kid": "ec-1"}, own, PUBLIC_AS_SECRET),
        "its own key inside": jwt.encode(inside, own, THIEF, algorithms=["ES384"]),
        "unknown kid": app.assertion(header={"kid": "other"}),
        "a path as kid": app.assertion(header={"kid": "../../../etc/passwd"}),
        "expired": app.assertion(exp=now - 120),
        "expires too late": app.assertion(exp=now + 3600),
        "no expiry": app.assertion(exp=None),
        "expiry as text": app.assertion(exp=str(now + 200)),
        "expiry that never comes": app.assertion(exp=1e300),
        "not valid yet": app.assertion(nbf=now + 600),
        "another audience": app.assertion(aud=FHIR),
        "several audiences": app.assertion(aud=[TOKEN_URL, "https://evil.example"]),
        "another issuer": app.assertion(iss="app-other"),
        "another subject": app.assertion(sub="app-other"),
        "no jti": app.assertion(jti=None),
        "a jti that is no text": app.assertion(jti=["a"]),
    }


async def test_an_assertion_that_is_not_the_clients_own_for_us_and_now_is_refused(hb: World) -> None:
    backend = await register(hb, "asymmetric", owner="QPZS", scopes=["system/*.rs"])
    for what in forgeries(backend):
        fresh = await register(hb, "asymmetric", owner="QPZS", scopes=["system/*.rs"])  # each has its own brake
        answer = await hb.client.post("/oauth/token", data={**ASSERTION, "client_assertion": forgeries(fresh)[what]})
        assert (answer.status_code, error(answer)) == (401, "invalid_client"), what


async def test_an_assertion_is_used_once(hb: World) -> None:
    backend = await register(hb, "asymmetric", owner="QPZS", scopes=["system/*.rs"])
    form = {**ASSERTION, "client_assertion": backend.assertion()}
    assert (await hb.client.post("/oauth/token", data=form)).status_code == 200
    again = await hb.client.post("/oauth/token", data=form)
    assert (again.status_code, error(again)) == (401, "invalid_client")
    form = {**ASSERTION, "client_assertion": backend.assertion(), "client_assertion_type": "x"}
    assert error(await hb.client.post("/oauth/token", data=form)) == "invalid_client"


async def test_one_clients_key_does_not_prove_another_client(hb: World) -> None:
    one = await register(hb, "asymmetric", owner="QPZS", scopes=["system/*.rs"])
    other = await register(hb, "asymmetric", owner="XHZX", scopes=["system/*.rs"], key=RSA_KEY)
    forged = App(hb, other.client, key=one.key)
    answer = await forged.ask_token(grant_type="client_credentials", scope="system/*.rs")
    assert error(answer) == "invalid_client"


@pytest.mark.parametrize("kind", ["public", "symmetric"])
async def test_only_a_client_with_a_key_of_its_own_acts_for_an_organisation(hb: World, kind: str) -> None:
    scopes = ["user/*.rs"] if kind == "public" else ["system/*.rs"]
    one = await register(hb, kind, scopes=scopes)
    answer = await one.ask_token(grant_type="client_credentials", scope="system/*.rs")
    assert error(answer) == "unauthorized_client"


async def test_the_token_endpoint_takes_forms_of_known_grants_only(hb: World, app: App) -> None:
    assert error(await app.ask_token(grant_type="password", username="resident", password="Sunny-Day-42")) == (
        "unsupported_grant_type"
    )
    assert error(await app.ask_token()) == "unsupported_grant_type"
    answer = await hb.client.post("/oauth/token", json={"grant_type": "authorization_code"})
    assert answer.status_code == 400
    huge = await hb.client.post("/oauth/token", data={"grant_type": "x" * 100_000})
    assert huge.status_code == 413
    twice = await hb.client.post(
        "/oauth/token",
        content="grant_type=a&grant_type=b",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert error(twice) == "invalid_request"
    assert (await hb.client.get("/oauth/token")).status_code == 405


async def test_guessing_is_slowed_down_for_the_guesser_and_nobody_else(hb: World) -> None:
    victim, other = await register(hb), await register(hb)
    statuses = [(await victim.redeem("guess")).status_code for _ in range(25)]
    assert statuses[:20] == [400] * 20
    assert statuses[-1] == 429
    slowed = await victim.redeem("guess")
    assert error(slowed) == "temporarily_unavailable"
    assert int(slowed.headers["retry-after"]) >= 1
    assert (await other.redeem("guess")).status_code == 400


def test_the_brake_lets_go_with_time() -> None:
    clock = [0.0]
    brake = Brake(2, 0.5, monotonic=lambda: clock[0])
    key = ("10.0.0.1", "app")
    for _ in range(2):
        brake.check(key)
        brake.spend(key)
    with pytest.raises(Busy):
        brake.check(key)
    clock[0] += 2
    brake.check(key)


# -- tokens at the FHIR server


async def test_an_id_token_or_a_made_up_token_opens_nothing(hb: World, app: App) -> None:
    said = await app.tokens("resident", "openid launch/patient patient/*.rs", patient="a-zs")
    for token in (said["id_token"], "hs_", "hs_" + "a" * 43, said["access_token"] + "x", said["access_token"][:-1]):
        answer = await hb.client.get("/fhir/Patient/a-zs", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_a_wrong_host_header_is_not_taken_for_our_name(hb: World) -> None:
    answer = await hb.client.get("/.well-known/smart-configuration", headers={"host": "evil.example/path"})
    assert answer.status_code == 400


async def test_our_name_is_the_configured_one_whatever_the_request_says(dsn: str, tmp_path: Path) -> None:
    async with world(dsn, tmp_path, public_url="https://health.example/") as made:
        answer = await made.client.get("/.well-known/openid-configuration", headers={"host": "evil.example"})
        assert answer.json()["issuer"] == "https://health.example"
