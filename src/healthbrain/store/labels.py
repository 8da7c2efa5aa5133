"""The profiles, tags and security labels in use, by type, as far as a reader sees: what `$meta` of many resources answers.

The list of texts holds every profile and label that was ever written (rows.py); each that some visible resource still
has is read from one such resource. So the work grows with the labels and not with the resources.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthbrain.database import Connection
from healthbrain.fhir import parse
from healthbrain.scope import Scope
from healthbrain.store import arrays, bodies
from healthbrain.store.rows import LONGEST_STRING, listing
from healthbrain.store.types import type_index
from healthbrain.store.visibility import visible_sql

_ELEMENTS = {"_profile": "profile", "_tag": "tag", "_security": "security"}


async def labels(connection: Connection, scopes: Mapping[str, Scope]) -> list[dict[str, Any]]:
    """A Meta with one profile or label each; `scopes` are the types to look at."""
    arrays.teach(connection)
    numbers: dict[int, tuple[str, str]] = {}
    for type_ in scopes:
        index = type_index(type_)
        for code in _ELEMENTS:
            number = index.numbers[code]
            numbers[number if code == "_profile" else listing(number)] = (type_, code)
    cursor = await connection.execute(
        "select distinct param, value, token from concept_text where param = any(%s) order by param, value",
        [arrays.int4(sorted(numbers))],
    )
    found: list[dict[str, Any]] = []
    for param, value, token in await cursor.fetchall():
        type_, code = numbers[param]
        rule, extra = visible_sql(scopes[type_], type_)
        statement = (
            f"select r.body from resource r where r.tokens @> %s and r.rtype = {type_index(type_).number}::smallint"
            f" and not r.deleted{' and ' + rule if rule else ''} limit 1"
        )
        row = await (await connection.execute(statement.encode(), [arrays.int8([token]), *extra])).fetchone()
        if row is not None:
            element = _ELEMENTS[code]
            listed = parse(bodies.decompress(row[0])).get("meta", {}).get(element, [])
            found += [{element: [one]} for one in listed if _named(one)[:LONGEST_STRING] == value]
    return found


def _named(one: Any) -> str:
    return f"{one.get('system', '')}|{one.get('code', '')}" if isinstance(one, dict) else str(one)
