"""The shipped code tables are whole: every code once, named, sourced, and pointing only at codes that exist."""

from __future__ import annotations

from datetime import date

import pytest

from healthbrain.errors import NotFound
from healthbrain.terms import systems, tables

SEVERAL_ROWS_PER_CODE = {"reference_range", "vaccine_schedule"}


@pytest.mark.parametrize("name", tables.names())
def test_each_table_names_its_source_and_has_each_code_once(name: str) -> None:
    assert len(tables.source(name)) > 10
    codes = [row["code"] for row in tables.rows(name)]
    assert codes
    assert all(codes)
    if name not in SEVERAL_ROWS_PER_CODE:
        assert len(codes) == len(set(codes))
        assert all(row["name"] for row in tables.rows(name))


def test_the_demonstration_subsets_keep_to_their_size() -> None:
    assert 150 <= len(tables.rows("icd10")) <= 200
    assert len(tables.analytes()) >= 50
    assert len(tables.drugs()) >= 60
    assert len(tables.rows("procedure")) >= 30
    assert len(tables.rows("nation")) == 56
    assert len(tables.rows("division")) == 11


def test_a_code_is_shown_by_its_chinese_name_and_an_unknown_one_is_not_invented() -> None:
    assert tables.display(systems.LOINC, "4548-4") == "糖化血红蛋白"
    assert tables.display(systems.LOINC, "0-0") is None
    assert tables.display("urn:example:other", "1") is None


def test_an_unknown_table_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(NotFound, match="icd10"):
        tables.rows("snomed")


@pytest.mark.parametrize(
    ("code", "sex", "age", "low", "high"),
    [
        ("718-7", "M", 40, 130, 175),
        ("718-7", "F", 40, 115, 150),
        ("14682-9", "M", 60, 57, 111),
        ("6690-2", "", 3, 4.4, 14),
    ],
)
def test_reference_ranges_follow_sex_and_age(code: str, sex: str, age: float, low: float, high: float) -> None:
    found = tables.reference(code, sex, age)
    assert found is not None
    assert (found.low, found.high) == (low, high)
    assert [found.flag(low - 1), found.flag(low), found.flag(high), found.flag(high + 1)] == ["L", "N", "N", "H"]


def test_every_range_and_every_dose_points_at_a_code_that_exists() -> None:
    assert {row["code"] for row in tables.rows("reference_range")} <= set(tables.analytes())
    assert {dose.vaccine for dose in tables.schedule()} <= set(tables.table("vaccine"))
    for sex in "MF":
        for age in (0.5, 3, 10, 19, 30, 64, 90):
            for code in tables.analytes():
                matching = [r for r in tables.ranges(code) if r.age_from <= age < r.age_to and r.sex in ("", sex)]
                assert len(matching) <= 1, f"{code} has two ranges for {sex} {age}"


def test_the_schedule_changed_for_children_born_after_september_2024() -> None:
    def dtap(born: date) -> list[int]:
        return [d.month for d in tables.schedule() if d.vaccine == "DTaP" and d.applies(born, "M")]

    assert dtap(date(2018, 5, 1)) == [3, 4, 5, 18]
    assert dtap(date(2025, 5, 1)) == [2, 4, 6, 18, 72]
    assert not [d for d in tables.schedule() if d.vaccine == "HPV2" and d.applies(date(2012, 1, 1), "M")]
