"""The indicator frameworks of five plans: every line in its plan, targets as printed, comparisons as stated."""

from __future__ import annotations

import pytest

from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.plans import Target, plan, plan_of, plans

ROWS = {
    "qingpu": [f"IND-Q-{number:02d}" for number in range(1, 16)],
    "chongqing": [
        *(f"IND-C-{number:02d}" for number in range(1, 7)),
        "IND-C-07a",
        "IND-C-07b",
        *(f"IND-C-{number:02d}" for number in range(8, 12)),
    ],
    "yangpu": [f"IND-Y-{number:02d}" for number in range(1, 16)],
    "jinan": [f"IND-J-{number:02d}" for number in range(1, 21)],
    "changning": ["IND-N-01", "IND-N-02", "IND-N-03"],
}
HISTORY = [f"IND-YB-{number:02d}" for number in range(1, 23)]

# row -> the targets as the documents print them, by year
PRINTED = {
    "IND-Q-01": {2025: "84.98", 2030: "保持发达国家水平"},
    "IND-Q-02": {2025: "≤5", 2030: "保持发达国家水平"},
    "IND-Q-03": {2025: "≤7", 2030: "保持发达国家水平"},
    "IND-Q-04": {2025: "36", 2030: "40"},
    "IND-Q-05": {2025: "≥35", 2030: "≥40"},
    "IND-Q-06": {2025: "达标后保持", 2030: "达标后保持"},
    "IND-Q-07": {2025: "逐步提高", 2030: "逐步提高"},
    "IND-Q-08": {2025: "≥85", 2030: "≥90"},
    "IND-Q-09": {2025: "≥85", 2030: "≥90"},
    "IND-Q-10": {2025: "≥46", 2030: "逐步提高"},
    "IND-Q-11": {2025: "≥20", 2030: "≥40"},
    "IND-Q-12": {2025: "100", 2030: "100"},
    "IND-Q-13": {2025: "75", 2030: "78"},
    "IND-Q-14": {2025: "5", 2030: "10"},
    "IND-Q-15": {2025: "10", 2030: "20"},
    "IND-C-01": {2023: "4", 2025: "6", 2027: "10"},
    "IND-C-02": {2023: "1", 2025: "4", 2027: "12"},
    "IND-C-03": {2023: "2", 2025: "4", 2027: "6"},
    "IND-C-04": {2023: "1", 2025: "10", 2027: "20"},
    "IND-C-05": {2025: "90%", 2027: "100%"},
    "IND-C-06": {2025: "80%", 2027: "100%"},
    "IND-C-07a": {2025: "≥5%", 2027: "≥10%"},
    "IND-C-07b": {2025: "80%", 2027: "100%"},
    "IND-C-08": {2025: "≥60%", 2027: "≥85%"},
    "IND-C-09": {2025: "100", 2027: "120"},
    "IND-C-10": {2025: "50%", 2027: "80%"},
    "IND-C-11": {2025: "70%", 2027: "90%"},
    "IND-Y-01": {2025: "大于84.6岁"},
    "IND-Y-02": {2025: "大于71岁"},
    "IND-Y-03": {2025: "≤5%"},
    "IND-Y-04": {2025: "≤4%"},
    "IND-Y-05": {2025: "≤7/10万"},
    "IND-Y-06": {2025: "小于9.5%"},
    "IND-Y-07": {2025: "大于35%"},
    "IND-Y-08": {2025: "达到35%"},
    "IND-Y-09": {2025: "达到3.6人"},
    "IND-Y-10": {2025: "大于4.7人"},
    "IND-Y-11": {2025: "达到0.45人左右"},
    "IND-Y-12": {2025: "达到每4.8/10万人"},
    "IND-Y-13": {2025: "达到6.5%"},
    "IND-Y-14": {2025: "达到17.5%"},
    "IND-Y-15": {2025: "大于0.9"},
    "IND-J-01": {2023: "五级乙等"},
    "IND-J-06": {2025: "5Gbps"},
    "IND-J-18": {2024: "13个信息系统"},
}


@pytest.mark.parametrize("name", ROWS)
def test_a_plan_holds_exactly_its_lines_in_the_order_of_the_document(name: str) -> None:
    assert list(plan(name).rows) == ROWS[name]


def test_the_five_plans_hold_65_lines_and_22_baselines() -> None:
    assert sum(len(one.rows) for one in plans()) == 65
    assert [one.id for one in plan("yangpu").history] == HISTORY
    assert all(not one.history for one in plans() if one.id != "yangpu")


def test_no_indicator_stands_in_two_plans() -> None:
    ids = [one.id for held in plans() for one in held.indicators]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("row", PRINTED)
def test_targets_stand_as_printed(row: str) -> None:
    indicator = next(one for held in plans() for one in held.indicators if one.id == row)
    assert {one.year: one.printed["zh"] for one in indicator.targets} == PRINTED[row]


@pytest.mark.parametrize("name", ROWS)
def test_every_text_of_a_plan_is_there_in_both_languages(name: str) -> None:
    held = plan(name)
    texts = [held.title, held.issuer, held.responsible, held.note]
    for one in held.indicators:
        texts += [one.title, one.unit, one.responsible, *(target.printed for target in one.targets)]
        texts += [words for words in (one.scope, one.note) if words]
    for past in held.history:
        texts += [past.title, *(words for words in (past.note,) if words)]
        texts += [words for series in past.series for words in (series.name, series.unit)]
    assert all(set(words) == {"zh", "en"} and all(words.values()) for words in texts)


def test_where_the_print_contradicts_itself_the_reading_is_noted_and_the_unit_made_explicit() -> None:
    units = {one.id: one.unit["zh"] for one in plan("yangpu").indicators if "印作" in one.note.get("zh", "")}
    assert units == {"IND-Y-03": "‰", "IND-Y-04": "‰", "IND-Y-14": "人次/千人"}


def test_baselines_of_another_scope_are_not_joined_to_a_measure() -> None:
    workforce = next(one for one in plan("yangpu").history if one.id == "IND-YB-11")
    assert all(not series.measure for series in workforce.series)
    assert [point.value for series in workforce.series for point in series.points] == [18336, 17.3, 5.37, 8.54]


def test_a_rate_above_one_hundred_per_cent_is_kept() -> None:
    contracts = next(one for one in plan("yangpu").history if one.id == "IND-YB-09")
    assert 104.44 in [point.value for series in contracts.series for point in series.points]


def test_each_item_of_jinan_names_the_division_that_leads_it() -> None:
    leads = {one.id: one.responsible["zh"] for one in plan("jinan").indicators}
    assert leads["IND-J-20"] == "医政处、妇幼处、中医药业务处"
    assert leads["IND-J-11"] == "规划处、财审处"
    assert leads["IND-J-01"] == "规划处"


@pytest.mark.parametrize(
    ("operator", "value", "actual", "before", "down", "met"),
    [
        (">=", 85.0, 84.999, None, False, True),
        (">=", 85.0, 84.99, None, False, False),
        ("<=", 5.0, 5.0, None, True, True),
        (">", 84.6, 84.6, None, False, False),
        ("<", 9.5, 9.49, None, True, True),
        ("=", 1.0, 1.0, None, False, True),
        ("all", 100.0, 99.9, None, False, False),
        ("all", 100.0, 104.4, None, False, True),
        ("about", 0.45, 0.43, None, False, True),
        ("about", 0.45, 0.42, None, False, False),
        ("keep", 84.98, 84.97, None, False, False),
        ("keep", 5.0, 5.1, None, True, False),
        ("keep", None, 90.0, 90.0, False, True),
        ("keep", None, 89.0, 90.0, False, False),
        ("keep", None, 90.0, None, False, None),
        ("rise", None, 90.0, 90.0, False, False),
        ("rise", None, 90.1, 90.0, False, True),
        ("rise", None, 1.0, 2.0, True, True),
        ("rise", None, 90.0, None, False, None),
    ],
)
def test_a_target_is_met_as_its_operator_says(operator, value, actual, before, down, met) -> None:
    assert Target(2025, {"zh": ""}, operator, value).met(actual, before=before, down=down) is met


def test_the_target_of_a_year_is_the_next_one_to_come_and_after_the_last_the_last() -> None:
    found = plan("chongqing").indicator("IND-C-01")
    assert found is not None
    held = [found.target(year) for year in (2023, 2024, 2026, 2030)]
    assert [one.year for one in held if one] == [2023, 2025, 2027, 2027]


def test_an_unknown_plan_is_said_to_be_unknown() -> None:
    with pytest.raises(NotFound, match="no plan 'suzhou'"):
        plan("suzhou")


HEAD = """
id: x
title: {zh: 计划, en: plan}
issuer: {zh: 某区, en: some district}
reference: 文号
issued: 2024-01-01
division: "310118"
first: "2023"
last: "2025"
responsible: {zh: 某局, en: some bureau}
indicators:
  A:
    title: {zh: 甲, en: a}
    measure: A
    unit: "%"
    clause: 一
    feeds: []
    targets:
"""


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ('      2025: {printed: "1", operator: ">="}', "needs a value"),
        ('      2026: {printed: "1", operator: ">=", value: "1"}', "lies outside"),
        ('      2025: {printed: "1", operator: "~", value: "1"}', "none of"),
        ('      2025: {printed: "1", operator: ">=", value: "x"}', "could not convert"),
        ('      2025: {printed: "1", operator: ">=", value: "1", by: "2"}', "unknown key by"),
        ('      2025: {printed: "1", operator: ">=", value: "1"}\n      2024: {printed: "1", operator: ">=", value: "1"}', "order of years"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_right_is_refused(targets: str, reason: str) -> None:
    with pytest.raises(Incorrect, match=reason):
        plan_of(HEAD + targets, "x.yaml")
