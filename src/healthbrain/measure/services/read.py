"""What a data service answers: figures by month, of the district or of institutions, within what the reader may see.

A statement runs on a connection that has the views it reads and nothing else, each narrowed to the rows of the reader's organisations.
Who may not see people gets no figure that rests on fewer than a handful of things counted.
"""

# ruff: noqa: S608  # statements are of the registry; paths are quoted by lake.engine, keys are numbers
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from healthbrain.database import Connection
from healthbrain.lake import Lake, engine, library, warehouse
from healthbrain.lake.derived import table_of
from healthbrain.lake.local_time import MACROS
from healthbrain.measure import queries, suppression
from healthbrain.measure.queries import Figure
from healthbrain.measure.services.service import Service
from healthbrain.measure.suppression import THRESHOLD


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose rows may be counted (None = all), and whether the people behind them may be seen."""

    organisations: tuple[int, ...] | None
    people: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A figure. `unit` is the key of an institution, None for all together; what is hidden has no numbers."""

    month: str
    unit: int | None
    above: float | None
    below: float | None
    value: float | None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """The answer, and as of when it is true."""

    rows: tuple[Row, ...]
    as_of: datetime | None


def read_statement(one: Service, folder: Path, asked: Mapping[str, str], unit: int | None, reader: Reader) -> Read:
    """Run the statement. Raises NotFound when a view has not been made yet."""
    state = Lake(folder).state()
    views = [library.find(*name.split(".")) for name in one.reads]
    moments = [warehouse.load(folder, view).as_of for view in views]
    connection = engine.connect(folder / "scratch", memory="1GB")
    try:
        connection.execute(MACROS)
        seen = _owned(reader.organisations, unit if reader.people else None)
        for view in views:
            rows = warehouse.relation(folder, view, state)
            connection.execute(f"create view {table_of(view.id)} as select * from {rows} where {seen}")
        apart = asked["by"] == "institution" or unit is not None
        connection.execute(f"create temp macro hb_unit(o) as {'o' if apart else 'null'}")
        counted = one.counts or "below"
        found = connection.execute(
            f"select month, unit, above, below, {counted} from ({one.statement}) where month between ? and ? order by month, unit",
            [asked["from"], asked["to"]],
        ).fetchall()
    finally:
        connection.close()
    rows_ = [_row(one, reader, *row) for row in found]
    if apart and not reader.people:
        sizes = {(str(row[0]), row[1]): float(row[4] or 0) for row in found}
        rows_ = _complemented(rows_, sizes)
    shown = tuple(row for row in rows_ if unit is None or row.unit == unit)
    return Read(shown, min((at for at in moments if at), default=None))


def _owned(organisations: tuple[int, ...] | None, unit: int | None) -> str:
    if organisations is None:
        return "true" if unit is None else f"_owner = {int(unit)}"
    mine = organisations if unit is None else tuple(key for key in organisations if key == unit)
    return f"_owner in ({', '.join(str(int(key)) for key in mine)})" if mine else "false"


def _complemented(rows: Sequence[Row], sizes: Mapping[tuple[str, int | None], float]) -> list[Row]:
    """Where one institution alone is hidden in a month, the smallest other is hidden too: the total less the others would tell."""
    hidden: set[tuple[str, int | None]] = set()
    for month in {row.month for row in rows}:
        mine = [row for row in rows if row.month == month]
        if sum(row.hidden for row in mine) == 1 and len(mine) > 1:
            others = [row for row in mine if not row.hidden]
            least = min(others, key=lambda row: (sizes[row.month, row.unit], row.unit or 0))
            hidden.add((month, least.unit))
    return [Row(r.month, r.unit, None, None, None, hidden=True) if (r.month, r.unit) in hidden else r for r in rows]


def _row(one: Service, reader: Reader, month: str, unit: int | None, above: float, below: float, counted: float) -> Row:
    above, below = float(above or 0), float(below or 0)
    few = 0 < float(counted) < THRESHOLD or (not one.counts and one.per == 100 and 0 < above < THRESHOLD)
    if few and not reader.people:
        return Row(month, unit, None, None, None, hidden=True)
    return Row(month, unit, above, below, one.per * above / below if below else None)


async def read_measure(
    one: Service, connection: Connection, asked: Mapping[str, str], unit: int | None, reader: Reader
) -> Read:
    """The published figures of a measure."""
    definition = await queries.current(connection, one.measure)
    if asked["by"] == "institution" or unit is not None:
        periods = {figure.period for figure in await queries.trend(connection, one.measure)}
        figures: list[Figure] = []
        for period in sorted(period for period in periods if asked["from"] <= period <= asked["to"]):
            parts = await queries.by_institution(connection, one.measure, period)
            figures += parts if reader.people else suppression.suppress(parts, definition)
        keys = None if reader.organisations is None else {str(key) for key in reader.organisations}
        figures = [f for f in figures if (keys is None or f.key in keys) and (unit is None or f.key == str(unit))]
    else:
        figures = await queries.trend(connection, one.measure)
        figures = [f for f in figures if f.version == definition.version and asked["from"] <= f.period <= asked["to"]]
        figures = figures if reader.people else suppression.suppress_periods(figures, definition)
    rows = tuple(
        Row(f.period, int(f.key) if f.key else None, f.numerator, f.denominator, f.value, f.suppressed) for f in figures
    )
    return Read(rows, max((f.as_of for f in figures), default=None))
