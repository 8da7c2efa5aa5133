"""The public suite of SQL on FHIR v2 on Spark SQL, over Parquet and over lines of JSON. Runs where PySpark is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from tests.conftest import SUITES

from healthbrain.errors import Incorrect
from healthbrain.lake.columns import fields_of, structure
from healthbrain.lake.engine import literal
from healthbrain.lake.sof import Target, compile_view, read_view

pytest.importorskip("pyspark", reason="PySpark is an optional engine")
SESSION = pytest.importorskip("pyspark.sql").SparkSession
PySparkException = pytest.importorskip("pyspark.errors").PySparkException
pytestmark = [
    pytest.mark.suite,
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore"),
]  # PySpark's own warnings are not ours
FILES = sorted((SUITES / "sql-on-fhir-v2").glob("*.json"))


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    session = (
        SESSION.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.analyzer.maxIterations", "1000")
        .config("spark.sql.optimizer.maxIterations", "1000")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.mark.parametrize("form", ["lake", "text"])
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_spark_answers_every_test_of_the_file(path: Path, form: str, spark: Any, suites: Path, tmp_path: Path) -> None:
    file = json.loads(path.read_text())
    _lay(spark, tmp_path, file["resources"])
    targets = {"lake": Target("lake", engine="spark"), "text": Target("text", "lines", column="value", engine="spark")}
    types = {one["resourceType"] for one in file["resources"]}
    for test in file["tests"]:
        if form == "lake" and test["view"].get("resource", "Patient") not in types:
            continue  # the lake has no table of it
        if test.get("expectError"):
            with pytest.raises((Incorrect, PySparkException)):
                _rows(spark, test["view"], targets[form])
        else:
            assert _alike(_rows(spark, test["view"], targets[form])) == _alike(test["expect"]), test["title"]


def _lay(spark: Any, folder: Path, resources: list[dict[str, Any]]) -> None:
    """The resources as Parquet with the lake's columns, and as lines."""
    (folder / "lines.ndjson").write_text("".join(json.dumps(one) + "\n" for one in resources))
    spark.read.text(str(folder / "lines.ndjson")).createOrReplaceTempView("lines")
    connection = duckdb.connect()
    connection.execute("create table texts (type varchar, _body varchar)")
    connection.executemany(
        "insert into texts values (?, ?)", [[one["resourceType"], json.dumps(one)] for one in resources]
    )
    for type_ in {one["resourceType"] for one in resources}:
        shape = literal(orjson.dumps(structure(fields_of(type_))).decode())
        query = f"select _body, unnest(from_json(_body, {shape})) from texts where type = {literal(type_)}"
        connection.execute(f"copy ({query}) to {literal(str(folder / type_))} (format parquet)")
        spark.read.parquet(str(folder / type_)).createOrReplaceTempView(type_)
    connection.close()


def _rows(spark: Any, raw: dict[str, Any], target: Target) -> list[dict[str, Any]]:
    return [row.asDict(True) for row in spark.sql(compile_view(read_view(raw), target).sql).collect()]


def _alike(rows: list[dict[str, Any]]) -> list[str]:
    numbers = [
        {name: float(one) if isinstance(one, int) and not isinstance(one, bool) else one for name, one in row.items()}
        for row in rows
    ]
    return sorted(json.dumps(row, sort_keys=True) for row in numbers)
