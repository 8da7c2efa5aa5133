"""HTTP for machines: the FHIR R4 REST interface below /fhir and /healthz.

`create_api(platform)` gives the routes; the platform must be open before the first request.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route

from healthbrain.api.app import Fhir
from healthbrain.api.call import BASE
from healthbrain.api.health import Health
from healthbrain.api.platform import Platform

__all__ = ["Fhir", "Platform", "create_api"]


def create_api(platform: Platform) -> list[BaseRoute]:
    """The routes of the API. /fhir itself takes bundles, so it is a route of its own beside the mount."""
    fhir = Fhir(platform)
    return [
        Route("/healthz", Health(platform).__call__, methods=["GET"]),
        Route(BASE, fhir),
        Mount(BASE, fhir),
    ]
