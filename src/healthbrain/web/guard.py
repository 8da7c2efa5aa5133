"""What keeps a signed-in browser safe: headers, the cookie, proof that a form is ours.

Content-Security-Policy allows nothing inline and nothing from elsewhere; MapLibre's worker is our own file (it may
start itself from a blob). A form of another site is refused twice: by the browser's Sec-Fetch-Site or Origin header and
by a token derived from the session that only our pages know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from healthbrain.access import csrf_holds
from healthbrain.errors import Forbidden

SESSION_COOKIE = "hb_session"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "geolocation=(), camera=(), microphone=()",
}


def protect(response: Response, *, private: bool = True) -> Response:
    """Put the security headers on; pages with anybody's data are never kept by a cache."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if private:
        response.headers.setdefault("cache-control", "no-store")
    return response


def let_forms_lead_to(response: Response, origins: Iterable[str]) -> None:
    """Allow forms of this page to end at other sites as well: browsers apply form-action to redirects too."""
    goals = " ".join(("'self'", *sorted(set(origins))))
    response.headers["content-security-policy"] = _POLICY.replace("form-action 'self'", f"form-action {goals}")


def check_same_site(request: Request) -> None:
    """Refuse a form that another site makes the browser send."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise Forbidden("this form was sent from another site; open the page here and try again")
        return
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("this form was sent from another site; open the page here and try again")


def check_token(session: str, sent: str) -> None:
    """Refuse a form without the token of this session."""
    if not csrf_holds(session, sent):
        raise Forbidden("this form is too old or not from this session; reload the page and try again")


def is_secure(request: Request) -> bool:
    """Whether the browser reached us over TLS, directly or through a proxy."""
    return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
    """A cookie that scripts and other sites cannot use."""
    response.set_cookie(
        name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )


def session_handle(session: str) -> str:
    """How the list of sessions names this one."""
    return hashlib.sha256(session.encode()).hexdigest()
