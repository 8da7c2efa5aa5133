"""Search parameters added at run time: what the stored SearchParameter resources define.

An active SearchParameter counts for every type of its `base`, from the transaction that writes it on. Each process
remembers the catalogue and looks whether it changed when that is older than TRUST; a search that meets a name it does
not know always looks. What was written meanwhile by a process that did not know yet, and everything older, is indexed
by reindexing.py.
"""

from __future__ import annotations

import functools
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal, cast

from psycopg.types.json import Jsonb

from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError
from healthbrain.fhir import SearchParameter, definitions, fhirpath
from healthbrain.fhir.definitions import Component, ParameterType
from healthbrain.fhir.indexing import Found
from healthbrain.fhir.values import Composite, IndexValues
from healthbrain.fhir.visits import Compiler
from healthbrain.store.rows import Rows, add_rows
from healthbrain.store.types import EQUAL, TypeIndex, type_index
from healthbrain.store.values import Written

TRUST = 1.0  # seconds for which a process believes that nothing changed
_HOT = 3.0  # seconds after a change of its own for which it does not
_LOCK = 0x48_42_21  # advisory: one transaction at a time learns
_FIRST_NUMBER = 1 << 20  # the parameters of R4 are some thousands
_MOST_COMBINATIONS = 1000  # of the values of a composite in one resource
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_KINDS = ("token", "reference", "string", "date", "number", "quantity", "uri", "composite")

State = Literal["waiting", "indexing", "ready", "refused", "removed"]


@dataclass(frozen=True, slots=True)
class Custom:
    """One parameter for one type. `share` of what was there before it is indexed."""

    parameter: SearchParameter
    resource: str
    state: State
    problem: str = ""
    share: float = 0.0


@dataclass(slots=True)
class Catalog:
    """The parameters that count, by type."""

    version: int = 0
    customs: Mapping[str, Mapping[str, Custom]] = field(default_factory=dict)
    indexes: dict[str, TypeIndex] = field(default_factory=dict)

    @property
    def alone(self) -> Catalog:
        """The same without what was derived from it, to be sent to another process."""
        return Catalog(self.version, self.customs)

    def index(self, type_: str) -> TypeIndex:
        """The parameters of a type, those of R4 and those added."""
        found = self.indexes.get(type_)
        if found is None:
            found = type_index(type_)
            if own := self.customs.get(type_):
                more = {code: custom.parameter for code, custom in own.items()}
                numbers = {code: parameter.number for code, parameter in more.items()}
                found = replace(found, parameters=found.parameters | more, numbers=found.numbers | numbers)
            self.indexes[type_] = found
        return found

    def add(self, type_: str, rows: Rows, resource: dict[str, Any]) -> None:
        """Add to the rows of a resource what the added parameters find in it; done once."""
        own = self.customs.get(type_)
        if own and not rows.extended:
            rows.extended = True
            for custom in own.values():
                add_rows(rows, self.index(type_), values_of(custom.parameter, resource))


@dataclass(slots=True)
class _Memory:
    catalog: Catalog = field(default_factory=Catalog)
    looked: float = float("-inf")
    hot: float = float("-inf")


_memories: dict[tuple[str, int, str], _Memory] = {}
_last = _Memory()


async def catalog(connection: Connection, *, trust: float = TRUST) -> Catalog:
    """The parameters that count, at most `trust` seconds old."""
    global _last
    memory = _memory(connection)
    _last = memory
    now = time.monotonic()
    if now - memory.looked < trust and now > memory.hot:
        return memory.catalog
    row = await (await connection.execute("select version from search_catalog")).fetchone()
    version = int(row[0]) if row else 0
    if version != memory.catalog.version:
        memory.catalog = await _load(connection, version)
    memory.looked = now
    return memory.catalog


def remembered() -> Catalog | None:
    """What this process remembers, without asking the database; None when that is too old to be believed."""
    now = time.monotonic()
    return _last.catalog if now - _last.looked < TRUST and now > _last.hot else None


def _memory(connection: Connection) -> _Memory:
    info = connection.info
    return _memories.setdefault((info.host, info.port, info.dbname), _Memory())


async def _load(connection: Connection, version: int) -> Catalog:
    customs: dict[str, dict[str, Custom]] = {}
    for one in await listed(connection):
        if one.state in {"waiting", "indexing", "ready"}:
            customs.setdefault(one.parameter.base, {})[one.parameter.code] = one
    return Catalog(version, customs)


async def listed(connection: Connection) -> list[Custom]:
    """Every parameter that was added, with its state and why it was refused."""
    cursor = await connection.execute(
        "select number, resource, base, code, kind, url, expression, targets, state, problem, done, goal, components"
        " from search_parameter where state <> 'removed' order by base, code, changed"
    )
    return [_custom(*row) for row in await cursor.fetchall()]


def _custom(
    number: int, resource: str, base: str, code: str, kind: str, url: str, expression: str, targets: Sequence[str],
    state: State, problem: str, done: int, goal: int, components: list[dict[str, Any]],
) -> Custom:  # fmt: skip
    parameter = SearchParameter(
        base=base, code=code, number=number, type=cast("ParameterType", kind), url=url, expression=expression,
        targets=tuple(targets), paths=(),
        components=tuple(Component(one["code"], one["type"], (), one["expression"]) for one in components),
    )  # fmt: skip
    share = 1.0 if state == "ready" else done / goal if goal and state == "indexing" else 0.0
    return Custom(parameter, resource, state, problem, share)


# -- values


def values_of(parameter: SearchParameter, resource: dict[str, Any]) -> IndexValues:
    """What a parameter finds in a resource; nothing when its expression has no answer there."""
    found = Found(resource)
    try:
        for node in _nodes(parameter.expression, resource, "", resource):
            if parameter.type == "composite":
                parts = [_part(one, node, resource) for one in parameter.components]
                found.composites += [Composite(parameter.code, one) for one in product(*parts)]
            else:
                _convert(parameter.type, node, parameter.code, found)
    except HealthBrainError:
        return IndexValues()
    return IndexValues(
        tuple(found.tokens), tuple(found.references), tuple(found.texts), tuple(found.dates), tuple(found.numbers),
        tuple(found.uris), tuple(found.composites[:_MOST_COMBINATIONS]),
    )  # fmt: skip


def _nodes(expression: str, context: Any, type_: str, resource: dict[str, Any]) -> Iterator[fhirpath.Node]:
    items = fhirpath.compile(expression, published=True, limited=True).items(context, type=type_, resource=resource)
    for item in items:
        node = item if isinstance(item, fhirpath.Node) else _as_element(item)
        if node.value is not None:
            yield node


def _convert(kind: str, node: fhirpath.Node, code: str, found: Found) -> None:
    convert = _compiler().converter(kind, node.type)
    if convert is not None:
        convert(node.value, (code,), found)


def _part(component: Component, node: fhirpath.Node, resource: dict[str, Any]) -> list[Any]:
    """The values of one part of a composite in the element `node`."""
    found = Found(resource)
    for inner in _nodes(component.expression, node.value, node.type, resource):
        _convert(component.type, inner, "", found)
    return [*found.tokens, *found.references, *found.uris, *found.numbers]


@functools.cache
def _compiler() -> Compiler:
    return Compiler(definitions())


def _as_element(item: Any) -> fhirpath.Node:
    """A System value as the FHIR element that says the same."""
    if isinstance(item, bool):
        return fhirpath.Node(item, "boolean")
    if isinstance(item, (fhirpath.Date, fhirpath.DateTime)):
        return fhirpath.Node(str(item), "dateTime")
    if isinstance(item, str):
        return fhirpath.Node(item, "string")
    if isinstance(item, fhirpath.Quantity):
        unit = {"system": "http://unitsofmeasure.org", "code": item.unit, "unit": item.unit}
        return fhirpath.Node({"value": float(item.value), **unit}, "Quantity")
    if isinstance(item, int):
        return fhirpath.Node(int(item), "integer")
    return fhirpath.Node(float(item) if hasattr(item, "as_tuple") else None, "decimal")


# -- learning from what is written


async def learn(connection: Connection, written: Sequence[Written]) -> None:
    """Take over the SearchParameter resources that were written, in the same transaction."""
    changed = [one for one in written if one.type == "SearchParameter" and one.changed]
    if not changed:
        return
    await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))  # two may bring the same code
    for one in changed:
        await connection.execute(
            "update search_parameter set state = 'removed', changed = clock_timestamp()"
            " where resource = %s and state <> 'removed'",
            (one.id,),
        )
        if one.resource is not None and not one.deleted and one.resource.get("status") == "active":
            await _take(connection, one.id, one.resource)
    await connection.execute(
        "update search_catalog set version = greatest(version + 1, (extract(epoch from clock_timestamp()) * 1e6)::bigint)"
    )
    memory = _memory(connection)
    memory.looked, memory.hot = float("-inf"), time.monotonic() + _HOT


async def _take(connection: Connection, id_: str, resource: dict[str, Any]) -> None:
    url = resource.get("url", "")
    for base in _bases(resource):
        if any(p.url == url for p in definitions().search_parameters(base).values()):
            continue  # R4's own, sent as a resource
        problem = _problem(base, resource)
        components: list[dict[str, str]] = []
        if not problem and resource["type"] == "composite":
            components, problem = await _components(connection, resource)
        if not problem:
            cursor = await connection.execute(
                "select from search_parameter where base = %s and code = %s and state in ('waiting', 'indexing', 'ready')",
                (base, resource["code"]),
            )
            problem = (
                f"another SearchParameter defines {base}.{resource['code']}"
                if await cursor.fetchone() is not None
                else ""
            )
        targets = [name for name in resource.get("target", ()) if definitions().is_resource(name)]
        await connection.execute(
            "insert into search_parameter (number, resource, base, code, kind, url, expression, targets, state, problem,"
            " components) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                _FIRST_NUMBER + secrets.randbelow(1 << 30), id_, base, resource["code"], resource["type"], url,
                resource.get("expression", ""), targets, "refused" if problem else "waiting", problem,
                Jsonb(components),
            ),
        )  # fmt: skip


async def _components(connection: Connection, resource: dict[str, Any]) -> tuple[list[dict[str, str]], str]:
    """The parts of a composite, and why it cannot be used; '' when it can."""
    parts: list[dict[str, str]] = []
    for one in resource.get("component", ()):
        url = one["definition"].partition("|")[0]
        cursor = await connection.execute(
            "select code, kind from search_parameter where url = %s and state in ('waiting', 'indexing', 'ready')",
            (url,),
        )
        code, kind = await cursor.fetchone() or _of_r4().get(url, ("", ""))
        if not kind:
            return [], "the definition of a component is a parameter of R4 or one that is stored here and active"
        if problem := _unreadable(one["expression"]):
            return [], f"the expression of component {code}: {problem}"
        parts.append({"code": code, "type": kind, "expression": one["expression"]})
    kinds = [part["type"] for part in parts]
    if len(kinds) < 2 or not set(kinds[:-1]) <= EQUAL or kinds[-1] not in EQUAL | {"number", "quantity"}:
        return [], "a composite has two components or more: tokens, references and uris, the last one may be an amount"
    return parts, ""


@functools.cache
def _of_r4() -> dict[str, tuple[str, str]]:
    """Code and type of R4's parameters by their url."""
    known = definitions()
    return {p.url: (p.code, p.type) for name in known.types for p in known.search_parameters(name).values()}


def _unreadable(expression: str) -> str:
    try:
        fhirpath.compile(expression, published=True)
    except HealthBrainError as error:
        return error.message[:500]
    return ""


def _bases(resource: dict[str, Any]) -> list[str]:
    named = resource.get("base", [])
    if {"Resource", "DomainResource"} & set(named):
        return list(definitions().types)
    return [name for name in named if definitions().is_resource(name)]


def _problem(base: str, resource: dict[str, Any]) -> str:
    """Why a definition cannot be used; '' when it can."""
    if resource["type"] not in _KINDS:
        return f"parameters of type {resource['type']} are not offered; one of {', '.join(_KINDS)} is"
    if not _CODE.fullmatch(resource["code"]):
        return "a code is a letter and then letters, digits and hyphens"
    if resource["code"] in definitions().search_parameters(base):
        return f"{base}.{resource['code']} is a parameter of R4"
    if not resource.get("expression"):
        return "there is no expression"
    problem = _unreadable(resource["expression"])
    return f"the expression: {problem}" if problem else ""
