"""How much work an expression of a stranger may do.

A short expression can ask for work without end: `descendants()` within `descendants()` within `descendants()`. An
expression that is compiled `limited` counts every item its parts give, and what comparing takes, against the budget of
its run, and ends with Exhausted. R4's own rules are known to be small and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.values import Collection, Node

STEPS = 500_000  # about a second of work
COMPARING = frozenset(["=", "!=", "~", "!~", "in", "contains", "|"])
COMPARING_FUNCTIONS = frozenset([
    "distinct", "isDistinct", "intersect", "exclude", "union", "subsetOf", "supersetOf", "sort",
])  # fmt: skip


class Exhausted(Unanswerable):
    """The expression asks for more work than is allowed."""

    def __init__(self) -> None:
        super().__init__("it takes too many steps on this resource and was ended; make it simpler")


class Budget:
    """The steps that are left."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    @property
    def spent(self) -> bool:
        """Whether there is nothing left."""
        return self.left < 0

    def spend(self, steps: int) -> None:
        """Count some steps. Raises Exhausted when there were too many."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted


def weight(items: Iterable[Any], most: int) -> int:
    """How many values there are in items, all their content counted; not counted beyond `most`."""
    found, waiting = 0, [item.value if item.__class__ is Node else item for item in items]
    while waiting and found <= most:
        one = waiting.pop()
        found += 1
        if one.__class__ is dict:
            waiting += one.values()
        elif one.__class__ is list:
            waiting += one
    return found


def pairs(items: Collection) -> int:
    """How many comparisons a set of items may take: those with content are compared each with each."""
    objects = sum(1 for item in items if item.__class__ is Node and item.value.__class__ is dict)
    return len(items) + objects * objects


def comparing(operator: str, left: Collection, right: Collection, budget: Budget) -> None:
    """Count what an operator takes that joins texts or compares items with each other; `~` tries each with each."""
    if operator in ("&", "+"):
        budget.spend(sum(len(one) for one in (*left, *right) if isinstance(one, str)) // 8)
    if operator in COMPARING:
        budget.spend(weight(left, budget.left) + weight(right, budget.left))
        if "~" in operator:
            budget.spend(len(left) * len(right))
        elif operator == "|":
            budget.spend(pairs(left) + pairs(right))
