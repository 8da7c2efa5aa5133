"""The pages with made-up contexts, without a platform behind them: to look at templates and to test every one of them.

python -m tests.browser.gallery 8099     # then open /cockpit, /login …
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from healthbrain.scope import Principal, Role
from healthbrain.settings import Settings
from healthbrain.web import guard, language
from healthbrain.web.screen import Crumb, assets, show
from healthbrain.web.visit import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Visit

from . import samples

NOW = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)


def visit_of(request: Request, role: Role | None) -> Visit:
    """A visit of a made-up person."""
    tag = request.cookies.get(LANGUAGE_COOKIE) or request.query_params.get("lang") or "zh-CN"
    theme = request.cookies.get(THEME_COOKIE) or request.query_params.get("theme") or "light"
    platform = SimpleNamespace(settings=Settings(data=Path("/nowhere"), demo=True), clock=lambda: NOW)
    principal = (
        Principal("chen", "陈立", role, 1, "HOPERAT", person="P000000000017" if role == "resident" else None)
        if role
        else None
    )
    return Visit(
        request, cast(Any, platform), language.language("en" if tag == "en" else "zh-CN"),
        theme if theme in THEMES else "light", NOW, principal, "session" if role else "",
    )  # fmt: skip


def page(
    template: str, role: Role | None, context: Callable[[Visit], Any], *crumbs: str
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = visit_of(request, role)
        steps = [Crumb(visit.language.say("Home"), "/"), *(Crumb(visit.language.say(c), "/") for c in crumbs)]
        return show(visit, template, context(visit), crumbs=steps)

    return endpoint


async def static(request: Request) -> Response:
    return guard.protect(await assets().serve(request), private=False)


async def prefer(request: Request) -> Response:
    form = await request.form()
    response = RedirectResponse(str(form.get("next", "/")), 303)
    for field, cookie in (("language", LANGUAGE_COOKIE), ("theme", THEME_COOKIE)):
        if value := form.get(field):
            response.set_cookie(cookie, str(value))
    return response


PAGES: dict[str, Callable[[Request], Awaitable[Response]]] = {
    path: page(*arguments) for path, arguments in samples.PAGES.items()
}

app = Starlette(
    routes=[
        Route("/static/{path:path}", static),
        Route("/preferences", prefer, methods=["POST"]),
        *(Route(path, endpoint) for path, endpoint in PAGES.items()),
    ]
)

if __name__ == "__main__":
    from granian import Granian

    Granian("tests.browser.gallery:app", address="127.0.0.1", port=int(sys.argv[1]), interface="asgi").serve()
