"""Theme libraries are made from base libraries by a job that can be repeated: rebuilt from zero they equal what was made step by step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthbrain import lake
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.lake import Erased, Lake, derived, engine, materialised, warehouse
from healthbrain.lake.derived import Derived, Output, checked, table_of
from healthbrain.lake.library import View, find
from healthbrain.lake.manifest import writer
from healthbrain.store import Store, Write, WriteContext, latest, patient_key

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
STORE = Store()
CASE = find("food-safety", "case")
ICD10 = "urn:oid:2.16.156.10011.2.3.3.11"


def patient(number: int, town: str) -> dict[str, Any]:
    division = {"extension": [{"url": "urn:healthbrain:ext:division", "valueString": town}]}
    return {"resourceType": "Patient", "id": f"p{number}", "address": [division]}


def condition(number: int, person: int, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": f"c{number}", "subject": {"reference": f"Patient/p{person}"}, "encounter": {"reference": "Encounter/e"},
        "code": {"coding": [{"system": ICD10, "code": code}]}, "recordedDate": "2026-11-01",
    }  # fmt: skip


async def put(pool: Pool, *resources: dict[str, Any]) -> None:
    async with pool.connection() as connection, connection.transaction():
        writes = [Write("update", one["resourceType"], one["id"], one) for one in resources]
        await STORE.write(connection, writes, WriteContext(owner=1, at=AT))


def run(dsn: str, story: Callable[[Pool], Awaitable[None]]) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=3)
        try:
            await story(pool)
        finally:
            await pool.close()

    asyncio.run(whole())


def kept(folder: Path, view: View = CASE) -> list[tuple[Any, ...]]:
    connection = engine.connect(folder / "scratch")
    try:
        rows = warehouse.relation(folder, view, Lake(folder).state())
        return connection.execute(f"select id, icd10, division, _owner, _patient from {rows} order by all").fetchall()
    finally:
        connection.close()


def computed(folder: Path, view: View = CASE) -> list[tuple[Any, ...]]:
    """The same from the lake itself, without anything kept."""
    connection = Lake(folder).connect(types=view.types)
    try:
        query = view.sql(("_owner", "_patient"))
        return connection.execute(
            f"select id, icd10, division, _owner, _patient from ({query}) order by all"
        ).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_theme_made_step_by_step_equals_one_made_from_zero_and_the_lake(dsn: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # not for secrets

    async def story(pool: Pool) -> None:
        towns = ["310118001", "310118002"]
        await put(pool, *(patient(n, chance.choice(towns)) for n in range(6)))
        for _ in range(6):
            for _ in range(chance.randrange(1, 4)):
                number, code = chance.randrange(12), chance.choice(["A02.9", "A05.9", "I10", "A08.1"])
                await put(pool, condition(number, chance.randrange(6), code))
            if chance.random() < 0.4:
                await put(pool, patient(chance.randrange(6), chance.choice(towns)))
            if chance.random() < 0.3:
                async with pool.connection() as connection, connection.transaction():
                    gone = [Write("delete", "Condition", f"c{chance.randrange(12)}", None)]
                    await STORE.write(connection, gone, WriteContext(owner=1, at=AT))
            await lake.sync(pool, tmp_path, AT)
            if chance.random() < 0.3:
                lake.compact(tmp_path, AT)
            assert warehouse.rebuild(tmp_path, AT).failed == 0
            assert kept(tmp_path) == computed(tmp_path)
        stepwise = {view.id: kept_all(tmp_path, view) for view in warehouse.themes()}
        warehouse.rebuild(tmp_path, AT, whole=True)
        assert {view.id: kept_all(tmp_path, view) for view in warehouse.themes()} == stepwise
        assert stepwise["food-safety.case"]

    run(dsn, story)


def kept_all(folder: Path, view: View) -> list[tuple[Any, ...]]:
    connection = engine.connect(folder / "scratch")
    try:
        names = ", ".join(f'"{one.name}"' for one in view.columns)
        rows = warehouse.relation(folder, view, Lake(folder).state())
        return connection.execute(f"select {names}, _owner, _patient from {rows} order by all").fetchall()
    finally:
        connection.close()


def test_nothing_is_written_when_nothing_has_changed_and_only_what_rests_on_a_change_otherwise(
    dsn: str, tmp_path: Path
) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, patient(1, "310118001"), condition(1, 1, "A05.9"))
        await lake.sync(pool, tmp_path, AT)
        first = warehouse.rebuild(tmp_path, AT)
        assert (first.bases, first.themes, first.failed) == (
            len(warehouse.bases()), len(list(warehouse.themes())), 0,
        )  # fmt: skip
        later = AT + timedelta(minutes=2)
        again = warehouse.rebuild(tmp_path, later)
        assert (again.bases, again.themes) == (0, 0)
        assert all(warehouse.is_fresh(tmp_path, view, Lake(tmp_path).state()) for view in warehouse.themes())
        await put(pool, condition(2, 1, "A02.9"))
        await lake.sync(pool, tmp_path, AT)
        assert not warehouse.is_fresh(tmp_path, CASE, Lake(tmp_path).state())
        third = warehouse.rebuild(tmp_path, later)
        assert (third.bases, third.themes) == (1, 1)  # emr.diagnosis, food-safety.case
        assert warehouse.load(tmp_path, CASE).made == later
        assert warehouse.load(tmp_path, find("public-health", "vaccination")).made == AT

    run(dsn, story)


def test_when_a_base_view_fails_the_theme_keeps_its_last_good_rows_and_says_so(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, patient(1, "310118001"), condition(1, 1, "A05.9"))
        await lake.sync(pool, tmp_path, AT)
        warehouse.rebuild(tmp_path, AT)
        good = kept(tmp_path)
        await put(pool, condition(2, 1, "A02.9"))
        await lake.sync(pool, tmp_path, AT)
        usual = materialised.refresh

        def broken(folder: Path, id_: str, *rest: Any, **more: Any) -> Any:
            if id_ == "emr-diagnosis" or id_ == "emr.diagnosis":
                raise Conflict("another process is writing")
            return usual(folder, id_, *rest, **more)

        with monkeypatch.context() as patched:
            patched.setattr(materialised, "refresh", broken)
            done = warehouse.rebuild(tmp_path, AT + timedelta(minutes=5))
        state = warehouse.load(tmp_path, CASE)
        assert done.failed == 2  # the base view and the theme over it
        assert "emr.diagnosis" in state.problem
        assert (state.made, state.tried) == (AT, AT + timedelta(minutes=5))
        assert kept(tmp_path) == good
        assert warehouse.load(tmp_path, find("public-health", "vaccination")).problem == ""
        warehouse.rebuild(tmp_path, AT + timedelta(minutes=6))
        assert warehouse.load(tmp_path, CASE).problem == ""
        assert len(kept(tmp_path)) == 2

    run(dsn, story)


def test_who_is_erased_is_hidden_at_once_and_off_the_disk_after_the_compaction(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, patient(1, "310118001"), patient(2, "310118001"))
        await put(pool, condition(1, 1, "A05.9"), condition(2, 2, "A02.9"))
        await lake.sync(pool, tmp_path, AT)
        warehouse.rebuild(tmp_path, AT)
        async with pool.connection() as connection:
            position = str(await latest(connection))
        await lake.sync(pool, tmp_path, AT)
        lake.erase(tmp_path, [Erased(position, patient=patient_key("p1"))], AT)
        assert [row[0] for row in kept(tmp_path)] == ["c2"]
        lake.compact(tmp_path, AT)
        files = list((tmp_path / "themes").rglob("*.parquet"))
        assert files
        connection_ = engine.connect(tmp_path / "scratch")
        for path in files:
            assert connection_.execute(
                f"select count(*) from read_parquet('{path}') where _patient = {patient_key('p1')}"
            ).fetchone() == (0,)
        connection_.close()

    run(dsn, story)


def test_two_jobs_at_once_do_not_meet_and_a_theme_that_was_never_made_says_so(tmp_path: Path) -> None:
    with writer(tmp_path / "themes"), pytest.raises(Conflict):
        warehouse.rebuild(tmp_path, AT)
    with pytest.raises(NotFound, match="not been made"):
        warehouse.relation(tmp_path, CASE, Lake(tmp_path).state())


def test_lineage_is_what_the_statement_reads_not_what_somebody_wrote() -> None:
    assert [one.id for one in CASE.bases] == ["emr.diagnosis", "population.record"]
    origins = {one.name: one.origins for one in CASE.columns}
    assert origins["icd10"] == (("emr.diagnosis", "icd10"),)
    assert origins["division"] == (("population.record", "division"),)
    grouped = Derived(
        "emr.visit", (Output("id", "b.id"), Output("n", "coalesce(c.much, 0) + 1")),
        "left join (select encounter, sum(amount) as much from emr_charge group by encounter) c on c.encounter = b.id",
    )  # fmt: skip
    assert grouped.reads() == ("emr_charge", "emr_visit")
    assert grouped.origins("n") == (("emr_charge", "amount"),)


@pytest.mark.parametrize(
    ("join", "message"),
    [
        ("left join read_csv('/etc/passwd') c on true", "function"),
        ("left join 'other.parquet' c on true", "file"),
        ("left join information_schema.tables c on true", "schema"),
        ("left join medical_service_visit c on true", "not among"),
        ("left join (select", "no single"),
        ("left join emr_visit c on true; drop table x", "no single"),
    ],
    ids=["function", "file", "schema", "other", "broken", "two"],
)
def test_a_statement_that_reads_anything_but_the_views_it_is_offered_is_refused(join: str, message: str) -> None:
    with pytest.raises(Incorrect, match=message):
        checked(Derived("emr.visit", (Output("id", "b.id"),), join), {"emr.visit", "emr.charge"}, "x.yaml")


def test_a_view_is_called_by_letters_and_underscores_in_a_statement() -> None:
    assert table_of("public-health.mental_health") == "public_health_mental_health"
    assert derived.CARRIED == materialised.CARRIED


def charged(number: int, encounter: str, category: str, amount: float) -> dict[str, Any]:
    return {
        "resourceType": "ChargeItem", "id": f"f{number}", "status": "billable", "subject": {"reference": "Patient/p1"},
        "context": {"reference": f"Encounter/{encounter}"}, "occurrenceDateTime": "2026-11-02T10:00:00+08:00",
        "code": {"coding": [{"system": "urn:healthbrain:cs:fee-category", "code": category}], "text": "x"},
        "priceOverride": {"value": amount, "currency": "CNY"},
    }  # fmt: skip


def met(id_: str, kind: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": id_, "status": "finished", "class": {"code": kind}, "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-11-02T09:00:00+08:00", "end": "2026-11-04T09:00:00+08:00"},
    }  # fmt: skip


def test_costs_of_visits_and_stays_are_those_of_the_charges_that_were_sent(dsn: str, tmp_path: Path) -> None:
    async def story(pool: Pool) -> None:
        await put(pool, patient(1, "310118001"), met("v1", "AMB"), met("v2", "AMB"), met("s1", "IMP"))
        await put(
            pool, charged(1, "v1", "02", 25), charged(2, "v1", "04", 40), charged(3, "v1", "09", 120.5), charged(4, "v1", "09", -20.5),
            charged(5, "s1", "01", 100), charged(6, "s1", "11", 300), {**charged(7, "s1", "09", 1), "status": "entered-in-error"},
        )  # fmt: skip
        await lake.sync(pool, tmp_path, AT)
        assert warehouse.rebuild(tmp_path, AT).failed == 0
        connection = engine.connect(tmp_path / "scratch")
        state = Lake(tmp_path).state()
        found = {
            name: connection.execute(
                f"select id, total, drugs, tests, drug_share, lines from {warehouse.relation(tmp_path, find('medical-service', name), state)}"
            ).fetchall()
            for name in ("visit_cost", "stay_cost")
        }
        lines = connection.execute(
            f"select sum(amount), sum(drug_amount), count(distinct category), min(class), max(class) from "
            f"{warehouse.relation(tmp_path, find('medical-service', 'charge'), state)}"
        ).fetchone()
        connection.close()
        assert found == {"visit_cost": [("v1", 165, 100, 40, 60.61, 4)], "stay_cost": [("s1", 400, 300, 0, 75, 2)]}
        assert lines == (565, 400, 5, "AMB", "IMP")

    run(dsn, story)
