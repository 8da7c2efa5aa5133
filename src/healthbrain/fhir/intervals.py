"""The interval that a date or a number covers by its precision (R4 search, "date" and "number").

Stored values and search values must become intervals by the same rule, so `store` uses these functions for what
users type. Dates without a time zone are read in UTC unless a zone is given. Intervals are half open.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from math import isfinite
from typing import NamedTuple


class DateInterval(NamedTuple):
    """[low, high) in UTC; None = beyond what a calendar can hold."""

    low: datetime | None
    high: datetime | None


class NumberInterval(NamedTuple):
    """[low, high) around a number."""

    low: float
    high: float


_new = tuple.__new__
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_TO_THE_SECOND = (20, 25)  # 2026-01-05T08:30:00 with Z or +08:00
_STEPS = tuple(timedelta(microseconds=10 ** (6 - min(digits, 6))) for digits in range(20))
_HALVES = tuple(0.5 * 10.0**-digits for digits in range(300))
_DAY = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_FRACTION = re.compile(r"\.(\d+)")


def date_interval(text: str, zone: tzinfo = UTC) -> DateInterval:
    """The interval of a date, dateTime or instant; also of a time given to the minute, as searches may.

    Raises ValueError when the text is none of these.
    """
    size = len(text)
    if size > 10:
        if text[4:11:3] != "--T":
            raise ValueError("not a FHIR dateTime")
        if (
            size in _TO_THE_SECOND and text[19] != "." and text[17] != "6" and "0001" < text[:4] < "9999"
        ):  # nearly all moments: no frills
            low = datetime.fromisoformat(text).astimezone(UTC)
            return _new(DateInterval, (low, low + _SECOND))
        return _moment(text, zone)
    if _DAY.fullmatch(text) is None:
        raise ValueError("not a FHIR date")
    year = int(text[:4])
    if size == 4:
        return _span(datetime(year, 1, 1, tzinfo=zone), year + 1, 1)
    month = int(text[5:7])
    if size == 7:
        return _span(datetime(year, month, 1, tzinfo=zone), year + month // 12, month % 12 + 1)
    start = datetime(year, month, int(text[8:10]), tzinfo=zone)
    return _from(start, timedelta(days=1))


def _span(start: datetime, year: int, month: int) -> DateInterval:
    end = datetime(year, month, 1, tzinfo=start.tzinfo) if year <= 9999 else None
    return DateInterval(_utc(start), end and _utc(end))


def _moment(text: str, zone: tzinfo) -> DateInterval:
    if text[17:19] == "60":  # a leap second lies at the start of the next minute
        interval = _moment(f"{text[:17]}59{text[19:]}", zone)
        return DateInterval(
            interval.low and _later(interval.low, _SECOND), interval.high and _later(interval.high, _SECOND)
        )
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if text[19:20] == ".":
        match = _FRACTION.match(text, 19)
        return _from(moment, _STEPS[min(len(match[1]), 19)] if match else _SECOND)
    return _from(moment, _SECOND if text[16:17] == ":" else _MINUTE)


def _from(start: datetime, step: timedelta) -> DateInterval:
    low = _utc(start)
    return _new(DateInterval, (low, _later(low or start, step)))


def _later(moment: datetime, step: timedelta) -> datetime | None:
    try:
        return moment + step
    except OverflowError:
        return None


def _utc(moment: datetime) -> datetime | None:
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


def number_interval(value: float | int | str) -> NumberInterval:
    """The interval of a number: half a unit of its last written digit to either side; 72.5 gives [72.45, 72.55).

    With an exponent the unit is one digit finer than written, so that 1e2 gives [95, 105) as the standard's example
    has it (docs/spec-readings.md#precision-of-1e2).
    """
    if type(value) is int:
        return NumberInterval(value - 0.5, value + 0.5)
    text = value if type(value) is str else repr(value)
    number = float(value)
    point = text.find(".")
    digits = len(text) - point - 1 if point >= 0 else 0
    if "e" in text or "E" in text:
        mantissa, _, exponent = text.lower().partition("e")
        digits = (len(mantissa) - point - 1 if point >= 0 else 0) + 1 - int(exponent)
    if not isfinite(number):
        return NumberInterval(number, number)
    if 0 <= digits < 300:
        half = _HALVES[digits]
        return _new(NumberInterval, (round(number - half, digits + 1), round(number + half, digits + 1)))
    half = 0.5 * 10.0**-digits if -300 < digits < 0 else 0.0
    return NumberInterval(number - half, number + half)
