"""FHIR JSON to Python and back without losing a digit.

Decides what counts as readable: UTF-8 (a byte order mark is tolerated), one JSON object, no duplicate names, no NaN,
nesting at most 64 deep. Decimals keep their text, since in FHIR 72.50 and 72.5 differ in precision (R4 datatypes,
decimal). Almost all input takes the fast road: it is read, written again, and both texts are compared without
white space. When they agree nothing was lost; when not (72.50, 1e3, escapes, a duplicate name), an exact reader
decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from healthbrain.errors import Malformed

MAX_DEPTH = 64
_SPACE = b" \t\r\n"
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")
_BOM = b"\xef\xbb\xbf"


class Decimal(float):
    """A number that keeps the text it was written with; in every other way a float."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Decimal:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self.text,)


def parse(raw: bytes | str) -> dict[str, Any]:
    """The JSON object in `raw`, numbers exact.

    Raises Malformed with line and column when it is not readable.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else bytes(raw)
    if data.startswith(_BOM):
        data = data[3:]
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        value = _second_look(data, error)
    if type(value) is not dict:
        raise Malformed("line 1, column 1: the body must be one JSON object that starts with '{'")
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _deeper_than(data, value):
        raise _too_deep()
    again = orjson.dumps(value, default=_text_of)
    if again != data and again.translate(None, _SPACE) != data.translate(None, _SPACE):
        value = _exact(data)
    found: dict[str, Any] = value
    return found


def dump(resource: dict[str, Any]) -> bytes:
    """Compact JSON; decimals as they came."""
    return orjson.dumps(resource, default=_text_of)


def number(text: str) -> int | float:
    """A number as `parse` would give it; `text` is written as JSON numbers are."""
    return _integer(text) if text.lstrip("-").isdigit() else _decimal(text)


def number_text(value: int | float) -> str:
    """The digits `dump` would write."""
    return value.text if isinstance(value, Decimal) else orjson.dumps(value).decode()


def _text_of(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(value.text)
    raise TypeError(f"a {type(value).__name__} has no place in a FHIR resource")


def _second_look(data: bytes, error: orjson.JSONDecodeError) -> Any:
    """Numbers beyond double are legal JSON; anything else the fast reader refuses is refused."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line, column = _position(data, wrong.start)
        raise Malformed(f"line {line}, column {column}: not UTF-8; send the text as UTF-8") from None
    if "depth limit" in error.msg:
        raise _too_deep() from None
    if "infinity" not in error.msg:
        raise _not_json(error) from None
    try:
        value = _exact(data)
        orjson.dumps(value, default=_text_of)  # refuses half characters (lone surrogates) and endless nesting
    except json.JSONDecodeError as wrong:
        raise _not_json(wrong) from None
    except TypeError:
        raise Malformed("the JSON holds half a character (a lone surrogate) or is nested too deep; mend it") from None
    return value


def _not_json(error: json.JSONDecodeError) -> Malformed:
    return Malformed(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg.split(': line ')[0]}")


def _position(data: bytes, offset: int) -> tuple[int, int]:
    line = data.count(b"\n", 0, offset) + 1
    return line, offset - data.rfind(b"\n", 0, offset)


def _exact(data: bytes) -> Any:
    try:
        return _EXACT.decode(data.decode("utf-8"))
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> Malformed:
    return Malformed(f"the JSON is nested deeper than {MAX_DEPTH} levels; flatten it")


def _decimal(text: str) -> float:
    number = float(text)
    return number if orjson.dumps(number) == text.encode() else Decimal(text)


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 19 and text != "-0" else Decimal(text)


def _constant(text: str) -> Any:
    raise Malformed("NaN and Infinity are not JSON; leave the element out")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        named = f" ({twice})" if _NAME.fullmatch(twice) else ""
        raise Malformed(f"an object has the same name twice{named}; every name may stand once in an object")
    return found


def _deeper_than(data: bytes, value: Any) -> bool:
    """Whether nesting exceeds the limit: peel the innermost brackets, in C, layer by layer."""
    brackets = data.translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return False
    return any(depth > MAX_DEPTH for depth in _depths(value))  # too deep, or brackets inside strings


def _depths(value: Any) -> Iterator[int]:
    level, depth = [value], 0
    while level:
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        depth += 1
        yield depth


_EXACT = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_object)
