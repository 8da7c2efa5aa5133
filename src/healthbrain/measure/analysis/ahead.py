"""A forecast for every series of a question over time: the same method, limits and interval as plan monitoring uses.

The period that is not over yet is left out. A period without any row is zero for counts and a gap for means; a series
with gaps or with hidden values gets no forecast, and it is said why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from healthbrain.measure.analysis.pivot import Pivot
from healthbrain.measure.analysis.protect import Key
from healthbrain.measure.analysis.question import Grain, series_dimension
from healthbrain.measure.monitoring.forecast import Forecast, NoForecast, forecast

MOST_SERIES = 6


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is expected of one series; `why` when nothing can be said: few, far, hidden, gaps."""

    column: Key | None
    periods: tuple[str, ...]
    values: tuple[Forecast, ...] = ()
    why: str = ""
    points: int = 0


def look_ahead(table: Pivot, today: date) -> list[Ahead]:
    """Forecasts of the first measure, of each column or of the whole; none when the question is no time series."""
    time, steps = series_dimension(table.asked), table.asked.ahead
    if time is None or not steps:
        return []
    known = sorted(row[0] for row in table.rows if row[0])
    finished = [one for one in known if one < label_of(today, time.grain)]
    columns: Sequence[Key | None] = table.columns[:MOST_SERIES] or (None,)
    if not finished:
        return [Ahead(column, (), why="few") for column in columns]
    periods = between(finished[0], finished[-1], time.grain)
    coming = tuple(following(periods[-1], time.grain, steps))
    return [_of(table, column, periods, coming) for column in columns]


def _of(table: Pivot, column: Key | None, periods: Sequence[str], coming: tuple[str, ...]) -> Ahead:
    values: list[float] = []
    for period in periods:
        cell = table.cell((period,), column)
        if cell.hidden:
            return Ahead(column, coming, why="hidden", points=len(values))
        if cell.values[0] is None:
            return Ahead(column, coming, why="gaps", points=len(values))
        values.append(cell.values[0])
    what = table.asked.measures[0].what
    highest = 100.0 if what.startswith("share") else float("inf")
    lowest = 0.0 if what in {"count", "persons"} or what.startswith("share") else float("-inf")
    found: list[Forecast] = []
    for step in range(1, len(coming) + 1):
        one = forecast(values, step, lowest=lowest, highest=highest)
        if isinstance(one, NoForecast):
            return Ahead(column, coming, tuple(found), one.why, one.points)
        found.append(one)
    return Ahead(column, coming, tuple(found), points=len(values))


def label_of(day: date, grain: Grain) -> str:
    """The period of a day, as in the table."""
    match grain:
        case "day":
            return day.isoformat()
        case "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02d}"
        case "quarter":
            return f"{day.year}-Q{(day.month + 2) // 3}"
        case "year":
            return str(day.year)
    return f"{day.year}-{day.month:02d}"


def first_day(label: str, grain: Grain) -> date:
    """The first day of a period."""
    match grain:
        case "day":
            return date.fromisoformat(label)
        case "week":
            return date.fromisocalendar(int(label[:4]), int(label[6:]), 1)
        case "quarter":
            return date(int(label[:4]), int(label[6:]) * 3 - 2, 1)
        case "year":
            return date(int(label), 1, 1)
    return date(int(label[:4]), int(label[5:7]), 1)


def following(label: str, grain: Grain, count: int) -> list[str]:
    """The next periods."""
    found, day = [], first_day(label, grain)
    for _ in range(count):
        day = first_day(label_of(day + timedelta(days=_LONGEST[grain]), grain), grain)
        found.append(label_of(day, grain))
    return found


_LONGEST: dict[Grain, int] = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366, "": 31}


def between(first: str, last: str, grain: Grain) -> list[str]:
    """All periods from one to another."""
    found = [first]
    while found[-1] < last:
        found += following(found[-1], grain, 1)
    return found
