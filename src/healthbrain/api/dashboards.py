"""`/api/dashboards`: boards as data for other systems: listed, read, brought in. Never a figure.

With a bearer token and its organisation's permissions over indicators; a token is an account of its own here, so it sees the boards that
are shared with its organisation, those it brought in and the built-in ones (HUB-DS-08).
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
from healthbrain.errors import HealthBrainError, TooLarge
from healthbrain.measure import dashboards, in_force
from healthbrain.measure.analysis.saved import Reading, reading_of
from healthbrain.measure.dashboards import kept
from healthbrain.runtime import Platform
from healthbrain.scope import Action, Principal

_Answer = Callable[[Request, Connection, Reading], Awaitable[tuple[dict[str, Any], int]]]


class Dashboards:
    """Answers for one process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gate = Gate(lambda: platform.pool.connection(), identity.patients_of)

    def routes(self) -> list[BaseRoute]:
        """The addresses."""
        return [
            Route("/api/dashboards", self._endpoint(self._all, "read"), methods=["GET"]),
            Route("/api/dashboards", self._endpoint(self._take_in, "write"), methods=["POST"]),
            Route("/api/dashboards/{board}", self._endpoint(self._one, "read"), methods=["GET"]),
        ]

    def _endpoint(self, answer: _Answer, action: Action) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def endpoint(request: Request) -> JSONResponse:
            at = self._platform.clock()
            try:
                principal = await principal_of(request, self._gate, at)
                async with self._platform.pool.connection() as connection:
                    await self._platform.decide(connection, principal, action, "indicator")
                    await in_force(connection)
                    found, status = await answer(request, connection, await self._reading(connection, principal))
            except HealthBrainError as error:
                return refusal(error)
            done: audit.AuditAction = "C" if action == "write" else "R"
            self._platform.audit.note(
                audit.Event.of(principal, at, done, "indicator", interaction="dashboards", detail="boards, no figures")
            )
            return JSONResponse(found, status)

        return endpoint

    async def _reading(self, connection: Connection, principal: Principal) -> Reading:
        tree = await self._platform.tree(connection)
        return reading_of(principal.account, principal.role, principal.organisation, tree)

    async def _all(self, request: Request, connection: Connection, reading: Reading) -> tuple[dict[str, Any], int]:
        built_in = [
            {"id": one.id, "builtIn": True, "name": dict(one.board.name), "tiles": len(one.board.tiles)}
            for one in dashboards.built_in()
        ]
        own = [
            {
                "id": str(one.kept.id), "builtIn": False, "name": dict(one.kept.board.name), "tiles": one.tiles,
                "owner": one.kept.owner, "shared": one.kept.shared, "version": one.kept.version,
            }
            for one in await kept.listed(connection, reading)
        ]  # fmt: skip
        return {"dashboards": [*built_in, *own]}, 200

    async def _one(self, request: Request, connection: Connection, reading: Reading) -> tuple[dict[str, Any], int]:
        id_ = str(request.path_params["board"])
        numbered = id_.isdigit() and len(id_) < 18
        board = (
            (await kept.one(connection, reading, int(id_))).board if numbered else dashboards.built_in_one(id_).board
        )
        return await dashboards.carried(connection, reading, board), 200

    async def _take_in(self, request: Request, connection: Connection, reading: Reading) -> tuple[dict[str, Any], int]:
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > dashboards.LARGEST:
                raise TooLarge("a board has at most 200 KB")
        board = dashboards.board_of_text(bytes(content).decode("utf-8-sig", "replace"))
        shared = kept.sharing(request.query_params.get("shared", "private"))
        id_ = await kept.keep(connection, reading, board, shared, "imported", self._platform.clock())
        return {"id": str(id_)}, 201
