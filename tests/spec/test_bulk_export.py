"""Bulk Data Access 2.0 as a client sees it: kick-off, status, manifest, files; and that it shows nobody more than they may see."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import BASE, World, inhabited, observation, world
from tests.bulk_client import ASYNC, exported, kick_off, lines, manifest

from healthbrain.exchange import bulkdata
from healthbrain.exchange.bulkdata import jobs
from healthbrain.runtime.jobs import desk
from healthbrain.store import patient_key

pytestmark = pytest.mark.anyio

QINGPU = {
    "Patient/a-zs",
    "Patient/a-xy",
    "Patient/b-zs",
    "Observation/o-a-zs",
    "Observation/o-a-xy",
    "Observation/o-b-zs",
}
OTHER = {"Patient/c-zx", "Observation/o-c-zx"}


@pytest.fixture
async def hb(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(dsn, tmp_path) as made:
        await inhabited(made)
        yield made


@pytest.fixture(scope="module")
async def still(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world in which nothing changes, for all tests that only read."""
    name = "hb_bulk_export"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    async with world(make_conninfo(postgres, dbname=name), tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        yield made


async def test_a_system_export_holds_every_resource_of_the_requester_and_nothing_of_other_tenants(still: World) -> None:
    shown = await exported(still, "$export")
    assert shown == QINGPU | {"EpisodeOfCare/contract-a", "Practitioner/prac-1"}
    assert await exported(still, "$export", "XH00") == OTHER | {"Practitioner/prac-1"}
    assert await exported(still, "$export?_type=Patient", "SH") == {one for one in QINGPU | OTHER if "Patient/" in one}


async def test_the_bytes_of_a_resource_are_those_that_reading_it_gives(still: World) -> None:
    found = await manifest(still, "$export?_type=Observation")
    body = await lines(still, found["output"][0]["url"])
    for one in body:
        assert one == (await still.ask("GET", f"Observation/{one['id']}")).json()
    assert found["request"] == f"{BASE}/$export?_type=Observation"
    assert found["requiresAccessToken"] is True
    assert found["deleted"] == found["error"] == []


async def test_a_doctor_exports_their_institution_and_their_panel_only(still: World) -> None:
    shown = await exported(still, "Patient/$export", "doctor")
    assert shown == {
        "Patient/a-zs", "Patient/a-xy", "Observation/o-a-zs", "Observation/o-a-xy", "EpisodeOfCare/contract-a",
    }  # fmt: skip


@pytest.mark.parametrize("who", ["leader", "administrator"])
async def test_who_sees_figures_only_exports_nothing(still: World, who: str) -> None:
    answer = await still.ask("GET", "$export", who, headers=ASYNC)
    if answer.status_code == 202:
        while await bulkdata.work_export(desk(still.platform)):
            pass
        answer = await still.ask("GET", answer.headers["content-location"], who)
    assert answer.status_code in (403, 500)


async def test_patients_and_groups_narrow_to_compartments(hb: World) -> None:
    everybody = await exported(hb, "Patient/$export")
    assert everybody == QINGPU | {"EpisodeOfCare/contract-a"}
    of_b = {"Patient/b-zs", "Observation/o-b-zs"}
    assert await exported(hb, "Patient/$export?patient=Patient/b-zs") == of_b
    members = [{"entity": {"reference": f"Patient/{id_}"}} for id_ in ("b-zs", "c-zx")]
    members.append({"entity": {"reference": "Patient/a-zs"}, "inactive": True})
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
    assert (await hb.ask("PUT", "Group/g", "QPZS", json=group)).status_code == 201
    assert await exported(hb, "Group/g/$export") - {"Group/g"} == of_b  # c is another district's
    assert (await hb.ask("GET", "Group/g/$export", "XH00", headers=ASYNC)).status_code == 404


async def test_filters_are_searches_of_which_one_must_hold(hb: World) -> None:
    high = observation("high", "b-zs", 11.5)
    assert (await hb.ask("PUT", "Observation/high", "QPZS", json=high)).status_code == 201
    query = quote("Observation?value-quantity=gt10,Observation?subject=Patient/a-xy", safe="")
    shown = await exported(hb, f"$export?_type=Observation,Practitioner&_typeFilter={query}")
    assert shown == {"Observation/high", "Observation/o-a-xy", "Practitioner/prac-1"}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Observation"},
            {"name": "_typeFilter", "valueString": "Observation?value-quantity=gt10&status=final,amended"},
            {"name": "patient", "valueReference": {"reference": "Patient/b-zs"}},
        ],
    }
    assert await exported(hb, "Patient/$export", method="POST", json=parameters) == {"Observation/high"}


async def test_elements_leave_the_others_out_and_say_so(still: World) -> None:
    found = await manifest(still, "$export?_type=Patient&_elements=Patient.gender,Observation.value")
    for one in await lines(still, found["output"][0]["url"]):
        assert "gender" in one
        assert "birthDate" not in one
        assert one["meta"]["tag"][-1]["code"] == "SUBSETTED"


async def test_an_export_since_the_one_before_holds_what_changed_and_what_was_deleted(hb: World) -> None:
    first = await manifest(hb, "$export")
    assert (await hb.ask("PUT", "Observation/new", "QPZS", json=observation("new", "b-zs"))).status_code == 201
    assert (await hb.ask("DELETE", "Observation/o-b-zs", "QPZS")).status_code == 204
    since = quote(first["transactionTime"])
    second = await manifest(hb, f"$export?_since={since}")
    assert [one["type"] for one in second["output"]] == ["Observation"]
    assert [one["id"] for one in await lines(hb, second["output"][0]["url"])] == ["new"]
    (bundle,) = await lines(hb, second["deleted"][0]["url"])
    assert bundle["type"] == "transaction"
    assert bundle["entry"] == [{"request": {"method": "DELETE", "url": "Observation/o-b-zs"}}]
    assert (await manifest(hb, f"$export?_since={since}", "XH00"))["deleted"] == []
    before = await exported(hb, f"$export?_type=Observation&_until={since}")
    assert "Observation/new" not in before
    assert "Observation/o-a-zs" in before


async def test_a_change_that_commits_late_is_in_the_following_export(hb: World) -> None:
    """Its time is before the first export, its commit after it: neither of both may miss it."""
    store, clock = hb.platform.store, hb.platform.clock
    from healthbrain.store import Write, WriteContext

    async with hb.platform.pool.connection() as late:
        context = WriteContext(hb.keys["QPZS"], clock())
        await store.write(late, [Write("update", "Observation", "late", observation("late", "b-zs"))], context)
        first = await manifest(hb, "$export?_type=Observation")
        assert "late" not in {one["id"] for one in await lines(hb, first["output"][0]["url"])}
        await late.commit()
    assert await exported(hb, f"$export?_since={quote(first['transactionTime'])}") == {"Observation/late"}


async def test_what_is_written_during_an_export_is_not_in_it(hb: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = jobs.begun

    async def and_then_somebody_writes(*arguments: object) -> None:
        await begun(*arguments)  # type: ignore[arg-type]
        changed = observation("o-b-zs", "b-zs", 9.9)
        assert (await hb.ask("PUT", "Observation/o-b-zs", "QPZS", json=changed)).status_code == 200
        assert (await hb.ask("PUT", "Observation/new", "QPZS", json=observation("new", "b-zs"))).status_code == 201

    monkeypatch.setattr(jobs, "begun", and_then_somebody_writes)
    found = await manifest(hb, "$export?_type=Observation")
    content = {one["id"]: one for one in await lines(hb, found["output"][0]["url"])}
    assert "new" not in content
    assert content["o-b-zs"]["valueQuantity"]["value"] == 6.1


async def test_only_who_asked_sees_the_job_and_its_files(still: World) -> None:
    place = await kick_off(still, "$export", "QPZS")
    for who in ("QP00", "QPXY", "XH00", "manager"):
        assert (await still.ask("GET", place, who)).status_code == 404
        assert (await still.ask("DELETE", place, who)).status_code == 404
    while await bulkdata.work_export(desk(still.platform)):
        pass
    url = (await still.ask("GET", place, "QPZS")).json()["output"][0]["url"]
    assert (await still.ask("GET", url, "QPZS")).status_code == 200
    assert (await still.ask("GET", url, "QP00")).status_code == 404
    assert (await still.ask("GET", url, None)).status_code == 401
    for name in ("..", "../../secret", "Patient-0001.ndjson.gz", "Patient-9999.ndjson"):
        assert (await still.ask("GET", f"{place}/{quote(name, safe='')}", "QPZS")).status_code == 404


async def test_a_file_is_sent_packed_to_who_unpacks(still: World) -> None:
    found = await manifest(still, "$export?_type=Patient")
    url = found["output"][0]["url"]
    async with still.client.stream("GET", url, headers={**still.headers("QP00"), "accept-encoding": "gzip"}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == len(raw)
    async with still.client.stream(
        "GET", url, headers={**still.headers("QP00"), "accept-encoding": "identity"}
    ) as answer:
        plain = b"".join([piece async for piece in answer.aiter_raw()])
        assert "content-encoding" not in answer.headers
    assert gzip.decompress(raw) == plain
    assert all(json.loads(line)["resourceType"] == "Patient" for line in plain.splitlines())


async def test_cancelling_removes_the_job_and_its_files(hb: World, tmp_path: Path) -> None:
    place = await kick_off(hb, "$export")
    assert (await hb.ask("DELETE", place)).status_code == 202
    assert (await hb.ask("GET", place)).status_code == 404
    assert await bulkdata.work_export(desk(hb.platform)) is False
    found = await manifest(hb, "$export")
    url = found["output"][0]["url"]
    assert (await hb.ask("DELETE", url.rpartition("/")[0])).status_code == 202
    assert (await hb.ask("GET", url)).status_code == 404
    assert list((tmp_path / "export").iterdir()) == []


async def test_a_running_export_notices_that_it_was_cancelled(
    hb: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await kick_off(hb, "$export")
    begun = jobs.begun

    async def and_then_it_is_cancelled(*arguments: object) -> None:
        await begun(*arguments)  # type: ignore[arg-type]
        assert (await hb.ask("DELETE", place)).status_code == 202

    monkeypatch.setattr(jobs, "begun", and_then_it_is_cancelled)
    assert await bulkdata.work_export(desk(hb.platform)) is True
    assert (await hb.ask("GET", place)).status_code == 404
    assert list((tmp_path / "export").glob("*/*")) == []


async def test_files_go_when_their_time_is_over(hb: World, tmp_path: Path) -> None:
    await manifest(hb, "$export?_type=Patient")
    assert len(list((tmp_path / "export").glob("*/*.gz"))) == 1
    assert await bulkdata.sweep(hb.platform.pool, tmp_path / "export", hb.platform.clock()) == 0
    assert await bulkdata.sweep(hb.platform.pool, tmp_path / "export", hb.platform.clock() + jobs.KEPT) == 1
    assert list((tmp_path / "export").glob("*/*.gz")) == []


async def test_tenants_take_turns_and_one_works_on_one_job_at_a_time(hb: World) -> None:
    for who in ("QP00", "QP00", "XH00"):
        await kick_off(hb, "$export?_type=Patient", who)
    pool = hb.platform.pool
    async with jobs.next_job(pool, "export") as first, jobs.next_job(pool, "export") as second:
        assert first is not None
        assert second is not None
        assert (first.organisation, second.organisation) == (hb.keys["QP00"], hb.keys["XH00"])
        async with jobs.next_job(pool, "export") as third:
            assert third is None
    async with jobs.next_job(pool, "export") as again:  # nobody finished it: it is begun again
        assert again is not None
        assert again.id == first.id
        assert again.attempts == 2


async def test_whose_records_were_exported_is_in_the_audit_log(hb: World) -> None:
    found = await manifest(hb, "$export?_type=Observation", "QPZS")
    await lines(hb, found["output"][0]["url"], "QPZS")
    events = [event for event in await hb.events() if "$export" in event.detail or "$bulk" in event.detail]
    disclosed = [event for event in events if event.patients]
    assert len(disclosed) == 1
    assert set(disclosed[0].patients) == {patient_key("a-zs"), patient_key("b-zs")}
    assert disclosed[0].type == "Observation"
    assert any("$bulk file Observation-0001.ndjson" in event.detail for event in events)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("$export", {}),
        ("$export?_outputFormat=text/csv", ASYNC),
        ("$export?_type=Nothing", ASYNC),
        ("$export?_since=yesterday", ASYNC),
        ("$export?patient=Patient/a-zs", ASYNC),
        ("$export?includeAssociatedData=LatestProvenanceResources", ASYNC),
        ("$export?_typeFilter=Patient", ASYNC),
        ("$export?_typeFilter=Patient?nonsense=1", ASYNC),
        ("$export?_typeFilter=Patient?gender=male%26_sort=name", ASYNC),
        ("$export?_type=Patient&_typeFilter=Observation?status=final", ASYNC),
        ("$export?surprise=1", ASYNC),
    ],
)
async def test_what_is_wrong_or_not_offered_is_refused_at_once(
    still: World, path: str, headers: dict[str, str]
) -> None:
    answer = await still.ask("GET", path, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_lenient_requests_ignore_what_is_not_offered(still: World) -> None:
    headers = {"prefer": "respond-async, handling=lenient"}
    shown = await exported(still, "$export?_type=Patient&includeAssociatedData=x&_outputFormat=ndjson", headers=headers)
    assert shown == {one for one in QINGPU if one.startswith("Patient/")}


def test_many_jobs_of_one_organisation_are_refused(dsn: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(dsn, tmp_path) as hb:
            for _ in range(jobs.MOST_WAITING):
                await kick_off(hb, "$export")
            assert (await hb.ask("GET", "$export", headers=ASYNC)).status_code == 429
            assert (await hb.ask("GET", "$export", "XH00", headers=ASYNC)).status_code == 202

    asyncio.run(story())
