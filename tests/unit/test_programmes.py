"""The national public health programmes: every measure is there, and a report takes its figures by rule."""

from __future__ import annotations

from datetime import date

import pytest

from healthbrain import measure
from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.programmes import (
    months_of,
    programme,
    programmes,
    programmes_of,
    report_periods,
    reported,
)


def test_the_fourteen_programmes_name_their_group_and_measures_that_are_defined() -> None:
    assert len(programmes()) == 14
    for one in programmes():
        assert set(one.title) == set(one.group) == {"zh", "en"}, one.id
        assert all(measure.definition(id_) for id_ in one.measures), one.id
    named = [id_ for one in programmes() for id_ in one.measures]
    assert len(named) == len(set(named))
    served = {one.id for one in measure.built_in() if one.id.startswith("BPHS-") and "-DQ" not in one.id}
    assert served <= set(named)
    with pytest.raises(NotFound):
        programme("nothing")


def test_a_programme_with_an_unknown_key_or_without_a_group_is_refused() -> None:
    with pytest.raises(Incorrect, match="unknown key"):
        programmes_of("document: x\nprogrammes:\n  a: {title: {zh: x}, group: {zh: x}, measures: [], rate: 9}", "f")
    with pytest.raises(Incorrect, match="group is missing"):
        programmes_of("document: x\nprogrammes:\n  a: {title: {zh: x}, measures: []}", "f")


def test_a_quarter_takes_the_last_month_in_it_and_the_entries_of_the_quarter() -> None:
    monthly, entered, yearly = (measure.definition(id_) for id_ in ("BPHS-OLD01", "BPHS-EDU01", "IND-Q-04"))
    months = ["2026-05", "2026-07", "2026-09", "2026-08", "2026-10"]
    assert reported(monthly, months, "2026-Q3") == ["2026-09"]
    assert reported(monthly, months, "2026") == ["2026-10"]
    assert reported(monthly, months, "2025") == []
    quarters = ["2025-Q4", "2026-Q1", "2026-Q3"]
    assert reported(entered, quarters, "2026-Q3") == ["2026-Q3"]
    assert reported(entered, quarters, "2026") == ["2026-Q1", "2026-Q3"]
    assert reported(yearly, ["2025", "2026"], "2026-Q3") == []
    assert reported(yearly, ["2025", "2026"], "2026") == ["2026"]


@pytest.mark.parametrize("period", ["2026-Q5", "2026-09", "", "26", "2026-Q1 ", "２０２６"])
def test_what_is_no_quarter_or_year_is_refused(period: str) -> None:
    with pytest.raises(Incorrect):
        months_of(period)


def test_reports_are_offered_for_the_quarters_that_have_begun() -> None:
    assert report_periods(date(2026, 5, 3)) == [
        "2026", "2026-Q2", "2026-Q1", "2025", "2025-Q4", "2025-Q3", "2025-Q2", "2025-Q1",
    ]  # fmt: skip
