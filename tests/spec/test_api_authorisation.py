"""Each role sees exactly what the permission table says, by every way in which the interface can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import ID_A, World, inhabited, observation, patient, world

from healthbrain import access

pytestmark = pytest.mark.anyio

ALL = {"a-zs", "a-xy", "b-zs", "c-zx"}
QINGPU = {"a-zs", "a-xy", "b-zs"}

# who asks -> whose records are open to them; None = refused altogether
SEES: dict[str, set[str] | None] = {
    "SH": ALL,
    "QP00": QINGPU,
    "XH00": {"c-zx"},
    "QPZS": {"a-zs", "b-zs"},
    "QPXY": {"a-xy"},
    "XHZX": {"c-zx"},
    "leader": None,
    "leader for public health": QINGPU,
    "cdc": QINGPU,
    "manager": {"a-zs", "b-zs"},
    "doctor": {"a-xy", "a-zs"},  # the own institution, and person A on the panel wherever the data lie
    "doctor in an emergency": {"a-xy", "a-zs", "b-zs"},  # B opened by breaking the glass
    "resident": {"a-zs", "a-xy"},
    "administrator": None,
    "administrator on a case": QINGPU,
}


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = "hb_api_authorisation"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        await _purposes(made)
        yield made


async def _purposes(world: World) -> None:
    """Further sessions of the same people, acting for another purpose."""
    cases = [
        ("leader for public health", "leader", "PUBHLTH"),
        ("administrator on a case", "administrator", "HOPERAT"),
        ("doctor in an emergency", "doctor", "ETREAT"),
    ]
    at = world.platform.clock()
    async with world.platform.pool.connection() as connection:
        for name, account, purpose in cases:
            session = await access.sign_in(connection, account, "Sunny-Day-42", at)
            await access.declare_purpose(connection, session.cookie, purpose, "因公需要查阅", at)  # type: ignore[arg-type]
            world.cookies[name] = session.cookie
        doctor = await access.session(connection, session.cookie, at)
        await access.break_glass(connection, doctor, world.persons["b-zs"], "昏迷送诊，无家属", at)


def ids(bundle: dict[str, Any], type_: str) -> set[str]:
    return {
        entry["resource"]["id"]
        for entry in bundle.get("entry", ())
        if entry.get("resource", {}).get("resourceType") == type_
    }


@pytest.mark.parametrize("who", SEES)
async def test_read_vread_and_history_of_one_resource(hb: World, who: str) -> None:
    seen = SEES[who]
    for name in ALL:
        expected = 403 if seen is None else 200 if name in seen else 404
        for path in (
            f"Patient/{name}",
            f"Patient/{name}/_history/1",
            f"Patient/{name}/_history",
            f"Observation/o-{name}",
        ):
            answer = await hb.ask("GET", path, who)
            assert answer.status_code == expected, path


@pytest.mark.parametrize("who", SEES)
async def test_search_history_and_everything(hb: World, who: str) -> None:
    seen = SEES[who]
    paths = ["Patient", "Patient?_summary=count", "Patient/_history", "_history", "Patient/a-zs/$everything"]
    if seen is None:
        for path in paths:
            assert (await hb.ask("GET", path, who)).status_code == 403, path
        return
    assert ids((await hb.ask("GET", "Patient", who)).json(), "Patient") == seen
    assert (await hb.ask("GET", "Patient?_summary=count", who)).json()["total"] == len(seen)
    assert ids((await hb.ask("GET", "Observation", who)).json(), "Observation") == {f"o-{name}" for name in seen}
    assert ids((await hb.ask("GET", "Patient/_history", who)).json(), "Patient") == seen
    assert ids((await hb.ask("GET", "_history?_count=1000", who)).json(), "Patient") == seen
    for name in ALL:
        answer = await hb.ask("GET", f"Patient/{name}/$everything", who)
        assert answer.status_code == (200 if name in seen else 404)
        if name in seen:
            assert f"o-{name}" in ids(answer.json(), "Observation")


@pytest.mark.parametrize("who", [who for who, seen in SEES.items() if seen is not None])
async def test_no_way_around_through_joins(hb: World, who: str) -> None:
    seen = SEES[who] or set()
    forward = (await hb.ask("GET", "Observation?_include=Observation:subject", who)).json()
    assert ids(forward, "Patient") == seen
    backward = (await hb.ask("GET", "Patient?_revinclude=Observation:subject", who)).json()
    assert ids(backward, "Observation") == {f"o-{name}" for name in seen}
    for query in (
        "Observation?subject:Patient.birthdate=ge1900-01-01",
        "Patient?_has:Observation:subject:code=14771-0",
    ):
        found = (await hb.ask("GET", query, who)).json()
        assert ids(found, query.partition("?")[0]) == {f"o-{n}" if query.startswith("Obs") else n for n in seen}, query
    entries = [{"request": {"method": "GET", "url": f"Patient/{name}"}} for name in sorted(ALL)]
    entries.append({"request": {"method": "GET", "url": "Patient"}})
    batch = (await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": entries})).json()
    statuses = [entry["response"]["status"][:3] for entry in batch["entry"]]
    assert statuses == [*("200" if name in seen else "404" for name in sorted(ALL)), "200"]
    assert ids(batch["entry"][-1]["resource"], "Patient") == seen


async def test_a_hidden_subject_cannot_be_asked_about_through_what_is_open(hb: World) -> None:
    """The doctor sees o-a-xy; a chain must not tell what the hidden record of another patient says."""
    await hb.ask("PUT", "Observation/cross", "QPXY", json=observation("cross", "b-zs"))
    found = (await hb.ask("GET", "Observation?_id=cross&subject:Patient.name=李", "QPXY")).json()
    assert ids(found, "Observation") == set()
    included = (await hb.ask("GET", "Observation?_id=cross&_include=Observation:subject", "QPXY")).json()
    assert ids(included, "Patient") == set()
    await hb.ask("DELETE", "Observation/cross", "QPXY")


@pytest.mark.parametrize("who", SEES)
async def test_open_types_are_open_to_everybody_signed_in(hb: World, who: str) -> None:
    assert (await hb.ask("GET", "Practitioner/prac-1", who)).status_code == 200
    assert ids((await hb.ask("GET", "Practitioner?_id=prac-1", who)).json(), "Practitioner") == {"prac-1"}


@pytest.mark.parametrize("who", SEES)
async def test_open_types_do_not_bring_closed_ones_along(hb: World, who: str) -> None:
    seen = SEES[who] or set()
    contracts = {"contract-a"} if "a-xy" in seen else set()
    joins = [
        "Practitioner?_id=prac-1&_revinclude=EpisodeOfCare:care-manager",
        "Practitioner?_id=prac-1&_revinclude=*",
    ]
    for query in joins:
        answer = await hb.ask("GET", query, who)
        assert answer.status_code in {200, 400, 501}, query
        assert ids(answer.json(), "EpisodeOfCare") <= contracts, query
        entries = [{"request": {"method": method, "url": query}} for method in ("GET", "HEAD")]
        batch = (
            await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": entries})
        ).json()
        for entry in batch["entry"]:
            assert ids(entry.get("resource", {}), "EpisodeOfCare") <= contracts, query
    has = (await hb.ask("GET", "Practitioner?_has:EpisodeOfCare:care-manager:patient=a-xy", who)).json()
    assert ids(has, "Practitioner") == ({"prac-1"} if contracts else set())
    mixed = [
        {"request": {"method": method, "url": url}}
        for method, url in (("GET", "Practitioner/prac-1"), ("HEAD", "Patient/c-zx"))
    ]
    answer = await hb.ask("POST", "", who, json={"resourceType": "Bundle", "type": "batch", "entry": mixed})
    assert answer.json()["entry"][0]["response"]["status"][:3] == "200"
    assert answer.json()["entry"][1]["response"]["status"][:3] in ({"200"} if "c-zx" in seen else {"404", "403"})


async def test_nobody_without_a_name_sees_anything(hb: World) -> None:
    table = [
        {},
        {"authorization": "Bearer nonsense"},
        {"authorization": "Bearer " + "hb_" + "0" * 60},
        {"authorization": "Basic eDp5"},
        {"authorization": "Bearer "},
        {"cookie": "hb_session=nonsense"},
        {"cookie": "other=1"},
    ]
    for headers in table:
        for method, path in (
            ("GET", "Patient/a-zs"),
            ("GET", "Practitioner/prac-1"),
            ("POST", "Patient"),
            ("GET", "AuditEvent"),
        ):
            answer = await hb.ask(method, path, None, headers=headers)
            assert answer.status_code == 401, headers
            assert answer.headers["www-authenticate"].startswith("Bearer")


# who writes where -> status
WRITES = [
    ("QPZS", "PUT", "Patient/b-zs", 200),
    ("QP00", "PUT", "Patient/b-zs", 200),
    ("QPXY", "PUT", "Patient/b-zs", 403),
    ("XHZX", "PUT", "Patient/b-zs", 403),
    ("doctor", "PUT", "Patient/a-xy", 200),
    ("doctor", "PUT", "Patient/a-zs", 403),  # may read it, but it is another institution's
    ("doctor", "PUT", "Patient/b-zs", 403),
    ("doctor", "DELETE", "Patient/a-xy", 403),
    ("doctor", "PUT", "Practitioner/prac-1", 403),
    ("leader", "PUT", "Patient/b-zs", 403),
    ("leader for public health", "PUT", "Patient/b-zs", 403),
    ("cdc", "PUT", "Patient/b-zs", 403),
    ("cdc", "DELETE", "Patient/b-zs", 403),
    ("manager", "PUT", "Patient/b-zs", 403),
    ("resident", "PUT", "Patient/a-zs", 403),
    ("administrator", "PUT", "Patient/b-zs", 403),
    ("administrator on a case", "DELETE", "Patient/b-zs", 403),
    ("QPXY", "DELETE", "Patient/b-zs", 403),
    ("QPXY", "PUT", "Practitioner/prac-1", 403),  # open for reading is not open for changing
    ("administrator", "PUT", "Practitioner/prac-1", 200),
]


@pytest.mark.parametrize(("who", "method", "path", "status"), WRITES)
async def test_changes_reach_only_as_far_as_the_table_says(
    hb: World, who: str, method: str, path: str, status: int
) -> None:
    before = (await hb.ask("GET", path, "SH")).json()
    changed = {**before, "language": "zh" if before.get("language") != "zh" else "en"}
    answer = await hb.ask(method, path, who, json=changed if method == "PUT" else None)
    assert answer.status_code == status, answer.text
    after = (await hb.ask("GET", path, "SH")).json()
    assert (after["meta"]["versionId"] != before["meta"]["versionId"]) == (status == 200)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": method, "url": path}}]}
    if method == "PUT":
        bundle["entry"][0]["resource"] = before  # type: ignore[index]
    answer = await hb.ask("POST", "", who, json=bundle)
    assert answer.status_code == status, answer.text


async def test_a_conditional_create_does_not_tell_whether_another_tenant_knows_somebody(hb: World) -> None:
    mine = patient("ignored", ID_A, "张伟", "1950-01-01", "male")
    condition = {"if-none-exist": f"identifier={mine['identifier'][0]['system']}|{ID_A}"}
    answer = await hb.ask("POST", "Patient", "XHZX", json=mine, headers=condition)
    assert answer.status_code == 201
    id_ = answer.json()["id"]
    assert (await hb.ask("GET", f"Patient/{id_}", "QP00")).status_code == 404
    await hb.ask("DELETE", f"Patient/{id_}", "XHZX")


async def test_a_change_by_cookie_needs_the_token_of_its_session(hb: World) -> None:
    body = observation("csrf", "a-xy")
    for headers in ({"x-csrf": ""}, {"x-csrf": access.csrf_token("another")}):
        answer = await hb.ask("PUT", "Observation/csrf", "doctor", json=body, headers=headers)
        assert answer.status_code == 403
    assert (await hb.ask("PUT", "Observation/csrf", "doctor", json=body)).status_code == 201
    await hb.ask("DELETE", "Observation/csrf", "QPXY")


async def test_a_transaction_with_one_forbidden_entry_does_nothing(hb: World) -> None:
    entries = [
        {"request": {"method": "PUT", "url": "Observation/o-new"}, "resource": observation("o-new", "a-xy")},
        {"request": {"method": "DELETE", "url": "Observation/o-a-xy"}},
    ]
    body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert (await hb.ask("POST", "", "doctor", json=body)).status_code == 403
    assert (await hb.ask("GET", "Observation/o-new", "SH")).status_code == 404


# who asks the log -> accounts whose acts they find; None = refused
LOG: dict[str, set[str] | None] = {
    "SH": None,
    "doctor": None,
    "leader": None,
    "cdc": None,
    "manager": {"system-QPZS", "manager"},
    "administrator": {"system-QP00", "system-QPZS", "system-QPXY", "cdc", "doctor", "manager", "resident"},
}


@pytest.mark.parametrize("who", LOG)
async def test_the_log_shows_the_acts_of_the_own_part(hb: World, who: str) -> None:
    for reader in ("system-XHZX", "cdc", "doctor", "manager", "resident"):
        name = reader.removeprefix("system-")
        await hb.ask("GET", f"Patient/{'c-zx' if name == 'XHZX' else 'a-zs'}", name)
    await hb.platform.audit.flush()
    answer = await hb.ask("GET", "AuditEvent?_count=1000", who)
    expected = LOG[who]
    if expected is None:
        assert answer.status_code == 403
        return
    found = {entry["resource"]["agent"][0].get("altId") for entry in answer.json()["entry"]}
    assert expected <= found
    assert not found & {"system-XHZX", "system-SH"}
    if who == "manager":
        assert not found & {"cdc", "doctor", "system-QPXY"}


async def test_a_resident_sees_who_looked_at_their_own_data_and_nothing_else(hb: World) -> None:
    await hb.ask("GET", "Patient/a-zs", "cdc")
    await hb.ask("GET", "Patient/c-zx", "XHZX")
    await hb.ask("GET", "Patient/b-zs", "manager")
    await hb.platform.audit.flush()
    bundle = (await hb.ask("GET", "AuditEvent?_count=1000", "resident")).json()
    entries = [entry["resource"] for entry in bundle["entry"]]
    assert {"cdc", "system-QPZS"} <= {event["agent"][0]["altId"] for event in entries}
    touched = {what["what"].get("reference") for event in entries for what in event["entity"]}
    assert not touched & {"Patient/c-zx", "Patient/b-zs"}
    one = entries[0]
    assert (await hb.ask("GET", f"AuditEvent/{one['id']}", "resident")).json() == one
    assert (await hb.ask("GET", f"AuditEvent/{one['id']}", "doctor")).status_code == 403


async def test_a_new_district_is_a_tenant_of_its_own_at_once(hb: World) -> None:
    async with hb.platform.pool.connection() as connection:
        key = await access.put_organisation(
            connection, code="SJ00", name="松江区", kind="district", parent=hb.keys["SH"], fhir_id="org-SJ00"
        )
        hb.tokens["SJ00"] = await access.issue_token(connection, name="system-SJ00", organisation=key)
    made = await hb.ask(
        "PUT", "Patient/d-sj", "SJ00", json=patient("d-sj", "310117199001011239", "赵六", "1990-01-01", "male")
    )
    assert made.status_code == 201
    assert ids((await hb.ask("GET", "Patient", "SJ00")).json(), "Patient") == {"d-sj"}
    assert (await hb.ask("GET", "Patient/d-sj", "QP00")).status_code == 404
    assert (await hb.ask("GET", "Patient/d-sj", "SH")).status_code == 200
    await hb.ask("DELETE", "Patient/d-sj", "SJ00")


async def test_a_revoked_token_is_refused_within_two_seconds(hb: World) -> None:
    async with hb.platform.pool.connection() as connection:
        listed = await access.tokens(connection)
        token = await access.issue_token(connection, name="short", organisation=hb.keys["QPZS"])
        hb.tokens["short"] = token
        assert len(await access.tokens(connection)) == len(listed) + 1
    assert (await hb.ask("GET", "Patient/a-zs", "short")).status_code == 200
    async with hb.platform.pool.connection() as connection:
        await access.revoke_token(connection, token.rpartition("_")[0][:11], hb.platform.clock())
    for _ in range(20):
        answer = await hb.ask("GET", "Patient/a-zs", "short")
        if answer.status_code == 401:
            break
        await asyncio.sleep(0.1)
    assert answer.status_code == 401
