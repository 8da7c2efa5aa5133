"""Every address of the screens in one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.web.pages import home, signin
from healthbrain.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Page:
    """One address: what answers it, and whether a stranger may see it."""

    method: str
    path: str
    handler: Callable[[Visit], Awaitable[Response]]
    public: bool = False


PAGES: tuple[Page, ...] = (
    Page("GET", "/login", signin.login, public=True),
    Page("POST", "/login", signin.enter, public=True),
    Page("POST", "/sign-out", signin.leave),
    Page("POST", "/preferences", signin.prefer, public=True),
    Page("GET", "/password", signin.password),
    Page("POST", "/password", signin.change_password),
    Page("GET", "/sessions", signin.sessions),
    Page("POST", "/sessions", signin.end_session),
    Page("POST", "/purpose", signin.state_purpose),
    Page("GET", "/", home.home),
    Page("GET", "/help", home.help_page, public=True),
    Page("GET", "/offline", home.offline, public=True),
)
