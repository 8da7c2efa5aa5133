"""`GET /api/hubs`: the six capability hubs with state, inventory and interfaces, for applications (HUB-00)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from healthbrain import audit, identity
from healthbrain.access import Gate
from healthbrain.errors import HealthBrainError, Unauthenticated, http_status, operation_outcome
from healthbrain.runtime import Platform
from healthbrain.runtime.hubs import hubs


class Hubs:
    """Answers for one process; any valid bearer token may ask."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gate = Gate(lambda: platform.pool.connection(), identity.patients_of)

    async def __call__(self, request: Request) -> JSONResponse:
        """The hubs now."""
        at = self._platform.clock()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer" or not token:
                raise Unauthenticated
            principal = await self._gate.by_token(token.strip(), at)
        except HealthBrainError as error:
            return JSONResponse(operation_outcome(error), http_status(error), {"www-authenticate": "Bearer"})
        async with self._platform.pool.connection() as connection:
            found = await hubs(self._platform, connection)
        self._platform.audit.note(audit.Event.of(principal, at, "R", "hub", interaction="hubs"))
        return JSONResponse({"hubs": [hub.as_json() for hub in found]})
