"""What one process remembers about access, so that a request costs no database round trip.

Trees, principals and scopes are kept until a stamp says that something changed; the stamp is looked at when it is
older than `TRUST`. So a revoked token, a closed account or a moved organisation is noticed within a second in every
process, and at once in the process that did it (`forget`). Panels change with every contract that arrives; scopes that
depend on persons live `CARE` at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TypeVar

from healthbrain.access import secrets, stamps
from healthbrain.access.bearer import principal_of_token
from healthbrain.access.permissions import Reach, ResourceClass, resource_class
from healthbrain.access.scopes import PatientsOf, decide, permitted
from healthbrain.access.signin import find_session
from healthbrain.access.smart.authorising import ACCESS_START, bearer
from healthbrain.access.tree import Tree, organisations
from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.scope import Action, Principal, Scope

TRUST = 1.0  # seconds a stamp is believed
CARE = 5.0  # seconds a scope that depends on panels or links is kept
ACCOUNT = 10.0  # seconds a principal is kept (expiry and idle time are checked again then)
_MOST = 10_000  # entries; beyond that everything is forgotten

_K = TypeVar("_K")
_V = TypeVar("_V")
_PERSONAL: frozenset[Reach] = frozenset({"care", "emergency", "self"})

Connections = Callable[[], AbstractAsyncContextManager[Connection]]


class Gate:
    """Authenticates and decides for one process. `connections` lends a connection when memory does not know."""

    def __init__(
        self,
        connections: Connections,
        patients_of: PatientsOf,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._patients_of = patients_of
        self._now = monotonic
        self._stamp: stamps.Stamp | None = None
        self._trusted_until = -1.0
        self._tree: Tree | None = None
        self._principals: dict[bytes, tuple[float, Principal]] = {}
        self._scopes: dict[tuple[Principal, Action, ResourceClass], tuple[float, Scope]] = {}

    def forget(self) -> None:
        """Look at the database again at the next request."""
        self._trusted_until = -1.0
        self._stamp = None

    async def tree(self, containing: int | None = None) -> Tree:
        """The organisation tree, at most a second old; newer when it lacks the organisation it should contain."""
        await self._refresh()
        if self._tree is None or (containing is not None and containing not in self._tree):
            stamp = self._stamp
            async with self._connections() as connection:
                tree = await organisations(connection)
            if stamp is not self._stamp:
                return tree
            self._tree = tree
        return self._tree

    async def by_token(self, token: str, at: datetime) -> Principal:
        """The principal of a bearer token; raises Unauthenticated."""
        await self._refresh()
        key = secrets.digest(token)
        known = self._fresh(self._principals, key)
        if known is None:
            stamp = self._stamp
            async with self._connections() as connection:
                known, lives = await _of_token(connection, token, at)
            self._keep(self._principals, key, known, lives, stamp)
        return known

    async def by_cookie(self, cookie: str, at: datetime) -> Principal:
        """The principal of a session cookie; raises Unauthenticated, or Forbidden until the password is changed."""
        await self._refresh()
        key = secrets.digest(cookie)
        known = self._fresh(self._principals, key)
        if known is None:
            stamp = self._stamp
            async with self._connections() as connection:
                known, must_change = await find_session(connection, cookie, at)
            if must_change:
                raise Forbidden("change your password first")
            self._keep(self._principals, key, known, ACCOUNT, stamp)
        return known

    async def decide(self, principal: Principal, action: Action, type: str, at: datetime) -> Scope:
        """What `principal` may touch; raises Forbidden. See `access.decide`."""
        far = permitted(principal, action, type)
        await self._refresh()
        key = (principal, action, resource_class(type))
        scope = self._fresh(self._scopes, key)
        if scope is None:
            stamp, tree = self._stamp, await self.tree(principal.organisation)
            async with self._connections() as connection:
                scope = await decide(connection, principal, action, type, at, patients_of=self._patients_of, tree=tree)
            personal = far in _PERSONAL or (principal.grant is not None and principal.grant.patient is not None)
            self._keep(self._scopes, key, scope, CARE if personal else float("inf"), stamp)
        return scope

    async def _refresh(self) -> None:
        if self._now() < self._trusted_until:
            return
        async with self._connections() as connection:
            stamp = await stamps.current(connection)
        if stamp != self._stamp:
            self._stamp, self._tree = stamp, None
            self._principals.clear()
            self._scopes.clear()
        self._trusted_until = self._now() + TRUST

    def _fresh(self, memory: dict[_K, tuple[float, _V]], key: _K) -> _V | None:
        found = memory.get(key)
        if found is None or found[0] < self._now():
            return None
        return found[1]

    def _keep(
        self,
        memory: dict[_K, tuple[float, _V]],
        key: _K,
        value: _V,
        lives: float,
        stamp: stamps.Stamp | None,
    ) -> None:
        if stamp is not self._stamp:
            return  # something changed while the database was asked: the answer may be from before
        if len(memory) >= _MOST:
            memory.clear()
        memory[key] = (self._now() + lives, value)


async def _of_token(connection: Connection, token: str, at: datetime) -> tuple[Principal, float]:
    """The principal of a token that an administrator issued, or of an application's; and how long to remember it."""
    if not token.startswith(ACCESS_START):
        return await principal_of_token(connection, token, at), ACCOUNT
    found = await bearer(connection, token, at)
    return found.principal, min(ACCOUNT, (found.until - at).total_seconds())
