"""What the authorisation server says about itself: SMART configuration, OpenID discovery, keys."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from healthbrain.access.smart.clients import SIGNATURES
from healthbrain.access.smart.grammar import PLAIN
from healthbrain.access.smart.keyring import ALGORITHM
from healthbrain.api.oauth.desk import Desk, said

_CAPABILITIES = (
    "launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "sso-openid-connect", "context-banner", "context-ehr-patient",
    "context-ehr-encounter", "context-standalone-patient", "permission-offline", "permission-online",
    "permission-patient", "permission-user", "permission-v1", "permission-v2",
)  # fmt: skip
_SCOPES = (*PLAIN, "patient/*.cruds", "user/*.cruds", "system/*.cruds")
_METHODS = ("client_secret_basic", "private_key_jwt", "none")


def authorisation_server(desk: Desk, issuer: str) -> dict[str, Any]:
    """What both documents say."""
    open_ = desk.platform.settings.registration == "approval"
    registration = {"registration_endpoint": f"{issuer}/oauth/register"} if open_ else {}
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/oauth/jwks",
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": list(_SCOPES),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(SIGNATURES),
        "introspection_endpoint_auth_methods_supported": list(_METHODS[:2]),
        "revocation_endpoint_auth_methods_supported": list(_METHODS),
        "authorization_response_iss_parameter_supported": True,
        **registration,
    }


async def smart_configuration(desk: Desk, request: Request) -> Response:
    """GET /.well-known/smart-configuration, also below /fhir"""
    issuer = desk.issuer(request)
    return _shown({**authorisation_server(desk, issuer), "capabilities": list(_CAPABILITIES)})


async def openid_configuration(desk: Desk, request: Request) -> Response:
    """GET /.well-known/openid-configuration"""
    issuer = desk.issuer(request)
    more = {
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser", "name"],
        "prompt_values_supported": ["none", "login", "consent"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }
    return _shown({**authorisation_server(desk, issuer), **more})


async def jwks(desk: Desk, request: Request) -> Response:
    """GET /oauth/jwks"""
    return _shown(await asyncio.to_thread(desk.keys.public, desk.platform.clock()))


def _shown(content: dict[str, Any]) -> Response:
    return said(content, headers={"cache-control": "public, max-age=300"})
