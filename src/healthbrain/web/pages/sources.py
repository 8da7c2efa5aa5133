"""The registered sources: who sends through which door, and saying whose system an unknown sender is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from healthbrain import audit, exchange
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.exchange import Source
from healthbrain.web import labels
from healthbrain.web.language import N_, Language
from healthbrain.web.pages.replays import begin
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_SAID = {
    "verified": N_("The source is verified. Its messages belong to the institution from now on."),
    "blocked": N_("The source is blocked. In a few seconds everything it sends is kept and refused."),
    "unblocked": N_("The block is lifted. What was refused meanwhile can be replayed under Arrivals."),
}


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source."""

    key: int
    code: str
    name: str
    organisation: str
    door: str
    sends_as: str
    verified: bool
    blocked: bool
    held: int  # messages under the quarantine, sent before it was verified


@dataclass(frozen=True, slots=True)
class SourcesPage:
    """Context of sources.html."""

    sources: Sequence[SourceLine]
    organisations: Sequence[tuple[str, str]]
    may_change: bool


async def sources(visit: Visit) -> Response:
    """The list."""
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", "arrival")
        tree = await visit.platform.tree(connection)
        known = await exchange.sources(connection)
        held = await exchange.unreleased(connection)
    shown = [s for s in known if scope.organisations is None or s.organisation in scope.organisations]
    said = visit.language
    page = SourcesPage(
        sources=[
            _line(said, tree, one, held.get(one.key, 0)) for one in sorted(shown, key=lambda s: (s.verified, s.code))
        ],
        organisations=[(node.code, node.name) for node in tree if node.kind == "institution"],
        may_change=visit.may("administer", "administration"),
    )
    crumbs = [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Sources")))]
    said_before = _SAID.get(visit.query.get("said", ""))
    toast = Toast(said.say(said_before)) if said_before else None
    return show(visit, "sources.html", page, crumbs=crumbs, toast=toast)


async def verify(visit: Visit) -> Response:
    """Say whose system an unknown sender is."""
    form = await visit.form()
    async with visit.platform.pool.connection() as connection:
        one = await _theirs(visit, connection)
        node = (await visit.platform.tree(connection)).by_code(str(form.get("organisation", "")))
        if node is None or node.kind == "quarantine" or node.key not in await visit.administered(connection):
            raise Incorrect("choose the institution whose system this is")
        await exchange.put_source(
            connection, code=one.code, name=one.name, organisation=node.key, organisation_code=node.code, door=one.door,
            application=one.application, facility=one.facility, charset=one.charset, code_set=one.code_set,
            zone=one.zone, verified=True, at=visit.at,
        )  # fmt: skip
        await audit.record(connection, [visit.event("U", "source", one.code, detail=node.code, interaction="verify")])
        held = (await exchange.unreleased(connection)).get(one.key, 0)
    return _releasing(visit, one.key, held) if held else RedirectResponse("/sources?said=verified", 303)


async def release(visit: Visit) -> Response:
    """Give what a verified source sent before to its institution; begun again where it was cut off."""
    async with visit.platform.pool.connection() as connection:
        one = await _theirs(visit, connection)
        held = (await exchange.unreleased(connection)).get(one.key, 0)
        await audit.record(connection, [visit.event("U", "source", one.code, interaction="release")])
    return _releasing(visit, one.key, held) if held else RedirectResponse("/sources", 303)


def _releasing(visit: Visit, key: int, held: int) -> Response:
    steps = exchange.release(visit.platform.ledger, key, by=visit.who.account)
    return begin(visit, (step.receipt async for step in steps), held, "/sources")


async def block(visit: Visit) -> Response:
    """Refuse from now on what a source sends; what it sends is kept."""
    reason = str((await visit.form()).get("reason", ""))
    async with visit.platform.pool.connection() as connection:
        one = await exchange.block_source(
            connection, (await _theirs(visit, connection)).key, by=visit.who.account, reason=reason, at=visit.at
        )
        event = visit.event("U", "source", one.code, detail=reason.strip(), interaction="block")
        await audit.record(connection, [event])
    return RedirectResponse("/sources?said=blocked", 303)


async def unblock(visit: Visit) -> Response:
    """Take in again what a source sends."""
    async with visit.platform.pool.connection() as connection:
        one = await exchange.unblock_source(connection, (await _theirs(visit, connection)).key)
        await audit.record(connection, [visit.event("U", "source", one.code, interaction="unblock")])
    return RedirectResponse("/sources?said=unblocked", 303)


def _line(said: Language, tree: Tree, one: Source, held: int) -> SourceLine:
    sends_as = " / ".join(part for part in (one.facility, one.application) if part)
    return SourceLine(
        one.key,
        one.code,
        one.name,
        tree.name(one.organisation),
        said.say(labels.DOORS[one.door]),
        sends_as,
        one.verified,
        one.blocked,
        held,
    )


async def _theirs(visit: Visit, connection: Connection) -> Source:
    """The source of the address, if it is this visitor's to look after. Raises NotFound."""
    one = await exchange.source(connection, visit.request.path_params["source"])
    if one.organisation not in await visit.administered(connection):
        raise NotFound("there is no such source")
    return one
