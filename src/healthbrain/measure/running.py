"""Counting carried out on a DuckDB connection that has the base tables: calendars, tables in order, groups, cells.

People are counted in slices of the population when there are many, so that memory does not grow with them; what does not
follow from single persons (`personal` is False) is counted once over everything.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from healthbrain.lake.engine import literal, name
from healthbrain.lake.spark import Statements
from healthbrain.measure.compile import GIVEN, Made
from healthbrain.measure.periods import Span, covered, spans
from healthbrain.measure.tally import CELLS, COLUMNS, KEYS, Counting, Group, calendar_of, statements

Calendars = Mapping[str, Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of the population: persons with keys from `low` up to and including `high`; None = no bound."""

    low: int | None = None
    high: int | None = None

    @property
    def condition(self) -> str:
        """The slice as SQL over base rows."""
        tests = [
            f"person >= {self.low}" if self.low is not None else "",
            f"person <= {self.high}" if self.high is not None else "",
        ]
        if self.low is None and self.high is None:
            return "true"
        # rows of no person belong to the first slice
        inside = " and ".join(test for test in tests if test)
        return f"({inside})" if self.low is not None else f"(({inside}) or person is null)"


WHOLE = Slice()


def calendars_of(counting: Counting, today: date, data_from: date | None) -> dict[str, list[Span]]:
    """The periods of every calendar."""
    return {calendar: covered(one, spans(one, today), data_from) for calendar, one in counting.calendars.items()}


def make_calendars(connection: Statements, calendars: Calendars, kind: str = "temp table") -> None:
    """Tables of periods, and of the days that lie in each."""
    for calendar, periods in calendars.items():
        rows = ", ".join(f"({number}, date '{span.start}', date '{span.to}')" for number, span in enumerate(periods))
        connection.execute(f"create or replace {kind} {calendar} as select * from (values {rows}) as c(_p, _from, _to)")
        connection.execute(
            f"create or replace {kind} {calendar}_day as select cast(unnest(generate_series(_from, _to, interval 1 day)) as date) "
            f"as day, _p, _from, _to from {calendar}"
        )


def make_cells(connection: Statements) -> None:
    """An empty table of cells."""
    connection.execute(f"create or replace temp table {CELLS} ({COLUMNS})")


def count(connection: Statements, counting: Counting, groups: Sequence[Group]) -> None:
    """Count the groups over the base tables as they are now; cells are added to what is there."""
    made = make_tables(connection, counting, groups)
    for group in groups:
        for statement in statements(group):
            connection.execute(statement)
    for statement in made:
        connection.execute(statement)


def make_tables(
    connection: Statements, counting: Counting, groups: Sequence[Group], extra: Iterable[str] = ()
) -> list[str]:
    """Make the tables that the groups need; returns the statements that take them away again."""
    kept: list[str] = []
    for made, kind, query in queries(counting, groups, extra):
        connection.execute(f"create or replace temp {kind} {made.name} as {query}")
        kept.append(f"drop {kind} {made.name}")
    return kept


def queries(counting: Counting, groups: Sequence[Group], extra: Iterable[str] = ()) -> Iterator[tuple[Made, str, str]]:
    """The tables that the groups need, each as a `table` or `view` with its query, in order of making.

    What only one other table reads is a view: DuckDB then makes it part of the reader's query.
    """
    tables = [made for made in counting.tables(groups) if made.query]
    needed = needed_columns(tables, groups)
    readers = Counter(read for made in tables for read, _ in made.reads)
    readers.update(group.source.name for group in groups)
    for made in tables:
        if readers[made.name] > 1 or made.name in extra:
            columns = [name(column) for column in made.kinds if column in needed[made.name]]
            columns += ["_p"] if made.timed else []
            chosen = ", ".join(columns) if columns and made.name not in extra else "*"
            yield made, "table", f"select {chosen} from ({made.query})"
        else:
            yield made, "view", made.query


def needed_columns(tables: Sequence[Made], groups: Sequence[Group]) -> dict[str, set[str]]:
    """For each table, the columns that somebody reads (or more)."""
    needed: dict[str, set[str]] = {made.name: set() for made in tables}
    for group in groups:
        needed.setdefault(group.source.name, set()).update(group.words)
    for made in reversed(tables):
        words = needed[made.name] | set(_words(made.query))
        for read, columns in made.reads:
            needed.setdefault(read, set()).update(words if columns is None else columns)
    return needed


def _words(query: str) -> Iterable[str]:
    return query.replace('"', " ").replace("(", " ").replace(")", " ").replace(",", " ").replace(".", " ").split()


def condense(connection: duckdb.DuckDBPyConnection) -> None:
    """Cells of the same measure, period, place and stratum added up; those that are nothing dropped."""
    sums = ", ".join(
        f"cast(sum({letter}) as {'bigint' if letter in 'nd' else 'hugeint'}) as {letter}" for letter in "ndxw"
    )
    connection.execute(
        f"create or replace temp table condensed as select {KEYS}, {sums} from {CELLS} group by {KEYS} "
        "having sum(n) <> 0 or sum(d) <> 0"
    )
    connection.execute(f"drop table {CELLS}")
    connection.execute(f"alter table condensed rename to {CELLS}")


def slices(connection: duckdb.DuckDBPyConnection, view: str, size: int) -> list[Slice]:
    """The population in slices of about `size` persons, from the person keys of one base table."""
    row = connection.execute(f"select count(distinct person) from {view}").fetchone()
    people = row[0] if row else 0
    if people <= size:
        return [WHOLE]
    number = -(-people // size)
    shares = ", ".join(str(part / number) for part in range(1, number))
    cut = connection.execute(
        f"select quantile_disc(person, [{shares}]) from (select distinct person from {view} where person is not null)"
    ).fetchone()
    bounds = sorted(set(cut[0])) if cut else []
    lows = [None, *(bound + 1 for bound in bounds)]
    return [Slice(low, high) for low, high in zip(lows, [*bounds, None], strict=True)]


def data_from(connection: duckdb.DuckDBPyConnection, view: str) -> date | None:
    """The day from which on visits are recorded; the earliest hundredth is left out as stray old records."""
    row = connection.execute(f"select quantile_disc(start, 0.01) from {view} where start is not null").fetchone()
    return row[0] if row else None


def days(periods: Sequence[Span]) -> int:
    """How many days all periods have together."""
    return sum((span.to - span.start + timedelta(days=1)).days for span in periods)


assert set(GIVEN) == {"organisation", "delivery_day"}  # noqa: S101  # the base has both
__all__ = ["WHOLE", "Calendars", "Slice", "calendar_of", "calendars_of", "condense", "count", "literal"]
