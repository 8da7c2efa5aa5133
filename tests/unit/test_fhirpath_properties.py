"""Laws that hold for all values: logic, sets, dates against Python, trees written back, and no way to crash."""

from __future__ import annotations

import calendar
import contextlib
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.fhir.fhirpath import Date, DateTime, Quantity, Unanswerable, Unreadable, compile, evaluate
from healthbrain.fhir.fhirpath.boundaries import high_boundary, low_boundary
from healthbrain.fhir.fhirpath.dates import Time, add, compare
from healthbrain.fhir.fhirpath.functions.patterns import compiled
from healthbrain.fhir.fhirpath.parser import parse
from healthbrain.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Node,
    Ordered,
    Sign,
    Special,
    TypeTest,
    Variable,
    text_of,
)
from healthbrain.fhir.fhirpath.values import Long

TRUTHS = st.sampled_from(("true", "false", "{}"))


def answer(text: str) -> list[Any]:
    return evaluate(text, None)


# three-valued logic


@given(TRUTHS, TRUTHS, TRUTHS)
def test_and_and_or_are_commutative_associative_and_distribute(a: str, b: str, c: str) -> None:
    for op, other in (("and", "or"), ("or", "and")):
        assert answer(f"{a} {op} {b}") == answer(f"{b} {op} {a}")
        assert answer(f"({a} {op} {b}) {op} {c}") == answer(f"{a} {op} ({b} {op} {c})")
        assert answer(f"{a} {op} ({b} {other} {c})") == answer(f"({a} {op} {b}) {other} ({a} {op} {c})")


@given(TRUTHS, TRUTHS)
def test_de_morgan_implication_and_exclusion(a: str, b: str) -> None:
    assert answer(f"({a} and {b}).not()") == answer(f"{a}.not() or {b}.not()")
    assert answer(f"({a} or {b}).not()") == answer(f"{a}.not() and {b}.not()")
    assert answer(f"{a} implies {b}") == answer(f"{a}.not() or {b}")
    assert answer(f"{a} xor {b}") == answer(f"({a} or {b}) and ({a} and {b}).not()")
    assert answer(f"{a}.not().not()") == answer(a)


# collections


@given(st.lists(st.integers(-5, 5)), st.lists(st.integers(-5, 5)))
def test_collections_behave_like_sets_and_lists(one: list[int], other: list[int]) -> None:
    env = {"a": one, "b": other}

    def of(text: str) -> list[Any]:
        return evaluate(text, None, env=env)

    assert of("%a.distinct()") == list(dict.fromkeys(one))
    assert of("%a | %b") == list(dict.fromkeys(one + other))
    assert of("%a.combine(%b)") == one + other
    assert sorted(of("%a.intersect(%b)")) == sorted(set(one) & set(other))
    assert of("%a.exclude(%b)") == [item for item in one if item not in other]
    assert of("%a.subsetOf(%b)") == [set(one) <= set(other)]
    assert of("%a.supersetOf(%b)") == [set(one) >= set(other)]
    assert of("%a.isDistinct()") == [len(set(one)) == len(one)]
    assert of("%a.sort()") == sorted(one)
    assert of("%a.sort($this desc)") == sorted(one, reverse=True)
    assert of("%a.sum()") == ([sum(one)] if one else [])
    assert of("%a.aggregate($this + $total, 0)") == [sum(one)]
    assert of("%a ~ %b") == [sorted(one) == sorted(other)]
    assert of("%a.where($this > 0).select($this * 2)") == [item * 2 for item in one if item > 0]


@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40).filter(bool))
def test_whole_division_and_remainder_fit_together(one: int, other: int) -> None:
    env = {"a": Long(one), "b": Long(other)}
    (quotient,), (rest,) = evaluate("%a div %b", None, env=env), evaluate("%a mod %b", None, env=env)
    assert quotient * other + rest == one
    assert abs(rest) < abs(other)
    assert rest == 0 or (rest < 0) == (one < 0)


@given(st.decimals(-(10**9), 10**9, places=3), st.integers(0, 8))
def test_boundaries_hold_the_number_between_them(number: Decimal, digits: int) -> None:
    low, high = (
        evaluate(f"%n.{name}({digits})", None, env={"n": number})[0] for name in ("lowBoundary", "highBoundary")
    )
    assert low <= number <= high
    if digits > 3:
        assert high - low == Decimal("0.001")


# dates

days = st.dates(date(1, 1, 2), date(9998, 12, 30))
moments = st.datetimes(
    datetime(2, 1, 1),
    datetime(9998, 12, 30),
    timezones=st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


@given(days, st.integers(-100_000, 100_000))
def test_days_are_added_as_python_adds_them(day: date, number: int) -> None:
    try:
        expected = day + timedelta(days=number)
    except OverflowError:
        return
    assert str(add(Date((day.year, day.month, day.day)), Decimal(number), "day")) == expected.isoformat()


@given(days, st.integers(-1200, 1200))
def test_months_end_on_the_last_day_when_the_day_does_not_exist(day: date, number: int) -> None:
    year, month = divmod(day.year * 12 + day.month - 1 + number, 12)
    if not 1 <= year <= 9999:
        return
    last = calendar.monthrange(year, month + 1)[1]
    moved = add(Date((day.year, day.month, day.day)), Decimal(number), "month")
    assert moved == Date((year, month + 1, min(day.day, last)))


@given(moments, st.integers(-(10**9), 10**9))
def test_seconds_are_added_as_python_adds_them(moment: datetime, number: int) -> None:
    try:
        expected = moment + timedelta(seconds=number)
    except OverflowError:
        return
    moved = add(DateTime.of(moment), Decimal(number), "second")
    assert moved == DateTime.of(expected)


@given(moments, moments)
def test_moments_are_ordered_as_python_orders_them(one: datetime, other: datetime) -> None:
    assert compare(DateTime.of(one), DateTime.of(other)) == (one > other) - (one < other)
    assert compare(DateTime.of(one), DateTime.of(one.astimezone(UTC))) == 0


@given(st.times(), st.integers(-500, 500))
def test_times_go_round_the_clock(clock: Any, hours: int) -> None:
    moved = add(Time((clock.hour, clock.minute)), Decimal(hours), "hour")
    assert moved.parts == ((clock.hour + hours) % 24, clock.minute)


partial = st.one_of(
    days.map(lambda day: f"{day.year:04}"),
    days.map(lambda day: f"{day.year:04}-{day.month:02}"),
    days.map(date.isoformat),
    moments.map(lambda moment: str(DateTime.of(moment))),
)


@given(partial)
def test_a_written_value_reads_the_same_and_lies_between_its_boundaries(text: str) -> None:
    value = DateTime.parse(text)
    assert value is not None
    assert str(value) == text
    assert parse(f"{value.literal}") == Literal(value)
    low, high = low_boundary(value, None), high_boundary(value, None)
    assert low is not None
    assert high is not None
    assert compare(low, high) in (-1, 0)


@given(partial, partial)
def test_order_is_antisymmetric(one: str, other: str) -> None:
    left, right = DateTime.parse(one), DateTime.parse(other)
    assert left is not None
    assert right is not None
    forth, back = compare(left, right), compare(right, left)
    assert (forth is None) == (back is None)
    assert forth is None or back is None or forth == -back


# quantities

units = st.sampled_from(
    ["mg", "g", "kg", "mmol/L", "umol/L", "mm[Hg]", "kPa", "d", "h", "week", "days", "month", "years", "a", "1"]
)
quantities = st.builds(Quantity, st.decimals(0, 1000, places=2), units)


@given(quantities, quantities)
def test_quantities_compare_one_way(one: Quantity, other: Quantity) -> None:
    env = {"a": one, "b": other}
    less, more = evaluate("%a < %b", None, env=env), evaluate("%b > %a", None, env=env)
    assert less == more
    same = evaluate("%a = %b", None, env=env)
    assert same == evaluate("%b = %a", None, env=env)
    if less == [True]:
        assert same == [False]
    assert evaluate("%a ~ %b", None, env=env) == evaluate("%b ~ %a", None, env=env)
    assert evaluate("%a = %a and %a ~ %a", None, env=env) == [True]


# trees

names = st.sampled_from(
    ["name", "given", "Patient", "div", "is", "as", "contains", "in", "day", "us-zip", "a`b\\c", "中文", "true"]
)
literals = st.one_of(
    st.booleans(),
    st.text(max_size=8).filter(lambda text: text.isprintable() or True),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**62).map(Long),
    st.decimals(0, 10**9, places=2),
    days.map(lambda day: Date((day.year, day.month))),
    moments.map(DateTime.of),
    st.just(Time((10, 30))),
    quantities,
).map(Literal)
leaves = st.one_of(
    literals,
    st.just(Empty()),
    st.builds(Variable, names),
    st.sampled_from([Special("$this"), Special("$index"), Special("$total")]),
    st.builds(Member, st.none(), names),
)


def _grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(
        [
            "*",
            "/",
            "div",
            "mod",
            "+",
            "-",
            "&",
            "|",
            "<",
            "<=",
            ">",
            ">=",
            "=",
            "~",
            "!=",
            "!~",
            "in",
            "contains",
            "and",
            "or",
            "xor",
            "implies",
        ]
    )
    return st.one_of(
        st.builds(Member, inner, names),
        st.builds(Call, st.one_of(st.none(), inner), names, st.lists(inner, max_size=3).map(tuple)),
        st.builds(
            Call, inner, st.just("sort"), st.lists(st.builds(Ordered, inner, st.booleans()), max_size=2).map(tuple)
        ),
        st.builds(Index, inner, inner),
        st.builds(Sign, st.sampled_from(["+", "-"]), inner),
        st.builds(Binary, operators, inner, inner),
        st.builds(TypeTest, st.sampled_from(["is", "as"]), inner, st.sampled_from([("Patient",), ("FHIR", "Patient")])),
    )


trees = st.recursive(leaves, _grown, max_leaves=12)


@given(trees)
def test_a_tree_written_out_reads_as_the_same_tree(tree: Node) -> None:
    assert parse(text_of(tree)) == tree


@given(trees)
def test_evaluation_answers_or_refuses_in_order(tree: Node) -> None:
    patient = {"resourceType": "Patient", "name": [{"given": ["伟", None], "text": "张伟"}], "birthDate": "1961-03"}
    with contextlib.suppress(Unanswerable, Unreadable):
        compile(text_of(tree))(patient, at=datetime(2026, 1, 1, tzinfo=UTC))


@given(st.text(alphabet="abP.()[]{}'`%$@0123456789TZ:+-*/|&<>=~!, \n\\ueis", max_size=60))
def test_any_text_is_an_expression_or_is_refused_with_its_place(text: str) -> None:
    problem = _problem(text)
    assert problem is None or (problem.line >= 1 and problem.column >= 1)


def _problem(text: str) -> Unreadable | Unanswerable | None:
    try:
        compile(text)
    except (Unreadable, Unanswerable) as found:
        return found
    return None


# regular expressions


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a*)*b", "(.*a){20}", "(a|aa)+$", "(x+x+)+y", "(a?){50}" + "a" * 50, "([a-z]+.?)+!"]
)
def test_a_pattern_that_could_run_without_end_is_refused(pattern: str) -> None:
    with pytest.raises(Unanswerable, match="could run without end"):
        compiled(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[1-9]\d{5}(18|19|20)\d{2}(0[1-9]|1[0-2])\d{2}\d{3}[0-9X]$",
        r"[A-Za-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*(\[x])?)*",
        r"^\s*[\w.+-]+@[\w-]+(\.[\w-]+)+\s*$",
        r".*糖尿病.*",
        r"(?<year>\d{4})-(?<month>\d\d)",
        r"([a-z]+,)*[a-z]+",
        r"^[^\s]+(\s[^\s]+)*$",
    ],
)
def test_patterns_in_use_are_accepted_and_stay_fast_on_the_longest_text(pattern: str) -> None:
    found = compiled(pattern)
    worst = [
        "a" * min(found.longest, 200_000),
        "1" * min(found.longest, 200_000),
        "a." * min(found.longest // 2, 100_000),
    ]
    begun = time.process_time()
    for subject in worst:
        found.found_in(subject)
    assert time.process_time() - begun < 8


def test_a_text_too_long_for_the_pattern_is_refused() -> None:
    found = compiled(".*a.*b.*c")
    with pytest.raises(Unanswerable, match="too long for this pattern"):
        found.found_in("x" * (found.longest + 1))


def test_long_collections_stay_linear() -> None:
    codes = [f"code-{number}" for number in range(100_000)]
    begun = time.process_time()
    assert evaluate("(%a | %a).count()", None, env={"a": codes}) == [100_000]
    assert evaluate("%a.intersect(%a).isDistinct()", None, env={"a": codes}) == [True]
    assert time.process_time() - begun < 8
