"""What the endpoints of the authorisation server share: the platform, our own name, forms, answers, the audit trail."""

from __future__ import annotations

import functools
import hashlib
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from healthbrain import audit
from healthbrain.access import Gate, find_session
from healthbrain.access.smart.keyring import KeyRing
from healthbrain.access.smart.refusal import OAuthRefusal
from healthbrain.api.lending import lend
from healthbrain.api.oauth.brake import Brake
from healthbrain.api.oauth.remote_keys import RemoteKeys
from healthbrain.api.platform import Platform
from healthbrain.errors import Busy, HealthBrainError, Incorrect, TooLarge, Unauthenticated, Unavailable, http_status
from healthbrain.scope import Principal

log = logging.getLogger("healthbrain.api.oauth")

SESSION_COOKIE = "hb_session"
FHIR = "/fhir"
_HOST = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")
_LARGEST_FORM = 64 * 1024
_NEVER_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}

Endpoint = Callable[["Desk", Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Desk:
    """The authorisation server of one process."""

    platform: Platform
    gate: Gate
    keys: KeyRing
    requests: Brake = field(default_factory=lambda: Brake(120, 4))
    failures: Brake = field(default_factory=lambda: Brake(20, 0.2))
    remote: RemoteKeys = field(default_factory=RemoteKeys)
    provider: httpx.AsyncBaseTransport | None = None  # how the external identity provider is reached; None = network

    def issuer(self, request: Request) -> str:
        """Our name: the address under which browsers reach us. Raises Incorrect for a Host header that is none."""
        if self.platform.settings.public_url:
            return self.platform.settings.public_url.rstrip("/")
        scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
        host = request.headers.get("host", "")
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            raise Incorrect("the request does not say which host it is for")
        return f"{scheme}://{host}"

    def fhir_base(self, request: Request) -> str:
        """The FHIR server that tokens are for."""
        return self.issuer(request) + FHIR

    async def visitor(self, request: Request) -> tuple[Principal, str, bool] | None:
        """Who is signed in in this browser, the cookie, and whether the password must be changed first."""
        cookie = request.cookies.get(SESSION_COOKIE, "")
        if not cookie:
            return None
        try:
            async with lend(self.platform.pool) as connection:
                principal, must_change = await find_session(connection, cookie, self.platform.clock())
        except Unauthenticated:
            return None
        return principal, cookie, must_change

    def event(
        self,
        request: Request,
        interaction: str,
        principal: Principal | None,
        *,
        account: str = "",
        client: str = "",
        patients: Iterable[int] = (),
        detail: str = "",
        outcome: int = audit.FINE,
    ) -> audit.Event:
        """An audit event about an application."""
        who = principal
        return audit.Event(
            at=self.platform.clock(),
            action="E",
            account=who.account if who else account[:64],
            role=who.role if who else "",
            organisation=who.organisation if who else 0,
            purpose=who.purpose if who else "",
            type="client",
            id=client[:64] or None,
            patients=tuple(patients),
            outcome=outcome,
            detail=detail[:1000],
            interaction=interaction,
            address=address(request),
        )


def endpoint(desk: Desk, function: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """A Starlette endpoint whose errors are JSON as OAuth writes them."""

    @functools.wraps(function)
    async def answer(request: Request) -> Response:
        try:
            return await function(desk, request)
        except HealthBrainError as error:
            return refused(error)
        except psycopg.OperationalError:
            return refused(Unavailable("the database does not answer; try again in a few seconds"))
        except Exception as mistake:
            # where it happened, not with which values
            where = "".join(traceback.format_tb(mistake.__traceback__, limit=-4))
            log.error("%s failed with %s\n%s", function.__name__, type(mistake).__name__, where)
            return said({"error": "server_error"}, 500)

    return answer


def refused(error: HealthBrainError) -> Response:
    """An error as OAuth 2.0 writes it."""
    if isinstance(error, OAuthRefusal):
        status = 401 if error.code == "invalid_client" else 400
        headers = {"www-authenticate": 'Basic realm="healthbrain"'} if status == 401 else {}
        return said({"error": error.code, "error_description": error.message}, status, headers)
    if isinstance(error, Unauthenticated):
        headers = {"www-authenticate": 'Bearer realm="healthbrain", error="invalid_token"'}
        return said({"error": "invalid_token", "error_description": error.message}, 401, headers)
    if isinstance(error, (Busy, Unavailable)):
        code = {"error": "temporarily_unavailable", "error_description": error.message}
        return said(code, http_status(error), {"retry-after": "5"})
    return said({"error": "invalid_request", "error_description": error.message}, http_status(error))


def said(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(orjson.dumps(content), status, {**_NEVER_KEPT, **(headers or {})}, "application/json")


async def form_of(request: Request) -> list[tuple[str, str]]:
    """The fields of a small urlencoded form, in order. Raises Incorrect or TooLarge."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Incorrect("the body is application/x-www-form-urlencoded")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise TooLarge("the form is larger than 64 KiB")
    return fields_of(bytes(body))


def fields_of(text: bytes) -> list[tuple[str, str]]:
    """The fields of a query or form. Raises Incorrect."""
    try:
        found = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError:
        raise Incorrect("the form or query is not percent-encoded UTF-8, or has too many fields") from None
    if any("\0" in name or "\0" in value for name, value in found):
        raise Incorrect("the form or query holds a NUL character")
    return found


def each_once(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The fields by name; an empty one counts as absent. Raises OAuthRefusal when one comes twice (RFC 6749, 3.1)."""
    found: dict[str, str] = {}
    for name, value in fields:
        if name in found:
            raise OAuthRefusal("invalid_request", f"'{name[:40]}' is given more than once")
        if value:
            found[name] = value
    return found


def address(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client else ""


def subject(account: str) -> str:
    """The `sub` of an account: the same for all applications, and not its name."""
    return hashlib.sha256(b"healthbrain subject\0" + account.encode()).hexdigest()[:32]
