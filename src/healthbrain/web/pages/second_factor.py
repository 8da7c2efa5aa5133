"""The second factor: showing a code at sign-in, turning it on with a QR code, recovery codes, turning it off.

A browser whose password was right but whose code is missing has a session that opens nothing; this is the only page
that knows it. Its forms carry the token of that session like all others.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reportlab.graphics.barcode.qrencoder import QRCode, QRErrorCorrectLevel
from starlette.responses import RedirectResponse, Response

from healthbrain import access, audit
from healthbrain.access import second_factor
from healthbrain.access.sealing import Vault, vault_in
from healthbrain.database import Connection
from healthbrain.errors import Busy, HealthBrainError, Incorrect, Unauthenticated
from healthbrain.web import guard
from healthbrain.web.language import N_
from healthbrain.web.pages.signin import safe_goal
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_ISSUER = "HealthBrain"


@dataclass(frozen=True, slots=True)
class SecondFactorPage:
    """Context of second_factor.html."""

    state: Literal["code", "enrol", "codes", "on", "off"]
    goal: str
    csrf: str
    error: str = ""
    required: bool = False
    picture: str = ""  # the QR code as a data address
    secret: str = ""  # the same to be typed in
    codes: Sequence[str] = ()  # recovery codes, shown once
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Visitor:
    """Whose factor this is about. `waits` is what their session still waits for, '' when they are signed in."""

    account: str
    cookie: str
    waits: second_factor.Waits
    goal: str
    required: bool


async def second_factor_page(visit: Visit) -> Response:
    """What is asked for now: a code, the first code of a new factor, or nothing."""
    async with visit.platform.pool.connection() as connection:
        who = await _visitor(visit, connection, visit.query.get("next", ""))
        if who.waits == "enrolment":
            return _enrolling(visit, who, await second_factor.begin(connection, _vault(visit), who.account, visit.at))
        if who.waits == "code":
            return _shown(visit, who, SecondFactorPage("code", who.goal, access.csrf_token(who.cookie)))
        return await _managing(visit, connection, who)


async def act(visit: Visit) -> Response:
    """What the visitor does: show a code, begin, confirm, remove, take new recovery codes."""
    form = {key: str(value) for key, value in (await visit.form()).items()}
    async with visit.platform.pool.connection() as connection:
        who = await _visitor(visit, connection, form.get("next", ""))
        guard.check_token(who.cookie, form.get("csrf", ""))
        code, wish = form.get("code", ""), form.get("wish", "")
        try:
            match wish:
                case "check" if who.waits == "code":
                    await second_factor.check(connection, _vault(visit), who.account, code, visit.at)
                    return await _enter(visit, connection, who)
                case "confirm" if who.waits != "code":
                    made = await second_factor.confirm(connection, _vault(visit), who.account, code, visit.at)
                    return await _turned_on(visit, connection, who, made)
                case "begin" if not who.waits:
                    return _enrolling(
                        visit, who, await second_factor.begin(connection, _vault(visit), who.account, visit.at)
                    )
                case "codes" if not who.waits:
                    await second_factor.check(connection, _vault(visit), who.account, code, visit.at)
                    made = await second_factor.new_recovery_codes(connection, who.account)
                    visit.note("U", "account", who.account, interaction="second-factor", detail="recovery codes")
                    return _codes(visit, who, made)
                case "remove" if not who.waits and not who.required:
                    await second_factor.check(connection, _vault(visit), who.account, code, visit.at)
                    await second_factor.remove(connection, who.account, visit.at)
                    visit.note("D", "account", who.account, interaction="second-factor")
                    return RedirectResponse("/second-factor", 303)
        except (Unauthenticated, Busy) as refusal:
            return await _refused(visit, connection, who, wish, refusal)
    raise Incorrect("this page does not know what to do; open it again")


async def _visitor(visit: Visit, connection: Connection, goal: str) -> _Visitor:
    required = _required(visit)
    if visit.principal is not None:
        name = visit.who.account
        return _Visitor(name, visit.session, "", safe_goal(goal), visit.who.role in required)
    cookie = visit.request.cookies.get(guard.SESSION_COOKIE, "")
    known = await second_factor.waiting(connection, cookie, visit.at)
    return _Visitor(known.account, cookie, known.waits_for, safe_goal(goal), True)


async def _enter(visit: Visit, connection: Connection, who: _Visitor) -> Response:
    """The session that waited becomes one that opens what it may."""
    opened = await _completed(visit, connection, who)
    response = RedirectResponse("/password" if opened.must_change else who.goal, 303)
    guard.set_cookie(visit.request, response, guard.SESSION_COOKIE, opened.cookie, _seconds(visit, opened))
    return response


async def _turned_on(visit: Visit, connection: Connection, who: _Visitor, made: Sequence[str]) -> Response:
    if not who.waits:
        visit.note("C", "account", who.account, interaction="second-factor")
        return _codes(visit, who, made)
    opened = await _completed(visit, connection, who)
    event = audit.Event.of(opened.principal, visit.at, "C", "account", who.account, interaction="second-factor", address=visit.address)  # fmt: skip
    visit.platform.audit.note(event)
    response = _codes(visit, who, made)
    guard.set_cookie(visit.request, response, guard.SESSION_COOKIE, opened.cookie, _seconds(visit, opened))
    return response


async def _completed(visit: Visit, connection: Connection, who: _Visitor) -> access.Session:
    agent = visit.request.headers.get("user-agent", "")
    opened = await access.complete(connection, who.cookie, visit.at, address=visit.address, agent=agent)
    visit.platform.audit.note(
        audit.Event.of(opened.principal, visit.at, "E", interaction="sign-in", address=visit.address)
    )
    return opened


async def _refused(
    visit: Visit, connection: Connection, who: _Visitor, wish: str, refusal: HealthBrainError
) -> Response:
    visit.platform.audit.note(
        audit.Event(
            visit.at, "E", who.account, "", 0, "", outcome=audit.REFUSED, interaction="second-factor", address=visit.address
        )
    )  # fmt: skip
    if isinstance(refusal, Busy):
        said, status = N_("Too many attempts. Wait a little, then try again."), 429
    else:
        said, status = N_("The code is not right or was used already. Take the next one."), 401
    error = visit.language.say(said)
    if wish == "confirm":
        return _enrolling(visit, who, await second_factor.begun(connection, _vault(visit), who.account), error, status)
    if who.waits:
        return _shown(visit, who, SecondFactorPage("code", who.goal, access.csrf_token(who.cookie), error), status)
    return await _managing(visit, connection, who, error, status)


async def _managing(
    visit: Visit, connection: Connection, who: _Visitor, error: str = "", status: int = 200
) -> Response:
    has = await second_factor.standing(connection, who.account)
    page = SecondFactorPage(
        "on" if has.active else "off", who.goal, visit.csrf, error, who.required, left=has.recovery_codes
    )
    return _shown(visit, who, page, status)


def _enrolling(visit: Visit, who: _Visitor, secret: bytes, error: str = "", status: int = 200) -> Response:
    text = second_factor.readable(secret)
    page = SecondFactorPage(
        "enrol", who.goal, access.csrf_token(who.cookie), error, who.required,
        picture=qr_picture(second_factor.address(secret, who.account, _ISSUER)),
        secret=" ".join(text[n : n + 4] for n in range(0, len(text), 4)),
    )  # fmt: skip
    return _shown(visit, who, page, status)


def _codes(visit: Visit, who: _Visitor, made: Sequence[str]) -> Response:
    return _shown(visit, who, SecondFactorPage("codes", who.goal, "", codes=made))


def _shown(visit: Visit, who: _Visitor, page: SecondFactorPage, status: int = 200) -> Response:
    home, here = visit.language.say(N_("Home")), visit.language.say(N_("Second factor"))
    crumbs = [Crumb(home, "/"), Crumb(here)] if not who.waits else []
    return show(visit, "second_factor.html", page, crumbs=crumbs, status=status)


def _vault(visit: Visit) -> Vault:
    return vault_in(visit.platform.settings.data)


def _required(visit: Visit) -> frozenset[str]:
    return second_factor.required_roles(visit.platform.settings.second_factor)


def _seconds(visit: Visit, opened: access.Session) -> int:
    return int((opened.until - visit.at).total_seconds())


def qr_picture(text: str) -> str:
    """A QR code as the address of an SVG picture; black on white, as cameras want it, in every look."""
    code = QRCode(None, QRErrorCorrectLevel.M)
    code.addData(text)
    code.make()
    size = code.getModuleCount()
    squares = "".join(f"M{x} {y}h1v1h-1z" for y in range(size) for x in range(size) if code.isDark(y, x))
    whole = size + 8
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 {whole} {whole}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M-4-4h{whole}v{whole}h-{whole}z"/><path d="{squares}"/></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
