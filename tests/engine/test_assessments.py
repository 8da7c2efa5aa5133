"""Assessments on a real database: frozen figures, the same result later, what each reader sees, nothing rewritten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from healthbrain.access import put_organisation
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.measure import assessment, built_in
from healthbrain.runtime import Platform
from healthbrain.runtime import assessments as seeing
from healthbrain.scope import Principal, Role
from healthbrain.settings import Settings

AT = datetime(2026, 10, 8, 2, tzinfo=UTC)
RAW: dict[str, Any] = {
    "id": "own", "title": {"zh": "试行方案"}, "level": "institution", "peers": ["B"], "period": "quarter",
    "grades": {"excellent": "90", "good": "80", "pass": "60"},
    "groups": [{"id": "a", "title": {"zh": "档案"}, "items": [
        {"measure": "BPHS-EHR02", "weight": "60", "rule": "linear", "floor": "50", "target": "90"},
        {"measure": "BPHS-OLD01", "weight": "40", "rule": "ratio", "target": "80"},
    ]}],
}  # fmt: skip
Story = Callable[[Platform, Connection, "World"], Awaitable[None]]


class World:
    """A district with two health centres and a hospital; another district beside it."""

    def __init__(self, keys: dict[str, int]) -> None:
        self.keys = keys

    def who(self, role: Role, code: str) -> Principal:
        purpose = {"leader": "HOPERAT", "cdc": "PUBHLTH", "manager": "HOPERAT", "doctor": "TREAT"}[role]
        return Principal(f"{role}-{code}", role, role, self.keys[code], purpose)  # type: ignore[arg-type]  # of that table


async def put(connection: Connection, measure: str, period: str, values: dict[int, tuple[float, int, int]]) -> None:
    """Publish figures of one period: value, numerator, denominator by institution."""
    version = next(one.version for one in built_in() if one.id == measure)
    year, month = int(period[:4]), int(period[5:7])
    await connection.execute(
        "insert into measure_period (measure, version, period, window_from, window_to, complete, as_of, computed_at, sending, registered) "
        "values (%s, %s, %s, %s, %s, true, %s, %s, 3, 3) on conflict do nothing",
        [measure, version, period, date(year, month, 1), date(year, month, 28), AT, AT],
    )
    for key, (value, above, below) in values.items():
        await connection.execute(
            "insert into measure_figure (measure, version, period, level, key, numerator, denominator, value, small) "
            "values (%s, %s, %s, 'institution', %s, %s, %s, %s, %s) on conflict (measure, version, level, stratifier, period, key, stratum) "
            "do update set value = excluded.value, numerator = excluded.numerator, denominator = excluded.denominator",
            [measure, version, period, str(key), above, below, value, below < 30],
        )


def told(dsn: str, folder: Path, story: Story) -> None:
    async def whole() -> None:
        async with Platform(Settings(data=folder), dsn=dsn) as platform, platform.pool.connection() as connection:
            keys: dict[str, int] = {}
            for code, kind, above, class_ in (
                ("D1", "district", None, ""), ("C1", "institution", "D1", "B100"), ("C2", "institution", "D1", "B100"),
                ("H1", "institution", "D1", "A100"), ("D2", "district", None, ""), ("C9", "institution", "D2", "B100"),
            ):  # fmt: skip
                keys[code] = await put_organisation(
                    connection, code=code, name=f"单位{code}", kind=kind, parent=keys[above] if above else None,
                    facility_class=class_, at=AT,
                )  # fmt: skip
            one, two, three, other = keys["C1"], keys["C2"], keys["H1"], keys["C9"]
            counts = {one: (90.0, 90, 100), two: (70.0, 70, 100), three: (60.0, 60, 100), other: (50.0, 50, 100)}
            await put(connection, "BPHS-EHR02", "2026-09", counts)
            await put(connection, "BPHS-EHR02", "2026-07", {one: (10.0, 10, 100)})
            await put(connection, "BPHS-OLD01", "2026-09", {one: (60.0, 60, 100), two: (3 / 7 * 100, 3, 7), other: (50.0, 50, 100)})  # fmt: skip
            await connection.commit()
            await story(platform, connection, World(keys))

    asyncio.run(whole())


async def made(platform: Platform, connection: Connection, world: World, period: str = "2026-Q3") -> int:
    scheme = await assessment.create(connection, RAW, organisation=world.keys["D1"], by="cdc", at=AT)
    return await seeing.assess(platform, connection, scheme.id, period, area=world.keys["D1"], by="cdc")


def test_a_run_takes_the_last_month_of_the_quarter_and_the_institutions_of_the_area_and_class(
    dsn: str, tmp_path: Path
) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)
        run, content = await assessment.read(connection, id_)
        scheme, inputs = assessment.parts_of(content)
        first, second = assessment.score(scheme, inputs)
        assert [one.code for one in inputs.units] == ["C1", "C2"]
        assert (str(first.total), first.grade, first.unit) == ("90.00", "excellent", str(world.keys["C1"]))
        assert (str(second.items["BPHS-EHR02"].points), str(second.items["BPHS-OLD01"].points)) == ("30.00", "21.43")
        assert (run.state, run.complete, run.units) == ("draft", True, 2)
        with pytest.raises(Incorrect, match="no measure of this scheme has a figure"):
            await seeing.assess(platform, connection, run.scheme, "2024-Q3", area=world.keys["D1"], by="cdc")
        with pytest.raises(Incorrect, match="assesses a quarter"):
            await seeing.assess(platform, connection, run.scheme, "2026", area=world.keys["D1"], by="cdc")

    told(dsn, tmp_path, story)


def test_a_run_is_reproduced_after_the_figures_changed_and_the_difference_to_today_is_told(
    dsn: str, tmp_path: Path
) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)
        await put(connection, "BPHS-EHR02", "2026-09", {world.keys["C2"]: (95.0, 95, 100)})
        await assessment.change(
            connection, "OWN-1", {**RAW, "missing": "zero"}, number=1, by="cdc", at=AT, note="缺数据不得分"
        )
        run, content = await assessment.read(connection, id_)
        assert assessment.verify(content, run.digest).same
        assert assessment.digest_of(content) == run.digest
        reader = await seeing.viewer(platform, connection, world.who("cdc", "D1"))
        seen = await seeing.seen_run(connection, reader, id_)
        assert seen.scheme.version == 1
        now = await seeing.today(platform, connection, seen)
        changes = {one.unit.code: one for one in assessment.compared(seen.scheme, seen.inputs, now)}
        assert set(changes) == {"C2"}
        assert changes["C2"].items == ("BPHS-EHR02",)
        assert changes["C2"].then is not None
        assert changes["C2"].now is not None
        assert (str(changes["C2"].then.total), str(changes["C2"].now.total)) == ("51.43", "81.43")

    told(dsn, tmp_path, story)


@pytest.mark.parametrize(
    "statement",
    [
        "update assessment_run set digest = 'x'",
        "update assessment_run set content = '{}'",
        "update assessment_run set covers = '{}'",
        "update assessment_run set state = 'draft'",
        "update assessment_run set published_by = 'x'",
        "delete from assessment_run",
        "update assessment_scheme_version set content = '{}'",
        "delete from assessment_remark",
    ],
)
def test_what_is_published_cannot_be_rewritten_even_in_the_database(dsn: str, tmp_path: Path, statement: str) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)
        await assessment.publish(connection, id_, by="cdc", at=AT)
        await connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())
        await connection.rollback()
        with pytest.raises(Conflict, match="only a draft can be dropped"):
            await assessment.drop(connection, id_)
        with pytest.raises(Conflict, match="this step is not open now"):
            await assessment.publish(connection, id_, by="cdc", at=AT)
        await assessment.close(connection, id_, by="cdc", at=AT)

    told(dsn, tmp_path, story)


def test_an_institution_sees_published_runs_and_its_own_result_only(dsn: str, tmp_path: Path) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)

        async def seen_by(role: Role, code: str) -> list[str] | None:
            reader = await seeing.viewer(platform, connection, world.who(role, code))
            listed = [one.id for one in await seeing.seen_runs(connection, reader)]
            try:
                found = await seeing.seen_run(connection, reader, id_)
            except NotFound:
                assert listed == []
                return None
            assert listed == [id_]
            return sorted(found.unit(one.unit).code for one in found.scores)

        assert await seen_by("manager", "C1") is None, "a draft"
        assert await seen_by("cdc", "D1") == ["C1", "C2"]
        await assessment.publish(connection, id_, by="cdc", at=AT)
        assert await seen_by("manager", "C1") == ["C1"]
        assert await seen_by("manager", "C2") == ["C2"]
        assert await seen_by("manager", "H1") is None, "not assessed in it"
        assert await seen_by("manager", "C9") is None, "of another district"
        assert await seen_by("cdc", "D2") is None
        assert await seen_by("leader", "D1") == ["C1", "C2"]
        with pytest.raises(Forbidden):
            await seeing.viewer(platform, connection, world.who("doctor", "C1"))

    told(dsn, tmp_path, story)


def test_a_district_runs_the_schemes_of_the_city_above_it_and_not_those_of_another_district(
    dsn: str, tmp_path: Path
) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        city = await put_organisation(connection, code="SH", name="市", kind="municipality", at=AT)
        await put_organisation(connection, code="D1", name="单位D1", kind="district", parent=city, at=AT)
        given = await assessment.create(connection, RAW, organisation=city, by="city", at=AT)
        beside = await assessment.create(connection, RAW, organisation=world.keys["D2"], by="d2", at=AT)
        reader = await seeing.viewer(platform, connection, world.who("cdc", "D1"))
        usable = {one.scheme.id for one in await assessment.schemes(connection, reader.schemes_of)}
        assert given.id in usable
        assert beside.id not in usable
        assert reader.areas is not None
        assert city not in reader.areas, "nor may it see the city's runs"

    told(dsn, tmp_path, story)


def test_who_may_not_see_people_gets_no_figure_of_few_and_no_total_that_gives_it_away(dsn: str, tmp_path: Path) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_ = await made(platform, connection, world)
        leader = await seeing.viewer(platform, connection, world.who("leader", "D1"))
        centre = await seeing.viewer(platform, connection, world.who("cdc", "D1"))
        assert (leader.people, centre.people) == (False, True)
        seen = await seeing.seen_run(connection, leader, id_)
        few = seen.score(str(world.keys["C2"]))
        assert assessment.hidden_items(few, seen.columns) == {"BPHS-OLD01"}
        assert assessment.hides_total(few, assessment.hidden_items(few, seen.columns))

    told(dsn, tmp_path, story)


def test_an_appeal_is_answered_once_and_none_is_taken_after_closing(dsn: str, tmp_path: Path) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        id_, unit = await made(platform, connection, world), str(world.keys["C2"])
        appeal = {"by": "m", "role": "manager", "at": AT}
        with pytest.raises(Conflict, match="appeals are taken from publishing"):
            await assessment.say(connection, id_, unit, "appeal", "体检数据未报", **appeal)
        await assessment.publish(connection, id_, by="cdc", at=AT)
        said = await assessment.say(connection, id_, unit, "appeal", "体检数据未报", item="BPHS-OLD01", **appeal)
        assert await assessment.unanswered(connection, [world.keys["D1"]]) == 1
        assert await assessment.unanswered(connection, [world.keys["D2"]]) == 0
        with pytest.raises(NotFound, match="not assessed in this run"):
            await assessment.say(connection, id_, str(world.keys["H1"]), "appeal", "?", **appeal)
        with pytest.raises(NotFound, match="not in the scheme"):
            await assessment.say(connection, id_, unit, "appeal", "?", item="IND-Q-08", **appeal)
        with pytest.raises(Incorrect, match="an answer names what it answers"):
            await assessment.say(connection, id_, unit, "answer", "好", **appeal)
        answer = {"by": "cdc", "role": "cdc", "at": AT, "answers": said, "outcome": "upheld"}
        await assessment.say(connection, id_, unit, "answer", "补报后重新考核", **answer)
        with pytest.raises(Conflict, match="answered already"):
            await assessment.say(connection, id_, unit, "answer", "再答", **answer)
        assert await assessment.unanswered(connection, None) == 0
        await assessment.close(connection, id_, by="cdc", at=AT)
        with pytest.raises(Conflict, match="until the assessment is closed"):
            await assessment.say(connection, id_, unit, "appeal", "迟了", **appeal)
        assert [one.kind for one in await assessment.remarks(connection, id_, unit)] == ["appeal", "answer"]

    told(dsn, tmp_path, story)


def test_an_own_scheme_keeps_every_version_and_two_who_change_it_at_once_do_not_lose_a_change(
    dsn: str, tmp_path: Path
) -> None:
    async def story(platform: Platform, connection: Connection, world: World) -> None:
        made_ = await assessment.create(connection, RAW, organisation=world.keys["D1"], by="a", at=AT)
        assert (made_.id, made_.version) == ("OWN-1", 1)
        second = await assessment.change(connection, "OWN-1", {**RAW, "least": "80"}, number=1, by="a", at=AT)
        assert (second.version, int(second.least)) == (2, 80)
        with pytest.raises(Conflict, match="changed in the meantime"):
            await assessment.change(connection, "OWN-1", RAW, number=1, by="b", at=AT)
        with pytest.raises(Conflict, match="copy it"):
            await assessment.change(connection, "primary-care", RAW, number=1, by="b", at=AT)
        assert [one.number for one in await assessment.versions(connection, "OWN-1")] == [2, 1]
        assert "OWN-1" in {one.scheme.id for one in await assessment.schemes(connection, [world.keys["D1"]])}
        assert "OWN-1" not in {one.scheme.id for one in await assessment.schemes(connection, [world.keys["D2"]])}
        await assessment.retire(connection, "OWN-1", AT)
        assert "OWN-1" not in {one.scheme.id for one in await assessment.schemes(connection)}

    told(dsn, tmp_path, story)
