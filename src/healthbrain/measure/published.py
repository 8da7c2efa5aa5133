"""Published figures as one reader may see them: places in reach only, small counts hidden before anything is chosen.

What is hidden is decided over all figures of a measure, never over those that somebody asks for. So a figure that one question or
tile hides is hidden in every other, and no two of them can be set against each other. Towns, institutions and strata are each the
parts of the district's figure (`suppression.suppress`); to who may not see people only those tables are offered that
`suppression` says can stand beside each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from healthbrain.database import Connection
from healthbrain.measure import suppression
from healthbrain.measure.definition import Definition
from healthbrain.measure.queries import Figure, Headline, definition, everywhere


@dataclass(frozen=True, slots=True)
class Reach:
    """Whose figures a reader sees, and whether the people behind them may be seen."""

    whole: bool  # the district with its towns and institutions
    institution: str = ""  # else only this one's (key); '' = none
    people: bool = False

    def open(self, figure: Figure) -> bool:
        """Whether the place of a figure is within reach."""
        return self.whole or (figure.level == "institution" and figure.key == self.institution != "")


async def figures(
    connection: Connection, measures: Sequence[str], reach: Reach, periods: Sequence[str] | None = None
) -> list[Figure]:
    """Every figure of these measures (in these periods) that the reader may see. Raises NotFound for an unknown measure."""
    definitions = {one: definition(one) for one in dict.fromkeys(measures)}
    by_measure: dict[str, list[Figure]] = defaultdict(list)
    for figure in await everywhere(connection, list(definitions), periods):
        by_measure[figure.measure].append(figure)
    found = []
    for id_, known in definitions.items():
        own = by_measure[id_]
        found += own if reach.people else protected(own, known)
    return [figure for figure in found if reach.open(figure)]


def protected(own: Sequence[Figure], known: Definition) -> list[Figure]:
    """All figures of one measure without small counts, and without the tables that must not stand beside others."""
    wholes: dict[str, list[Figure]] = defaultdict(list)  # the district over time, by version
    parts: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for figure in own:
        if figure.level == "district" and not figure.stratifier:
            wholes[figure.version].append(figure)
        elif suppression.grain_offered(known, figure) and (
            not figure.stratifier or suppression.parts_offered(known, figure)
        ):
            place = figure.key if figure.stratifier else ""
            parts[figure.version, figure.period, figure.level, place, figure.stratifier].append(figure)
    found = [figure for series in wholes.values() for figure in suppression.suppress_periods(series, known)]
    return found + [figure for group in parts.values() for figure in suppression.suppress(group, known)]


def as_published(own: Sequence[Figure], safe: Sequence[Figure]) -> list[Figure]:
    """Figures as `safe` (of `figures`) has them; what it does not offer is hidden."""
    known = {_address(one): one for one in safe}
    return [known.get(_address(one)) or suppression.emptied(one) for one in own]


async def headlines(connection: Connection, heads: Sequence[Headline]) -> list[Headline]:
    """Headlines of one town or institution for who may not see people: without what, beside those of other places, would give a
    small count away."""
    parts = [one for head in heads for one in (head.now, head.before, head.year_before) if one is not None]
    measures, periods = {one.measure for one in parts}, {one.period for one in parts}
    safe = await figures(connection, sorted(measures), Reach(whole=True), sorted(periods))

    def one(figure: Figure | None) -> Figure | None:
        return as_published([figure], known)[0] if figure is not None else None

    found = []
    for head in heads:
        known = [figure for figure in safe if figure.measure == head.definition.id and figure.key == head.now.key]
        found.append(
            replace(head, now=one(head.now) or head.now, before=one(head.before), year_before=one(head.year_before))
        )
    return found


def _address(one: Figure) -> tuple[str, ...]:
    return one.measure, one.version, one.period, one.level, one.key, one.stratifier, one.stratum
