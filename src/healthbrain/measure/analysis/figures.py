"""Questions over published figures: every cell is one figure as it was published, never a sum of several.

Which figure a cell is follows from rows, columns and filters: the measure; the period (of the dimension's grain; when periods do not
divide the table, each measure's latest within the filter); the town or institution, else the whole district, or the reader's own
institution; the stratum, else all. A total is shown where it was published too: for places the district, for strata all of them, unless a
filter leaves some out. What a reader may see of it is decided before (`measure.published`), the same for every question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from time import monotonic

from healthbrain import access
from healthbrain.database import Connection
from healthbrain.measure import published
from healthbrain.measure.analysis.pivot import Cell, Pivot, sorted_rows
from healthbrain.measure.analysis.protect import Key, Place
from healthbrain.measure.analysis.question import Question
from healthbrain.measure.analysis.run import Answer
from healthbrain.measure.analysis.sources import INSTITUTION, STRATIFIERS, TOWN
from healthbrain.measure.periods import grain_of
from healthbrain.measure.published import Reach
from healthbrain.measure.queries import Figure, definition

_LEVELS = {TOWN: "town", INSTITUTION: "institution"}
Address = tuple[str, str, str, str, str, str]  # measure, period, level, key, stratifier, stratum


async def answer_published(connection: Connection, asked: Question, reach: Reach) -> Answer:
    """The table of a checked question over published figures. Raises NotFound for an unknown measure."""
    started = monotonic()
    found = await published.figures(connection, _values(asked, "measure"), reach)
    tree = await access.organisations(connection)
    names = {str(node.key): node.name for node in tree}
    as_of: datetime | None = max((one.as_of for one in found), default=None)
    return Answer(tabulated(asked, found, reach), as_of, monotonic() - started, names)


def tabulated(asked: Question, found: Sequence[Figure], reach: Reach) -> Pivot:
    """The table of figures that a reader may see."""
    known = {_address(one): one for one in sorted(found, key=lambda one: one.computed_at)}
    chosen = _chosen(asked, known.values(), reach)
    cells: dict[Place, Cell] = {}
    rows: set[Key] = set()
    columns: set[Key] = set()
    for one in chosen:
        coordinates = {column: _coordinate(one, column) for column in _COLUMNS}
        row = tuple(coordinates[each.column] for each in asked.rows)
        column = tuple(coordinates[each.column] for each in asked.columns)
        rows.add(row)
        columns.add(column)
        for dropped_rows in (False, True) if asked.rows else (True,):
            for dropped_columns in (False, True) if asked.columns else (True,):
                place = (None if dropped_rows else row, None if dropped_columns else column)
                dropped = [each.column for each in asked.rows if dropped_rows]
                dropped += [each.column for each in asked.columns if dropped_columns]
                if (figure := _widened(asked, one, dropped, known, reach)) is not None:
                    cells[place] = _cell(asked, figure)
    made = Pivot(
        asked, tuple(sorted(rows)) if asked.rows else (), tuple(sorted(columns)) if asked.columns else (), cells
    )
    return replace(made, rows=tuple(sorted_rows(made)))


_COLUMNS = ("measure", "period", TOWN, INSTITUTION, *STRATIFIERS)


def _address(one: Figure) -> Address:
    return one.measure, one.period, one.level, one.key, one.stratifier, one.stratum


def _coordinate(one: Figure, column: str) -> str:
    """The value of a figure in a column."""
    if column in _LEVELS:
        return one.key if one.level == _LEVELS[column] else ""
    if column in STRATIFIERS:
        return one.stratum if one.stratifier == column else ""
    return one.measure if column == "measure" else one.period


def _chosen(asked: Question, figures: Iterable[Figure], reach: Reach) -> list[Figure]:
    """The figures that make the inside of the table."""
    used = {one.column for one in asked.dimensions} | {one.column for one in asked.filters}
    level = next((_LEVELS[one] for one in _LEVELS if one in used), "district" if reach.whole else "institution")
    stratifier = next((one for one in STRATIFIERS if one in used), "")
    grain = next((one.grain for one in asked.dimensions if one.column == "period"), "")
    low, high = _range(asked)
    inside = [
        one
        for one in figures
        if one.level == level
        and one.stratifier == stratifier
        and grain_of(one.period) == (grain or definition(one.measure).period)
        and (low is None or one.to >= low)
        and (high is None or one.to <= high)
        and all(_coordinate(one, f.column) in f.values for f in asked.filters if f.column not in {"period", "measure"})
    ]
    if grain:
        return inside
    last: dict[str, str] = {}
    for one in inside:
        last[one.measure] = max(last.get(one.measure, ""), one.period)
    return [one for one in inside if one.period == last[one.measure]]


def _widened(
    asked: Question, one: Figure, dropped: Sequence[str], known: Mapping[Address, Figure], reach: Reach
) -> Figure | None:
    """The figure that is the total over what is dropped; None where there is none."""
    filtered = {each.column for each in asked.filters}
    if not set(dropped) <= {*_LEVELS, *STRATIFIERS} or filtered & set(dropped):
        return None
    level, key, stratifier, stratum = one.level, one.key, one.stratifier, one.stratum
    if set(dropped) & set(_LEVELS):
        if not reach.whole:
            return None
        level, key = "district", ""
    if set(dropped) & set(STRATIFIERS):
        stratifier = stratum = ""
    return known.get((one.measure, one.period, level, key, stratifier, stratum))


def _cell(asked: Question, one: Figure) -> Cell:
    values = tuple(None if one.suppressed else _number(getattr(one, each.column)) for each in asked.measures)
    return Cell(None, None, values, hidden=one.suppressed)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _values(asked: Question, column: str) -> tuple[str, ...]:
    return next((one.values for one in asked.filters if one.column == column), ())


def _range(asked: Question) -> tuple[date | None, date | None]:
    ends = _values(asked, "period") or ("", "")
    low, high = (date.fromisoformat(one) if one else None for one in ends)
    return low, high
