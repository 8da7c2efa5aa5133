"""Bad input, and too much of it: each gets a clear OperationOutcome, and nothing is half-done."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from starlette.applications import Starlette
from tests.api_world import World, observation, world

from healthbrain.api import app as api_app
from healthbrain.api import create_api, lending

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
JSON = {"content-type": "application/fhir+json"}


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_api_bad_input"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder, max_body=2 * MIB) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "says"),
    [
        ("Patient", b"", {}, 400, "line 1"),
        ("Patient", b"{", {}, 400, "line 1, column"),
        ("Patient", b'{"resourceType":"Patient",\n"name":[}', {}, 400, "line 2, column"),
        ("Patient", b"[]", {}, 400, "object"),
        ("Patient", b"null", {}, 400, "object"),
        ("Patient", b'{"resourceType":"Patient","a":1,"a":2}', {}, 400, "same name"),
        ("Patient", b'{"resourceType":"Patient","a":NaN}', {}, 400, "line 1"),
        ("Patient", b'\xff\xfe{"resourceType":"Patient"}', {}, 400, "UTF-8"),
        ("Patient", '{"resourceType":"Patient","name":[{"text":"张"}]}'.encode("gb18030"), {}, 400, "UTF-8"),
        ("Patient", b'{"resourceType":"Patient","a":' + b"[" * 200 + b"]" * 200 + b"}", {}, 400, "deep"),
        ("Patient", b'{"resourceType":"Observation"}', {}, 400, "Patient"),
        ("Patient", b"{}", {}, 400, "Patient"),
        ("Patient", b'{"resourceType":"Patient","nmae":[]}', {}, 422, "Patient.nmae"),
        ("Patient", b'{"resourceType":"Patient","birthDate":"1950-13-45"}', {}, 422, "Patient.birthDate"),
        ("Patient", b'{"resourceType":"Patient","name":[{"text":"a"},{"given":"x"}]}', {}, 422, "Patient.name[1].given"),
        ("Observation", b'{"resourceType":"Observation","code":{}}', {}, 422, "Observation.status"),
        ("Patient", b"<Patient/>", {"content-type": "text/turtle"}, 415, "fhir+json"),
        ("Patient", b"{}", {"content-type": "text/plain"}, 415, "fhir+json"),
        ("Patient", b"{}", {"content-type": "application/fhir+json; charset=gbk"}, 415, "UTF-8"),
        ("Patient", b"{}", {"content-encoding": "br"}, 400, "content-encoding"),
        ("Patient", b"{}", {"content-encoding": "gzip"}, 400, "gzip"),
        ("Patient", gzip.compress(b'{"resourceType":"Patient"}', mtime=0)[:-9], {"content-encoding": "gzip"}, 400, "cut off"),
        ("", b'{"resourceType":"Patient"}', {}, 400, "Bundle"),
        ("", b'{"resourceType":"Bundle","type":"collection"}', {}, 400, "transaction or batch"),
        ("", b'{"resourceType":"Bundle","type":"transaction","entry":7}', {}, 400, "entry"),
        ("", b'{"resourceType":"Bundle","type":"transaction","entry":[{}]}', {}, 400, "Bundle.entry[0]"),
        ("", b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"BREW","url":"Patient"}}]}', {}, 400, "Bundle.entry[0]"),
        ("", b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Teapot"},"resource":{}}]}', {}, 400, "Bundle.entry[0]"),
        ("", b"{", {}, 400, "line 1"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused_with_its_place(
    hb: World, path: str, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = await hb.ask("POST", path, content=body, headers={**JSON, **headers})
    outcome = answer.json()
    assert answer.status_code == status, answer.text
    assert outcome["resourceType"] == "OperationOutcome"
    assert says in answer.text
    assert all(issue["severity"] in {"error", "fatal"} for issue in outcome["issue"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_count=many", 400),
        ("_count=-1", 400),
        ("birthdate=yesterday", 400),
        ("birthdate=ge2020-13-01", 400),
        ("name:fuzzy=x", 400),
        ("_sort=_shoesize", 400),
        ("name=%00", 400),
        ("name=%ff%fe", 400),
        ("_cursor=xyz", 400),
        ("_include=Patient", 400),
        ("&".join(f"name=a{n}" for n in range(1001)), 400),
        ("name=%E5%BC%A0&&&", 200),
        ("name=", 200),
        ("name=%25%5F%5C", 200),
        ("identifier=" + "a" * 5000, 200),
    ],
)
async def test_a_bad_query_is_refused(hb: World, query: str, status: int) -> None:
    answer = await hb.ask("GET", f"Patient?{query}")
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == ("OperationOutcome" if status == 400 else "Bundle")


async def test_refusals_are_listed_with_their_source_and_reason(hb: World) -> None:
    for body in (b"{", b'{"resourceType":"Patient","nmae":[]}'):
        await hb.ask("POST", "Patient", "QPZS", content=body, headers=JSON)
    await hb.ask("POST", "", "QPZS", content=b"{", headers=JSON)
    async with hb.platform.pool.connection() as connection:
        rows = await (
            await connection.execute(
                "select d.state, d.reason from delivery d join source s on s.key = d.source where s.code = 's-QPZS'"
            )
        ).fetchall()
    assert len(rows) == 3
    assert {state for state, _ in rows} == {"refused"}
    assert all(reason for _, reason in rows)


async def test_no_error_repeats_what_was_sent(hb: World) -> None:
    secret = "310118195001011233"
    bodies = [
        b'{"resourceType":"Patient","birthDate":"%b"}' % secret.encode(),
        b'{"resourceType":"Patient","gender":"%b"}' % secret.encode(),
        b'{"resourceType":"Patient","%b":1}' % secret.encode(),
        b'{"resourceType":"Patient" %b' % secret.encode(),
    ]
    answers = [await hb.ask("POST", "Patient", content=body, headers=JSON) for body in bodies]
    answers += [await hb.ask("GET", f"Patient?birthdate={secret}"), await hb.ask("GET", f"Patient/{secret}")]
    for answer in answers[:5]:
        assert answer.status_code in {400, 422}
        assert secret not in answer.text


# -- too much


async def raw_post(hb: World, chunks: list[bytes], headers: dict[str, str]) -> tuple[int, int]:
    """A POST below httpx: (status, how many chunks were taken)."""
    app = Starlette(routes=create_api(hb.platform))
    sent: list[MutableMapping[str, Any]] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": taken < len(chunks)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    every = {"host": "t", **JSON, **hb.headers("QPZS"), **headers}
    scope = {
        "type": "http", "method": "POST", "path": "/fhir/Patient", "raw_path": b"/fhir/Patient", "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in every.items()], "client": ("127.0.0.1", 1), "scheme": "http",
        "root_path": "", "http_version": "1.1", "server": ("t", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], taken


async def test_a_body_beyond_the_limit_is_refused_while_it_comes_in(hb: World) -> None:
    status, taken = await raw_post(hb, [b"x" * MIB] * 60, {})
    assert status == 413
    assert taken <= 3  # the other 57 MiB were never read


async def test_an_announced_body_beyond_the_limit_is_not_read_at_all(hb: World) -> None:
    assert await raw_post(hb, [b"x"], {"content-length": str(60 * MIB)}) == (413, 0)


async def test_a_small_packed_body_that_unpacks_to_a_huge_one_is_refused(hb: World) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(b" " * (200 * MIB)) + packer.flush()
    assert len(bomb) < MIB
    status, _ = await raw_post(hb, [bomb], {"content-encoding": "gzip"})
    assert status == 413


async def test_a_large_transaction_within_the_limit_is_taken(hb: World) -> None:
    entries = [
        {"resource": observation("x", "nobody", n / 10), "request": {"method": "POST", "url": "Observation"}}
        for n in range(1500)
    ]
    answer = await hb.ask("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200
    assert len(answer.json()["entry"]) == 1500


async def test_more_requests_than_can_be_worked_on_are_told_to_come_back(
    hb: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "MOST_INSIDE", 4)
    monkeypatch.setattr(lending.Gangway.__init__, "__defaults__", (4,))
    app = Starlette(routes=create_api(hb.platform))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") as client:
        url, headers = "/fhir/Patient?name=a", hb.headers("QP00")
        answers = await asyncio.gather(*(client.get(url, headers=headers) for _ in range(40)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) >= 4
    assert set(statuses) == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["issue"][0]["code"] == "throttled"


async def test_a_request_that_takes_too_long_is_stopped_in_the_database_too(
    hb: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_app, "READ_SECONDS", 0.3)
    async with hb.platform.pool.connection() as blocker:
        await blocker.execute("lock table resource in access exclusive mode")
        answer = await hb.ask("GET", "Patient?name=a")
        assert answer.status_code == 503
        assert answer.json()["issue"][0]["code"] == "timeout"
        await asyncio.sleep(0.2)
        waiting = await (
            await blocker.execute(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
        ).fetchone()
    assert waiting == (0,)
    assert (await hb.ask("GET", "Patient?name=a")).status_code == 200


async def test_without_a_free_connection_a_request_is_told_to_come_back(
    hb: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "WAIT", 0.1)
    readers = hb.platform.readers
    held = [await readers.getconn() for _ in range(readers.max_size)]
    try:
        answer = await hb.ask("GET", "Patient?_count=1")
    finally:
        for connection in held:
            await readers.putconn(connection)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert (await hb.ask("GET", "Patient?_count=1")).status_code == 200


async def test_connections_that_the_database_dropped_are_replaced_unnoticed(hb: World) -> None:
    for _ in range(3):
        assert (await hb.ask("GET", "Patient/none")).status_code == 404
    async with hb.platform.pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
    for _ in range(4):
        assert (await hb.ask("GET", "Patient/none")).status_code == 404
    assert (await hb.ask("POST", "Patient", json={"resourceType": "Patient"})).status_code == 201


async def test_a_mistake_of_ours_is_a_500_that_tells_nothing(
    hb: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "310118195001011233"

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(type(hb.platform.store), "read", broken)
    answer = await hb.ask("GET", "Patient/x", headers={"x-request-id": "ours"})
    assert answer.status_code == 500
    assert answer.json()["issue"][0]["code"] == "exception"
    assert "ours" in answer.text
    assert secret not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text
