"""Every request leaves exactly one event, with who, what, whose and how it ended; a change and its event are one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import World, inhabited, observation, world

from healthbrain import audit
from healthbrain.fhir import validate
from healthbrain.store import patient_key

pytestmark = pytest.mark.anyio

A = patient_key("a-zs")
NEW = {"resourceType": "Patient", "name": [{"text": "新"}]}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_api_audit"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        yield made


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


PUT_O = {"request": {"method": "PUT", "url": "Observation/o-t"}, "resource": observation("o-t", "a-zs")}
GET_A = {"request": {"method": "GET", "url": "Patient/a-zs"}}
BAD = {"request": {"method": "PUT", "url": "Observation/o-u"}, "resource": {"resourceType": "Observation", "id": "o-u"}}

# method, path, who, more -> interaction, action, type, id, outcome, whether A's key is in it
REQUESTS: list[tuple[str, str, str | None, dict[str, Any], tuple[str, str, str, str | None, int, bool]]] = [
    ("GET", "Patient/a-zs", "cdc", {}, ("read", "R", "Patient", "a-zs", 0, True)),
    ("HEAD", "Patient/a-zs", "cdc", {}, ("read", "R", "Patient", "a-zs", 0, True)),
    ("GET", "Patient/a-zs", "cdc", {"headers": {"if-none-match": 'W/"1"'}}, ("read", "R", "Patient", "a-zs", 0, True)),
    ("GET", "Patient/a-zs/_history/1", "QPZS", {}, ("vread", "R", "Patient", "a-zs", 0, True)),
    ("GET", "Patient/a-zs/_history", "QPZS", {}, ("history-instance", "R", "Patient", "a-zs", 0, True)),
    ("GET", "Patient/_history", "QPZS", {}, ("history-type", "R", "Patient", None, 0, True)),
    ("GET", "_history", "QPZS", {}, ("history-system", "R", "", None, 0, True)),
    ("GET", "Observation?patient=a-zs", "QPZS", {}, ("search-type", "E", "Observation", None, 0, True)),
    ("POST", "Patient/_search", "QPZS", {"content": "_id=a-zs", "headers": FORM}, ("search-type", "E", "Patient", None, 0, True)),
    ("GET", "Patient/a-zs/$everything", "QPZS", {}, ("operation", "E", "Patient", "a-zs", 0, True)),
    ("POST", "Patient/$validate", "QPZS", {"json": NEW}, ("operation", "E", "Patient", None, 0, False)),
    ("GET", "Practitioner/prac-1", "resident", {}, ("read", "R", "Practitioner", "prac-1", 0, False)),
    ("PUT", "Observation/o-1", "QPZS", {"json": observation("o-1", "a-zs")}, ("update", "U", "Observation", "o-1", 0, True)),
    ("DELETE", "Observation/o-1", "QPZS", {}, ("delete", "D", "Observation", "o-1", 0, True)),
    ("POST", "", "QPZS", {"json": bundle("transaction", PUT_O)}, ("transaction", "E", "Bundle", None, 0, True)),
    ("POST", "", "QPZS", {"json": bundle("transaction", PUT_O, GET_A)}, ("transaction", "E", "Bundle", None, 0, True)),
    ("POST", "", "QPZS", {"json": bundle("batch", PUT_O, BAD, PUT_O)}, ("batch", "E", "Bundle", None, 0, True)),
    ("POST", "", "QPZS", {"json": bundle("batch", GET_A)}, ("batch", "E", "Bundle", None, 0, True)),
    ("GET", "AuditEvent?_count=2", "administrator", {}, ("search-type", "E", "AuditEvent", None, 0, False)),
    # refused or wrong: kept just as well, without anybody's data
    ("GET", "Patient/a-zs", None, {}, ("", "R", "", None, 4, False)),
    ("GET", "Patient/a-zs", "XHZX", {}, ("read", "R", "Patient", "a-zs", 4, False)),
    ("GET", "Patient/a-zs", "leader", {}, ("read", "R", "Patient", "a-zs", 4, False)),
    ("GET", "Patient?colour=red", "QPZS", {}, ("search-type", "E", "Patient", None, 4, False)),
    ("GET", "Unicorn/1", "QPZS", {}, ("", "R", "", None, 4, False)),
    ("POST", "Patient/a-zs", "QPZS", {}, ("", "R", "Patient", None, 4, False)),
    ("PUT", "Patient/a-zs", "QPXY", {"json": {**NEW, "id": "a-zs"}}, ("update", "U", "Patient", "a-zs", 4, False)),
    ("PUT", "Observation/o-2", "QPZS", {"json": {"resourceType": "Observation", "id": "o-2"}}, ("update", "U", "Observation", "o-2", 4, False)),
    ("POST", "Patient", "QPZS", {"content": b"{", "headers": {"content-type": "application/json"}}, ("create", "C", "Patient", None, 4, False)),
    ("POST", "", "QPZS", {"json": bundle("transaction", PUT_O, BAD)}, ("transaction", "E", "Bundle", None, 4, False)),
    ("POST", "", "doctor", {"json": bundle("batch", {"request": {"method": "DELETE", "url": "Patient/a-zs"}})}, ("batch", "E", "Bundle", None, 4, False)),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "who", "more", "expected"), REQUESTS)
async def test_one_request_one_event(
    hb: World, method: str, path: str, who: str | None, more: dict[str, Any], expected: tuple[object, ...]
) -> None:
    before = len(await hb.events())
    answer = await hb.ask(method, path, who, **more)
    events = await hb.events()
    assert len(events) == before + 1
    (event,) = [one for one in events if one.request == answer.headers["x-request-id"]]
    assert (event.interaction, event.action, event.type, event.id, event.outcome, A in event.patients) == expected
    assert event.account == ("" if who is None else f"system-{who}" if who.isupper() else who)
    if event.interaction != "batch":  # which answers 200 even when none of its entries was permitted
        assert (event.outcome == 0) == (answer.status_code < 400)
    if event.outcome:
        assert event.patients == ()


async def test_a_create_names_the_new_resource_and_its_patient(hb: World) -> None:
    answer = await hb.ask("POST", "Patient", "QPZS", json=NEW)
    (event,) = await hb.events(answer.headers["x-request-id"])
    id_ = answer.json()["id"]
    assert (event.action, event.id, event.patients) == ("C", id_, (patient_key(id_),))


async def test_the_metadata_and_health_pages_touch_nothing_and_leave_nothing(hb: World) -> None:
    before = len(await hb.events())
    await hb.ask("GET", "metadata", None)
    await hb.client.get("/healthz")
    assert len(await hb.events()) == before


async def test_the_log_tells_what_was_searched_but_not_for_whom(hb: World) -> None:
    query = "identifier=urn:x|310118195001011233&name=张伟&gender=male&birthdate=1950-01-01&_count=3"
    answer = await hb.ask("GET", f"Patient?{query}", "QPZS")
    (event,) = await hb.events(answer.headers["x-request-id"])
    assert event.detail == "identifier=***&name=***&gender=male&birthdate=***&_count=3"
    chained = await hb.ask(
        "GET", "Observation?subject:Patient.name=张&code=14771-0&_has:Provenance:target:agent=x", "QPZS"
    )
    (event,) = await hb.events(chained.headers["x-request-id"])
    assert "张" not in event.detail
    assert "code=14771-0" in event.detail


@pytest.mark.parametrize("type_", ["Observation", "Patient"], ids=["express lane", "ordinary way"])
async def test_a_change_whose_event_cannot_be_written_is_not_made(hb: World, type_: str) -> None:
    full = "create trigger no_space before insert on audit_event for each statement execute function audit_refuse()"
    resource = observation("o-unaudited", "a-zs") if type_ == "Observation" else {**NEW, "id": "o-unaudited"}
    async with hb.platform.pool.connection() as connection:
        await connection.execute(full)
    try:
        answer = await hb.ask("PUT", f"{type_}/o-unaudited", "QPZS", json=resource)
    finally:
        async with hb.platform.pool.connection() as connection:
            await connection.execute("drop trigger no_space on audit_event")
    assert answer.status_code >= 500
    assert (await hb.ask("GET", f"{type_}/o-unaudited", "QPZS")).status_code == 404


async def test_a_read_whose_event_cannot_be_kept_shows_nothing(hb: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    answer = await hb.ask("GET", "Patient/a-zs", "QPZS")
    monkeypatch.undo()
    assert answer.status_code == 503
    assert "audit" in answer.text
    assert "张伟" not in answer.text


async def test_audit_events_are_found_by_everything_the_statement_offers(hb: World) -> None:
    done = await hb.ask("PUT", "Observation/o-find", "QPZS", json=observation("o-find", "b-zs"))
    assert done.status_code == 201
    await hb.platform.audit.flush()
    table = [
        "patient=Patient/b-zs&entity=Observation/o-find",
        "patient=b-zs&subtype=update&entity=Observation/o-find",
        "agent=system-QPZS&entity=Observation/o-find",
        "altid=system-QPZS&action=U&entity=Observation/o-find",
        "outcome=0,4&entity=Observation/o-find",
        "date=ge2020-01-01&date=lt2100-01-01&entity=Observation/o-find",
    ]
    for query in table:
        answer = (await hb.ask("GET", f"AuditEvent?{query}", "administrator")).json()
        assert len(answer["entry"]) == 1, query
    for query in ("outcome=8", "date=lt2020-01-01", "date=gt2100-01-01", "action=D"):
        answer = (await hb.ask("GET", f"AuditEvent?entity=Observation/o-find&{query}", "administrator")).json()
        assert "entry" not in answer, query
    assert (await hb.ask("GET", "AuditEvent?colour=red", "administrator")).status_code == 400
    assert (await hb.ask("GET", "AuditEvent?date=xx2020", "administrator")).status_code == 400
    form = await hb.ask(
        "POST", "AuditEvent/_search", "administrator", content="entity=Observation/o-find", headers=FORM
    )
    assert len(form.json()["entry"]) == 1


async def test_shown_audit_events_are_valid_r4_and_page(hb: World) -> None:
    for n in range(5):
        await hb.ask("GET", f"Patient/none-{n}", "QPZS")
    await hb.platform.audit.flush()
    seen: list[str] = []
    url = "AuditEvent?altid=system-QPZS&outcome=4&_count=2"
    for _ in range(50):
        page = (await hb.ask("GET", url, "administrator")).json()
        for entry in page.get("entry", ()):
            assert [issue for issue in validate(entry["resource"]) if issue.severity == "error"] == []
            seen.append(entry["resource"]["id"])
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        url = following[0]
    assert len(seen) == len(set(seen)) >= 5


async def test_the_whole_log_verifies(hb: World) -> None:
    await hb.platform.audit.flush()
    async with hb.platform.pool.connection() as connection:
        result = await audit.verify(connection)
    assert result.whole
    assert result.events > 50
