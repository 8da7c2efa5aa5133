"""Page cursors: where the next page of a question begins.

Keyset paging: a cursor holds the sort key of the last row shown, so pages neither repeat nor skip rows when others
are written meanwhile. It carries a hash of the question and works for no other; it opens nothing that the question
itself would not (the scope is applied afresh).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson
from xxhash import xxh64_digest

from healthbrain.errors import Incorrect


def write(question: Sequence[Any], place: Sequence[Any]) -> str:
    """The cursor of `place` in the results of `question`."""
    body = orjson.dumps(place)
    return base64.urlsafe_b64encode(_seal(question, body) + body).rstrip(b"=").decode()


def read(cursor: str, question: Sequence[Any]) -> list[Any]:
    """The place a cursor stands for. Incorrect when it is damaged or of another question."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        seal, body = raw[:8], raw[8:]
        if seal == _seal(question, body):
            place = orjson.loads(body)
            if isinstance(place, list):
                return place
    except (binascii.Error, ValueError):
        pass
    raise Incorrect("the page cursor is not of this search; start again from the first page")


def _seal(question: Sequence[Any], body: bytes) -> bytes:
    return xxh64_digest(orjson.dumps(question) + b"\0" + body)
