"""Entries of a bundle that are requests of their own: of a batch everything that reads, and operations.

R4 lets an entry of a batch be any interaction. Those that write go to the store together; each of the others is put
through the same routing, permission and handler as if it had been sent alone, and its answer becomes the entry's; so does a new
Measure or MeasureReport, which is more than stored. In a
transaction operations that read are answered so too, but on its connection and with its fate.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from healthbrain.api.answer import Answer, of_error
from healthbrain.api.call import BASE, Call
from healthbrain.api.lending import inside
from healthbrain.api.streamed import Streamed
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Incorrect, Unsupported
from healthbrain.fhir import dump, parse

Route = Callable[[Call], Callable[[], Awaitable[Answer]]]

_READING = ("GET", "HEAD")
_TAKEN_IN = ("Measure", "MeasureReport")  # more than stored: each is taken in as when it is sent alone


def asides(entries: Any) -> frozenset[int]:
    """The entries of a batch that are answered one by one, by their place."""
    return frozenset(n for n, entry in enumerate(entries if isinstance(entries, list) else ()) if _is_aside(entry))


def _is_aside(entry: Any) -> bool:
    request = entry.get("request") if isinstance(entry, dict) else None
    url = request.get("url") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(url, str):
        return False
    operation = url.partition("?")[0].rstrip("/").rpartition("/")[2].startswith("$")
    taken_in = url in _TAKEN_IN and _stands_alone(entry)
    return request.get("method") in _READING or (request.get("method") == "POST" and (operation or taken_in))


def _stands_alone(entry: dict[str, Any]) -> bool:
    """Whether it speaks of no other entry, whose id would only be known after the store has written both."""
    return isinstance(entry.get("resource"), dict) and b'"urn:uuid:' not in dump(entry["resource"])


async def answered(outer: Call, entry: dict[str, Any], place: str, route: Route) -> dict[str, Any]:
    """The response entry of one of them."""
    try:
        call = _call(outer, entry, place)
        answer = await route(call)()
        outer.trace.patients |= call.trace.patients
        return _entry(answer, place)
    except HealthBrainError as error:
        refusal = of_error(error)
        return {"response": {"status": str(refusal.status), "outcome": parse(refusal.body or b"{}")}}


async def performed(
    outer: Call, entry: dict[str, Any], place: str, route: Route, connection: Connection
) -> dict[str, Any]:
    """The response entry of an operation in a transaction. Raises, with the place, what ends the transaction."""
    try:
        call = _call(outer, entry, place)
        with inside(connection):
            answer = await route(call)()
        outer.trace.patients |= call.trace.patients
        return _entry(answer, place)
    except HealthBrainError as error:
        if place in error.message:
            raise
        raise type(error)(f"{place}: {error.message}", issues=error.issues) from None


def _call(outer: Call, entry: dict[str, Any], place: str) -> Call:
    """The request that an entry is."""
    request = entry["request"]
    url = request["url"].removeprefix(f"{outer.base}/").removeprefix(outer.base)
    path, _, query = url.partition("?")
    if "://" in path:
        raise Incorrect(f"{place}.request.url: is relative to the base of this server, or begins with it")
    body = dump(entry["resource"]) if isinstance(entry.get("resource"), dict) else b""
    headers = {b"accept": b"application/fhir+json", b"content-type": b"application/fhir+json"}
    headers |= {name: value for name, value in outer.headers.items() if name in (b"host", b"x-forwarded-proto")}
    if handling := outer.prefers("handling"):
        headers[b"prefer"] = f"handling={handling}".encode("latin-1", "replace")
    if condition := request.get("ifNoneExist"):
        headers[b"if-none-exist"] = str(condition).encode("latin-1", "replace")
    if known := request.get("ifNoneMatch"):
        headers[b"if-none-match"] = str(known).encode("latin-1", "replace")
    if since := request.get("ifModifiedSince"):
        headers[b"if-modified-since"] = _http_time(str(since), place)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "method": request["method"],
        "path": f"{BASE}/{path.lstrip('/')}",
        "query_string": query.encode("ascii", "replace") if query.isascii() else _encoded(query),
        "headers": list(headers.items()),
        "scheme": outer.base.partition(":")[0],
    }
    call = Call(scope, receive, at=outer.at, max_body=max(len(body), 1))
    call.principal = outer.principal
    return call


def _encoded(query: str) -> bytes:
    """A query in which characters beyond ASCII stand as they are: JSON, unlike HTTP, can hold them."""
    return b"".join(b"%c" % byte if byte < 128 else b"%%%02X" % byte for byte in query.encode("utf-8", "replace"))


def _http_time(text: str, place: str) -> bytes:
    try:
        return format_datetime(datetime.fromisoformat(text)).encode()
    except ValueError:
        raise Incorrect(f"{place}.request.ifModifiedSince: is an instant") from None


def _entry(answer: Answer, place: str) -> dict[str, Any]:
    if isinstance(answer, Streamed) or answer.status == 202:
        raise Unsupported(f"{place}.request.url: what is answered in files cannot be an entry")
    named = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
    response: dict[str, Any] = {"status": _status(answer.status)}
    response |= {name: named[name] for name in ("location", "etag") if name in named}
    made: dict[str, Any] = {"response": response}
    if answer.body and answer.kind:  # no resource, such as the result of a GraphQL query
        content = base64.b64encode(answer.body).decode()
        made = {"resource": {"resourceType": "Binary", "contentType": answer.kind.decode(), "data": content}, **made}
    elif answer.body:
        found = parse(answer.body)
        if answer.status == 201 and found.get("resourceType") == "OperationOutcome":
            response["outcome"] = found
        else:
            made = {"resource": found, **made}
    if changed := _changed(made.get("resource"), named.get("last-modified", "")):
        response["lastModified"] = changed
    return made


def _changed(resource: Any, header: str) -> str:
    """When it was changed; the header knows seconds only."""
    if not header:
        return ""
    exact = resource.get("meta", {}).get("lastUpdated") if isinstance(resource, dict) else None
    return exact or parsedate_to_datetime(header).isoformat().replace("+00:00", "Z")


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
