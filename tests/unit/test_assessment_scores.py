"""Points, totals, ranks and grades of assessments follow from scheme and figures alone; schemes that do not add up are refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from healthbrain.errors import Incorrect
from healthbrain.measure import assessment, built_in
from healthbrain.measure.assessment import Column, Figure, Inputs, Scheme, Unit
from healthbrain.measure.assessment.rules import Rule, points
from healthbrain.measure.assessment.scheme import against

RAW: dict[str, Any] = {
    "id": "test", "title": {"zh": "试验"}, "level": "institution", "period": "quarter",
    "grades": {"excellent": "90", "good": "80", "pass": "60"},
    "groups": [
        {"id": "a", "title": {"zh": "甲"}, "items": [
            {"measure": "BPHS-EHR02", "weight": "60", "rule": "linear", "floor": "50", "target": "90"},
        ]},
        {"id": "b", "title": {"zh": "乙"}, "items": [
            {"measure": "BPHS-OLD01", "weight": "30", "rule": "ratio", "target": "80"},
            {"measure": "BPHS-HTN02", "weight": "10", "rule": "steps", "steps": {"60": "100", "40": "50"}},
        ]},
    ],
}  # fmt: skip


def changed(**parts: Any) -> dict[str, Any]:
    return {**RAW, **parts}


def item(**parts: str) -> dict[str, Any]:
    one = {"measure": "BPHS-EHR02", "weight": "100", "rule": "linear", "target": "90", **parts}
    return changed(groups=[{"id": "a", "title": {"zh": "甲"}, "items": [one]}])


def figure(value: float | None, **parts: Any) -> Figure:
    usual: dict[str, Any] = {
        "numerator": None, "denominator": None, "periods": ("2026-09",), "complete": True,
        "as_of": "2026-10-01T00:00:00+00:00", "small": False, "protected": False,
    }  # fmt: skip
    return Figure(value, **{**usual, **parts})


def inputs(scheme: Scheme, values: dict[str, dict[str, Figure]]) -> Inputs:
    keys = sorted({key for column in values.values() for key in column})
    columns = tuple(
        Column(one.measure, "1.0", "up", str(one.rule.target or ""), values.get(one.measure, {}))
        for one in scheme.items
    )
    return Inputs("2026-Q3", tuple(Unit(key, f"单位{key}") for key in keys), columns)


@pytest.mark.parametrize(
    ("rule", "side", "value", "expected"),
    [
        (Rule("linear", Decimal(50), Decimal(90)), "up", 50.0, "0.00"),
        (Rule("linear", Decimal(50), Decimal(90)), "up", 80.0, "7.50"),
        (Rule("linear", Decimal(50), Decimal(90)), "up", 95.0, "10.00"),
        (Rule("linear", Decimal(50), Decimal(90)), "up", 20.0, "0.00"),
        (Rule("linear", Decimal(20), Decimal(5)), "down", 8.0, "8.00"),
        (Rule("ratio", target=Decimal(80)), "up", 60.0, "7.50"),
        (Rule("ratio", target=Decimal(80)), "up", 100.0, "10.00"),
        (Rule("ratio", target=Decimal(5)), "down", 10.0, "5.00"),
        (Rule("ratio", target=Decimal(5)), "down", 0.0, "10.00"),
        (Rule("steps", steps=((Decimal(40), Decimal(50)), (Decimal(60), Decimal(100)))), "up", 60.0, "10.00"),
        (Rule("steps", steps=((Decimal(40), Decimal(50)), (Decimal(60), Decimal(100)))), "up", 59.9, "5.00"),
        (Rule("steps", steps=((Decimal(40), Decimal(50)), (Decimal(60), Decimal(100)))), "up", 39.9, "0.00"),
        (Rule("steps", steps=((Decimal(5), Decimal(100)), (Decimal(9), Decimal(50)))), "down", 7.0, "5.00"),
        (Rule("deduction", target=Decimal(90), per=Decimal(1), off=Decimal("0.5")), "up", 91.0, "10.00"),
        (Rule("deduction", target=Decimal(90), per=Decimal(1), off=Decimal("0.5")), "up", 86.1, "8.50"),
        (Rule("deduction", target=Decimal(90), per=Decimal(1), off=Decimal("0.5")), "up", 10.0, "0.00"),
    ],
    ids=lambda one: one.kind if isinstance(one, Rule) else str(one),
)
def test_a_figure_earns_points_by_its_rule(rule: Rule, side: Any, value: float, expected: str) -> None:
    assert str(points(rule, value, Decimal(10), side, rule.target)) == expected


def test_totals_are_sums_of_rounded_points_and_equal_totals_share_a_rank() -> None:
    scheme = assessment.scheme_of(RAW, "test")
    given = inputs(scheme, {
        "BPHS-EHR02": {"1": figure(90.0), "2": figure(70.0), "3": figure(70.0)},
        "BPHS-OLD01": {"1": figure(80.0), "2": figure(40.0), "3": figure(40.0)},
        "BPHS-HTN02": {"1": figure(45.0), "2": figure(70.0), "3": figure(70.0)},
    })  # fmt: skip
    found = {one.unit: one for one in assessment.score(scheme, given)}
    assert (found["1"].total, found["1"].grade, found["1"].rank) == (Decimal("95.00"), "excellent", 1)
    assert (found["2"].total, found["2"].grade, found["2"].rank) == (Decimal("55.00"), "fail", 2)
    assert found["3"].rank == 2
    assert found["1"].groups["b"].points == Decimal("35.00")


@pytest.mark.parametrize(
    ("how", "total", "rank", "state"),
    [("leave_out", "75.00", 1, "left_out"), ("zero", "30.00", 1, "zero"), ("open", "None", None, "open")],
    ids=["left out", "zero", "open"],
)
def test_a_missing_figure_is_treated_as_the_scheme_says(how: str, total: str, rank: int | None, state: str) -> None:
    scheme = assessment.scheme_of(changed(missing=how, least="40"), "test")
    given = inputs(scheme, {"BPHS-OLD01": {"1": figure(80.0)}, "BPHS-HTN02": {"1": figure(10.0)}})
    (found,) = assessment.score(scheme, given)
    assert (str(found.total), found.rank, found.items["BPHS-EHR02"].state) == (total, rank, state)


def test_a_unit_of_which_too_little_counts_has_no_total() -> None:
    scheme = assessment.scheme_of(changed(least="41"), "test")
    given = inputs(scheme, {"BPHS-OLD01": {"1": figure(80.0)}, "BPHS-HTN02": {"1": figure(10.0)}})
    (found,) = assessment.score(scheme, given)
    assert (found.total, found.grade, found.rank, found.available) == (None, "", None, Decimal(40))


@pytest.mark.parametrize(
    ("how", "state"), [("score", "scored"), ("zero", "zero"), ("leave_out", "left_out"), ("open", "open")]
)
def test_a_figure_of_few_people_is_treated_as_the_scheme_says(how: str, state: str) -> None:
    scheme = assessment.scheme_of(changed(small=how), "test")
    few = {"1": figure(90.0, small=True)}
    (found,) = assessment.score(scheme, inputs(scheme, {"BPHS-EHR02": few}))
    assert found.items["BPHS-EHR02"].state == state
    assert found.items["BPHS-EHR02"].why == ("" if how == "score" else "small")


@pytest.mark.parametrize(
    ("raw", "place", "text"),
    [
        (item(weight="97"), "weights", "the weights add to 97, not to 100"),
        (item(weight="100.005"), "weights", "the weights add to 100.005, not to 100"),
        (item(weight="-1"), "BPHS-EHR02.weight", "the number must be above zero"),
        (item(weight="viel"), "BPHS-EHR02.weight", "this is no number with at most six decimals"),
        (item(weight="1e99999"), "BPHS-EHR02.weight", "this is no number with at most six decimals"),
        (item(weight="NaN"), "BPHS-EHR02.weight", "this is no number with at most six decimals"),
        (item(floor="90"), "BPHS-EHR02.target", "floor and target are the same"),
        (item(rule="ratio", target="0"), "BPHS-EHR02.target", "the number must be above zero"),
        (item(rule="steps"), "BPHS-EHR02.steps", "the rule of steps needs a table of bounds and per cents"),
        (item(rule="deduction", off="1"), "BPHS-EHR02.per", "a deduction needs points off per a step, both above zero"),
        (item(rule="magic"), "BPHS-EHR02.rule", "one of linear, ratio, steps, deduction is expected"),
        (changed(groups=[]), "groups", "a scheme has between one and 120 items"),
        (changed(title={}), "title", "a scheme needs a name"),
        (changed(id="../x"), "id", "an id has letters, digits and hyphens, at most 40"),
        (changed(grades={"excellent": "80", "good": "90", "pass": "60"}), "grades", "excellent needs more points than good, and good more than pass"),
        (changed(groups=[*RAW["groups"], RAW["groups"][0]]), "BPHS-EHR02", "the measure stands in the scheme twice"),
    ],
    ids=["97", "hundredth", "minus", "word", "huge", "nan", "same", "zero", "steps", "per", "rule", "empty", "name", "id", "grades", "twice"],
)  # fmt: skip
def test_a_wrong_scheme_is_refused_with_the_place_and_what_is_wrong(raw: dict[str, Any], place: str, text: str) -> None:
    with pytest.raises(Incorrect) as refused:
        assessment.scheme_of(raw, "test")
    assert (place, text) in {(one.expression, one.text) for one in refused.value.issues}


def test_a_scheme_is_held_against_the_measures_that_are_known() -> None:
    raw = item(measure="OPS-VISITS") | {}
    assert [one.text for one in against(assessment.scheme_of(raw, "test"), built_in())] == [
        "the measure has no better direction; say up or down"
    ]
    assert against(assessment.scheme_of(item(measure="NO-SUCH"), "test"), built_in())[0].text == (
        "there is no such measure"
    )
    entered = assessment.scheme_of(item(measure="IND-J-11"), "test")
    assert against(entered, built_in())[0].text == "the measure has no figures at the level of this scheme"
    turned = assessment.scheme_of(item(floor="95"), "test")
    assert against(turned, built_in())[0].text.startswith("floor and target lie the wrong way round")


@pytest.mark.parametrize("scheme", assessment.built_in_schemes(), ids=lambda one: one.id)
def test_a_built_in_scheme_adds_up_fits_the_measures_and_says_where_its_weights_come_from(scheme: Scheme) -> None:
    assert sum(one.weight for one in scheme.items) == 100
    assert against(scheme, built_in()) == []
    assert "建议值" in scheme.weights["zh"], "no source gives these weights: it must be said"
    assert "own proposal" in scheme.weights["en"]
    assert scheme.source
    assert assessment.scheme_of(scheme.as_raw(), scheme.id, scheme.version) == scheme


def test_the_content_of_a_run_is_reproduced_and_any_change_of_it_is_noticed() -> None:
    scheme = assessment.scheme_of(RAW, "test")
    given = inputs(scheme, {"BPHS-EHR02": {"1": figure(100 * 2 / 3), "2": figure(0.1 + 0.2)}})
    content = assessment.content_of(scheme, given, assessment.score(scheme, given))
    digest = assessment.digest_of(content)
    assert assessment.verify(content, digest).same
    assert assessment.parts_of(content) == (scheme, given)
    assert not assessment.verify(content.replace('"weight":"60"', '"weight":"59.5"').replace('"weight":"10"', '"weight":"10.5"'), digest).same  # fmt: skip
    assert not assessment.verify(content.replace("0.30000000000000004", "0.3"), digest).same


def test_a_single_hidden_item_hides_the_total_two_do_not() -> None:
    scheme = assessment.scheme_of(RAW, "test")
    few = figure(50.0, protected=True)
    given = inputs(
        scheme, {"BPHS-EHR02": {"1": figure(70.0)}, "BPHS-OLD01": {"1": few}, "BPHS-HTN02": {"1": figure(50.0)}}
    )
    (one,) = assessment.score(scheme, given)
    columns = {column.measure: column for column in given.columns}
    hidden = assessment.hidden_items(one, columns)
    assert hidden == {"BPHS-OLD01"}
    assert assessment.hidden_groups(scheme, hidden) == {"b"}
    assert assessment.hides_total(one, hidden)
    columns["BPHS-EHR02"] = replace(columns["BPHS-EHR02"], figures={"1": few})
    assert not assessment.hides_total(one, assessment.hidden_items(one, columns))
