"""A refusal of the authorisation server, with the code that OAuth 2.0 (RFC 6749, RFC 7009, OpenID Connect) gives it."""

from __future__ import annotations

from typing import Literal

from healthbrain.errors import Incorrect

Code = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "invalid_scope",
    "access_denied",
    "login_required",
    "consent_required",
    "interaction_required",
    "temporarily_unavailable",
    "invalid_redirect_uri",
    "invalid_client_metadata",
]


class OAuthRefusal(Incorrect):
    """What an application asked of the authorisation server is refused."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
