"""Work that follows the data takes a tenth of the time while they come, and is done at once when they stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from healthbrain.runtime.pace import Pace

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_the_first_time_it_is_done_at_once():
    assert Pace().due("a", AT)


def test_while_data_come_it_rests_nine_times_as_long_as_it_took():
    pace = Pace()
    pace.done(AT, after(10))
    assert [pace.due(f"change {n}", after(n)) for n in (20, 60, 99, 100)] == [False, False, False, True]


def test_work_of_a_moment_still_rests_half_a_minute():
    pace = Pace()
    pace.done(AT, after(1))
    assert [pace.due(f"change {n}", after(n)) for n in (10, 30, 31)] == [False, False, True]


def test_when_nothing_more_comes_it_is_done_at_the_next_look():
    pace = Pace()
    pace.done(AT, after(100))
    assert not pace.due("last", after(110))
    assert pace.due("last", after(120))
