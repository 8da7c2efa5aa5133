"""The platform of this machine, open for the time of one verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from healthbrain.database import apply_migrations
from healthbrain.errors import Conflict
from healthbrain.runtime import Platform, database_for
from healthbrain.runtime.database import is_initialised
from healthbrain.settings import load

T = TypeVar("T")


async def with_platform(work: Callable[[Platform], Awaitable[T]]) -> T:
    """Work with the open platform, its schema up to date. Raises Conflict where no platform was made yet."""
    settings = load()
    if not is_initialised(settings):
        raise Conflict(
            f"there is no platform in {settings.data}; `hb init` or `hb demo` makes one, HB_DATA names another"
        )
    with database_for(settings) as dsn:
        apply_migrations(dsn, post=False)
        async with Platform(settings, dsn=dsn) as platform:
            return await work(platform)
