"""A trend shows only periods whose whole window lies where there are data."""

from datetime import date

from healthbrain.measure import definition
from healthbrain.measure.periods import covered, spans

TODAY = date(2026, 11, 22)


def test_a_year_wide_rate_begins_when_a_year_of_data_is_there() -> None:
    yearly = definition("IND-Q-08")
    kept = covered(yearly, spans(yearly, TODAY), date(2025, 5, 22))
    assert [span.label for span in kept] == [f"2026-{month:02d}" for month in range(5, 12)]
    assert all(span.start >= date(2025, 5, 22) for span in kept)


def test_the_latest_period_is_always_shown() -> None:
    yearly = definition("IND-Q-08")
    assert [span.label for span in covered(yearly, spans(yearly, TODAY), date(2026, 11, 1))] == ["2026-11"]


def test_counts_of_a_month_need_no_year_before_them() -> None:
    monthly = definition("OPS-VISITS")
    every = spans(monthly, TODAY)
    assert covered(monthly, every, date(2026, 11, 1)) == every
