"""`GET /api/assessments`, `/api/assessments/{run}`, `/api/assessments/{run}/verify`, `/api/assessment-schemes`: for other systems.

The same runs, results and permissions as on the screens: a token of a district or city reads every run of its area, one of
an institution the published ones with its own result. Figures of few people are left out, with their points, for a
token that may not see people.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from healthbrain import audit, identity
from healthbrain.access import Gate
from healthbrain.api.tokens import principal_of, refusal
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError
from healthbrain.measure import assessment
from healthbrain.measure.assessment import Item, Run, Score
from healthbrain.runtime import Platform
from healthbrain.runtime import assessments as seeing
from healthbrain.runtime.assessments import Seen, Viewer
from healthbrain.scope import Principal

_Answer = Callable[[Request, Connection, Principal], Awaitable[dict[str, Any]]]


class Assessments:
    """Answers for one process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gate = Gate(lambda: platform.pool.connection(), identity.patients_of)

    def routes(self) -> list[BaseRoute]:
        """The addresses."""
        return [
            Route("/api/assessments", self._endpoint(self._all), methods=["GET"]),
            Route("/api/assessments/{run:int}", self._endpoint(self._one), methods=["GET"]),
            Route("/api/assessments/{run:int}/verify", self._endpoint(self._verify), methods=["GET"]),
            Route("/api/assessment-schemes", self._endpoint(self._schemes), methods=["GET"]),
        ]

    def _endpoint(self, answer: _Answer) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def endpoint(request: Request) -> JSONResponse:
            at = self._platform.clock()
            try:
                principal = await principal_of(request, self._gate, at)
                async with self._platform.pool.connection() as connection:
                    found = await answer(request, connection, principal)
            except HealthBrainError as error:
                return refusal(error)
            self._platform.audit.note(
                audit.Event.of(
                    principal, at, "R", "assessment", request.path_params.get("run"), interaction="assessments"
                )
            )
            return JSONResponse(found)

        return endpoint

    async def _all(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        reader = await seeing.viewer(self._platform, connection, principal)
        return {"assessments": [_head(one) for one in await seeing.seen_runs(connection, reader)]}

    async def _one(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        reader = await seeing.viewer(self._platform, connection, principal)
        seen = await seeing.seen_run(connection, reader, request.path_params["run"])
        return {**_head(seen.run), "units": seen.units, "results": [_result(seen, one, reader) for one in seen.scores]}

    async def _verify(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        reader = await seeing.viewer(self._platform, connection, principal)
        seen = await seeing.seen_run(connection, reader, request.path_params["run"])
        proof = assessment.verify(seen.content, seen.run.digest)
        return {"id": seen.run.id, "same": proof.same, "kept": proof.kept, "recomputed": proof.recomputed}

    async def _schemes(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        reader = await seeing.viewer(self._platform, connection, principal)
        kept = await assessment.schemes(connection, reader.schemes_of)
        return {"schemes": [{"version": one.scheme.version, "own": one.own, **one.scheme.as_raw()} for one in kept]}


def _head(one: Run) -> dict[str, Any]:
    return {
        "id": one.id,
        "scheme": one.scheme,
        "schemeVersion": one.scheme_version,
        "title": one.title,
        "level": one.level,
        "period": one.period,
        "complete": one.complete,
        "state": one.state,
        "digest": one.digest,
        "madeAt": one.made_at.isoformat(),
        "publishedAt": one.published_at.isoformat() if one.published_at else None,
    }


def _result(seen: Seen, one: Score, reader: Viewer) -> dict[str, Any]:
    hidden: frozenset[str] = frozenset() if reader.people else assessment.hidden_items(one, seen.columns)
    unit = seen.unit(one.unit)
    away = bool(hidden) and assessment.hides_total(one, hidden)
    return {
        "unit": unit.code or unit.key,
        "name": unit.name,
        "total": None if away or one.total is None else float(one.total),
        "available": float(one.available),
        "grade": one.grade,
        "rank": one.rank,
        "items": [_item(seen, one, item, item.measure in hidden) for item in seen.scheme.items],
    }


def _item(seen: Seen, one: Score, item: Item, hidden: bool) -> dict[str, Any]:
    column, points = seen.columns[item.measure], one.items[item.measure]
    figure = None if hidden else column.figures.get(one.unit)
    return {
        "measure": item.measure,
        "version": column.version,
        "weight": float(item.weight),
        "target": float(column.target) if column.target else None,
        "state": "hidden" if hidden else points.state,
        "points": float(points.points) if not hidden and points.most else None,
        "value": figure.value if figure else None,
        "numerator": figure.numerator if figure else None,
        "denominator": figure.denominator if figure else None,
        "periods": list(figure.periods) if figure else [],
        "asOf": figure.as_of if figure else None,
    }
