"""One FHIR request, read once: path, query, headers, body. What is malformed here is refused before anything is done."""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from healthbrain.errors import Incorrect, TooLarge
from healthbrain.runtime.partners import Partner
from healthbrain.scope import Principal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Params = list[tuple[str, str]]

BASE = "/fhir"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_VERSION = re.compile(r'(?:W/)?"?(\d{1,9})"?')
_HOST = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")


@dataclass(slots=True)
class Trace:
    """What the audit event of this request will say; handlers fill it in as they learn."""

    interaction: str = ""
    action: str = "R"
    type: str = ""
    id: str | None = None
    patients: set[int] = field(default_factory=set)
    detail: str = ""
    refused: bool = False  # nothing of what was asked was permitted, though the answer is 200 (a batch)
    written: bool = False  # the event is in the database already, with the change it tells of


class Call:
    """A request with everything a handler asks of it."""

    def __init__(self, scope: Scope, receive: Receive, *, at: datetime, max_body: int) -> None:
        self._scope = scope
        self._receive = receive
        self._max_body = max_body
        self.at = at
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.segments = _segments(scope["path"])
        self.principal: Principal | None = None
        self.partner: Partner | None = None
        self.interface = ""  # what a partner's request is counted under
        self.trace = Trace()
        self.query_string: bytes = scope.get("query_string", b"")
        wanted = self.headers.get(b"x-request-id", b"")
        self.request_id = wanted.decode() if _REQUEST_ID.fullmatch(wanted) else secrets.token_hex(8)
        self._params: Params | None = None
        self._body: bytes | None = None

    @property
    def who(self) -> Principal:
        """The authenticated principal."""
        if self.principal is None:
            raise RuntimeError("asked before authentication")
        return self.principal

    @property
    def address(self) -> str:
        """Where the request comes from."""
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    @property
    def base(self) -> str:
        """The FHIR base URL as the client knows it."""
        scheme = self.header(b"x-forwarded-proto") or self._scope.get("scheme", "http")
        host = self.header(b"host")
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            return BASE
        return f"{scheme}://{host}{BASE}"

    def header(self, name: bytes) -> str:
        """A header's value, '' when absent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def params(self) -> Params:
        """The query parameters in order, decoded."""
        if self._params is None:
            self._params = decode_params(self.query_string)
        return self._params

    def param(self, name: str) -> str:
        """The last value of a query parameter, '' when absent."""
        return next((value for key, value in reversed(self.params) if key == name), "")

    def add_params(self, more: Iterable[tuple[str, str]]) -> None:
        """Parameters from a search form."""
        self._params = [*self.params, *more]

    def replace_params(self, params: Params) -> None:
        """Ask the same with other parameters."""
        self._params = list(params)

    def prefers(self, name: str) -> str:
        """A value of the Prefer header: `Prefer: return=minimal; handling=strict`."""
        for part in re.split(r"[;,]", self.header(b"prefer")):
            key, _, value = part.strip().partition("=")
            if key.strip().lower() == name:
                return value.strip().strip('"')
        return ""

    def if_match(self) -> int | None:
        """The version in If-Match; raises Incorrect when it is none."""
        return version_of(self.header(b"if-match"), "If-Match")

    def modified_since(self) -> datetime | None:
        """The time in If-Modified-Since; an unreadable one is ignored, as HTTP wants."""
        text = self.header(b"if-modified-since")
        try:
            when = parsedate_to_datetime(text) if text else None
        except (TypeError, ValueError):
            return None
        return when.replace(tzinfo=UTC) if when and when.tzinfo is None else when

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece as it comes, still packed, for what may be larger than memory."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Incorrect("the connection ended before the body did")
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                yield piece

    async def body(self) -> bytes:
        """The body, unpacked. Raises TooLarge as soon as it grows beyond the limit."""
        if self._body is None:
            self._body = await self._read_body()
        return self._body

    async def _read_body(self) -> bytes:
        encoding = self.header(b"content-encoding").lower()
        if encoding not in ("", "identity", "gzip"):
            raise Incorrect(f"content-encoding '{encoding[:20]}' is not known here; send gzip or none")
        announced = self.header(b"content-length")
        if announced.isdigit() and int(announced) > self._max_body:
            raise self._too_large()
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Incorrect("the connection ended before the body did")
            chunk = message.get("body", b"")
            if unpack is not None and chunk:
                chunk = self._unpack(unpack, chunk, self._max_body - size + 1)
            size += len(chunk)
            if size > self._max_body:
                raise self._too_large()
            chunks.append(chunk)
            more = message.get("more_body", False)
        if unpack is not None and not unpack.eof:
            raise Incorrect("the gzip body is cut off")
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _unpack(self, unpack: Any, chunk: bytes, most: int) -> bytes:
        try:
            return bytes(unpack.decompress(chunk, most))
        except zlib.error:
            raise Incorrect("the body is not gzip although content-encoding says so") from None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._max_body // 2**20} MiB; send it in parts (HB_MAX_BODY)")


def decode_params(query: bytes) -> Params:
    """Decode a query string or a form; raises Incorrect for text that is not UTF-8 or holds NUL."""
    if not query:
        return []
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except UnicodeDecodeError:
        raise Incorrect("the query is not percent-encoded UTF-8") from None
    except ValueError:
        raise Incorrect("the query has more than 1000 parameters") from None
    if any("\0" in key or "\0" in value for key, value in pairs):
        raise Incorrect("the query holds a NUL character")
    return pairs


def version_of(text: str, name: str) -> int | None:
    """The version in an ETag such as W/"3"; None when absent or '*'."""
    if text in ("", "*"):
        return None
    match = _VERSION.fullmatch(text)
    if not match:
        raise Incorrect(f'{name} holds a version such as W/"3"')
    return int(match[1])


def _segments(path: str) -> list[str]:
    rest = path.partition(BASE)[2]
    parts = rest.split("/")[1:]
    if parts and parts[-1] == "":
        parts.pop()
    return [unquote_to_bytes(part).decode("utf-8", "replace") if "%" in part else part for part in parts]
