"""A model's values of every month and area: read from the kept rows of its library's views, and from nothing else.

The connection that the statements run on has the views of the model's inputs and no other table, no lake and no files.
"""

# ruff: noqa: S608  # statements are made here; paths are quoted by lake.engine
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from healthbrain.lake import Lake, engine, library, warehouse
from healthbrain.lake.derived import table_of
from healthbrain.lake.local_time import LOCAL, MACROS
from healthbrain.lake.warehouse import Theme
from healthbrain.measure.models.model import Component, Model

DISTRICT = ""
_TOWN = 9  # digits of a town's code


@dataclass(frozen=True, slots=True)
class Part:
    """A component in one month and area."""

    component: str
    above: float
    below: float
    value: float | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Value:
    """The index in one month and area; None when too little of it is known. Months are 2026-11, an area is a town's code or ''."""

    month: str
    area: str
    value: float | None
    known: float  # share of the weights, in per cent
    parts: tuple[Part, ...]
    complete: bool  # False while the month lasts


@dataclass(frozen=True, slots=True)
class Computed:
    """All values of a model, as of when its inputs were."""

    values: tuple[Value, ...]
    as_of: datetime | None
    inputs: tuple[Theme, ...]


def compute(model: Model, folder: Path, at: datetime) -> Computed:
    """Every month and area. Raises NotFound when an input has not been made yet."""
    state = Lake(folder).state()
    views = [library.find(*one.split(".")) for one in model.inputs]
    inputs = tuple(warehouse.load(folder, one) for one in views)
    connection = engine.connect(folder / "scratch")
    try:
        connection.execute(MACROS)
        for view in views:
            connection.execute(f"create view {table_of(view.id)} as from {warehouse.relation(folder, view, state)}")
        today = at.astimezone(LOCAL).date()
        months = list(_months(today, model.months))
        counts: dict[str, dict[tuple[str, str], float]] = {}
        for area in ("''", f"left(d, {_TOWN})"):
            connection.execute(f"create or replace temp macro hb_area(d) as {area}")
            for one in model.components:
                for part, statement in (("above", one.above), ("below", one.below)):
                    rows = connection.execute(
                        f"select month, area, n from ({statement}) where area is not null"
                    ).fetchall()
                    counts.setdefault(f"{one.id} {part}", {}).update({(str(m), str(a)): float(n) for m, a, n in rows})
    finally:
        connection.close()
    areas = sorted({DISTRICT} | {area for held in counts.values() for _, area in held})
    values = [_value(model, month, area, counts, month != months[-1]) for month in months for area in areas]
    return Computed(tuple(values), min((one.as_of for one in inputs if one.as_of), default=None), inputs)


def _value(
    model: Model, month: str, area: str, counts: dict[str, dict[tuple[str, str], float]], complete: bool
) -> Value:
    parts = tuple(_part(one, month, area, counts) for one in model.components)
    return combined(model, month, area, parts, complete=complete)


def combined(model: Model, month: str, area: str, parts: tuple[Part, ...], *, complete: bool) -> Value:
    """Components put together: what is not known gives its weight to the others, as long as enough is known."""
    known = [(one, part.score) for one, part in zip(model.components, parts, strict=True) if part.score is not None]
    weight = sum(one.weight for one, _ in known)
    share = 100 * weight / model.weight
    value = sum(one.weight * score for one, score in known) / weight if known and share >= model.least_weight else None
    return Value(month, area, value, share, parts, complete)


def _part(one: Component, month: str, area: str, counts: dict[str, dict[tuple[str, str], float]]) -> Part:
    below_of, above_of = (counts.get(f"{one.id} {part}", {}) for part in ("below", "above"))
    below = below_of.get((month, area), below_of.get(("", area), 0.0))
    above = above_of.get((month, area), 0.0)
    value = one.value(above, below)
    return Part(one.id, above, below, value, None if value is None else one.score(value))


def _months(today: date, many: int) -> Iterator[str]:
    """The last months, the one that lasts at the end."""
    for back in range(many - 1, -1, -1):
        year, month = divmod(today.year * 12 + today.month - 1 - back, 12)
        yield f"{year:04d}-{month + 1:02d}"


def warnings(model: Model, series: list[Value]) -> dict[str, str]:
    """Of the months of one area in order: why a month warns ('low', 'fall'), for those that do."""
    found: dict[str, str] = {}
    before: float | None = None
    for one in series:
        if one.value is not None:
            if one.value < model.warn_below:
                found[one.month] = "low"
            elif before is not None and before - one.value >= model.warn_fall:
                found[one.month] = "fall"
            before = one.value
    return found


def by_area(values: tuple[Value, ...]) -> dict[str, list[Value]]:
    """The series of each area."""
    found: dict[str, list[Value]] = defaultdict(list)
    for one in values:
        found[one.area].append(one)
    return found
