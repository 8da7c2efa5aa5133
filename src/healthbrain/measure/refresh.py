"""The measures made new: computed in a thread beside the event loop, published one by one as they are ready."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

from healthbrain.database import Pool
from healthbrain.lake import Lake
from healthbrain.measure.compute import Computed, DeliveryDay, compute_all
from healthbrain.measure.definition import Definition
from healthbrain.measure.load import built_in
from healthbrain.measure.publish import publish


async def refresh(
    pool: Pool,
    lake: Lake,
    at: datetime,
    *,
    deliveries: Sequence[DeliveryDay] = (),
    definitions: Sequence[Definition] | None = None,
) -> list[str]:
    """Compute and publish the measures over the lake as it is now; returns their ids."""
    computing = compute_all(lake, built_in() if definitions is None else definitions, at, deliveries=deliveries)
    done: list[str] = []
    while (computed := await asyncio.to_thread(_following, computing)) is not None:
        async with pool.connection() as connection:
            await publish(connection, computed, at)
        done.append(computed.definition.id)
    return done


def _following(computing: Iterator[Computed]) -> Computed | None:
    return next(computing, None)
