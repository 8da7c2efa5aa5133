"""How the lake stands: what it holds, how far it is behind, and how long things stay in it by the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthbrain import lake
from healthbrain.lake import Lake, Retention
from healthbrain.runtime.platform import Platform
from healthbrain.settings import Settings

LATE = timedelta(minutes=10)  # from here on the lake counts as behind


@dataclass(frozen=True, slots=True)
class Standing:
    """The lake now."""

    as_of: datetime | None
    waiting: int  # changes that it has not seen
    seconds: float  # how old its state is while changes wait
    rows: int
    files: int
    bytes: int
    waste: float  # share of superseded rows
    erasures: int  # hidden, but not yet off the disk
    position: str
    types: Mapping[str, int]  # rows per resource type, superseded ones included

    @property
    def late(self) -> bool:
        """Whether somebody should look."""
        return self.waiting > 0 and self.seconds > LATE.total_seconds()


def retention(settings: Settings) -> Retention:
    """How long what is no longer current stays in the lake."""
    return Retention(timedelta(hours=settings.lake_snapshot_hours), timedelta(days=settings.lake_version_days))


async def standing(platform: Platform) -> Standing:
    """Count it."""
    folder = platform.settings.lake
    state = Lake(folder).state()
    behind = await lake.lag(platform.pool, folder, platform.clock())
    groups = (*state.parts.values(), *state.dead.values(), tuple(state.tables.values()))
    return Standing(
        as_of=state.at,
        waiting=behind.changes,
        seconds=behind.seconds,
        rows=state.rows(),
        files=len(state.files()),
        bytes=sum(part.bytes for parts in groups for part in parts),
        waste=lake.waste(folder),
        erasures=len(state.erased),
        position=state.position,
        types={type_: sum(part.rows for part in parts) for type_, parts in sorted(state.parts.items())},
    )
