"""Results and vital signs as series over all institutions: one per kind and unit, with flags, range and trend.

The same test under the same LOINC code in the same unit is one series, whoever measured it; a test without a LOINC
code is a series of its sender's code. A flag is the sender's; where the sender gave none, it follows from the range on
the report, else from the platform's reference ranges. A trend compares the latest value with the median of the up to three
before it and needs a change of 10 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Any, cast

from healthbrain.portrait.facts import LOCAL, OLD, Record, age, code_of, coding, codings, moment, shown
from healthbrain.portrait.values import Flag, Point, Series, Source, Trend
from healthbrain.terms import systems, tables

_FLAGS = frozenset({"N", "H", "L", "HH", "LL", "A"})
_STEADY = 0.10
_NOT_RESULTS = frozenset({"preliminary", "registered"})


@dataclass(frozen=True, slots=True)
class Person:
    """What of a person decides which values are normal."""

    sex: str
    birth: date | None


@dataclass(frozen=True, slots=True)
class _Measured:
    code: str
    system: str
    display: str
    unit: str
    vital: bool
    point: Point


def series(observations: Sequence[Record], person: Person) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    """Laboratory results and vital signs."""
    groups: dict[tuple[str, str, str], list[_Measured]] = {}
    for one in observations:
        if one.valid and one.body.get("status") not in _NOT_RESULTS:
            for measured in _measured(one, person):
                groups.setdefault((measured.system, measured.code, measured.unit), []).append(measured)
    results: list[Series] = []
    vitals: list[Series] = []
    for group in groups.values():
        (vitals if group[0].vital else results).append(_series(group, person))
    return tuple(sorted(results, key=_by_weight)), tuple(sorted(vitals, key=lambda one: one.code))


def _by_weight(one: Series) -> tuple[bool, float, str]:
    return one.latest.flag in {"", "N"}, -one.latest.at.timestamp(), one.code


def _measured(one: Record, person: Person) -> Iterator[_Measured]:
    body = one.body
    at = moment(body.get("effectiveDateTime") or body.get("effectivePeriod", {}).get("start") or body.get("issued"))
    vital = any(code_of(category) == "vital-signs" for category in body.get("category", ()))
    for part in [body, *body.get("component", ())]:
        value = _value(part)
        system, code = coding(part.get("code"), systems.LOINC)
        if value is None or system == systems.FINDING or not code:
            continue
        known = tables.analytes().get(code) if system == systems.LOINC else None
        number, text, unit = value
        flag, range_ = _judged(part, number, code if known else "", person, at)
        display = known.name if known else shown(part.get("code"), system, code)
        is_vital = vital or (known is not None and known.category == "vital-signs")
        yield _Measured(code, system, display, unit, is_vital, Point(at or OLD, number, text, flag, range_, one.source))


def _value(part: Mapping[str, Any]) -> tuple[float | None, str, str] | None:
    if quantity := part.get("valueQuantity"):
        number = quantity.get("value")
        if number is None:
            return None
        unit = quantity.get("unit") or quantity.get("code", "")
        return float(number), quantity.get("comparator", "") + str(number), unit
    if concept := part.get("valueCodeableConcept"):
        return None, shown(concept), ""
    if "valueString" in part:
        return None, part["valueString"], ""
    if "valueInteger" in part:
        return float(part["valueInteger"]), str(part["valueInteger"]), ""
    if "valueBoolean" in part:
        return None, "+" if part["valueBoolean"] else "-", ""
    return None


def _judged(
    part: Mapping[str, Any], number: float | None, code: str, person: Person, at: datetime | None
) -> tuple[Flag, str]:
    reported: Mapping[str, Any] = next(iter(part.get("referenceRange", ())), {})
    low, high = (reported.get(side, {}).get("value") for side in ("low", "high"))
    text = reported.get("text") or _range_text(low, high)
    for concept in part.get("interpretation", ()):
        for one in codings(concept):
            if one.get("code") in _FLAGS:
                return cast(Flag, one["code"]), text
    if number is None:
        return "", text
    if low is not None or high is not None:
        return _flag(number, low, high), text
    normal = _normal(code, person, at)
    return (_flag(number, normal.low, normal.high), text) if normal else ("", text)


def _flag(number: float, low: float | None, high: float | None) -> Flag:
    if low is not None and number < low:
        return "L"
    return "H" if high is not None and number > high else "N"


def _range_text(low: Any, high: Any) -> str:
    if low is None and high is None:
        return ""
    return f"{low}-{high}" if low is not None and high is not None else f"≥{low}" if high is None else f"≤{high}"


def _normal(code: str, person: Person, at: datetime | None) -> tables.Range | None:
    if not code:
        return None
    years = age(person.birth, at.astimezone(LOCAL).date()) if person.birth and at else 40
    return tables.reference(code, {"male": "M", "female": "F"}.get(person.sex, ""), years)


def _series(group: Sequence[_Measured], person: Person) -> Series:
    points = tuple(sorted((one.point for one in group), key=lambda one: (one.at, one.source.recorded, one.source.id)))
    points = _once(points)
    last = group[-1]
    normal = _normal(last.code, person, points[-1].at) if last.system == systems.LOINC else None
    return Series(
        code=last.code,
        display=last.display,
        unit=last.unit,
        low=normal.low if normal else None,
        high=normal.high if normal else None,
        points=points,
        trend=_trend(points),
    )


def _once(points: Sequence[Point]) -> tuple[Point, ...]:
    """The same value at the same moment, sent by two systems of one institution, is one measurement."""
    found: dict[tuple[datetime, str, int], Point] = {}
    for point in points:
        found[_identity(point, point.source)] = point
    return tuple(found.values())


def _identity(point: Point, source: Source) -> tuple[datetime, str, int]:
    return point.at, point.text, source.organisation


def _trend(points: Sequence[Point]) -> Trend:
    values = [one.value for one in points if one.value is not None]
    if len(values) < 2 or points[-1].value is None:
        return ""
    before = median(values[-4:-1])
    if before == 0:
        return ""
    change = (values[-1] - before) / abs(before)
    return "steady" if abs(change) < _STEADY else "up" if change > 0 else "down"
