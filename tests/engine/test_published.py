"""Published figures as a reader may see them: one place after the other tells no more than all places at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from healthbrain import measure
from healthbrain.database import Connection, open_pool
from healthbrain.errors import NotFound
from healthbrain.measure import published, suppression
from healthbrain.measure.analysis import answer_published, question_of
from healthbrain.measure.published import Reach

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
ID = "BPHS-HTN02"
MONTHS = ("2026-10", "2026-11")
TOWNS = {"310118001": (40, 60), "310118002": (3, 20), "310118003": (25, 50), "310118004": (12, 30)}


def run(dsn: str, story: Any) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=2)
        try:
            async with pool.connection() as connection:
                await figures(connection)
                await story(connection)
        finally:
            await pool.close()

    asyncio.run(whole())


async def figures(connection: Connection) -> None:
    version = measure.definition(ID).version
    parts = {("district", ""): (80, 160)} | {("town", key): counts for key, counts in TOWNS.items()}
    parts |= {("institution", "7"): (50, 100), ("institution", "8"): (30, 60)}
    for period in MONTHS:
        month = int(period[5:])
        await connection.execute(
            "insert into measure_period (measure, version, period, window_from, window_to, complete, sending, registered, as_of, "
            "computed_at) values (%s, %s, %s, %s, %s, true, 2, 2, %s, %s)",
            [ID, version, period, date(2026, month, 1), date(2026, month, 28), AT, AT],
        )
        for (level, key), (above, below) in parts.items():
            await connection.execute(
                "insert into measure_figure (measure, version, period, level, key, numerator, denominator, value, small) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, false)",
                [ID, version, period, level, key, above, below, 100 * above / below],
            )


def test_towns_looked_at_one_by_one_do_not_give_the_hidden_one_away(dsn: str) -> None:
    async def story(connection: Connection) -> None:
        alone, guarded = {}, {}
        for town in TOWNS:
            heads = await measure.headline(connection, level="town", key=town, measures=[ID])
            alone[town] = suppression.suppress_headlines(heads)[0].now.suppressed
            (head,) = await published.headlines(connection, heads)
            guarded[town] = head.now.suppressed
            assert head.before is not None
            assert head.before.suppressed == head.now.suppressed
        assert sum(alone.values()) == 1  # the district less the others would be the hidden one
        assert guarded["310118002"]
        assert sum(guarded.values()) >= 2
        found = await published.figures(connection, [ID], Reach(whole=True))
        at_once = {one.key: one.suppressed for one in found if one.level == "town" and one.period == "2026-11"}
        assert at_once == guarded

    run(dsn, story)


def test_a_reader_sees_the_figures_in_reach_and_only_those_periods_that_are_asked_for(dsn: str) -> None:
    async def story(connection: Connection) -> None:
        mine = await published.figures(connection, [ID], Reach(whole=False, institution="7", people=True))
        assert {(one.level, one.key, one.period) for one in mine} == {("institution", "7", period) for period in MONTHS}
        assert await published.figures(connection, [ID], Reach(whole=False)) == []
        some = await published.figures(connection, [ID], Reach(whole=True, people=True), ["2026-10"])
        assert {one.period for one in some} == {"2026-10"}
        assert not any(one.suppressed for one in some)
        with pytest.raises(NotFound):
            await published.figures(connection, ["NO-SUCH"], Reach(whole=True))

    run(dsn, story)


def test_a_question_over_published_figures_is_answered_from_the_database(dsn: str) -> None:
    asked = question_of(
        {
            "source": "figures.published", "rows": ["_town"], "columns": ["period:month"], "measures": ["figure:value"],
            "filters": [{"column": "measure", "operator": "in", "values": [ID]}],
        }
    )  # fmt: skip

    async def story(connection: Connection) -> None:
        seen = (await answer_published(connection, asked, Reach(whole=True, people=True))).table
        assert [row for (row,) in seen.rows] == list(TOWNS)
        assert seen.cell(("310118003",), ("2026-11",)).values == (50.0,)
        assert seen.cell(None, ("2026-11",)).values == (50.0,)
        shown = (await answer_published(connection, asked, Reach(whole=True))).table
        assert shown.cell(("310118002",), ("2026-11",)).hidden
        assert shown.hidden >= 4

    run(dsn, story)
