"""The platform of this machine, open for the time of one verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from healthbrain.runtime import Platform, database_for
from healthbrain.settings import load

T = TypeVar("T")


async def with_platform(work: Callable[[Platform], Awaitable[T]]) -> T:
    """Work with the open platform."""
    settings = load()
    with database_for(settings) as dsn:
        async with Platform(settings, dsn=dsn) as platform:
            return await work(platform)
