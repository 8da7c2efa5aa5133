"""The pages of the authorisation server: asking for consent, and saying why not. Language and look as on the screens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from healthbrain.api.oauth.words import Tag, texts
from healthbrain.errors import HealthBrainError, http_status

_FOLDER = Path(__file__).parent / "templates"
STYLE = "/oauth/page.css"
_THEMES = ("light", "dark", "elder")


@dataclass(frozen=True, slots=True)
class Choice:
    """A resident to choose."""

    id: str
    name: str
    born: str
    place: str


@dataclass(frozen=True, slots=True)
class Consent:
    """What the consent page shows."""

    application: str
    owner: str
    person: str
    returns_to: str
    query: str  # the request as it came; read and checked again with the answer
    csrf: str
    resources: Sequence[tuple[str, str]]  # scope, in words
    besides: Sequence[str]
    needs_patient: bool
    patient: Choice | None  # fixed by the launch
    choices: Sequence[Choice]
    searches: bool
    sought: str


def consent_page(request: Request, language: str, content: Consent, redirect_uri: str) -> Response:
    """The question, as a page."""
    return _page(request, language, "consent.html", content, 200, redirect_uri)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What the page shows that asks whether to sign out."""

    application: str
    query: str
    csrf: str


def leaving_page(request: Request, language: str, application: str, query: str, csrf: str, goal: str) -> Response:
    """Whether the person wants to sign out, as a page."""
    content = Leaving(application, query, csrf)
    return _page(request, language, "leaving.html", content, 200, goal if "://" in goal else "")


def refusal_page(request: Request, language: str, error: HealthBrainError) -> Response:
    """Why nothing happens, when the application cannot be told."""
    return _page(request, language, "refused.html", error.message, http_status(error), "")


def tag_of(request: Request, language: str) -> Tag:
    """The language of a page: as chosen on the screens, else as the browser asks, else the platform's."""
    chosen = request.cookies.get("hb_language") or request.headers.get("accept-language", "") or language
    return "en" if chosen.strip().lower().startswith("en") else "zh-CN"


async def style(request: Request) -> Response:
    """GET /oauth/page.css"""
    content = (_FOLDER / "page.css").read_bytes()
    return Response(content, headers={"cache-control": "public, max-age=3600"}, media_type="text/css; charset=utf-8")


def _page(request: Request, language: str, template: str, page: Any, status: int, redirect_uri: str) -> Response:
    tag = tag_of(request, language)
    theme = request.cookies.get("hb_theme", "")
    html = _templates().get_template(template).render(
        page=page, say=texts(tag), tag=tag, theme=theme if theme in _THEMES else "light", style=STYLE
    )  # fmt: skip
    return HTMLResponse(html, status, _headers(redirect_uri))


def _headers(redirect_uri: str) -> dict[str, str]:
    # browsers apply form-action to where a form is redirected to as well
    goals = ["'self'"]
    if redirect_uri:
        parts = urlsplit(redirect_uri)
        goals.append(f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:")
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {' '.join(goals)}"
    )
    return {
        "content-security-policy": policy,
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["fields"] = lambda query: parse_qsl(query, keep_blank_values=True)
    return made
