"""A district's administrator looks after the accounts, tokens, sources and organisations of that district and no others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from tests.api_world import PASSWORD, World, inhabited, own_world

from healthbrain import access, exchange
from healthbrain.web import create_web

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        async with made.platform.pool.connection() as connection:
            await access.create_account(
                connection, name="xh-doctor", password=PASSWORD, role="manager", organisation=made.keys["XHZX"],
                display="徐汇管理员",
            )  # fmt: skip
        transport = httpx.ASGITransport(app=Starlette(routes=create_web(made.platform)))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            made.client = client
            yield made


async def page(hb: World, path: str) -> str:
    answer = await hb.client.get(path, headers={"cookie": f"hb_session={hb.cookies['administrator']}"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def post(hb: World, path: str, **form: str) -> httpx.Response:
    cookie = hb.cookies["administrator"]
    headers = {"cookie": f"hb_session={cookie}"}
    return await hb.client.post(path, data={"csrf": access.csrf_token(cookie), **form}, headers=headers)


async def test_the_lists_hold_the_own_district(hb: World) -> None:
    accounts = await page(hb, "/admin/accounts")
    assert "doctor" in accounts
    assert "xh-doctor" not in accounts
    tokens = await page(hb, "/admin/tokens")
    assert "system-QPZS" in tokens
    assert not re.search("system-(XH|SH)", tokens)
    organisations = await page(hb, "/admin/organisations")
    assert "QPZS" in organisations
    assert "XHZX" not in organisations
    assert "徐汇" not in accounts + tokens + organisations


async def test_what_belongs_to_another_district_cannot_be_changed(hb: World) -> None:
    for path in ("/admin/accounts/password", "/admin/accounts/disable", "/admin/accounts/enable"):
        assert (await post(hb, path, name="xh-doctor")).status_code == 404
    answer = await post(hb, "/admin/accounts", name="spy", display="spy", role="leader", organisation="XH00")
    assert answer.status_code == 400
    assert (await post(hb, "/admin/tokens", name="spy", organisation="XHZX", days="9")).status_code == 400
    assert (
        await post(hb, "/admin/organisations", code="XHZX", name="spy", parent="QP00", kind="institution")
    ).status_code == 400
    assert (
        await post(hb, "/admin/organisations", code="spy", name="spy", parent="XH00", kind="institution")
    ).status_code == 400
    async with hb.platform.pool.connection() as connection:
        (token,) = [one for one in await access.tokens(connection) if one.name == "system-XHZX"]
        source = await exchange.source_by_code(connection, "s-XHZX")
    assert source is not None
    assert (await post(hb, "/admin/tokens/revoke", prefix=token.prefix)).status_code == 404
    for what in ("block", "unblock", "verify", "release"):
        answer = await post(hb, f"/sources/{source.key}/{what}", reason="spy", organisation="QPZS")
        assert answer.status_code == 404, what
    async with hb.platform.pool.connection() as connection:
        assert (await access.account(connection, "xh-doctor")).disabled_at is None
        assert (await access.organisations(connection)).by_code("XHZX").name == "徐汇区中心医院"  # type: ignore[union-attr]  # it is there


async def test_the_own_district_can_be_changed(hb: World) -> None:
    answer = await post(hb, "/admin/accounts", name="fresh", display="新", role="leader", organisation="QPZS")
    assert answer.status_code == 200
    assert (await post(hb, "/admin/accounts/disable", name="fresh")).status_code == 303
    answer = await post(hb, "/admin/organisations", code="QPX", name="新院", parent="QP00", kind="institution")
    assert answer.status_code == 303
