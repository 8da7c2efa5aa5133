"""Counts and numbers moved a little, always in the same way for the same people, so that two questions cannot be set against each other.

Hiding small counts protects one table. It does not protect against the difference of two: the same question with and without a filter that
leaves one person out. So who may not see people gets every count on a multiple of five, up or down by chance, and every sum, mean and
median moved by about what one person can weigh in it. The chance is drawn from a key of the cell, made of the persons in it: the same
persons give the same number in every question, so asking again tells nothing more, and cells that differ in one person are moved
independently. Counts are right on average (they go up as often as they lie above a multiple). docs/decisions/0095 has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence

from healthbrain.measure.analysis.question import Measured

STEP = 5
KEYS = 1_000_003  # a prime; keys of persons are summed below it
_FINE = 2001
_REACH = 2.0  # spreads by which one person is taken to lie from the middle at most


def counted(count: int, key: int) -> int:
    """A count on a multiple of the step: the next above with the chance that its rest says, else the next below."""
    rest = count % STEP
    drawn = (key * 2_654_435_761 + count * 40_503) % KEYS % STEP  # events of the same persons are drawn for as well
    return count - rest + (STEP if drawn < rest else 0)


def moved(what: str, value: float, spread: float, persons: int, key: int) -> float:
    """A sum, mean or median moved by up to what one person may weigh in it."""
    by = ((key // STEP) % _FINE) / (_FINE // 2) - 1  # -1 .. 1
    weight = _REACH * spread
    if what == "sum":
        weight += abs(value) / max(persons, 1)
        return value + by * weight
    return value + by * weight / max(persons, 1)


def values(
    measures: Sequence[Measured],
    shown: Sequence[float | None],
    spreads: Sequence[float],
    persons: Sequence[int],
    key: int,
) -> tuple[float | None, ...]:
    """The values of a cell: counts on multiples, numbers moved; of `spreads` and `persons` one for each that has a column."""
    found: list[float | None] = []
    number = 0
    for one, value in zip(measures, shown, strict=True):
        if not one.column:
            found.append(None if value is None else float(counted(round(value), key)))
            continue
        found.append(None if value is None else moved(one.what, value, spreads[number], persons[number], key))
        number += 1
    return tuple(found)
