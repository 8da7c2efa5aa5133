"""Who looks at statutory reports: which they may read, for which places they may make them, and what they may decide (APP-PH-38).

A unit sees and makes its own; who sees a whole district sees and makes all. Reviewing is for who stands above the unit and did not
submit it. Readers who may not see people get the district's reports only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from healthbrain import measure
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError, NotFound
from healthbrain.measure.statutory import Place, kept
from healthbrain.measure.statutory.kept import Actor, Report
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import cockpit
from healthbrain.web.pages.cockpit import Area
from healthbrain.web.visit import Visit

_PRIMARY = "BPHS-EHR01"  # the units that serve in the programmes are those with a figure of it


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks."""

    visit: Visit
    connection: Connection
    tree: Tree
    whole: bool
    people: bool
    organisations: tuple[int, ...] | None

    @property
    def said(self) -> Language:
        return self.visit.language

    @property
    def actor(self) -> Actor:
        who = self.visit.who
        return Actor(who.account, who.display or who.account, who.organisation)


async def viewer_of(visit: Visit, connection: Connection) -> Viewer:
    scope = await visit.decide(connection, "search", "statutory")
    tree = await visit.platform.tree(connection)
    return Viewer(
        visit=visit,
        connection=connection,
        tree=tree,
        whole=await cockpit.sees_whole(visit, connection, tree),
        people=await cockpit.sees_people(visit, connection),
        organisations=scope.organisations,
    )


async def readable(view: Viewer, id_: int) -> tuple[Report, dict[str, Any], dict[str, str]]:
    report, content, remarks = await kept.read(view.connection, id_)
    if view.organisations is not None and report.organisation not in view.organisations:
        raise Forbidden("this report belongs to a unit that you do not see")
    if not view.people and report.level != "district":
        raise Forbidden("reports of single places are for who may see people; state a purpose that needs it")
    return report, content, remarks


async def can(view: Viewer, report: Report, action: Literal["write", "administer"]) -> bool:
    try:
        await may(view, report, action)
    except HealthBrainError:
        return False
    return True


async def may(view: Viewer, report: Report, action: Literal["write", "administer"]) -> None:
    scope = await view.visit.decide(view.connection, action, "statutory")
    if scope.organisations is not None and report.organisation not in scope.organisations:
        raise Forbidden("this report belongs to a unit that you do not see")
    if report.level != "institution" and not view.whole:
        raise Forbidden("reports of towns and of the district are made by who sees the whole district")


async def verdicts_on(view: Viewer, report: Report) -> tuple[str, ...]:
    """What this visitor may decide about a report now."""
    if report.state not in ("submitted", "passed") or not view.people:  # nobody approves numbers that are hidden
        return ()
    if not await can(view, report, "administer"):
        return ()
    if report.level == "institution" and view.visit.who.organisation == report.organisation:
        return ()
    done = [one.by for one in await kept.history(view.connection, report.id) if one.action in ("submitted", "passed")]
    if view.visit.who.account in done:
        return ()
    if view.whole:
        return ("approved", "returned")
    return ("passed", "returned") if report.state == "submitted" else ()


def owner_of(view: Viewer, place: Place) -> int:
    """Whose report it is: the institution, or the district for its own and its towns'."""
    if place.level == "institution":
        return int(place.key)
    top = view.tree.nearest(view.visit.who.organisation, "district", "municipality")
    if top is None or not view.whole:
        raise Forbidden("reports of towns and of the district are made by who sees the whole district")
    return top


def area_named(view: Viewer, code: str) -> Area:
    """The place of that code; for who sees one institution alone, that one."""
    own = view.tree.nearest(view.visit.who.organisation, "institution")
    if not view.whole:
        node = view.tree.by_code(code) if code else None
        key = node.key if node is not None else own
        if key is None or (view.organisations is not None and key not in view.organisations):
            raise Forbidden("figures of other institutions are not open to your role")
        return _institution(view.tree, key)
    if not code:
        root = view.tree.nearest(view.visit.who.organisation, "district", "municipality")
        return Area("district", "", view.tree.name(root) if root is not None else view.said.say(N_("District")), "")
    if code in towns():
        return Area("town", code, towns()[code].said(view.said), code)
    found = view.tree.by_code(code)
    if found is None:
        raise NotFound("there is no town or institution with this code")
    return _institution(view.tree, found.key)


def area_of(view: Viewer, report: Report) -> Area:
    if report.level == "institution":
        return _institution(view.tree, int(report.key))
    return Area("town" if report.level == "town" else "district", report.key, report.place, report.key)


def _institution(tree: Tree, key: int) -> Area:
    node = tree[key]
    if node.kind != "institution":
        raise NotFound("there is no town or institution with this code")
    return Area("institution", str(key), node.name, node.code, tree.division(key)[:9])


def place_of(area: Area) -> Place:
    return Place(area.level, area.key, area.code, area.name)


async def units_of(view: Viewer) -> list[Place]:
    """The institutions that serve in the programmes."""
    found = await measure.by_institution(view.connection, _PRIMARY)
    keys = [int(one.key) for one in found if one.key.isdecimal() and int(one.key) in view.tree and one.denominator]
    places = [place_of(_institution(view.tree, key)) for key in keys]
    return sorted(places, key=lambda one: one.code)


async def places_of(view: Viewer, units: Sequence[Place]) -> list[tuple[str, str]]:
    """The places a report can be made for."""
    if not view.whole:
        own = view.tree.nearest(view.visit.who.organisation, "institution")
        below = [] if own is None else [view.tree[key] for key in view.tree.subtree(own)]
        return [(node.code, node.name) for node in below if node.kind == "institution"]
    said = view.said
    return [
        ("", said.say(N_("Whole district"))), ("*", said.say(N_("All units that have none yet"))),
        *((code, town.said(said)) for code, town in towns().items()), *((one.code, one.name) for one in units),
    ]  # fmt: skip
