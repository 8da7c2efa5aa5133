"""From a principal to a scope: looks the permission up and turns its reach into organisations and patients.

The link from persons to patient records belongs to identity, which access does not know; it is passed in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from healthbrain.access import care
from healthbrain.access.permissions import Reach, reach, resource_class
from healthbrain.access.tree import Tree, organisations
from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.scope import Action, Principal, Rule, Scope

PatientsOf = Callable[[Connection, Sequence[str]], Awaitable[tuple[int, ...]]]

# the letters of a grant of which one is needed for an action
_LETTERS: dict[Action, str] = {"read": "r", "search": "s", "write": "cu", "delete": "d"}


async def decide(
    connection: Connection,
    principal: Principal,
    action: Action,
    type: str,
    at: datetime,
    *,
    patients_of: PatientsOf,
    tree: Tree | None = None,
) -> Scope:
    """What `principal` may touch when doing `action` on `type` (a FHIR type or a name of permissions.py).

    Resources of OPEN_TYPES are visible in every scope; for them the scope says what else the question may show.
    What an application was granted narrows it further (`Scope.rules`).
    Raises Forbidden when no row of the table fits, or the application was not granted it.
    """
    far = permitted(principal, action, type)
    scope = await _opened(connection, principal, action, far, at, patients_of, tree)
    if principal.grant is None:
        return scope
    return replace(scope, rules=await _rules(connection, principal, patients_of))


async def _opened(
    connection: Connection,
    principal: Principal,
    action: Action,
    far: Reach | None,
    at: datetime,
    patients_of: PatientsOf,
    tree: Tree | None,
) -> Scope:
    if far == "everything":
        far = _beside_open_types(principal, action)
    if far is None:
        return Scope((), ())
    if far == "self":
        return Scope((), await _patients(connection, (principal.person,), patients_of))
    known = tree or await organisations(connection)
    root = _root(known, principal.organisation, far)
    if far in ("care", "emergency"):
        return Scope(known.subtree(root), await _care(connection, principal, far, at, patients_of))
    identified = far != "counts"
    if known.covers_all(root):
        return Scope(None, None, identified)
    return Scope(known.subtree(root), (), identified)


def permitted(principal: Principal, action: Action, type: str) -> Reach:
    """How far the table lets `principal` reach; raises Forbidden."""
    over = resource_class(type)
    far = reach(principal.role, action, over, principal.purpose)
    if far is None:
        raise Forbidden(f"the role {principal.role} may not {action} {type} for the purpose {principal.purpose}")
    if principal.grant is not None and not _granted(principal.grant.rules, action, type):
        raise Forbidden(f"the application was not granted to {action} {type}")
    return far


def _granted(rules: Sequence[Rule], action: Action, type: str) -> bool:
    """Whether some rule may cover it. "Bundle" stands for a question over all types: each resource is judged then."""
    letters = _LETTERS.get(action, "")
    return any(r.type in ("*", type) or type == "Bundle" for r in rules if not set(r.may).isdisjoint(letters)) and (
        resource_class(type)
        not in ("arrival", "indicator", "supervision", "report", "statutory", "assessment", "administration")
    )


async def _rules(connection: Connection, principal: Principal, patients_of: PatientsOf) -> tuple[Rule, ...]:
    """The rules of the grant with the patient in context filled in: all records of that person."""
    grant = principal.grant
    if grant is None:
        return ()
    own: tuple[int, ...] = ()
    if grant.patient is not None:
        linked = await _patients(connection, (grant.person,), patients_of)
        own = linked if grant.patient in linked else (grant.patient,)  # a record that was moved away since stands alone
    return tuple(rule if rule.patients is None else replace(rule, patients=own) for rule in grant.rules)


def _beside_open_types(principal: Principal, action: Action) -> Reach | None:
    """How far a question about open types reaches besides them.

    Readers show open types whatever the scope. The scope says what such a question may bring along (_revinclude, _has):
    no more than the principal could ask for directly, and nobody's record where only figures are allowed.
    """
    far = reach(principal.role, action, "clinical", principal.purpose)
    return None if far == "counts" else far


def _root(tree: Tree, own: int, far: Reach) -> int:
    if own not in tree:
        return own  # a deleted organisation: its subtree is empty
    if far in ("jurisdiction", "counts"):
        return tree.nearest(own, "district", "municipality") or own
    if far in ("institution", "care", "emergency"):
        return tree.nearest(own, "institution") or own
    return own


async def _care(
    connection: Connection, principal: Principal, far: Reach, at: datetime, patients_of: PatientsOf
) -> tuple[int, ...]:
    persons: set[str | None] = set()
    if principal.practitioner:
        persons.update(await care.panel(connection, principal.practitioner))
    if far == "emergency":
        persons.update(await care.granted(connection, principal.account, at))
    return await _patients(connection, sorted(p for p in persons if p), patients_of)


async def _patients(connection: Connection, persons: Sequence[str | None], patients_of: PatientsOf) -> tuple[int, ...]:
    known = [person for person in persons if person]
    return tuple(await patients_of(connection, known)) if known else ()
