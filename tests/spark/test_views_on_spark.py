"""Views of the libraries over the lake give the same file on a Spark cluster as in DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from healthbrain.errors import Incorrect
from healthbrain.lake import Lake, library
from healthbrain.lake.sof import Target, ViewDefinition, read_view
from healthbrain.lake.sof.clustered import run_on_cluster
from healthbrain.lake.sof.files import Layout
from healthbrain.lake.sof.running import run_on
from healthbrain.lake.spark import Cluster
from tests.engine.twin_lake import TwinLake

VIEWS = [one for one in library.views() if one.derived is None]  # views over views run in DuckDB


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return TwinLake(1, 40).lake(tmp_path_factory.mktemp("lake"))


def here(lake: Lake, view: ViewDefinition, out: Path) -> list[str]:
    connection = lake.connect(types=(view.resource,))
    run_on(connection, view, Target(), out, Layout("csv"))
    connection.close()
    return lines(out)


def lines(out: Path) -> list[str]:
    header, *rows = out.read_text("utf-8").splitlines()
    return [header, *sorted(rows)]


@pytest.mark.parametrize("one", VIEWS[::6], ids=lambda one: one.id)
def test_a_view_of_the_libraries_is_the_same_file(
    one: library.View, lake: Lake, spark: Cluster, tmp_path: Path
) -> None:
    view = read_view(dict(one.definition))
    done = run_on_cluster(spark, lake, view, tmp_path / "there.csv", Layout("csv"))
    assert lines(tmp_path / "there.csv") == here(lake, view, tmp_path / "here.csv")
    assert done.rows == len(lines(tmp_path / "here.csv")) - 1


def test_a_column_with_several_values_is_refused_without_them(lake: Lake, spark: Cluster, tmp_path: Path) -> None:
    view = read_view({
        "resourceType": "ViewDefinition", "resource": "Patient", "status": "active", "name": "several",
        "select": [{"column": [{"name": "system", "path": "identifier.system"}]}],
    })  # fmt: skip
    with pytest.raises(Incorrect, match="column system"):
        run_on_cluster(spark, lake, view, tmp_path / "out.csv", Layout("csv"))
    assert not (tmp_path / "out.csv").exists()


def test_parquet_of_a_view_has_its_columns(lake: Lake, spark: Cluster, tmp_path: Path) -> None:
    view = read_view(dict(VIEWS[0].definition))
    done = run_on_cluster(spark, lake, view, tmp_path / "out.parquet", Layout("parquet", limit=3))
    found = duckdb.sql(f"from read_parquet('{tmp_path / 'out.parquet'}')")
    assert found.columns == [column.name for column in done.columns]
    assert done.rows == len(found.fetchall()) <= 3
