"""Functions of dates and precision: now(), boundaries, parts, durations. Rule source: FHIRPath N1 and 3.0."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from healthbrain.fhir.fhirpath import boundaries, intervals
from healthbrain.fhir.fhirpath.dates import DateTime, Temporal, Time
from healthbrain.fhir.fhirpath.frame import Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.singletons import integer, text, value
from healthbrain.fhir.fhirpath.values import Collection, Item

TABLE = Table()
_DECIMAL_DIGITS = 28  # more digits than System.Decimal has give empty
_UNITS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")


def _now(frame: Frame, name: str) -> DateTime:
    if frame.run.at is None:
        raise Unanswerable(f"{name}() needs the time of the evaluation; pass at=")
    return DateTime.of(frame.run.at)


@TABLE.plain("now")
def _now_function(items: Collection, frame: Frame) -> Collection:
    return [_now(frame, "now")]


@TABLE.plain("today")
def _today(items: Collection, frame: Frame) -> Collection:
    return [_now(frame, "today").date()]


@TABLE.plain("timeOfDay")
def _time_of_day(items: Collection, frame: Frame) -> Collection:
    return [_now(frame, "timeOfDay").time()]


@TABLE.plain("lowBoundary", 0, 1)
def _low_boundary(items: Collection, frame: Frame, precision: Collection | None = None) -> Collection:
    return _boundary(items, precision, "lowBoundary()", highest=False)


@TABLE.plain("highBoundary", 0, 1)
def _high_boundary(items: Collection, frame: Frame, precision: Collection | None = None) -> Collection:
    return _boundary(items, precision, "highBoundary()", highest=True)


def _boundary(items: Collection, precision: Collection | None, name: str, *, highest: bool) -> Collection:
    found = value(items, name)
    digits = None if precision is None else integer(precision, f"the precision of {name}")
    if found is None or (precision is not None and digits is None):
        return []
    result: Item | None
    if isinstance(found, Temporal):
        result = (boundaries.high_boundary if highest else boundaries.low_boundary)(found, digits)
    elif isinstance(found, Quantity):
        number = decimal_boundary(found.value, digits, highest=highest)
        result = None if number is None else replace(found, value=number)
    elif isinstance(found, (int, Decimal)) and not isinstance(found, bool):
        result = decimal_boundary(Decimal(found), digits, highest=highest)
    else:
        raise Unanswerable(f"{name} takes a number, quantity, date, date-time or time")
    return [] if result is None else [result]


def decimal_boundary(number: Decimal, digits: int | None, *, highest: bool) -> Decimal | None:
    """The least or greatest number that rounds to `number`, to so many decimals, rounded outwards."""
    digits = 8 if digits is None else digits
    if not 0 <= digits <= _DECIMAL_DIGITS:
        return None
    half = Decimal(5).scaleb(_exponent(number) - 1)
    edge = number + half if highest else number - half
    return edge.quantize(Decimal(1).scaleb(-digits), ROUND_CEILING if highest else ROUND_FLOOR)


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return min(0, exponent) if isinstance(exponent, int) else 0


@TABLE.plain("precision")
def _precision(items: Collection, frame: Frame) -> Collection:
    found = value(items, "precision()")
    if found is None:
        return []
    if isinstance(found, Temporal):
        return [boundaries.precision(found)]
    if isinstance(found, Quantity):
        found = found.value
    if isinstance(found, (int, Decimal)) and not isinstance(found, bool):
        return [-_exponent(Decimal(found))]
    raise Unanswerable("precision() takes a number, date, date-time or time")


def _part(name: str, place: int) -> None:
    """Declare a function for one part, counted from the year."""

    @TABLE.plain(name)
    def _call(items: Collection, frame: Frame) -> Collection:
        found = value(items, f"{name}()")
        if isinstance(found, Time):
            at = place - 3
        elif isinstance(found, DateTime):
            at = place
        else:
            return []
        return [int(found.parts[at])] if 0 <= at < len(found.parts) else []


for _place, _name in enumerate(("yearOf", "monthOf", "dayOf", "hourOf", "minuteOf", "secondOf")):
    _part(_name, _place)


@TABLE.plain("millisecondOf")
def _millisecond_of(items: Collection, frame: Frame) -> Collection:
    found = value(items, "millisecondOf()")
    last = found.parts[-1] if isinstance(found, Temporal) else None
    if not isinstance(last, Decimal) or _exponent(last) == 0:
        return []
    return [int(last % 1 * 1000)]


@TABLE.plain("timezoneOffsetOf")
def _timezone_offset_of(items: Collection, frame: Frame) -> Collection:
    found = value(items, "timezoneOffsetOf()")
    if not isinstance(found, DateTime) or found.offset is None:
        return []
    return [Decimal(found.offset) / 60]


@TABLE.plain("dateOf")
def _date_of(items: Collection, frame: Frame) -> Collection:
    found = value(items, "dateOf()")
    return [found.date()] if isinstance(found, DateTime) else []


@TABLE.plain("timeOf")
def _time_of(items: Collection, frame: Frame) -> Collection:
    found = value(items, "timeOf()")
    time = found.time() if isinstance(found, DateTime) else None
    return [] if time is None else [time]


@TABLE.plain("duration", 2)
def _duration(items: Collection, frame: Frame, other: Collection, precision: Collection) -> Collection:
    """Whole periods between two values."""
    return _between(items, other, precision, "duration")


@TABLE.plain("difference", 2)
def _difference(items: Collection, frame: Frame, other: Collection, precision: Collection) -> Collection:
    """Boundaries of periods between two values."""
    return _between(items, other, precision, "difference")


def _between(
    items: Collection, other: Collection, precision: Collection, what: Literal["duration", "difference"]
) -> Collection:
    start, end, unit = value(items, f"{what}()"), value(other, f"{what}()"), text(precision, f"{what}()")
    if start is None or end is None or unit is None:
        return []
    singular = unit.removesuffix("s")
    if singular not in _UNITS or not isinstance(start, Temporal) or not isinstance(end, Temporal):
        raise Unanswerable(f"{what}() takes two dates or times and a unit such as 'month'")
    if isinstance(start, Time) != isinstance(end, Time):
        raise Unanswerable(f"{what}() takes two values of one type")
    found = (
        intervals.whole_periods(start, end, singular)
        if what == "duration"
        else intervals.boundaries(start, end, singular)
    )
    return [] if found is None else [found]
