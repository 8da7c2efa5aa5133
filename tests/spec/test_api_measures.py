"""Measures over FHIR: Measure and MeasureReport out, Measures and reports of others in."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, own_world
from tests.engine.measure_cohort import AT, TODAY, Cohort, every

from healthbrain import measure
from healthbrain.errors import Incorrect
from healthbrain.fhir import validate
from healthbrain.lake import Lake
from healthbrain.measure import fhir
from healthbrain.terms import systems

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        cohort = Cohort()
        for number in range(6):
            patient = cohort.person(number)
            cohort.enrol(patient, systems.HTN_MANAGEMENT)
            for on in every(88, 4) if number % 3 == 0 else ():
                cohort.htn_visit(patient, on)
            cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)
        lake = cohort.lake(made.platform.settings.lake)
        assert isinstance(lake, Lake)
        await measure.refresh(made.platform.pool, lake, AT, definitions=[measure.definition("IND-Q-08")])
        yield made


async def test_a_definition_is_a_valid_measure_with_source_populations_and_its_own_form(hb: World) -> None:
    answer = await hb.ask("GET", "Measure/IND-Q-08")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert validate(found) == []
    assert found["scoring"]["coding"][0]["code"] == "proportion"
    codes = {part["code"]["coding"][0]["code"] for part in found["group"][0]["population"]}
    assert {"initial-population", "denominator", "numerator"} <= codes
    assert fhir.from_measure(found) == measure.definition("IND-Q-08")


async def test_a_figure_is_a_valid_report_and_its_members_are_for_who_may_see_them(hb: World) -> None:
    answer = await hb.ask("GET", "Measure/IND-Q-08/$evaluate-measure?reportType=subject-list")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert validate(report) == []
    counts = {part["code"]["coding"][0]["code"]: part.get("count") for part in report["group"][0]["population"]}
    assert (counts["numerator"], counts["denominator"]) == (2, 6)
    assert [len(one["entry"]) for one in report["contained"]] == [6, 2]
    assert (report["period"]["end"], report["status"]) == ("2026-11-20", "pending")


@pytest.mark.parametrize(
    ("query", "status"),
    [("periodStart=1999-01-01", 404), ("periodStart=soon", 400), ("reportType=all", 400), ("x=1", 400)],
)
async def test_what_cannot_be_evaluated_is_refused(hb: World, query: str, status: int) -> None:
    assert (await hb.ask("GET", f"Measure/IND-Q-08/$evaluate-measure?{query}")).status_code == status


FOREIGN: dict[str, Any] = {
    "resourceType": "Measure",
    "id": "women",
    "status": "active",
    "title": "Women alive",
    "extension": [{"url": fhir.TABLE, "valueString": "person"}],
    "scoring": {"coding": [{"code": "proportion"}]},
    "group": [
        {
            "population": [
                {"code": {"coding": [{"code": "initial-population"}]}, "criteria": {"language": "text/fhirpath", "expression": "birth.exists()"}},
                {"code": {"coding": [{"code": "numerator"}]}, "criteria": {"language": "text/fhirpath", "expression": "sex = 'female'"}},
            ]
        }
    ],
}  # fmt: skip


async def test_a_measure_of_others_becomes_a_definition_or_says_all_that_it_cannot() -> None:
    found = fhir.from_measure(FOREIGN)
    assert found.population is not None
    assert (found.kind, found.population.source, found.population.numerator) == (
        "proportion",
        "person",
        "sex = 'female'",
    )
    cql = copy.deepcopy(FOREIGN)
    cql["extension"] = []
    for part in cql["group"][0]["population"]:
        part["criteria"]["language"] = "text/cql"
    with pytest.raises(
        Incorrect, match=r"measure-table.*initial-population are in text/cql.*numerator are in text/cql"
    ):
        fhir.from_measure(cql)


async def test_a_report_of_an_institution_is_read_as_a_value() -> None:
    report = {
        "measure": fhir.CANONICAL + "IND-Q-04",
        "period": {"start": "2025-01-01", "end": "2025-12-31"},
        "group": [{"measureScore": {"value": 31.5}}],
    }
    assert fhir.values_of(report) == ("IND-Q-04", "2025-01-01", "2025-12-31", None, None, 31.5)
    with pytest.raises(Incorrect, match="must name a measure of this platform"):
        fhir.values_of({**report, "measure": "http://example.org/m"})
