"""Life tables, standardisation and intervals against published worked examples and against themselves."""

from __future__ import annotations

from itertools import pairwise
from math import exp, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.errors import Incorrect
from healthbrain.measure.life_table import (
    AgeClass,
    dying_between,
    expectancy_at,
    healthy_expectancy,
    life_table,
)
from healthbrain.measure.standardise import STANDARDS, Stratum, direct, indirect, weight_of
from healthbrain.measure.statistics import byar, difference, poisson, rate_ratio, wilson

# Austria, males, 1992: S. Preston, P. Heuveline, M. Guillot, Demography (2001), box 3.1.
AGES = (0, 1, *range(5, 90, 5))
PEOPLE = (
    47925, 189127, 234793, 238790, 254996, 326831, 355086, 324222, 269963, 261971, 238011, 261612, 181385, 187962, 153832,
    105169, 73694, 57512, 32248,
)  # fmt: skip
DEATHS = (419, 70, 36, 46, 249, 420, 403, 441, 508, 769, 1154, 1866, 2043, 3496, 4366, 4337, 5279, 6460, 6146)
LIVED = (2.5, 3.143, 2.724, 2.520, 2.481, 2.601, 2.701, 2.663, 2.698, 2.676, 2.645, 2.624, 2.619, 2.593, 2.518, 2.423)


def austria() -> list[AgeClass]:
    lived = (None, None, *(years / 5 for years in LIVED), None)
    widths = [following - start for start, following in pairwise(AGES)] + [None]
    return [AgeClass(*row) for row in zip(AGES, widths, DEATHS, PEOPLE, lived, strict=True)]


def test_the_life_table_of_austrian_males_in_1992() -> None:
    table = life_table(austria(), "male")
    assert table[0].lived == pytest.approx(0.068, abs=0.0005)
    assert table[1].lived * 4 == pytest.approx(1.626, abs=0.0005)
    assert [round(row.dying, 5) for row in table[:4]] == [0.00867, 0.00148, 0.00077, 0.00096]
    assert round(table[0].expectancy, 3) == 72.889
    assert round(table[-1].expectancy, 3) == 5.247
    assert expectancy_at(table, 65).value == pytest.approx(14.97, abs=0.01)


def test_the_parts_of_a_life_table_agree() -> None:
    table = life_table(austria(), "male")
    for row, following in pairwise(table):
        assert following.alive == pytest.approx(row.alive * (1 - row.dying))
        assert row.left == pytest.approx(row.years + following.left)
    assert table[0].left == pytest.approx(table[0].expectancy * 100_000)


def test_ten_times_the_people_make_the_interval_narrower_by_the_root_of_ten() -> None:
    many = [AgeClass(one.start, one.width, one.deaths * 10, one.people * 10, one.lived) for one in austria()]
    few, more = expectancy_at(life_table(austria(), "male")), expectancy_at(life_table(many, "male"))
    assert more.value == pytest.approx(few.value)
    assert (few.high - few.low) / (more.high - more.low) == pytest.approx(10**0.5)


def test_with_nobody_unwell_healthy_years_are_all_years_and_with_a_tenth_nine_tenths() -> None:
    table = life_table(austria(), "male")
    assert healthy_expectancy(table, [(0, 100)] * len(table)).value == pytest.approx(table[0].expectancy)
    tenth = healthy_expectancy(table, [(100, 1000)] * len(table))
    assert tenth.value == pytest.approx(0.9 * table[0].expectancy)
    assert tenth.low < tenth.value < tenth.high


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "the last, and only it, is open"),
        ([AgeClass(0, 1, 1, 10), AgeClass(5, None, 1, 10)], "does not end where the next one begins"),
        ([AgeClass(0, 1, 0, 0), AgeClass(1, None, 1, 10)], "nobody at risk"),
        ([AgeClass(0, 1, 0, 10), AgeClass(1, None, 0, 10)], "has no deaths"),
    ],
    ids=["none", "gap", "nobody", "immortal"],
)
def test_a_life_table_that_cannot_be_made_says_why(classes: list[AgeClass], message: str) -> None:
    with pytest.raises(Incorrect, match=message):
        life_table(classes)


def test_dying_between_30_and_70_by_the_formula_of_who() -> None:
    classes = [AgeClass(age, 5, 10.0, 10_000.0) for age in range(30, 70, 5)]
    q = 5 * 0.001 / (1 + 2.5 * 0.001)
    assert dying_between(classes).value == pytest.approx(1 - (1 - q) ** 8)
    with pytest.raises(Incorrect, match="without a gap"):
        dying_between(classes[1:])


# Down's syndrome by maternal age, birth order 1; the standard is the average over birth orders (Fay and Feuer 1997, table I).
DOWN = ((107, 230061), (141, 329449), (60, 114920), (40, 39487), (39, 14208), (25, 3052))
OTHERS = (
    (72202, 326701, 208667, 83228, 28466, 5375), (15050, 175702, 207081, 117300, 45026, 8660),
    (2293, 68800, 132424, 98301, 46075, 9834), (327, 30666, 123419, 149919, 104088, 34392),
)  # fmt: skip


def test_the_directly_standardised_rate_and_gamma_interval_of_fay_and_feuer() -> None:
    standard = [(people + sum(order[i] for order in OTHERS)) / 5 for i, (_, people) in enumerate(DOWN)]
    strata = [Stratum(events, people, weight) for (events, people), weight in zip(DOWN, standard, strict=True)]
    found = direct(strata, gamma=True)
    assert found is not None
    assert (round(found.value, 1), round(found.low, 1)) == (92.3, 80.4)
    usual = direct(strata)
    assert usual is not None
    assert usual.low < usual.value < usual.high


def test_a_population_like_the_standard_keeps_its_own_rate() -> None:
    strata = [Stratum(events, people, people) for events, people in DOWN]
    found = direct(strata)
    assert found is not None
    assert found.value == pytest.approx(100_000 * sum(e for e, _ in DOWN) / sum(p for _, p in DOWN))


def test_the_indirectly_standardised_ratio_has_the_exact_interval_of_its_count() -> None:
    found = indirect([Stratum(8, 1000, 0.003), Stratum(2, 500, 0.004)])
    assert found is not None
    assert (found.value, found.low, found.high) == (
        pytest.approx(2.0), pytest.approx(4.795 / 5, abs=1e-3), pytest.approx(18.390 / 5, abs=1e-3),
    )  # fmt: skip


@pytest.mark.parametrize("standard", sorted(STANDARDS))
def test_classes_of_a_standard_population_are_divided_and_joined(standard: str) -> None:
    whole = sum(STANDARDS[standard])
    assert weight_of("0", standard) * 4 == pytest.approx(weight_of("1-4", standard))
    assert sum(weight_of(label, standard) for label in ("0", "1-4", "5-14", "15-64", "65+")) == pytest.approx(whole)
    with pytest.raises(Incorrect, match="from 85 on"):
        weight_of("90+", standard)


# Garwood's limits as tabulated (E. S. Pearson, H. O. Hartley, Biometrika Tables I, table 40).
@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0, 3.69), (1, 0.0253, 5.57), (5, 1.62, 11.67), (10, 4.80, 18.39), (50, 37.11, 65.92)],
)
def test_the_exact_interval_of_a_count(events: int, low: float, high: float) -> None:
    found = poisson(events)
    assert found == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))
    if events >= 5:
        assert byar(events) == (pytest.approx(found[0], rel=0.01), pytest.approx(found[1], rel=0.01))


@given(st.integers(1, 60))
def test_the_bounds_of_a_count_leave_a_fortieth_on_each_side(events: int) -> None:
    def up_to(mean: float, count: int) -> float:
        return sum(exp(-mean) * mean**k / factorial(k) for k in range(count + 1))

    low, high = poisson(events)
    assert 1 - up_to(low, events - 1) == pytest.approx(0.025, abs=1e-9)
    assert up_to(high, events) == pytest.approx(0.025, abs=1e-9)


# R. G. Newcombe, Stat Med 1998; 17: 857-872 (single proportion) and 873-890 (difference, method 10).
def test_the_intervals_that_newcombe_published() -> None:
    assert [round(x, 4) for x in wilson(81, 263) or ()] == [0.2553, 0.3662]
    assert [round(x, 4) for x in wilson(15, 148) or ()] == [0.0624, 0.1605]
    assert [round(x, 4) for x in difference((56, 70), (48, 80)) or ()] == [0.2, 0.0524, 0.3339]
    assert wilson(0, 0) is None


def test_the_ratio_of_two_rates() -> None:
    found = rate_ratio((20, 1000), (10, 1000))
    assert found is not None
    assert found[0] == pytest.approx(2)
    assert found[1] * found[2] == pytest.approx(4)
    assert rate_ratio((0, 10), (1, 10)) is None
