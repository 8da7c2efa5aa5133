"""HUB-CP-05: one sign-in works in several applications, and the log tells of the sign-in and of each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from healthbrain.web import create_web
from tests.api_world import PASSWORD, inhabited, own_world
from tests.smart_world import register

pytestmark = pytest.mark.anyio


async def test_one_sign_in_works_in_several_applications_and_is_in_the_log(
    postgres: str, template: str, tmp_path: Path
) -> None:
    async with own_world(postgres, template, tmp_path) as hb:
        await inhabited(hb)
        door = httpx.ASGITransport(app=Starlette(routes=create_web(hb.platform)))
        async with httpx.AsyncClient(transport=door, base_url="http://testserver") as screen:
            wrong = await screen.post("/login", data={"name": "doctor", "password": "not this one"})
            right = await screen.post("/login", data={"name": "doctor", "password": PASSWORD})
            assert (wrong.status_code, right.status_code) == (401, 303), right.text
            hb.cookies["signed in"] = screen.cookies["hb_session"]

        people: list[dict[str, Any]] = []
        applications = [await register(hb, "public", name="慢病随访"), await register(hb, "symmetric", name="家庭医生")]
        for number, one in enumerate(applications):
            said = await one.tokens("signed in", "openid fhirUser user/*.rs")  # no page asks for a password again
            hb.tokens[f"application {number}"] = said["access_token"]
            people.append((await hb.client.get("/oauth/userinfo", headers=hb.headers(f"application {number}"))).json())
            read = await hb.ask("GET", "Patient/a-xy", f"application {number}")
            assert (read.status_code, read.json()["id"]) == (200, "a-xy")
        assert people[0]["fhirUser"] == people[1]["fhirUser"]

        events = await hb.events()
        signed_in = [(e.account, e.outcome) for e in events if e.interaction == "sign-in"]
        assert signed_in == [("doctor", 4), ("doctor", 0)], "once, after a wrong password"
        allowed = [e.id for e in events if e.interaction == "authorize" and e.outcome == 0 and "user/*.rs" in e.detail]
        assert list(dict.fromkeys(allowed)) == [one.client.id for one in applications]
        shown = [e for e in events if e.interaction == "read" and e.id == "a-xy"]
        assert [e.account for e in shown] == ["doctor", "doctor"]
        assert [one.client.id in e.detail for one, e in zip(applications, shown, strict=True)] == [True, True]
