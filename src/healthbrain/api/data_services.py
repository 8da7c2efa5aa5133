"""`GET /api/data-services`: the registry of published data services; `/api/data-services/{id}/v{n}`: ask one (HUB-03).

`/api/data-services/openapi.json` describes each as an operation of its own. A deprecated version says so in the headers
Deprecation and Sunset (RFC 9745, RFC 8594) and in its answer, with what to call instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

import healthbrain
from healthbrain import audit, identity
from healthbrain.access import Gate
from healthbrain.errors import HealthBrainError, Unauthenticated, http_status, operation_outcome
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure import services
from healthbrain.measure.services import Parameter, Service
from healthbrain.runtime import Platform
from healthbrain.runtime.services import call, deprecation
from healthbrain.scope import Principal

BASE = "/api/data-services"
_Answer = Callable[[Request, Principal], Awaitable[tuple[dict[str, Any], dict[str, str]]]]


class DataServices:
    """Answers for one process; a bearer token is needed, and its permission holds."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gate = Gate(lambda: platform.pool.connection(), identity.patients_of)

    def routes(self) -> list[BaseRoute]:
        """The addresses."""
        return [
            Route(BASE, self._endpoint(self._all), methods=["GET"]),
            Route(f"{BASE}/openapi.json", self._endpoint(self._openapi), methods=["GET"]),
            Route(f"{BASE}/{{id}}/v{{version:int}}", self._endpoint(self._one), methods=["GET"]),
        ]

    def _endpoint(self, answer: _Answer) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def endpoint(request: Request) -> JSONResponse:
            at = self._platform.clock()
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            principal: Principal | None = None
            headers: dict[str, str] = {}
            try:
                if scheme.lower() != "bearer" or not token:
                    raise Unauthenticated
                principal = await self._gate.by_token(token.strip(), at)
                found, headers = await answer(request, principal)
                status = 200
            except HealthBrainError as error:
                found, status = operation_outcome(error), http_status(error)
                if isinstance(error, Unauthenticated):
                    headers = {"www-authenticate": "Bearer"}
            if principal is not None:
                outcome = audit.FINE if status == 200 else audit.REFUSED
                detail = request.url.path.removeprefix(BASE).strip("/")
                event = audit.Event.of(
                    principal, at, "R", "indicator", interaction="data-service", detail=detail, outcome=outcome
                )
                self._platform.audit.note(event)
            return JSONResponse(found, status, headers)

        return endpoint

    async def _all(self, request: Request, who: Principal) -> tuple[dict[str, Any], dict[str, str]]:
        async with self._platform.pool.connection() as connection:
            await self._platform.decide(connection, who, "search", "indicator")
            used = await services.used(connection, self._platform.clock().astimezone(LOCAL).date())
        listed = []
        for one in services.services():
            use = used.get((one.id, one.version))
            listed.append({**_described(one), "callsIn30Days": use.calls if use else 0})
        return {"services": listed}, {}

    async def _one(self, request: Request, who: Principal) -> tuple[dict[str, Any], dict[str, str]]:
        given = dict(request.query_params)
        path = request.path_params
        found = await call(self._platform, who, path["id"], given, version=path["version"])
        return found.as_json(), _headers(found.service)

    async def _openapi(self, request: Request, who: Principal) -> tuple[dict[str, Any], dict[str, str]]:
        return openapi(), {}


def _described(one: Service) -> dict[str, Any]:
    return {
        "id": one.id, "version": one.version, "address": f"{BASE}/{one.name}", "title": dict(one.title),
        "description": dict(one.description), "owner": dict(one.owner), "unit": dict(one.unit), "purposes": list(one.purposes),
        "callsAMinute": one.a_minute, "reads": list(one.reads) or [one.measure], "deprecated": deprecation(one),
        "parameters": [
            {"name": p.name, "type": p.type, "title": dict(p.title), "of": list(p.of), "default": p.usual or None}
            for p in one.parameters
        ],
    }  # fmt: skip


def _headers(one: Service) -> dict[str, str]:
    old = one.deprecated
    if old is None:
        return {}
    since = int(datetime.combine(old.since, time(), LOCAL).timestamp())
    until = format_datetime(datetime.combine(old.until, time(), LOCAL).astimezone(UTC), usegmt=True)
    return {"deprecation": f"@{since}", "sunset": until, "link": f'<{BASE}/{old.instead}>; rel="successor-version"'}


def openapi() -> dict[str, Any]:
    """Every service as an operation."""
    answer = {
        "description": "figures by month",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}},
    }
    refusals = {code: {"description": text} for code, text in _REFUSALS.items()}
    paths = {
        f"{BASE}/{one.name}": {
            "get": {
                "operationId": f"{one.id}-v{one.version}", "summary": one.title["en"], "description": one.description["en"],
                "deprecated": one.deprecated is not None, "parameters": [_parameter(p) for p in one.parameters],
                "responses": {"200": answer, **refusals},
            }
        }
        for one in services.services()
    }  # fmt: skip
    return {
        "openapi": "3.0.3",
        "info": {"title": "HealthBrain data services", "version": healthbrain.__version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Answer": _ANSWER},
        },
    }


_REFUSALS = {
    "400": "a parameter that the service does not know or cannot read", "401": "no valid token", "403": "no permission, or another purpose",
    "404": "no such service, version or institution", "410": "this version answers no more", "429": "asked too often",
}  # fmt: skip
_NUMBER = {"type": "number", "nullable": True}
_ANSWER = {
    "type": "object",
    "required": ["service", "version", "rows", "parameters"],
    "properties": {
        "service": {"type": "string"}, "version": {"type": "integer"}, "title": {"type": "object"}, "unit": {"type": "object"},
        "asOf": {"type": "string", "format": "date-time", "nullable": True}, "parameters": {"type": "object"},
        "deprecated": {"type": "object", "nullable": True},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["month", "value", "hidden"],
                "properties": {
                    "month": {"type": "string"}, "institution": {"type": "object", "nullable": True}, "numerator": _NUMBER,
                    "denominator": _NUMBER, "value": _NUMBER, "hidden": {"type": "boolean"},
                },
            },
        },
    },
}  # fmt: skip


def _parameter(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if one.type == "month":
        schema["pattern"] = "^[0-9]{4}-(0[1-9]|1[0-2])$"
    if one.of:
        schema |= {"enum": list(one.of), "default": one.usual}
    return {"name": one.name, "in": "query", "required": False, "description": one.title["en"], "schema": schema}
