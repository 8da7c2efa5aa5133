"""`GET /healthz`: 200 when requests can be served, else 503 with the reasons. For supervisors and load balancers."""

from __future__ import annotations

import asyncio
import time

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import JSONResponse

from healthbrain.api.platform import Platform
from healthbrain.database import pending_migrations
from healthbrain.errors import Conflict

_WAIT = 3.0
_REMEMBER = 10.0  # seconds for which applied migrations are believed


class Health:
    """Answers for one process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._schema_good_until = 0.0

    async def __call__(self, request: Request) -> JSONResponse:
        """The state now."""
        reasons = await self._reasons()
        if reasons:
            return JSONResponse({"status": "unavailable", "reasons": reasons}, 503, {"retry-after": "2"})
        return JSONResponse({"status": "ready"})

    async def _reasons(self) -> list[str]:
        try:
            async with asyncio.timeout(_WAIT), self._platform.pool.connection(_WAIT) as connection:
                await connection.execute("select 1")
        except (psycopg.Error, PoolTimeout, TimeoutError, RuntimeError):
            return ["the database does not answer"]
        if time.monotonic() < self._schema_good_until:
            return []
        try:
            state = await asyncio.to_thread(pending_migrations, self._platform.dsn)
        except (psycopg.Error, Conflict) as error:
            return [f"the schema cannot be checked ({type(error).__name__})"]
        if state.pending_pre:
            return [f"{len(state.pending_pre)} schema migrations are not applied yet; run hb init or hb serve"]
        self._schema_good_until = time.monotonic() + _REMEMBER
        return []
