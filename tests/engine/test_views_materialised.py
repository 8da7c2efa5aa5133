"""Materialised views equal a full computation whatever happens to the lake: writes, deletions, erasure, compaction, rebuild."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from healthbrain import lake
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake import Erased, Lake, materialised
from healthbrain.lake.asking import Question, answer
from healthbrain.lake.sof import Target, execute, read_view
from healthbrain.lake.sof.files import Layout
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Store, Write, WriteContext, latest, patient_key

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
STORE = Store()
VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition", "name": "codes", "status": "active", "resource": "Observation",
    "where": [{"path": "status != 'cancelled'"}],
    "select": [
        {"column": [{"name": "id", "path": "getResourceKey()"}, {"name": "value", "path": "value.ofType(Quantity).value"}]},
        {"forEachOrNull": "code.coding", "column": [{"name": "code", "path": "code"}]},
    ],
}  # fmt: skip


def observed(
    number: int, person: int, value: int, status: str = "final", codes: Sequence[str] = ("a", "b")
) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": status, "code": {"text": "x", **({"coding": [{"code": one} for one in codes]} if codes else {})},
        "subject": {"reference": f"Patient/p{person}"}, "valueQuantity": {"value": value},
    }  # fmt: skip


async def put(pool: Pool, resources: Sequence[dict[str, Any]], owner: int = 1) -> None:
    async with pool.connection() as connection, connection.transaction():
        writes = [Write("update", one["resourceType"], one["id"], one) for one in resources]
        await STORE.write(connection, writes, WriteContext(owner=owner, at=AT))


async def remove(pool: Pool, id_: str) -> None:
    async with pool.connection() as connection, connection.transaction():
        await STORE.write(connection, [Write("delete", "Observation", id_, None)], WriteContext(owner=1, at=AT))


def kept(folder: Path) -> list[tuple[Any, ...]]:
    state = materialised.load(folder, "codes")
    connection = Lake(folder).connect(types=["Observation"])
    try:
        query = materialised.relation(folder, state, Lake(folder).state())
        return connection.execute(f"select id, value, code, _owner, _patient from {query} order by all").fetchall()
    finally:
        connection.close()


def computed(folder: Path) -> list[tuple[Any, ...]]:
    connection = Lake(folder).connect(types=["Observation"])
    try:
        target = Target(carry=("_owner", "_patient"))
        execute(connection, read_view(VIEW), target, "create temp table c as {}")
        return connection.execute("select id, value, code, _owner, _patient from c order by all").fetchall()
    finally:
        connection.close()


def run(dsn: str, story: Any) -> Any:
    async def whole() -> Any:
        pool = await open_pool(dsn, size=3)
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(whole())


def test_only_what_changed_is_computed(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [observed(n, n % 3, n) for n in range(20)])
        await lake.sync(pool, tmp_path, AT)
        materialised.materialise(tmp_path, "codes", VIEW, AT)
        assert len(kept(tmp_path)) == 40
        await put(pool, [observed(1, 1, 100), observed(2, 2, 5, "cancelled"), observed(30, 1, 3, codes=())])
        await remove(pool, "o3")
        await lake.sync(pool, tmp_path, AT)
        done = materialised.refresh(tmp_path, "codes", AT)
        assert (done.computed, done.dropped, done.whole) == (3, 3, False)
        assert kept(tmp_path) == computed(tmp_path)
        again = materialised.refresh(tmp_path, "codes", AT)
        assert (again.computed, again.dropped) == (0, 0)

    run(dsn, story)


def test_where_that_took_less_everything_is_computed_anew(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [observed(n, n % 3, n) for n in range(20)])
        await lake.sync(pool, tmp_path, AT)
        first = materialised.materialise(tmp_path, "codes", VIEW, AT)
        assert (first.whole_versions, first.change_seconds) == (20, 0)
        await put(pool, [observed(1, 1, 100)])
        await lake.sync(pool, tmp_path, AT)
        monkeypatch.setattr(materialised, "cheaper_anew", lambda _: True)
        assert materialised.refresh(tmp_path, "codes", AT).whole
        assert kept(tmp_path) == computed(tmp_path)

    run(dsn, story)


@pytest.mark.parametrize(
    ("change", "grown", "anew"),
    [(0.9, 1, False), (5.0, 1, True), (5.0, 3, False), (1.9, 1, False)],
    ids=["too short to matter", "changes took longer", "the view has grown since", "everything took longer"],
)
def test_what_took_less_last_time_for_its_size_is_done(change: float, grown: int, *, anew: bool) -> None:
    piece = materialised.Piece(0, "rows", "keys", 0, 1000 * grown)
    state = materialised.State(
        "codes", {}, pieces=(piece,), whole_seconds=2.0, whole_versions=1000, change_seconds=change
    )
    assert materialised.cheaper_anew(state) is anew


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_a_full_computation_after_any_course_of_events(dsn: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # not for secrets

    async def story(pool: Pool) -> None:
        await put(pool, [observed(n, n % 5, n) for n in range(30)])
        await lake.sync(pool, tmp_path, AT)
        materialised.materialise(tmp_path, "codes", VIEW, AT)
        for _ in range(14):
            match chance.randrange(7):
                case 0 | 1 | 2:
                    numbers = chance.sample(range(40), 6)
                    await put(pool, [
                        observed(n, chance.randrange(5), chance.randrange(99), chance.choice(("final", "cancelled")), chance.choice(((), ("a",), ("a", "c"))))
                        for n in numbers
                    ])  # fmt: skip
                case 3:
                    for n in chance.sample(range(40), 3):
                        await put(pool, [observed(n, 1, 1)])
                        await remove(pool, f"o{n}")
                case 4:
                    async with pool.connection() as connection:
                        position = str(await latest(connection))
                    await lake.sync(pool, tmp_path, AT)
                    gone = Erased(position, patient=patient_key(f"p{chance.randrange(5)}"))
                    lake.erase(tmp_path, [gone], AT)
                    assert kept(tmp_path) == [row for row in kept(tmp_path) if row[4] != gone.patient]
                case 5:
                    lake.compact(tmp_path, AT)
                case 6:
                    await lake.sync(pool, tmp_path, AT)
                    if chance.random() < 0.5:
                        for part in ("manifest.json", "parts"):
                            path = tmp_path / part
                            shutil.rmtree(path) if path.is_dir() else path.unlink()
                        materialised.refresh(tmp_path, "codes", AT)
                    await lake.sync(pool, tmp_path, AT)
            await lake.sync(pool, tmp_path, AT, batch=3)
            if chance.random() < 0.6:
                materialised.refresh(tmp_path, "codes", AT)
                assert kept(tmp_path) == computed(tmp_path)
        materialised.refresh(tmp_path, "codes", AT)
        assert kept(tmp_path) == computed(tmp_path)

    run(dsn, story)


def test_an_erased_person_is_hidden_at_once_and_off_the_disk_after_compaction(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [observed(1, 1, 7321), observed(2, 2, 5)])
        await lake.sync(pool, tmp_path, AT)
        materialised.materialise(tmp_path, "codes", VIEW, AT)
        lake.erase(tmp_path, [Erased(patient=patient_key("p1"))], AT)
        assert {row[0] for row in kept(tmp_path)} == {"o2"}
        lake.compact(tmp_path, AT)
        assert {row[0] for row in kept(tmp_path)} == {"o2"}
        files = list((tmp_path / materialised.FOLDER).rglob("*.parquet"))
        connection = Lake(tmp_path).connect()
        ids = {row[0] for file in files for row in connection.execute(f"select _id from '{file}'").fetchall()}
        connection.close()
        assert ids == {"o2"}

    run(dsn, story)


def test_another_definition_is_computed_anew_and_a_broken_one_leaves_the_old_rows(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [observed(1, 1, 7)])
        await lake.sync(pool, tmp_path, AT)
        materialised.materialise(tmp_path, "codes", VIEW, AT)
        single = {
            **VIEW,
            "select": [{"column": [{"name": "id", "path": "id"}, {"name": "value", "path": "code.coding.code"}]}],
        }
        with pytest.raises(Incorrect, match="value"):
            materialised.refresh(tmp_path, "codes", AT, definition=single)
        assert kept(tmp_path) == computed(tmp_path)
        first = {**VIEW, "where": [{"path": "false"}]}
        assert materialised.refresh(tmp_path, "codes", AT, definition=first).whole
        assert kept(tmp_path) == []
        materialised.drop(tmp_path, "codes")
        with pytest.raises(NotFound):
            materialised.load(tmp_path, "codes")

    run(dsn, story)


@pytest.mark.parametrize(
    "scope",
    [EVERYTHING, Scope((2,), ()), Scope((), (patient_key("p1"),)), Scope((), ())],
    ids=["all", "owner", "patient", "none"],
)
def test_an_answer_from_it_is_the_answer_from_the_lake(dsn: str, tmp_path: Path, scope: Scope) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, [observed(n, n % 3, n) for n in range(9)])
        await put(pool, [observed(n, n % 3, n) for n in range(9, 12)], owner=2)
        await lake.sync(pool, tmp_path, AT)
        view, layout = read_view(VIEW), Layout("ndjson")
        plain = answer(Lake(tmp_path), Question(view, scope), tmp_path / "plain", layout)
        materialised.materialise(tmp_path, "codes", VIEW, AT)
        fast = answer(Lake(tmp_path), Question(view, scope, id="codes"), tmp_path / "fast", layout)
        assert (fast.rows, fast.patients, fast.columns) == (plain.rows, plain.patients, plain.columns)
        of = [sorted((tmp_path / name).read_bytes().splitlines()) for name in ("plain", "fast")]
        assert of[0] == of[1]
        assert all(orjson.loads(line)["id"] for line in of[0])

    run(dsn, story)
