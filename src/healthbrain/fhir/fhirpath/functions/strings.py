"""String functions. Rule source: FHIRPath N1, String Manipulation; 3.0, Additional String Functions.

Regular expressions that could run without end are refused (patterns.py), and no result grows without bound.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable

from healthbrain.fhir.fhirpath.frame import Frame
from healthbrain.fhir.fhirpath.functions.patterns import compiled
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.singletons import integer, text
from healthbrain.fhir.fhirpath.values import Collection

TABLE = Table()
MAX_TEXT = 10_000_000


def _with_text(name: str, answer: Callable[[str, str], object]) -> None:
    """Declare a function of one String with one String argument; empty when either is."""

    @TABLE.plain(name, 1)
    def _call(items: Collection, frame: Frame, argument: Collection) -> Collection:
        subject, other = text(items, f"{name}()"), text(argument, f"{name}()")
        return [] if subject is None or other is None else [answer(subject, other)]


_with_text("indexOf", str.find)
_with_text("lastIndexOf", str.rfind)
_with_text("startsWith", lambda subject, other: subject.startswith(other))
_with_text("endsWith", lambda subject, other: subject.endswith(other))
_with_text("contains", lambda subject, other: other in subject)


def _of_text(name: str, answer: Callable[[str], object]) -> None:
    """Declare a function of one String."""

    @TABLE.plain(name)
    def _call(items: Collection, frame: Frame) -> Collection:
        subject = text(items, f"{name}()")
        return [] if subject is None else [answer(subject)]


_of_text("upper", str.upper)
_of_text("lower", str.lower)
_of_text("length", len)
_of_text("trim", lambda subject: subject.strip(" \t\r\n"))


@TABLE.plain("substring", 1, 2)
def _substring(items: Collection, frame: Frame, start: Collection, length: Collection | None = None) -> Collection:
    subject, begin = text(items, "substring()"), integer(start, "the start of substring()")
    if subject is None or begin is None or not 0 <= begin < len(subject):
        return []
    count = None if length is None else integer(length, "the length of substring()")
    return [subject[begin:] if count is None else subject[begin : begin + max(0, count)]]


@TABLE.plain("replace", 2)
def _replace(items: Collection, frame: Frame, pattern: Collection, substitution: Collection) -> Collection:
    subject, old, new = text(items, "replace()"), text(pattern, "replace()"), text(substitution, "replace()")
    if subject is None or old is None or new is None:
        return []
    _check_length((len(subject) + 1) * max(1, len(new)))
    return [subject.replace(old, new)]


@TABLE.plain("matches", 1, 2)
def _matches(items: Collection, frame: Frame, regex: Collection, flags: Collection | None = None) -> Collection:
    subject, pattern = text(items, "matches()"), text(regex, "matches()")
    if subject is None or pattern is None:
        return []
    return [compiled(pattern, _flags(flags)).found_in(subject)]


@TABLE.plain("matchesFull", 1, 2)
def _matches_full(items: Collection, frame: Frame, regex: Collection, flags: Collection | None = None) -> Collection:
    subject, pattern = text(items, "matchesFull()"), text(regex, "matchesFull()")
    if subject is None or pattern is None:
        return []
    return [compiled(pattern, _flags(flags), whole=True).is_all_of(subject)]


@TABLE.plain("replaceMatches", 2, 3)
def _replace_matches(
    items: Collection, frame: Frame, regex: Collection, substitution: Collection, flags: Collection | None = None
) -> Collection:
    what = "replaceMatches()"
    subject, pattern, new = text(items, what), text(regex, what), text(substitution, what)
    if subject is None or pattern is None or new is None:
        return []
    if not pattern:
        return [subject]
    _check_length((len(subject) + 1) * max(1, len(new)))
    return [compiled(pattern, _flags(flags)).replaced(subject, new)]


def _flags(flags: Collection | None) -> str:
    return "" if flags is None else text(flags, "the flags of a regular expression") or ""


@TABLE.plain("toChars")
def _to_chars(items: Collection, frame: Frame) -> Collection:
    return list(text(items, "toChars()") or "")


@TABLE.plain("split", 1)
def _split(items: Collection, frame: Frame, separator: Collection) -> Collection:
    subject, between = text(items, "split()"), text(separator, "split()")
    if subject is None or between is None:
        return []
    return list(subject.split(between) if between else subject)


@TABLE.plain("join", 0, 1)
def _join(items: Collection, frame: Frame, separator: Collection | None = None) -> Collection:
    between = "" if separator is None else text(separator, "join()") or ""
    known = [part for item in items if (part := text([item], "join()")) is not None]
    _check_length(len(between) * len(known))
    return [between.join(known)] if known else []


_ENCODERS: dict[str, Callable[[bytes], str]] = {
    "hex": lambda data: data.hex(),
    "base64": lambda data: base64.b64encode(data).decode(),
    "urlbase64": lambda data: base64.urlsafe_b64encode(data).decode(),
    "ascii": lambda data: data.decode().encode("ascii", "replace").decode(),
}
_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda data: base64.b64decode(data, validate=True),
    "urlbase64": lambda data: base64.b64decode(data, altchars=b"-_", validate=True),
}


@TABLE.plain("encode", 1)
def _encode(items: Collection, frame: Frame, format_: Collection) -> Collection:
    subject, name = text(items, "encode()"), text(format_, "encode()")
    if subject is None or name is None:
        return []
    if name not in _ENCODERS:
        raise Unanswerable("encode() knows the formats hex, base64, urlbase64 and ascii")
    return [_ENCODERS[name](subject.encode("utf-8", "replace"))]


@TABLE.plain("decode", 1)
def _decode(items: Collection, frame: Frame, format_: Collection) -> Collection:
    subject, name = text(items, "decode()"), text(format_, "decode()")
    if subject is None or name is None:
        return []
    if name not in _DECODERS:
        raise Unanswerable("decode() knows the formats hex, base64 and urlbase64")
    try:
        return [_DECODERS[name](subject).decode()]
    except (ValueError, binascii.Error):
        return []


@TABLE.plain("escape", 1)
def _escape(items: Collection, frame: Frame, target: Collection) -> Collection:
    subject, name = text(items, "escape()"), text(target, "escape()")
    if subject is None or name is None:
        return []
    if name == "html":
        return [html.escape(subject, quote=False).replace('"', "&quot;")]
    if name == "json":
        return [json.dumps(subject, ensure_ascii=False)[1:-1]]
    raise Unanswerable("escape() knows the targets html and json")


@TABLE.plain("unescape", 1)
def _unescape(items: Collection, frame: Frame, target: Collection) -> Collection:
    subject, name = text(items, "unescape()"), text(target, "unescape()")
    if subject is None or name is None:
        return []
    if name == "html":
        return [html.unescape(subject)]
    if name != "json":
        raise Unanswerable("unescape() knows the targets html and json")
    try:
        return [json.loads(f'"{subject}"', strict=False)]
    except json.JSONDecodeError:
        return [subject]  # it was not escaped


def _check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise Unanswerable("the resulting text would be too long")
