"""Measures over FHIR: Measure and MeasureReport out, Measures and reports of others in."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, own_world
from tests.engine.measure_cohort import AT, TODAY, Cohort, every

from healthbrain import measure
from healthbrain.api import measure_intake
from healthbrain.errors import Incorrect
from healthbrain.fhir import validate
from healthbrain.lake import Lake
from healthbrain.measure import entries, fhir
from healthbrain.measure.workbench import drafts
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
    (event,) = await hb.events(answer.headers["x-request-id"])
    assert len(event.patients) == 4  # as many records as the person index knows of these six people


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


async def test_built_in_measures_are_found_by_url_title_and_id_beside_stored_ones(hb: World) -> None:
    await hb.ask(
        "PUT", "Measure/own", json={"resourceType": "Measure", "id": "own", "status": "draft", "title": "高血压试点"}
    )
    found = (await hb.ask("GET", "Measure?url=urn:healthbrain:measure:IND-Q-08")).json()
    assert [one["resource"]["id"] for one in found["entry"]] == ["IND-Q-08"]
    assert validate(found) == []
    ids = [
        one["resource"]["id"]
        for one in (await hb.ask("GET", "Measure?title:contains=高血压&_count=100")).json()["entry"]
    ]
    assert {"IND-Q-08", "own"} <= set(ids)
    assert "entry" not in (await hb.ask("GET", "Measure?_id=none")).json()


async def test_pages_of_measures_neither_skip_nor_repeat(hb: World) -> None:
    await hb.ask(
        "PUT", "Measure/own", json={"resourceType": "Measure", "id": "own", "status": "draft", "title": "高血压试点"}
    )
    seen: list[str] = []
    address: str | None = "Measure?_count=40&_elements=title"
    while address:
        page = (await hb.ask("GET", address)).json()
        assert len(page.get("entry", ())) <= 40
        seen += [one["resource"]["id"] for one in page.get("entry", ())]
        address = next((one["url"] for one in page["link"] if one["relation"] == "next"), None)
    assert len(seen) == len(set(seen)), sorted(one for one in seen if seen.count(one) > 1)
    assert set(seen) >= {one.id for one in measure.built_in()} | {"own"}


async def test_figures_are_found_as_reports_by_measure_period_and_organisation(hb: World) -> None:
    found = (await hb.ask("GET", "MeasureReport?measure=urn:healthbrain:measure:IND-Q-08&period=2026-11")).json()
    assert validate(found) == []
    (report,) = [one["resource"] for one in found["entry"]]
    assert report["period"]["end"] == "2026-11-20"
    for period, number in (("ge2026-11-01", 1), ("2026-11-R12", 0), ("lt2020", 0), ("gt2025&period=le2027", 1)):
        asked = f"MeasureReport?measure=urn:healthbrain:measure:IND-Q-08&period={period}"
        assert (await hb.ask("GET", asked)).json()["total"] == number
    for query, status in (("&period=soon", 400), ("&patient=1", 400), ("&subject=Organization/none", 404)):
        assert (
            await hb.ask("GET", f"MeasureReport?measure=urn:healthbrain:measure:IND-Q-08{query}")
        ).status_code == status


async def test_an_organisation_is_evaluated_for_who_may_see_its_figures(hb: World) -> None:
    asked = "Measure/IND-Q-08/$evaluate-measure?subject=Organization/org-QP00"
    report = (await hb.ask("GET", asked)).json()
    assert report["reporter"] == {"reference": "Organization/org-QP00"}
    assert (await hb.ask("GET", asked, "QPZS")).status_code == 404


LITERACY: dict[str, Any] = {
    "resourceType": "MeasureReport",
    "status": "complete",
    "type": "summary",
    "measure": fhir.CANONICAL + "IND-Q-04",
    "date": "2026-03-31",
    "identifier": [{"value": "监测2025"}],
    "period": {"start": "2025-01-01", "end": "2025-12-31"},
    "group": [{"measureScore": {"value": 31.5}}],
}


async def test_a_report_is_entered_as_a_value_and_corrected_with_a_reason(hb: World) -> None:
    answer = await hb.ask("POST", "MeasureReport", json=LITERACY)
    assert (answer.status_code, answer.json()["issue"][0]["severity"]) == (201, "information"), answer.text
    assert "second person" in answer.text
    async with hb.platform.pool.connection() as connection:
        assert await entries.entered(connection, "IND-Q-04") == []
        (waiting,) = await entries.waiting(connection)
        await entries.review(connection, waiting.id, "approved", by="second", at=AT)
        (value,) = await entries.entered(connection, "IND-Q-04")
    assert (value.value, value.period, value.document) == (31.5, "2025", "MeasureReport 监测2025 青浦区")
    other = copy.deepcopy(LITERACY)
    other["group"][0]["measureScore"]["value"] = 32
    refused = await hb.ask("POST", "MeasureReport", json=other)
    assert (refused.status_code, "give the reason" in refused.text) == (400, True)
    other["extension"] = [{"url": measure_intake.REASON, "valueString": "复核后更正"}]
    assert (await hb.ask("POST", "MeasureReport", json=other)).status_code == 201
    again = await hb.ask("POST", "MeasureReport", json=other)
    assert "holds already" in again.text
    async with hb.platform.pool.connection() as connection:
        (waiting,) = await entries.waiting(connection)
        await entries.review(connection, waiting.id, "approved", by="second", at=AT)
        (value,) = await entries.entered(connection, "IND-Q-04")
        assert (value.value, value.reason) == (32, "复核后更正")
        assert len(await entries.history(connection, value.id)) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measure": "http://example.org/m"}, "no measure of this platform"),
        ({"measure": fhir.CANONICAL + "IND-Q-08"}, "computed here"),
        ({"status": "pending"}, "only a complete report"),
    ],
    ids=["foreign", "computed", "pending"],
)
async def test_other_reports_are_stored_and_the_answer_says_why_no_value_came_of_them(
    hb: World, change: dict[str, Any], said: str
) -> None:
    answer = await hb.ask("POST", "MeasureReport", json=LITERACY | change)
    assert (answer.status_code, said in answer.text) == (201, True), answer.text


@pytest.mark.parametrize(
    ("who", "change", "said"),
    [
        ("QP00", {"period": {"start": "2025-01-01", "end": "2025-11-30"}}, "write the period"),
        ("QP00", {"group": [{"measureScore": {"value": 3000}}]}, "cannot be right"),
        ("QPZS", {}, "not entered by institution"),
        ("QPZS", {"subject": {"reference": "Organization/org-QP00"}}, "you may enter values for"),
    ],
    ids=["period", "bounds", "level", "scope"],
)
async def test_a_report_that_cannot_be_right_is_refused_and_not_stored(
    hb: World, who: str, change: dict[str, Any], said: str
) -> None:
    count = "MeasureReport?_summary=count"
    before = (await hb.ask("GET", count, who)).json()["total"]
    answer = await hb.ask("POST", "MeasureReport", who, json=LITERACY | change)
    assert (answer.status_code, said in answer.text) == (400, True), answer.text
    assert (await hb.ask("GET", count, who)).json()["total"] == before


async def test_a_measure_in_our_form_must_be_computable_and_others_are_stored_with_what_is_missing(hb: World) -> None:
    taken = await hb.ask("POST", "Measure", json=FOREIGN)
    assert (taken.status_code, "a draft of the workbench as OWN-WOMEN" in taken.text) == (201, True), taken.text
    async with hb.platform.pool.connection() as connection:
        assert (await drafts.one_own(connection, "OWN-WOMEN", None)).id == "OWN-WOMEN"
    wrong = copy.deepcopy(FOREIGN)
    wrong["group"][0]["population"][1]["criteria"]["expression"] = "nonsense = 'female'"
    refused = await hb.ask("POST", "Measure", json=wrong)
    assert (refused.status_code, "nonsense" in refused.text) == (400, True), refused.text
    foreign = copy.deepcopy(FOREIGN)
    del foreign["extension"]
    stored = await hb.ask("POST", "Measure", json=foreign)
    assert (stored.status_code, "measure-table" in stored.text) == (201, True), stored.text


def bundled(kind: str, *resources: dict[str, Any]) -> dict[str, Any]:
    entries_ = [{"resource": one, "request": {"method": "POST", "url": one["resourceType"]}} for one in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries_}


def of_year(year: int, value: float) -> dict[str, Any]:
    report = copy.deepcopy(LITERACY) | {"period": {"start": f"{year}-01-01", "end": f"{year}-12-31"}}
    report["group"][0]["measureScore"]["value"] = value
    return report


@pytest.mark.parametrize(("kind", "year"), [("transaction", 2021), ("batch", 2022)], ids=["transaction", "batch"])
async def test_measures_and_reports_in_a_bundle_are_taken_in_as_when_sent_alone(
    hb: World, kind: str, year: int
) -> None:
    named = copy.deepcopy(FOREIGN) | {"id": f"in-{kind}", "name": f"in_{kind}"}
    answer = await hb.ask("POST", "", json=bundled(kind, named, of_year(year, 30.5)))
    assert answer.status_code == 200, answer.text
    told = [one["response"]["outcome"]["issue"][0]["diagnostics"] for one in answer.json()["entry"]]
    assert f"draft of the workbench as OWN-IN-{kind.upper()}" in told[0]
    assert f"entered as the value of IND-Q-04 for {year}" in told[1]
    assert [one["response"]["status"][:3] for one in answer.json()["entry"]] == ["201", "201"]
    async with hb.platform.pool.connection() as connection:
        assert [one.value for one in await entries.waiting(connection) if one.period == str(year)] == [30.5]


async def test_a_transaction_with_a_report_that_cannot_be_right_is_refused_as_a_whole_and_a_batch_in_part(
    hb: World,
) -> None:
    count = "MeasureReport?_summary=count"
    before = (await hb.ask("GET", count)).json()["total"]
    refused = await hb.ask("POST", "", json=bundled("transaction", of_year(2019, 30), of_year(2018, 3000)))
    assert (refused.status_code, "Bundle.entry[1]" in refused.text) == (400, True), refused.text
    twice = await hb.ask("POST", "", json=bundled("transaction", of_year(2019, 30), of_year(2019, 31)))
    assert (twice.status_code, "two values" in twice.text) == (400, True), twice.text
    assert (await hb.ask("GET", count)).json()["total"] == before
    partly = await hb.ask("POST", "", json=bundled("batch", of_year(2019, 30), of_year(2018, 3000)))
    assert [one["response"]["status"][:3] for one in partly.json()["entry"]] == ["201", "400"], partly.text
    assert (await hb.ask("GET", count)).json()["total"] == before + 1


async def test_measures_are_searched_by_post_as_by_get(hb: World) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    posted = await hb.ask("POST", "Measure/_search", content="_id=IND-Q-08", headers=form)
    assert posted.status_code == 200, posted.text
    assert [one["resource"]["id"] for one in posted.json()["entry"]] == ["IND-Q-08"]
    asked = "measure=urn:healthbrain:measure:IND-Q-08"
    posted = await hb.ask("POST", "MeasureReport/_search", content=asked, headers=form)
    got = await hb.ask("GET", f"MeasureReport?{asked}")
    assert posted.json()["entry"] == got.json()["entry"] != []


async def test_expressions_carry_a_label_of_their_own_and_fhirpath_is_still_taken(hb: World) -> None:
    found = (await hb.ask("GET", "Measure/IND-Q-08")).json()
    languages = {part["criteria"]["language"] for part in found["group"][0]["population"]}
    assert languages == {"text/x-healthbrain-expression"}
    assert fhir.from_measure(copy.deepcopy(FOREIGN)).population is not None  # labelled text/fhirpath
