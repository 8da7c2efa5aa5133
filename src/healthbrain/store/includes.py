"""What a search adds to its matches: the resources they refer to, and those that refer to them."""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, TooLarge, Unsupported
from healthbrain.fhir import extract
from healthbrain.scope import Scope
from healthbrain.store import arrays, keys
from healthbrain.store.pieces import Condition, holds_any
from healthbrain.store.question import Include
from healthbrain.store.reading import COLUMNS, read_many, stored
from healthbrain.store.selection import Selection
from healthbrain.store.types import TypeIndex, type_index
from healthbrain.store.values import Stored
from healthbrain.store.visibility import visible_sql

LARGEST_INCLUDE = 1000


async def included(
    connection: Connection, matches: Sequence[Stored], includes: Sequence[Include], scope: Scope
) -> list[Stored]:
    """What the matches refer to, and what refers to them; none twice, none that is a match."""
    found: dict[int, Stored] = {}
    forward = [include for include in includes if not include.reverse]
    if forward:
        names = list(dict.fromkeys(name for match in matches for name in _referred(match, forward)))
        found |= {
            one.rid: one for one in await read_many(connection, names[: LARGEST_INCLUDE + 1], scope=scope, may="rs")
        }
    for include in includes:
        if include.reverse:
            found |= {one.rid: one for one in await _referring(connection, matches, include, scope)}
    for match in matches:
        found.pop(match.rid, None)
    if len(found) > LARGEST_INCLUDE:
        raise TooLarge(f"more than {LARGEST_INCLUDE} included resources; ask for fewer with _count")
    return list(found.values())


def check_includes(index: TypeIndex, includes: Sequence[Include]) -> None:
    for include in includes:
        name = "_revinclude" if include.reverse else "_include"
        if include.source == "*" or include.parameter == "*":
            if include.reverse:
                raise Unsupported("'_revinclude=*' is not offered; name types and parameters")
            continue
        if not include.reverse and include.source != index.name:
            raise Incorrect(f"'_include' begins with the type that is searched: {index.name}")
        parameter = type_index(include.source).parameters.get(include.parameter)
        if parameter is None or parameter.type != "reference":
            raise Incorrect(f"'{name}': {include.parameter} is not a reference parameter of {include.source}")


def _referred(match: Stored, includes: Sequence[Include]) -> list[tuple[str, str]]:
    return [
        (reference.type, reference.id)
        for reference in extract(match.resource).references
        if reference.id
        and any(i.parameter in {"*", reference.param} and i.target in {"", reference.type} for i in includes)
    ]


async def _referring(connection: Connection, matches: Sequence[Stored], include: Include, scope: Scope) -> list[Stored]:
    index = type_index(include.source)
    parameter = index.parameters[include.parameter]
    conditions = [Condition(f"r.rtype = {index.number}::smallint and not r.deleted")]
    if matches[0].type == "Patient" and parameter.code in index.patient_params:
        conditions.append(Condition("r.patient = any(%s)", (arrays.int8([keys.patient_key(m.id) for m in matches]),)))
    else:
        conditions.append(holds_any("r", [keys.number(keys.referred(parameter.number, m.type, m.id)) for m in matches]))
    rule, parameters = visible_sql(scope, index.name)
    if rule:
        conditions.append(Condition(rule, tuple(parameters)))
    where = Selection(index, tuple(conditions))
    statement = f"select {COLUMNS} from resource r where {where.where} order by r.rid limit {LARGEST_INCLUDE + 1}"
    rows = await (await connection.execute(statement.encode(), where.parameters)).fetchall()
    return [stored(row) for row in rows]
