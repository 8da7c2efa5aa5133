"""Formats of the R4 primitive types.

The regular expressions are those of the official definitions, read with ASCII classes (in XML Schema `\\s` is ASCII
white space, so an ideographic space may stand in a string). On top of them: dates must exist in the calendar,
integers fit in 32 bits, Base64 must decode, strings hold no control characters and at most 1 MiB.
"""

from __future__ import annotations

import binascii
import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import isfinite

from healthbrain.fhir.codec import Decimal
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.xhtml import fault

Check = Callable[[object], bool]

_LONGEST = 1024 * 1024
_LOW, _HIGH = -(2**31), 2**31 - 1
_TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+")
_URI = re.compile(r"[^\s\x00-\x1f]+", re.ASCII)
_OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive type: whether a JSON value is one, and what to tell a sender whose value is not."""

    name: str
    valid: Check
    rule: str


def _boolean(value: object) -> bool:
    return value is True or value is False


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> bool:
        return type(value) is int and low <= value <= high

    return check


def _number(value: object) -> bool:
    """JSON knows no infinity; a Decimal may exceed what a float holds and still be written exactly."""
    return (type(value) is float and isfinite(value)) or type(value) is int or isinstance(value, Decimal)


def _text(value: object) -> bool:
    if type(value) is not str:
        return False
    if value.isprintable():
        return 0 < len(value) <= _LONGEST
    return len(value) <= _LONGEST and _TEXT.fullmatch(value) is not None


def _uri(value: object) -> bool:
    if type(value) is not str or _URI.fullmatch(value) is None:
        return False
    if value.startswith("urn:"):
        if value.startswith("urn:oid:"):
            return _OID.fullmatch(value) is not None
        if value.startswith("urn:uuid:"):
            return _UUID.fullmatch(value) is not None
    return True


def _base64(value: object) -> bool:
    if type(value) is not str or not value.isascii():
        return False
    packed = "".join(value.split())
    try:
        binascii.a2b_base64(packed, strict_mode=True)
    except binascii.Error:
        return False
    return packed != ""


def _pattern(expression: str) -> Check:
    match = re.compile(expression, re.ASCII).fullmatch

    def check(value: object) -> bool:
        return type(value) is str and match(value) is not None

    return check


def _calendar(expression: str) -> Check:
    """A pattern whose year, month and day must exist."""
    match = re.compile(expression, re.ASCII).fullmatch

    def check(value: object) -> bool:
        if type(value) is not str or match(value) is None:
            return False
        if len(value) < 10 or value[8:10] < "29":
            return True
        return int(value[8:10]) <= monthrange(int(value[:4]), int(value[5:7]))[1]

    return check


def _xhtml(value: object) -> bool:
    return fault(value) is None


def _build() -> dict[str, Primitive]:
    regex = definitions().primitives
    date_text = "must be a date YYYY, YYYY-MM or YYYY-MM-DD that exists in the calendar"
    moment = "YYYY-MM-DDThh:mm:ss with a time zone (Z or +08:00) that exists in the calendar"
    text = "must be a string that is not empty, without control characters, at most 1 MiB"
    uri = "must be a URI: a string that is not empty, without white space; urn:oid: and urn:uuid: well-formed"
    table: list[tuple[str, Check, str]] = [
        ("boolean", _boolean, "must be true or false, without quotes"),
        ("integer", _whole(_LOW, _HIGH), "must be a whole number of 32 bits, without quotes or decimal point"),
        ("unsignedInt", _whole(0, _HIGH), "must be a whole number from 0 to 2147483647, without quotes"),
        ("positiveInt", _whole(1, _HIGH), "must be a whole number from 1 to 2147483647, without quotes"),
        ("decimal", _number, "must be a number, without quotes"),
        ("string", _text, text),
        ("markdown", _text, text),
        (
            "code",
            _pattern(regex["code"].replace(r"(\s", "( ")),
            "must be a code: no white space at the ends, single spaces inside",
        ),
        ("id", _pattern(regex["id"]), "must be an id: 1 to 64 letters, digits, '-' or '.'"),
        ("uri", _uri, uri),
        ("url", _uri, uri.replace("URI", "URL")),
        ("canonical", _uri, uri.replace("a URI", "a canonical URL")),
        ("oid", _pattern(regex["oid"]), "must be an OID such as urn:oid:2.16.156"),
        ("uuid", _pattern(regex["uuid"]), "must be a UUID: urn:uuid: and 36 lower-case characters"),
        ("date", _calendar(regex["date"]), date_text),
        ("dateTime", _calendar(regex["dateTime"]), f"{date_text}, or {moment}"),
        ("instant", _calendar(regex["instant"]), f"must be an instant {moment}"),
        ("time", _pattern(regex["time"]), "must be a time hh:mm:ss without time zone"),
        ("base64Binary", _base64, "must be Base64 that decodes, padded with '='"),
        ("xhtml", _xhtml, "must be an XHTML div"),
    ]
    return {name: Primitive(name, valid, rule) for name, valid, rule in table}


@cache
def primitives() -> dict[str, Primitive]:
    """All primitive types by name."""
    return _build()


def is_primitive(type_code: str) -> bool:
    """Primitive types start with a small letter, all others with a capital."""
    return type_code[0].islower()
