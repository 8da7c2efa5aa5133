"""Which resources a scope opens, as a rule in Python and the same rule in SQL.

A resource is visible if its owner is in the scope's organisations, or its patient in the scope's patients, or it is of
a type that every signed-in reader may see (scope.OPEN_TYPES); and, when an application is in between, if a rule of
its grant allows it (granted.py). `may` are the letters of which the rule must have one: r for reading by name, s for
finding.
"""

from __future__ import annotations

from typing import Any

from healthbrain.scope import OPEN_TYPES, Scope
from healthbrain.store import arrays
from healthbrain.store.granted import granted_sql, perhaps
from healthbrain.store.types import type_number


def visible(scope: Scope, owner: int, patient: int | None, type_: str, may: str = "r") -> bool:
    """Whether `scope` opens a resource of this owner, patient and type, as far as these tell (see granted.granted)."""
    return _opened(scope, owner, patient, type_) and perhaps(scope, patient, type_, may)


def writable(scope: Scope, owner: int, patient: int | None) -> bool:
    """Whether `scope` opens a resource for changing: being readable by everybody is no reason."""
    return _opened(scope, owner, patient, "")


def visible_sql(
    scope: Scope, type_: str | None, alias: str = "r", *, may: str = "s", current: bool = True
) -> tuple[str, list[Any]]:
    """The same rule as a condition on the resource or history row `alias`; "" when everything is open.

    With `current=False` (superseded versions are among the rows) search restrictions of a grant are left to the caller.
    """
    rule, parameters = _opened_sql(scope, type_, alias)
    granted = granted_sql(scope, type_, alias, may, current=current)
    if granted is None:
        return rule, parameters
    return f"({rule} and {granted.sql})" if rule else granted.sql, [*parameters, *granted.parameters]


def _opened(scope: Scope, owner: int, patient: int | None, type_: str) -> bool:
    if scope.organisations is None or type_ in OPEN_TYPES:
        return True
    if owner in scope.organisations:
        return True
    return patient is not None and (scope.patients is None or patient in scope.patients)


def _opened_sql(scope: Scope, type_: str | None, alias: str) -> tuple[str, list[Any]]:
    if scope.organisations is None or type_ in OPEN_TYPES:
        return "", []
    rules: list[str] = []
    parameters: list[Any] = []
    if scope.organisations:
        rules.append(f"{alias}.owner = any(%s)")
        parameters.append(arrays.int4(scope.organisations))
    if scope.patients is None:
        rules.append(f"{alias}.patient is not null")
    elif scope.patients:
        rules.append(f"{alias}.patient = any(%s)")
        parameters.append(arrays.int8(scope.patients))
    if type_ is None:
        rules.append(f"{alias}.rtype = any(%s)")
        parameters.append(arrays.int2([type_number(name) for name in sorted(OPEN_TYPES)]))
    return (f"({' or '.join(rules)})" if rules else "false"), parameters
