"""Two platforms: people of one sign in through the other, with nothing but OpenID Connect between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from tests.api_world import World, inhabited, own_world
from tests.smart_world import App

from healthbrain import access
from healthbrain.api import create_api
from healthbrain.api.oauth.desk import subject

pytestmark = pytest.mark.anyio
CITY, DISTRICT = "https://city.example", "https://district.example"
BACK = f"{DISTRICT}/sign-in/external/back"


@dataclass
class Two:
    city: World
    district: World
    app: App


@pytest.fixture(scope="module")
async def two(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("city"), public_url=CITY) as city:
        await inhabited(city)
        async with city.platform.pool.connection() as connection:
            client, secret = await access.register_client(
                connection, name="青浦区平台", kind="symmetric", organisation=city.keys["SH"], redirect_uris=[BACK],
                scopes=["openid", "profile"],
            )  # fmt: skip
        settings = {
            "oidc_issuer": CITY,
            "oidc_client_id": client.id,
            "oidc_client_secret": secret,
            "public_url": DISTRICT,
        }
        folder = tmp_path_factory.mktemp("district")
        async with own_world(postgres, template, folder, **settings) as district:
            await inhabited(district)
            at = district.platform.clock()
            async with district.platform.pool.connection() as connection:
                await access.link_identity(connection, issuer=CITY, value=subject("cdc"), name="doctor", at=at)
            there = httpx.ASGITransport(app=Starlette(routes=create_api(city.platform)))
            here = httpx.ASGITransport(app=Starlette(routes=create_api(district.platform, provider=there)))
            async with httpx.AsyncClient(transport=here, base_url=DISTRICT) as browser:
                district.client = browser
                yield Two(city, district, App(city, client, secret))


async def through(two: Two, who: str) -> httpx.Response:
    """The browser goes to the other platform, the person agrees there, the browser comes back."""
    start = await two.district.client.get("/sign-in/external", params={"next": "/residents"})
    assert start.status_code == 303, start.text
    fields = dict(parse_qsl(urlsplit(start.headers["location"]).query))
    page = await two.app.open(who, fields)
    assert page.status_code == 200, (page.headers, page.text)
    answer = await two.app.decide(who, page)
    assert answer.headers["location"].startswith(f"{BACK}?"), answer.headers["location"]
    return await two.district.client.get(answer.headers["location"])


async def test_who_is_linked_is_signed_in(two: Two) -> None:
    answer = await through(two, "cdc")
    assert (answer.status_code, answer.headers["location"]) == (303, "/residents"), answer.text
    who = await two.district.client.get("/fhir/Patient")
    assert who.status_code == 200


async def test_who_is_not_linked_is_not(two: Two) -> None:
    two.district.client.cookies.clear()
    assert (await through(two, "manager")).status_code == 401
    assert "hb_session" not in two.district.client.cookies


async def test_asking_for_data_still_needs_to_say_which_server(two: Two) -> None:
    fields = two.app.request("openid patient/Observation.rs", aud=None, redirect_uri=BACK)
    answer = await two.app.open("cdc", fields)
    assert "error=invalid_request" in answer.headers["location"]
