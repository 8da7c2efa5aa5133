"""FHIRPath Date, DateTime and Time: partial values that know how precise they are.

Rule source: FHIRPath N1, Date/Time equality, comparison and arithmetic. A comparison that the precision cannot
decide is None. A value without a UTC offset compared with one that has an offset is decided only when no offset
on earth (-12:00 to +14:00) could change the answer; see docs/spec-readings.md#fhirpath-offset.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Literal, Self

from healthbrain.fhir.fhirpath.problems import Unanswerable

Order = Literal[-1, 0, 1]

_DATE = r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
_CLOCK = r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?"
_OFFSET = r"(Z|[+-]\d\d:\d\d)?"
_DATE_ONLY = re.compile(_DATE)
_DATE_TIME = re.compile(rf"{_DATE}(?:T(?:{_CLOCK}{_OFFSET})?)?")
_TIME_ONLY = re.compile(rf"T?{_CLOCK}")

EARLIEST, LATEST = 14 * 60, -12 * 60  # the offsets in which a local time comes first and last, in minutes
LOWEST = (1, 1, 1, 0, 0)

# how many of the next finer unit make one, when a partial value forces a conversion (FHIRPath, unit conversions)
_CHAIN = ("year", "month", "day", "hour", "minute", "second")
_PER = {("year", "month"): 12, ("year", "day"): 365, ("month", "day"): 30}
_DAY_PARTS = {"day": 1, "hour": 24, "minute": 1440, "second": 86400}


@dataclass(frozen=True, slots=True)
class Temporal:
    """A point in time known to some precision: `parts` from the coarsest to the finest that is known.

    Seconds are a Decimal that keeps its digits. `offset` is minutes east of UTC, None when not known.
    """

    parts: tuple[int | Decimal, ...]
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class DateTime(Temporal):
    """A date with a time of day, of any precision from the year on."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`2015-02-04T14:34:28Z`, `2015-02`, `2015T` ...; None when it is not a date and time."""
        found = _DATE_TIME.fullmatch(text)
        return None if found is None else cls._checked(found.groups())

    @classmethod
    def of(cls, at: datetime) -> Self:
        """The moment `at` to the millisecond."""
        offset = at.utcoffset()
        second = Decimal(at.second) + Decimal(at.microsecond // 1000) / 1000
        parts = (at.year, at.month, at.day, at.hour, at.minute, second.quantize(Decimal("0.001")))
        return cls(parts, None if offset is None else int(offset.total_seconds()) // 60)

    @classmethod
    def _checked(cls, groups: tuple[str | None, ...]) -> Self | None:
        parts: list[int | Decimal] = [int(g) for g in groups[:5] if g is not None]
        if len(groups) > 5 and groups[5] is not None:
            parts.append(Decimal(groups[5]))
        zone = groups[6] if len(groups) > 6 else None
        offset = None if zone is None else _minutes(zone)
        if not _valid_date(parts) or not _valid_clock(parts[3:]) or (offset is not None and abs(offset) > EARLIEST):
            return None
        return cls(tuple(parts), offset)

    def __str__(self) -> str:
        text = _date_text(self.parts[:3])
        if len(self.parts) > 3:
            text += "T" + _clock_text(self.parts[3:]) + _offset_text(self.offset)
        return text

    @property
    def literal(self) -> str:
        """As written in an expression."""
        return f"@{self}" + ("" if len(self.parts) > 3 else "T")

    def utc(self) -> tuple[int | Decimal, ...]:
        """The parts as they are in UTC; as they are when the offset is unknown or does not matter."""
        if not self.offset or len(self.parts) < 4:
            return self.parts
        second = Decimal(self.parts[5]) if len(self.parts) > 5 else Decimal(0)
        # the calendar repeats after 400 years, which keeps Python's clear of its first and last day
        away = 400 if self.parts[0] < 5000 else -400
        moment = _moment((self.parts[0] + away, *self.parts[1:])) - timedelta(minutes=self.offset)
        parts = (moment.year - away, moment.month, moment.day, moment.hour, moment.minute, second)
        return parts[: len(self.parts)]

    def date(self) -> Date:
        """Its date, as written."""
        return Date(self.parts[:3])

    def time(self) -> Time | None:
        """Its time of day, as written; None when it has none."""
        return Time(self.parts[3:]) if len(self.parts) > 3 else None


@dataclass(frozen=True, slots=True)
class Date(DateTime):
    """A date of any precision from the year on. It is a DateTime without a time wherever one is asked for."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`2015-02-04`, `2015-02`, `2015`; None when it is not a date."""
        found = _DATE_ONLY.fullmatch(text)
        return None if found is None else cls._checked(found.groups())

    @property
    def literal(self) -> str:
        """As written in an expression."""
        return f"@{self}"


@dataclass(frozen=True, slots=True)
class Time(Temporal):
    """A time of day, of any precision from the hour on."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`14:30:14.559`, `14:30`, `T14`; None when it is not a time."""
        found = _TIME_ONLY.fullmatch(text)
        if found is None:
            return None
        groups = found.groups()
        parts: list[int | Decimal] = [int(g) for g in groups[:2] if g is not None]
        if groups[2] is not None:
            parts.append(Decimal(groups[2]))
        return cls(tuple(parts)) if _valid_clock(parts) else None

    def __str__(self) -> str:
        return _clock_text(self.parts)

    @property
    def literal(self) -> str:
        """As written in an expression."""
        return f"@T{self}"


def compare(left: Temporal, right: Temporal) -> Order | None:
    """Which comes first (-1 left, 1 right, 0 the same); None when precision or offsets leave it open."""
    if isinstance(left, DateTime) and isinstance(right, DateTime) and len(left.parts) > 3 and len(right.parts) > 3:
        if (left.offset is None) != (right.offset is None):
            return _across_unknown_offset(left, right)
        return _in_order(left.utc(), right.utc())
    return _in_order(left.parts, right.parts)


def same_precision(left: Temporal, right: Temporal) -> bool:
    """Whether both are known to the same part; fractions of a second do not count."""
    return len(left.parts) == len(right.parts)


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    """`value` moved by `amount` of a calendar unit (singular) such as `month`.

    Fractions count only for seconds and milliseconds. Raises Unanswerable for a unit the type does not have.
    """
    if unit == "millisecond":
        amount, unit = amount / 1000, "second"
    elif unit == "week":
        amount, unit = Decimal(int(amount)) * 7, "day"
    if unit != "second":
        amount = amount.to_integral_value(ROUND_DOWN)
    if isinstance(value, Time):
        return _add_to_time(value, amount, unit)
    if not isinstance(value, DateTime) or (isinstance(value, Date) and unit not in ("year", "month", "day")):
        raise Unanswerable(f"a date has no {unit}; add years, months, weeks or days")
    finest = _CHAIN[len(value.parts) - 1]
    if _CHAIN.index(unit) > len(value.parts) - 1:
        amount, unit = _converted(amount, unit, finest), finest
    if unit in ("year", "month"):
        return _add_months(value, int(amount) * (12 if unit == "year" else 1))
    return _add_days(value, amount, unit)


def exponent(number: Decimal) -> int:
    """The power of ten of the last digit."""
    found = number.as_tuple().exponent
    return found if isinstance(found, int) else 0


def _minutes(zone: str) -> int:
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _valid_date(parts: list[int | Decimal]) -> bool:
    if parts[0] < 1 or (len(parts) > 1 and not 1 <= parts[1] <= 12):
        return False
    return len(parts) < 3 or 1 <= parts[2] <= calendar.monthrange(int(parts[0]), int(parts[1]))[1]


def _valid_clock(parts: list[int | Decimal]) -> bool:
    return all(part < limit for part, limit in zip(parts, (24, 60, 61), strict=False))


def _date_text(parts: tuple[int | Decimal, ...]) -> str:
    return "-".join(f"{int(part):0{4 if place == 0 else 2}}" for place, part in enumerate(parts))


def _clock_text(parts: tuple[int | Decimal, ...]) -> str:
    texts = [f"{part:02}" if isinstance(part, int) else _second_text(part) for part in parts]
    return ":".join(texts)


def _second_text(second: Decimal) -> str:
    text = f"{second:f}"
    return text if second >= 10 else "0" + text


def _offset_text(offset: int | None) -> str:
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    return f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"


def _moment(parts: tuple[int | Decimal, ...]) -> datetime:
    """The minute in which the value lies, missing parts lowest."""
    year, month, day, hour, minute = (int(part) for part in (*parts[:5], *LOWEST[len(parts[:5]) :]))
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def _in_order(left: tuple[int | Decimal, ...], right: tuple[int | Decimal, ...]) -> Order | None:
    for one, other in zip(left, right, strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(left) == len(right) else None


def _across_unknown_offset(left: DateTime, right: DateTime) -> Order | None:
    if left.offset is not None:
        turned = _across_unknown_offset(right, left)
        return None if turned is None else (1 if turned < 0 else -1)
    first = _in_order(replace(left, offset=LATEST).utc(), right.utc())
    last = _in_order(replace(left, offset=EARLIEST).utc(), right.utc())
    return first if first is not None and first == last else None


def _converted(amount: Decimal, unit: str, finest: str) -> Decimal:
    """`amount` in the unit of a partial value, without its fraction."""
    if (finest, unit) in _PER:
        factor = Decimal(_PER[finest, unit])
    elif finest in _DAY_PARTS:
        factor = Decimal(_DAY_PARTS[unit]) / _DAY_PARTS[finest]
    else:
        factor = Decimal(_PER[finest, "day"]) * _DAY_PARTS[unit]
    return (amount / factor).to_integral_value(ROUND_DOWN)


def _add_to_time(value: Time, amount: Decimal, unit: str) -> Time:
    if unit not in ("hour", "minute", "second"):
        raise Unanswerable(f"a time has no {unit}; add hours, minutes, seconds or milliseconds")
    finest = ("hour", "minute", "second")[len(value.parts) - 1]
    if _CHAIN.index(unit) > _CHAIN.index(finest):
        amount, unit = _converted(amount, unit, finest), finest
    seconds = amount * (86400 // _DAY_PARTS[unit])
    for part, size in zip(value.parts, (3600, 60, 1), strict=False):
        seconds += part * size
    seconds %= 86400
    if seconds < 0:
        seconds += 86400
    whole = int(seconds)
    second = _in_milliseconds(seconds - whole + whole % 60)
    return Time((whole // 3600, whole // 60 % 60, second)[: len(value.parts)])


def _in_milliseconds(second: Decimal) -> Decimal:
    """Seconds with a fraction get the three digits of milliseconds."""
    return second.quantize(Decimal("0.001")) if -3 < exponent(second) < 0 else second


def _add_months(value: DateTime, months: int) -> DateTime:
    month = int(value.parts[1]) - 1 if len(value.parts) > 1 else 0
    year, month = divmod(int(value.parts[0]) * 12 + month + months, 12)
    if not 1 <= year <= 9999:
        raise Unanswerable("the resulting year is not between 0001 and 9999")
    parts: tuple[int | Decimal, ...] = (year, month + 1, *value.parts[2:])[: len(value.parts)]
    if len(parts) > 2:
        parts = (*parts[:2], min(parts[2], calendar.monthrange(year, month + 1)[1]), *parts[3:])
    return replace(value, parts=parts)


def _add_days(value: DateTime, amount: Decimal, unit: str) -> DateTime:
    second = Decimal(value.parts[5]) if len(value.parts) > 5 else Decimal(0)
    if unit == "second":
        second += amount
        minutes = int((second / 60).to_integral_value("ROUND_FLOOR"))
        second = _in_milliseconds(second - minutes * 60)
    else:
        minutes = int(amount) * (1440 // _DAY_PARTS[unit])
    try:
        moment = _moment(value.parts) + timedelta(minutes=minutes)
    except OverflowError:
        raise Unanswerable("the resulting year is not between 0001 and 9999") from None
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, second)
    return replace(value, parts=parts[: len(value.parts)])
