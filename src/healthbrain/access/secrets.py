"""Secrets handed out: session cookies, bearer tokens, and the token that ties a form to a session.

All are 256 random bits. The database keeps SHA-256 digests only: with that much randomness a slow hash adds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

BEARER_START = "hb_"


def make_cookie() -> str:
    """A new session cookie value."""
    return secrets.token_urlsafe(32)


def make_token() -> tuple[str, str]:
    """A new bearer token and its prefix, which may be shown in lists."""
    prefix = BEARER_START + secrets.token_hex(4)
    return f"{prefix}_{secrets.token_urlsafe(32)}", prefix


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def same(left: bytes | str, right: bytes | str) -> bool:
    """Equality that takes the same time whatever differs."""
    return hmac.compare_digest(_octets(left), _octets(right))


def csrf_token(cookie: str) -> str:
    """The value every form of this session carries; it cannot be made without the cookie."""
    return hmac.new(cookie.encode(), b"healthbrain form", hashlib.sha256).hexdigest()


def csrf_holds(cookie: str, sent: str) -> bool:
    """Whether a form came from a page of this session."""
    return same(csrf_token(cookie), sent)


def _octets(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
