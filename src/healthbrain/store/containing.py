"""Search for contained resources: `_contained=true` or `both`, `_containedType=container` or `contained`.

Contained resources have no rows of their own: they are few, and indexing them would burden every write. Each resource
holds the types of what it contains as tokens; a search reads those that contain the wanted type, puts the index values
of what is inside into tables that exist for one statement only, under the names of the real ones, and asks of them
the very condition that stored resources are asked. So every parameter means the same on both sides.
Chains lead from stored resources only and are refused here. Rule source: R4 search 3.1.1.5.9.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import TooLarge, Unsupported
from healthbrain.fhir import definitions, dump
from healthbrain.scope import Scope
from healthbrain.store import arrays, keys, texts
from healthbrain.store.asking import Asking
from healthbrain.store.columns import SideRows
from healthbrain.store.pieces import holds_any
from healthbrain.store.question import Question
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.rows import COMPARTMENT, CONTAINED, Rows, index_rows
from healthbrain.store.selection import selected
from healthbrain.store.types import type_number
from healthbrain.store.values import Stored
from healthbrain.store.visibility import visible_sql

MOST_CONTAINERS = 5000  # resources that one search looks into

# the tables of one statement; parameters as `_columns` gives them
_TABLES = """
with resource as materialized (
    select n.rid, n.key, n.patient, n.code, n.updated, n.at_low, n.at_high, n.fhir_id, n.tokens::bigint[] as tokens,
        %s::smallint as rtype, false as deleted, 0 as owner
    from unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s)
        as n(rid, key, patient, code, updated, at_low, at_high, fhir_id, tokens)),
resource_date as materialized (select * from unnest(%s, %s, %s, %s) as n(rid, param, low, high)),
resource_number as materialized (
    select * from unnest(%s, %s, %s, %s, %s, %s, %s) as n(rid, param, low, high, unit, label, code)),
resource_string as materialized (select * from unnest(%s, %s, %s) as n(rid, param, value)),
concept_text as materialized (select * from unnest(%s, %s, %s) as n(param, token, value))
"""


@dataclass(frozen=True, slots=True)
class Inside:
    """A contained resource with the one it is in."""

    container: Stored
    place: int
    resource: dict[str, Any]

    @property
    def alone(self) -> Stored:
        """The contained resource as a result of its own."""
        holder = f"{self.container.type}/{self.container.id}"
        return replace(
            self.container, type=self.resource["resourceType"], id=str(self.resource.get("id", "")),
            body=dump(self.resource), inside=holder,
        )  # fmt: skip


async def contained_in(
    connection: Connection, type_: str, question: Question, asking: Asking, scopes: Mapping[str, Scope]
) -> list[Inside]:
    """The contained resources of a type that fulfil the question, in resources that the scopes open.

    `asking` is about everything: what is contained is as open as what contains it.
    """
    for criterion in question.criteria:
        if criterion.chain or criterion.filter or criterion.name in {"_has", "_list", *texts.NAMES}:
            raise Unsupported(f"'{criterion.written}' cannot be asked of contained resources")
    if question.sort or question.includes:
        raise Unsupported("contained resources come without _sort and _include")
    wanted = [
        Inside(container, place, one)
        for container in await _containers(connection, type_, scopes)
        for place, one in enumerate(container.resource.get("contained", ()))
        if one.get("resourceType") == type_
    ]
    selection = await selected(connection, type_, question.criteria, asking)
    if not wanted:
        return []
    rows = [_rows(asking, type_, one.resource) for one in wanted]
    statement = f"{_TABLES} select r.rid from resource r where {selection.where}"
    values = [type_number(type_), *_columns(type_, wanted, rows), *selection.parameters]
    found = await (await connection.execute(statement.encode(), values)).fetchall()
    return [wanted[n - 1] for n in sorted(row[0] for row in found)]


async def _containers(connection: Connection, type_: str, scopes: Mapping[str, Scope]) -> list[Stored]:
    """The resources that contain one of the type, oldest first."""
    token = holds_any("r", [keys.number(keys.form(COMPARTMENT, CONTAINED, type_))])
    rules: dict[str, tuple[list[Any], list[int]]] = {}
    for name in definitions().types:
        if name in scopes:
            rule, parameters = visible_sql(scopes[name], name)
            rules.setdefault(f"{rule} {parameters!r}", ([rule or "true", parameters], []))[1].append(type_number(name))
    ways = " or ".join(f"(r.rtype = any(%s) and {rule})" for (rule, _), _ in rules.values())
    values = [value for (_, own), numbers in rules.values() for value in (arrays.int2(numbers), *own)]
    statement = (
        f"select {COLUMNS} from resource r where {token.sql} and not r.deleted and ({ways or 'false'})"
        f" order by r.rid limit {MOST_CONTAINERS + 1}"
    )
    rows = await (await connection.execute(statement.encode(), [*token.parameters, *values])).fetchall()
    if len(rows) > MOST_CONTAINERS:
        raise TooLarge(f"more than {MOST_CONTAINERS} resources contain a {type_}, too many to be looked into")
    return [stored(row) for row in rows]


def _rows(asking: Asking, type_: str, resource: dict[str, Any]) -> Rows:
    try:
        index = asking.index(type_)
        rows = index_rows(index, str(resource.get("id", "")), asking.values(type_, resource))
    except (KeyError, TypeError, ValueError):  # what is contained was never indexed, so it may be odd
        return Rows()
    return rows


def _columns(type_: str, wanted: Sequence[Inside], rows: Sequence[Rows]) -> list[Any]:
    ids = [str(one.resource.get("id", "")) for one in wanted]
    return [
        arrays.int8(range(1, len(wanted) + 1)),
        arrays.uuid([keys.resource_key(type_, id_) for id_ in ids]),
        arrays.int8([row.patient for row in rows]),
        arrays.int8([row.code for row in rows]),
        arrays.instant([arrays.microseconds(one.container.updated) for one in wanted]),
        arrays.instant([row.at_low for row in rows]),
        arrays.instant([row.at_high for row in rows]),
        arrays.text(ids),
        arrays.text([arrays.int8_text(row.tokens) for row in rows]),
        *SideRows.of(rows).columns(),
    ]
