"""A second factor at sign-in: RFC 6238's own vectors, and that nothing opens before the code is shown."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from tests.api_world import PASSWORD, World, inhabited, world

from healthbrain import access
from healthbrain.access import second_factor
from healthbrain.access.sealing import KEY, Vault, vault_in
from healthbrain.api import create_api
from healthbrain.errors import Busy, Unauthenticated, Unavailable
from healthbrain.web import create_web
from healthbrain.web.pages.second_factor import qr_picture

pytestmark = pytest.mark.anyio
RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("time", "expected"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"), (2000000000, "69279037"), (20000000000, "65353130")],
)  # fmt: skip
def test_the_vectors_of_rfc_6238(time: int, expected: str) -> None:
    assert second_factor.one_time_password(RFC_SECRET, time // second_factor.PERIOD, digits=8) == expected


def test_the_qr_code_holds_what_authenticator_apps_read() -> None:
    text = second_factor.address(RFC_SECRET, "wang", "HealthBrain")
    parts = urlsplit(text)
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/HealthBrain%3Awang")
    query = parse_qs(parts.query)
    assert base64.b32decode(query["secret"][0]) == RFC_SECRET
    assert query["digits"] == ["6"]
    assert base64.b64decode(qr_picture(text).partition(",")[2]).startswith(b"<svg")


class Browser:
    """One browser with its cookie, before the screens and the interface."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.cookie = ""

    async def open(self, path: str) -> httpx.Response:
        return self._kept(await self.client.get(path, headers=self._headers()))

    async def send(self, path: str, **form: str) -> httpx.Response:
        csrf = {"csrf": access.csrf_token(self.cookie)} if self.cookie else {}
        return self._kept(await self.client.post(path, data={**csrf, **form}, headers=self._headers()))

    async def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return await self.send("/login", name=name, password=password)

    def _headers(self) -> dict[str, str]:
        return {"cookie": f"hb_session={self.cookie}"} if self.cookie else {}

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        self.client.cookies.clear()
        for one in answer.headers.get_list("set-cookie"):
            if one.startswith("hb_session="):
                self.cookie = one.partition("=")[2].partition(";")[0]
        return answer


@pytest.fixture
async def hb(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(dsn, tmp_path, second_factor="administrator, leader") as made:
        await inhabited(made)
        routes = [*create_api(made.platform), *create_web(made.platform)]
        transport = httpx.ASGITransport(app=Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            made.client = client
            yield made


def secret_on(page: str) -> bytes:
    text = re.search(r'<span class="mono">([A-Z2-7 ]+)</span>', page)
    assert text, page
    return base64.b32decode(text[1].replace(" ", ""))


def code(secret: bytes, at: datetime, later: int = 0) -> str:
    return second_factor.one_time_password(secret, int(at.timestamp()) // second_factor.PERIOD + later)


async def test_a_role_that_needs_it_gets_no_further_without(hb: World) -> None:
    browser = Browser(hb.client)
    answer = await browser.sign_in("administrator")
    assert answer.headers["location"].startswith("/second-factor")
    for path in ("/", "/admin", "/sessions", "/password"):
        assert (await browser.open(path)).headers.get("location", "").startswith("/login"), path
    assert (await browser.open("/fhir/Patient")).status_code == 401
    assert (await browser.open("/oauth/authorize?client_id=x")).status_code == 400
    page = await browser.open("/second-factor?next=/admin")
    secret = secret_on(page.text)
    wrong = await browser.send("/second-factor", wish="confirm", code="000000", next="/admin")
    assert wrong.status_code == 401
    assert secret_on(wrong.text) == secret
    before = browser.cookie
    done = await browser.send("/second-factor", wish="confirm", code=code(secret, hb.platform.clock()), next="/admin")
    assert done.status_code == 200
    recovery = [html.unescape(one) for one in re.findall(r"<li>([a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4})</li>", done.text)]
    assert len(recovery) == second_factor.RECOVERY_CODES
    assert browser.cookie != before
    assert (await browser.open("/admin")).status_code == 200
    assert (await browser.send("/second-factor", wish="remove", code=recovery[5])).status_code == 400
    second = Browser(hb.client)
    await second.sign_in("administrator")
    assert (await second.open("/admin")).status_code == 303
    assert (await second.send("/second-factor", wish="begin")).status_code == 400
    assert (await second.send("/second-factor", wish="check", code=recovery[0])).status_code == 303
    assert (await second.open("/admin")).status_code == 200
    third = Browser(hb.client)
    await third.sign_in("administrator")
    assert (await third.send("/second-factor", wish="check", code=recovery[0])).status_code == 401


async def test_others_may_turn_it_on_and_off(hb: World) -> None:
    browser = Browser(hb.client)
    assert (await browser.sign_in("doctor")).headers["location"] == "/"
    page = await browser.send("/second-factor", wish="begin")
    secret = secret_on(page.text)
    at = hb.platform.clock()
    assert (await browser.send("/second-factor", wish="confirm", code=code(secret, at, -1))).status_code == 200
    fresh = Browser(hb.client)
    assert (await fresh.sign_in("doctor")).headers["location"].startswith("/second-factor")
    assert (await fresh.send("/second-factor", wish="check", code=code(secret, at, -1))).status_code == 401, "used"
    answer = await fresh.send("/second-factor", wish="check", code=code(secret, at), next="//evil.example")
    assert answer.headers["location"] == "/"
    assert (await fresh.send("/second-factor", wish="remove", code=code(secret, at, 1))).status_code == 303
    last = Browser(hb.client)
    assert (await last.sign_in("doctor")).headers["location"] == "/"


async def test_guessing_is_braked_and_an_operator_lets_in_again(hb: World) -> None:
    at, vault = hb.platform.clock(), vault_in(hb.platform.settings.data)
    async with hb.platform.pool.connection() as connection:
        secret = await second_factor.begin(connection, vault, "cdc", at)
        await second_factor.confirm(connection, vault, "cdc", code(secret, at), at)
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                await second_factor.check(
                    connection, vault, "cdc", "123456" if code(secret, at, 1) != "123456" else "654321", at
                )
        with pytest.raises(Busy):
            await second_factor.check(connection, vault, "cdc", code(secret, at, 1), at)
        later = at + timedelta(minutes=2)
        await second_factor.check(connection, vault, "cdc", code(secret, later), later)
        await second_factor.remove(connection, "CDC", later)
        assert not (await second_factor.standing(connection, "cdc")).active
        opened = await access.sign_in(connection, "cdc", PASSWORD, later)
    assert opened.waits_for == ""


async def test_a_waiting_session_ends_by_itself_and_is_in_no_list(hb: World) -> None:
    at = hb.platform.clock()
    async with hb.platform.pool.connection() as connection:
        opened = await access.sign_in(connection, "leader", PASSWORD, at, required=frozenset({"leader"}))
        assert opened.waits_for == "enrolment"
        with pytest.raises(Unauthenticated):
            await access.find_session(connection, opened.cookie, at)
        listed = await access.sessions(connection, "leader", at)
        assert len(listed) == 1, "the one from before"
        with pytest.raises(Unauthenticated):
            await second_factor.waiting(connection, opened.cookie, at + timedelta(minutes=11))


async def kept(hb: World, account: str) -> bytes:
    async with hb.platform.pool.connection() as connection:
        cursor = await connection.execute("select secret from second_factor where account = %s", (account,))
        row = await cursor.fetchone()
    assert row is not None
    return bytes(row[0])


async def test_the_database_alone_does_not_tell_a_secret(hb: World) -> None:
    at, vault = hb.platform.clock(), vault_in(hb.platform.settings.data)
    async with hb.platform.pool.connection() as connection:
        secret = await second_factor.begin(connection, vault, "manager", at)
        assert await second_factor.begun(connection, vault, "manager") == secret
    sealed = await kept(hb, "manager")
    assert secret not in sealed
    assert secret not in base64.urlsafe_b64decode(sealed.rpartition(b".")[0].rpartition(b".")[2] + b"==")
    path = hb.platform.settings.data / "secrets" / KEY
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unavailable):
        vault.open(sealed, "cdc")
    async with hb.platform.pool.connection() as connection:
        await second_factor.remove(connection, "manager", at)


async def test_secrets_of_earlier_versions_go_on_counting_and_are_sealed_at_the_upgrade(hb: World) -> None:
    at, vault = hb.platform.clock(), vault_in(hb.platform.settings.data)
    async with hb.platform.pool.connection() as connection:
        await connection.execute(
            "insert into second_factor (account, secret, created_at, confirmed_at) values ('manager', %s, %s, %s)",
            (RFC_SECRET, at, at),
        )
        await second_factor.check(connection, vault, "manager", code(RFC_SECRET, at, -1), at)
    assert second_factor.seal_existing(hb.platform.dsn, vault) == 1
    assert second_factor.seal_existing(hb.platform.dsn, vault) == 0
    assert RFC_SECRET not in await kept(hb, "manager")
    async with hb.platform.pool.connection() as connection:
        await second_factor.check(connection, vault, "manager", code(RFC_SECRET, at), at)
        await second_factor.remove(connection, "manager", at)


def test_another_key_or_none_is_told_and_opens_nothing(tmp_path: Path) -> None:
    one, other = Vault(tmp_path / "a"), Vault(tmp_path / "b")
    sealed = one.seal(RFC_SECRET, "wang")
    assert one.open(sealed, "wang") == RFC_SECRET
    assert one.seal(RFC_SECRET, "wang") != sealed
    with pytest.raises(Unavailable, match="restore that file"):
        other.open(sealed, "wang")
    other.seal(b"x", "wang")
    for wrong in (sealed, sealed[:-4] + b"AAAA", b"", b"not sealed at all, and longer than it was"):
        with pytest.raises(Unavailable):
            other.open(wrong, "wang")
