"""The job that computes data models when the theme views they read have been made anew (HUB-EX-08)."""

from __future__ import annotations

import asyncio
import logging

from healthbrain.errors import HealthBrainError
from healthbrain.lake import engine, library, warehouse
from healthbrain.measure import models
from healthbrain.measure.models import Model
from healthbrain.runtime.platform import Platform

log = logging.getLogger("healthbrain.models")


async def compute_models(platform: Platform, *, at_once: bool = False) -> int:
    """Compute the models whose inputs or month have changed; returns how many were."""
    done = 0
    for model in models.models():
        if at_once or await _is_due(platform, model):
            done += await _compute(platform, model)
    return done


async def _is_due(platform: Platform, model: Model) -> bool:
    folder, at = platform.settings.lake, platform.clock()
    states = [warehouse.load(folder, library.find(*one.split("."))) for one in model.inputs]
    if not all(one.file for one in states):
        return False  # the themes have not been made yet
    async with platform.pool.connection() as connection:
        last = await models.run(connection, model)
    if last is None or last.problem or last.version != model.version or last.computed_at is None:
        return True
    return dict(last.inputs) != {one.id: one.digest for one in states} or last.computed_at.date() != at.date()


async def _compute(platform: Platform, model: Model) -> bool:
    at = platform.clock()
    try:
        found = await asyncio.to_thread(models.compute, model, platform.settings.lake, at)
    except (HealthBrainError, engine.Error) as error:
        log.exception("the model %s cannot be computed", model.id)
        reason = (
            error.message if isinstance(error, HealthBrainError) else "the engine could not compute it; see the log"
        )
        async with platform.pool.connection() as connection:
            await models.note_problem(connection, model, reason)
        return False
    async with platform.pool.connection() as connection:
        await models.put(connection, model, found, at)
    return True
