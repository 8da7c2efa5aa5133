"""Which rows of the lake a scope opens: the rule of store.visibility as a condition on the lake's own columns.

A row is seen if its owner is among the scope's organisations, or its patient among the scope's patients, or its type is open to
everybody; and, when an application is in between, if a rule of its grant allows finding it. Rules with a search restriction
are judged on the resource itself, by the store's own code.
"""

# ruff: noqa: S608  # statements are made here; numbers and quoted names only
from __future__ import annotations

from collections.abc import Iterable

import duckdb

from healthbrain.lake.engine import name
from healthbrain.scope import OPEN_TYPES, Scope
from healthbrain.store.granted import granted

_FINDING = "s"
_BATCH = 2_000


def condition(scope: Scope, type_: str) -> str:
    """What a row must fulfil as far as its owner, its patient and its type tell; '' when every row does."""
    tests = [one for one in (_opened(scope, type_), _granted(scope, type_)) if one]
    return " and ".join(tests)


def needs_bodies(scope: Scope, type_: str) -> bool:
    """Whether rules of the grant have to be judged on the resources themselves."""
    rules = scope.rules_for(type_, _FINDING)
    return bool(rules) and any(rule.where for rule in rules)


def seen(connection: duckdb.DuckDBPyConnection, scope: Scope, type_: str, relation: str) -> str:
    """The rows of `relation` (of the lake's shape) that the scope opens, as a relation in brackets."""
    test = condition(scope, type_)
    rows = f"(select p.* from {relation} p where {test})" if test else relation
    if not needs_bodies(scope, type_):
        return rows
    _judge(connection, scope, type_, rows)
    return f"(select p.* from {rows} p semi join {_allowed(type_)} a on a._id = p._id)"


def _opened(scope: Scope, type_: str) -> str:
    if scope.organisations is None or type_ in OPEN_TYPES:
        return ""
    ways = [f"p._owner in ({_listed(scope.organisations)})"] if scope.organisations else []
    if scope.patients is None:
        ways.append("p._patient is not null")
    elif scope.patients:
        ways.append(f"p._patient in ({_listed(scope.patients)})")
    return f"({' or '.join(ways)})" if ways else "false"


def _granted(scope: Scope, type_: str) -> str:
    if scope.rules is None:
        return ""
    ways: list[str] = []
    for rule in scope.rules_for(type_, _FINDING):
        if rule.patients is None or type_ in OPEN_TYPES:
            return ""
        if rule.patients:
            ways.append(f"p._patient in ({_listed(rule.patients)})")
    return f"({' or '.join(ways)})" if ways else "false"


def _judge(connection: duckdb.DuckDBPyConnection, scope: Scope, type_: str, rows: str) -> None:
    """The ids of the rows that the search restrictions of the grant allow, as a table."""
    connection.execute(f"create or replace temp table {_allowed(type_)} (_id varchar)")
    reader = connection.cursor()
    reader.execute(f"select _id, _patient, _body from {rows}")
    while batch := reader.fetchmany(_BATCH):
        allowed = [
            [id_] for id_, patient, body in batch if granted(scope, patient, type_, _FINDING, id_, body.encode())
        ]
        if allowed:
            connection.executemany(f"insert into {_allowed(type_)} values (?)", allowed)


def _allowed(type_: str) -> str:
    return name(f"$allowed {type_}")


def _listed(keys: Iterable[int]) -> str:
    return ", ".join(str(int(key)) for key in keys)
