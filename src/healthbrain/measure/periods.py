"""Periods of a trend: months and ISO weeks in local time, the last one cut off at today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from healthbrain.lake.rows import shift
from healthbrain.measure.definition import Definition, Period


@dataclass(frozen=True, slots=True)
class Span:
    """One period of a trend. `to` is its last day, or today while it lasts; `start` is where the window begins."""

    label: str  # 2026-11, 2026-W47
    start: date  # first day of the window: of the period itself, or so many months back
    to: date
    complete: bool


def spans(definition: Definition, today: date) -> list[Span]:
    """The periods of a measure's trend, oldest first."""
    found: list[Span] = []
    first = _first(definition.period, today)
    for _ in range(definition.periods):
        end = _next(definition.period, first) - timedelta(days=1)
        to = min(end, today)
        start = first
        if definition.window_months:
            start = shift(to, -definition.window_months, "month") + timedelta(days=1)
        found.append(Span(_label(definition.period, first), start, to, complete=to == end))
        first = _first(definition.period, first - timedelta(days=1))
    return found[::-1]


def covered(definition: Definition, periods: Sequence[Span], data_from: date | None) -> list[Span]:
    """The periods whose whole window lies where there are data, and always the latest.

    A year's rate over three months of records would show the platform's growth as if it were the institutions'.
    """
    if not definition.window_months or data_from is None:
        return list(periods)
    return [span for span in periods if span.start >= data_from or span is periods[-1]]


def _first(period: Period, day: date) -> date:
    return day.replace(day=1) if period == "month" else day - timedelta(days=day.weekday())


def _next(period: Period, first: date) -> date:
    following: date = shift(first, 1, "month") if period == "month" else first + timedelta(days=7)
    return following


def _label(period: Period, first: date) -> str:
    year, week, _ = first.isocalendar()
    return f"{first:%Y-%m}" if period == "month" else f"{year}-W{week:02d}"
