"""Writing and reading by name, on a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from healthbrain.errors import Conflict, Forbidden, Gone, Incorrect, Invalid, NotFound, PreconditionFailed
from healthbrain.scope import Scope
from healthbrain.store import Store, Write, Written, changes, latest, patient_key
from tests.engine.store_samples import AT, context, observation, opened, patient, post, put

store = Store()
pytestmark = pytest.mark.anyio


async def test_what_is_written_is_read_back_with_version_and_time(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        (written,) = await store.write(connection, [put(patient("p1"))], context())
        found = await store.read(connection, "Patient", "p1")
        assert (written.version, written.created, written.changed, written.patient) == (
            1,
            True,
            True,
            patient_key("p1"),
        )
        assert found.resource == patient("p1") | {"meta": {"versionId": "1", "lastUpdated": "2026-03-01T08:00:00.000Z"}}
        assert (found.updated, found.owner, found.patient, found.delivery) == (AT, 1, patient_key("p1"), None)


async def test_decimals_come_back_digit_by_digit(dsn):
    from healthbrain.fhir import parse

    body = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":72.50}}'
    )
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(parse(body))], context())
        assert b'"value":72.50}' in (await store.read(connection, "Observation", "o")).body
        finer = parse(body.replace(b"72.50", b"72.5"))
        (written,) = await store.write(connection, [put(finer)], context())
        assert written.changed, "72.5 and 72.50 differ in precision"


async def test_identical_content_makes_no_new_version(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("p1"))], context())
        again = (await store.read(connection, "Patient", "p1")).resource
        (written,) = await store.write(connection, [put(again)], context(5))
        assert (written.version, written.changed, written.updated) == (1, False, AT)


async def test_history_and_vread_show_every_version_and_the_deletion(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        for minute, family in enumerate("张王李"):
            await store.write(connection, [put(patient("p1", family))], context(minute))
        (gone,) = await store.write(connection, [Write("delete", "Patient", "p1", None)], context(3))
        assert (gone.deleted, gone.version) == (True, 4)
        with pytest.raises(Gone):
            await store.read(connection, "Patient", "p1")
        with pytest.raises(Gone):
            await store.vread(connection, "Patient", "p1", 4)
        assert (await store.vread(connection, "Patient", "p1", 2)).resource["name"] == [{"family": "王"}]
        page = await store.history(connection, "Patient", "p1", count=3)
        assert [(one.version, one.deleted) for one in page.matches] == [(4, True), (3, False), (2, False)]
        rest = await store.history(connection, "Patient", "p1", count=3, cursor=page.next)
        assert [one.version for one in rest.matches] == [1]
        assert rest.next is None
        recent = await store.history(connection, None, None, since=AT + timedelta(minutes=2))
        assert [one.version for one in recent.matches] == [4, 3]
        (back,) = await store.write(connection, [put(patient("p1"))], context(4))
        assert (back.version, back.created) == (5, True)


async def test_a_merge_keeps_what_it_does_not_name(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("p1", gender="male", maritalStatus={"text": "已婚"}))], context())
        part = {"resourceType": "Patient", "birthDate": "1970-01-01", "maritalStatus": {"coding": [{"code": "20"}]}}
        (written,) = await store.write(connection, [Write("merge", "Patient", "p1", part)], context(1))
        assert written.resource is not None
        assert written.resource["gender"] == "male"
        assert written.resource["birthDate"] == "1970-01-01"
        assert written.resource["maritalStatus"] == {"text": "已婚", "coding": [{"code": "20"}]}


async def test_a_resource_twice_in_one_call_is_written_twice_in_order(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        first, second = await store.write(connection, [put(patient("p1", "张")), put(patient("p1", "王"))], context())
        assert (first.version, second.version) == (1, 2)
        assert (await store.read(connection, "Patient", "p1")).resource["name"] == [{"family": "王"}]


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (put(patient("p1", gender="nobody")), Invalid),
        (put(patient("p1"), if_match=7), PreconditionFailed),
        (put(patient("fresh"), if_match=1), PreconditionFailed),
        (put(patient("not ok")), Incorrect),
        (Write("create", "Patient", "p1", patient("p1")), Conflict),
        (Write("update", "Patient", "p1", patient("p2")), Incorrect),
        (Write("update", "Observation", "p1", patient("p1")), Incorrect),
        (Write("update", "Nonsense", "p1", {"resourceType": "Nonsense"}), Incorrect),
    ],
)
async def test_a_wrong_write_is_refused_and_leaves_nothing(dsn, write, error):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("p1"))], context())
        await connection.commit()
        with pytest.raises(error):
            await store.write(connection, [put(patient("p9")), write], context(1))
        await connection.rollback()
        with pytest.raises(NotFound):
            await store.read(connection, "Patient", "p9")
        assert (await store.read(connection, "Patient", "p1")).version == 1


async def test_a_writer_does_not_touch_what_lies_outside_its_scope(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("p1"))], context(owner=1))
        narrow = context(1, owner=2, scope=Scope(organisations=(2,), patients=()))
        with pytest.raises(Forbidden):
            await store.write(connection, [put(patient("p1", "王"))], narrow)


async def test_an_observer_sees_what_was_written_in_the_same_transaction(dsn):
    seen: list[Written] = []

    async def watch(connection, context, written):
        seen.extend(written)
        await connection.execute("create table observed (id text)")

    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("p1")), post(observation("p1"))], context(), observers=[watch])
        await connection.rollback()
        assert [one.type for one in seen] == ["Patient", "Observation"]
        assert (await (await connection.execute("select to_regclass('observed')")).fetchone()) == (None,)


async def test_two_who_create_the_same_id_at_once_end_with_two_versions(dsn):
    async with opened(dsn) as pool:

        async def one(family: str) -> Written:
            async with pool.connection() as connection:
                written = await store.write(connection, [put(patient(f"p{n}", family)) for n in range(50)], context())
                await asyncio.sleep(0.05)
                return written[7]

        versions = sorted(w.version for w in await asyncio.gather(one("张"), one("王")))
        assert versions == [1, 2]
        async with pool.connection() as connection:
            strings = await connection.execute("select count(*) from resource_string")
            assert await strings.fetchone() == (100,), "the loser's index rows are gone: family and name of 50"
            await connection.commit()
            feed, _ = await changes(connection)
            assert len(feed) == 100
            assert (await latest(connection)) == feed[-1].position
