"""How a figure becomes points: the four rules an item of an assessment scheme can have (HUB-DS-06).

- *linear*: nothing at the floor or worse, all points at the target or better, in proportion between them.
- *ratio*: the figure divided by the target (the target divided by the figure where less is better), at most all points.
- *steps*: a table of bounds; the best bound that the figure reaches says which per cent of the points it gets.
- *deduction*: all points at the target or better; for every full `per` that it falls short `off` points less, down to none.

Everything is decimal arithmetic on the figure as it is kept; points are rounded to two decimals, halves up, so that the same
figures give the same points on every machine and in every year.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, get_args

Kind = Literal["linear", "ratio", "steps", "deduction"]
Side = Literal["up", "down"]  # more is better, less is better

KINDS: tuple[Kind, ...] = get_args(Kind)
CENT = Decimal("0.01")
NONE, ALL, HUNDRED = Decimal(0), Decimal(1), Decimal(100)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. A `target` of None is that of the measure's definition for the year."""

    kind: Kind
    floor: Decimal | None = None
    target: Decimal | None = None
    steps: tuple[tuple[Decimal, Decimal], ...] = ()  # bound, per cent of the points
    per: Decimal | None = None
    off: Decimal | None = None

    @property
    def needs_target(self) -> bool:
        """Whether it cannot be applied without a target."""
        return self.kind != "steps"


def points(rule: Rule, value: float, weight: Decimal, side: Side, target: Decimal | None) -> Decimal:
    """The points of a figure; `target` is the one that holds, wherever it came from."""
    figure = Decimal(repr(float(value)))
    if rule.kind == "steps":
        return rounded(weight * _step(rule, figure, side) / HUNDRED)
    if target is None:
        raise ValueError("a rule with a target was applied without one")  # the scheme's check came before
    if rule.kind == "linear":
        floor = rule.floor if rule.floor is not None else NONE
        return rounded(weight * _within((figure - floor) / (target - floor)))
    if rule.kind == "ratio":
        return rounded(weight * _ratio(figure, target, side))
    short = target - figure if side == "up" else figure - target
    lost = (short // (rule.per or ALL)) * (rule.off or NONE) if short > 0 else NONE
    return rounded(max(weight - lost, NONE))


def rounded(number: Decimal) -> Decimal:
    """To two decimals, halves up."""
    return number.quantize(CENT, rounding=ROUND_HALF_UP)


def _step(rule: Rule, figure: Decimal, side: Side) -> Decimal:
    reached = [share for bound, share in rule.steps if (figure >= bound if side == "up" else figure <= bound)]
    return max(reached, default=NONE)


def _ratio(figure: Decimal, target: Decimal, side: Side) -> Decimal:
    if side == "up":
        return _within(figure / target) if target > 0 else ALL
    return ALL if figure <= target else _within(target / figure)


def _within(share: Decimal) -> Decimal:
    return min(max(share, NONE), ALL)
