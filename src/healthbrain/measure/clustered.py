"""Measures on a Spark cluster: the base made there from the lake, and everyone counted there.

The tables and the counting are those of DuckDB (`compile`, `tally`, `running`), carried out elsewhere. What is large stays on
the cluster and the shared disk; cells come back, which are as many as there are figures however many people there are, and
figures, publishing, and what changes between two full counts are DuckDB's work as always: base files are the same for both.
"""

# ruff: noqa: S608  # statements are made here; names come from the library
from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb

from healthbrain.lake import Lake, base_view
from healthbrain.lake.engine import file_list
from healthbrain.lake.expression_sql import Constant
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.spark import Cluster
from healthbrain.measure.base import FOLDER_OF_FILES, Base, Rows, linked, of_state, parquet
from healthbrain.measure.compile import BASE, keyed_query
from healthbrain.measure.definition import Library
from healthbrain.measure.running import Calendars, condense, make_calendars, make_cells, make_tables
from healthbrain.measure.tally import CELLS, Counting, statements

_GIVEN = ("organisation", "delivery_day")


def build(
    cluster: Cluster, folder: Path, lake: Lake, state: Manifest, library: Library, views: Sequence[str],
    constants: Mapping[str, Constant],
) -> Base:  # fmt: skip
    """All views over one state of the lake, as new files. Nothing is current until it is saved."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = lake.connect(state=state)
    try:
        links, organisation = linked(connection, folder)
        cluster.open_lake(lake, sorted({library.views[view].resource for view in views}), state)
        cluster.register("links", [folder / links])
        found = {}
        for view in views:
            name = f"{view}-{uuid.uuid4().hex[:16]}{FOLDER_OF_FILES}"
            own = library.views[view]
            cluster.define(f"flat_{view}", base_view.spark_sql(own, constants))
            cluster.write(keyed_query(own, f"flat_{view}"), folder / name, order="person")
            file = f"{name}/*.parquet"
            row = connection.execute(f"select count(*) from {parquet(folder, file)}").fetchone()
            found[view] = Rows(file, int(row[0]) if row else 0)
    finally:
        connection.close()
    return of_state(state, library, found, constants, links, organisation)


def open_base(cluster: Cluster, folder: Path, base: Base) -> None:
    """The base tables."""
    for table, file in zip(_GIVEN, (base.organisation, base.deliveries), strict=True):
        cluster.register(table, _files(folder, file))
    for view, rows in base.views.items():
        _open_view(cluster, folder, f"{BASE}{view}", rows)


def first_day(cluster: Cluster, base: Base) -> date | None:
    """The day from which on there are data: the earliest hundredth of visits is left out as stray old records."""
    if "encounter" not in base.views:
        return None
    days = f"select start, count(*) as n from {BASE}encounter where start is not null group by start"
    upto = f"select start, sum(n) over (order by start) as upto, sum(n) over () as whole from ({days})"
    found = cluster.rows(f"select min(start) as start from ({upto}) where upto * 100 >= whole")
    return found[0][0] if found else None


def count_all(
    cluster: Cluster, base: Base, counted: Counting, calendars: Calendars, connection: duckdb.DuckDBPyConnection
) -> None:
    """All cells of all definitions over the base, as a table of `connection`."""
    make_calendars(cluster, calendars)
    make_cells(cluster)
    made = make_tables(cluster, counted, counted.groups)
    for group in counted.groups:
        for statement in statements(group, steps="temp view"):  # one job for several groups, nothing kept between
            cluster.execute(statement)
    make_cells(connection)
    if files := cluster.filled(CELLS):
        connection.execute(f"insert into {CELLS} by name select * from read_parquet({file_list(files)})")
    for statement in made:
        cluster.execute(statement)
    condense(connection)


def _open_view(cluster: Cluster, folder: Path, table: str, rows: Rows) -> None:
    """The current rows of a view, as `base.rows_of` gives them to DuckDB."""
    if not rows.dead and not rows.fresh:
        cluster.register(table, _files(folder, rows.main))
        return
    cluster.register(f"{table}_main", _files(folder, rows.main))
    parts = [f"{table}_main"]
    if rows.dead:
        cluster.register(f"{table}_dead", _files(folder, rows.dead))
        alive = f"select m.* from {table}_main m where not exists (select 1 from {table}_dead d where d._id = m._id)"
        cluster.execute(f"create or replace temp view {table}_alive as {alive}")
        parts = [f"{table}_alive"]
    if rows.fresh:
        cluster.register(f"{table}_fresh", _files(folder, rows.fresh))
        parts.append(f"{table}_fresh")
    cluster.stack(table, parts)


def _files(folder: Path, file: str) -> list[Path]:
    return [(folder / file).parent] if file.endswith("/*.parquet") else [folder / file]
