"""Choosing Spark: a half choice and a missing package are said in words; nothing of it is loaded unless chosen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from healthbrain.cli.command import cli
from healthbrain.cli.engines import cluster_of
from healthbrain.errors import Incorrect, Unavailable
from healthbrain.lake.spark import Cluster
from healthbrain.settings import Settings, load


def test_duckdb_is_what_is_used_unless_spark_is_chosen() -> None:
    assert Settings().cluster == ""
    assert Settings(spark_master="spark://host:7077").cluster == ""


def test_spark_is_chosen_with_its_master() -> None:
    chosen = load({"HB_LAKE_ENGINE": "spark", "HB_SPARK_MASTER": "spark://host:7077"})
    assert chosen.cluster == "spark://host:7077"


def test_spark_without_a_master_is_refused() -> None:
    with pytest.raises(Incorrect, match="HB_SPARK_MASTER"):
        _ = Settings(lake_engine="spark").cluster


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Incorrect, match="duckdb or spark"):
        _ = Settings(lake_engine="presto").cluster


@pytest.mark.parametrize("engine", ["duckdb", None], ids=["said", "by_the_setting"])
def test_a_verb_works_here_when_that_is_asked_for_or_set(engine: str | None) -> None:
    settings = Settings(lake_engine="spark" if engine else "duckdb", spark_master="spark://host:7077")
    assert cluster_of(settings, engine) == ""


def test_a_verb_works_on_spark_when_that_is_asked_for() -> None:
    assert cluster_of(Settings(spark_master="spark://host:7077"), "spark") == "spark://host:7077"
    with pytest.raises(Incorrect, match="HB_SPARK_MASTER"):
        cluster_of(Settings(), "spark")


def test_files_are_not_sent_to_spark(tmp_path: Path) -> None:
    file = tmp_path / "Organization.ndjson"
    file.write_text('{"resourceType": "Organization", "id": "a"}\n', "utf-8")
    done = CliRunner().invoke(cli, ["lake", "view", "run", "resources.institution", str(file), "--engine", "spark"])
    assert "files are read by DuckDB alone" in str(done.exception or done.output)
    assert done.exit_code != 0


def test_a_missing_package_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(Unavailable, match="make setup-spark"):
        Cluster("spark://host:7077", tmp_path)


def test_measures_do_not_load_pyspark() -> None:
    code = "import sys, healthbrain.measure, healthbrain.lake.spark; print({'pyspark', 'sqlglot', 'py4j'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
