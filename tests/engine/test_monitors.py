"""Saved questions with a threshold are judged by themselves as the clock moves; crossings begin, go on, end and are seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from healthbrain.access import create_account, disable_account, put_organisation
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.analysis import Pivot, monitors, question_of, saved
from healthbrain.measure.analysis.monitors import Due, judge
from healthbrain.measure.analysis.pivot import Cell
from healthbrain.measure.analysis.saved import Given, Reading
from healthbrain.runtime import Platform
from healthbrain.runtime.monitors import judge_due
from healthbrain.settings import Settings
from tests.engine.twin_lake import AT, TwinLake

TODAY = date(2026, 11, 22)


def series(watch: dict[str, object], values: dict[str, float | None], what: str = "count") -> Pivot:
    asked = question_of({"source": "emr.visit", "rows": ["start:month"], "measures": [what], "watch": watch})
    cells = {((month,), None): Cell(1, 1, (value,), hidden=value is None) for month, value in values.items()}
    return Pivot(asked, tuple((month,) for month in sorted(values)), (), cells)


@pytest.mark.parametrize(
    ("side", "values", "state", "period"),
    [
        ("above", {"2026-09": 200.0, "2026-10": 90.0, "2026-11": 10.0}, "fine", ""),
        ("above", {"2026-09": 20.0, "2026-10": 100.0, "2026-11": 10.0}, "crossed", "2026-10"),
        ("above", {"2026-10": 90.0, "2026-11": 130.0}, "crossed", "2026-11"),
        ("below", {"2026-10": 130.0, "2026-11": 10.0}, "fine", ""),
        ("below", {"2026-10": 70.0, "2026-11": 500.0}, "crossed", "2026-10"),
        ("above", {"2026-10": None}, "hidden", ""),
        ("above", {}, "nothing", ""),
        ("below", {"2026-08": 500.0, "2026-09": 400.0}, "crossed", "2026-10"),
    ],
    ids=["an old month", "the last finished", "the open one already", "the open one may rise", "below", "hidden", "nothing", "nothing came any more"],
)  # fmt: skip
def test_a_series_is_judged_by_its_newest_finished_period_and_a_count_that_is_beyond_already(
    side: str, values: dict[str, float | None], state: str, period: str
) -> None:
    found = judge(series({"side": side, "value": 100}, values), TODAY)
    assert found.state == state
    assert [one.period for one in found.crossed] == ([period] if period else [])


def test_each_place_of_a_table_with_months_is_judged_by_its_own_newest_month() -> None:
    asked = question_of({
        "source": "emr.visit", "rows": ["_town", "start:month"], "columns": ["_sex"], "measures": ["count"],
        "watch": {"side": "below", "value": 10},
    })  # fmt: skip
    values = {("a", "2026-09", "f"): 50, ("a", "2026-10", "f"): 5, ("b", "2026-10", "f"): 20, ("b", "2026-09", "m"): 3}
    cells = {((town, month), (sex,)): Cell(1, 1, (float(value),)) for (town, month, sex), value in values.items()}
    rows = tuple(sorted({row for row, _ in cells}))
    found = judge(Pivot(asked, rows, (("f",), ("m",)), cells), TODAY)
    assert {(one.place, one.period, one.value) for one in found.crossed} == {
        ((("a",), ("f",)), "2026-10", 5.0),
        ((("a",), ("m",)), "2026-10", 0.0),
        ((("b",), ("m",)), "2026-10", 0.0),
    }
    assert found.places == 4


class Clocked(Platform):
    """A platform whose clock is moved by the test."""

    now: datetime = AT

    def clock(self) -> datetime:
        return self.now


Story = Callable[[Clocked, Connection, Reading], Awaitable[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a lake of a small district."""
    folder = tmp_path_factory.mktemp("monitors")
    TwinLake(seed=7, residents=60).lake(folder / "lake")
    return folder


def told(dsn: str, folder: Path, story: Story) -> None:
    async def whole() -> None:
        async with Clocked(Settings(data=folder), dsn=dsn) as platform:
            async with platform.pool.connection() as connection:
                district = await put_organisation(connection, code="D1", name="甲区", kind="district", at=AT)
                await create_account(connection, name="anna", password="Harbour-Light-42", role="cdc", organisation=district, display="安娜", at=AT)  # fmt: skip
            async with platform.pool.connection() as connection:
                await connection.set_autocommit(True)
                await story(platform, connection, Reading("anna", "cdc", district, (district,), (district,)))

    asyncio.run(whole())


async def watched(connection: Connection, owner: Reading, threshold: float, side: str = "above") -> int:
    asked = question_of({"source": "emr.visit", "measures": ["count"], "watch": {"side": side, "value": threshold}})
    return await saved.save(connection, owner, Given("就诊人次"), asked, AT)


def test_a_monitor_is_judged_without_being_opened_and_again_each_day_or_when_it_was_changed(
    dsn: str, folder: Path
) -> None:
    async def story(platform: Clocked, connection: Connection, anna: Reading) -> None:
        id_ = await watched(connection, anna, 1)
        assert await judge_due(platform) == 1
        assert await judge_due(platform) == 0, "nothing has moved"
        (one,) = await monitors.monitors(connection, "anna")
        assert (one.state, one.crossed, one.unseen) == ("crossed", 1, 1)
        (crossing,) = await monitors.crossings(connection, "anna")
        assert (crossing.side, crossing.threshold, crossing.crossed_at, crossing.ended_at) == ("above", 1.0, AT, None)
        assert crossing.value > 1
        platform.now = AT + timedelta(hours=25)
        assert await judge_due(platform) == 1
        (again,) = await monitors.crossings(connection, "anna")
        assert (again.id, again.crossed_at, again.judged_at) == (crossing.id, AT, platform.now)
        mended = question_of({"source": "emr.visit", "measures": ["count"], "watch": {"side": "above", "value": 1e9}})
        await saved.change(connection, anna, id_, Given("就诊人次"), mended, 1, platform.now)
        assert await judge_due(platform) == 1
        (ended,) = await monitors.crossings(connection, "anna")
        assert ended.ended_at == platform.now
        assert (await monitors.monitors(connection, "anna"))[0].state == "fine"

    told(dsn, folder, story)


def test_the_owner_is_told_until_the_crossing_is_seen_or_the_monitor_is_muted(dsn: str, folder: Path) -> None:
    async def story(platform: Clocked, connection: Connection, anna: Reading) -> None:
        id_ = await watched(connection, anna, 1)
        with pytest.raises(NotFound, match="has not been judged yet"):
            await monitors.mute(connection, "anna", id_, AT + timedelta(days=1), AT)
        await judge_due(platform)
        assert await monitors.unseen(connection, "anna", AT) == 1
        assert await monitors.unseen(connection, "bert", AT) == 0
        await monitors.mute(connection, "anna", id_, AT + timedelta(days=7), AT)
        assert await monitors.unseen(connection, "anna", AT + timedelta(days=6)) == 0
        assert await monitors.unseen(connection, "anna", AT + timedelta(days=8)) == 1
        for until in (AT, AT + timedelta(days=400)):
            with pytest.raises(Incorrect, match="at most a year ahead"):
                await monitors.mute(connection, "anna", id_, until, AT)
        with pytest.raises(NotFound, match="only the owner"):
            await monitors.see(connection, "bert", id_, AT)
        await monitors.mute(connection, "anna", id_, None, AT)
        assert await monitors.see(connection, "anna", id_, AT) == 1
        assert await monitors.unseen(connection, "anna", AT) == 0

    told(dsn, folder, story)


def test_a_closed_account_is_not_asked_for_and_one_failure_does_not_keep_others_from_being_judged(
    dsn: str, folder: Path
) -> None:
    async def story(platform: Clocked, connection: Connection, anna: Reading) -> None:
        broken = await watched(connection, anna, 1)
        await connection.execute(
            "update analysis_question set question = jsonb_set(question, '{source}', '\"emr.gone\"') where id = %s",
            [broken],
        )
        await watched(connection, anna, 1)
        assert await judge_due(platform) == 2
        assert {one.id == broken: one.state for one in await monitors.monitors(connection, None)} == {True: "failed", False: "crossed"}  # fmt: skip
        await disable_account(connection, "anna", at=AT)
        platform.now = AT + timedelta(days=2)
        await judge_due(platform)
        found = await monitors.monitors(connection, None)
        assert {one.state for one in found} == {"failed"}
        assert "the account of this monitor's owner is closed" in {one.why for one in found}
        assert [one.ended_at for one in await monitors.crossings(connection, None)] == [None], "a failure ends nothing"

    told(dsn, folder, story)


def test_crossings_of_a_deleted_question_wait_for_nobody(dsn: str, folder: Path) -> None:
    async def story(platform: Clocked, connection: Connection, anna: Reading) -> None:
        id_ = await watched(connection, anna, 1)
        await judge_due(platform)
        await saved.delete(connection, anna, id_, AT)
        assert await monitors.unseen(connection, "anna", AT) == 0
        await saved.restore(connection, anna, id_)
        assert await monitors.unseen(connection, "anna", AT) == 1

    told(dsn, folder, story)


def test_a_later_period_goes_on_with_the_crossing_of_the_one_before(dsn: str, folder: Path) -> None:
    async def story(platform: Clocked, connection: Connection, anna: Reading) -> None:
        id_ = await watched(connection, anna, 100)
        one = Due(id_, "anna", 1, {"watch": {"side": "above", "value": 100}})
        first = judge(series({"side": "above", "value": 100}, {"2026-09": 120.0}), date(2026, 10, 3))
        later = judge(series({"side": "above", "value": 100}, {"2026-09": 120.0, "2026-10": 150.0}), date(2026, 11, 3))
        await monitors.keep(connection, one, first, "1.1.1", date(2026, 10, 3), AT)
        await monitors.keep(connection, one, later, "1.1.2", date(2026, 11, 3), AT + timedelta(days=31))
        (crossing,) = await monitors.crossings(connection, "anna")
        assert (crossing.first_period, crossing.period) == ("2026-09", "2026-10")
        assert (crossing.first_value, crossing.value) == (120.0, 150.0)

    told(dsn, folder, story)
