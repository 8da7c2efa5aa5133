"""What of a run is kept from a reader who may not see people: figures of few people, and the points that would give them away.

An item whose figure is hidden on other pages is hidden here with its points, and so are the sums of its group. The total
less the points that are shown would be what a single hidden item earned, and by its rule its figure; so the total of a unit with
exactly one hidden item is hidden too, and grade and rank, which are coarse, are what is left. With two or more only their sum
could be worked out.
"""

from __future__ import annotations

from collections.abc import Mapping

from healthbrain.measure.assessment.scheme import Scheme
from healthbrain.measure.assessment.score import Column, Score


def hidden_items(one: Score, columns: Mapping[str, Column]) -> frozenset[str]:
    """The items of a unit whose figure and points are hidden."""
    figures = ((measure, columns[measure].figures.get(one.unit)) for measure in one.items)
    return frozenset(measure for measure, figure in figures if figure is not None and figure.protected)


def hidden_groups(scheme: Scheme, hidden: frozenset[str]) -> frozenset[str]:
    """The groups whose sums are hidden."""
    return frozenset(group.id for group in scheme.groups if hidden & {item.measure for item in group.items})


def hides_total(one: Score, hidden: frozenset[str]) -> bool:
    """Whether the total would give a single hidden item away."""
    return sum(one.items[measure].state == "scored" for measure in hidden) == 1
