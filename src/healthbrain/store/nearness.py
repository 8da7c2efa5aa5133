"""Search by distance: `Location?near=latitude|longitude|distance|unit`.

Rule source: FHIR R4, Location, "near". Distances are along a great circle of a sphere with the earth's mean radius,
which is right to half a percent. The band of latitudes that can be near enough is found by an index.
"""

from __future__ import annotations

from decimal import Decimal
from math import cos, degrees, isfinite, radians

from healthbrain.errors import Incorrect
from healthbrain.fhir.fhirpath import ucum
from healthbrain.store.clause import Clause
from healthbrain.store.moments import amount
from healthbrain.store.pieces import Condition, all_of, any_of, side
from healthbrain.store.question import split, unescape

USUAL = 50.0  # kilometres, when no distance is given
_RADIUS = 6371.0088
_FARTHEST = 20_100.0  # half around the earth and a little

# n.high is the latitude, n.low the longitude (rows.py)
_DISTANCE = (
    f"{2 * _RADIUS} * asin(least(1, sqrt(power(sin(radians(n.high - %s) / 2), 2)"
    " + cos(radians(%s)) * cos(radians(n.high)) * power(sin(radians(n.low - %s) / 2), 2))))"
)


def near(clause: Clause) -> Condition:
    """The places within a distance of a point."""
    clause.only("special")
    return any_of([_around(clause, value) for value in clause.values])


def _around(clause: Clause, value: str) -> Condition:
    parts = [unescape(part) for part in split(value, "|")]
    if not 2 <= len(parts) <= 4:
        raise Incorrect(
            f"{clause.written} is written latitude|longitude|distance|unit; distance and unit may be left out"
        )
    latitude, longitude = _degrees(clause, parts[0], 90), _degrees(clause, parts[1], 180)
    distance = _kilometres(clause, parts[2] if len(parts) > 2 else "", parts[3] if len(parts) > 3 else "")
    band = degrees(distance / _RADIUS)
    box = Condition("n.code = 0 and n.high between %s and %s", (latitude - band, latitude + band))
    width = _width(latitude, band)
    if width is not None and abs(longitude) + width < 180:
        box = all_of([box, Condition("n.low between %s and %s", (longitude - width, longitude + width))])
    circle = Condition(f"{_DISTANCE} <= %s", (latitude, latitude, longitude, distance))
    return side("number", clause.number, all_of([box, circle]), clause.alias)


def _width(latitude: float, band: float) -> float | None:
    """How many degrees the circle reaches to the east and west; None when it comes near a pole."""
    farthest = abs(latitude) + band
    return band / cos(radians(farthest)) if farthest < 89 else None


def _degrees(clause: Clause, text: str, most: int) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not isfinite(found) or abs(found) > most:
        raise Incorrect(f"{clause.written}: latitude and longitude are degrees such as 31.15 and 121.12")
    return round(found, 9)


def _kilometres(clause: Clause, text: str, unit: str) -> float:
    if not text:
        return USUAL
    asked = amount(text, clause.written)
    found = ucum.convert(Decimal(repr(asked.value)), unit or "km", "km")
    if asked.prefix != "eq" or asked.value < 0 or found is None:
        raise Incorrect(
            f"{clause.written}: the distance is a number of km, or of another UCUM unit of length such as m"
        )
    return min(float(found), _FARTHEST)
