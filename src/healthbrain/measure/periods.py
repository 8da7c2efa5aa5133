"""Periods of a trend: months, ISO weeks, quarters, years and rolling years in local time, the last one cut off at today."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from healthbrain.lake.local_time import shift
from healthbrain.measure.definition import Definition, Period

_MONTHS = {"month": 1, "quarter": 3, "year": 12, "rolling": 1}


@dataclass(frozen=True, slots=True)
class Span:
    """One period of a trend. `to` is its last day, or today while it lasts; `start` is where the window begins."""

    label: str  # 2026-11, 2026-W47, 2026-Q4, 2026, 2026-11-R12
    start: date  # first day of the window: of the period itself, or so many months back
    to: date
    complete: bool
    grain: Period = "month"


def spans(definition: Definition, today: date) -> list[Span]:
    """The periods of a measure's trend, oldest first: those in `also`, then those of its own period."""
    own = list(_backwards(definition, definition.period, today, definition.periods))[::-1]
    first = _first(definition.period, own[-1].to)
    for _ in range(definition.periods - 1):
        first = _first(definition.period, first - timedelta(days=1))
    others: list[Span] = []
    for grain in definition.also:
        found = list(_backwards(definition, grain, today, definition.periods))
        kept = [span for number, span in enumerate(found) if not number or _begins(span) >= first]
        others += kept[::-1]
    return others + own


def covered(definition: Definition, periods: Sequence[Span], data_from: date | None) -> list[Span]:
    """The periods whose whole window lies where there are data, and always the latest of each kind.

    A year's rate over three months of records would show the platform's growth as if it were the institutions'.
    """
    latest = {span.grain: span for span in periods}
    windowed = bool(definition.window_months)
    return [
        span
        for span in periods
        if data_from is None
        or span.start >= data_from
        or span is latest[span.grain]
        or not (windowed or span.grain == "rolling")
    ]


def grain_of(label: str) -> Period:
    """Which kind of period a label names."""
    if "W" in label:
        return "week"
    if "Q" in label:
        return "quarter"
    if label.endswith("-R12"):
        return "rolling"
    return "year" if len(label) == 4 else "month"


def year_before(label: str) -> str:
    """The label of the same period a year earlier."""
    return f"{int(label[:4]) - 1}{label[4:]}"


def _backwards(definition: Definition, grain: Period, today: date, count: int) -> Iterator[Span]:
    first = _first(grain, today)
    for _ in range(count):
        end = _next(grain, first) - timedelta(days=1)
        to = min(end, today)
        start = first
        if months := definition.window_months or (12 if grain == "rolling" else 0):
            start = shift(to, -months, "month") + timedelta(days=1)
        yield Span(label(grain, first), start, to, to == end, grain)
        first = _first(grain, first - timedelta(days=1))


def _begins(span: Span) -> date:
    """The first day of the period itself (of the twelve months of a rolling year)."""
    return span.start if span.grain == "rolling" else _first(span.grain, span.to)


def _first(period: Period, day: date) -> date:
    if period == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[period]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _next(period: Period, first: date) -> date:
    following: date = first + timedelta(days=7) if period == "week" else shift(first, _MONTHS[period], "month")
    return following


def label(period: Period, first: date) -> str:
    """What a period that begins on `first` is called."""
    year, week, _ = first.isocalendar()
    return {
        "week": f"{year}-W{week:02d}",
        "month": f"{first:%Y-%m}",
        "rolling": f"{first:%Y-%m}-R12",
        "quarter": f"{first.year}-Q{(first.month + 2) // 3}",
        "year": f"{first.year}",
    }[period]
