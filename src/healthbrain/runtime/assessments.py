"""Who sees which assessments, and which institutions one covers: the permission table and the organisation tree applied to runs.

A commission sees every run of its area, drafts included, with every unit. An institution sees the published runs of the areas
above it, and of these its own result. What few people stand behind is kept from who may not see people.
"""

from __future__ import annotations

from dataclasses import dataclass

from healthbrain import access
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, NotFound
from healthbrain.measure import assessment
from healthbrain.measure.assessment import Column, Inputs, Run, Scheme, Score, Unit
from healthbrain.runtime.platform import Platform
from healthbrain.scope import Action, Principal


@dataclass(frozen=True, slots=True)
class Viewer:
    """A reader of assessments."""

    areas: tuple[int, ...] | None  # whose runs it sees; None = all
    unit: str | None  # the own institution; None = a commission
    area: int  # for which it makes runs
    administers: bool  # schemes, runs, publishing, answers
    speaks: bool  # appeals and remarks
    people: bool  # may see people
    above: tuple[int, ...] = ()  # organisations above the area, whose schemes it may use

    @property
    def schemes_of(self) -> tuple[int, ...] | None:
        """Whose own schemes it may read and run; None = everybody's."""
        return None if self.areas is None else (*self.areas, *self.above)


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as one reader may see it."""

    run: Run
    content: str
    scheme: Scheme
    inputs: Inputs
    scores: tuple[Score, ...]  # best first; only the own one for a unit
    units: int  # how many were assessed

    @property
    def columns(self) -> dict[str, Column]:
        """The frozen figures by measure."""
        return {one.measure: one for one in self.inputs.columns}

    def unit(self, key: str) -> Unit:
        """One assessed unit. Raises NotFound."""
        found = next((one for one in self.inputs.units if one.key == key), None)
        if found is None:
            raise NotFound("this unit was not assessed in this run")
        return found

    def score(self, key: str) -> Score:
        """One unit's result. Raises NotFound."""
        found = next((one for one in self.scores if one.unit == key), None)
        if found is None:
            raise NotFound("this unit was not assessed in this run")
        return found


async def viewer(platform: Platform, connection: Connection, who: Principal) -> Viewer:
    """The reader that an account is. Raises Forbidden."""
    scope = await platform.decide(connection, who, "read", "assessment")
    tree = await platform.tree(connection)
    own = _own(tree, who, scope.organisations)
    top = tree.nearest(who.organisation, "district", "municipality") if who.organisation in tree else None
    areas = scope.organisations if own is None else (own, *tree.ancestors(own))
    return Viewer(
        areas=areas,
        unit=None if own is None else str(own),
        area=top if top is not None else who.organisation,
        administers=own is None and _may(who, "administer"),
        speaks=_may(who, "write"),
        people=await _sees_people(platform, connection, who),
        above=tree.ancestors(top) if top is not None else (),
    )


async def seen_runs(connection: Connection, reader: Viewer) -> list[Run]:
    """The runs of a reader, newest first."""
    return await assessment.runs(
        connection, organisations=reader.areas, published=not reader.administers, unit=reader.unit
    )


async def seen_run(connection: Connection, reader: Viewer, id: int) -> Seen:
    """One run. Raises NotFound for one that is not the reader's to see, as for one that is not there."""
    run, content = await assessment.read(connection, id)
    hidden = (reader.areas is not None and run.organisation not in reader.areas) or (
        run.state == "draft" and not reader.administers
    )
    scheme, inputs = assessment.parts_of(content)
    units = {one.key for one in inputs.units}
    if hidden or (reader.unit is not None and reader.unit not in units):
        raise NotFound("there is no such assessment")
    scores = assessment.score(scheme, inputs)
    if reader.unit is not None:
        scores = tuple(one for one in scores if one.unit == reader.unit)
    return Seen(run, content, scheme, inputs, scores, len(inputs.units))


def candidates(tree: Tree, area: int) -> list[Unit]:
    """The institutions of an area, in the order of the tree."""
    nodes = (tree[key] for key in tree.subtree(area))
    return [Unit(str(one.key), one.name, one.code, one.facility_class) for one in nodes if one.kind == "institution"]


async def assess(
    platform: Platform, connection: Connection, scheme: str, period: str, *, area: int, by: str
) -> int:  # fmt: skip
    """Run a scheme's newest version over a period; the draft's id. Raises Incorrect, NotFound."""
    kept = await assessment.find(connection, scheme)
    tree = await platform.tree(connection)
    return await assessment.make(
        connection, kept.scheme, period, candidates(tree, area), organisation=area, by=by, at=platform.clock()
    )


async def today(platform: Platform, connection: Connection, seen: Seen) -> Inputs:
    """What the run's scheme and period would rest on now."""
    tree = await platform.tree(connection)
    return await assessment.gather(
        connection, seen.scheme, seen.run.period, candidates(tree, seen.run.organisation)
    )  # fmt: skip


def _own(tree: Tree, who: Principal, seen: tuple[int, ...] | None) -> int | None:
    """The institution that sees its own results only; None for who sees further than that (a centre for disease control
    is an institution, and assesses the district)."""
    own = tree.nearest(who.organisation, "institution") if who.organisation in tree else None
    if own is None or seen is None or not set(seen) <= set(tree.subtree(own)):
        return None
    return own


def _may(who: Principal, action: Action) -> bool:
    try:
        access.permitted(who, action, "assessment")
    except Forbidden:
        return False
    return True


async def _sees_people(platform: Platform, connection: Connection, who: Principal) -> bool:
    try:
        return (await platform.decide(connection, who, "read", "Patient")).identified
    except Forbidden:
        return False
