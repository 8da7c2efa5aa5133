"""Measures computed from others, after a count: from which figures, and which of them again.

After a night or a new definition they are computed everywhere. After changes they are computed again at the places where
something that they rest on has changed; what rests on figures of other places (an indirect standard) or follows the last
known period of another computed measure is computed everywhere all the same.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from healthbrain.lake.engine import literal
from healthbrain.measure.base import Base
from healthbrain.measure.computed import Place, Values, compute_from, order
from healthbrain.measure.definition import Definition
from healthbrain.measure.figures import FIGURES, make_figures
from healthbrain.measure.kept_cells import TOUCHED, cells_of
from healthbrain.measure.periods import Span, spans
from healthbrain.measure.publish import Named, csv_line, gone_line, named
from healthbrain.measure.result import Result, plain
from healthbrain.measure.tally import LEVELS

Periods = Mapping[int, Sequence[Span]]  # of each counted definition, by its place


@dataclass(frozen=True, slots=True)
class Derived:
    """Figures computed from others, to be published."""

    lines: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()  # figures to take away
    whole: tuple[str, ...] = ()  # measures of which these are all figures there are
    periods: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class _Needed:
    """What the computed measures need of those that are counted."""

    measures: Mapping[int, frozenset[str]]  # place of the definition -> stratifiers, '' = the figure of everybody
    everywhere: bool  # one of them cannot be computed place by place


def entered_digest(entered: Mapping[str, Sequence[Result]]) -> str:
    """Changes when an entered value does."""
    return hashlib.sha256("\n".join(sorted(map(repr, entered.items()))).encode()).hexdigest()


def derive(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    base: Base,
    definitions: Sequence[Definition],
    counted: Sequence[Definition],
    periods: Periods,
    entered: Mapping[str, Sequence[Result]],
    today: date,
    *,
    again: bool,
) -> Derived:
    """The measures computed from others. With `again` only what may differ from what is published."""
    wanted = order(definitions)
    if not wanted:
        return Derived()
    needed = _needed(wanted, counted)
    again = again and not needed.everywhere
    if again:
        _affected(connection, needed)
    cells = cells_of(
        folder, base, measures=sorted(needed.measures), places="affected" if again else "", by="level, key"
    )
    make_figures(connection, counted, periods, cells=cells)
    values = _values(connection, counted, periods, entered, needed, again=again)
    vanished = _vanished(connection, needed) if again else []
    lines: list[str] = []
    gone: list[str] = []
    said: list[Named] = []
    for one in wanted:
        own = spans(one, today)
        found = compute_from(one, values, own)
        for result in found:
            values.add(one.id, result)
        lines += [csv_line(one.id, one.version, result) for result in found]
        here = {(result.period, result.level, result.key) for result in found}
        gone += [
            gone_line(one.id, one.version, span.label, *place)
            for span in own
            for place in vanished
            if (span.label, *place) not in here
        ]
        said += [named(one, span) for span in own]
    return Derived(tuple(lines), tuple(gone), () if again else tuple(one.id for one in wanted), tuple(said))


def _needed(wanted: Sequence[Definition], counted: Sequence[Definition]) -> _Needed:
    number = {one.id: m for m, one in enumerate(counted)}
    measures: dict[int, frozenset[str]] = {}
    everywhere = False
    computed = {one.id for one in wanted}
    for one in wanted:
        if one.computation is None:
            continue
        everywhere |= one.computation.method == "smr"
        for part in one.computation.components.values():
            everywhere |= part.latest and part.measure in computed
            if part.measure in number:
                m = number[part.measure]
                measures[m] = measures.get(m, frozenset({""})) | {one.computation.by}
    return _Needed(measures, everywhere)


def _chosen(needed: _Needed) -> str:
    """SQL: whether a figure is one that something is computed from."""
    tests = [
        f"(m = {m} and stratifier in ({', '.join(map(literal, sorted(strata)))}))"
        for m, strata in sorted(needed.measures.items())
    ]
    return f"({' or '.join(tests) or 'false'})"


def _affected(connection: duckdb.DuckDBPyConnection, needed: _Needed) -> None:
    """The table of places where something has changed; the district is always among them, as it has every period."""
    connection.execute(
        f"create or replace temp table affected as select distinct level, key from {TOUCHED} where {_chosen(needed)} "
        "union select 0::utinyint, ''"
    )


def _vanished(connection: duckdb.DuckDBPyConnection, needed: _Needed) -> list[Place]:
    """Places of which a figure is no more."""
    rows = connection.execute(
        f"select distinct level, key from {TOUCHED} anti join {FIGURES} using (m, p, level, key, stratifier, stratum) "
        f"where {_chosen(needed)} and stratifier = '' order by 1, 2"
    ).fetchall()
    return [(LEVELS[level], key) for level, key in rows]


def _values(
    connection: duckdb.DuckDBPyConnection,
    counted: Sequence[Definition],
    periods: Periods,
    entered: Mapping[str, Sequence[Result]],
    needed: _Needed,
    *,
    again: bool,
) -> Values:
    """The figures that something is computed from."""
    affected = {
        (LEVELS[level], key) for level, key in connection.execute("select level, key from affected").fetchall()
    } if again else None  # fmt: skip
    values = Values()
    for measure, own in entered.items():
        for one in own:
            values.periods[measure].add(one.period)
            if affected is None or (one.level, one.key) in affected:
                values.add(measure, one)
    rows = connection.execute(
        "select m, p, level, key, stratifier, stratum, numerator, denominator, value, low, high, small "
        f"from {FIGURES} where {_chosen(needed)}"
    ).fetchall()
    for m, p, level, key, stratifier, stratum, above, below, value, low, high, small in rows:
        span = periods[m][p]
        values.add(counted[m].id, Result(
            span.label, span.start, span.to, span.complete, LEVELS[level], key, plain(above), plain(below),
            value, low, high, small, stratifier, stratum,
        ))  # fmt: skip
    return values
