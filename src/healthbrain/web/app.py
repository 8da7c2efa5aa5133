"""The routes of the screens, and what is the same for all of them: who is here, forms that are ours, errors as pages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from healthbrain.errors import Fault, HealthBrainError, NotFound, Unauthenticated, Unavailable
from healthbrain.web import guard
from healthbrain.web.pages import failures
from healthbrain.web.routes import PAGES, Page
from healthbrain.web.screen import assets
from healthbrain.web.visit import Visit, open_visit

if TYPE_CHECKING:
    from healthbrain.runtime import Platform

_log = logging.getLogger("healthbrain.web")

Handler = Callable[[Visit], Awaitable[Response]]


def create_web(platform: Platform) -> list[BaseRoute]:
    """All routes of the screens; to be mounted after those of the API, because the last one takes whatever is left."""
    routes: list[BaseRoute] = [Route("/static/{path:path}", _static), Route("/sw.js", _service_worker)]
    routes += [Route(page.path, _endpoint(platform, page), methods=[page.method]) for page in PAGES]
    routes.append(Route("/{path:path}", _endpoint(platform, Page("GET", "", _nothing_here, public=True))))
    return routes


def _endpoint(platform: Platform, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = None
        try:
            visit = await open_visit(platform, request)
            return guard.protect(await _answer(visit, page))
        except HealthBrainError as error:
            return _failed(platform, request, visit, error)
        except (OperationalError, PoolTimeout):
            return _failed(platform, request, visit, Unavailable("the database does not answer; try again in a moment"))
        except Exception as error:
            # the class and place of our mistake, never the values it was about
            _log.exception("page %s failed: %s", page.path, type(error).__name__)
            return _failed(platform, request, visit, Fault())

    return endpoint


async def _answer(visit: Visit, page: Page) -> Response:
    if page.method == "POST":
        guard.check_same_site(visit.request)
        if visit.session:
            form = await visit.form()
            guard.check_token(visit.session, str(form.get("csrf", "")) or visit.request.headers.get("x-csrf", ""))
    if not page.public:
        if visit.principal is None:
            raise Unauthenticated
        if visit.must_change and page.path not in {"/password", "/sign-out"}:
            return RedirectResponse("/password", 303)
    return await page.handler(visit)


def _failed(platform: Platform, request: Request, visit: Visit | None, error: HealthBrainError) -> Response:
    if visit is None:
        visit = failures.stranger(platform, request)
    if isinstance(error, Unauthenticated):
        goal = "/login" + (
            f"?{urlencode({'next': visit.here})}" if request.method == "GET" and visit.path != "/" else ""
        )
        if request.headers.get("hx-request"):
            return guard.protect(PlainTextResponse("", 401, headers={"hx-redirect": goal}))
        return guard.protect(RedirectResponse(goal, 303))
    return guard.protect(failures.show_error(visit, error))


async def _nothing_here(visit: Visit) -> Response:
    raise NotFound("there is no page at this address")


async def _static(request: Request) -> Response:
    return guard.protect(await assets().serve(request), private=False)


async def _service_worker(request: Request) -> Response:
    """The worker that shows a page of our own when the network is gone; it keeps nothing else."""
    source = assets().text("offline-worker.js").replace("__PAGES__", _offline_files())
    return guard.protect(Response(source, media_type="text/javascript", headers={"cache-control": "no-cache"}))


def _offline_files() -> str:
    files: Sequence[str] = ("/offline", assets().url("app.css"), assets().url("icons.svg"), assets().url("favicon.svg"))
    return ",".join(f'"{file}"' for file in files)
