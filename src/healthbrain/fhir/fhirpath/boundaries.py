"""The earliest and latest moment a partial date or time can mean, and its digits of precision.

Rule source: FHIRPath 3.0, lowBoundary, highBoundary and precision. A date-time without offset has its earliest moment
at +14:00 and its latest at -12:00.
"""

from __future__ import annotations

import calendar
from decimal import ROUND_DOWN, Decimal

from healthbrain.fhir.fhirpath.dates import EARLIEST, LATEST, LOWEST, Date, DateTime, Temporal, Time, exponent

WIDTHS = (4, 6, 8, 10, 12, 14)  # digits of precision of a date-time with 1, 2, ... parts; 17 with milliseconds


def low_boundary(value: Temporal, digits: int | None) -> Temporal | None:
    """The earliest moment the value can mean, to `digits` of precision (4, 6, 8, 10, 12, 14, 17; times 2, 4, 6, 9)."""
    return _boundary(value, digits, highest=False)


def high_boundary(value: Temporal, digits: int | None) -> Temporal | None:
    """The latest moment the value can mean, to `digits` of precision."""
    return _boundary(value, digits, highest=True)


def precision(value: Temporal) -> int:
    """Its digits of precision: 4 for a year, 8 for a day, 17 for a date-time with milliseconds."""
    before = 4 if isinstance(value, Time) else 0
    parts = len(value.parts) + (3 if isinstance(value, Time) else 0)
    digits = WIDTHS[parts - 1] - (8 if before else 0)
    last = value.parts[-1]
    return digits - min(0, exponent(last)) if isinstance(last, Decimal) else digits


def _boundary(value: Temporal, digits: int | None, *, highest: bool) -> Temporal | None:
    is_time = isinstance(value, Time)
    widths = (2, 4, 6, 9) if is_time else ((4, 6, 8) if isinstance(value, Date) else (*WIDTHS, 17))
    if digits is None:
        digits = widths[-1]
    if digits not in widths:
        return None
    count = min(widths.index(digits) + 1, 3 if is_time else 6)
    parts = value.parts[:count]
    while len(parts) < count:
        parts = (*parts, _extreme(parts, is_time=is_time, highest=highest))
    if digits == widths[-1] and not isinstance(value, Date):
        parts = (*parts[:-1], _to_millisecond(value, parts[-1], highest=highest))
    elif isinstance(parts[-1], Decimal):
        parts = (*parts[:-1], parts[-1].to_integral_value(ROUND_DOWN))
    if is_time:
        return Time(parts)
    if isinstance(value, Date):
        return Date(parts)
    offset = value.offset
    if offset is None and count > 3:
        offset = LATEST if highest else EARLIEST
    return DateTime(parts, offset if count > 3 else None)


def _extreme(parts: tuple[int | Decimal, ...], *, is_time: bool, highest: bool) -> int | Decimal:
    """The lowest or highest value the next part can have."""
    place = len(parts) + (3 if is_time else 0)
    if place == 5:
        return Decimal(59 if highest else 0)
    if not highest:
        return LOWEST[place]
    if place == 2:
        return calendar.monthrange(int(parts[0]), int(parts[1]))[1]
    return (9999, 12, 31, 23, 59)[place]


def _to_millisecond(value: Temporal, second: int | Decimal, *, highest: bool) -> Decimal:
    """Seconds with three digits; unknown digits become the lowest or highest they can be."""
    written = value.parts[-1]
    digits = -exponent(written) if isinstance(written, Decimal) and written == second else 0
    if digits >= 3:
        return Decimal(second).quantize(Decimal("0.001"), ROUND_DOWN)
    filled = Decimal(second) + (Decimal(1).scaleb(-digits) - Decimal("0.001") if highest else 0)
    return filled.quantize(Decimal("0.001"))
