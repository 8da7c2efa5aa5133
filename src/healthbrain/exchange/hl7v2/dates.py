"""HL7 dates and times (DT, TS, DTM) as FHIR dates: no more precise than what came, impossible and future ones refused.

A time without a zone means the sender's (China has one). A fact may lie at most an hour after the moment of arrival: clocks
differ, but a birth or a result of tomorrow is an error of the source (HUB-EX-20, 准确性).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from healthbrain.exchange.hl7v2.message import Value
from healthbrain.exchange.hl7v2.tables import field_ref
from healthbrain.exchange.hl7v2.work import Call

_SHAPE = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)"
    r"(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?P<fraction>\.\d{1,6})?)?)?)?)?)?"
    r"(?P<zone>[+-]\d{4})?"
)
# Chinese systems also write 2026-01-31 08:30:00 and 2026/01/31
_WRITTEN = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?)?")
_SKEW = timedelta(hours=1)
_EARLIEST = 1850


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or time as precise as it was sent."""

    year: int
    month: int = 0
    day: int = 0
    hour: int = -1
    minute: int = 0
    second: int = 0
    fraction: str = ""
    zone: str = ""  # +08:00

    @property
    def date(self) -> str:
        """YYYY, YYYY-MM or YYYY-MM-DD."""
        if not self.month:
            return f"{self.year:04}"
        if not self.day:
            return f"{self.year:04}-{self.month:02}"
        return f"{self.year:04}-{self.month:02}-{self.day:02}"

    @property
    def dated(self) -> str:
        """As a FHIR dateTime: with a time only if one was sent."""
        if self.hour < 0:
            return self.date
        return f"{self.date}T{self.hour:02}:{self.minute:02}:{self.second:02}{self.fraction}{self.zone}"

    @property
    def starts(self) -> datetime:
        """Its first instant, in UTC."""
        sign = -1 if self.zone.startswith("-") else 1
        offset = timedelta(hours=int(self.zone[1:3] or 0), minutes=int(self.zone[4:6] or 0)) * sign
        micro = int(self.fraction[1:].ljust(6, "0")) if self.fraction else 0
        second = min(self.second, 59)
        local = datetime(
            self.year, self.month or 1, self.day or 1, max(self.hour, 0), self.minute, second, micro, timezone(offset)
        )
        return local.astimezone(UTC)


def moment(text: str, zone: str) -> Moment:
    """The moment written in `text`; ValueError saying what is wrong (never the value)."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return _written(text, zone)
    parts = match.groupdict()
    number = {name: int(parts[name]) if parts[name] else None for name in ("month", "day", "hour", "minute", "second")}
    own = parts["zone"]
    if own and (int(own[1:3]) > 14 or int(own[3:]) > 59):
        raise ValueError("has an impossible zone")
    hour = number["hour"]
    return _checked(
        Moment(
            int(parts["year"]),
            number["month"] or (0 if number["month"] is None else -1),
            number["day"] or (0 if number["day"] is None else -1),
            -1 if hour is None else hour,
            number["minute"] or 0,
            number["second"] or 0,
            parts["fraction"] or "",
            f"{own[:3]}:{own[3:]}" if own else zone,
        )
    )


def _written(text: str, zone: str) -> Moment:
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError("is not a date or time; expected YYYYMMDD or YYYYMMDDHHMMSS")
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    hour = int(match[4]) if match[4] else -1
    return _checked(Moment(year, month or -1, day or -1, hour, int(match[5] or 0), int(match[6] or 0), "", zone))


def _checked(found: Moment) -> Moment:
    if found.year < _EARLIEST:
        raise ValueError(f"lies before {_EARLIEST}")
    try:
        date(found.year, found.month or 1, found.day or 1)
    except ValueError:
        raise ValueError("is not a date of the calendar") from None
    if found.hour > 23 or found.minute > 59 or found.second > 59:
        raise ValueError("is not a time of the day")
    return found


def read_moment(call: Call, value: Value) -> Moment | None:
    """The moment in `value`, with an error noted when it is impossible or not allowed to lie in the future."""
    text = value.first(1)
    if not text or not text.strip("0"):
        return None  # 00000000 is how old systems write "none"
    work = call.work
    try:
        found = moment(text, work.sender.zone)
    except ValueError as wrong:
        work.issue("error", "value", value.place, f"{wrong}; correct it at the source and send again")
        return None
    ahead = found.year >= work.at.year and found.starts > work.at + _SKEW
    if ahead and "past" in call.argument and not _allowed(call, value):
        work.issue("error", "business-rule", value.place, "lies in the future; correct it at the source and send again")
        return None
    return found


def _allowed(call: Call, value: Value) -> bool:
    """Whether this field may lie in the future in this kind of message."""
    future = call.work.structure.future
    return bool(future) and re.sub(r"\[\d+\]", "", value.place) in future


def as_date(call: Call) -> Any:
    """A FHIR date."""
    found = read_moment(call, call.values[0]) if call.values else None
    return found.date if found else None


def as_datetime(call: Call) -> Any:
    """A FHIR dateTime; with `after=PV1-44` it must not lie before that field."""
    found = read_moment(call, call.values[0]) if call.values else None
    if found is None:
        return None
    for word in call.argument.split():
        if word.startswith("after="):
            earlier = call.field(field_ref(word.removeprefix("after=")))
            begun = _quietly(earlier, call.work.sender.zone)
            if begun and begun.hour >= 0 and found.hour >= 0 and found.starts < begun.starts:
                call.work.issue(
                    "error", "business-rule", call.values[0].place, f"lies before {word.removeprefix('after=')}"
                )
    return found.dated


def as_instant(call: Call) -> Any:
    """A FHIR instant: only from a value with a time."""
    found = read_moment(call, call.values[0]) if call.values else None
    return found.dated if found and found.hour >= 0 else None


def _quietly(values: list[Value], zone: str) -> Moment | None:
    try:
        return moment(values[0].first(1), zone) if values else None
    except ValueError:
        return None  # noted where that field is translated itself


FUNCTIONS = {"date": as_date, "datetime": as_datetime, "instant": as_instant}
