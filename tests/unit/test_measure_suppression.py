"""Small counts are hidden so that nobody can work them out from what is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product

from hypothesis import assume, given
from hypothesis import strategies as st

from healthbrain.measure import Coverage, Figure, Level, definition
from healthbrain.measure.suppression import (
    grain_offered,
    hide,
    parts_offered,
    suppress,
    suppress_alone,
    suppress_periods,
)

LEAST = 5


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_no_small_count_is_shown(counts: list[int]) -> None:
    hidden = hide([(count,) for count in counts], LEAST)
    assert all(number in hidden for number, count in enumerate(counts) if 0 < count < LEAST)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5))
def test_every_hidden_count_could_have_been_another_given_the_whole_and_what_is_shown(counts: list[int]) -> None:
    hidden = sorted(hide([(count,) for count in counts], LEAST))
    assume(hidden)
    held = sum(counts[number] for number in hidden)
    present = len([count for count in counts if count])
    if len(hidden) == len(counts) and (present < 2 or held <= present):
        return  # nothing is left to hide; the whole alone is known
    filled = [number for number in hidden if counts[number]]
    # who attacks knows that nobody hides a part without anybody, unless as cover
    worlds = [world for world in product(range(1, held + 1), repeat=len(filled)) if sum(world) == held]
    for place in range(len(filled)):
        assert len({world[place] for world in worlds}) > 1


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=6))
def test_numerators_and_those_outside_are_both_kept(parts: list[tuple[int, int]]) -> None:
    whole = [(above, rest, above + rest) for above, rest in parts]
    hidden = hide(whole, LEAST)
    for number, counts in enumerate(whole):
        if any(0 < count < LEAST for count in counts):
            assert number in hidden
    assert len(hidden) != 1


def test_large_counts_stay() -> None:
    assert hide([(10,), (20,), (0,)], LEAST) == set()
    assert hide([(3,), (20,), (40,)], LEAST) == {0, 1}


EVENTS = replace(definition("PH-ILI"), period="month", also=("quarter",), suppress=LEAST)


def _figure(label: str, count: int, first: date, last: date, level: Level = "district") -> Figure:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return Figure(
        "PH-ILI", "1", label, level, "", first, last, True, float(count), None, float(count), None, None, False,
        Coverage(1, 1), now, now,
    )  # fmt: skip


def _year(counts: list[int]) -> list[Figure]:
    """Months, and the quarters that they add up to."""
    months = [
        _figure(f"2026-{n + 1:02d}", count, date(2026, n + 1, 1), date(2026, n + 1, 28))
        for n, count in enumerate(counts)
    ]
    quarters = [
        _figure(f"2026-Q{n + 1}", sum(counts[3 * n : 3 * n + 3]), months[3 * n].start, months[3 * n + 2].to)
        for n in range(len(counts) // 3)
    ]
    return quarters + months


@given(st.lists(st.integers(0, 12), min_size=6, max_size=6))
def test_no_hidden_month_follows_from_a_longer_period_and_the_other_months(counts: list[int]) -> None:
    shown = {figure.period: figure.numerator for figure in suppress_periods(_year(counts), EVENTS)}
    for number, count in enumerate(counts):
        if 0 < count < LEAST:
            quarter = number // 3
            assert shown[f"2026-{number + 1:02d}"] is None
            assert shown[f"2026-Q{quarter + 1}"] is None
    for number in range(len(counts) // 3):
        if not any(0 < count < LEAST for count in counts[3 * number : 3 * number + 3]):
            assert shown[f"2026-Q{number + 1}"] == sum(counts[3 * number : 3 * number + 3])


def test_a_second_dimension_is_offered_of_the_district_only_and_of_its_own_periods() -> None:
    (quarter, month, *_) = _year([20, 20, 20])
    own = replace(month, level="institution", key="7")
    assert [parts_offered(EVENTS, one) for one in (month, quarter, own)] == [True, False, False]
    assert [grain_offered(EVENTS, one) for one in (month, quarter, own, replace(quarter, level="town"))] == [
        True, True, True, False,
    ]  # fmt: skip


def test_what_is_computed_from_people_is_shown_for_the_whole_only_and_other_computed_values_everywhere() -> None:
    month = date(2026, 9, 1)
    whole, part = (_figure("2026-09", 80, month, month, level) for level in ("district", "town"))
    managed, physicians = definition("BPHS-HTN00"), definition("IND-Y-09")
    for table in (suppress([part, part], managed), suppress_alone([part], managed)):
        assert all(figure.value is None and figure.suppressed for figure in table)
    assert suppress([whole], managed) == [whole]
    assert suppress([part], physicians) == [part]
