"""The web application of one web process: FHIR API and screens on one platform object."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthbrain.api import BASE, create_api
from healthbrain.api.assessments import Assessments
from healthbrain.api.dashboards import Dashboards
from healthbrain.api.data_services import DataServices
from healthbrain.api.hubs import Hubs
from healthbrain.api.plans import Plans
from healthbrain.runtime import Platform
from healthbrain.serve.process import die_with_parent, settle_memory
from healthbrain.serve.spread import Spread, last_one
from healthbrain.settings import Settings, load
from healthbrain.web import create_web

_OF_A_TYPE = re.compile(re.escape(BASE) + "/[A-Z]").match


class Front:
    """What concerns a resource type goes straight to /fhir: finding it in the table of all pages would cost more than
    many an answer. Everything else, the server's start and end too, goes to the whole application."""

    def __init__(self, whole: Starlette, spread: Spread) -> None:
        self._whole = whole
        self._spread = spread
        self._fhir = next(route.app for route in whole.routes if isinstance(route, Mount) and route.path == BASE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection or the lifespan."""
        app: ASGIApp = self._whole
        if scope["type"] == "http":
            if _OF_A_TYPE(scope["path"]):
                app = self._fhir
            if scope["http_version"] == "1.1" and (client := scope.get("client")) and self._spread.lets_go(client):
                send = _sending_the_last(send)
        await app(scope, receive, send)


def _sending_the_last(send: Send) -> Send:
    async def sending(message: Message) -> None:
        last_one(message)
        await send(message)

    return sending


def create() -> Front:
    """What granian calls in each worker process."""
    die_with_parent()
    settings = load()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return Front(application(settings), Spread(settings.data / "connections"))


def application(settings: Settings) -> Starlette:
    """The application; its platform opens with the server and closes with it."""
    platform = Platform(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.platform = platform
        async with platform:
            settle_memory()
            yield

    hubs = Route("/api/hubs", Hubs(platform).__call__, methods=["GET"])
    plans = [*Plans(platform).routes(), *Assessments(platform).routes(), *Dashboards(platform).routes()]
    plans += DataServices(platform).routes()
    return Starlette(routes=[*create_api(platform), hubs, *plans, *create_web(platform)], lifespan=lifespan)
