"""Applications: which are registered and may come in (应用授权), and which of them may act for me (我的授权)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from healthbrain import access, audit
from healthbrain.access import Client, Tree
from healthbrain.access.smart import consents
from healthbrain.access.smart.grammar import split_scopes
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Incorrect, NotFound
from healthbrain.web import wording
from healthbrain.web.language import N_
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_KINDS = {
    "public": N_("public, with PKCE"),
    "symmetric": N_("with a secret"),
    "asymmetric": N_("with keys of its own"),
}


@dataclass(frozen=True, slots=True)
class ApplicationLine:
    """A registered application."""

    id: str
    name: str
    kind: str
    organisation: str
    scopes: Sequence[str]
    goals: Sequence[str]
    last: str
    state: str  # open, blocked or waiting


@dataclass(frozen=True, slots=True)
class ApplicationsPage:
    """Context of applications.html."""

    applications: Sequence[ApplicationLine]
    organisations: Sequence[tuple[str, str]]
    error: str = ""


@dataclass(frozen=True, slots=True)
class GivenLine:
    """An application that may act for the visitor."""

    id: int
    name: str
    scopes: Sequence[str]
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class GivenPage:
    """Context of my_applications.html."""

    given: Sequence[GivenLine]
    remembered: Sequence[tuple[str, str, str]]  # client, name, until when


async def applications(visit: Visit, *, error: str = "", status: int = 200) -> Response:
    """The registered applications of the own organisation and those below it."""
    async with visit.platform.pool.connection() as connection:
        own = await visit.administered(connection)
        tree = await visit.platform.tree(connection)
        known = [one for one in await access.clients(connection) if one.organisation in own]
    lines = sorted((_line(visit, tree, one) for one in known), key=lambda one: one.state != "waiting")
    places = [(node.code, node.name) for node in tree if node.kind != "quarantine" and node.key in own]
    crumbs = [_home(visit), Crumb(visit.language.say(N_("Administration")), "/admin")]
    page = ApplicationsPage(lines, places, error)
    crumbs.append(Crumb(visit.language.say(N_("Applications"))))
    return show(visit, "applications.html", page, crumbs=crumbs, status=status)


async def change(visit: Visit) -> Response:
    """Let an application in, block it, open it again."""
    form = {key: str(value).strip() for key, value in (await visit.form()).items()}
    wish = form.get("wish", "")
    try:
        async with visit.platform.pool.connection() as connection:
            one = await _theirs(visit, connection, form.get("client", ""))
            match wish:
                case "approve":
                    await _approve(visit, connection, one, form)
                case "block":
                    await access.disable_client(connection, one.id, at=visit.at)
                case "open":
                    await access.enable_client(connection, one.id, at=visit.at)
                case _:
                    raise Incorrect("this page does not know what to do; open it again")
            await audit.record(connection, [visit.event("U", "client", one.id, detail=wish)])
    except Incorrect as error:
        return await applications(visit, error=wording.tell(visit.language, error.message), status=400)
    return RedirectResponse("/admin/applications", 303)


async def mine(visit: Visit) -> Response:
    """The applications that may act for the visitor."""
    said, name = visit.language, visit.who.account
    async with visit.platform.pool.connection() as connection:
        given = await access.authorisations_of(connection, name, visit.at)
        kept = await consents.consents_of(connection, name, visit.at)
    page = GivenPage(
        [GivenLine(g.id, g.name, g.scopes, said.ago(g.created_at, visit.at), said.time(g.until)) for g in given],
        [(client, label, said.short_day(until)) for client, label, until in kept],
    )
    return show(visit, "my_applications.html", page, crumbs=[_home(visit), Crumb(said.say(N_("My applications")))])


async def withdraw(visit: Visit) -> Response:
    """Take back what was allowed, or be asked again from now on."""
    form = {key: str(value) for key, value in (await visit.form()).items()}
    name, number, client = visit.who.account, form.get("given", ""), form.get("client", "")
    async with visit.platform.pool.connection() as connection:
        if number.isdecimal() and len(number) < 19:
            await access.withdraw(connection, name, int(number), visit.at)
        elif client:
            await consents.forget(connection, name, client)
        else:
            raise NotFound("you have not allowed an application under this number")
        await audit.record(connection, [visit.event("D", "client", client or number, interaction="withdraw")])
    return RedirectResponse("/my/applications", 303)


async def _approve(visit: Visit, connection: Connection, one: Client, form: dict[str, str]) -> None:
    node = (await visit.platform.tree(connection)).by_code(form.get("organisation", ""))
    if node is None or node.key not in await visit.administered(connection):
        raise Incorrect("choose an organisation")
    scopes = [text for text in split_scopes(form.get("scope", "")) if text in one.scopes]
    await access.approve_client(connection, one.id, organisation=node.key, scopes=scopes, at=visit.at)


async def _theirs(visit: Visit, connection: Connection, id_: str) -> Client:
    """An application that is this visitor's to look after. Raises NotFound."""
    own = await visit.administered(connection)
    try:
        one = await access.find_client(connection, id_)
    except HealthBrainError:
        raise NotFound("there is no such application") from None
    if one.organisation not in own:
        raise NotFound("there is no such application")
    return one


def _line(visit: Visit, tree: Tree, one: Client) -> ApplicationLine:
    said = visit.language
    state = "waiting" if one.waits_since else "blocked" if one.disabled_at else "open"
    return ApplicationLine(
        one.id, one.name, said.say(_KINDS[one.kind]), tree.name(one.organisation), one.scopes, one.redirect_uris,
        said.ago(one.last_used_at, visit.at), state,
    )  # fmt: skip


def _home(visit: Visit) -> Crumb:
    return Crumb(visit.language.say(N_("Home")), "/")
