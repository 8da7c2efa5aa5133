"""The statement that writes versions made ready, with whatever else has to be written with them, all or nothing.

As resource_write_2 in strict mode, but one statement: a small call costs more for opening two functions, their forty arrays and
their dozen statements than for its rows (PostgreSQL's CPU for four creates: 808 µs as a call, 685 so). Parts for which there are no rows
are left out of it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from healthbrain.store.arrays import Array

Part = Literal["changed", "dates", "numbers", "strings", "concepts"]
WIDTH = 32  # parameters: those of resource_write_2 after `strict_`
_FIRST_OF: dict[Part, int] = {"dates": 15, "numbers": 19, "strings": 26, "concepts": 29}
_EMPTY = 12  # bytes of an array without elements


def parts_of(columns: Sequence[Array], *, changing: bool) -> frozenset[Part]:
    """What has to be in the statement for these parameters; `changing`: some of the resources are here already."""
    found = {part for part, place in _FIRST_OF.items() if len(columns[place]) > _EMPTY}
    return frozenset({*found, "changed"} if changing else found)


def clauses(first: int, parts: frozenset[Part], after: str) -> list[str]:
    """The WITH queries; `first` is the number of their first parameter, `after` the WITH query that has to be done before."""
    wanted = [_VERSION, _MADE, *(_CHANGED if "changed" in parts else ())]
    wanted += [_SIDES[part] for part in ("dates", "numbers", "strings", "concepts") if part in parts]
    wanted.append(_FED)
    numbers = [f"${first + n}" for n in range(WIDTH)]
    return [one.format(*numbers, after=after) for one in wanted]


def placed(first: int, parts: frozenset[Part]) -> str:
    """The expression of their rids, in order. It raises serialization_failure when one was made or changed meanwhile."""
    return (_PLACED_OR_CHANGED if "changed" in parts else _PLACED).format(keys=f"${first + 4}")


_VERSION = """
version as materialized (
    select coalesce(n.old, nextval('resource_rid_seq')) as rid, n.*
    from (select count(*) from {after}) done,
        unnest({3}, {0}, {1}, {2}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, {12}, {13}, {14}) with ordinality
            as n(old, at, owner, delivery, key, rtype, id, version, patient, code, low, high, tokens, body, kind, place))"""
_MADE = """
made as (
    insert into resource (rid, key, rtype, fhir_id, version, updated, owner, patient, delivery, code, at_low, at_high, tokens, body)
    select v.rid, v.key, v.rtype, v.id, v.version, v.at, v.owner, v.patient, v.delivery, v.code, v.low, v.high,
           v.tokens::bigint[], v.body
    from version v where v.old is null
    order by v.key  -- all who create several do it in the same order: no circle of waits
    on conflict (key) do nothing
    returning 1)"""
_CHANGED = (
    """
superseded as (
    insert into resource_history (rid, patient, delivery, updated, version, owner, rtype, deleted, body)
    select r.rid, r.patient, r.delivery, r.updated, r.version, r.owner, r.rtype, r.deleted, r.body
    from resource r where r.rid = any({3}))""",
    "old_dates as (delete from resource_date d where d.rid = any({3}))",
    "old_numbers as (delete from resource_number d where d.rid = any({3}))",
    "old_strings as (delete from resource_string d where d.rid = any({3}))",
    """
changed as (
    update resource r
    set version = v.version, updated = v.at, owner = v.owner, patient = v.patient, delivery = v.delivery, code = v.code,
        at_low = v.low, at_high = v.high, deleted = v.kind = 'd', tokens = v.tokens::bigint[], body = v.body
    from version v where r.rid = v.old and r.version = v.version - 1
    returning 1)""",
)
_SIDES: dict[Part, str] = {
    "dates": """
dates as (
    insert into resource_date (rid, param, low, high)
    select v.rid, n.param, n.low, n.high
    from unnest({15}, {16}, {17}, {18}) as n(place, param, low, high) join version v using (place))""",
    "numbers": """
numbers as (
    insert into resource_number (rid, param, low, high, unit, label, code)
    select v.rid, n.param, n.low, n.high, n.unit, n.label, n.code
    from unnest({19}, {20}, {21}, {22}, {23}, {24}, {25}) as n(place, param, low, high, unit, label, code)
    join version v using (place))""",
    "strings": """
strings as (
    insert into resource_string (rid, param, value)
    select v.rid, n.param, n.value
    from unnest({26}, {27}, {28}) as n(place, param, value) join version v using (place))""",
    "concepts": """
concepts as (
    insert into concept_text (param, token, value)
    select n.param, n.token, n.value from unnest({29}, {30}, {31}) as n(param, token, value)
    where not exists (select from concept_text t where t.param = n.param and t.value = n.value))""",
}
_FED = """
fed as (
    insert into change (rid, version, owner, patient, delivery, at, kind)
    select v.rid, v.version, v.owner, v.patient, v.delivery, v.at, v.kind::"char" from version v order by v.place)"""
_PLACED = """
case when (select count(*) from made) = cardinality({keys})
     then array(select rid from version order by place) else resource_collision() end"""
_PLACED_OR_CHANGED = """
case when (select count(*) from made) + (select count(*) from changed) = cardinality({keys})
     then array(select rid from version order by place) else resource_collision() end"""
