"""Small counts hidden from readers who may not see the people behind them, so that no hidden count can be worked out.

A figure is hidden when its numerator, or (of a proportion) those not in it, or its denominator is above zero and below the
threshold. Where figures are parts of a whole that is shown as well, hiding one is not enough: it is the whole less the
others. So further parts, the smallest first, are hidden until for numerator and denominator alike at least two parts are
hidden, and what they hold together exceeds what it would be if each held the least possible (one) by one at least; then every
hidden count could have been another. When no parts are left to hide, all are hidden. What is computed from counts of people
is shown for the whole district only.

What is offered to such a reader is one table at a time, so that tables cannot be set against each other: towns, or institutions,
of the measure's own period; strata and longer periods of the whole district only, strata not of longer periods, and no longer
period in which a hidden one lies (`suppress_periods`, `parts_offered`).

The threshold is the definition's `suppress`, else `THRESHOLD`, which follows the usual practice of health statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from healthbrain.measure.definition import Definition
from healthbrain.measure.periods import grain_of
from healthbrain.measure.queries import Figure, Headline, definition

THRESHOLD = 5
_T = TypeVar("_T")


def threshold(one: Definition) -> int:
    """The smallest count that may be shown of a measure."""
    return THRESHOLD if one.suppress is None else one.suppress


def suppress(figures: Sequence[Figure], one: Definition) -> list[Figure]:
    """Figures that are the parts of a whole (or one whole alone), with what must not be shown taken out."""
    if _computed_from_people(one):
        return _whole_only(figures)
    if not _about_people(one):
        return list(figures)
    hidden = hide([_counts(figure, one) for figure in figures], threshold(one))
    return [emptied(figure) if number in hidden else figure for number, figure in enumerate(figures)]


def suppress_alone(figures: Sequence[Figure], one: Definition) -> list[Figure]:
    """Figures that are no parts of one whole (a trend): each is judged alone."""
    if _computed_from_people(one):
        return _whole_only(figures)
    if not _about_people(one):
        return list(figures)
    return [emptied(f) if _small(_counts(f, one), threshold(one)) else f for f in figures]


def suppress_periods(figures: Sequence[Figure], one: Definition) -> list[Figure]:
    """Figures of one place in periods of several kinds: with a small one goes every longer period in which it lies."""
    alone = suppress_alone(figures, one)
    small = [figure.to for figure in alone if figure.suppressed and grain_of(figure.period) == one.period]
    return [
        emptied(figure)
        if grain_of(figure.period) != one.period and any(figure.start <= day <= figure.to for day in small)
        else figure
        for figure in alone
    ]


def parts_offered(one: Definition, figure: Figure) -> bool:
    """Whether strata of a figure may be shown beside it to a reader from whom small counts are hidden."""
    return not _about_people(one) or (figure.level == "district" and grain_of(figure.period) == one.period)


def grain_offered(one: Definition, figure: Figure) -> bool:
    """Whether a figure is of a kind of period that may be shown to such a reader at its place."""
    return not _about_people(one) or figure.level == "district" or grain_of(figure.period) == one.period


def suppress_headlines(heads: Sequence[Headline]) -> list[Headline]:
    """Headlines with what must not be shown taken out of them and of the periods they are compared with."""
    return [
        replace(
            head,
            now=suppress_alone([head.now], head.definition)[0],
            before=_kept(head.before, head.definition),
            year_before=_kept(head.year_before, head.definition),
        )
        for head in heads
    ]


def _kept(figure: Figure | None, one: Definition) -> Figure | None:
    return None if figure is None else suppress_alone([figure], one)[0]


def hide(parts: Sequence[tuple[int, ...]], least: int) -> set[int]:
    """Which parts of a whole must be hidden; a part is its counts, each of which adds up to that of the whole."""
    hidden = {number for number, counts in enumerate(parts) if _small(counts, least)}
    if not hidden:
        return hidden
    waiting = sorted((number for number in range(len(parts)) if number not in hidden), key=lambda n: (sum(parts[n]), n))
    waiting = [number for number in waiting if all(parts[number])] + [n for n in waiting if not all(parts[n])]
    while waiting and not _safe([parts[number] for number in hidden]):
        hidden.add(waiting.pop(0))
    return hidden


def _safe(hidden: Sequence[tuple[int, ...]]) -> bool:
    """Whether each hidden count could have been another, to one who knows the whole and all parts that are shown."""
    if len(hidden) < 2:
        return False
    for column in zip(*hidden, strict=True):
        if any(column) and sum(column) <= sum(1 for count in column if count):
            return False
        if any(column) and sum(1 for count in column if count) < 2:
            return False
    return True


def _small(counts: Sequence[int], least: int) -> bool:
    return any(0 < count < least for count in counts)


def _counts(figure: Figure, one: Definition) -> tuple[int, ...]:
    above = round(figure.numerator or 0)
    if figure.denominator is None:
        return (above,)
    below = round(figure.denominator)
    return (above, max(0, below - above), below) if one.kind == "proportion" else (above, below)


def _about_people(one: Definition) -> bool:
    """Events and people are counted; institutions and entered values hide nobody."""
    return one.population is not None and one.population.subject in {"person", "_id"}


def _computed_from_people(one: Definition) -> bool:
    """Whether a value follows from counts of people: beside a hidden count of the same place it would give it away."""
    parts = one.computation.components.values() if one.computation else ()
    return any(_about_people(part) or _computed_from_people(part) for part in (definition(p.measure) for p in parts))


def _whole_only(figures: Sequence[Figure]) -> list[Figure]:
    return [figure if figure.level == "district" else emptied(figure) for figure in figures]


def emptied(figure: Figure) -> Figure:
    """A figure of which nothing is told but that it is hidden."""
    return replace(
        figure, numerator=None, denominator=None, value=None, low=None, high=None, small=True, suppressed=True
    )
