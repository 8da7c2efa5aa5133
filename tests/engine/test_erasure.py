"""A person is erased: from every room, the deliveries, the lake and the files on the disk; others keep everything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import zstandard

from healthbrain import audit, exchange, identity, lake
from healthbrain.access import put_organisation
from healthbrain.database import Connection, Embedded, apply_migrations
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.exchange import Arrival
from healthbrain.exchange.redaction import about, without
from healthbrain.lake import Lake
from healthbrain.runtime import Platform, erasure
from healthbrain.runtime.erasure import Wish
from healthbrain.runtime.jobs import follow_feed
from healthbrain.runtime.retention import Hold
from healthbrain.scope import Principal
from healthbrain.settings import Settings
from healthbrain.store import Write, WriteContext, patient_key

CARD, OTHER_CARD = "310118196003074128", "310118198511230026"
NAME, OTHER = "欧阳若澜", "司徒明远"
WHO = Principal("clerk", "", "administrator", 1, "SYSADMIN")
NI = "urn:oid:2.16.156.10011.1.3"
Story = Callable[[Platform], Awaitable[None]]


def person(id_: str, name: str, card: str, born: str) -> dict[str, object]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": NI, "value": card}, {"system": "urn:healthbrain:org:H1:mrn", "value": f"M{id_}00"}],
        "name": [{"text": name}],
        "birthDate": born,
        "telecom": [{"system": "phone", "value": "13900001234"}],
    }


def visit(id_: str, patient: str, start: str = "2026-10-02") -> dict[str, object]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": start, "end": start},
    }


RELATIVE = {
    "resourceType": "RelatedPerson",
    "id": "mother-of-b",
    "patient": {"reference": "Patient/b"},
    "identifier": [{"system": NI, "value": CARD}],
    "name": [{"text": NAME}],
}
A, B = person("a-record", NAME, CARD, "1960-03-07"), person("b", OTHER, OTHER_CARD, "1985-11-23")


def bundle(*resources: dict[str, object]) -> bytes:
    entries = [
        {
            "fullUrl": f"urn:x:{one['id']}",
            "resource": one,
            "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"},
        }
        for one in resources
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}, ensure_ascii=False).encode()


def adt(control: str, name: str = NAME, card: str = CARD, month: str = "03") -> bytes:
    return (
        f"MSH|^~\\&|HIS|H1|HB|QP00|20261122115900||ADT^A01|{control}|P|2.5|||||CHN|GB 18030-2000\r"
        f"EVN|A01|20261122110000\rPID|1||M9^^^H1^MR~{card}^^^^NI||{name}||1960{month}07|F\r"
        f"PV1|1|O|||||D1^李^医生||||||||||||V1{'|' * 25}20261122103000\r"
    ).encode("gb18030")


async def send(platform: Platform, raw: bytes, door: str, source: int, number: str) -> str:
    arrival = Arrival(door=door, raw=raw, source=source, received_at=platform.clock(), control_id=number)  # type: ignore[arg-type]  # a literal
    return (await platform.receive(arrival)).state


async def fill(platform: Platform) -> None:
    """Two people by three doors: together in a bundle, alone, in a message, refused, and without any change."""
    async with platform.pool.connection() as connection:
        root = await put_organisation(connection, code="QP00", name="区", kind="district")
        hospital = await put_organisation(connection, code="H1", name="医院", kind="institution", parent=root)
        at = platform.clock()
        door = await exchange.put_source(
            connection,
            code="s",
            name="s",
            organisation=hospital,
            organisation_code="H1",
            door="fhir",
            verified=True,
            at=at,
        )
        pipe = await exchange.put_source(
            connection, code="v2", name="v2", organisation=hospital, organisation_code="H1", door="hl7v2",
            facility="H1", verified=True, at=at,
        )  # fmt: skip
    assert await send(platform, bundle(A, B, RELATIVE), "fhir", door.key, "1") == "accepted"
    assert (
        await send(platform, bundle(visit("a-v1", "a-record"), visit("b-v1", "b")), "fhir", door.key, "2") == "accepted"
    )
    assert await send(platform, bundle({**A, "gender": "female"}), "fhir", door.key, "3") == "accepted"
    assert await send(platform, bundle({**A, "gender": "female"}), "fhir", door.key, "4") == "accepted"  # nothing new
    wrong = {**visit("a-v2", "a-record"), "status": "nonsense", "reasonCode": [{"text": NAME + CARD}]}
    assert await send(platform, bundle(wrong), "fhir", door.key, "5") == "refused"
    assert await send(platform, adt("7"), "hl7v2", pipe.key, "7") == "accepted"
    async with platform.pool.connection() as connection, connection.transaction():  # a mistake, corrected and deleted
        context = WriteContext(owner=2, at=platform.clock())
        await platform.store.write(
            connection, [Write("update", "Observation", "gone", {"resourceType": "Observation", "status": "final",
            "code": {"text": NAME}, "subject": {"reference": "Patient/a-record"}})], context,
        )  # fmt: skip
        await platform.store.write(connection, [Write("delete", "Observation", "gone", None)], context)
    while await platform.store.index_texts(platform.pool):
        pass
    await follow_feed(platform)


async def person_of(platform: Platform, id_: str) -> str:
    async with platform.pool.connection() as connection:
        return (await identity.person_of(connection, [patient_key(id_)]))[patient_key(id_)]


async def plan_of(platform: Platform, who: str) -> erasure.Plan:
    async with platform.pool.connection() as connection:
        return await erasure.plan(platform, connection, who)


async def rows_of(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()


def run(dsn: str, data: Path, story: Story) -> None:
    async def whole() -> None:
        async with Platform(Settings(data=data), dsn=dsn) as platform:
            await fill(platform)
            await story(platform)

    asyncio.run(whole())


def holding(folder: Path, *needles: bytes) -> list[str]:
    """The files in which a needle stands; Parquet is read row by row, because its pages are compressed."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle in content_of(path) for needle in needles)
    )


def content_of(path: Path) -> bytes:
    if path.suffix != ".parquet":
        return path.read_bytes()
    with duckdb.connect() as connection:
        rows = connection.execute("select to_json(t)::varchar from read_parquet(?) t", [str(path)]).fetchall()
    return "\n".join(row[0] for row in rows).encode()


def test_nothing_of_an_erased_person_is_left_and_others_keep_everything(tmp_path: Path) -> None:
    server = Embedded(
        tmp_path / "data" / "postgres",
        config={"fsync": "off", "wal_recycle": "off", "min_wal_size": "32MB", "full_page_writes": "off"},
    )
    dsn = server.start()
    needles = [*(text.encode() for text in (NAME, CARD, "a-record")), NAME.encode("gb18030")]

    async def story(platform: Platform) -> None:
        who = await person_of(platform, "a-record")
        other = await person_of(platform, "b")
        assert holding(tmp_path / "data", *needles)
        planned = await plan_of(platform, who)
        assert planned.records == 2
        assert planned.resources["RelatedPerson"] == 1
        done = await erasure.erase(platform, who, Wish("unlawful", "（2026）沪01号", planned.code), WHO)
        assert done.lake_done
        assert (done.deliveries_redacted, done.deliveries_emptied) == (2, 4)
        async with platform.pool.connection() as connection:
            assert await identity.patient_ids(connection, who) == []
            assert await rows_of(connection, "select fhir_id from resource order by 1") == [
                ("b",),
                ("b-v1",),
            ]
            raws = await rows_of(connection, "select raw from delivery_raw")
            contents = [zstandard.ZstdDecompressor().decompress(bytes(row[0])) for row in raws]
            assert len(contents) == 2
            assert all(OTHER.encode() in one or b"b-v1" in one for one in contents)
            assert not any(needle in one for one in contents for needle in needles)
            left = await (await connection.execute("select count(*), count(redacted_at) from delivery")).fetchone()
            assert left == (6, 6)
            assert await identity.patient_ids(connection, other)
            stones = await erasure.tombstones(connection)
            assert (stones[0].person, stones[0].ground, stones[0].lake_done_at is not None) == (who, "unlawful", True)
            assert (await audit.verify(connection)).whole
        reader = Lake(platform.settings.lake).connect()
        assert reader.execute(
            'select _id from "Patient_all" union all select _id from "Encounter_all" order by 1'
        ).fetchall() == [("b",), ("b-v1",)]
        reader.close()
        await follow_feed(platform)
        await erasure.purge(platform)
        with pytest.raises(NotFound):
            await plan_of(platform, who)

    try:
        with psycopg.connect(dsn) as connection:
            assert connection.execute("show wal_recycle").fetchone() == ("off",)
        apply_migrations(dsn)
        run(dsn, tmp_path / "data", story)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for _ in range(3):
                connection.execute("select pg_switch_wal()")
                connection.execute("checkpoint")
    finally:
        server.stop()
    assert holding(tmp_path / "data", *needles) == []
    assert holding(tmp_path / "data", OTHER.encode())


def test_what_comes_again_after_an_erasure_is_new_and_the_lake_is_that_of_a_rebuild(dsn: str, tmp_path: Path) -> None:
    rows = "select _id, _version, _body from Patient union all select _id, _version, _body from Encounter order by 1"

    async def story(platform: Platform) -> None:
        who = await person_of(platform, "a-record")
        folder = platform.settings.lake
        wish = Wish("law", "judgement 7", (await plan_of(platform, who)).code)
        with pytest.MonkeyPatch.context() as patched:  # the lake is busy: it is hidden and rewritten later
            patched.setattr(erasure.lake, "erase", _busy)
            assert not (await erasure.erase(platform, who, wish, WHO)).lake_done
        async with platform.pool.connection() as connection, connection.transaction():
            writes = [Write("update", "Patient", "a-record", dict(A))]
            await platform.store.write(
                connection, writes, WriteContext(owner=2, at=platform.clock()), observers=platform.observers
            )
        await follow_feed(platform)
        assert await erasure.finish(platform)
        reader = Lake(folder).connect()
        grown = reader.execute(rows).fetchall()
        reader.close()
        assert [(id_, version) for id_, version, _ in grown] == [("a-record", 1), ("b", 1), ("b-v1", 1)]
        await lake.rebuild(platform.pool, folder, platform.clock(), persons=identity.links)
        reader = Lake(folder).connect()
        assert reader.execute(rows).fetchall() == grown
        reader.close()
        assert not (await lake.verify(platform.pool, folder, platform.clock())).findings

    run(dsn, tmp_path, story)


def _busy(*_: object) -> None:
    raise Conflict("another process is writing the lake")


def test_an_erasure_needs_ground_reason_code_and_respects_the_periods_of_keeping(dsn: str, tmp_path: Path) -> None:
    async def story(platform: Platform) -> None:
        who = await person_of(platform, "a-record")
        planned = await plan_of(platform, who)
        assert [one.kind for one in planned.holds] == ["outpatient"]
        assert planned.holds[0].until.year == 2041
        for wish, said in (
            (Wish("whim", "because", planned.code), "legal ground"),
            (Wish("withdrawn", " ", planned.code), "reason"),
            (Wish("withdrawn", "request 12", planned.code), "must be kept until 2041"),
            (Wish("withdrawn", "request 12", "00000000", "H1 archive"), "does not belong to this plan"),
        ):
            with pytest.raises((Incorrect, Conflict), match=said):
                await erasure.erase(platform, who, wish, WHO)
        assert (await plan_of(platform, who)).code == planned.code  # nothing has changed
        done = await erasure.erase(
            platform, who, Wish("withdrawn", "request 12", planned.code, "H1 archive 2026-3"), WHO
        )
        assert done.resources["Patient"] == 2

    run(dsn, tmp_path, story)


def test_only_what_speaks_of_the_person_is_taken_out_of_a_delivery() -> None:
    person = about([CARD, "a-record"], [NAME], ["1960-03-07"])
    lines = b'{"id":"x"}\n{"id":"a-record"}\n{"id":"y"}'
    assert without(lines, person) == b'{"id":"x"}\n\n{"id":"y"}'
    assert without(adt("1") + adt("2", "李四", "1", "05"), person) == adt("2", "李四", "1", "05")
    assert without(adt("1"), person) is None
    assert without(b'{"id":"' + CARD.encode() + b'9"}', person) == b'{"id":"' + CARD.encode() + b'9"}'
    posted = json.dumps({"resourceType": "Bundle", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "identifier": [{"value": CARD}]}},
        {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}},
        {"fullUrl": "urn:uuid:3", "resource": {"resourceType": "Observation", "subject": {"reference": "Patient/z"}}},
    ]})  # fmt: skip
    left = json.loads(without(posted.encode(), person) or b"{}")
    assert [entry["fullUrl"] for entry in left["entry"]] == ["urn:uuid:3"]


def test_a_period_of_keeping_counts_from_the_last_record() -> None:
    assert Hold("inpatient", date(2056, 1, 28), 1, "").until > datetime(2026, 1, 1, tzinfo=UTC).date()
