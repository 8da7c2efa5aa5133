"""Scores from a scheme and frozen figures: pure, and the same for ever from the same two.

An item's points follow its rule. What is missing, or rests on so few people that it says little, is treated as the scheme says:
no points (`zero`), left out, so that the unit's total is what it earned of what it could earn (`leave_out`), or left open,
so that the unit has no total, grade or rank until the figure is there (`open`). Nor has a unit of which less than the
scheme's `least` weight counts. Totals are out of 100 with two decimals; units
with equal totals share a rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from healthbrain.measure.assessment.rules import HUNDRED, Side, points, rounded
from healthbrain.measure.assessment.scheme import Item, Scheme

State = Literal["scored", "zero", "left_out", "open"]
Why = Literal["", "missing", "small"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One unit's frozen figure of one item: what was assessed, and from which definition and data."""

    value: float | None
    numerator: float | None
    denominator: float | None
    periods: tuple[str, ...]  # of the measure
    complete: bool  # these periods are over
    as_of: str  # UTC, ISO
    small: bool  # few people: the value says little
    protected: bool  # not to be shown to who may not see people


@dataclass(frozen=True, slots=True)
class Column:
    """The figures of one item for every unit, with what was in force when they were frozen."""

    measure: str
    version: str  # of the definition
    side: Side
    target: str  # decimal text; '' = the rule needs none
    figures: Mapping[str, Figure]  # unit -> figure


@dataclass(frozen=True, slots=True)
class Unit:
    """Who is assessed: an organisation key, a town code, or '' for the district."""

    key: str
    name: str
    code: str = ""
    kind: str = ""  # facility class


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a run rests on besides its scheme."""

    period: str
    units: tuple[Unit, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """What an item earned."""

    state: State
    points: Decimal
    most: Decimal
    why: Why = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What a group earned of what it could."""

    points: Decimal
    most: Decimal  # without what was left out


@dataclass(frozen=True, slots=True)
class Score:
    """One unit's result."""

    unit: str
    items: Mapping[str, Points]
    groups: Mapping[str, Part]
    earned: Decimal
    available: Decimal
    total: Decimal | None  # of 100
    grade: str
    rank: int | None


def score(scheme: Scheme, inputs: Inputs) -> tuple[Score, ...]:
    """The results of all units, best first; without a rank last, in the order of the units."""
    columns = {one.measure: one for one in inputs.columns}
    found = [_unit(scheme, columns, unit.key) for unit in inputs.units]
    totals = sorted((one.total for one in found if one.total is not None), reverse=True)
    ranked = [_ranked(one, totals) for one in found]
    return tuple(sorted(ranked, key=lambda one: (one.rank is None, one.rank or 0)))


def _unit(scheme: Scheme, columns: Mapping[str, Column], key: str) -> Score:
    items = {item.measure: _item(scheme, item, columns[item.measure], key) for item in scheme.items}
    groups = {group.id: _part([items[item.measure] for item in group.items]) for group in scheme.groups}
    whole = _part(list(items.values()))
    open_ = any(one.state == "open" for one in items.values())
    enough = whole.most > 0 and whole.most >= scheme.least
    total = None if open_ or not enough else rounded(whole.points / whole.most * HUNDRED)
    return Score(
        key, items, groups, whole.points, whole.most, total, "" if total is None else scheme.grade(total), None
    )


def _item(scheme: Scheme, item: Item, column: Column, key: str) -> Points:
    figure = column.figures.get(key)
    if figure is None or figure.value is None:
        return _absent(item.missing or scheme.missing, item.weight, "missing")
    if figure.small and scheme.small != "score":
        return _absent(scheme.small, item.weight, "small")
    target = Decimal(column.target) if column.target else None
    return Points("scored", points(item.rule, figure.value, item.weight, column.side, target), item.weight)


def _absent(how: str, weight: Decimal, why: Why) -> Points:
    if how == "zero":
        return Points("zero", Decimal(0), weight, why)
    return Points("left_out" if how == "leave_out" else "open", Decimal(0), Decimal(0), why)


def _part(items: Sequence[Points]) -> Part:
    return Part(sum((one.points for one in items), Decimal(0)), sum((one.most for one in items), Decimal(0)))


def _ranked(one: Score, totals: Sequence[Decimal]) -> Score:
    if one.total is None:
        return one
    rank = totals.index(one.total) + 1
    return Score(one.unit, one.items, one.groups, one.earned, one.available, one.total, one.grade, rank)
