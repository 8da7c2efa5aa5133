"""The web application of one web process: FHIR API and screens on one platform object."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import Route

from healthbrain.api import create_api
from healthbrain.api.hubs import Hubs
from healthbrain.runtime import Platform
from healthbrain.serve.process import die_with_parent
from healthbrain.settings import Settings, load
from healthbrain.web import create_web


def create() -> Starlette:
    """What granian calls in each worker process."""
    die_with_parent()
    settings = load()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return application(settings)


def application(settings: Settings) -> Starlette:
    """The application; its platform opens with the server and closes with it."""
    platform = Platform(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.platform = platform
        async with platform:
            yield

    hubs = Route("/api/hubs", Hubs(platform).__call__, methods=["GET"])
    return Starlette(routes=[*create_api(platform), hubs, *create_web(platform)], lifespan=lifespan)
