"""Conversions to and from System types: toX(), convertsToX(). Rule source: FHIRPath N1 and 3.0, Conversion."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from healthbrain.fhir.fhirpath import quantity, ucum
from healthbrain.fhir.fhirpath.dates import Date, DateTime, Temporal, Time
from healthbrain.fhir.fhirpath.frame import Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.nodes import system
from healthbrain.fhir.fhirpath.quantity import CALENDAR, Quantity
from healthbrain.fhir.fhirpath.singletons import single, text
from healthbrain.fhir.fhirpath.values import Collection, Item, Long

TABLE = Table()
_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")
_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0"))


def to_boolean(value: Item) -> bool | None:
    """true, 1, 'yes' ... as a Boolean."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, Decimal)):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        folded = value.lower()
        return True if folded in _TRUE else False if folded in _FALSE else None
    return None


def to_integer(value: Item) -> int | None:
    """A whole number of 32 bits."""
    found = _whole(value)
    return int(found) if found is not None and -(2**31) <= found < 2**31 else None


def to_long(value: Item) -> Long | None:
    """A whole number of 64 bits."""
    found = _whole(value)
    return Long(found) if found is not None and -(2**63) <= found < 2**63 else None


def _whole(value: Item) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and len(value) <= 40 and _INTEGER.fullmatch(value):
        return int(value)
    return None


def to_decimal(value: Item) -> Decimal | None:
    """A decimal number."""
    if isinstance(value, bool):
        return Decimal("1.0") if value else Decimal("0.0")
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= 80 and _DECIMAL.fullmatch(value):
        return Decimal(value)
    return None


def to_quantity(value: Item) -> Quantity | None:
    """A quantity; plain numbers have the unit 1."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, str):
        return Quantity.parse(value) if len(value) <= 300 else None
    number = to_decimal(value)
    return None if number is None else Quantity(number, "1")


def to_string(value: Item) -> str | None:
    """The value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (str, int, Temporal, Quantity)):
        return str(value)
    return None


def to_date(value: Item) -> Date | None:
    """A date; of a date-time its date as written."""
    if isinstance(value, Date):
        return value
    if isinstance(value, DateTime):
        return value.date()
    return Date.parse(value) if isinstance(value, str) else None


def to_date_time(value: Item) -> DateTime | None:
    """A date-time; a date becomes one without a time."""
    if isinstance(value, DateTime):
        return DateTime(value.parts, value.offset)
    return DateTime.parse(value) if isinstance(value, str) else None


def to_time(value: Item) -> Time | None:
    """A time of day."""
    if isinstance(value, Time):
        return value
    return Time.parse(value) if isinstance(value, str) else None


def _declare(type_name: str, convert: Callable[[Item], Item | None]) -> None:
    @TABLE.plain(f"to{type_name}")
    def _to(items: Collection, frame: Frame) -> Collection:
        found = _converted(items, type_name, convert)
        return [] if found is None else [found]

    @TABLE.plain(f"convertsTo{type_name}")
    def _converts(items: Collection, frame: Frame) -> Collection:
        return [_converted(items, type_name, convert) is not None] if items else []


def _converted(items: Collection, type_name: str, convert: Callable[[Item], Item | None]) -> Item | None:
    item = single(items, f"the conversion to {type_name}")
    value = None if item is None else system(item)
    return None if value is None else convert(value)


for _name, _convert in {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Long": to_long,
    "Decimal": to_decimal,
    "String": to_string,
    "Date": to_date,
    "DateTime": to_date_time,
    "Time": to_time,
}.items():
    _declare(_name, _convert)


@TABLE.plain("toQuantity", 0, 1)
def _to_quantity(items: Collection, frame: Frame, unit: Collection | None = None) -> Collection:
    found = _converted(items, "Quantity", to_quantity)
    if found is None or unit is None:
        return [] if found is None else [found]
    wanted = text(unit, "the unit of toQuantity()")
    if wanted is None:
        return []
    if found.unit == "1" and (wanted in CALENDAR or ucum.valid(wanted)):
        return [Quantity(found.value, wanted)]
    turned = quantity.converted(found, wanted)
    return [] if turned is None else [turned]


@TABLE.plain("convertsToQuantity", 0, 1)
def _converts_to_quantity(items: Collection, frame: Frame, unit: Collection | None = None) -> Collection:
    return [bool(_to_quantity(items, frame, unit))] if items else []
