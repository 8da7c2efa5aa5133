"""The lake on a Spark cluster: the same files and the same statements, carried out there (HB_LAKE_ENGINE=spark).

PySpark is optional and only imported here, when it was chosen. Statements come in the platform's own SQL and are translated
(`spark_sql`); no Python runs on the workers, so they need Java and the folder of the lake, under the same path, and nothing else.
Memory, cores, and what else a cluster has, is Spark's own configuration (`spark-defaults.conf` in SPARK_CONF_DIR); only what the
meaning of results depends on is set here.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from healthbrain.errors import Fault, Incorrect, Unavailable
from healthbrain.lake import engine
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.parts import make_shape, shape_file
from healthbrain.lake.reader import Lake

_MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.analyzer.maxIterations": "1000",  # views nest deeply
    "spark.sql.optimizer.maxIterations": "1000",
}
_USUAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}  # unless spark-defaults.conf says otherwise
_AT_ONCE = 12  # inserts in one job
_ROW_GROUP = str(4 << 20)  # small ones: persons are looked up by the smallest and greatest key in each
Found = TypeVar("Found")
_OURS = ("column ", "the path `", "repeat: ")
_TYPES = {"utinyint": "int", "hugeint": "decimal(38,0)", "int128": "decimal(38,0)", "text": "string"}


class Statements(Protocol):
    """What carries out statements in the platform's own SQL: a DuckDB connection, or a session on a cluster."""

    def execute(self, query: str, /) -> Any:
        """Carry out one statement."""


class Cluster:
    """A session on a Spark cluster (`spark://host:7077`, or `local[2]` in this process' own JVM).

    >>> with Cluster("spark://master:7077", Path("data/lake/scratch")) as cluster:    # doctest: +SKIP
    ...     cluster.open_lake(Lake(Path("data/lake")), types=("Patient",))
    ...     cluster.rows('select "gender", count(*) from "Patient" group by 1')
    """

    def __init__(self, master: str, scratch: Path, options: Mapping[str, str] | None = None) -> None:
        self._session = _start(master, {**_USUAL, **(options or {})})
        self._work = scratch.absolute() / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"  # swept with DuckDB's when left over
        self._kept: dict[str, Any] = {}
        self._filled: dict[str, list[tuple[str, str]]] = {}
        self._waiting: dict[str, list[Any]] = {}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the session, its JVM, and what it has left on the disk."""
        _stop(self._session)
        shutil.rmtree(self._work, ignore_errors=True)

    def scratch(self, name: str) -> Path:
        """A new name in the folder that is removed at the end."""
        self._work.mkdir(parents=True, exist_ok=True)
        return self._work / f"{name}-{uuid.uuid4().hex[:12]}"

    # -- tables

    def open_lake(self, lake: Lake, types: Iterable[str], state: Manifest | None = None) -> None:
        """A view of the current rows of each type, of one state of the lake, whatever is written afterwards."""
        state = state or lake.state()
        known = lake.tables(state)
        connection = engine.connect(lake.folder / "scratch")
        (lake.folder / "shapes").mkdir(exist_ok=True)
        for type_ in types:
            make_shape(connection, lake.folder, type_)
            shape = shape_file(lake.folder, type_)
            schema = self._session.read.parquet(str(shape)).schema
            files = known.get(type_)
            parts = [one for one in files.parts if one != str(shape)] if files else []
            rows, dead = f"{type_}_rows", f"{type_}_dead"
            self._session.read.schema(schema).parquet(*(parts or [str(shape)])).createOrReplaceTempView(rows)
            if files is None:
                self._session.table(rows).createOrReplaceTempView(type_)
                continue
            if files.dead:
                self._session.read.parquet(*files.dead).createOrReplaceTempView(dead)
            self._sql(files.select(rows, dead)).createOrReplaceTempView(type_)
        connection.close()

    def register(self, table: str, files: Sequence[Path]) -> None:
        """Parquet files, or folders of them, as a table."""
        self._session.read.parquet(*map(str, files)).createOrReplaceTempView(table)

    def define(self, table: str, query: str) -> None:
        """A query in Spark SQL, such as a view compiled for Spark, as a table."""
        self._create(table, query, keep=False)

    def stack(self, table: str, parts: Sequence[str]) -> None:
        """Tables with the same columns, one after the other, as one."""
        found = self._session.table(parts[0])
        for part in parts[1:]:
            found = found.unionByName(self._session.table(part))
        found.createOrReplaceTempView(table)

    # -- statements

    def execute(self, query: str, /) -> None:
        """Carry out one statement in the platform's own SQL: create (temp table or view), insert, drop."""
        from sqlglot import exp  # comes with PySpark

        from healthbrain.lake.spark_sql import parsed, spark_text

        tree = parsed(query)
        match tree:
            case exp.Create() if isinstance(tree.this, exp.Schema):
                self._filled[tree.this.this.name] = [
                    (column.name, _TYPES.get(kind := column.args["kind"].sql("duckdb").lower(), kind))
                    for column in tree.this.expressions
                ]
            case exp.Create():
                self._create(tree.this.name, spark_text(tree.expression), keep=tree.kind == "TABLE")
            case exp.Insert():
                self._insert(tree.this.name, spark_text(tree.expression))
            case exp.Drop():
                table = next(tree.find_all(exp.Table)).name
                self._forget(table)
                self._session.catalog.dropTempView(table)
            case _:
                raise Fault("a statement of this kind is not carried out on Spark")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the platform's own SQL."""
        from healthbrain.lake.spark_sql import to_spark

        return [tuple(row) for row in self._told(lambda: self._sql(to_spark(query)).collect())]

    def collect(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query in Spark SQL, such as a view compiled for Spark."""
        return [row.asDict(True) for row in self._told(lambda: self._sql(query).collect())]

    def write(self, query: str, folder: Path, *, order: str = "") -> None:
        """The rows of a query in the platform's own SQL as a folder of Parquet files, in the order of a column."""
        from healthbrain.lake.spark_sql import to_spark

        self.write_spark(to_spark(query), folder, order=order)

    def write_spark(self, query: str, folder: Path, *, order: str = "") -> None:
        """The same for a query in Spark SQL."""

        def save() -> None:
            found = self._sql(query)
            if order:
                found = found.repartitionByRange(order).sortWithinPartitions(order)
            found.write.option("parquet.block.size", _ROW_GROUP).parquet(str(folder))

        self._told(save)

    def filled(self, table: str) -> list[Path]:
        """The Parquet files of what was inserted into a table."""
        self._save()
        return sorted((self._work / table).glob("*.parquet"))

    def _create(self, table: str, query: str, *, keep: bool) -> None:
        found = self._sql(query)
        self._forget(table)
        if keep:
            self._kept[table] = found.persist()
        found.createOrReplaceTempView(table)

    def _insert(self, table: str, query: str) -> None:
        """Keep what is to be inserted until there is enough for a job: each costs far more than few rows do."""
        columns = self._filled[table]
        found = self._sql(query).toDF(*(column for column, _ in columns))
        found = found.selectExpr(*(f"cast(`{column}` as {kind}) as `{column}`" for column, kind in columns))
        waiting = self._waiting.setdefault(table, [])
        waiting.append(found)
        if len(waiting) >= _AT_ONCE:
            self._save()

    def _save(self) -> None:
        """Carry out the inserts that wait, those into one table as one job."""
        for table, waiting in self._waiting.items():
            found = reduce(lambda one, other: one.unionAll(other), waiting)
            target = str(self._work / table)
            self._told(partial(found.repartition(1).write.mode("append").parquet, target))
        self._waiting.clear()

    def _forget(self, table: str) -> None:
        """Let go of a kept table; what waits may read it and goes first."""
        if table in self._kept:
            self._save()
            self._kept.pop(table).unpersist()

    def _sql(self, query: str) -> Any:
        return self._told(lambda: self._session.sql(query))

    @staticmethod
    def _told(run: Callable[[], Found]) -> Found:
        """What `run` gives; failures in words, never with what they say of values."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            return run()
        except PySparkException as error:
            for line in str(error).replace("[USER_RAISED_EXCEPTION] ", "").splitlines():
                if line.startswith(_OURS):
                    raise Incorrect(line.partition(" SQLSTATE")[0]) from None
            condition = error.getCondition() or type(error).__name__
            if condition.startswith(("CAST_", "ARITHMETIC_", "NUMERIC_")):
                raise Incorrect(
                    "a value does not fit the type that the view gives it; check the types and tags of its columns"
                ) from None
            raise Fault(f"Spark could not carry out a statement ({condition}); its own log says more") from None
        except Py4JError:
            raise Unavailable(
                "the Spark cluster has not answered to the end; look at its master, its workers and their memory"
            ) from None


def _start(master: str, options: Mapping[str, str]) -> Any:
    try:
        import sqlglot  # noqa: F401  # said here rather than in the middle of the work
        from pyspark.sql import SparkSession
    except ImportError:
        raise Unavailable(
            "HB_LAKE_ENGINE=spark needs PySpark: pip install 'healthbrain[spark]', or make setup-spark in a checkout"
        ) from None
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else shutil.which("java")
    if java is None or not Path(java).exists():
        raise Unavailable("HB_LAKE_ENGINE=spark needs Java 17 or later: install it, or say where it is with JAVA_HOME")
    builder = SparkSession.builder.master(master).appName("healthbrain")
    for key, value in {**options, **_MEANING}.items():
        builder = builder.config(key, value)
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)  # it writes statements with their values
    try:
        session = builder.getOrCreate()
    except Exception as error:  # whatever the JVM says
        raise Unavailable(
            f"no session on the Spark cluster {master} ({type(error).__name__}); is its master there, and of the same version?"
        ) from None
    session.sparkContext.setLogLevel("ERROR")
    return session


def _stop(session: Any) -> None:
    """Stop the session and the JVM that it runs in: a process that lives on for days does not keep it."""
    from pyspark import SparkContext

    session.stop()
    gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
    if gateway is not None:
        gateway.shutdown()
        process = getattr(gateway, "proc", None)
        if process is not None:
            process.stdin.close()  # the JVM ends with it
            process.wait(timeout=60)
