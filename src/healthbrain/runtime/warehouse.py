"""The job that keeps theme libraries: it runs when the lake has moved, at most once a minute, a large lake once an hour.

What it did stands beside each view (`lake.warehouse`, `lake.materialised`); the catalogue and `hb lake themes` show it. HUB-EX-06.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthbrain.errors import NotFound
from healthbrain.lake import Lake, materialised, warehouse
from healthbrain.lake.library import View
from healthbrain.lake.warehouse import Rebuilt
from healthbrain.runtime.lakes import retention
from healthbrain.runtime.platform import Platform

log = logging.getLogger("healthbrain.warehouse")

_SOONEST, _LATEST_BY = timedelta(minutes=1), timedelta(hours=1)
_ROWS_A_SECOND = 5_000  # of the lake: the larger it is, the more rarely what is derived is made again


@dataclass(frozen=True, slots=True)
class Made:
    """How the kept rows of a view stand: when they were last made, how many, how long it took, and what went wrong."""

    rows: int
    as_of: datetime | None
    made: datetime | None
    tried: datetime | None
    seconds: float
    problem: str
    fresh: bool


def pause(rows: int) -> timedelta:
    """How long to wait between two runs over a lake of this size."""
    return min(max(timedelta(seconds=rows / _ROWS_A_SECOND), _SOONEST), _LATEST_BY)


async def rebuild_themes(platform: Platform, *, at_once: bool = False, whole: bool = False) -> Rebuilt | None:
    """Make base and theme libraries anew if the lake has moved; None when there was nothing to do or it is too soon."""
    folder, at = platform.settings.lake, platform.clock()
    state = Lake(folder).state()
    if not state.position:
        return None
    if not at_once:
        known = [warehouse.load(folder, view) for view in warehouse.themes()]
        last = max((one.tried for one in known if one.tried), default=None)
        if last and at - last < pause(state.rows()):
            return None
        if await asyncio.to_thread(_all_fresh, Lake(folder)):
            return None
    done = await asyncio.to_thread(
        warehouse.rebuild, folder, at, whole=whole, keep=retention(platform.settings).snapshots
    )
    if done.failed:
        log.warning("%d views of the libraries could not be made; their last good rows stay", done.failed)
    return done


def _all_fresh(lake: Lake) -> bool:
    state = lake.state()
    return all(warehouse.is_fresh(lake.folder, view, state) for view in warehouse.themes())


def made(lake: Lake, views: Iterable[View]) -> dict[str, Made]:
    """How the kept rows of these views stand, by the view's id; views that are not kept are left out."""
    state, found = lake.state(), dict[str, Made]()
    for view in views:
        if view.derived is not None:
            one = warehouse.load(lake.folder, view)
            if one.file or one.problem:
                fresh = warehouse.is_fresh(lake.folder, view, state)
                as_of = state.at if fresh else one.as_of
                found[view.id] = Made(one.rows, as_of, one.made, one.tried, one.seconds, one.problem, fresh)
            continue
        try:
            kept = materialised.load(lake.folder, warehouse.kept_id(view))
        except NotFound:
            continue
        fresh = materialised.is_fresh(kept, state)
        found[view.id] = Made(
            kept.rows, state.at if fresh else kept.as_of, kept.refreshed, kept.refreshed, kept.seconds, kept.problem, fresh
        )  # fmt: skip
    return found
