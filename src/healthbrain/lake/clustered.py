"""A view of the libraries on a Spark cluster, be it over resources or over other views (`lake.derived`).

The views that it is made of are compiled for Spark, each as a table; the statement over them is one for both engines and translated.
"""

from __future__ import annotations

from pathlib import Path

from healthbrain.lake.derived import CARRIED, table_of
from healthbrain.lake.library import View, query_columns
from healthbrain.lake.reader import Lake
from healthbrain.lake.sof import Query, Target, compile_view
from healthbrain.lake.sof.clustered import run_on_cluster, written
from healthbrain.lake.sof.files import Layout
from healthbrain.lake.sof.running import Outcome
from healthbrain.lake.spark import Cluster


def run_library_view(cluster: Cluster, lake: Lake, view: View, out: Path, layout: Layout) -> Outcome:
    """Run a view of the libraries over the lake as it is now, into a file."""
    from healthbrain.lake.spark_sql import to_spark  # sqlglot is there where a cluster is

    if view.derived is None:
        return run_on_cluster(cluster, lake, view.parsed(), out, layout)
    cluster.open_lake(lake, sorted(view.types))
    for base in view.bases:
        query = compile_view(base.parsed(), Target(engine="spark", carry=CARRIED))
        cluster.define(table_of(base.id), query.sql)
    statement = to_spark(view.derived.statement())
    return written(cluster, lake, Query(statement, query_columns(view).columns), out, layout)
