"""What conditions may have to look up before they can be made: units in use, hierarchies, canonical urls, lists.

Each is one small statement or a few, bounded, and open only as far as the reader's scope.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import NotFound, TooLarge
from healthbrain.fhir import SearchParameter, extract, parse
from healthbrain.store import arrays, bodies, keys
from healthbrain.store.asking import Asking, Need
from healthbrain.store.pieces import Condition
from healthbrain.store.rows import UNITS
from healthbrain.store.visibility import visible_sql

_MOST_BELOW = 5000
_DEEPEST = 50
_MOST_CANONICALS = 5000
_HIERARCHIES = ("partof", "part-of")


@dataclass(frozen=True, slots=True)
class UnitsInUse(Need):
    """The UCUM codes that stored quantities have."""

    async def fetch(self, connection: Connection, asking: Asking) -> tuple[str, ...]:
        cursor = await connection.execute("select distinct value from concept_text where param = %s", (UNITS,))
        return tuple(sorted(row[0] for row in await cursor.fetchall()))


def hierarchy_of(asking: Asking, type_: str) -> SearchParameter | None:
    """The parameter by which resources of a type are parts of others of it."""
    for code in _HIERARCHIES:
        parameter = asking.index(type_).parameters.get(code)
        if parameter is not None and type_ in parameter.targets:
            return parameter
    return None


@dataclass(frozen=True, slots=True)
class Hierarchy(Need):
    """A resource and everything it is part of (`down` False), or everything that is part of it."""

    type: str
    id: str
    down: bool

    async def fetch(self, connection: Connection, asking: Asking) -> tuple[str, ...]:
        """Ids, the asked one first."""
        parameter = hierarchy_of(asking, self.type)
        seen = {self.id: None}
        level: Sequence[str] = [self.id]
        for _ in range(_DEEPEST):
            if parameter is None or not level:
                break
            step = self._below if self.down else self._above
            level = [id_ for id_ in await step(connection, asking, parameter, level) if id_ not in seen]
            seen.update(dict.fromkeys(level))
            if len(seen) > _MOST_BELOW:
                raise TooLarge(f"more than {_MOST_BELOW} {self.type} resources are part of the one asked for")
        return tuple(seen)

    async def _below(
        self, connection: Connection, asking: Asking, parameter: SearchParameter, level: Sequence[str]
    ) -> list[str]:
        tokens = [keys.number(keys.referred(parameter.number, self.type, id_)) for id_ in level]
        rows = await _select(
            connection, asking, self.type, "r.fhir_id", Condition("r.tokens && %s", (arrays.int8(tokens),))
        )
        return [row[0] for row in rows]

    async def _above(
        self, connection: Connection, asking: Asking, parameter: SearchParameter, level: Sequence[str]
    ) -> list[str]:
        named = [keys.resource_key(self.type, id_) for id_ in level]
        rows = await _select(
            connection, asking, self.type, "r.body", Condition("r.key = any(%s)", (arrays.uuid(named),))
        )
        return [
            reference.id
            for row in rows
            for reference in extract(parse(bodies.decompress(row[0]))).references
            if reference.param == parameter.code and reference.type == self.type and reference.id
        ]


@dataclass(frozen=True, slots=True)
class Urls(Need):
    """The canonical urls of the resources a chain leads to."""

    written: str
    type: str
    condition: Condition
    alias: str = "r"

    async def fetch(self, connection: Connection, asking: Asking) -> tuple[str, ...]:
        number = asking.index(self.type).numbers["url"]
        statement = (
            f"select distinct s.value from resource {self.alias} join resource_string s on s.rid = {self.alias}.rid"
            f" and s.param = %s where {self.condition.sql} limit %s"
        )
        values = [number, *self.condition.parameters, _MOST_CANONICALS + 1]
        rows = await (await connection.execute(statement.encode(), values)).fetchall()
        _bounded(rows, self.written)
        return tuple(row[0] for row in rows)


@dataclass(frozen=True, slots=True)
class Canonicals(Need):
    """The canonical urls that the resources found by a reverse chain refer to."""

    written: str
    parameter: str
    condition: Condition
    alias: str = "r"

    async def fetch(self, connection: Connection, asking: Asking) -> tuple[str, ...]:
        statement = f"select {self.alias}.body from resource {self.alias} where {self.condition.sql} limit %s"
        values = [*self.condition.parameters, _MOST_CANONICALS + 1]
        rows = await (await connection.execute(statement.encode(), values)).fetchall()
        _bounded(rows, self.written)
        found = (r for row in rows for r in extract(parse(bodies.decompress(row[0]))).references)
        return tuple({r.url for r in found if r.param == self.parameter and r.url})


@dataclass(frozen=True, slots=True)
class Members(Need):
    """The resources that a List names."""

    id: str

    async def fetch(self, connection: Connection, asking: Asking) -> tuple[tuple[str, str], ...]:
        key = arrays.uuid([keys.resource_key("List", self.id)])
        rows = await _select(connection, asking, "List", "r.body", Condition("r.key = any(%s)", (key,)))
        if not rows:
            raise NotFound("'_list': there is no List of this id here")
        references = extract(parse(bodies.decompress(rows[0][0]))).references
        return tuple(dict.fromkeys((r.type, r.id) for r in references if r.param == "item" and r.id))


async def _select(
    connection: Connection, asking: Asking, type_: str, columns: str, condition: Condition
) -> list[tuple[Any, ...]]:
    rule, parameters = visible_sql(asking.scope, type_)
    statement = (
        f"select {columns} from resource r where r.rtype = {asking.index(type_).number}::smallint and not r.deleted"
        f" and {condition.sql}{' and ' + rule if rule else ''} limit {_MOST_BELOW + 1}"
    )
    cursor = await connection.execute(statement.encode(), [*condition.parameters, *parameters])
    return await cursor.fetchall()


def _bounded(rows: Sequence[object], written: str) -> None:
    if len(rows) > _MOST_CANONICALS:
        raise TooLarge(f"'{written}' leads over more than {_MOST_CANONICALS} canonical urls; narrow it")


def canonical(parameter: SearchParameter) -> bool:
    """Whether a reference parameter holds canonical urls."""
    return any(path.type in {"canonical", "uri"} for path in parameter.paths)


def tokens_of(parameter: SearchParameter, targets: Iterable[tuple[str, str]]) -> list[int]:
    """The tokens under which references to these (type, id) are found."""
    return [keys.number(keys.referred(parameter.number, type_, id_)) for type_, id_ in targets]
