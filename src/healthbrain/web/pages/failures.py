"""Errors as pages: what happened in the reader's language, what to do next, and the technical word in small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from healthbrain import access
from healthbrain.errors import HealthBrainError, http_status
from healthbrain.web import language, wording
from healthbrain.web.language import N_
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

if TYPE_CHECKING:
    from healthbrain.runtime import Platform

_WORDS: dict[int, tuple[str, str]] = {
    400: (N_("This request is not right"), N_("Go back, check what was entered, and try again.")),
    401: (N_("Please sign in"), N_("Your session has ended.")),
    403: (
        N_("You may not open this"),
        N_("Your role, your organisation or your present purpose of use does not allow it. This attempt was logged."),
    ),
    404: (
        N_("There is nothing here"),
        N_("The address is wrong, or what it named does not exist or is not open to you."),
    ),
    409: (
        N_("Somebody else was quicker"),
        N_("What you wanted to change has changed meanwhile. Load it again and repeat."),
    ),
    410: (N_("This was deleted"), N_("It was here and has been deleted; its history is kept.")),
    413: (N_("Too large"), N_("What was sent is larger than this platform accepts.")),
    422: (N_("This request is not right"), N_("Go back, check what was entered, and try again.")),
    429: (N_("Too much at once"), N_("Wait a moment and try again.")),
    500: (
        N_("Something went wrong on our side"),
        N_("Nothing was changed. The mistake was logged; try again, or tell the operator the time."),
    ),
    501: (N_("Not offered here"), N_("This platform does not do that yet.")),
    503: (N_("A part of the platform is down"), N_("Nothing was lost. Try again in a moment.")),
}
_RETRY = {409, 429, 500, 503}


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Context of error.html. `purposes` are offered when stating one might open the page."""

    status: int
    title: str
    text: str
    detail: str
    retry: bool
    purposes: Sequence[str] = ()


def show_error(visit: Visit, error: HealthBrainError) -> Response:
    """The error as a page."""
    status = http_status(error)
    title, text = _WORDS.get(status, _WORDS[500])
    detail = "" if status in {404, 500} or error.message == error.__class__.__doc__ else error.message
    page = ErrorPage(
        status,
        visit.language.say(title),
        visit.language.say(text),
        wording.tell(visit.language, detail),
        status in _RETRY,
        _purposes(visit, status),
    )
    if status == 403 and visit.principal is not None:
        visit.note("R", detail=visit.path, outcome=4)
    crumbs = [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(title))]
    return show(visit, "error.html", page, crumbs=crumbs, status=status)


def stranger(platform: Platform, request: Request) -> Visit:
    """A visit without sign-in, for when even looking up the session failed."""
    tag = language.best(request.headers.get("accept-language", ""), platform.settings.language)
    return Visit(request, platform, language.language(tag), "light", platform.clock())


def _purposes(visit: Visit, status: int) -> list[str]:
    if status != 403 or visit.principal is None or visit.request.method != "GET":
        return []
    return sorted(access.allowed_purposes(visit.principal.role) - {visit.principal.purpose, "ETREAT"})
