"""Computing measures over the lake: for every period of the trend the figure at each level and stratum.

Pure over a state of the lake: the same lake, definitions and moment give the same numbers. Levels are the district as
a whole, its towns (by the member's register address) and institutions; a member without a known town or institution
is counted in the district and under the empty key, so that the parts always add up to the whole.

`compute_all` gives results as objects, for few definitions and little data; `refresh` uses the same parts for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from healthbrain.lake import Lake
from healthbrain.lake.expression_sql import Constant
from healthbrain.lake.local_time import LOCAL
from healthbrain.lake.spark import Cluster
from healthbrain.measure import base as store
from healthbrain.measure import clustered
from healthbrain.measure.base import Base, DeliveryDay
from healthbrain.measure.compile import BASE, needed_views
from healthbrain.measure.computed import Values, compute_from, order
from healthbrain.measure.definition import COMPUTED_HERE, Definition, Library
from healthbrain.measure.figures import FIGURES, make_figures
from healthbrain.measure.listing import Lister, Member, Wanted
from healthbrain.measure.load import library as shipped_library
from healthbrain.measure.periods import Span, spans
from healthbrain.measure.result import Coverage, Result, plain
from healthbrain.measure.running import (
    WHOLE,
    Calendars,
    calendars_of,
    condense,
    count,
    data_from,
    make_calendars,
    make_cells,
    slices,
)
from healthbrain.measure.tally import LEVELS, Counting, Group, calendar_of, counting
from healthbrain.terms import systems

# WS 218 classes of medical institutions: hospitals, community centres, township hospitals, clinics, emergency centres,
# maternal and child hospitals, disease prevention hospitals. Blood (F), disease control (J) and supervision (K) are not.
MEDICAL = ("A", "B", "C", "D", "E", "G", "H")
SILENT_AFTER_DAYS = 7  # an institution that delivered nothing for so long is silent (HUB-EX-11)
SLICE = 250_000  # persons counted at once
SYSTEMS: dict[str, Constant] = {
    key: value for key, value in vars(systems).items() if key.isupper() and isinstance(value, str)
}


@dataclass(frozen=True, slots=True)
class Computed:
    """Everything computed of one measure."""

    definition: Definition
    as_of: datetime
    coverage: Coverage
    results: tuple[Result, ...]
    members: tuple[Member, ...]

    @property
    def period(self) -> str:
        """The latest period."""
        return self.results[-1].period if self.results else ""


def constants_at(today: date) -> dict[str, Constant]:
    """What `%name` means to every definition."""
    return {**SYSTEMS, "MEDICAL": MEDICAL, "today": today}


def compute_all(
    lake: Lake,
    definitions: Sequence[Definition],
    at: datetime,
    *,
    deliveries: Iterable[DeliveryDay] = (),
    library: Library | None = None,
    cluster: Cluster | None = None,
) -> Iterator[Computed]:
    """The definitions over the lake as it is now, one after the other, with the members of the latest period.

    With `cluster` the base is made and everyone is counted there.
    """
    library = library or shipped_library()
    today = at.astimezone(LOCAL).date()
    constants = constants_at(today)
    counted = counting(definitions, library, constants)
    folder, state = lake.folder / store.FOLDER, lake.state()
    views = needed_views(library, definitions)
    if cluster is None:
        base = store.build(folder, lake, state, library, views, constants)
    else:
        base = clustered.build(cluster, folder, lake, state, library, views, constants)
    base = store.with_deliveries(folder, base, deliveries)
    connection = store.connect(folder, base)
    try:
        if cluster is None:
            calendars = calendars_of(counted, today, first_day(connection, base))
            make_calendars(connection, calendars)
            count_all(connection, folder, base, counted)
        else:
            clustered.open_base(cluster, folder, base)
            calendars = calendars_of(counted, today, clustered.first_day(cluster, base))
            make_calendars(connection, calendars)
            clustered.count_all(cluster, base, counted, calendars, connection)
        periods = {m: calendars[calendar_of(one)] for m, one in enumerate(counted.definitions)}
        make_figures(connection, counted.definitions, periods)
        coverage = coverage_of(connection, today)
        results = results_of(connection, counted, calendars)
        values = Values.of(results)
        for one in order(definitions):
            results[one.id] = compute_from(one, values, spans(one, today))
            for found in results[one.id]:
                values.add(one.id, found)
        for one in definitions:
            own, members = results.get(one.id, []), []
            if one.kind not in COMPUTED_HERE and one.members and own:
                lister = Lister(connection, folder, base, one, library, constants)
                members = lister.members(calendars[calendar_of(one)][-1], Wanted())
            yield Computed(one, state.at or at, coverage, tuple(own), tuple(members))
    finally:
        connection.close()


def count_all(
    connection: duckdb.DuckDBPyConnection, folder: Path, base: Base, counted: Counting, size: int = SLICE
) -> None:
    """All cells of all definitions over the base; the calendars are there."""
    make_cells(connection)
    personal = [group for group in counted.groups if group.personal]
    others = [group for group in counted.groups if not group.personal]
    if personal:
        for part in slices(connection, BASE + "patient", size) if "patient" in base.views else [WHOLE]:
            store.choose(connection, folder, base, part)
            count(connection, counted, personal)
    store.choose(connection, folder, base, WHOLE)
    if others:
        count(connection, counted, others)
    condense(connection)


def first_day(connection: duckdb.DuckDBPyConnection, base: Base) -> date | None:
    """The day from which on there are data."""
    return data_from(connection, BASE + "encounter") if "encounter" in base.views else None


def results_of(
    connection: duckdb.DuckDBPyConnection, counted: Counting, calendars: Calendars
) -> dict[str, list[Result]]:
    """The figures as objects, by measure; the figures of the latest period last."""
    found: dict[str, list[Result]] = {one.id: [] for one in counted.definitions}
    rows = connection.execute(
        f"select m, p, level, key, stratifier, stratum, numerator, denominator, value, low, high, small from {FIGURES} "  # noqa: S608  # constants
        "order by m, p, level, key, stratifier, stratum"
    ).fetchall()
    for m, p, level, key, stratifier, stratum, *figures, small in rows:
        one = counted.definitions[m]
        span: Span = calendars[calendar_of(one)][p]
        above, below, value, low, high = (plain(number) for number in figures)
        found[one.id].append(
            Result(
                span.label, span.start, span.to, span.complete, LEVELS[level], key, above, below,
                None if value is None else float(value), low, high, small, stratifier, stratum,
            )
        )  # fmt: skip
    return found


def coverage_of(connection: duckdb.DuckDBPyConnection, today: date) -> Coverage:
    """How many medical institutions have delivered of late."""
    since = today - timedelta(days=SILENT_AFTER_DAYS - 1)
    row = connection.execute(
        "select count(*) filter (key in (select organisation from delivery_day where accepted > 0 and day between ? and ?)), "
        "count(*) from organisation where kind = 'institution' "
        "and (facility_class = '' or list_contains(?, facility_class[1]))",
        [since, today, list(MEDICAL)],
    ).fetchone()
    sending, registered = row or (0, 0)
    return Coverage(sending, registered)


__all__ = ["MEDICAL", "SYSTEMS", "Computed", "Coverage", "Group", "Member", "Result", "compute_all"]
