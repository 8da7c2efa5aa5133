"""Signing in and out, the own password and sessions, language and look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import orjson
from starlette.responses import RedirectResponse, Response

from healthbrain import access, audit
from healthbrain.access import OpenSession, second_factor
from healthbrain.access.second_factor import required_roles
from healthbrain.errors import Busy, Incorrect, Unauthenticated
from healthbrain.scope import Purpose
from healthbrain.settings import Settings
from healthbrain.web import guard, language
from healthbrain.web.language import N_
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Visit

_WAITING = int(second_factor.WAITING.total_seconds())
_YEAR = 365 * 24 * 3600
DEMO_ACCOUNTS = "demo-accounts.json"


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the demo, offered on the sign-in page. Never made outside the demo."""

    name: str
    password: str
    role: str
    display: str


@dataclass(frozen=True, slots=True)
class LoginPage:
    """Context of login.html."""

    goal: str
    name: str = ""
    error: str = ""
    demo: Sequence[DemoAccount] = ()
    provider: str = ""  # what the external identity provider is called; empty = none


@dataclass(frozen=True, slots=True)
class PasswordPage:
    """Context of password.html."""

    forced: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class SessionsPage:
    """Context of sessions.html."""

    sessions: Sequence[OpenSession]
    own: str


async def login(visit: Visit) -> Response:
    """The sign-in page; who is signed in goes on."""
    goal = safe_goal(visit.query.get("next", ""))
    if visit.principal is not None:
        return RedirectResponse(goal, 303)
    return show(visit, "login.html", _login_page(visit, goal))


async def enter(visit: Visit) -> Response:
    """Try a name and a password."""
    form = await visit.form()
    name, goal = str(form.get("name", "")), safe_goal(str(form.get("next", "")))
    try:
        async with visit.platform.pool.connection() as connection:
            await connection.set_autocommit(True)
            try:
                opened = await access.sign_in(
                    connection,
                    name,
                    str(form.get("password", "")),
                    visit.at,
                    address=visit.address,
                    agent=visit.request.headers.get("user-agent", ""),
                    required=required_roles(visit.platform.settings.second_factor),
                )
            finally:
                await connection.set_autocommit(False)
    except Unauthenticated:
        _note_failure(visit, name)
        error, status = N_("The account or the password is not right."), 401
    except Busy:
        error, status = N_("Too many attempts. Wait a little, then try again."), 429
    else:
        if opened.waits_for:
            response = RedirectResponse(f"/second-factor?{urlencode({'next': goal})}", 303)
            guard.set_cookie(visit.request, response, guard.SESSION_COOKIE, opened.cookie, _WAITING)
            return response
        visit.platform.audit.note(
            audit.Event.of(opened.principal, visit.at, "E", interaction="sign-in", address=visit.address)
        )
        response = RedirectResponse("/password" if opened.must_change else goal, 303)
        seconds = int((opened.until - visit.at).total_seconds())
        guard.set_cookie(visit.request, response, guard.SESSION_COOKIE, opened.cookie, seconds)
        return response
    page = _login_page(visit, goal, name, visit.language.say(error))
    return show(visit, "login.html", page, status=status)


async def leave(visit: Visit) -> Response:
    """Sign out."""
    async with visit.platform.pool.connection() as connection:
        await access.sign_out(connection, visit.session, visit.at)
        await audit.record(connection, [visit.event("E", interaction="sign-out")])
    response = RedirectResponse("/login", 303)
    response.delete_cookie(guard.SESSION_COOKIE, path="/")
    return response


async def prefer(visit: Visit) -> Response:
    """Keep a language or a look in the browser."""
    form = await visit.form()
    response = RedirectResponse(safe_goal(str(form.get("next", ""))), 303)
    if (tag := str(form.get("language", ""))) in language.TAGS:
        guard.set_cookie(visit.request, response, LANGUAGE_COOKIE, tag, _YEAR)
    if (theme := str(form.get("theme", ""))) in THEMES:
        guard.set_cookie(visit.request, response, THEME_COOKIE, theme, _YEAR)
    return response


async def password(visit: Visit) -> Response:
    """The form for a new password."""
    return _password_page(visit)


async def change_password(visit: Visit) -> Response:
    """Set a new password; all sessions end, this browser gets a new one."""
    form = await visit.form()
    present, fresh = str(form.get("present", "")), str(form.get("fresh", ""))
    if fresh != str(form.get("again", "")):
        return _password_page(visit, N_("The two new passwords are not the same."))
    if fresh == present:
        return _password_page(visit, N_("The new password is the present one; choose another."))
    name = visit.who.account
    async with visit.platform.pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            await access.sign_in(connection, name, present, visit.at, address=visit.address, proven=True)
            await access.set_password(connection, name, fresh, at=visit.at)
            opened = await access.sign_in(
                connection, name, fresh, visit.at, address=visit.address, proven=True,
                agent=visit.request.headers.get("user-agent", ""),
            )  # fmt: skip
        except Unauthenticated:
            return _password_page(visit, N_("The present password is not right."))
        except Incorrect:
            return _password_page(visit, N_("The new password is too easy. See the rules below the field."))
        finally:
            await connection.set_autocommit(False)
    visit.note("U", "account", name, interaction="password")
    response = RedirectResponse("/", 303)
    seconds = int((opened.until - visit.at).total_seconds())
    guard.set_cookie(visit.request, response, guard.SESSION_COOKIE, opened.cookie, seconds)
    return response


async def sessions(visit: Visit) -> Response:
    """The own open sessions."""
    async with visit.platform.pool.connection() as connection:
        found = await access.sessions(connection, visit.who.account, visit.at)
    page = SessionsPage(found, guard.session_handle(visit.session))
    return show(visit, "sessions.html", page, crumbs=[_home(visit), Crumb(visit.language.say(N_("Sessions")))])


async def end_session(visit: Visit) -> Response:
    """End one of the own sessions."""
    form = await visit.form()
    async with visit.platform.pool.connection() as connection:
        await access.revoke_session(connection, visit.who.account, str(form.get("handle", "")), visit.at)
        await audit.record(connection, [visit.event("E", interaction="session-end")])
    return RedirectResponse("/sessions", 303)


async def state_purpose(visit: Visit) -> Response:
    """Go on for another purpose of use, with a reason; audited."""
    form = await visit.form()
    wanted, goal = str(form.get("purpose", "")), safe_goal(str(form.get("next", "")))
    allowed = {purpose: purpose for purpose in access.allowed_purposes(visit.who.role)}
    purpose: Purpose | None = allowed.get(wanted)  # type: ignore[call-overload]  # a text from outside, looked up
    if purpose is None:
        raise Incorrect("this purpose of use is not one of your role")
    reason = str(form.get("reason", ""))
    async with visit.platform.pool.connection() as connection:
        await access.declare_purpose(connection, visit.session, purpose, reason, visit.at)
        await audit.record(connection, [visit.event("E", detail=f"{purpose}: {reason.strip()}", interaction="purpose")])
    return RedirectResponse(goal, 303)


def demo_accounts(settings: Settings) -> list[DemoAccount]:
    """The accounts that `hb demo` wrote down; none outside the demo."""
    path = settings.data / DEMO_ACCOUNTS
    if not settings.demo or not path.exists():
        return []
    return [DemoAccount(**entry) for entry in orjson.loads(path.read_bytes())]


def show_on_sign_in(settings: Settings, accounts: Sequence[Mapping[str, str]]) -> None:
    """Write the demo's accounts (name, password, role, display) down for the sign-in page, for this user's eyes only."""
    path = settings.data / DEMO_ACCOUNTS
    path.touch(mode=0o600, exist_ok=True)
    path.write_bytes(orjson.dumps([dict(account) for account in accounts]))


def safe_goal(goal: str) -> str:
    """A place on this site to go to; anything else becomes the start page."""
    parts = urlsplit(goal)
    if not goal.startswith("/") or goal.startswith(("//", "/\\")) or parts.netloc or parts.scheme or "\n" in goal:
        return "/"
    return goal


def _login_page(visit: Visit, goal: str, name: str = "", error: str = "") -> LoginPage:
    settings = visit.platform.settings
    return LoginPage(goal, name, error, demo_accounts(settings), settings.oidc_name if settings.oidc_issuer else "")


def _password_page(visit: Visit, error: str = "") -> Response:
    crumbs = [_home(visit), Crumb(visit.language.say(N_("Change password")))]
    page = PasswordPage(visit.must_change, visit.language.say(error) if error else "")
    return show(visit, "password.html", page, crumbs=crumbs, status=400 if error else 200)


def _note_failure(visit: Visit, name: str) -> None:
    visit.platform.audit.note(
        audit.Event(
            visit.at, "E", name[:64], "", 0, "", outcome=audit.REFUSED, interaction="sign-in", address=visit.address
        )
    )


def _home(visit: Visit) -> Crumb:
    return Crumb(visit.language.say(N_("Home")), "/")
