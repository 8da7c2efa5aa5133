"""What a measure says of one period, place and stratum."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from healthbrain.measure.definition import Level


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the institutions that should send have sent in the last days; no result is better than that."""

    sending: int
    registered: int


@dataclass(frozen=True, slots=True)
class Result:
    """A measure's value for one period, place and stratum."""

    period: str
    start: date  # first and last day counted
    to: date
    complete: bool  # False while the period lasts
    level: Level
    key: str  # '' at district level; town code; organisation key
    numerator: float | None  # whole for counts; None for medians
    denominator: float | None  # None for counts and sums
    value: float | None  # in the measure's unit; None when nobody is in the denominator
    low: float | None  # 95 % interval
    high: float | None
    small: bool  # so few members that the value says little
    stratifier: str = ""  # '' = all members
    stratum: str = ""


def plain(number: float | None) -> float | None:
    """A whole number as int, so that it is shown as one."""
    return int(number) if number is not None and float(number).is_integer() else number
