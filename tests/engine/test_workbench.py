"""Own measures: composed by form, previewed by step, tested with examples, reviewed by a second person, published, counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from healthbrain import measure
from healthbrain.access import put_organisation
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Conflict, Forbidden, Incorrect, Invalid
from healthbrain.lake import library as catalogue
from healthbrain.measure import workbench
from healthbrain.measure.fhir import as_measure, from_measure
from healthbrain.measure.workbench import Below, Case, Condition, Fact, Form, drafts
from healthbrain.terms import systems
from tests.engine.measure_cohort import AT, TODAY, Cohort

FORM = Form(
    id="OWN-SEEN", title="在管高血压患者就诊率", formula="在管高血压患者中本期有门诊的比例", document="区文件1号", clause="二",
    base="managed", kind="proportion", unit="%", direction="up", period="month",
    conditions=(Condition("service", "is", systems.HTN_MANAGEMENT), Condition("start", "by_end"), Condition("gone", "missing")),
    excluded=(Condition("age", "at_most", "17"),),
    numerator=(Condition("fact_1", "at_least", "1"),),
    facts=(Fact("fact_1", "contact", "period", (Condition("service", "is", systems.OUTPATIENT),)),),
    strata=("sex",), targets={"2026": 60.0},
)  # fmt: skip


def cohort() -> Cohort:
    made = Cohort()
    for number in range(8):
        patient = made.person(number)
        made.enrol(patient, systems.HTN_MANAGEMENT)
        if number % 4 == 0:
            made.encounter(patient, systems.OUTPATIENT, TODAY - timedelta(days=2))
    made.person(50)
    return made


def run(dsn: str, story: Any) -> Any:
    async def whole() -> Any:
        pool = await open_pool(dsn, size=3)
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(whole())


def definition(form: Form = FORM) -> measure.Definition:
    return workbench.definition_from(workbench.text_of_form(form, "1"))


def test_a_form_becomes_a_definition_that_comes_back_from_its_json() -> None:
    one = definition()
    assert (one.id, one.version, one.kind, one.unit, one.target(2026)) == ("OWN-SEEN", "1", "proportion", "%", 60.0)
    assert workbench.form_of(json.loads(json.dumps(FORM.as_json()))) == FORM


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "IND-1"}, "id"), ({"title": " "}, "title"), ({"document": ""}, "document"), ({"kind": "magic"}, "kind"),
        ({"base": "pg_class"}, "base"), ({"day": "service"}, "day"), ({"numerator": ()}, "numerator"),
        ({"kind": "mean"}, "observe"), ({"window": 99}, "window"), ({"strata": ("blood",)}, "strata"),
        ({"excluded": (Condition("nothing", "given"),)}, "excluded"),
        ({"excluded": (Condition("age", "at_least", "old"),)}, "excluded"),
        ({"excluded": (Condition("service", "is", "x' or true or 'y"),)}, "excluded"),
        ({"conditions": (Condition("service", "at_least", "1"),)}, "conditions"),
        ({"facts": (Fact("fact_1; drop", "contact"),)}, "facts-0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(change: Mapping[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        workbench.text_of_form(replace(FORM, **change), "1")
    assert field in {issue.expression for issue in refused.value.issues}


@pytest.mark.parametrize("base", workbench.bases())
def test_every_table_of_the_form_can_be_counted(base: str) -> None:
    kinds = workbench.tables()[base]
    day = next((column for column, kind in kinds.items() if kind == "date" and column not in {"birth", "died"}), "")
    for once in (True, False):
        definition(
            Form(
                id="OWN-X1", title="t", formula="f", document="d", kind="count", unit="people", base=base, day=day,
                once=once, conditions=(Condition("age", "at_least", "1"),), strata=("sex", "age_group"),
            )
        )  # fmt: skip


def test_a_preview_counts_every_step(tmp_path: Path) -> None:
    lake = cohort().lake(tmp_path)
    found = workbench.steps(lake, definition(), AT)
    assert len(found) == 6
    assert (found[-1].initial, found[-1].excluded, found[-1].denominator, found[-1].numerator) == (8, 0, 8, 2)
    assert found[0].numerator == 0
    none_left = workbench.steps(lake, definition(replace(FORM, excluded=(Condition("age", "at_least", "1"),))), AT)
    assert (none_left[-1].initial, none_left[-1].excluded, none_left[-1].denominator) == (8, 8, 0)
    members = workbench.sample(lake, definition(), AT)
    assert [one.numerator for one in members].count(True) == 2
    known = members[0].subject
    cases = [
        Case("来过", "numerator" if members[0].numerator else "denominator", subject=known),
        Case("不认识", "outside", subject="P999999999999"),
    ]
    assert all(one.passed for one in workbench.run_cases(lake, definition(), cases, AT))
    wrong = workbench.run_cases(lake, definition(), [Case("错", "outside", subject=known)], AT)
    assert not wrong[0].passed


RATIO = Form(
    id="OWN-PER", title="人均门诊次数", formula="门诊人次 ÷ 在管患者数", document="区文件1号", kind="ratio", unit="times", base="emr__visit",
    day="start", once=False, conditions=(Condition("service", "is", systems.OUTPATIENT),), per=100,
    below=Below("managed", conditions=(Condition("service", "is", systems.HTN_MANAGEMENT), Condition("start", "by_end"))),
)  # fmt: skip


def test_a_ratio_has_a_denominator_of_its_own_and_can_be_counted_in_a_view_of_the_catalogue(
    dsn: str, tmp_path: Path
) -> None:
    lake = cohort().lake(tmp_path)
    one = definition(RATIO)
    assert workbench.form_of(json.loads(json.dumps(RATIO.as_json()))) == RATIO
    (*_, last) = workbench.steps(lake, one, AT)
    assert (last.numerator, last.denominator) == (2, 8)

    async def story(pool: Pool) -> None:
        async with pool.connection() as connection:
            key = await put_organisation(connection, code="D1", name="区", kind="district", at=AT)
            await drafts.begin(connection, RATIO, key, "anna", AT)
            await drafts.submit(connection, await drafts.one_own(connection, RATIO.id, None), "anna", AT)
            own = await drafts.one_own(connection, RATIO.id, None)
            await drafts.publish(connection, own, passed=True, note="", by="bert", at=AT)
        await measure.refresh(pool, lake, AT)
        async with pool.connection() as connection:
            (head,) = await measure.headline(connection, measures=[RATIO.id])
            assert (head.now.numerator, head.now.denominator, head.now.value) == (2, 8, 25.0)

    run(dsn, story)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"below": Below("pg_class")}, "below"), ({"below": Below("home", day="sex")}, "below"), ({"per": 7}, "per"),
        ({"below": Below("home", observe="sex")}, "below"), ({"below": Below(conditions=(Condition("no", "given"),))}, "below"),
        ({"numerator": (Condition("age", "at_least", "1"),)}, "numerator"), ({"observe": "service"}, "observe"),
    ],
    ids=["table", "day", "per", "observe", "condition", "numerator", "above"],
)  # fmt: skip
def test_a_wrong_denominator_is_refused_at_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        workbench.text_of_form(replace(RATIO, **change), "1")
    assert field in {issue.expression for issue in refused.value.issues}


def test_every_view_over_resources_is_a_base_and_rows_are_those_of_the_catalogue(tmp_path: Path) -> None:
    offered = {one.id for one in catalogue.views() if one.derived is None}
    assert {base.replace("__", ".").replace("_", "-") for base in workbench.bases() if "__" in base} == {
        one.replace("_", "-") for one in offered
    }
    lake = cohort().lake(tmp_path)
    counted = Form(
        id="OWN-X2", title="t", formula="f", document="d", kind="count", unit="visits", base="emr__visit", day="start", once=False,
        period="year",
    )  # fmt: skip
    (*_, last) = workbench.steps(lake, definition(counted), AT)
    view = next(one for one in catalogue.views() if one.id == "emr.visit")
    connection = lake.connect(types=set(view.types))
    try:
        (expected,) = connection.execute(
            f"select count(*) from ({view.sql(())}) where start >= '{TODAY.year}' and start <= '{TODAY}T24'"
        ).fetchall()[0]
    finally:
        connection.close()
    assert last.initial == expected > 0


def test_an_example_of_resources_is_judged_row_by_row(tmp_path: Path) -> None:
    day = (TODAY - timedelta(days=1)).isoformat()

    def visit(service: str) -> dict[str, Any]:
        coding = {"coding": [{"system": systems.SERVICE, "code": service}]}
        return {
            "resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "type": [coding],
            "subject": {"reference": "Patient/p1"}, "period": {"start": day},
        }  # fmt: skip

    one = definition(
        Form(
            id="OWN-VIS", title="t", formula="f", document="d", base="contact", day="start", once=False,
            numerator=(Condition("service", "is", systems.OUTPATIENT),),
        )
    )  # fmt: skip
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1960-01-01"}
    examples = [
        Case("门诊", "numerator", resources=workbench.case_resources(json.dumps([patient, visit(systems.OUTPATIENT)]))),
        Case(
            "急诊", "denominator", resources=workbench.case_resources(json.dumps([patient, visit(systems.EMERGENCY)]))
        ),
        Case("没来", "outside", resources=workbench.case_resources(json.dumps([patient]))),
    ]
    lake = cohort().lake(tmp_path)
    assert [outcome.found for outcome in workbench.run_cases(lake, one, examples, AT)] == [e.expected for e in examples]
    with pytest.raises(Incorrect):
        workbench.case_resources("[1, 2]")


def test_a_measure_goes_from_draft_to_figures_by_two_people(dsn: str, tmp_path: Path) -> None:
    lake = cohort().lake(tmp_path)

    async def story(pool: Pool) -> None:
        async with pool.connection() as connection:
            key = await put_organisation(connection, code="D1", name="区", kind="district", at=AT)
            before = await measure.mark(connection, AT)
            await drafts.begin(connection, replace(FORM, title=""), key, "anna", AT)
            with pytest.raises(Conflict):
                await drafts.begin(connection, FORM, key, "anna", AT)

            async def own() -> drafts.Own:
                return await drafts.one_own(connection, "OWN-SEEN", None)

            with pytest.raises(Incorrect, match="faults"):
                await drafts.submit(connection, await own(), "anna", AT)
            await drafts.keep(connection, await own(), FORM, "", "anna", AT)
            await drafts.submit(connection, await own(), "anna", AT)
            with pytest.raises(Forbidden):
                await drafts.publish(connection, await own(), passed=True, note="", by="anna", at=AT)
            with pytest.raises(Incorrect, match="fails"):
                await drafts.publish(connection, await own(), passed=False, note="", by="bert", at=AT)
            await drafts.publish(connection, await own(), passed=True, note="", by="bert", at=AT)
            assert await measure.mark(connection, AT) != before
        done = await measure.refresh(pool, lake, AT)
        assert "OWN-SEEN" in done.measures
        async with pool.connection() as connection:
            (head,) = await measure.headline(connection, measures=["OWN-SEEN"])
            assert (head.now.numerator, head.now.denominator, head.now.value, head.target) == (2, 8, 25.0, 60.0)
            assert measure.definition("OWN-SEEN").title["zh"] == FORM.title
            page = await measure.members(connection, lake, "OWN-SEEN", in_numerator=True)
            assert len(page.members) == 2
            await drafts.revise(connection, await own(), "anna", AT)
            changed = replace(FORM, facts=(replace(FORM.facts[0], within="ever"),))
            await drafts.keep(connection, await own(), changed, "", "anna", AT)
            with pytest.raises(Incorrect, match="changes"):
                await drafts.submit(connection, await own(), "anna", AT)
            await drafts.keep(connection, await own(), changed, "历次就诊均计", "anna", AT)
            await drafts.submit(connection, await own(), "anna", AT)
            await drafts.send_back(connection, await own(), "请补充依据", "bert", AT)
            await drafts.submit(connection, await own(), "anna", AT)
            await drafts.publish(connection, await own(), passed=True, note="", by="bert", at=AT)
        await measure.refresh(pool, lake, AT)
        async with pool.connection() as connection:
            assert [one.version for one in await measure.series(connection, "OWN-SEEN")] == ["1", "2"]
            await drafts.retire(connection, await own(), "bert", AT)
            assert "OWN-SEEN" not in {one.id for one in await measure.in_force(connection)}
            await drafts.retire(connection, await own(), "bert", AT, back=True)
            assert "OWN-SEEN" in {one.id for one in await measure.in_force(connection)}
            actions = [event.action for event in await drafts.history(connection, await own())]
            assert actions[0] == "resumed"
            assert actions.count("published") == 2
            with pytest.raises(Conflict):
                await drafts.discard(connection, "OWN-SEEN", None, "anna", AT)

    run(dsn, story)


def test_a_measure_travels_as_fhir_and_as_yaml(dsn: str) -> None:
    text = workbench.text_of_form(FORM, "1")
    assert from_measure(as_measure(definition(), text)) == definition()

    async def story(pool: Pool) -> None:
        async with pool.connection() as connection:
            key = await put_organisation(connection, code="D1", name="区", kind="district", at=AT)
            assert await drafts.take_in(connection, text, key, "anna", AT) == "OWN-SEEN"
            own = await drafts.one_own(connection, "OWN-SEEN", [key])
            assert own.open is not None
            assert own.open.form is None
            assert workbench.definition_from(own.open.text) == definition()
            assert await drafts.owned(connection, []) == []
            with pytest.raises(Incorrect, match="OWN-"):
                await drafts.take_in(connection, text.replace("OWN-SEEN", "IND-Q-01"), key, "anna", AT)

    run(dsn, story)
