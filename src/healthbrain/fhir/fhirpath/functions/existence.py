"""Existence, subsetting and combining. Rule source: FHIRPath N1, Existence, Subsetting, Combining."""

from __future__ import annotations

from healthbrain.fhir.fhirpath.comparison import Seen, distinct
from healthbrain.fhir.fhirpath.frame import Evaluator, Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.singletons import boolean, integer
from healthbrain.fhir.fhirpath.values import Collection, Node

TABLE = Table()


@TABLE.plain("empty")
def _empty(items: Collection, frame: Frame) -> Collection:
    return [not items]


@TABLE.scoped("exists", 0, 1)
def _exists(items: Collection, frame: Frame, criteria: Evaluator | None = None) -> Collection:
    if criteria is None:
        return [bool(items)]
    inner = frame.inner()
    for index, item in enumerate(items):
        inner.this, inner.index = [item], index
        if boolean(criteria(inner), "the criteria of exists()"):
            return [True]
    return [False]


@TABLE.scoped("all", 1)
def _all(items: Collection, frame: Frame, criteria: Evaluator) -> Collection:
    inner = frame.inner()
    for index, item in enumerate(items):
        inner.this, inner.index = [item], index
        if not boolean(criteria(inner), "the criteria of all()"):
            return [False]
    return [True]


def _booleans(items: Collection, name: str) -> list[bool]:
    found = [item.value if item.__class__ is Node else item for item in items]
    if any(one.__class__ is not bool for one in found):
        raise Unanswerable(f"{name}() takes Booleans only")
    return found


@TABLE.plain("allTrue")
def _all_true(items: Collection, frame: Frame) -> Collection:
    return [all(_booleans(items, "allTrue"))]


@TABLE.plain("anyTrue")
def _any_true(items: Collection, frame: Frame) -> Collection:
    return [any(_booleans(items, "anyTrue"))]


@TABLE.plain("allFalse")
def _all_false(items: Collection, frame: Frame) -> Collection:
    return [not any(_booleans(items, "allFalse"))]


@TABLE.plain("anyFalse")
def _any_false(items: Collection, frame: Frame) -> Collection:
    return [not all(_booleans(items, "anyFalse"))]


@TABLE.plain("subsetOf", 1)
def _subset_of(items: Collection, frame: Frame, other: Collection) -> Collection:
    there = Seen(other)
    return [all(item in there for item in items)]


@TABLE.plain("supersetOf", 1)
def _superset_of(items: Collection, frame: Frame, other: Collection) -> Collection:
    here = Seen(items)
    return [all(item in here for item in other)]


@TABLE.plain("count")
def _count(items: Collection, frame: Frame) -> Collection:
    return [len(items)]


@TABLE.plain("distinct")
def _distinct(items: Collection, frame: Frame) -> Collection:
    return distinct(items)


@TABLE.plain("isDistinct")
def _is_distinct(items: Collection, frame: Frame) -> Collection:
    return [len(distinct(items)) == len(items)]


@TABLE.plain("single")
def _single(items: Collection, frame: Frame) -> Collection:
    if len(items) > 1:
        raise Unanswerable(f"single() found {len(items)} items")
    return items


@TABLE.plain("first")
def _first(items: Collection, frame: Frame) -> Collection:
    return items[:1]


@TABLE.plain("last")
def _last(items: Collection, frame: Frame) -> Collection:
    return items[-1:]


@TABLE.plain("tail")
def _tail(items: Collection, frame: Frame) -> Collection:
    return items[1:]


@TABLE.plain("skip", 1)
def _skip(items: Collection, frame: Frame, number: Collection) -> Collection:
    count = integer(number, "skip()")
    return [] if count is None else items[max(0, count) :]


@TABLE.plain("take", 1)
def _take(items: Collection, frame: Frame, number: Collection) -> Collection:
    count = integer(number, "take()")
    return [] if count is None else items[: max(0, count)]


@TABLE.plain("intersect", 1)
def _intersect(items: Collection, frame: Frame, other: Collection) -> Collection:
    there = Seen(other)
    return distinct(item for item in items if item in there)


@TABLE.plain("exclude", 1)
def _exclude(items: Collection, frame: Frame, other: Collection) -> Collection:
    there = Seen(other)
    return [item for item in items if item not in there]


@TABLE.plain("union", 1)
def _union(items: Collection, frame: Frame, other: Collection) -> Collection:
    return distinct([*items, *other])


@TABLE.plain("combine", 1, 2)
def _combine(items: Collection, frame: Frame, other: Collection, _order: Collection | None = None) -> Collection:
    return [*items, *other]


@TABLE.plain("not")
def _not(items: Collection, frame: Frame) -> Collection:
    found = boolean(items, "not()")
    return [] if found is None else [not found]
