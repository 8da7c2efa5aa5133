"""Finding a resident. Searches are posted, never put in an address: a number in a log or a history is a leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain import access, identity
from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.scope import Scope
from healthbrain.web.language import N_
from healthbrain.web.pages import people
from healthbrain.web.pages.people import ResidentLine
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_MOST = 20
_NAMED = 200  # persons of one name among whom the date of birth is looked for
_PANEL = 25


@dataclass(frozen=True, slots=True)
class ResidentsPage:
    """Context of residents.html."""

    number: str = ""
    name: str = ""
    birth: str = ""
    error: str = ""
    searched: bool = False
    rows: Sequence[ResidentLine] = ()
    panel: Sequence[ResidentLine] = ()
    panel_total: str = ""
    older: str = ""
    newer: str = ""


async def residents(visit: Visit) -> Response:
    """The search form; a family doctor also sees the residents under contract."""
    start = int(text) if (text := visit.query.get("from", "")).isdecimal() else 0
    page = ResidentsPage()
    async with visit.platform.pool.connection() as connection:
        scope = await _scope(visit, connection)
        if visit.who.practitioner:
            own = await access.panel(connection, visit.who.practitioner)
            tree = await visit.platform.tree(connection)
            shown = await people.lines(visit, connection, tree, own[start : start + _PANEL], scope, outside=False)
            page = ResidentsPage(
                panel=shown,
                panel_total=visit.language.number(len(own)),
                older=visit.at_url(**{"from": start + _PANEL}) if start + _PANEL < len(own) else "",
                newer="/residents" if start else "",
            )
            visit.note("R", "Patient", patients=[k for line in shown for k in line.patients], interaction="panel")
    return show(visit, "residents.html", page, crumbs=_crumbs(visit))


async def search(visit: Visit) -> Response:
    """Look for a resident."""
    form = await visit.form()
    number, name, birth = (str(form.get(key, "")).strip() for key in ("number", "name", "birth"))
    async with visit.platform.pool.connection() as connection:
        scope = await _scope(visit, connection)
        tree = await visit.platform.tree(connection)
        if number:
            persons = await identity.find(connection, identifier=number, limit=_MOST)
            # whoever holds the card or the number may find its owner; a doctor may then open it in an emergency
            rows = await people.lines(visit, connection, tree, persons, scope, outside=visit.who.role == "doctor")
        elif name and birth:
            persons = await identity.find(connection, name=name, limit=_NAMED)
            found = await people.lines(visit, connection, tree, persons, scope, outside=False)
            rows = [line for line in found if line.birth == birth][:_MOST]
        else:
            error = visit.language.say(N_("Give a number, or a name together with the date of birth."))
            page = ResidentsPage(number, name, birth, error)
            return show(visit, "residents.html", page, crumbs=_crumbs(visit), status=400)
    kind = "number" if number else "name+birth"
    patients = [key for line in rows for key in line.patients]
    visit.note("E", "Patient", patients=patients, detail=f"by {kind}, {len(rows)} found", interaction="search")
    page = ResidentsPage(number, name, birth, searched=True, rows=rows)
    return show(visit, "residents.html", page, crumbs=_crumbs(visit))


async def _scope(visit: Visit, connection: Connection) -> Scope:
    if visit.who.role == "resident":
        raise Forbidden("residents open their own record; they do not search for others")
    scope = await visit.decide(connection, "search", "Patient")
    if not scope.identified:
        raise Forbidden("finding single residents needs a purpose that identifies people")
    return scope


def _crumbs(visit: Visit) -> list[Crumb]:
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Residents")), "/residents")]
