"""The lake follows the store: exactly once, through crashes, and the same whether it grows or is built anew."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthbrain import lake
from healthbrain.access import put_organisation
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Conflict
from healthbrain.fhir import parse
from healthbrain.lake import Lake, feed, manifest
from healthbrain.store import Store, Write, WriteContext, latest, patient_key, prune

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
STORE = Store()


def patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": "1960-05-01", **more}


def pressure(number: int, person: int, value: str = "138.50") -> bytes:
    return (
        f'{{"resourceType":"Observation","id":"o{number}","status":"final",'
        '"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},'
        f'"subject":{{"reference":"Patient/p{person}"}},"effectiveDateTime":"2026-10-01T08:00:00+08:00",'
        f'"valueQuantity":{{"value":{value},"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}'
    ).encode()


async def put(pool: Pool, resources: Sequence[dict[str, Any]], owner: int = 1) -> None:
    async with pool.connection() as connection, connection.transaction():
        writes = [Write("update", one["resourceType"], one["id"], one) for one in resources]
        await STORE.write(connection, writes, WriteContext(owner=owner, at=AT, delivery=7))


async def drop(pool: Pool, type_: str, id_: str) -> None:
    async with pool.connection() as connection, connection.transaction():
        await STORE.write(connection, [Write("delete", type_, id_, None)], WriteContext(owner=1, at=AT))


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    connection = Lake(folder).connect(types=["Patient", "Observation"])
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def files(folder: Path, pattern: str = "*/**/*.parquet") -> set[str]:
    """The files with rows; those in shapes have none."""
    return {str(path.relative_to(folder)) for path in folder.glob(pattern) if "shapes" not in path.parts}


def run(dsn: str, story: Any) -> Any:
    async def whole() -> Any:
        pool = await open_pool(dsn, size=3)
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(whole())


def test_what_the_store_holds_is_in_the_lake_with_types_and_untouched_bodies(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1), parse(pressure(1, 1)), patient(2)])
        progress = await lake.sync(pool, tmp_path, AT)
        assert (progress.rows, progress.caught_up) == (3, True)
        assert rows(tmp_path, "select _id, gender, _version, _owner, _delivery from Patient order by 1") == [
            ("p1", "female", 1, 1, 7),
            ("p2", "female", 1, 1, 7),
        ]
        found = rows(tmp_path, "select valueQuantity.value, _patient, _body, code.coding[1].code from Observation")
        assert found[0][:2] == (138.5, patient_key("p1"))
        assert '"value":138.50' in found[0][2]
        assert Lake(tmp_path).as_of() == AT

    run(dsn, story)


def test_updates_and_deletions_replace_what_was_there_and_history_stays_visible(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1), patient(2), patient(3)])
        await lake.sync(pool, tmp_path, AT)
        await put(pool, [patient(1, gender="male")])
        await drop(pool, "Patient", "p2")
        await lake.sync(pool, tmp_path, AT)
        assert rows(tmp_path, "select _id, gender, _version from Patient order by 1") == [
            ("p1", "male", 2),
            ("p3", "female", 1),
        ]
        assert rows(tmp_path, "select count(*), count(*) filter (_deleted) from Patient_all") == [(5, 1)]

    run(dsn, story)


def test_small_batches_many_runs_and_merged_parts_give_the_same_rows_as_a_rebuild(dsn: str, tmp_path: Path) -> None:
    everything = "select _id, _version, gender, birthDate, _owner, _patient, _delivery, _body from Patient order by 1"

    async def story(pool: Pool) -> None:
        for turn in range(12):
            await put(pool, [patient(n, birthDate=f"19{60 + turn}-01-0{1 + n % 9}") for n in range(turn, turn + 5)])
            if turn % 3 == 0:
                await drop(pool, "Patient", f"p{turn}")
            await lake.sync(pool, tmp_path / "grown", AT, batch=2)
        await lake.rebuild(pool, tmp_path / "anew", AT)
        grown = rows(tmp_path / "grown", everything)
        assert len(grown) == 12
        assert grown == rows(tmp_path / "anew", everything)
        assert len(Lake(tmp_path / "grown").state().parts["Patient"]) < 8
        lake.compact(tmp_path / "grown", AT)
        assert grown == rows(tmp_path / "grown", everything)
        assert len(Lake(tmp_path / "grown").state().parts["Patient"]) == 1
        await lake.rebuild(pool, tmp_path / "grown", AT)
        assert grown == rows(tmp_path / "grown", everything)

    run(dsn, story)


@pytest.mark.parametrize("moment", ["after the parts", "before the rename"])
def test_a_crash_between_parts_and_manifest_loses_and_doubles_nothing(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(Exception):
        pass

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    async def story(pool: Pool) -> None:
        await put(pool, [patient(n) for n in range(5)])
        await lake.sync(pool, tmp_path, AT)
        await put(pool, [patient(n, gender="male") for n in range(3, 8)])
        with monkeypatch.context() as patched:
            if moment == "after the parts":
                patched.setattr(feed._Run, "_show", die)
            else:
                patched.setattr(Path, "replace", die)
            with pytest.raises(Killed):
                await lake.sync(pool, tmp_path, AT)
        assert rows(tmp_path, "select count(*), count(*) filter (gender = 'male') from Patient") == [(5, 0)]
        await lake.sync(pool, tmp_path, AT)
        assert rows(tmp_path, "select count(*), count(*) filter (gender = 'male') from Patient") == [(8, 5)]
        assert rows(tmp_path, "select count(*) from Patient_all") == [(10,)]
        named = Lake(tmp_path).state().files()
        assert files(tmp_path) == named

    run(dsn, story)


def test_a_reader_sees_the_state_it_opened_while_data_arrive(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1)])
        await lake.sync(pool, tmp_path, AT)
        reader = Lake(tmp_path).connect()
        await put(pool, [patient(1, gender="male"), patient(2)])
        await lake.sync(pool, tmp_path, AT)
        lake.compact(tmp_path, AT)
        assert reader.execute("select _id, gender from Patient").fetchall() == [("p1", "female")]
        reader.close()
        assert rows(tmp_path, "select count(*) from Patient") == [(2,)]
        await lake.sync(pool, tmp_path, AT + timedelta(hours=2))
        assert len(files(tmp_path, "parts/Patient/*")) == 1

    run(dsn, story)


def test_only_one_process_writes_at_a_time(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1)])
        with manifest.writer(tmp_path), pytest.raises(Conflict, match="another process"):
            await lake.sync(pool, tmp_path, AT)
        await lake.sync(pool, tmp_path, AT)
        assert rows(tmp_path, "select count(*) from Patient") == [(1,)]

    run(dsn, story)


def test_the_lag_is_what_the_lake_has_not_seen(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1)])
        await lake.sync(pool, tmp_path, AT)
        later = AT + timedelta(seconds=90)
        assert await lake.lag(pool, tmp_path, later) == lake.Lag(0, 0.0)
        await put(pool, [patient(2), patient(3)])
        assert await lake.lag(pool, tmp_path, later) == lake.Lag(2, 90.0)

    run(dsn, story)


def test_an_erased_person_is_hidden_at_once_and_off_the_disk_after_compaction(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1), patient(2), parse(pressure(1, 1)), parse(pressure(2, 2))])
        await lake.sync(pool, tmp_path, AT)
        before = files(tmp_path, "parts/*/*")
        lake.erase(tmp_path, [lake.Erased(patient=patient_key("p1"))], AT)
        assert rows(tmp_path, "select _id from Patient union all select _id from Observation order by 1") == [
            ("o2",),
            ("p2",),
        ]
        lake.compact(tmp_path, AT)
        assert rows(tmp_path, "select count(*) from Patient_all") == [(1,)]
        assert not before & files(tmp_path, "parts/*/*")

    run(dsn, story)


def test_persons_and_organisations_are_in_the_lake_and_refreshed_when_they_change(dsn: str, tmp_path: Path) -> None:
    links = [(11, "P000000000001")]

    async def persons(_: Any) -> list[tuple[int, str]]:
        return links

    async def story(pool: Pool) -> None:
        async with pool.connection() as connection, connection.transaction():
            await put_organisation(
                connection,
                code="QP00",
                name="青浦区",
                kind="district",
                parent=None,
                fhir_id="org-QP00",
                facility_class="",
                division="310118",
            )
        await lake.sync(pool, tmp_path, AT, persons=persons)
        assert ("QP00", "org-QP00", "310118") in rows(tmp_path, "select code, fhir_id, division from organisation")
        assert rows(tmp_path, "from person_link") == [(11, "P000000000001")]
        first = Lake(tmp_path).state().tables
        await lake.sync(pool, tmp_path, AT, persons=persons)
        assert Lake(tmp_path).state().tables == first
        links.append((12, "P000000000002"))
        await lake.sync(pool, tmp_path, AT, persons=persons)
        assert len(rows(tmp_path, "from person_link")) == 2
        assert Lake(tmp_path).state().tables["organisation"] == first["organisation"]

    run(dsn, story)


def test_a_lake_whose_feed_was_pruned_starts_from_what_the_store_holds(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [patient(1), patient(2)])
        async with pool.connection() as connection:
            await latest(connection)
        await put(pool, [patient(2, gender="male")])
        await drop(pool, "Patient", "p1")
        async with pool.connection() as connection:
            last = await latest(connection)
            await connection.commit()
            await prune(connection, last)
        await put(pool, [patient(3)])
        await lake.sync(pool, tmp_path, AT)
        assert rows(tmp_path, "select _id, gender, _version from Patient order by 1") == [
            ("p2", "male", 2),
            ("p3", "female", 1),
        ]
        shutil.rmtree(tmp_path / "parts")  # and the whole lake can be thrown away
        (tmp_path / "manifest.json").unlink()
        await lake.rebuild(pool, tmp_path, AT)
        assert rows(tmp_path, "select count(*) from Patient_all") == [(2,)]

    run(dsn, story)
