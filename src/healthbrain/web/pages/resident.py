"""The resident page (居民健康画像): one person over all institutions, every fact with the way back to its message.

Open to the person, to who cares for them, to public health; to other doctors in an emergency, with a reason that is
reviewed. Every opening is logged and shown to the resident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from healthbrain import access, audit, identity
from healthbrain.access import Client, Tree
from healthbrain.audit import Query, Record
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, NotFound
from healthbrain.portrait import Portrait, portrait, timeline
from healthbrain.scope import Scope
from healthbrain.store import patient_key
from healthbrain.store.versions import of_patients
from healthbrain.web import guard, labels
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import resident_view as view
from healthbrain.web.pages.resident_view import FactLine, From, ResidentPage, Tab
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_TABS = ("overview", "timeline", "problems", "medicines", "results", "vaccinations", "documents")
_TAB_LABELS = {
    "overview": N_("Overview"),
    "timeline": N_("Timeline"),
    "problems": N_("Problems"),
    "medicines": N_("Medicines"),
    "results": N_("Results"),
    "vaccinations": N_("Vaccinations"),
    "documents": N_("Documents"),
}
_DOCUMENTS = ("DocumentReference", "DiagnosticReport", "Composition")
_REVEALED = ("doctor", "resident", "cdc")
_VIEWS = 40


@dataclass(frozen=True, slots=True)
class LockedPage:
    """Context of locked.html."""

    action: str
    may_break: bool


@dataclass(frozen=True, slots=True)
class ViewerLine:
    """One look at the record."""

    time: str
    who: str
    role: str
    institution: str
    purpose: str
    what: str
    refused: bool
    emergency: bool
    times: int = 1  # the same in the same minute


@dataclass(frozen=True, slots=True)
class ViewersPage:
    """Context of viewers.html."""

    rows: Sequence[ViewerLine]
    older: str
    newer: str


async def resident(visit: Visit) -> Response:
    """The page; `tab`, `kind`, `at` and `cursor` choose what of it."""
    person = visit.request.path_params["person"]
    tab = wanted if (wanted := visit.query.get("tab", "overview")) in _TABS else "overview"
    async with visit.platform.pool.connection() as connection:
        current = (await identity.resolve(connection, [person])).get(person)
        if current is None:
            raise NotFound("there is no such resident")
        if current != person:
            return RedirectResponse(f"/residents/{current}", 303)
        scope = await visit.decide(connection, "read", "Patient")
        if not scope.identified:
            raise Forbidden("single records open only for a purpose that identifies people")
        ids = [id_ for id_, _ in await identity.patient_ids(connection, person)]
        tree = await visit.platform.tree(connection)
        try:
            found = await portrait(
                connection, visit.platform.store, person=person, patient_ids=ids, scope=scope, organisations=tree,
                at=visit.at, reveal=visit.who.role in _REVEALED,
            )  # fmt: skip
        except NotFound:
            return _locked(visit, person)
        page = await _page(visit, connection, found, ids, scope, tree, tab)
        emergency = await _emergency(visit, connection, person)
        launchable = await _launchable(visit, connection, tree)
    visit.note("R", "Patient", person, patients=[patient_key(id_) for id_ in ids], detail=tab)
    said = visit.language
    crumbs = [Crumb(said.say(N_("Home")), "/")]
    if visit.who.role != "resident":
        crumbs.append(Crumb(said.say(N_("Residents")), "/residents"))
    crumbs.append(Crumb(page.banner.name))
    page = replace(page, emergency=emergency, applications=[(one.id, one.name) for one in launchable], patient=ids[0])
    response = show(visit, "resident.html", page, crumbs=crumbs)
    guard.let_forms_lead_to(response, [_origin(one.launch_uri) for one in launchable])
    return response


async def break_glass(visit: Visit) -> Response:
    """Open a record in an emergency."""
    person = visit.request.path_params["person"]
    reason = str((await visit.form()).get("reason", ""))
    async with visit.platform.pool.connection() as connection:
        ids = [id_ for id_, _ in await identity.patient_ids(connection, person)]
        if not ids:
            raise NotFound("there is no such resident")
        await access.break_glass(connection, visit.who, person, reason, visit.at)
        await access.declare_purpose(connection, visit.session, "ETREAT", reason, visit.at)
        event = visit.event(
            "E", "Patient", person, patients=[patient_key(id_) for id_ in ids], detail=reason.strip(),
            interaction="emergency",
        )  # fmt: skip
        await audit.record(connection, [event])
    return RedirectResponse(f"/residents/{person}", 303)


async def viewers(visit: Visit) -> Response:
    """Who viewed this record: for the resident, and for who may read the log."""
    person = visit.request.path_params["person"]
    if visit.who.role == "resident" and visit.who.person != person:
        raise Forbidden("only the own record's views are open")
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", "AuditEvent")
        keys = await identity.patients_of(connection, [person])
        if not keys:
            raise NotFound("there is no such resident")
        await visit.platform.audit.flush()
        records, more = await audit.search(
            connection, Query(patients=keys), scope=scope, count=_VIEWS, after=visit.query.get("after", "")
        )
        tree = await visit.platform.tree(connection)
        names = {one.name: one.display for one in await access.accounts(connection)}
    each = [_viewer(visit.language, tree, names, record) for record in records]
    rows = [replace(line, times=len(list(same))) for line, same in groupby(each)]
    page = ViewersPage(rows, visit.at_url(after=more) if more else "", visit.path if visit.query.get("after") else "")
    crumbs = [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Who viewed this record")))]
    return show(visit, "viewers.html", page, crumbs=crumbs)


async def _page(
    visit: Visit, connection: Connection, found: Portrait, ids: Sequence[str], scope: Scope, tree: Tree, tab: str
) -> ResidentPage:
    said, base = visit.language, f"/residents/{found.banner.person}"
    own = visit.who.role == "resident"
    kind, place = visit.query.get("kind", ""), visit.query.get("at", "")
    part = found.timeline
    if tab == "timeline":
        part = await timeline(
            connection, patient_ids=ids, scope=scope, organisations=tree, kind=kind or None,
            organisation=int(place) if place.isdecimal() else None, cursor=visit.query.get("cursor") or None,
        )  # fmt: skip
    events = part.events if tab == "timeline" else part.events[:6]
    results = view.result_views(said, [*found.vitals, *found.results]) if tab == "results" else []
    return ResidentPage(
        banner=view.banner_view(said, found.banner, own=own),
        tab=tab,
        tabs=_tabs(said, base, tab, found),
        plain=view.plain_words(said, found, base) if own and tab == "overview" else [],
        timeline=view.timeline_lines(said, events) if tab in ("overview", "timeline") else [],
        timeline_next=visit.at_url(cursor=part.next) if tab == "timeline" and part.next else "",
        kinds=[(code, f"{display} ({n})") for code, display, n in part.kinds],
        kind=kind,
        places=[(str(key), f"{name} ({n})") for key, name, n in part.organisations],
        place=place,
        problems=[view.problem_line(said, one) for one in found.problems] if tab in ("overview", "problems") else [],
        medicines=[view.medicine_line(said, one) for one in found.medicines]
        if tab in ("overview", "medicines")
        else [],
        allergies=[view.allergy_line(said, one) for one in found.allergies] if tab == "overview" else [],
        results=sorted(results, key=lambda one: not one.flag)[:40],
        vaccinations=[view.dose_line(said, one) for one in found.vaccinations] if tab == "vaccinations" else [],
        documents=await _documents(said, connection, ids, scope, tree) if tab == "documents" else [],
    )


def _tabs(said: Language, base: str, chosen: str, found: Portrait) -> list[Tab]:
    counts: dict[str, int | None] = {
        "overview": None,
        "timeline": sum(n for _, _, n in found.timeline.kinds),
        "problems": len(found.problems),
        "medicines": len(found.medicines),
        "results": len(found.results) + len(found.vitals),
        "vaccinations": sum(one.state == "given" for one in found.vaccinations),
        "documents": None,
    }
    return [
        Tab(
            said.say(_TAB_LABELS[tab]),
            f"{base}?tab={tab}",
            None if (n := counts[tab]) is None else str(n),
            tab == chosen,
        )
        for tab in _TABS
    ]


async def _documents(
    said: Language, connection: Connection, ids: Sequence[str], scope: Scope, tree: Tree
) -> list[FactLine]:
    stored = await of_patients(connection, [patient_key(id_) for id_ in ids], _DOCUMENTS, scope=scope)
    lines = []
    for one in stored:
        body = one.resource
        day = str(body.get("date") or body.get("effectiveDateTime") or body.get("issued") or "")
        source = From(
            tree.name(one.owner), said.short_day(one.updated), f"/records/{one.type}/{one.id}?version={one.version}"
        )
        lines.append((day, FactLine(_document_title(body), [said.short_day(day)], source)))
    return [line for _, line in sorted(lines, key=lambda entry: entry[0], reverse=True)][:60]


def _document_title(body: dict[str, Any]) -> str:
    concept = body.get("type") or body.get("code") or {}
    coded = next((one.get("display", "") for one in concept.get("coding", ())), "")
    return str(concept.get("text") or coded or body.get("title") or body.get("description") or body["resourceType"])


def _locked(visit: Visit, person: str) -> Response:
    if visit.who.role != "doctor":
        raise NotFound("there is no such resident, or nothing of theirs is open to you")
    visit.note("R", "Patient", person, outcome=audit.REFUSED)
    crumbs = [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Residents")), "/residents")]
    return show(visit, "locked.html", LockedPage(f"/residents/{person}/open", True), crumbs=crumbs, status=403)


async def _launchable(visit: Visit, connection: Connection, tree: Tree) -> list[Client]:
    """The applications that can be opened with a resident (SMART EHR launch): those of the visitor's organisation, of
    those above and below it."""
    own = visit.who.organisation
    near = {own, *tree.ancestors(own), *tree.subtree(own)} if own in tree else {own}
    return [
        one
        for one in await access.clients(connection)
        if one.launch_uri and one.disabled_at is None and one.organisation in near
    ]


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


async def _emergency(visit: Visit, connection: Connection, person: str) -> str:
    if visit.who.purpose != "ETREAT" or person not in await access.granted(connection, visit.who.account, visit.at):
        return ""
    return visit.language.say(N_("This opening is reviewed and shown to the resident."))


def _viewer(said: Language, tree: Tree, names: dict[str, str], record: Record) -> ViewerLine:
    event = record.event
    return ViewerLine(
        time=said.time(event.at),
        who=names.get(event.account, event.account),
        role=said.say(labels.ROLES.get(event.role, event.role)),
        institution=tree.name(event.organisation),
        purpose=said.say(labels.PURPOSES.get(event.purpose, event.purpose)),
        what=said.say(labels.INTERACTIONS.get(event.interaction, labels.ACTIONS[event.action])),
        refused=event.outcome != audit.FINE,
        emergency=event.purpose == "ETREAT",
    )
