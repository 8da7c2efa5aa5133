"""Sorting by any search parameter.

R4 search, _sort: a resource with several values of a key counts with the one that comes first in the asked direction;
what has no value comes last in both. Dates, numbers, strings and uris are sorted in SQL from the index; a quantity
counts in the base unit of its dimension. Codes and references are kept as hashes only: bodysort.py. A concept counts by
its codes, and by its text when it has none; a reference by what it points at, or by its identifier.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.fhir.values import IndexValues
from healthbrain.store import arrays, keys
from healthbrain.store.asking import Asking
from healthbrain.store.lookups import UnitsInUse
from healthbrain.store.pieces import Condition
from healthbrain.store.question import Sort
from healthbrain.store.rows import UCUM, fold
from healthbrain.store.types import OWN_COLUMNS, UNIONS, TypeIndex
from healthbrain.store.units import lines

Value = str | float | None
LARGEST = 1.7e308


@dataclass(frozen=True, slots=True)
class Key:
    """A sort key of one type: SQL for its value, or the parameters whose values the body tells."""

    descending: bool
    sql: str = "null"
    parameters: tuple[Any, ...] = ()
    kind: str = "text"  # the SQL type of the value
    optional: bool = True  # rows may lack it
    read: frozenset[str] = frozenset()

    @property
    def comparable(self) -> str:
        """SQL for the value as text or a number, for comparison outside the database."""
        return f"extract(epoch from {self.sql})::float8" if self.kind == "timestamptz" else self.sql


def key(index: TypeIndex, sort: Sort, asking: Asking) -> Key:
    """How rows of a type are sorted by a parameter. Incorrect when it has no order."""
    index = asking.index(index.name)
    name = sort.name
    if name == "_id":
        return Key(sort.descending, "r.fhir_id", optional=False)
    if name == "_lastUpdated":
        return Key(sort.descending, "r.updated", kind="timestamptz", optional=False)
    parts = UNIONS.get((index.name, name), (name,))
    kinds = {index.parameters[part].type if asking.has(index, part) else "" for part in parts}
    if "" in kinds:
        raise Incorrect(f"'_sort': '{name}' is not a parameter of {index.name}; it can be sorted by {_offered(index)}")
    if kinds & {"composite", "special"}:
        raise Incorrect(f"'_sort': '{name}' has no order; {index.name} can be sorted by {_offered(index)}")
    if kinds & {"token", "reference"} or (name.startswith("_") and kinds == {"uri"}):
        return Key(sort.descending, read=frozenset(parts))
    pieces = [_side(index, part, sort.descending, asking) for part in parts]
    sql = pieces[0].sql
    if len(pieces) > 1:
        sql = f"{'greatest' if sort.descending else 'least'}({', '.join(p.sql for p in pieces)})"
    kind = _KINDS[next(iter(kinds))]
    return Key(sort.descending, sql, sum((p.parameters for p in pieces), ()), kind)


_KINDS = {"date": "timestamptz", "number": "float8", "quantity": "float8", "string": "text", "uri": "text"}


def _side(index: TypeIndex, name: str, descending: bool, asking: Asking) -> Condition:
    best = "max" if descending else "min"
    parameter = index.parameters[name]
    number = (parameter.number,)
    match parameter.type:
        case "date" if name == index.main_date:
            return Condition("r.at_high")
        case "date":
            return Condition(
                f"(select {best}(d.high) from resource_date d where d.rid = r.rid and d.param = %s)", number
            )
        case "quantity":
            return _quantity(parameter.number, "n.high" if descending else "n.low", best, asking)
        case "number":
            end = "n.high" if descending else "n.low"
            return Condition(
                f"(select {best}({end}) from resource_number n where n.rid = r.rid and n.param = %s and n.code = 0)",
                number,
            )
        case _:
            return Condition(
                f"(select {best}(s.value) from resource_string s where s.rid = r.rid and s.param = %s)", number
            )


def _quantity(param: int, end: str, best: str, asking: Asking) -> Condition:
    """In base units, as far as they are known; a quantity that has only a label counts as it is written."""
    units = lines(asking.need(UnitsInUse()))
    hashes = arrays.int8([keys.name_hash(f"{UCUM}|{unit}") for unit, _, _ in units])
    factors, shifts = arrays.float8([line[1] for line in units]), arrays.float8([line[2] for line in units])
    # beyond all measure a product would not fit, and the database refuse the whole search
    value = f"coalesce(case when abs({end}) < 1e200 then {end} * u.factor + u.shift end, {end})"
    return Condition(
        f"(select coalesce({best}({value}) filter (where n.unit <> 0), {best}({end}))"
        " from resource_number n left join unnest(%s, %s, %s) u(unit, factor, shift) on u.unit = n.unit"
        " where n.rid = r.rid and n.param = %s and n.code = 0)",
        (hashes, factors, shifts, param),
    )


def _offered(index: TypeIndex) -> str:
    unsorted = {"composite", "special"}
    return ", ".join(sorted({c for c, p in index.parameters.items() if p.type not in unsorted} | OWN_COLUMNS))


def order_by(keys: Sequence[Key], alias: str = "q") -> str:
    """The keys k1, k2 ... of `alias`, then the row's number in the direction of the first."""
    parts = [f"{alias}.k{n} {'desc' if k.descending else 'asc'} nulls last" for n, k in enumerate(keys, 1)]
    return ", ".join([*parts, f"{alias}.rid {'desc' if keys and keys[0].descending else 'asc'}"])


def after(keys: Sequence[Key], place: Sequence[str | None], rid: int, alias: str = "q") -> Condition:
    """What comes after a place in that order. Values are text, as they are in cursors."""
    down = bool(keys) and keys[0].descending
    if len(keys) == 1 and not keys[0].optional:  # said so that an index can be walked from there
        return Condition(f"({alias}.k1, {alias}.rid) {'<' if down else '>'} (%s::{keys[0].kind}, %s)", (*place, rid))
    choices: list[str] = []
    parameters: list[Any] = []
    same: list[str] = []
    bound: list[Any] = []
    for n, (one, value) in enumerate(zip(keys, place, strict=True), 1):
        column = f"{alias}.k{n}"
        if value is None:
            same.append(f"{column} is null")
            continue
        beyond = f"({column} {'<' if one.descending else '>'} %s::{one.kind} or {column} is null)"
        choices.append(" and ".join([*same, beyond]))
        parameters += [*bound, value]
        same.append(f"{column} = %s::{one.kind}")
        bound.append(value)
    choices.append(" and ".join([*same, f"{alias}.rid {'<' if down else '>'} %s"]))
    return Condition(f"({' or '.join(f'({c})' for c in choices)})", (*parameters, *bound, rid))


# -- keys that only the body tells


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its keys, as far as SQL tells them; the others are filled in from the body."""

    rid: int
    values: tuple[Value, ...]


def read_values(keys: Sequence[Key], found: IndexValues, values: Sequence[Value]) -> tuple[Value, ...]:
    """The values of all keys: those of the body beside those that came from SQL."""
    made: list[Value] = []
    for one, value in zip(keys, values, strict=True):
        if not one.read:
            made.append(value)
            continue
        tokens = [t for t in found.tokens if t.param in one.read]
        references = [r for r in found.references if r.param in one.read]
        texts = [fold(t.code) for t in tokens if t.code] or [fold(t.text) for t in tokens if t.text]
        pointed = [f"{r.type}/{r.id}" if r.id else r.url for r in references if r.id or r.url]
        texts += pointed or [r.value for r in references if r.value]
        texts += [u.value for u in found.uris if u.param in one.read]
        made.append((max(texts) if one.descending else min(texts)) if texts else None)
    return tuple(made)


def finite(value: Value) -> Value:
    """An infinite key as the largest number, because a cursor cannot hold infinity."""
    return max(min(value, LARGEST), -LARGEST) if isinstance(value, float) else value


def in_order(keys: Sequence[Key], rows: Sequence[Row]) -> list[Row]:
    """The rows in the order that `order_by` says: sorted by the last key first, each sort keeping what it finds equal."""
    made = sorted(rows, key=lambda row: row.rid, reverse=keys[0].descending)
    for n in reversed(range(len(keys))):
        given = [row for row in made if row.values[n] is not None]
        given.sort(key=lambda row, n=n: row.values[n], reverse=keys[n].descending)  # type: ignore[misc]  # one kind a key
        made = given + [row for row in made if row.values[n] is None]
    return made


def beyond(keys: Sequence[Key], mark: Row, row: Row) -> bool:
    """Whether a row comes after another in that order."""
    return row.rid != mark.rid and in_order(keys, [mark, row])[0] is mark
