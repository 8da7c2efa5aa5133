"""JSON Pointers (RFC 6901): parsed, and followed without guessing."""

from __future__ import annotations

import re
from typing import Any

from healthbrain.errors import Malformed

_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
END = "-"

Pointer = tuple[str, ...]


class Nowhere(Exception):
    """A pointer leads to nothing; the argument says why."""


def parse(text: object, what: str) -> Pointer:
    """The reference tokens of a pointer. Raises Malformed, which calls it `what`."""
    if not isinstance(text, str):
        raise Malformed(f"{what} must be a JSON Pointer as a string")
    if not text:
        return ()
    if not text.startswith("/"):
        raise Malformed(f"{what} must be a JSON Pointer: empty, or starting with '/'")
    if _ESCAPE.search(text):
        raise Malformed(f"{what} has a '~' that is not followed by 0 or 1; write ~ as ~0 and / as ~1")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/"))


def follow(document: Any, pointer: Pointer) -> Any:
    """The value a pointer leads to. Raises Nowhere."""
    for depth, token in enumerate(pointer):
        document = step(document, token, depth)
    return document


def step(node: Any, token: str, depth: int) -> Any:
    """The member or item of a value. Raises Nowhere; `depth` is the number of the token."""
    if isinstance(node, dict):
        if token not in node:
            raise Nowhere(f"there is no such member (part {depth + 1} of the pointer)")
        return node[token]
    if isinstance(node, list):
        return node[index(node, token, depth, len(node) - 1)]
    raise Nowhere(f"part {depth + 1} of the pointer would stand in a value that is neither object nor array")


def index(node: list[Any], token: str, depth: int, last: int) -> int:
    """A token as the index of an array, at most `last`. Raises Nowhere."""
    if token == END and last == len(node):
        return last
    if not _INDEX.fullmatch(token):
        raise Nowhere(f"part {depth + 1} of the pointer must be the index of an array, without leading zeros")
    if int(token) > last:
        raise Nowhere(f"part {depth + 1} of the pointer is beyond the end of the array, which has {len(node)} items")
    return int(token)
