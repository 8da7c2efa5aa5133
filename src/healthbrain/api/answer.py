"""What goes back: status, headers and bytes, and the few ways in which a client may want them."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healthbrain.api import media
from healthbrain.api.call import Call, Send
from healthbrain.api.media import NotAcceptable, UnsupportedMedia
from healthbrain.api.rates import Throttled
from healthbrain.errors import HealthBrainError, Incorrect, http_status, operation_outcome
from healthbrain.fhir import dump

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
log = logging.getLogger("healthbrain.api")

_GZIP_FROM = 32 * 1024  # bytes; below that packing costs more than it saves on a fast line
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class MethodNotAllowed(Incorrect):
    """This cannot be done with this resource."""

    def __init__(self, message: str, allow: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allow = allow


@dataclass(slots=True)
class Answer:
    """An HTTP answer. `body` is FHIR JSON (None for none at all), or something else whose `kind` is then given."""

    status: int = 200
    body: bytes | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    kind: bytes = field(default=b"", kw_only=True)


def of_version(status: int, body: bytes | None, version: int, updated: datetime, location: str = "") -> Answer:
    """An answer about one version of a resource."""
    headers = [(b"etag", b'W/"%d"' % version), (b"last-modified", http_date(updated))]
    if location:
        headers.append((b"location", location.encode()))
    return Answer(status, body, headers)


def http_date(when: datetime) -> bytes:
    """A UTC time as HTTP writes it."""
    day, month = _DAYS[when.weekday()], _MONTHS[when.month - 1]
    return b"%b, %02d %b %d %02d:%02d:%02d GMT" % (
        day, when.day, month, when.year, when.hour, when.minute, when.second
    )  # fmt: skip


# class -> HTTP status, for what HTTP knows and the error tree does not
_HTTP: dict[type[HealthBrainError], tuple[int, str]] = {
    NotAcceptable: (406, "not-supported"),
    UnsupportedMedia: (415, "not-supported"),
    MethodNotAllowed: (405, "not-supported"),
}
_RETRY_AFTER = {429: b"1", 503: b"5"}


def of_error(error: HealthBrainError) -> Answer:
    """The OperationOutcome of an error with its status and headers."""
    outcome = operation_outcome(error)
    special = _HTTP.get(type(error))
    status = special[0] if special else http_status(error)
    if special:
        outcome["issue"][0]["code"] = special[1]
    headers: list[tuple[bytes, bytes]] = []
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="healthbrain"'))
    if status in _RETRY_AFTER:
        wait = b"%d" % error.seconds if isinstance(error, Throttled) else _RETRY_AFTER[status]
        headers.append((b"retry-after", wait))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode()))
    return Answer(status, dump(outcome), headers)


async def send(answer: Answer, call: Call, send_message: Send) -> None:
    """Send it: in JSON or XML, without body for HEAD, indented for _pretty, packed for clients that unpack."""
    headers = [*answer.headers, (b"x-request-id", call.request_id.encode()), (b"cache-control", b"no-store")]
    body = answer.body or b""
    if body:
        body, kind = (body, answer.kind) if answer.kind else await _written(body, call)
        headers.append((b"content-type", kind))
        if len(body) >= _GZIP_FROM and b"gzip" in call.headers.get(b"accept-encoding", b""):
            body = gzip.compress(body, 1)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"accept, accept-encoding, authorization"))
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    await send_message({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send_message({"type": "http.response.body", "body": b"" if call.method == "HEAD" else body})


async def _written(body: bytes, call: Call) -> tuple[bytes, bytes]:
    """FHIR JSON as the client wants to read it, and what that is called."""
    indented = _wants_pretty(call)
    if media.likely_format(call) == "xml":
        try:
            return await media.as_xml(body, indented=indented), media.XML_TYPE
        except Incorrect as unwritable:  # JSON can say what XML cannot, such as an object with nothing in it
            log.error("an answer of %s has no XML form: %s", call.trace.interaction, unwritable.message)
    return (pretty(body) if indented else body), media.JSON_TYPE


def _wants_pretty(call: Call) -> bool:
    if b"_pretty" not in call.query_string:
        return False
    try:
        return call.param("_pretty") == "true"
    except Incorrect:  # the query itself is what was wrong
        return False


def pretty(body: bytes) -> bytes:
    """Indented JSON. Works on the text, so that numbers stay as they are written."""
    return b"".join(_indented(body)) + b"\n"


def _indented(body: bytes) -> Iterator[bytes]:
    depth = 0
    opened = False  # directly after a bracket: whether it is empty is not known yet
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in (b"}", b"]"):
            depth -= 1
            yield token if opened else b"\n" + b"  " * depth + token
            opened = False
            continue
        if opened:
            yield b"\n" + b"  " * depth
        opened = token in (b"{", b"[")
        if opened:
            depth += 1
            yield token
        elif token == b",":
            yield b",\n" + b"  " * depth
        else:
            yield b": " if token == b":" else token


def outcome(severity: str, code: str, text: str) -> dict[str, Any]:
    """A small OperationOutcome."""
    issue = {"severity": severity, "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
