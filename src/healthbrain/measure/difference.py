"""What some people contribute to the cells now, less what they contributed before, counted in one pass.

Their rows of before and of now stand side by side in one set of base tables, as if they were different people: person 7 is
-k before and k now. Nothing of one person ever meets another's, so each table has the rows of both, and the sign of `person`
says what is to be taken away and what to be added. Rows of nobody (staff, teams) cannot be told apart so; what rests on a
view of which such rows have changed is counted before and now one after the other.

Counting few people is mostly planning of some hundreds of statements, which one core does for each; so two threads carry
them out, each as soon as the tables that it reads are there.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import duckdb

from healthbrain.lake.engine import name
from healthbrain.measure.base import Base, parquet, rows_of
from healthbrain.measure.compile import BASE
from healthbrain.measure.running import Calendars, make_calendars, make_cells, needed_columns, queries
from healthbrain.measure.tally import CELLS, COLUMNS, Counting, Group, statements

_THREADS = 2
_CHANGES = "changes"  # cells with a sign
_BOTH = ("before", "now")


@dataclass(frozen=True, slots=True)
class Step:
    """Statements that one thread carries out in turn, once the steps that it needs are done."""

    name: str
    needs: frozenset[str]
    statements: tuple[str, ...]


def count_changes(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    old: Base,
    new: Base,
    counted: Counting,
    groups: Sequence[Group],
    calendars: Calendars,
) -> None:
    """Fill the table of cells with the difference. The connection has what `increment.advance` says."""
    connection.execute(f"create or replace table {_CHANGES} ({COLUMNS})")
    connection.execute(f"create or replace view delivery_day as from {parquet(folder, new.deliveries)}")
    make_calendars(connection, calendars, "table")
    nobodys = _of_nobody(connection, old)
    apart = [group for group in groups if _views(counted, group) & nobodys]
    together = [group for group in groups if not _views(counted, group) & nobodys]
    passes = (("sign(b.person)", _BOTH, together), ("-1", ("before",), apart), ("1", ("now",), apart))
    for sign, times, own in passes:
        _base_tables(connection, folder, old, counted, own, times)
        # few rows: passing them between threads costs more than the work on them
        connection.execute("set threads = 1")
        carry_out(connection, list(steps(counted, own, sign, together=times == _BOTH)))
        connection.execute(f"set threads = {_THREADS}")
        for made, kind, _ in queries(counted, own):
            connection.execute(f"drop {kind} {made.name}")
    make_cells(connection)
    connection.execute(f"insert into {CELLS} by name from {_CHANGES}")


def _views(counted: Counting, group: Group) -> frozenset[str]:
    """The library's views on which a group rests."""
    return frozenset(one.name.removeprefix(BASE) for one in counted.tables([group]) if one.name.startswith(BASE))


def _of_nobody(connection: duckdb.DuckDBPyConnection, old: Base) -> frozenset[str]:
    """The views of which rows of nobody came or went."""
    parts = [
        f"select '{view}' as view from {kind}_{view} where person is null"
        for view in old.views
        for kind in ("come", "gone")
    ]
    return frozenset(view for (view,) in connection.execute(" union ".join(parts)).fetchall())


def _base_tables(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    old: Base,
    counted: Counting,
    groups: Sequence[Group],
    times: Sequence[str],
) -> None:
    """The rows of the touched people, before or now or both, in the columns that somebody reads."""
    tables = counted.tables(groups)
    needed = needed_columns([made for made in tables if made.query], groups)
    for made in tables:
        if not made.name.startswith(BASE):
            continue
        view = made.name.removeprefix(BASE)
        columns = ", ".join(name(one) for one in made.kinds if one in needed[made.name] and one != "person")
        if times == _BOTH:
            query = f"""with theirs as materialized (select {columns}, k, _id in (select _id from gone_{view}) as gone
                from ({rows_of(folder, old.views[view], "person in (select person from touched)")}) join touched using (person))
                select {columns}, -k as person from theirs union all select {columns}, k from theirs where not gone
                union all select {columns}, k from come_{view} join touched using (person)"""
        else:
            theirs = "(person is null or person in (select person from touched))"
            query = f"select {columns}, person from ({rows_of(folder, old.views[view], theirs)})"
            if "now" in times:
                query += f" where _id not in (select _id from gone_{view}) union all select {columns}, person from come_{view}"
        connection.execute(f"create or replace table {made.name} as {query}")


def steps(counted: Counting, groups: Sequence[Group], sign: str, *, together: bool) -> Iterator[Step]:
    """Everything to be done to count the groups into the changes: the tables that they need, then each group.

    When before and now are counted together, a group counts only those whose rows changed in the views that it rests on.
    """
    here = set[str]()
    for made, kind, query in queries(counted, groups):
        needs = frozenset(read for read, _ in made.reads if read in here)
        yield Step(made.name, needs, (f"create or replace {kind} {made.name} as {query}",))
        here.add(made.name)
    touched = dict[frozenset[str], str]()
    for number, group in enumerate(groups):
        views = _views(counted, group)
        if together and views not in touched:
            touched[views] = f"touched_{len(touched)}"
            yield Step(touched[views], frozenset(), (_touched_by(views, touched[views]),))
        only = touched.get(views, "")
        needs = frozenset({group.source.name} & here) | frozenset({only} - {""})
        yield Step(f"group {number}", needs, tuple(statements(group, _CHANGES, sign, only)))


def _touched_by(views: Collection[str], table: str) -> str:
    """A table of those whose rows of some views came or went, before and now."""
    parts = " union all ".join(
        f"select person from {kind}_{view}" for view in sorted(views) for kind in ("come", "gone")
    )
    return (
        f"create or replace table {table} as select k * side as person from touched, (values (1), (-1)) as s(side) "
        f"where person in ({parts})"
    )


def carry_out(connection: duckdb.DuckDBPyConnection, waiting: Sequence[Step], threads: int = _THREADS) -> None:
    """Carry out the steps, several at once. Their results must not depend on the order of those that are free."""
    cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for _ in range(threads):
        own = connection.cursor()
        own.execute("set TimeZone = 'UTC'")  # a cursor does not have its connection's
        cursors.put(own)

    def run(step: Step) -> str:
        own = cursors.get()
        try:
            for statement in step.statements:
                own.execute(statement)
        finally:
            cursors.put(own)
        return step.name

    left, done, running = list(waiting), set[str](), set[Future[str]]()
    with ThreadPoolExecutor(threads) as pool:
        while left or running:
            free = [step for step in left if step.needs <= done]
            left = [step for step in left if not step.needs <= done]
            running |= {pool.submit(run, step) for step in free}
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            done |= {future.result() for future in ended}
    while not cursors.empty():
        cursors.get().close()
