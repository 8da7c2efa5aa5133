"""HTTP for machines: the FHIR R4 REST interface below /fhir, the authorisation server (SMART, OpenID), /healthz.

`create_api(platform)` gives the routes; the platform must be open before the first request.
"""

from __future__ import annotations

import httpx
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from healthbrain.api.app import Fhir
from healthbrain.api.call import BASE
from healthbrain.api.health import Health
from healthbrain.api.oauth import Cors, oauth_routes
from healthbrain.api.oauth.remote_keys import RemoteKeys
from healthbrain.api.platform import Platform
from healthbrain.api.subscriptions import SOCKET
from healthbrain.api.websocket import Socket

__all__ = ["BASE", "Fhir", "Platform", "create_api"]


def create_api(
    platform: Platform, *, provider: httpx.AsyncBaseTransport | None = None, remote: RemoteKeys | None = None
) -> list[BaseRoute]:
    """The routes of the API. /fhir itself takes bundles, so it is a route of its own beside the mount.

    `provider` is how the external identity provider is reached, `remote` where keys of applications are, when not over the
    network.
    """
    fhir = Fhir(platform)
    return [
        Route("/healthz", Health(platform).__call__, methods=["GET"]),
        *oauth_routes(platform, fhir.gate, provider=provider, remote=remote),
        WebSocketRoute(f"{BASE}/{SOCKET}", Socket(platform, fhir.gate).handle),
        Route(BASE, Cors(fhir)),
        Mount(BASE, Cors(fhir)),
    ]
