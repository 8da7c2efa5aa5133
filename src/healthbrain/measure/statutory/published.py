"""Every published figure that a form may need of one place, asked at once: whole figures and those by stratum.

A form has some sixty measures; asking for each by itself would make a report of all units of a city take minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healthbrain.database import Connection
from healthbrain.measure.definition import Definition, Level
from healthbrain.measure.periods import grain_of
from healthbrain.measure.queries import Figure
from healthbrain.measure.result import Coverage, plain

_ASKED = """
select f.measure, f.version, f.period, f.level, f.key, p.window_from, p.window_to, p.complete, f.numerator, f.denominator, f.value,
    f.low, f.high, f.small, p.sending, p.registered, p.as_of, p.computed_at, f.stratifier, f.stratum
from unnest(%s::text[], %s::text[]) w (measure, version)
join measure_figure f on f.measure = w.measure and f.version = w.version
join measure_period p on p.measure = f.measure and p.version = f.version and p.period = f.period
where f.level = %s and f.key = %s and f.stratifier = any(%s) and left(f.period, 4) = %s order by f.period
"""


@dataclass(frozen=True, slots=True)
class Published:
    """The figures of one place in one year, by measure."""

    whole: Mapping[str, Sequence[Figure]]
    parts: Mapping[tuple[str, str, str], Sequence[Figure]]  # measure, stratifier, period


async def published_at(
    connection: Connection, wanted: Sequence[Definition], level: Level, key: str, year: str, strata: Sequence[str]
) -> Published:
    """The figures of these measures in the versions given, of each measure's own kind of period, oldest first."""
    own = {one.id: one.period for one in wanted}
    cursor = await connection.execute(
        _ASKED, [[one.id for one in wanted], [one.version for one in wanted], level, key, ["", *strata], year]
    )
    whole: dict[str, list[Figure]] = defaultdict(list)
    parts: dict[tuple[str, str, str], list[Figure]] = defaultdict(list)
    for row in await cursor.fetchall():
        measure, version, period, at, place, start, to, complete, above, below, value, bottom, top, small, *rest = row
        sending, registered, as_of, computed_at, stratifier, stratum = rest
        figure = Figure(
            measure, version, period, at, place, start, to, complete, plain(above), plain(below), value, bottom, top, small,
            Coverage(sending, registered), as_of, computed_at, stratifier, stratum,
        )  # fmt: skip
        if figure.stratifier:
            parts[figure.measure, figure.stratifier, figure.period].append(figure)
        elif grain_of(figure.period) == own[figure.measure]:
            whole[figure.measure].append(figure)
    return Published(whole, parts)
