"""Values of primitives as the text of an attribute, and back.

Numbers keep their digits. White space around a value is dropped where the type cannot hold any (R4 asks to trim when
reading); a string, a markdown text and Base64 stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from healthbrain.fhir.codec import Decimal, number, number_text
from healthbrain.fhir.primitives import primitives

_SPACE = " \t\r\n"
_AS_IT_IS = frozenset({"string", "markdown", "base64Binary", "xhtml"})
_WHOLE = frozenset({"integer", "unsignedInt", "positiveInt"})
_INTEGER = re.compile(r"\+?(0|[1-9][0-9]{0,9})|-[1-9][0-9]{0,9}", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile('[&<"\t\n\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]')
# tab and line ends as references, or a reader of XML would make spaces of them
_ESCAPES = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}

Read = Callable[[str], Any]
Write = Callable[[Any], str]


class Unfit(Exception):
    """The text or value is not one of its type; the argument says what it must be."""


def reader(type_: str) -> Read:
    """Attribute text to JSON value, for a primitive type. It raises Unfit."""
    rule = primitives()[type_].rule
    if type_ in _AS_IT_IS:
        return str
    if type_ == "boolean":
        return _boolean
    if type_ == "decimal":
        return lambda text: _number(_DECIMAL, text, "must be a decimal number such as 72.50")
    if type_ in _WHOLE:
        return lambda text: _number(_INTEGER, text, rule.replace(", without quotes", ""))
    return lambda text: text.strip(_SPACE)


def writer(type_: str) -> Write:
    """JSON value to attribute text, escaped. It raises Unfit."""
    rule = primitives()[type_].rule
    if type_ == "boolean":
        return lambda value: _truth(value, rule)
    if type_ == "decimal" or type_ in _WHOLE:
        return lambda value: _digits(value, rule)
    return lambda value: _string(value, rule)


def escaped(text: str) -> str:
    """Text for an attribute in double quotes. It raises Unfit for characters XML has no place for."""
    return _SPECIAL.sub(_escape, text) if _SPECIAL.search(text) else text


def _escape(found: re.Match[str]) -> str:
    if found[0] not in _ESCAPES:
        raise Unfit("has a character that XML cannot hold; remove it")
    return _ESCAPES[found[0]]


def _boolean(text: str) -> bool:
    text = text.strip(_SPACE)
    if text not in ("true", "false"):
        raise Unfit("must be true or false")
    return text == "true"


def _number(pattern: re.Pattern[str], text: str, rule: str) -> int | float:
    text = text.strip(_SPACE)
    if not pattern.fullmatch(text):
        raise Unfit(rule)
    return number(text.removeprefix("+"))


def _truth(value: Any, rule: str) -> str:
    if not isinstance(value, bool):
        raise Unfit(rule)
    return "true" if value else "false"


def _digits(value: Any, rule: str) -> str:
    if type(value) is int or isinstance(value, Decimal) or (type(value) is float and isfinite(value)):
        return number_text(value)
    raise Unfit(rule)


def _string(value: Any, rule: str) -> str:
    if not isinstance(value, str):
        raise Unfit(rule)
    return escaped(value)
