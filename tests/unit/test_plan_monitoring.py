"""Forecasts of short series, traffic lights of plan indicators, and the table of supervision's moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.measure.compute import Coverage
from healthbrain.measure.load import built_in
from healthbrain.measure.monitoring import Forecast, NoForecast, Start, forecast, judge, standing
from healthbrain.measure.plans import Target, plan, plans
from healthbrain.measure.queries import Figure
from healthbrain.measure.supervision import states

AT = datetime(2025, 7, 1, 2, tzinfo=UTC)
TODAY = date(2025, 7, 1)
MORE = Target(2025, {"zh": "≥85"}, ">=", 85.0)
LESS = Target(2025, {"zh": "≤5"}, "<=", 5.0)


def figure(period: str, value: float | None, *, version: str = "1.0", to: date | None = None) -> Figure:
    last = to or date(int(period[:4]), int(period[5:7]) if "-" in period else 12, 28)
    return Figure(
        "IND-Q-08", version, period, "district", "", last, last, True, 1, 2, value, None, None, False,
        Coverage(1, 1), AT, AT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "actual", "more", "light", "why"),
    [
        (MORE, 85.0, {}, "met", "met"),
        (MORE, 84.996, {}, "met", "met"),
        (LESS, 5.4, {"down": True}, "off_track", "far"),
        (LESS, 4.0, {"down": True}, "met", "met"),
        (MORE, None, {}, "no_data", "nothing"),
        (MORE, 90.0, {"stale": True}, "no_data", "stale"),
        (None, 90.0, {}, "not_measurable", "undefined"),
        (Target(2025, {"zh": "逐步提高"}, "rise"), 40.0, {}, "not_measurable", "no_number"),
        (Target(2025, {"zh": "逐步提高"}, "rise"), 40.0, {"before": 39.0}, "met", "met"),
        (Target(2025, {"zh": "逐步提高"}, "rise"), 40.0, {"before": 41.0}, "off_track", "far"),
        (MORE, 84.0, {}, "at_risk", "near"),
        (MORE, 60.0, {}, "off_track", "far"),
        (Target(2024, {"zh": "≥85"}, ">=", 85.0), 84.9, {}, "off_track", "over"),
        (MORE, 80.0, {"start": Start(65.0, date(2024, 12, 31), True)}, "on_track", "on_way"),
        (MORE, 73.0, {"start": Start(65.0, date(2024, 12, 31), True)}, "at_risk", "behind"),
        (MORE, 66.0, {"start": Start(65.0, date(2024, 12, 31), True)}, "off_track", "far_behind"),
        (MORE, 80.0, {"ahead": Forecast(6, 86.0, 84.0, 88.0, 9, 0.5)}, "on_track", "forecast_meets"),
        (MORE, 80.0, {"ahead": Forecast(6, 84.0, 82.0, 86.0, 9, 0.5)}, "at_risk", "forecast_may"),
        (MORE, 80.0, {"ahead": Forecast(6, 81.0, 80.0, 82.0, 9, 0.5)}, "off_track", "forecast_misses"),
        (LESS, 6.0, {"down": True, "ahead": Forecast(6, 5.5, 4.9, 6.1, 9, 0.5)}, "at_risk", "forecast_may"),
        (MORE, 80.0, {"ahead": NoForecast("few", 3), "start": Start(65.0, date(2024, 12, 31), True)}, "on_track", "on_way"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_light_follows_the_rule_that_is_told(
    target: Target | None, actual: float | None, more: dict[str, object], light: str, why: str
) -> None:
    found = judge(target, actual, TODAY, **more)  # type: ignore[arg-type]  # named arguments of the table above
    assert (found.light, found.why) == (light, why)


def test_progress_is_the_share_of_the_way_from_the_start_to_the_target() -> None:
    found = judge(MORE, 75.0, TODAY, start=Start(65.0, date(2024, 12, 31), printed=True))
    assert found.progress == pytest.approx(0.5)
    assert found.expected == pytest.approx(65 + 20 * 182 / 365)
    assert judge(MORE, 75.0, TODAY, start=Start(85.0, date(2024, 12, 31), printed=True)).progress is None


def test_no_forecast_is_made_from_few_points_or_far_ahead() -> None:
    assert forecast([1.0, 2.0, 3.0, 4.0], 1) == NoForecast("few", 4)
    assert forecast([1.0, 2.0, 3.0, 4.0, 5.0], 9) == NoForecast("far", 5)
    assert forecast([1.0, 2.0, 3.0, 4.0, 5.0], 0) == NoForecast("past", 5)


@given(st.lists(st.floats(0, 100), min_size=5, max_size=30), st.integers(1, 8))
def test_an_interval_holds_its_middle_grows_with_time_and_stays_within_what_is_possible(
    values: list[float], steps: int
) -> None:
    near, far = (forecast(values, one, lowest=0.0, highest=100.0) for one in (1, steps))
    assert isinstance(near, Forecast)
    assert isinstance(far, Forecast)
    assert 0 <= far.low <= far.value <= far.high <= 100
    free_near, free_far = forecast(values, 1), forecast(values, steps)
    assert isinstance(free_near, Forecast)
    assert isinstance(free_far, Forecast)
    assert free_far.high - free_far.low >= free_near.high - free_near.low - 1e-9


def test_eight_of_ten_intervals_hold_what_comes() -> None:
    from random import Random

    rng, inside, trials = Random(7), 0, 2000
    for _ in range(trials):
        walk = [50.0]
        for _ in range(15):
            walk.append(walk[-1] + rng.gauss(0.3, 1.0))
        found = forecast(walk[:12], 4)
        assert isinstance(found, Forecast)
        inside += found.low <= walk[15] <= found.high
    assert 0.76 <= inside / trials <= 0.84


def test_a_changed_definition_begins_a_new_series_for_forecast_and_change() -> None:
    indicator = plan("qingpu").indicator("IND-Q-08")
    definition = next(one for one in built_in() if one.id == "IND-Q-08")
    assert indicator is not None
    figures = [figure(f"2024-{m:02d}", 60.0 + m, version="1.0") for m in range(1, 13)]
    figures += [figure(f"2025-{m:02d}", 80.0 + m / 2, version="2.0") for m in range(1, 7)]
    found = standing(indicator, definition, figures, AT)
    assert found.breaks == (("2025-01", "1.0", "2.0"),)
    assert found.before is None  # a year ago another definition held
    assert isinstance(found.ahead, Forecast)
    assert found.ahead.points == 6
    assert found.ahead.value == pytest.approx(86.0)
    assert found.light == "on_track"
    without = standing(indicator, definition, [replace(one, version="2.0") for one in figures], AT)
    assert without.before == pytest.approx(66.0)
    assert without.better is True


def test_every_indicator_of_every_plan_has_a_light_before_anything_is_measured() -> None:
    known = {one.id: one for one in built_in()}
    for one in plans():
        for indicator in one.indicators:
            found = standing(indicator, known.get(indicator.measure), [], AT)
            assert found.light in {"no_data", "not_measurable"}, indicator.id


def test_a_value_of_long_ago_is_no_value_of_today() -> None:
    indicator = plan("qingpu").indicator("IND-Q-08")
    definition = next(one for one in built_in() if one.id == "IND-Q-08")
    assert indicator is not None
    found = standing(indicator, definition, [figure("2023-05", 91.0)], AT)
    assert (found.light, found.judgement.why) == ("no_data", "stale")


def test_every_state_of_a_task_can_be_left_but_the_last_and_nobody_judges_his_own_answer() -> None:
    for state in states.STATES:
        steps = [one for side in ("commission", "unit") for one in states.moves(state, side)]  # type: ignore[arg-type]  # literals
        assert bool(steps) == (state != "withdrawn"), state
    units = {one.action for one in states.MOVES if one.side == "unit"}
    assert units == {"accept", "answer", "comment"}
    assert all(one.text for one in states.MOVES if one.action in {"answer", "return", "close", "reopen", "extend"})


@pytest.mark.parametrize(("days", "level"), [(0, 0), (1, 1), (6, 1), (7, 2), (90, 2)])
def test_what_is_late_is_escalated_by_days(days: int, level: int) -> None:
    assert states.level_after(days) == level
