"""Value sets and code hierarchies from what is stored: ValueSet and CodeSystem resources, and R4's own value sets.

Enough for `:in`, `:not-in`, `:above` and `:below`, with bounds. A terminology service replaces it by giving the Store
an object with the same two methods. Rule source: FHIR R4 ValueSet, "Value Set Expansion"; CodeSystem, "Relationships".
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, TooLarge, Unsupported
from healthbrain.fhir import definitions, parse
from healthbrain.store import arrays, bodies, keys
from healthbrain.store.types import type_index

LARGEST_EXPANSION = 10_000
_DEEPEST = 8  # value sets that import value sets


@dataclass(frozen=True, slots=True)
class Codes:
    """A set of codes: single ones, and systems of which every code is meant."""

    codes: frozenset[tuple[str, str]] = frozenset()
    systems: frozenset[str] = frozenset()


class Terminology(Protocol):
    """What a search asks of terminology."""

    async def expand(self, connection: Connection, url: str) -> Codes:
        """The codes of a value set. Incorrect or Unsupported, with the reason, when they cannot be told."""

    async def related(self, connection: Connection, system: str, code: str, *, down: bool) -> Sequence[str]:
        """The code, and those it subsumes (`down`) or that subsume it."""


class StoredTerminology:
    """Terminology from stored resources and the R4 definitions."""

    async def expand(self, connection: Connection, url: str) -> Codes:
        """See Terminology."""
        return await _value_set(connection, url, 0)

    async def related(self, connection: Connection, system: str, code: str, *, down: bool) -> Sequence[str]:
        """See Terminology."""
        tree = await _tree(connection, system)
        return tree.below(code) if down else tree.above(code)


# -- code systems


@dataclass(slots=True)
class Tree:
    """The concepts of a code system with their parents."""

    concepts: dict[str, dict[str, Any]] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=dict)

    def add(self, concept: dict[str, Any], parent: str = "") -> None:
        """A concept and what stands below it."""
        code = concept["code"]
        self.concepts[code] = concept
        ties = [(parent, code)] if parent else []
        for one in concept.get("property", ()):
            other = one.get("valueCode", "")
            if other and one.get("code") in {"parent", "subsumedBy"}:
                ties.append((other, code))
            elif other and one.get("code") == "child":
                ties.append((code, other))
        for above, below in ties:
            self.parents.setdefault(below, set()).add(above)
            self.children.setdefault(above, set()).add(below)
        for inner in concept.get("concept", ()):
            self.add(inner, code)

    def below(self, code: str) -> list[str]:
        """The code and everything it subsumes."""
        return _reach(code, self.children)

    def above(self, code: str) -> list[str]:
        """The code and everything that subsumes it."""
        return _reach(code, self.parents)


def _reach(code: str, ties: Mapping[str, set[str]]) -> list[str]:
    seen, waiting = {code: None}, [code]
    while waiting:
        new = [other for other in sorted(ties.get(waiting.pop(), ())) if other not in seen]
        seen.update(dict.fromkeys(new))
        waiting += new
        if len(seen) > LARGEST_EXPANSION:
            raise TooLarge(f"more than {LARGEST_EXPANSION} codes are related to this one")
    return list(seen)


async def _tree(connection: Connection, system: str) -> Tree:
    if not system:
        raise Incorrect("subsumption is defined within a code system: write system|code")
    resource = await _newest(connection, "CodeSystem", system)
    if resource is None or resource.get("content") not in {"complete", "fragment", "supplement"}:
        raise Unsupported("the hierarchy of this code system is not known here; store its CodeSystem with its concepts")
    tree = Tree()
    for concept in resource.get("concept", ()):
        tree.add(concept)
    return tree


# -- value sets


async def _value_set(connection: Connection, url: str, depth: int) -> Codes:
    if depth > _DEEPEST:
        raise Unsupported("this value set imports others too deeply, or itself")
    resource = await _newest(connection, "ValueSet", url)
    if resource is None:
        own = definitions().codes(url.partition("|")[0])
        if own is None:
            raise Unsupported("this value set is not known here; store it as a ValueSet, with its codes")
        return Codes(frozenset((system, code) for system, codes in own.items() for code in codes))
    if (contains := resource.get("expansion", {}).get("contains")) is not None:
        return _bounded(Codes(frozenset(_contained(contains))))
    compose = resource.get("compose")
    if compose is None:
        raise Unsupported("this value set has neither a definition nor an expansion")
    codes: frozenset[tuple[str, str]] = frozenset()
    systems: frozenset[str] = frozenset()
    for part in compose.get("include", ()):
        found = await _part(connection, part, depth)
        codes, systems = codes | found.codes, systems | found.systems
    for part in compose.get("exclude", ()):
        found = await _part(connection, part, depth)
        for system in systems & {one for one, _ in found.codes}:  # all codes but some: they must be known one by one
            tree = await _tree(connection, system)
            codes, systems = codes | {(system, code) for code in tree.concepts}, systems - {system}
        codes = frozenset(c for c in codes if c not in found.codes and c[0] not in found.systems)
        systems -= found.systems
    return _bounded(Codes(codes, systems))


async def _part(connection: Connection, part: Mapping[str, Any], depth: int) -> Codes:
    """One include or exclude: a system (all, listed or filtered) within all the value sets it names."""
    sets = [await _value_set(connection, url, depth + 1) for url in part.get("valueSet", ())]
    system = part.get("system", "")
    if system:
        sets.append(await _of_system(connection, system, part))
    if not sets:
        raise Unsupported("a part of this value set names neither a system nor a value set")
    found = sets[0]
    for other in sets[1:]:
        codes = {c for c in found.codes if c in other.codes or c[0] in other.systems}
        codes |= {c for c in other.codes if c[0] in found.systems}
        found = Codes(frozenset(codes), found.systems & other.systems)
    return found


async def _of_system(connection: Connection, system: str, part: Mapping[str, Any]) -> Codes:
    if "concept" in part:
        return Codes(frozenset((system, concept["code"]) for concept in part["concept"]))
    if not part.get("filter"):
        return Codes(systems=frozenset({system}))
    tree = await _tree(connection, system)
    codes = set(tree.concepts)
    for one in part["filter"]:
        codes &= _filtered(tree, one)
    return Codes(frozenset((system, code) for code in codes))


def _filtered(tree: Tree, rule: Mapping[str, str]) -> set[str]:
    name, value = rule.get("property", ""), rule.get("value", "")
    rules: dict[str, Callable[[], Iterable[str]]] = {
        "is-a": lambda: tree.below(value),
        "descendent-of": lambda: tree.below(value)[1:],
        "is-not-a": lambda: set(tree.concepts) - set(tree.below(value)),
        "generalizes": lambda: tree.above(value),
        "=": lambda: (c for c, concept in tree.concepts.items() if value in _properties(concept, name)),
        "in": lambda: (c for c, p in tree.concepts.items() if set(value.split(",")) & set(_properties(p, name))),
        "not-in": lambda: (
            c for c, p in tree.concepts.items() if not set(value.split(",")) & set(_properties(p, name))
        ),
        "exists": lambda: (c for c, p in tree.concepts.items() if bool(_properties(p, name)) == (value == "true")),
    }
    rule_of = rules.get(rule.get("op", ""))
    if rule_of is None:
        raise Unsupported(f"this value set filters by '{rule.get('op', '')}', which cannot be expanded here")
    return set(rule_of())


def _properties(concept: Mapping[str, Any], name: str) -> list[str]:
    if name in {"code", "concept"}:
        return [concept["code"]]
    if name == "display":
        return [concept.get("display", "")]
    found = []
    for one in concept.get("property", ()):
        if one.get("code") == name:
            value = next((v for key, v in one.items() if key.startswith("value")), "")
            if isinstance(value, dict):
                value = value.get("code", "")
            found.append(str(value).lower() if isinstance(value, bool) else str(value))
    return found


def _contained(contains: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for one in contains:
        if one.get("code") and not one.get("abstract"):
            yield one.get("system", ""), one["code"]
        yield from _contained(one.get("contains", ()))


def _bounded(found: Codes) -> Codes:
    if len(found.codes) > LARGEST_EXPANSION:
        raise TooLarge(f"this value set has more than {LARGEST_EXPANSION} codes; use a smaller one")
    return found


async def _newest(connection: Connection, type_: str, url: str) -> dict[str, Any] | None:
    """The stored resource of a canonical url (with |version: that one), the last changed of several.

    Terminology is open to every reader (scope.OPEN_TYPES), so no scope applies.
    """
    arrays.teach(connection)
    index = type_index(type_)
    bare, _, version = url.partition("|")
    tokens = [keys.number(keys.form(index.numbers["url"], "uri", bare))]
    named = [keys.resource_key(type_, bare.removeprefix(f"{type_}/"))]
    statement = (
        f"select r.body from resource r where r.rtype = {index.number}::smallint and not r.deleted"
        " and (r.tokens @> %s or r.key = any(%s)) order by r.updated desc limit 100"
    )
    rows = await (await connection.execute(statement.encode(), [arrays.int8(tokens), arrays.uuid(named)])).fetchall()
    found = (parse(bodies.decompress(row[0])) for row in rows)
    return next((one for one in found if version in {"", one.get("version", "")}), None)
