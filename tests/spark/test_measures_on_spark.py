"""Every measure gives the same results and members whether DuckDB or a Spark cluster of two workers counts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from healthbrain.errors import Fault
from healthbrain.lake import Lake, engine, manifest
from healthbrain.lake.spark import Cluster
from healthbrain.measure import Computed, built_in, clustered, compute_all
from healthbrain.measure import base as store
from healthbrain.measure.base import Rows
from tests.engine.twin_lake import AT, TwinLake


@pytest.fixture(scope="module")
def twin() -> TwinLake:
    return TwinLake(1, 60)


@pytest.fixture(scope="module")
def lake(twin: TwinLake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return twin.lake(tmp_path_factory.mktemp("lake"))


def told(computed: Computed) -> tuple[object, ...]:
    return computed.coverage, computed.results, computed.members


def test_all_built_in_measures_give_the_same_results_and_members(twin: TwinLake, lake: Lake, spark: Cluster) -> None:
    here = list(compute_all(lake, built_in(), AT, deliveries=twin.deliveries))
    there = list(compute_all(lake, built_in(), AT, deliveries=twin.deliveries, cluster=spark))
    assert sum(len(one.results) for one in here) > 5_000
    assert sum(len(one.members) for one in here) > 300
    different = {one.definition.id for one, other in zip(here, there, strict=True) if told(one) != told(other)}
    assert not different


def test_superseded_rows_and_rows_that_came_since_are_read_as_duckdb_reads_them(tmp_path: Path, spark: Cluster) -> None:
    """The base after a day of changes: a main file, ids in it that no longer hold, and rows that came."""
    connection = engine.connect(tmp_path / "scratch")
    files = {
        name: store.write(connection, tmp_path, name, query)[0]
        for name, query in {
            "main": "select 'a' || i as _id, i as person from range(10) t(i)",
            "dead": "select 'a' || i as _id from range(3) t(i)",
            "fresh": "select 100 + i as person, 'b' || i as _id from range(2) t(i)",
            "given": "select 1 as key",
        }.items()
    }
    rows = Rows(files["main"], 10, files["fresh"], files["dead"], 5)
    base = store.Base(views={"visit": rows}, organisation=files["given"], deliveries=files["given"])
    clustered.open_base(spark, tmp_path, base)
    wanted = connection.execute(f"select _id, person from ({store.rows_of(tmp_path, rows)})").fetchall()
    assert sorted(spark.rows("select _id, person from base_visit")) == sorted(wanted)


def test_a_state_of_the_lake_is_read_without_what_is_superseded(lake: Lake, spark: Cluster, tmp_path: Path) -> None:
    state = lake.state()
    part = state.parts["Patient"][0]
    connection = lake.connect()
    first = connection.execute('select _id from "Patient" order by _id limit 1').fetchall()[0][0]
    connection.execute(
        f"copy (select '{first}' as _id, 2::bigint as _version) to '{lake.folder}/parts/Patient/x.dead.parquet' (format parquet)"
    )
    dead = replace(state, dead={"Patient": (manifest.Part("parts/Patient/x.dead.parquet", 1, 1),)})
    spark.open_lake(lake, ["Patient", "Basic"], dead)
    assert spark.rows('select count(*) from "Patient"') == [(part.rows - 1,)]
    assert spark.rows('select count(*) from "Basic"') == [(0,)]


def test_tables_are_made_kept_and_taken_away_by_statements(spark: Cluster) -> None:
    spark.execute("create or replace temp table some as select 1 as a")
    spark.execute("create or replace temp view more as select a + 1 as a from some")
    assert spark.rows("select a from more") == [(2,)]
    spark.execute("drop view more")
    spark.execute("drop table some")
    with pytest.raises(Fault, match="TABLE_OR_VIEW_NOT_FOUND"):
        spark.rows("select a from some")
