"""Filtering, projection, sorting and aggregation. Rule source: FHIRPath N1 and 3.0, the chapters of these names."""

from __future__ import annotations

from decimal import Decimal
from functools import cmp_to_key

from healthbrain.fhir.fhirpath import arithmetic
from healthbrain.fhir.fhirpath.comparison import Seen, compare_items
from healthbrain.fhir.fhirpath.frame import Evaluator, Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.singletons import boolean, single
from healthbrain.fhir.fhirpath.values import Collection, Item

TABLE = Table()
MAX_REPEATED = 1_000_000


@TABLE.scoped("where", 1)
def _where(items: Collection, frame: Frame, criteria: Evaluator) -> Collection:
    found = []
    inner = frame.inner()
    for index, item in enumerate(items):
        inner.this, inner.index = [item], index
        if boolean(criteria(inner), "the criteria of where()"):
            found.append(item)
    return found


@TABLE.scoped("select", 1)
def _select(items: Collection, frame: Frame, projection: Evaluator) -> Collection:
    found: Collection = []
    inner = frame.inner()
    for index, item in enumerate(items):
        inner.this, inner.index = [item], index
        found.extend(projection(inner))
    return found


@TABLE.scoped("repeat", 1)
def _repeat(items: Collection, frame: Frame, projection: Evaluator) -> Collection:
    seen = Seen(budget=frame.run.budget)
    found: Collection = []
    queue = list(items)
    inner = frame.inner()
    for item in queue:  # the queue grows while it is read
        inner.this = [item]
        new = [one for one in projection(inner) if seen.add(one)]
        found.extend(new)
        queue.extend(new)
        _check_length(queue)
    return found


@TABLE.scoped("repeatAll", 1)
def _repeat_all(items: Collection, frame: Frame, projection: Evaluator) -> Collection:
    found: Collection = []
    queue = list(items)
    inner = frame.inner()
    for item in queue:
        inner.this = [item]
        new = projection(inner)
        found.extend(new)
        queue.extend(new)
        _check_length(queue)
    return found


def _check_length(queue: Collection) -> None:
    if len(queue) > MAX_REPEATED:
        raise Unanswerable("the repetition does not come to an end; repeat over children, not over computed values")


@TABLE.scoped("iif", 2, 3)
def _iif(
    items: Collection, frame: Frame, criterion: Evaluator, yes: Evaluator, no: Evaluator | None = None
) -> Collection:
    if len(items) > 1:
        raise Unanswerable("iif() takes one item; use select(iif(...)) to decide for each")
    inner = frame.inner()
    inner.this = items
    if boolean(criterion(inner), "the criterion of iif()"):
        return yes(inner)
    return [] if no is None else no(inner)


@TABLE.scoped("coalesce", 1, None)
def _coalesce(items: Collection, frame: Frame, *values: Evaluator) -> Collection:
    inner = frame.inner()
    inner.this = items
    for value in values:
        found = value(inner)
        if found:
            return found
    return []


@TABLE.scoped("aggregate", 1, 2)
def _aggregate(items: Collection, frame: Frame, aggregator: Evaluator, initial: Evaluator | None = None) -> Collection:
    inner = frame.inner()
    inner.total = [] if initial is None else initial(frame)
    for index, item in enumerate(items):
        inner.this, inner.index = [item], index
        inner.total = aggregator(inner)
    return inner.total


def sort(items: Collection, frame: Frame, keys: list[tuple[Evaluator | None, bool]]) -> Collection:
    """The items in the order of their keys (None = the item itself; True = descending), stable; empty keys are lowest."""
    inner = frame.inner()
    rows: list[tuple[list[Item | None], Item]] = []
    for item in items:
        inner.this = [item]
        rows.append(([item if key is None else single(key(inner), "a sort key") for key, _ in keys], item))

    def order(one: tuple[list[Item | None], Item], other: tuple[list[Item | None], Item]) -> int:
        for left, right, (_, descending) in zip(one[0], other[0], keys, strict=True):
            found = _sort_order(left, right)
            if found:
                return -found if descending else found
        return 0

    return [item for _, item in sorted(rows, key=cmp_to_key(order))]


def _sort_order(left: Item | None, right: Item | None) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    return compare_items(left, right) or 0


@TABLE.plain("sum")
def _sum(items: Collection, frame: Frame) -> Collection:
    total: Item | None = None
    for item in items:
        total = arithmetic.positive([item]) if total is None else arithmetic.plus([total], [item])
        if total is None:
            return []
    return [] if total is None else [total]


@TABLE.plain("avg")
def _avg(items: Collection, frame: Frame) -> Collection:
    total = _sum(items, frame)
    found = arithmetic.divide(total, [Decimal(len(items))]) if total else None
    return [] if found is None else [found]


@TABLE.plain("min")
def _min(items: Collection, frame: Frame) -> Collection:
    return _extreme(items, -1)


@TABLE.plain("max")
def _max(items: Collection, frame: Frame) -> Collection:
    return _extreme(items, 1)


def _extreme(items: Collection, sign: int) -> Collection:
    if not items:
        return []
    found = items[0]
    for item in items[1:]:
        order = compare_items(item, found)
        if order is None:
            return []
        if order == sign:
            found = item
    return [found]
