"""One session on one cluster for every test here; skipped with a reason where PySpark or Java is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.spark_cluster import cluster

from healthbrain.lake.spark import Cluster

_MISSING = next(
    (
        reason
        for there, reason in (
            (importlib.util.find_spec("pyspark"), "PySpark is not installed (make setup-spark)"),
            (importlib.util.find_spec("sqlglot"), "sqlglot is not installed (make setup-spark)"),
            (shutil.which("java") or os.environ.get("JAVA_HOME"), "there is no Java here"),
        )
        if not there
    ),
    "",
)
_SHORT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # JVMs that live for minutes do not repay thorough compiling
SMALL = {
    "spark.driver.memory": "2g",
    "spark.executor.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",  # with little data, compiling takes longer than computing
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.extraJavaOptions": _SHORT,
    "spark.executor.extraJavaOptions": _SHORT,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent != Path(__file__).parent:
            continue
        item.add_marker(pytest.mark.spark)
        item.add_marker(pytest.mark.filterwarnings("ignore"))  # PySpark's own warnings are not ours
        if _MISSING:
            item.add_marker(pytest.mark.skip(reason=_MISSING))


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A standalone master with two workers."""
    with cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture(scope="session")
def spark(master: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A session on it."""
    with Cluster(master, tmp_path_factory.mktemp("scratch"), SMALL) as session:
        yield session
