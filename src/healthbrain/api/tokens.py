"""What the interfaces beside /fhir share: who asks, by bearer token, and how a refusal is told."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse

from healthbrain.access import Gate
from healthbrain.errors import HealthBrainError, Unauthenticated, http_status, operation_outcome
from healthbrain.scope import Principal


async def principal_of(request: Request, gate: Gate, at: datetime) -> Principal:
    """Who asks. Raises Unauthenticated without a bearer token that is valid."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    return await gate.by_token(token.strip(), at)


def refusal(error: HealthBrainError) -> JSONResponse:
    """The OperationOutcome of an error with its status."""
    headers = {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    return JSONResponse(operation_outcome(error), http_status(error), headers)
