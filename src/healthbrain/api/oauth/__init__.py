"""The authorisation server over HTTP: SMART App Launch v2, OpenID Connect provider, sign-in through an external one."""

from __future__ import annotations

import httpx
from starlette.routing import BaseRoute, Route, request_response

from healthbrain.access import Gate
from healthbrain.access.smart.keyring import KeyRing
from healthbrain.api.oauth.authorize import answer, authorize
from healthbrain.api.oauth.cors import Cors
from healthbrain.api.oauth.desk import FHIR, Desk, Endpoint, endpoint
from healthbrain.api.oauth.external import BACK, START, External
from healthbrain.api.oauth.launching import launch
from healthbrain.api.oauth.leaving import logout
from healthbrain.api.oauth.metadata import jwks, openid_configuration, smart_configuration
from healthbrain.api.oauth.page import STYLE, style
from healthbrain.api.oauth.registering import register
from healthbrain.api.oauth.remote_keys import RemoteKeys
from healthbrain.api.oauth.tokens import introspect, revoke, token, userinfo
from healthbrain.api.platform import Platform

__all__ = ["Cors", "oauth_routes"]


def oauth_routes(
    platform: Platform,
    gate: Gate,
    *,
    provider: httpx.AsyncBaseTransport | None = None,
    remote: RemoteKeys | None = None,
) -> list[BaseRoute]:
    """The routes; those below /fhir come before the mount of /fhir."""
    own_hosts = frozenset(one.strip().lower() for one in platform.settings.jwks_hosts.split(",") if one.strip())
    desk = Desk(
        platform, gate, KeyRing(platform.settings.data / "secrets"), provider=provider,
        remote=remote or RemoteKeys(own_hosts),
    )  # fmt: skip
    external = External(desk)

    def shared(path: str, function: Endpoint, method: str) -> Route:
        """For applications of any origin."""
        methods = ["POST", "OPTIONS"] if method == "POST" else [*method.split(), "OPTIONS"]
        return Route(path, Cors(request_response(endpoint(desk, function))), methods=methods)

    def own(path: str, function: Endpoint, *methods: str) -> Route:
        return Route(path, endpoint(desk, function), methods=list(methods))

    return [
        shared("/.well-known/smart-configuration", smart_configuration, "GET"),
        shared(f"{FHIR}/.well-known/smart-configuration", smart_configuration, "GET"),
        shared("/.well-known/openid-configuration", openid_configuration, "GET"),
        shared("/oauth/jwks", jwks, "GET"),
        shared("/oauth/token", token, "POST"),
        shared("/oauth/introspect", introspect, "POST"),
        shared("/oauth/revoke", revoke, "POST"),
        shared("/oauth/userinfo", userinfo, "GET POST"),
        own("/oauth/authorize", authorize, "GET", "POST"),
        own("/oauth/consent", answer, "POST"),
        shared("/oauth/register", register, "POST"),
        own("/oauth/logout", logout, "GET", "POST"),
        own("/oauth/launch", launch, "POST"),
        Route(STYLE, style, methods=["GET"]),
        own(START, external.start, "GET"),
        own(BACK, external.back, "GET"),
    ]
