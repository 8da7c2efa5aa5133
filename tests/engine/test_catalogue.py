"""The catalogue counts the libraries from the lake, keeps quality by day, and names what rests on a view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthbrain.access import put_organisation
from healthbrain.lake.library import find, views
from healthbrain.runtime import Platform, catalogue
from healthbrain.runtime.jobs import follow_feed
from healthbrain.runtime.lakes import standing
from healthbrain.settings import Settings
from healthbrain.store import Write, WriteContext

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
Story = Callable[["At"], Awaitable[None]]


class At(Platform):
    """The platform at a moment of the test's choosing."""

    now = NOW

    def clock(self) -> datetime:
        return self.now


def condition(number: int, code: str | None = "I10") -> dict[str, Any]:
    found: dict[str, Any] = {
        "resourceType": "Condition", "id": f"c{number}", "subject": {"reference": f"Patient/p{number % 3}"},
        "encounter": {"reference": "Encounter/e"}, "recordedDate": "2025-03-01",
    }  # fmt: skip
    if code:
        found["code"] = {"coding": [{"system": "urn:oid:2.16.156.10011.2.3.3.11", "code": code}], "text": code}
    return found


async def put(platform: Platform, *resources: dict[str, Any], owner: int) -> None:
    async with platform.pool.connection() as connection, connection.transaction():
        writes = [Write("update", one["resourceType"], one["id"], one) for one in resources]
        context = WriteContext(owner=owner, at=platform.clock())
        await platform.store.write(connection, writes, context, observers=platform.observers)


def run(dsn: str, data: Path, story: Story) -> None:
    async def whole() -> None:
        async with At(Settings(data=data), dsn=dsn) as platform:
            await story(platform)

    asyncio.run(whole())


def test_views_are_counted_with_sources_quality_cohorts_and_again_when_the_lake_moved(dsn: str, tmp_path: Path) -> None:
    view = find("major-disease", "hypertension")

    async def story(platform: At) -> None:
        assert await catalogue.count_views(platform) == 0  # there is no lake yet
        async with platform.pool.connection() as connection:
            root = await put_organisation(connection, code="QP00", name="区", kind="district")
            clinic = await put_organisation(connection, code="C1", name="中心", kind="institution", parent=root)
        address = {"extension": [{"url": "urn:healthbrain:ext:division", "valueString": "310118102"}]}
        people = [{"resourceType": "Patient", "id": f"p{n}", "address": [address]} for n in range(3)]
        await put(platform, *people, *(condition(n) for n in range(4)), condition(9, "I9"), owner=clinic)
        await put(platform, condition(5, "I15.0"), owner=root)
        await follow_feed(platform)
        assert await catalogue.count_views(platform) == len(list(views()))
        assert await catalogue.count_views(platform) == 0  # nothing has moved
        async with platform.pool.connection() as connection:
            counted = await catalogue.counted(connection)
        mine = counted[view.id]
        assert (mine.rows, mine.newest, mine.as_of) == (5, NOW, NOW)
        assert mine.owners == ((clinic, 4), (root, 1))
        assert [(c.icd10, c.year, c.town, c.persons) for c in mine.cohorts] == [
            ("I10", 2025, "310118102", 3), ("I15", 2025, "310118102", 1),
        ]  # fmt: skip
        assert mine.score(view, "completeness") == catalogue.Score(5, 0)
        assert counted["emr.diagnosis"].score(find("emr", "diagnosis"), "accuracy") == catalogue.Score(6, 1)
        assert catalogue.Score(8, 2).share == 75
        assert catalogue.Score(0, 0).share is None
        await put(platform, condition(20, None), condition(0, "I10"), owner=clinic)
        await follow_feed(platform)
        assert await catalogue.count_views(platform) == 0  # a minute has not passed
        platform.now = NOW + timedelta(days=1)
        assert await catalogue.count_views(platform) == len(list(views()))
        async with platform.pool.connection() as connection:
            days = await catalogue.trend(connection, find("emr", "diagnosis"), date(2026, 11, 1))
        assert [day.isoformat() for day in days] == ["2026-11-20", "2026-11-21"]
        assert [scores["completeness"].failed for scores in days.values()] == [0, 1]
        rows = await asyncio.to_thread(catalogue.preview, platform, view, [root], 10)
        assert [row[3] for row in rows] == ["I15.0"]
        now = await standing(platform)
        assert (now.waiting, now.late, now.types["Condition"]) == (0, False, 7)

    run(dsn, tmp_path, story)


@pytest.mark.parametrize(
    ("library", "view", "measure"),
    [("emr", "blood_pressure", "IND-Q-08"), ("public-health", "vaccination", "PH-VAC12"), ("resources", "staff", "")],
)
def test_lineage_names_the_measures_that_read_the_same_codes(library: str, view: str, measure: str) -> None:
    found = {one.id for one in catalogue.measures_of(find(library, view))}
    assert not measure or measure in found
    assert "PH-VAC12" not in {one.id for one in catalogue.measures_of(find("emr", "blood_pressure"))}
