"""How far an arrival may reach when it is tried again: as far as the application that sent it might then.

A source's organisation limits what is replayed for it. An application may do less: what it was granted by a person or an
organisation, and for one patient perhaps. That stands with a delivery that was not wholly taken in, so that a replay lets nothing
through which the application was refused, whoever replays it and whatever it was granted since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from healthbrain.errors import Forbidden
from healthbrain.scope import Action, Rule, Scope
from healthbrain.store import WriteContext


@dataclass(frozen=True, slots=True)
class Limits:
    """The scope of all changes together, and of the entries of a bundle by what they do (None: they may not)."""

    scope: Scope
    reach: Mapping[tuple[Action, str], Scope | None] | None = None

    def narrowed(self, context: WriteContext) -> WriteContext:
        """The context of a write within these limits."""
        return replace(context, scope=self.scope, reach=self._reached if self.reach is not None else None)

    def _reached(self, action: Action, type_: str) -> Scope:
        found = (self.reach or {}).get((action, type_))
        if found is None:
            raise Forbidden(f"the application that sent it was not granted to {action} {type_}")
        return found

    def as_json(self) -> dict[str, Any]:
        """As it is kept; scopes that are the same stand once."""
        scopes = list(dict.fromkeys([self.scope, *(one for one in (self.reach or {}).values() if one is not None)]))
        made: dict[str, Any] = {"scopes": [_scope_json(one) for one in scopes]}
        if self.reach is not None:
            made["reach"] = [
                [action, type_, None if one is None else scopes.index(one)]
                for (action, type_), one in self.reach.items()
            ]
        return made


def read_limits(kept: Mapping[str, Any] | None) -> Limits | None:
    """What `as_json` made."""
    if kept is None:
        return None
    scopes = [_scope(one) for one in kept["scopes"]]
    reach: dict[tuple[Action, str], Scope | None] | None = None
    if "reach" in kept:
        reach = {(cast("Action", a), t): None if place is None else scopes[place] for a, t, place in kept["reach"]}
    return Limits(scopes[0], reach)


def _scope_json(scope: Scope) -> dict[str, Any]:
    return {
        "organisations": scope.organisations,
        "patients": scope.patients,
        "identified": scope.identified,
        "rules": None if scope.rules is None else [[r.type, r.may, r.patients, r.where] for r in scope.rules],
    }


def _scope(kept: Mapping[str, Any]) -> Scope:
    rules = kept["rules"]
    return Scope(
        _numbers(kept["organisations"]), _numbers(kept["patients"]), kept["identified"],
        None if rules is None else tuple(
            Rule(type_, may, _numbers(patients), tuple((name, value) for name, value in where))
            for type_, may, patients, where in rules
        ),
    )  # fmt: skip


def _numbers(kept: list[int] | None) -> tuple[int, ...] | None:
    return None if kept is None else tuple(kept)
