"""The catalogue of data resources (数据资源目录): what the libraries hold, how fresh and how good it is, where it comes from.

The worker counts every view when the lake has moved, at most once a minute (a large one once an hour), and keeps quality by day; screens read what was
counted. Lineage runs from source elements through the view to the measures that read the same resource type with the same codes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import Any

from healthbrain import measure
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError
from healthbrain.lake import Lake, assessing, engine, warehouse
from healthbrain.lake.assessing import Assessment, Cohort
from healthbrain.lake.library import Dimension, View, views
from healthbrain.runtime.platform import Platform
from healthbrain.runtime.warehouse import pause

log = logging.getLogger("healthbrain.catalogue")

DAYS = 400  # how long quality by day is kept
_QUOTED = re.compile(r"'([^']*)'")
_STATUSES = frozenset({"entered-in-error", "cancelled", "completed", "finished", "active", "planned", "not-done"})
_CHINA = timezone(timedelta(hours=8))
_VIEW = """
insert into catalogue_view (view, rows, newest, as_of, counted_at, owners, cohorts) values (%s, %s, %s, %s, %s, %s, %s)
on conflict (view) do update set rows = excluded.rows, newest = excluded.newest, as_of = excluded.as_of,
    counted_at = excluded.counted_at, owners = excluded.owners, cohorts = excluded.cohorts"""
_QUALITY = """
insert into catalogue_quality (view, rule, kind, day, total, failed) values (%s, %s, %s, %s, %s, %s)
on conflict (view, rule, day) do update set kind = excluded.kind, total = excluded.total, failed = excluded.failed"""
_COUNTED = """
insert into catalogue_counted (position, generation, at) values (%s, %s, %s)
on conflict (only_one) do update set position = excluded.position, generation = excluded.generation, at = excluded.at"""
_LATEST = """
select q.view, q.rule, q.total, q.failed from catalogue_quality q
join (select view, max(day) as day from catalogue_quality group by view) d using (view, day)"""
_TREND = """
select day, kind, sum(total)::bigint, sum(failed)::bigint from catalogue_quality where view = %s and day > %s
group by day, kind order by day"""


@dataclass(frozen=True, slots=True)
class Score:
    """Of `total` checks, `failed` failed."""

    total: int
    failed: int

    @property
    def share(self) -> float | None:
        """Per cent of the checks that passed; None when there was nothing to check."""
        return None if not self.total else (self.total - self.failed) * 100 / self.total


@dataclass(frozen=True, slots=True)
class Counted:
    """A view as it was last counted."""

    rows: int
    newest: datetime | None
    as_of: datetime
    counted_at: datetime
    owners: tuple[tuple[int, int], ...]
    cohorts: tuple[Cohort, ...]
    checks: Mapping[int, Score]  # by the rule's place

    def score(self, view: View, kind: Dimension) -> Score:
        """All rules of one dimension together."""
        mine = [self.checks[n] for n, rule in enumerate(view.rules) if rule.kind == kind and n in self.checks]
        return Score(sum(one.total for one in mine), sum(one.failed for one in mine))


async def count_views(platform: Platform, *, at_once: bool = False) -> int:
    """Count every view if the lake has moved since; returns how many were counted."""
    lake, at = Lake(platform.settings.lake), platform.clock()
    state = lake.state()
    async with platform.pool.connection() as connection:
        row = await (await connection.execute("select position, at from catalogue_counted")).fetchone()
    if not state.position or (row and not at_once and (row[0] == state.position or at - row[1] < pause(state.rows()))):
        return 0
    found = await asyncio.to_thread(_assess, lake, at)
    async with platform.pool.connection() as connection, connection.transaction():
        for view, one, as_of in found:
            await _keep(connection, view, one, as_of or state.at or at, at)
        await connection.execute(_COUNTED, (state.position, state.generation, at))
        await connection.execute("delete from catalogue_quality where day < %s", (_day(at) - timedelta(days=DAYS),))
    return len(found)


def _assess(lake: Lake, at: datetime) -> list[tuple[View, Assessment, datetime | None]]:
    """Every view with as of when it is what was counted: a theme as it was last made."""
    state = lake.state()
    connection = lake.connect(types={type_ for view in views() for type_ in view.types} | {"Patient"}, state=state)
    found = []
    try:
        for view in views():
            try:
                rows, as_of = "", state.at
                if view.derived is not None and (theme := warehouse.load(lake.folder, view)).file:
                    rows, as_of = warehouse.relation(lake.folder, view, state), theme.as_of
                found.append((view, assessing.assess(connection, view, at, rows), as_of))
            except (HealthBrainError, engine.Error):  # the others are counted; this one keeps its last figures
                log.exception("view %s cannot be counted", view.id)
    finally:
        connection.close()
    return found


async def _keep(connection: Connection, view: View, one: Assessment, as_of: datetime, at: datetime) -> None:
    cohorts = [[c.icd10, c.year, c.town, c.persons] for c in one.cohorts]
    values = (view.id, one.rows, one.newest, as_of, at, json.dumps(one.owners), json.dumps(cohorts))
    await connection.execute(_VIEW, values)
    for number, (rule, checked) in enumerate(zip(view.rules, one.checks, strict=True)):
        await connection.execute(_QUALITY, (view.id, number, rule.kind, _day(at), checked.total, checked.failed))


async def counted(connection: Connection) -> dict[str, Counted]:
    """Every view as it was last counted, by its id."""
    checks: dict[str, dict[int, Score]] = {}
    for view, rule, total, failed in await (await connection.execute(_LATEST)).fetchall():
        checks.setdefault(view, {})[rule] = Score(total, failed)
    rows = await (
        await connection.execute("select view, rows, newest, as_of, counted_at, owners, cohorts from catalogue_view")
    ).fetchall()
    return {
        row[0]: Counted(
            row[1], row[2], row[3], row[4],
            tuple((int(key), int(number)) for key, number in row[5]), tuple(Cohort(*one) for one in row[6]),
            checks.get(row[0], {}),
        )
        for row in rows
    }  # fmt: skip


async def trend(connection: Connection, view: View, since: date) -> dict[date, dict[str, Score]]:
    """The quality of a view day by day and dimension."""
    found: dict[date, dict[str, Score]] = {}
    for day, kind, total, failed in await (await connection.execute(_TREND, (view.id, since))).fetchall():
        found.setdefault(day, {})[kind] = Score(total, failed)
    return found


def preview(platform: Platform, view: View, owners: Iterable[int] | None, limit: int) -> list[tuple[Any, ...]]:
    """Some rows of a view that these organisations own (None = all)."""
    connection = Lake(platform.settings.lake).connect(types=view.types)
    try:
        return assessing.preview(connection, view, None if owners is None else list(owners), limit)
    finally:
        connection.close()


def measures_of(view: View) -> list[measure.Definition]:
    """The measures that read resources of the view's type, with one of its codes when both name codes."""
    paths = [one["path"] for base in (view, *view.bases) for one in base.definition.get("where", ())]
    mine = _codes((*paths, view.derived.where if view.derived else ""))
    return [
        one
        for one in measure.defined()
        if any(_meet(mine, codes) for type_, codes in _read_by(one.id, one.version) if type_ == view.resource)
    ]


def _meet(some: frozenset[str], others: frozenset[str]) -> bool:
    return (
        not some
        or not others
        or any(one.startswith(other) or other.startswith(one) for one in some for other in others)
    )


def _codes(paths: tuple[str, ...]) -> frozenset[str]:
    """The codes that conditions name, without those of a status."""
    return frozenset(code.rstrip("%") for path in paths for code in _QUOTED.findall(path)) - _STATUSES


@cache
def _read_by(definition_id: str, version: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """(resource type, codes in its conditions) of every view that a version of a measure is computed from."""
    definition = next(one for one in measure.defined() if (one.id, one.version) == (definition_id, version))
    library = measure.library()
    tables = {one.name: one for one in (*library.tables, *definition.prepared, *definition.tables)}
    population = definition.population
    open_ = {population.source, *(one.table for one in population.evidence)} if population else set[str]()
    seen = set[str]()
    while open_ - seen:
        name = min(open_ - seen)
        seen.add(name)
        if table := tables.get(name):
            open_ |= {table.source, *(one.table for one in table.withs), *(one.table for one in table.counts)}
    used = [library.views[name] for name in sorted(seen) if name in library.views]
    return tuple((one.resource, _codes(one.definition.where)) for one in used)


def _day(at: datetime) -> date:
    return at.astimezone(_CHINA).date()
