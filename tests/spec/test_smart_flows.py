"""SMART App Launch v2 and OpenID Connect as an application meets them: discovery, launch, consent, tokens, context."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from psycopg.conninfo import make_conninfo
from tests.api_world import World, inhabited, world
from tests.smart_world import (
    ALL_SCOPES,
    BACK,
    FHIR,
    RSA_KEY,
    SITE,
    App,
    came_back,
    register,
    scopes_on,
    system,
)

from healthbrain import access
from healthbrain.access.smart.authorising import bearer
from healthbrain.errors import Incorrect, Unauthenticated

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_smart_flows"
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


# -- what the server says about itself


@pytest.mark.parametrize("path", ["/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"])
async def test_the_smart_configuration_says_where_and_what(hb: World, path: str) -> None:
    answer = await hb.client.get(path, headers={"origin": "https://app.example"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    said = answer.json()
    assert said["issuer"] == SITE
    assert said["authorization_endpoint"] == f"{SITE}/oauth/authorize"
    assert said["token_endpoint"] == f"{SITE}/oauth/token"
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert set(said["grant_types_supported"]) == {"authorization_code", "refresh_token", "client_credentials"}
    assert {"launch-ehr", "launch-standalone", "permission-v2", "sso-openid-connect"} <= set(said["capabilities"])


async def test_the_capability_statement_points_to_the_authorisation_server(hb: World) -> None:
    security = (await hb.ask("GET", "metadata", None)).json()["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    uris = {one["url"]: one["valueUri"] for one in security["extension"][0]["extension"]}
    assert uris["token"] == f"{SITE}/oauth/token"


async def test_openid_discovery_and_keys_fit_together(hb: World) -> None:
    said = (await hb.client.get("/.well-known/openid-configuration")).json()
    keys = (await hb.client.get(said["jwks_uri"])).json()["keys"]
    assert said["id_token_signing_alg_values_supported"] == ["RS256"]
    assert all(key["kty"] == "RSA" and "d" not in key for key in keys)


async def test_a_browser_application_may_ask_from_its_own_origin_without_cookies(hb: World) -> None:
    asks = {"origin": "https://app.example", "access-control-request-method": "GET"}
    for path in ("/oauth/token", "/fhir/Patient"):
        answer = await hb.client.options(path, headers=asks)
        assert answer.status_code == 204
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers


# -- a resident's application


async def test_a_resident_lets_an_application_see_the_own_record(hb: World, app: App) -> None:
    page = await app.open("resident", app.request("openid fhirUser launch/patient patient/*.rs", nonce="n-1"))
    assert page.status_code == 200
    assert "查看所选居民的健康档案全部内容" in page.text
    assert app.client.name in page.text
    assert "青浦区" in page.text
    answer = came_back(await app.decide("resident", page, patient="a-zs"))
    assert answer["state"] == "s" * 24
    assert answer["iss"] == SITE
    said = (await app.redeem(answer["code"])).json()
    assert said["token_type"] == "Bearer"
    assert said["patient"] == "a-zs"
    assert said["scope"] == "openid fhirUser launch/patient patient/*.rs"
    assert 0 < said["expires_in"] <= 3600
    assert "refresh_token" not in said
    keys = KeySet.import_key_set((await hb.client.get("/oauth/jwks")).json())
    claims = jwt.decode(said["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == SITE
    assert claims["aud"] == app.client.id
    assert claims["nonce"] == "n-1"
    assert claims["exp"] > claims["iat"] >= claims["auth_time"]
    assert claims["fhirUser"] in (f"{FHIR}/Patient/a-zs", f"{FHIR}/Patient/a-xy")
    assert "resident" not in claims["sub"]
    hb.tokens["granted"] = said["access_token"]
    assert (await hb.ask("GET", "Patient/a-zs", "granted")).status_code == 200
    assert (await hb.ask("GET", "Patient/b-zs", "granted")).status_code == 404


async def test_the_page_is_english_when_the_browser_is(hb: World, app: App) -> None:
    fields = app.request("patient/Observation.rs?category=laboratory launch/patient")
    headers = {**hb.headers("resident"), "accept-language": "en-GB"}
    page = await hb.client.get("/oauth/authorize", params=fields, headers=headers)
    assert '<html lang="en"' in page.text
    assert "See: results, vital signs and measurements of the chosen resident (only category = laboratory)" in page.text


async def test_the_person_may_take_single_scopes_away(hb: World, app: App) -> None:
    page = await app.open("resident", app.request("launch/patient patient/Observation.rs patient/Condition.rs"))
    assert scopes_on(page.text) == ["patient/Observation.rs", "patient/Condition.rs"]
    answer = came_back(await app.decide("resident", page, patient="a-zs", scope=["patient/Condition.rs"]))
    assert (await app.redeem(answer["code"])).json()["scope"] == "launch/patient patient/Condition.rs"


async def test_unknown_scopes_and_those_of_no_use_to_the_role_are_dropped_and_the_rest_is_named(
    hb: World, app: App
) -> None:
    wanted = "launch/patient patient/*.cruds patient/Nothing.rs system/*.rs user/Observation.write email"
    said = await app.tokens("resident", wanted, patient="a-zs")
    assert said["scope"] == "launch/patient patient/*.rs"


async def test_an_application_gets_no_more_than_it_is_registered_for(hb: World) -> None:
    small = await register(hb, scopes=["launch/patient", "patient/Observation.rs"])
    said = await small.tokens("resident", "launch/patient patient/*.cruds offline_access openid", patient="a-zs")
    assert said["scope"] == "launch/patient patient/Observation.rs"
    assert not {"refresh_token", "id_token"} & said.keys()


async def test_scopes_of_version_1_are_understood(hb: World, app: App) -> None:
    said = await app.tokens("resident", "launch/patient patient/Observation.read", patient="a-zs")
    assert said["scope"] == "launch/patient patient/Observation.read"
    hb.tokens["v1"] = said["access_token"]
    assert (await hb.ask("GET", "Observation", "v1")).status_code == 200
    assert (await hb.ask("GET", "Patient/a-zs", "v1")).status_code == 403


async def test_refusing_is_told_to_the_application(hb: World, app: App) -> None:
    page = await app.open("resident", app.request("launch/patient patient/*.rs"))
    answer = came_back(await app.decide("resident", page, decision="deny"))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "s" * 24


async def test_nobody_signed_in_goes_to_sign_in_and_comes_back(hb: World, app: App) -> None:
    answer = await app.open(None, app.request("launch/patient patient/*.rs"))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2Foauth%2Fauthorize%3F")
    silent = await app.open(None, app.request("launch/patient patient/*.rs", prompt="none"))
    assert came_back(silent)["error"] == "login_required"
    known = await app.open("resident", app.request("launch/patient patient/*.rs", prompt="none"))
    assert came_back(known)["error"] == "consent_required"


async def test_a_request_may_be_posted_and_then_goes_on_as_a_get(hb: World, app: App) -> None:
    answer = await hb.client.post("/oauth/authorize", data=app.request("launch/patient patient/*.rs"))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/oauth/authorize?response_type=code")


# -- a doctor's application


async def test_a_doctor_finds_and_chooses_among_the_residents_the_doctor_may_see(hb: World, app: App) -> None:
    fields = app.request("launch/patient patient/*.rs openid fhirUser")
    empty = await app.open("doctor", fields)
    assert "请先查找并选择一位居民" in empty.text
    looking = {"headers": {"cookie": hb.headers("doctor")["cookie"]}, "follow_redirects": False}
    page = await hb.client.post("/oauth/authorize", data={**fields, "hb_find": "张伟"}, **looking)
    assert 'value="a-xy"' in page.text
    assert 'value="a-zs"' in page.text
    hidden = await hb.client.post("/oauth/authorize", data={**fields, "hb_find": "李娜"}, **looking)
    assert 'value="b-zs"' not in hidden.text
    answer = came_back(await app.decide("doctor", page, patient="a-xy"))
    assert (await app.redeem(answer["code"])).json()["patient"] == "a-xy"
    stolen = came_back(await app.decide("doctor", page, patient="b-zs"))
    assert stolen["error"] == "access_denied"


async def test_launching_brings_what_else_is_open_on_the_screen(hb: World) -> None:
    launched = await register(hb, "symmetric", launch_uri="https://app.example/launch")
    for id_, patient, who in (("r1", "a-xy", "QPXY"), ("r2", "b-zs", "QPZS")):
        report = {"resourceType": "DiagnosticReport", "id": id_, "status": "final", "code": {"text": "x"},
                  "subject": {"reference": f"Patient/{patient}"}}  # fmt: skip
        assert (await hb.ask("PUT", f"DiagnosticReport/{id_}", who, json=report)).status_code in (200, 201)
    cookie = hb.cookies["doctor"]
    headers = {"cookie": f"hb_session={cookie}"}
    form = {"csrf": access.csrf_token(cookie), "client": launched.client.id, "patient": "a-xy"}

    async def launch(context: str) -> httpx.Response:
        return await hb.client.post("/oauth/launch", data={**form, "context": context}, headers=headers)

    start = await launch("DiagnosticReport/r1 Practitioner/prac-1 DiagnosticReport/r1")
    assert start.status_code == 303, start.text
    handle = start.headers["location"].rpartition("launch=")[2]
    said = await launched.tokens("doctor", "launch patient/*.rs online_access", launch=handle)
    expected = [{"reference": "DiagnosticReport/r1"}, {"reference": "Practitioner/prac-1"}]
    assert (said["patient"], said["fhirContext"]) == ("a-xy", expected)
    again = await launched.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])
    assert again.json()["fhirContext"] == expected
    form_, proof = launched.proof({"token": again.json()["access_token"]})
    told = await hb.client.post("/oauth/introspect", data=form_, headers=proof)
    assert told.json()["fhirContext"] == expected
    for wrong, status in (
        ("DiagnosticReport/r2", 404), ("DiagnosticReport/none", 404), ("Patient/a-xy", 400), ("Encounter/e", 400), ("x", 400),
        ("DiagnosticReport/r1/_history/1", 400), ("http://x.example/DiagnosticReport/r1", 400), ("AuditEvent/1", 403),
        (" ".join(f"Practitioner/p{n}" for n in range(21)), 400),
    ):  # fmt: skip
        assert (await launch(wrong)).status_code == status, wrong


async def test_launching_from_our_screens_brings_patient_and_encounter(hb: World) -> None:
    launched = await register(hb, launch_uri="https://app.example/launch")
    encounter = {
        "resourceType": "Encounter",
        "id": "enc-a",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/a-xy"},
    }
    assert (await hb.ask("PUT", "Encounter/enc-a", "QPXY", json=encounter)).status_code in (200, 201)
    cookie = hb.cookies["doctor"]
    form = {"csrf": access.csrf_token(cookie), "client": launched.client.id, "patient": "a-xy", "encounter": "enc-a"}
    start = await hb.client.post("/oauth/launch", data=form, headers={"cookie": f"hb_session={cookie}"})
    assert start.status_code == 303
    goal = start.headers["location"]
    assert goal.startswith("https://app.example/launch?iss=http%3A%2F%2Ftestserver%2Ffhir&launch=")
    handle = goal.rpartition("launch=")[2]
    said = await launched.tokens("doctor", "launch launch/patient launch/encounter patient/*.rs", launch=handle)
    assert said["patient"] == "a-xy"
    assert said["encounter"] == "enc-a"
    assert said["need_patient_banner"] is False
    assert "fhirContext" not in said
    other = await launched.open("manager", launched.request("launch user/*.rs", launch=handle))
    assert came_back(other)["error"] == "invalid_request"
    hidden = await hb.client.post(
        "/oauth/launch", data={**form, "patient": "b-zs"}, headers={"cookie": f"hb_session={cookie}"}
    )
    assert hidden.status_code == 404
    forged = await hb.client.post(
        "/oauth/launch", data={**form, "csrf": "x"}, headers={"cookie": f"hb_session={cookie}"}
    )
    assert forged.status_code == 403


async def test_user_scopes_reach_as_far_as_the_doctor_and_no_further(hb: World, app: App) -> None:
    await app.bearer("through", "doctor", "user/*.rs")
    for type_ in ("Patient", "Observation"):
        found = (await hb.ask("GET", f"{type_}?_count=100", "through")).json()
        own = (await hb.ask("GET", f"{type_}?_count=100", "doctor")).json()
        assert {e["resource"]["id"] for e in found["entry"]} == {e["resource"]["id"] for e in own["entry"]}
    assert (await hb.ask("POST", "Observation", "through", json={})).status_code == 403


# -- refreshing, revoking, asking about tokens


@pytest.mark.parametrize("kind", ["public", "symmetric", "asymmetric"])
async def test_each_kind_of_application_gets_and_renews_tokens_in_its_own_way(hb: World, kind: str) -> None:
    one = await register(hb, kind)
    said = await one.tokens("resident", "launch/patient patient/*.rs offline_access", patient="a-zs")
    renewed = await one.ask_token(grant_type="refresh_token", refresh_token=said["refresh_token"])
    assert renewed.status_code == 200, renewed.text
    fresh = renewed.json()
    assert fresh["patient"] == "a-zs"
    assert fresh["access_token"] != said["access_token"]
    assert fresh["refresh_token"] != said["refresh_token"]
    fewer = await one.ask_token(
        grant_type="refresh_token", refresh_token=fresh["refresh_token"], scope="patient/Observation.rs"
    )
    assert fewer.json()["scope"] == "patient/Observation.rs"
    hb.tokens["fewer"] = fewer.json()["access_token"]
    assert (await hb.ask("GET", "Patient/a-zs", "fewer")).status_code == 403
    assert (await hb.ask("GET", "Observation/o-a-zs", "fewer")).status_code == 200


async def test_online_access_ends_with_the_session_and_offline_access_does_not(hb: World, app: App) -> None:
    at = hb.platform.clock()
    async with hb.platform.pool.connection() as connection:
        session = await access.sign_in(connection, "resident", "Sunny-Day-42", at)
    hb.cookies["briefly"] = session.cookie
    online = await app.tokens("briefly", "launch/patient patient/*.rs online_access", patient="a-zs")
    offline = await app.tokens("briefly", "launch/patient patient/*.rs offline_access", patient="a-zs")
    async with hb.platform.pool.connection() as connection:
        await access.sign_out(connection, session.cookie, at)
    ended = await app.ask_token(grant_type="refresh_token", refresh_token=online["refresh_token"])
    assert (ended.status_code, ended.json()["error"]) == (400, "invalid_grant")
    goes_on = await app.ask_token(grant_type="refresh_token", refresh_token=offline["refresh_token"])
    assert goes_on.status_code == 200


async def test_a_revoked_token_is_out_at_once(hb: World) -> None:
    one = await register(hb, "symmetric")
    said = await one.tokens("resident", "launch/patient patient/*.rs offline_access", patient="a-zs")
    hb.tokens["revoked"] = said["access_token"]
    assert (await hb.ask("GET", "Patient/a-zs", "revoked")).status_code == 200
    form, headers = one.proof({"token": said["refresh_token"]})
    assert (await hb.client.post("/oauth/revoke", data=form, headers=headers)).status_code == 200
    assert (await hb.ask("GET", "Patient/a-zs", "revoked")).status_code == 401
    form, headers = one.proof({"token": "never was one"})
    assert (await hb.client.post("/oauth/revoke", data=form, headers=headers)).status_code == 200


async def test_the_owner_takes_back_what_was_allowed(hb: World, app: App) -> None:
    said = await app.tokens("resident", "launch/patient patient/*.rs", patient="a-zs")
    hb.tokens["taken back"] = said["access_token"]
    at = hb.platform.clock()
    async with hb.platform.pool.connection() as connection:
        given = await access.authorisations_of(connection, "resident", at)
        assert given[0].name == app.client.name
        await access.withdraw(connection, "resident", given[0].id, at)
    answer = await app.world.client.get("/oauth/userinfo", headers={"authorization": f"Bearer {said['access_token']}"})
    assert answer.status_code == 401


async def test_introspection_tells_the_owner_organisation_and_nobody_else(hb: World, app: App) -> None:
    said = await app.tokens("resident", "launch/patient patient/*.rs openid fhirUser", patient="a-zs")
    asking = await register(hb, "symmetric", owner="QP00")
    form, headers = asking.proof({"token": said["access_token"]})
    found = (await hb.client.post("/oauth/introspect", data=form, headers=headers)).json()
    assert found["active"] is True
    assert found["patient"] == "a-zs"
    assert found["client_id"] == app.client.id
    assert found["scope"] == said["scope"]
    assert found["exp"] > found["iat"]
    stranger = await register(hb, "symmetric", owner="XHZX")
    form, headers = stranger.proof({"token": said["access_token"]})
    assert (await hb.client.post("/oauth/introspect", data=form, headers=headers)).json() == {"active": False}
    form, headers = asking.proof({"token": "hs_nothing"})
    assert (await hb.client.post("/oauth/introspect", data=form, headers=headers)).json() == {"active": False}
    form, headers = app.proof({"token": said["access_token"]})  # a public client proves nothing
    assert (await hb.client.post("/oauth/introspect", data=form, headers=headers)).status_code == 401


async def test_userinfo_is_about_the_person_of_the_id_token(hb: World, app: App) -> None:
    said = await app.tokens("doctor", "openid fhirUser profile")
    headers = {"authorization": f"Bearer {said['access_token']}"}
    info = (await hb.client.get("/oauth/userinfo", headers=headers)).json()
    keys = KeySet.import_key_set((await hb.client.get("/oauth/jwks")).json())
    claims = jwt.decode(said["id_token"], keys, algorithms=["RS256"]).claims
    assert info == {"sub": claims["sub"], "name": "doctor", "fhirUser": f"{FHIR}/Practitioner/prac-1"}


# -- systems


@pytest.mark.parametrize("key", [None, RSA_KEY], ids=["ES384", "RS384"])
async def test_a_system_signs_for_its_organisation(hb: World, key: object) -> None:
    more = {"key": key} if key else {}
    scopes = ["system/Patient.rs", "system/Observation.cruds"]
    backend = await register(hb, "asymmetric", owner="QPZS", scopes=scopes, **more)
    answer = await backend.ask_token(grant_type="client_credentials", scope="system/Patient.rs system/Condition.rs")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["scope"] == "system/Patient.rs"
    assert said["expires_in"] <= 300
    assert "refresh_token" not in said
    hb.tokens["backend"] = said["access_token"]
    found = (await hb.ask("GET", "Patient", "backend")).json()
    assert {e["resource"]["id"] for e in found["entry"]} == {"a-zs", "b-zs"}
    assert (await hb.ask("GET", "Observation", "backend")).status_code == 403


async def test_a_disabled_application_is_out(hb: World) -> None:
    backend = await register(hb, "asymmetric", owner="QPZS", scopes=["system/*.rs"])
    hb.tokens["disabled"] = (await backend.ask_token(grant_type="client_credentials", scope="system/*.rs")).json()[
        "access_token"
    ]
    async with hb.platform.pool.connection() as connection:
        await access.disable_client(connection, backend.client.id, at=hb.platform.clock())
    again = await backend.ask_token(grant_type="client_credentials", scope="system/*.rs")
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    async with hb.platform.pool.connection() as connection:
        with pytest.raises(Unauthenticated):
            await bearer(connection, hb.tokens["disabled"], hb.platform.clock())


# -- the trail


async def test_what_an_application_is_allowed_and_does_is_in_the_audit_log(hb: World, app: App) -> None:
    said = await app.tokens("resident", "launch/patient patient/*.rs", patient="a-zs")
    hb.tokens["watched"] = said["access_token"]
    await hb.ask("GET", "Patient/a-zs", "watched", headers={"x-request-id": "seen-1"})
    page = await app.open("resident", app.request("launch/patient patient/*.rs"))
    await app.decide("resident", page, decision="deny")
    await app.redeem("no such code")
    events = await hb.events()
    offered, allowed = [
        [e for e in events if e.interaction == "authorize" and e.outcome == 0 and part in e.detail][-1]
        for part in ("to choose from", "patient/*.rs")
    ]
    assert len(offered.patients) == 2
    assert (allowed.account, allowed.id, allowed.type) == ("resident", app.client.id, "client")
    assert allowed.patients
    assert any(e.interaction == "authorize" and e.detail == "access_denied" for e in events)
    assert any(e.interaction == "token" and e.outcome == 0 and e.id == app.client.id for e in events)
    assert any(e.interaction == "token" and e.detail == "invalid_grant" for e in events)
    (seen,) = [e for e in events if e.request == "seen-1"]
    assert app.client.id in seen.detail
    assert seen.account == "resident"


async def test_registering_says_what_is_missing(hb: World) -> None:
    wrong = [
        {"kind": "public", "scopes": ["system/*.rs"]},
        {"kind": "public", "scopes": ["patient/Nothing.rs"]},
        {"kind": "public", "scopes": []},
        {"kind": "public", "redirect_uris": ["https://app.example/#fragment"]},
        {"kind": "asymmetric", "jwks": {"keys": []}},
        {"kind": "asymmetric", "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "kid": "a"}]}},
        {"kind": "confidential"},
    ]
    for values in wrong:
        values = {"scopes": ALL_SCOPES, "redirect_uris": [BACK], **values}
        async with hb.platform.pool.connection() as connection:
            with pytest.raises(Incorrect):
                await access.register_client(connection, name="错误的应用", organisation=hb.keys["QP00"], **values)


async def test_reading_by_name_does_not_mean_searching(hb: World) -> None:
    await system(hb, "short", "QPXY", ["system/Patient.r"])
    assert (await hb.ask("GET", "Patient/a-xy", "short")).status_code == 200
    assert (await hb.ask("GET", "Patient", "short")).status_code == 403
