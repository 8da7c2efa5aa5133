"""Views of the libraries over the lake give the same file on a Spark cluster as in DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from healthbrain.errors import Incorrect
from healthbrain.lake import Lake, library
from healthbrain.lake.asking import Question, answer
from healthbrain.lake.clustered import run_library_view
from healthbrain.lake.sof import read_view
from healthbrain.lake.sof.clustered import run_on_cluster
from healthbrain.lake.sof.files import Layout
from healthbrain.lake.spark import Cluster
from healthbrain.scope import EVERYTHING
from tests.engine.twin_lake import TwinLake

VIEWS = [one for one in library.views() if one.derived is None]
OVER_VIEWS = [
    one for one in library.views() if one.derived is not None and one.derived.join
]  # those with most to translate
CHOSEN = [*VIEWS[::6], *OVER_VIEWS[::2]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return TwinLake(1, 40).lake(tmp_path_factory.mktemp("lake"))


def here(lake: Lake, view: library.View, out: Path) -> list[str]:
    asked = view.parsed() if view.derived is None else view
    answer(lake, Question(asked, EVERYTHING, others=dict.fromkeys(view.types, EVERYTHING)), out, Layout("csv"))
    return lines(out)


def lines(out: Path) -> list[str]:
    header, *rows = out.read_text("utf-8").splitlines()
    return [header, *sorted(rows)]


@pytest.mark.parametrize("one", CHOSEN, ids=lambda one: one.id)
def test_a_view_of_the_libraries_is_the_same_file(
    one: library.View, lake: Lake, spark: Cluster, tmp_path: Path
) -> None:
    done = run_library_view(spark, lake, one, tmp_path / "there.csv", Layout("csv"))
    assert lines(tmp_path / "there.csv") == here(lake, one, tmp_path / "here.csv")
    assert done.rows == len(lines(tmp_path / "here.csv")) - 1


def test_every_view_over_views_can_be_said_in_spark_sql() -> None:
    pytest.importorskip("sqlglot", reason="sqlglot comes with make setup-spark")
    from healthbrain.lake.spark_sql import to_spark

    said = {one.id: to_spark(one.derived.statement()) for one in library.views() if one.derived is not None}
    assert len(said) > 15
    assert all(text.startswith("SELECT") for text in said.values())


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
