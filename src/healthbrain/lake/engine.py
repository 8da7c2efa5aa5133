"""DuckDB connections for the lake: bounded memory, UTC, nothing fetched from the network."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import duckdb

MEMORY = "2GB"  # what DuckDB reserves; a tenth to a fifth of it is really used (docs/decisions/0005-lake-shape.md)
_THREADS = 2
Engine = duckdb.DuckDBPyConnection
Error = duckdb.Error


def connect(scratch: Path, *, memory: str = MEMORY, threads: int = _THREADS) -> duckdb.DuckDBPyConnection:
    """A connection in memory that spills to `scratch` when a statement needs more than `memory`."""
    # DuckDB's names of spill files are the same in every process, so each connection needs a folder of its own.
    own = scratch / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    connection = duckdb.connect(
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(own),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": True,
        }
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = false")  # a part has no order; keeping one costs memory
    return connection


def sweep_scratch(scratch: Path) -> None:
    """Remove what processes that are gone have spilled."""
    for folder in scratch.glob("*-*"):
        if not Path("/proc", folder.name.partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """`text` as an SQL name."""
    return '"' + text.replace('"', '""') + '"'


def file_list(paths: list[Path]) -> str:
    """Paths as the argument of read_parquet."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"
