"""Running a view over the lake on a Spark cluster, into a file.

The cluster writes the rows as Parquet into its scratch folder, which is beside the lake; from there DuckDB writes the file in the
format asked for, so that it is the same file whichever engine ran the view.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import shutil
from pathlib import Path

from healthbrain.lake import engine
from healthbrain.lake.engine import literal
from healthbrain.lake.reader import Lake
from healthbrain.lake.sof.compile import Query, Target, compile_view
from healthbrain.lake.sof.definition import ViewDefinition
from healthbrain.lake.sof.files import Layout, copying, mark, selected
from healthbrain.lake.sof.running import Outcome
from healthbrain.lake.spark import Cluster


def run_on_cluster(cluster: Cluster, lake: Lake, view: ViewDefinition, out: Path, layout: Layout) -> Outcome:
    """Run a view over the lake as it is now. Raises as `running.run_on` does."""
    query = compile_view(view, Target(engine="spark"))
    cluster.open_lake(lake, [view.resource])
    columns = compile_view(view, Target()).columns  # with the names that DuckDB has for their types
    return written(cluster, lake, Query(query.sql, columns, query.notices), out, layout)


def written(cluster: Cluster, lake: Lake, query: Query, out: Path, layout: Layout) -> Outcome:
    """Run a query in Spark SQL over tables that are open. Its columns are those that DuckDB has."""
    limit = "" if layout.limit is None else f" limit {layout.limit}"
    rows = cluster.scratch("rows")
    cluster.write_spark(f"select * from ({query.sql}){limit}", rows)
    connection = engine.connect(lake.folder / "scratch")
    try:
        fresh = cluster.scratch(out.name)
        chosen = selected(query.columns, layout, f"read_parquet({literal(str(rows / '*.parquet'))})")
        found = connection.execute(copying(chosen, fresh, layout)).fetchone()
        mark(fresh, layout)
        shutil.move(fresh, out)
    finally:
        connection.close()
    return Outcome(int(found[0]) if found else 0, query.columns, query.notices)
