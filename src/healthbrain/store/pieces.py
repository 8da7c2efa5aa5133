"""Pieces of SQL with their parameters, and how they are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.store import arrays


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of SQL with its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


NEVER = Condition("false")


def any_of(conditions: Sequence[Condition]) -> Condition:
    """At least one holds."""
    if len(conditions) == 1:
        return conditions[0]
    return Condition(f"({' or '.join(c.sql for c in conditions)})", sum((c.parameters for c in conditions), ()))


def all_of(conditions: Sequence[Condition]) -> Condition:
    """Every one holds."""
    if len(conditions) == 1:
        return conditions[0]
    return Condition(f"({' and '.join(c.sql for c in conditions)})", sum((c.parameters for c in conditions), ()))


def negated(condition: Condition) -> Condition:
    """It does not hold (nor is it unknown)."""
    return Condition(f"({condition.sql}) is not true", condition.parameters)


def holds_any(alias: str, tokens: Sequence[int]) -> Condition:
    """The row has at least one of these tokens."""
    operator = "@>" if len(tokens) == 1 else "&&"
    return Condition(f"{alias}.tokens {operator} %s", (arrays.int8(tokens),))


def holds_rare(alias: str, tokens: Sequence[int]) -> Condition:
    """The same for tokens that few rows have, as a number of a person or a reference to one visit.

    PostgreSQL takes any token it has no figures of for one in two hundred rows, and would rather intersect them with all rows
    of the type: the more there are, the slower. Fetched first, as one array, they are what everything else is checked on.
    """
    found = holds_any("k", tokens)
    rids = f"select k.rid from resource k where {found.sql}"  # noqa: S608 - our own pieces only
    return Condition(f"{alias}.rid = any(array({rids}))", found.parameters)


def lacks_all(alias: str, tokens: Sequence[int]) -> Condition:
    """The row has none of these tokens."""
    return Condition(f"not {alias}.tokens && %s", (arrays.int8(tokens),))


_LETTER = {"string": "s", "date": "d", "number": "n"}


def side(table: str, param: int, inner: Condition, alias: str) -> Condition:
    """Some row of a side table fulfils `inner`."""
    row = _LETTER[table]
    return Condition(
        f"exists (select from resource_{table} {row} where {row}.rid = {alias}.rid and {row}.param = %s and {inner.sql})",
        (param, *inner.parameters),
    )
