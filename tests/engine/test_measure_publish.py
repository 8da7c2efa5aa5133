"""Published measures: replaced whole, asked for by place and period, walked down to people and resources."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthbrain import measure
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.lake import Lake
from healthbrain.measure import Refreshed
from healthbrain.measure.describe import as_markdown
from healthbrain.measure.load import definition_of
from healthbrain.terms import systems
from tests.engine.measure_cohort import AT, CENTRE, TODAY, Cohort, every

DEFINITIONS = [replace(one, periods=2) for one in measure.built_in()]


def cohort(people: int = 6) -> Cohort:
    made = Cohort()
    made.encounter(made.person(99), systems.OUTPATIENT, date(2022, 3, 1))  # records go back for years
    for number in range(people):
        patient = made.person(number, town=("310118001", "310118103")[number % 2])
        made.enrol(patient, systems.HTN_MANAGEMENT)
        if number % 3 == 0:
            for on in every(88, 4):
                made.htn_visit(patient, on)
            made.encounter(patient, systems.ANNUAL_EXAM, TODAY)
    return made


def run(dsn: str, story: Any) -> Any:
    async def whole() -> Any:
        pool = await open_pool(dsn, size=3)
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(whole())


def test_a_number_is_shown_with_all_that_says_what_it_means_and_walked_down_to_people(dsn: str, tmp_path: Path) -> None:
    lake = cohort().lake(tmp_path)
    delivered = [measure.DeliveryDay(CENTRE, TODAY, 4, 0)]

    async def story(pool: Pool) -> None:
        done = await measure.refresh(pool, lake, AT, deliveries=delivered, definitions=DEFINITIONS)
        counted = [one.id for one in measure.built_in() if one.kind not in {"entered", "computed"}]
        assert [one for one in done.measures if one in counted] == counted
        async with pool.connection() as connection:
            heads = await measure.headline(connection)
            assert [one.definition.id for one in heads if one.definition.id in counted] == counted
            (head,) = [one for one in heads if one.definition.id == "IND-Q-08"]
            assert (head.now.numerator, head.now.denominator, head.target, head.on_target) == (2, 6, 85, False)
            assert (head.now.period, head.now.version, head.now.as_of, head.now.small) == ("2026-11", "1.0", AT, True)
            assert (head.now.coverage.sending, head.now.coverage.registered) == (1, 3)
            assert head.before is not None
            assert (head.before.period, head.year_before) == ("2026-10", None)

            towns = await measure.by_division(connection, "IND-Q-08")
            assert {one.key: (one.numerator, one.denominator) for one in towns} == {
                "310118001": (1, 3),
                "310118103": (1, 3),
            }
            (place,) = await measure.by_institution(connection, "IND-Q-08")
            assert (place.key, place.denominator) == (str(CENTRE), 6)
            assert [one.period for one in await measure.trend(connection, "IND-Q-08")] == ["2026-10", "2026-11"]
            assert [one.key for one in await measure.by_division(connection, "IND-Q-08", "2026-10")] == [
                "310118001",
                "310118103",
            ]

            page = await measure.members(
                connection, lake, "IND-Q-08", level="town", key="310118001", in_numerator=False
            )
            assert [one.subject for one in page.members] == ["P000000000002", "P000000000004"]
            assert page.members[0].reasons[0] == {
                "zh": "面对面随访 0 次，应 4 次",
                "en": "0 of 4 face-to-face follow-ups",
            }
            (kept,) = (await measure.members(connection, lake, "IND-Q-08", subject="P000000000000")).members
            assert (kept.numerator, len(kept.evidence), kept.evidence[0][:10]) == (True, 5, "Encounter/")
            first = await measure.members(connection, lake, "IND-Q-08", count=4)
            second = await measure.members(connection, lake, "IND-Q-08", count=4, cursor=first.next)
            assert [len(first.members), len(second.members), second.next] == [4, 2, None]
            with pytest.raises(NotFound):
                await measure.members(connection, lake, "IND-X")

    run(dsn, story)


def test_a_second_run_replaces_the_first_and_a_new_version_starts_a_series_of_its_own(dsn: str, tmp_path: Path) -> None:
    (one,) = [one for one in DEFINITIONS if one.id == "IND-Q-08"]

    async def story(pool: Pool) -> None:
        await measure.refresh(pool, cohort().lake(tmp_path / "a"), AT, definitions=[one])
        await measure.refresh(pool, cohort(3).lake(tmp_path / "b"), AT, definitions=[one])
        async with pool.connection() as connection:
            assert [f.denominator for f in await measure.trend(connection, "IND-Q-08")] == [3, 3]
            assert len((await measure.members(connection, Lake(tmp_path / "b"), "IND-Q-08")).members) == 3
        await measure.refresh(pool, cohort(3).lake(tmp_path / "c"), AT, definitions=[replace(one, version="2.0")])
        async with pool.connection() as connection:
            series = await measure.trend(connection, "IND-Q-08")
            assert sorted({f.version for f in series}) == ["1.0", "2.0"]

    run(dsn, story)


def test_two_runs_at_once_leave_one_result(dsn: str, tmp_path: Path) -> None:
    lake = cohort().lake(tmp_path)
    (one,) = [one for one in DEFINITIONS if one.id == "IND-Q-08"]

    async def story(pool: Pool) -> None:
        runs = (measure.refresh(pool, lake, AT, definitions=[one]) for _ in range(3))
        done = await asyncio.gather(*runs, return_exceptions=True)
        assert {type(one) for one in done} <= {Refreshed, Conflict}
        assert any(isinstance(one, Refreshed) for one in done)
        async with pool.connection() as connection:
            assert len(await measure.trend(connection, "IND-Q-08")) == 2

    run(dsn, story)


def test_the_same_period_a_year_ago_is_beside_the_latest(dsn: str, tmp_path: Path) -> None:
    (one,) = [replace(one, periods=13) for one in DEFINITIONS if one.id == "IND-Q-10"]

    async def story(pool: Pool) -> None:
        await measure.refresh(pool, cohort().lake(tmp_path), AT + timedelta(hours=1), definitions=[one])
        async with pool.connection() as connection:
            (head,) = await measure.headline(connection, measures=["IND-Q-10"])
            assert head.year_before is not None
            assert head.year_before.period == "2025-11"

    run(dsn, story)


GOOD = """
id: X
version: "1"
title: {zh: 某, en: some}
formula: {zh: 某, en: some}
source: {document: d, clause: c}
kind: proportion
unit: "%"
direction: up
period: month
periods: "2"
population: {from: person, subject: person, town: town, institution: "'1'", numerator: NUMERATOR}
"""


@pytest.mark.parametrize(
    ("numerator", "message"),
    [
        ("birth", "is not a condition"),
        ("ag > 3", "no column 'ag'"),
        ("sex = 3", "cannot be compared"),
        ("%nothing = 1", "%nothing is not defined"),
        ("birth + 3", "try"),
    ],
)
def test_a_wrong_definition_says_what_is_wrong(tmp_path: Path, numerator: str, message: str) -> None:
    definition = definition_of(GOOD.replace("NUMERATOR", f'"{numerator}"'), "x.yaml")
    if message == "try":
        definition = replace(definition, kind="proportion")
        message = "is not a condition"
    with pytest.raises(Incorrect, match=message):
        list(measure.compute_all(Cohort().lake(tmp_path), [definition], AT))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("kind: proportion", "kind: share"), "'share' is none of"),
        (GOOD.replace("unit:", "units:"), "unknown key units"),
        (GOOD.replace('version: "1"\n', ""), "'version' is missing"),
        (GOOD + "id: Y\n", "a key stands twice"),
        ("id: [", "not readable as YAML"),
    ],
)
def test_a_definition_that_cannot_be_read_says_where(text: str, message: str) -> None:
    with pytest.raises(Incorrect, match=message):
        definition_of(text, "x.yaml")


def test_every_definition_states_its_source_formula_and_reading_in_both_languages() -> None:
    for one in measure.built_in():
        assert one.source.document, one.id
        assert one.source.clause, one.id
        reasons = [reason.text for population in one.populations for reason in population.reasons]
        for words in (one.title, one.formula, one.reading, *reasons):
            assert set(words) == {"zh", "en"}, one.id
            assert all(words.values()), one.id


def test_the_page_of_measures_is_written_from_the_definitions() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "measures.md"
    assert page.read_text("utf-8") == as_markdown(), "write it again: tools/write_measures.py"
