"""Dates and times in the typed form: order, boundaries, moving by calendar units.

FHIR's dates are text of any precision, and stay text. Rule source: FHIRPath N1, Date/Time comparison and arithmetic; 3.0,
lowBoundary and highBoundary. Two values are compared as far as both are known; what stays open is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthbrain.fhir.fhirpath.dates import DateTime, Temporal, Time
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.syntax import Node
from healthbrain.lake.sof.ir import Const, Let, Sql, Value, op

if TYPE_CHECKING:
    from healthbrain.lake.sof.paths import Resolver

_UNITS = {"year": "month", "years": "month", "month": "month", "months": "month",
          "week": "day", "weeks": "day", "day": "day", "days": "day"}  # fmt: skip
_TIMES = {"year": 12, "years": 12, "week": 7, "weeks": 7}


def order(resolver: Resolver, left: Value, right: Value, node: Node) -> Sql:
    """-1, 0 or 1 as the left comes before, with or after the right; null when that stays open."""
    for side in (left, right):
        if _to_minute(side):
            raise resolver.unsupported("a comparison with a time known to the hour or minute only", node)
    one, other = resolver.fresh(), resolver.fresh()
    kind = "time" if left.kind == "time" else "moment"
    lengths = [_length(side) for side in (left, right)]
    if kind == "moment" and any(length is not None and length <= 10 for length in lengths):
        kind = "day"
    return Let(one.name, left.sql, Let(other.name, right.sql, op(f"order_{kind}", one, other)))


def _length(value: Value) -> int | None:
    if isinstance(value.known, Temporal):
        return len(str(value.known))
    return 10 if value.type in ("date", "System.Date") else None


def _to_minute(value: Value) -> bool:
    known = value.known
    if isinstance(known, Time):
        return len(known.parts) < 3
    return isinstance(known, DateTime) and 3 < len(known.parts) < 6


def boundary(resolver: Resolver, value: Value, name: str, node: Node) -> Value:
    """lowBoundary() or highBoundary() of a date or time, to its highest precision."""
    high = "high" if name == "highBoundary" else "low"
    types = {"date": "System.Date", "datetime": "System.DateTime", "time": "System.Time"}
    if value.type == "System.DateTime" and isinstance(value.known, Temporal) and _to_minute(value):
        raise resolver.unsupported(f"{name}() of a time known to the hour or minute only", node)
    item = resolver.fresh()
    found = op("when", op("is_not_null", item), op(f"{high}_{value.kind}", item))
    return Value(Let(item.name, value.sql, found), types[value.kind])


def moved(resolver: Resolver, value: Value, by: Value, operator: str, node: Node) -> Value:
    """A date moved by a calendar length (90 days); its precision stays."""
    length = by.known
    unit = length.unit if isinstance(length, Quantity) else ""
    if unit not in _UNITS or value.kind == "time" or not isinstance(length, Quantity):
        raise resolver.unsupported("moving a date or time by such a unit", node)
    if value.kind == "datetime":
        raise resolver.unsupported("moving a date-time", node)
    number = int(length.value) * _TIMES.get(unit, 1) * (-1 if operator == "-" else 1)
    item = resolver.fresh()
    name = f"date_plus_{_UNITS[unit]}s"
    return Value(Let(item.name, value.sql, op(name, item, Const(number))), "System.Date")
