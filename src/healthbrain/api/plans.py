"""`GET /api/plans`, `/api/plans/{plan}`, `/api/supervision`: plan monitoring for other systems (OPS-57).

The same figures, lights and tasks as on the screens, with the same permissions. Figures are about the whole area, so a
token of a single institution gets 403 for them; its tasks it does get.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from healthbrain import audit, identity
from healthbrain.access import Gate, Tree
from healthbrain.api.tokens import principal_of, refusal
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError
from healthbrain.measure import monitoring, supervision
from healthbrain.measure.monitoring import Forecast, Standing, Status
from healthbrain.measure.plans import plan, plans
from healthbrain.measure.supervision import Task
from healthbrain.runtime import Platform
from healthbrain.scope import Principal

_Answer = Callable[[Request, Connection, Principal], Awaitable[dict[str, Any]]]


class Plans:
    """Answers for one process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gate = Gate(lambda: platform.pool.connection(), identity.patients_of)

    def routes(self) -> list[BaseRoute]:
        """The addresses."""
        return [
            Route("/api/plans", self._endpoint(self._all), methods=["GET"]),
            Route("/api/plans/{plan}", self._endpoint(self._one), methods=["GET"]),
            Route("/api/supervision", self._endpoint(self._tasks), methods=["GET"]),
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
            self._platform.audit.note(audit.Event.of(principal, at, "R", "indicator", interaction="plans"))
            return JSONResponse(found)

        return endpoint

    async def _all(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        await self._whole(connection, principal)
        found = [await monitoring.status(connection, one, self._platform.clock()) for one in plans()]
        return {"plans": [_head(one) for one in found]}

    async def _one(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        await self._whole(connection, principal)
        found = await monitoring.status(connection, plan(request.path_params["plan"]), self._platform.clock())
        tree = await self._platform.tree(connection)
        return {**_head(found), "indicators": [_indicator(one, tree) for one in found.standings]}

    async def _tasks(self, request: Request, connection: Connection, principal: Principal) -> dict[str, Any]:
        scope = await self._platform.decide(connection, principal, "search", "supervision")
        found = await supervision.tasks(
            connection, self._platform.clock(), organisations=scope.organisations, unit=True,
            plan=request.query_params.get("plan", ""),
        )  # fmt: skip
        tree = await self._platform.tree(connection)
        return {"tasks": [_task(one, tree) for one in found]}

    async def _whole(self, connection: Connection, principal: Principal) -> None:
        scope = await self._platform.decide(connection, principal, "search", "indicator")
        if scope.organisations is not None:
            raise Forbidden("plans are about the whole district; your role sees the figures of its own institution")


def _head(found: Status) -> dict[str, Any]:
    one = found.plan
    return {
        "id": one.id,
        "title": dict(one.title),
        "reference": one.reference,
        "years": [one.first, one.last],
        "asOf": found.as_of.isoformat() if found.as_of else None,
        "lights": dict(found.counts),
    }


def _indicator(one: Standing, tree: Tree) -> dict[str, Any]:
    actual, target, ahead = one.actual, one.target, one.ahead
    return {
        "id": one.indicator.id,
        "measure": one.indicator.measure,
        "title": dict(one.indicator.title),
        "unit": dict(one.indicator.unit),
        "light": one.light,
        "why": one.judgement.why,
        "value": actual.value if actual else None,
        "period": actual.period if actual else None,
        "version": actual.version if actual else None,
        "asOf": actual.as_of.isoformat() if actual else None,
        "target": {
            "year": target.year,
            "printed": dict(target.printed),
            "operator": target.operator,
            "value": target.value,
        }
        if target
        else None,
        "progress": one.judgement.progress,
        "yearBefore": one.before,
        "forecast": {
            "value": ahead.value,
            "low": ahead.low,
            "high": ahead.high,
            "points": ahead.points,
            "error": ahead.error,
        }
        if isinstance(ahead, Forecast)
        else None,
        "responsible": {"code": tree[one.duty.organisation].code, "name": tree.name(one.duty.organisation)}
        if one.duty and one.duty.organisation in tree
        else None,
        "clause": one.indicator.clause,
    }


def _task(one: Task, tree: Tree) -> dict[str, Any]:
    return {
        "id": one.id,
        "plan": one.plan,
        "indicator": one.indicator,
        "organisation": tree[one.organisation].code if one.organisation in tree else None,
        "state": one.state,
        "due": one.due.isoformat(),
        "level": one.level,
        "text": one.text,
        "issuedAt": one.issued_at.isoformat(),
    }
