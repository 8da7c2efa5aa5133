"""Times and numbers as searches write them: a prefix and the range that the written precision covers.

R4 search, prefixes: `2026-03` means all of March; `100` means [99.5, 100.5). Intervals by fhir's own rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from healthbrain.errors import Incorrect
from healthbrain.fhir import date_interval, number_interval

PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?")
_LONGEST_NUMBER = 40
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """A searched time: prefix and the half-open range it covers."""

    prefix: str
    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    """A searched number: prefix, value and the range of its precision."""

    prefix: str
    value: float
    low: float
    high: float


def split_prefix(text: str) -> tuple[str, str]:
    """('ge', '2026') from 'ge2026'; no prefix is eq."""
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


def moment(text: str, where: str) -> Moment:
    """Read a searched date. Incorrect when it is none."""
    prefix, written = split_prefix(text)
    written = written.replace(" ", "+")  # the + of an offset, sent without escape, arrives as a blank
    if _DATE.fullmatch(written) is None:
        raise Incorrect(
            f"{where}: a date is written YYYY, YYYY-MM, YYYY-MM-DD or with a time, after an optional prefix such as ge"
        )
    try:
        low, high = date_interval(written)
    except (ValueError, OverflowError):
        raise Incorrect(f"{where}: there is no such date") from None
    return Moment(prefix, low or EARLIEST, high or LATEST)


def amount(text: str, where: str) -> Amount:
    """Read a searched number. Incorrect when it is none."""
    prefix, written = split_prefix(text)
    if len(written) > _LONGEST_NUMBER or not _NUMBER.fullmatch(written) or not isfinite(float(written)):
        raise Incorrect(f"{where}: a number is written like 5, 5.4 or 1e3, after an optional prefix such as gt")
    interval = number_interval(written)
    return Amount(prefix, float(written), interval.low, interval.high)
