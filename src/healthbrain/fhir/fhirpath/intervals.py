"""How far two dates or times are apart, in whole periods or in boundaries crossed.

Rule source: FHIRPath 3.0, Date and Time Interval Functions. Weeks begin on Sunday. None when a value is not known to
the unit asked for. Offsets count for hours and finer units, as the rule says.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from healthbrain.fhir.fhirpath.dates import DateTime, Temporal, Time
from healthbrain.fhir.fhirpath.problems import Unanswerable

_PLACE = {"year": 1, "month": 2, "week": 3, "day": 3, "hour": 4, "minute": 5, "second": 6, "millisecond": 6}
_MILLISECONDS = {"week": 604_800_000, "day": 86_400_000, "hour": 3_600_000, "minute": 60_000, "second": 1000}
_SUNDAY = datetime(1, 1, 7, tzinfo=UTC)
_CYCLE = timedelta(days=146_097)  # 400 years
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


def whole_periods(start: Temporal, end: Temporal, unit: str) -> int | None:
    """Full periods from `start` to `end`; negative when `end` comes first."""
    parts = _aligned(start, end, unit)
    if parts is None:
        return None
    one, other = parts
    if unit in ("year", "month"):
        return _whole_months(one, other) if unit == "month" else _truncated(_whole_months(one, other), 12)
    distance = _milliseconds(other) - _milliseconds(one)
    return _truncated(distance, _MILLISECONDS.get(unit, 1))


def boundaries(start: Temporal, end: Temporal, unit: str) -> int | None:
    """Beginnings of periods between `start` and `end`; negative when `end` comes first."""
    parts = _aligned(start, end, unit)
    if parts is None:
        return None
    one, other = parts
    if unit == "year":
        return int(other[0]) - int(one[0])
    if unit == "month":
        return (int(other[0]) - int(one[0])) * 12 + int(other[1]) - int(one[1])
    shift = (_SUNDAY - _FIRST) // timedelta(milliseconds=1) if unit == "week" else 0
    size = _MILLISECONDS.get(unit, 1)
    return (_milliseconds(other) - shift) // size - (_milliseconds(one) - shift) // size


Parts = tuple[int | Decimal, ...]


def _aligned(start: Temporal, end: Temporal, unit: str) -> tuple[Parts, Parts] | None:
    """Both values as parts from the year on; None when one is not known to the unit."""
    if isinstance(start, Time) or isinstance(end, Time):
        if _PLACE[unit] < 4:
            raise Unanswerable(f"times of day have no {unit}")
        one, other = (1, 1, 1, *start.parts), (1, 1, 1, *end.parts)
    elif isinstance(start, DateTime) and isinstance(end, DateTime) and _PLACE[unit] > 3:
        one, other = start.utc(), end.utc()
    else:
        one, other = start.parts, end.parts
    return (one, other) if len(one) >= _PLACE[unit] <= len(other) else None


def _whole_months(one: Parts, other: Parts) -> int:
    months = (int(other[0]) - int(one[0])) * 12 + int(other[1] if len(other) > 1 else 1)
    months -= int(one[1]) if len(one) > 1 else 1
    rest, target = one[2:], other[2:]
    if months > 0 and target < rest:
        return months - 1
    return months + 1 if months < 0 and target > rest else months


def _milliseconds(parts: Parts) -> int:
    filled = (*parts[:5], *(1, 1, 1, 0, 0)[len(parts[:5]) :])
    year, month, day, hour, minute = (int(part) for part in filled)
    away = 400 if year < 5000 else -400  # a value moved to UTC may lie in year 0 or 10000
    moment = datetime(year + away, month, day, hour, minute, tzinfo=UTC)
    second = Decimal(parts[5]) if len(parts) > 5 else Decimal(0)
    return (moment - _FIRST - away // 400 * _CYCLE) // timedelta(milliseconds=1) + int(second * 1000)


def _truncated(number: int, divisor: int) -> int:
    return number // divisor if number >= 0 else -(-number // divisor)
