"""One resource with all its versions and where each came from: the way from a fact to the message that brought it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.errors import Forbidden
from healthbrain.web.language import N_
from healthbrain.web.raw_view import Line, json_lines, parse_exact
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_VERSIONS = 50
_LINES = 400


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version."""

    version: int
    time: str
    institution: str
    delivery: int | None
    url: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Context of record.html."""

    reference: str
    version: int
    facts: Sequence[tuple[str, str, str]]
    versions: Sequence[VersionLine]
    lines: Sequence[Line]


async def record(visit: Visit) -> Response:
    """A resource; `version` chooses an older one."""
    said = visit.language
    type_, id_ = visit.request.path_params["type"], visit.request.path_params["id"]
    wanted = visit.query.get("version", "")
    store = visit.platform.store
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", type_)
        if not scope.identified:
            raise Forbidden("single records open only for a purpose that identifies people")
        if wanted.isdecimal():
            one = await store.vread(connection, type_, id_, int(wanted), scope=scope)
        else:
            one = await store.read(connection, type_, id_, scope=scope)
        past = await store.history(connection, type_, id_, count=_VERSIONS, scope=scope)
        tree = await visit.platform.tree(connection)
        persons = await visit.platform.persons_of(connection, [one.patient] if one.patient else [])
    visit.note("R", type_, id_, patients=[one.patient] if one.patient else [], interaction="record")
    person = persons.get(one.patient or 0, "")
    facts = [
        (said.say(N_("Institution")), tree.name(one.owner), ""),
        (said.say(N_("Version")), str(one.version), ""),
        (said.say(N_("Stored")), said.time(one.updated, seconds=True), ""),
        (
            said.say(N_("Message")),
            str(one.delivery or ""),
            f"/arrivals/{one.delivery}" if one.delivery and visit.may("search", "arrival") else "",
        ),
        (
            said.say(N_("Resident")),
            said.say(N_("Health record")) if person else "",
            f"/residents/{person}" if person else "",
        ),
    ]
    versions = [
        VersionLine(
            v.version,
            said.time(v.updated, seconds=True),
            tree.name(v.owner),
            v.delivery if visit.may("search", "arrival") else None,
            f"{visit.path}?version={v.version}",
            v.deleted,
        )
        for v in past.matches
    ]
    lines, _ = json_lines(parse_exact(one.body.decode()))
    page = RecordPage(f"{type_}/{id_}", one.version, facts, versions, lines[:_LINES])
    crumbs = [Crumb(said.say(N_("Home")), "/")]
    if person:
        crumbs.append(Crumb(said.say(N_("Health record")), f"/residents/{person}"))
    return show(visit, "record.html", page, crumbs=[*crumbs, Crumb(f"{type_}/{id_}")])
