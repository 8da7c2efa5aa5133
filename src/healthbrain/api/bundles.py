"""Bundles put together from stored bytes: no resource is parsed on its way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

import orjson

from healthbrain.api.call import Params
from healthbrain.store import Page, Stored

CURSOR = "_cursor"


def searchset(page: Page, base: str, path: str, params: Params, *, bodies: Sequence[bytes] | None = None) -> bytes:
    """A page of search results. `bodies` replaces the stored ones (summaries), matches first, then included."""
    stored = [*page.matches, *page.included]
    texts = bodies if bodies is not None else [one.body for one in stored]
    n_matches = len(page.matches)
    root = base.encode()
    entries = [
        b'{"fullUrl":"%b/%b","resource":%b,"search":{"mode":"%b"}}'
        % (root, _name(one), text, b"match" if i < n_matches else b"include")
        for i, (one, text) in enumerate(zip(stored, texts, strict=True))
    ]
    if page.notes:
        issues = [{"severity": "warning", "code": "incomplete", "diagnostics": note} for note in page.notes]
        outcome = orjson.dumps({"resourceType": "OperationOutcome", "issue": issues})
        entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome)
    used = [(key, value) for key, value in params if value and key not in page.ignored]  # R4: what was processed
    return _bundle(b"searchset", page.total, _links(base, path, used, page.next), entries)


def _name(one: Stored) -> bytes:
    """Where it is below the base; what is contained has no address but that of what contains it."""
    return (f"{one.inside}#{one.id}" if one.inside else f"{one.type}/{one.id}").encode()


def history(page: Page, base: str, path: str, params: Params) -> bytes:
    """Versions, newest first, each with the request and response that made it."""
    root = base.encode()
    entries = [_version(one, root) for one in page.matches]
    return _bundle(b"history", page.total, _links(base, path, params, page.next), entries)


def _version(one: Stored, root: bytes) -> bytes:
    name = b"%b/%b" % (one.type.encode(), one.id.encode())
    if one.deleted:
        request, status = b'{"method":"DELETE","url":"%b"}' % name, b"204"
    elif one.version == 1:
        request, status = b'{"method":"POST","url":"%b"}' % one.type.encode(), b"201"
    else:
        request, status = b'{"method":"PUT","url":"%b"}' % name, b"200"
    resource = b"" if one.deleted else b'"resource":%b,' % one.body
    response = b'{"status":"%b","etag":"W/\\"%d\\"","lastModified":"%b"}' % (status, one.version, instant(one))
    return b'{"fullUrl":"%b/%b",%b"request":%b,"response":%b}' % (root, name, resource, request, response)


def instant(one: Stored) -> bytes:
    """When this version was made, as a FHIR instant."""
    return one.updated.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


def _links(base: str, path: str, params: Params, following: str | None) -> bytes:
    links = [{"relation": "self", "url": url(base, path, params)}]
    if following:
        rest = [(key, value) for key, value in params if key != CURSOR]
        links.append({"relation": "next", "url": url(base, path, [*rest, (CURSOR, following)])})
    return orjson.dumps(links)


def url(base: str, path: str, params: Iterable[tuple[str, str]]) -> str:
    """A URL of ours with its query encoded."""
    query = urlencode(list(params), safe="/:|,$")
    root = f"{base}/{path}" if path else base
    return f"{root}?{query}" if query else root


def _bundle(kind: bytes, total: int | None, links: bytes, entries: Sequence[bytes]) -> bytes:
    parts = [b'{"resourceType":"Bundle","type":"%b"' % kind]
    if total is not None:
        parts.append(b',"total":%d' % total)
    parts.append(b',"link":%b' % links)
    if entries:  # an empty array is not allowed in FHIR JSON
        parts.append(b',"entry":[%b]' % b",".join(entries))
    parts.append(b"}")
    return b"".join(parts)


def listing(
    type_: str, ids: Sequence[str], bodies: Sequence[bytes], base: str, params: Params, following: str
) -> bytes:
    """A searchset of resources that do not come from the store."""
    entries = [
        b'{"fullUrl":"%b","resource":%b,"search":{"mode":"match"}}' % (f"{base}/{type_}/{id_}".encode(), body)
        for id_, body in zip(ids, bodies, strict=True)
    ]
    return _bundle(b"searchset", None, _links(base, type_, params, following or None), entries)
