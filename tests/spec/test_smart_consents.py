"""Remembered consents, the list of what one allowed, and the administrator's list of applications."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from tests.api_world import World, inhabited, own_world
from tests.smart_world import SITE, App, came_back, register

from healthbrain import access
from healthbrain.access.smart import consents
from healthbrain.api import create_api
from healthbrain.web import create_web

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        routes = [*create_api(made.platform), *create_web(made.platform)]
        transport = httpx.ASGITransport(app=Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            made.client = client
            yield made


async def allow(app: App, who: str, scope: str, **more: str) -> None:
    page = await app.open(who, app.request(scope))
    assert page.status_code == 200, page.text
    assert "code" in came_back(await app.decide(who, page, **more))


async def post(hb: World, who: str, path: str, **form: str) -> httpx.Response:
    cookie = hb.cookies[who]
    data = {"csrf": access.csrf_token(cookie), **form}
    return await hb.client.post(path, data=data, headers={"cookie": f"hb_session={cookie}"})


async def test_a_person_is_asked_each_time_unless_they_said_otherwise(hb: World) -> None:
    app = await register(hb)
    await allow(app, "doctor", "openid user/Observation.rs")
    assert (await app.open("doctor", app.request("openid"))).status_code == 200
    refused = came_back(await app.open("doctor", app.request("openid", prompt="none")))
    assert refused["error"] == "consent_required"
    await allow(app, "doctor", "openid user/Observation.rs", remember="yes")
    for fields in (app.request("openid user/Observation.rs"), app.request("openid", prompt="none")):
        answer = came_back(await app.open("doctor", fields))
        assert (await app.redeem(answer["code"])).status_code == 200
    assert (await app.open("doctor", app.request("openid user/Patient.rs"))).status_code == 200, "more than was allowed"
    assert (await app.open("doctor", app.request("openid", prompt="consent"))).status_code == 200
    assert (await app.open("manager", app.request("openid"))).status_code == 200, "somebody else"
    other = await register(hb)
    assert (await other.open("doctor", other.request("openid"))).status_code == 200, "another application"


async def test_a_remembered_patient_is_one_that_may_still_be_seen(hb: World) -> None:
    app = await register(hb)
    await allow(app, "resident", "launch/patient patient/Observation.rs openid", patient="a-zs", remember="yes")
    answer = came_back(await app.open("resident", app.request("launch/patient patient/Observation.rs openid")))
    assert (await app.redeem(answer["code"])).json()["patient"] == "a-zs"
    async with hb.platform.pool.connection() as connection:
        at = hb.platform.clock()
        await consents.remember(connection, "resident", app.client, ["launch/patient", "patient/Observation.rs", "openid"], "c-zx", at)  # fmt: skip
    page = await app.open("resident", app.request("launch/patient patient/Observation.rs openid"))
    assert page.status_code == 200, "not theirs: asked again"
    assert "c-zx" not in page.text


async def test_what_was_allowed_is_listed_and_taken_back(hb: World) -> None:
    app = await register(hb, name="血压日记")
    tokens = await app.tokens("cdc", "openid user/Observation.rs")
    await allow(app, "cdc", "openid user/Observation.rs", remember="yes")
    cookie = {"cookie": f"hb_session={hb.cookies['cdc']}"}
    page = await hb.client.get("/my/applications", headers=cookie)
    assert page.text.count("血压日记") >= 2
    async with hb.platform.pool.connection() as connection:
        given = await access.authorisations_of(connection, "cdc", hb.platform.clock())
    for one in given:
        assert (await post(hb, "manager", "/my/applications", given=str(one.id))).status_code == 404, "not theirs"
    for one in given:
        assert (await post(hb, "cdc", "/my/applications", given=str(one.id))).status_code == 303
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await hb.client.get("/oauth/userinfo", headers=headers)).status_code == 401
    assert (await app.open("cdc", app.request("openid"))).status_code == 200, "asked again"
    assert "血压日记" not in (await hb.client.get("/my/applications", headers=cookie)).text


async def test_an_administrator_lets_in_and_blocks_the_applications_of_the_own_district(hb: World) -> None:
    ours = await register(hb, name="青浦应用", owner="QP00")
    theirs = await register(hb, name="徐汇应用", owner="XH00")
    async with hb.platform.pool.connection() as connection:
        waiting, _ = await access.register_client(
            connection, name="新来的", kind="public", organisation=hb.keys["QP00"], scopes=["openid", "patient/*.rs"],
            redirect_uris=["https://app.example/callback"], waiting=True,
        )  # fmt: skip
    cookie = {"cookie": f"hb_session={hb.cookies['administrator']}"}
    page = (await hb.client.get("/admin/applications", headers=cookie)).text
    assert "青浦应用" in page
    assert "新来的" in page
    assert "待审批" in page
    assert "徐汇应用" not in page
    answer = await post(hb, "administrator", "/admin/applications", client=waiting.id, wish="approve", organisation="QPZS", scope="openid system/*.cruds")  # fmt: skip
    assert answer.status_code == 303
    async with hb.platform.pool.connection() as connection:
        known = await access.find_client(connection, waiting.id)
    assert (known.scopes, known.organisation, known.disabled_at) == (("openid",), hb.keys["QPZS"], None)
    for wish in ("block", "open", "approve"):
        answer = await post(hb, "administrator", "/admin/applications", client=theirs.client.id, wish=wish)
        assert answer.status_code == 404
    assert (
        await post(hb, "administrator", "/admin/applications", client=ours.client.id, wish="block")
    ).status_code == 303
    assert (await ours.open("doctor", ours.request("openid"))).status_code == 400
    assert (
        await post(hb, "administrator", "/admin/applications", client=ours.client.id, wish="open")
    ).status_code == 303
    assert (await ours.open("doctor", ours.request("openid"))).status_code == 200
    assert (await post(hb, "doctor", "/admin/applications", client=ours.client.id, wish="block")).status_code == 403


async def test_an_application_is_opened_from_the_resident_page(hb: World) -> None:
    app = await register(hb, name="随访助手", launch_uri="https://launch.example/start")
    await register(hb, name="徐汇助手", launch_uri="https://other.example/start", owner="XH00")
    cookie = {"cookie": f"hb_session={hb.cookies['doctor']}"}
    page = await hb.client.get(f"/residents/{hb.persons['a-zs']}", headers=cookie)
    assert page.status_code == 200, page.text
    assert "打开应用" in page.text
    assert "随访助手" in page.text
    assert "徐汇助手" not in page.text
    assert "form-action 'self' https://launch.example;" in page.headers["content-security-policy"]
    patient = page.text.split('action="/oauth/launch"', 1)[1].split('name="patient" value="', 1)[1].split('"', 1)[0]
    answer = await post(hb, "doctor", "/oauth/launch", client=app.client.id, patient=patient)
    goal = urlsplit(answer.headers["location"])
    assert (goal.netloc, goal.path) == ("launch.example", "/start")
    handle = parse_qs(goal.query)["launch"][0]
    fields = app.request("launch openid patient/Observation.rs", launch=handle)
    told = came_back(await app.decide("doctor", await app.open("doctor", fields)))
    assert (await app.redeem(told["code"])).json()["patient"] == patient
