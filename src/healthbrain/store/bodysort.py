"""Sorting by codes and references, which the index keeps as hashes, for any number of rows.

Where a hash tells the value (a single main code, the patient, a code that an element holds once), its text is looked up
once for each different hash and joined in SQL. Of all other rows the bodies are read, one after another, and only the
best page of them is kept: memory is that of a page however many there are, and time is bounded by the request's limit.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from healthbrain.database import Connection
from healthbrain.fhir import definitions, parse
from healthbrain.fhir.extraction import extract_only
from healthbrain.fhir.values import IndexValues
from healthbrain.store import arrays, bodies, keys
from healthbrain.store.asking import Asking
from healthbrain.store.pieces import Condition
from healthbrain.store.rows import fold, main_code
from healthbrain.store.selection import Selection
from healthbrain.store.sorting import LARGEST, Key, Row, after, beyond, finite, in_order, order_by, read_values
from healthbrain.store.types import TypeIndex, type_index, type_number

_BATCH = 200  # bodies read before others get their turn
_MOST_MAIN = 20_000  # different main codes whose texts are looked up; rows with others are read
_MOST_ONCE = 100  # codes of an element that are looked up; every row is compared with each
_SAMPLE = 50
_ROUNDS = 6  # samples in which the codes of an element are looked for
_NOTHING = Condition("null::text")
_NO_JOIN = Condition("")
Since = tuple[list[Any], int]


@dataclass(frozen=True, slots=True)
class Told:
    """SQL for a key as far as hashes tell it, null otherwise; and for whether the row has any value."""

    present: str = "true"
    value: Condition = _NOTHING
    join: Condition = _NO_JOIN


async def sorted_rows(
    connection: Connection, selection: Selection, own: Sequence[Key], asking: Asking, since: Since | None, limit: int
) -> list[Row]:
    """The first rows in the order of the keys, or the first after `since`."""
    told = [await _told(connection, selection, one, n) if one.read else None for n, one in enumerate(own, 1)]
    source = _source(selection, own, told)
    names = ", ".join(f"q.k{n}" for n in range(1, len(own) + 1))
    made = [replace(one, sql="", kind="float8" if one.kind == "timestamptz" else one.kind) for one in own]
    place = after(made, *since) if since is not None else Condition("true")
    statement = (
        f"select q.rid, {names} from ({source.sql}) q where q.told and {place.sql} order by {order_by(made)} limit %s"
    )
    cursor = await connection.execute(statement.encode(), [*source.parameters, *place.parameters, limit])
    found = [Row(row[0], tuple(row[1:])) for row in await cursor.fetchall()]
    best = _Best(own, since, limit, found)
    statement = f"select q.rid, q.body, {names} from ({source.sql}) q where not q.told"
    batch: list[tuple[Any, ...]] = []
    async with connection.cursor() as cursor:
        async for row in cursor.stream(statement.encode(), list(source.parameters), size=_BATCH):
            batch.append(row)
            if len(batch) == _BATCH:
                best.take(_read(batch, own, selection.index, asking))
                batch.clear()
                await asyncio.sleep(0)
    best.take(_read(batch, own, selection.index, asking))
    return best.rows


class _Best:
    """The first `limit` rows of those seen so far."""

    def __init__(self, own: Sequence[Key], since: Since | None, limit: int, rows: list[Row]) -> None:
        self.rows = rows
        self._keys, self._limit = own, limit
        self._mark = Row(since[1], tuple(since[0])) if since is not None else None

    def take(self, more: Iterable[Row]) -> None:
        """Look at more rows."""
        mark = self._mark
        new = [row for row in more if mark is None or beyond(self._keys, mark, row)]
        if new:
            self.rows = in_order(self._keys, [*self.rows, *new])[: self._limit]


def _read(batch: Sequence[tuple[Any, ...]], own: Sequence[Key], index: TypeIndex, asking: Asking) -> list[Row]:
    """Rows with the keys their bodies tell."""
    wanted = frozenset(code for one in own for code in one.read)
    of_r4 = type_index(index.name).parameters
    rows = []
    for rid, body, *values in batch:
        resource = parse(bodies.decompress(body))
        found = extract_only(resource, wanted) if wanted <= of_r4.keys() else asking.values(index.name, resource)
        rows.append(Row(rid, read_values(own, found, [finite(value) for value in values])))
    return rows


def _source(selection: Selection, own: Sequence[Key], told: Sequence[Told | None]) -> Condition:
    """SQL for all rows of the selection: rid, body, keys k1, k2 ... and whether these are told without the body."""
    inner, outer, known = [], [], []
    parameters: list[Any] = []
    for n, (one, hint) in enumerate(zip(own, told, strict=True), 1):
        value = Condition(one.comparable, one.parameters) if hint is None else hint.value
        inner.append(f"{value.sql} as k{n}")
        parameters += value.parameters
        # infinity is no JSON, and the cursor holds keys
        kept = f"case when s.k{n} > {LARGEST} then {LARGEST} when s.k{n} < -{LARGEST} then -{LARGEST} else s.k{n} end"
        outer.append(f"{f's.k{n}' if one.kind == 'text' else kept} as k{n}")
        if hint is not None:
            inner.append(f"{hint.present} as has{n}")
            known.append(f"(s.k{n} is not null or not s.has{n})")
    joins = [hint.join for hint in told if hint is not None and hint.join.sql]
    parameters += [value for join in joins for value in join.parameters]
    rows = (  # `offset 0` has each key computed once
        f"select r.rid, r.body, {', '.join(inner)} from resource r {' '.join(join.sql for join in joins)}"
        f" where {selection.where} offset 0"
    )
    statement = f"select s.rid, s.body, {', '.join(outer)}, {' and '.join(known)} as told from ({rows}) s"
    return Condition(statement, (*parameters, *selection.parameters))


# -- what hashes tell


async def _told(connection: Connection, selection: Selection, key: Key, place: int) -> Told:
    """How much of a key hashes tell."""
    index = selection.index
    if not key.read <= type_index(index.name).parameters.keys():
        return Told()  # an added parameter, perhaps not indexed everywhere yet
    tokens = ",".join(str(keys.number(keys.present(index.numbers[code]))) for code in sorted(key.read))
    present = f"r.tokens && array[{tokens}]::bigint[]"
    code, *others = key.read
    if others:
        return Told(present)
    if code == index.main_code:
        texts = await _main_codes(connection, selection)
        join = f"left join unnest(%s, %s) m{place}(hash, value) on m{place}.hash = nullif(r.code, 0)"
        return Told(present, Condition(f'm{place}.value collate "C"'), Condition(join, _arrays(texts)))
    if code in index.patient_params:
        join = f"left join resource p{place} on p{place}.rtype = {type_number('Patient')}::smallint"
        join += f" and p{place}.patient = r.patient"
        return Told(present, Condition(f"""('Patient/' || p{place}.fhir_id) collate "C\""""), Condition(join))
    if _holds_once(index, code):
        texts = await _codes(connection, selection, code, present)
        best = "select o.value from unnest(%s, %s) o(hash, value) where o.hash = any(r.tokens) limit 1"
        return Told(present, Condition(f'({best}) collate "C"', _arrays(texts)))
    return Told(present)


def _arrays(texts: Mapping[int, str]) -> tuple[Any, ...]:
    return arrays.int8([*texts]), arrays.text([*texts.values()])


def _holds_once(index: TypeIndex, code: str) -> bool:
    """Whether a resource has at most one token of this parameter: the code of an element that occurs once."""
    paths = index.parameters[code].paths
    return (
        index.parameters[code].type == "token"
        and len(paths) == 1
        and paths[0].type in {"code", "boolean", "Coding"}
        and all(step[0] == "one" for step in paths[0].steps)
    )


async def _main_codes(connection: Connection, selection: Selection) -> dict[int, str]:
    """Hash and text of the main codes that occur, looked up in one resource of each."""
    statement = (
        "select b.body from resource b join (select min(r.rid) as rid from resource r"
        f" where {selection.where} and r.code <> 0 group by r.code limit %s) f on f.rid = b.rid"
    )
    cursor = await connection.execute(statement.encode(), [*selection.parameters, _MOST_MAIN])
    code = selection.index.main_code or ""
    texts: dict[int, str] = {}
    async for (body,) in cursor:
        for token in _values(body, code).tokens:
            if token.code:
                texts[main_code(token.code)] = fold(token.code)
    return texts


async def _codes(connection: Connection, selection: Selection, code: str, present: str) -> dict[int, str]:
    """Token and text of the codes of an element: those of its binding, or those found in samples of what is left."""
    param = selection.index.numbers[code]
    path = selection.index.parameters[code].paths[0]
    bound = definitions().codes(path.binding) if path.binding else None
    listed = ["true", "false"] if path.type == "boolean" else [one for codes in (bound or {}).values() for one in codes]
    texts = {keys.code_alone(param, one): fold(one) for one in listed} if len(listed) <= _MOST_ONCE else {}
    for _ in range(0 if texts else _ROUNDS):
        statement = (
            f"select r.body from resource r where {selection.where} and {present} and not r.tokens && %s limit %s"
        )
        values = [*selection.parameters, arrays.int8([*texts]), _SAMPLE]
        found = await (await connection.execute(statement.encode(), values)).fetchall()
        before = len(texts)
        for (body,) in found:
            for token in _values(body, code).tokens:
                if token.code:
                    texts[keys.code_alone(param, token.code)] = fold(token.code)
        if len(found) < _SAMPLE or len(texts) == before or len(texts) > _MOST_ONCE:
            break
    return texts


def _values(body: bytes, code: str) -> IndexValues:
    return extract_only(parse(bodies.decompress(body)), frozenset({code}))
