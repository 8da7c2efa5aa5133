"""Opening the lake: a DuckDB connection over one consistent state of its files.

The manifest is read once, when the connection is made; whatever a writer does afterwards, this reader goes on seeing
the same rows. Current rows are all versions without the superseded ones: a part is never changed, so each update
leaves (id, version) in a small list of the dead, and the view of a type subtracts it. `Lake.tables` says the same in
files and plain SQL, for engines other than DuckDB.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from healthbrain.errors import Incorrect
from healthbrain.fhir.definitions import definitions
from healthbrain.lake import engine, manifest
from healthbrain.lake.engine import file_list, literal, name
from healthbrain.lake.local_time import MACROS
from healthbrain.lake.manifest import Manifest, Part
from healthbrain.lake.parts import TABLES, no_rows, shape_file

HISTORY = "_all"  # suffix of the view with every version


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one resource type in one state of the lake, for any engine that reads Parquet.

    The first of `parts` has every column and no rows, the others have the columns that occur in them: read them by name
    (Spark: mergeSchema, or the schema of the first). The rows of `parts` are versions; those of `dead` are (_id, _version): a version of that _id below it is superseded.
    """

    type: str
    parts: tuple[str, ...]
    dead: tuple[str, ...]
    erased: str  # SQL condition on a row `p` that hides it; '' = none

    def select(self, rows: str, dead: str) -> str:
        """The query for the current rows, given what the two lists of files are called as tables.

        Plain SQL that DuckDB, Spark and PostgreSQL-like engines understand (`split_part` is the only function).
        """
        tests = ["not p._deleted"]
        if self.dead:
            tests.append(f"not exists (select 1 from {dead} d where d._id = p._id and d._version > p._version)")
        if self.erased:
            tests.append(f"not coalesce({self.erased}, false)")
        return f"select p.* from {rows} p where {' and '.join(tests)}"


class Lake:
    """The lake in `folder`, for reading.

    >>> lake = Lake(Path("data/lake"))                                        # doctest: +SKIP
    >>> lake.connect().sql("select count(*) from Observation").fetchone()     # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def state(self) -> Manifest:
        """What the lake consists of now."""
        return manifest.load(self.folder)

    def as_of(self) -> datetime | None:
        """Everything committed to the store before this moment is in the lake; None while it is empty."""
        return self.state().at

    def behind(self, at: datetime) -> timedelta | None:
        """How old the lake's state is."""
        seen = self.as_of()
        return None if seen is None else at - seen

    def tables(self, state: Manifest | None = None) -> dict[str, Files]:
        """What another engine needs to read each resource type of one state: files, and which of their rows count."""
        state = state or self.state()
        return {type_: self._files(state, type_) for type_ in sorted(state.parts)}

    def _files(self, state: Manifest, type_: str) -> Files:
        parts = tuple(str(path) for path in _paths(self.folder, type_, state.parts.get(type_, ())))
        dead = tuple(str(self.folder / part.file) for part in state.dead.get(type_, ()))
        return Files(type_, parts, dead, erased(state, type_))

    def connect(
        self, *, types: Iterable[str] = (), state: Manifest | None = None, memory: str = engine.MEMORY, threads: int = 2
    ) -> duckdb.DuckDBPyConnection:
        """A connection with a view of the current rows per resource type, and one of all versions (`Patient_all`).

        Types that have no rows yet are there when named in `types`. Also: tables `person_link` and `organisation`.
        """
        state = state or self.state()
        connection = engine.connect(self.folder / "scratch", memory=memory, threads=threads)
        connection.execute(MACROS)
        for type_ in sorted({*state.parts, *types}):
            self._add_type(connection, state, type_)
        for table, columns in TABLES.items():
            self._add_table(connection, state.tables.get(table), table, columns)
        return connection

    def _add_type(self, connection: duckdb.DuckDBPyConnection, state: Manifest, type_: str) -> None:
        if not definitions().is_resource(type_):
            raise Incorrect(f"the lake has no table {type_}: there is no resource type of this name")
        rows = all_rows(self.folder, type_, state.parts.get(type_, ()))
        hidden = erased(state, type_)
        shown = f"select p.* from ({rows}) p where not coalesce({hidden}, false)" if hidden else rows
        connection.execute(f"create view {name(type_ + HISTORY)} as {shown}")
        living = current_rows(self.folder, name(type_ + HISTORY), state, type_)
        connection.execute(f"create view {name(type_)} as {living} and not p._deleted")

    def _add_table(
        self, connection: duckdb.DuckDBPyConnection, part: Part | None, table: str, columns: dict[str, str]
    ) -> None:
        if part is None:
            declared = ", ".join(f"{name(column)} {kind}" for column, kind in columns.items())
            connection.execute(f"create table {table} ({declared})")
        else:
            path = literal(str(self.folder / part.file))
            connection.execute(f"create view {table} as from read_parquet({path})")


def all_rows(folder: Path, type_: str, parts: Sequence[Part]) -> str:
    """A query for every row in `parts`, with the right columns even when there are none."""
    if not parts:
        return no_rows(type_)
    return f"select * from read_parquet({file_list(_paths(folder, type_, parts))}, union_by_name = true)"


def occurring_rows(folder: Path, parts: Sequence[Part]) -> str:
    """A query for every row in `parts`, with the columns that occur there."""
    return f"select * from read_parquet({file_list([folder / part.file for part in parts])}, union_by_name = true)"


def _paths(folder: Path, type_: str, parts: Sequence[Part]) -> list[Path]:
    """The files of parts, after the one that has every column."""
    shape = shape_file(folder, type_)
    return [*([shape] if shape.exists() else []), *(folder / part.file for part in parts)]


def current_rows(folder: Path, source: str, state: Manifest, type_: str) -> str:
    """A query for the rows of `source` that nothing newer replaces and no erasure hides."""
    return f"select p.* from {source} p where {current(state, type_, dead_rows(folder, state, type_))}"


def dead_rows(folder: Path, state: Manifest, type_: str) -> str:
    """A query for (_id, _version) of what has newer versions; '' when there is none."""
    if not (dead := state.dead.get(type_)):
        return ""
    files = file_list([folder / part.file for part in dead])
    return f"select _id, max(_version) as _version from read_parquet({files}) group by _id"


def current(state: Manifest, type_: str, dead: str, row: str = "p") -> str:
    """The condition that a version is the newest and not erased; `dead` is a query for (_id, _version), or ''.

    Plain SQL, the same for DuckDB and Spark.
    """
    tests = []
    if dead:
        tests.append(f"not exists (select 1 from ({dead}) d where d._id = {row}._id and d._version > {row}._version)")
    if hidden := erased(state, type_, row):
        tests.append(f"not coalesce({hidden}, false)")
    return " and ".join(tests) or "true"


def erased(state: Manifest, type_: str, row: str = "p") -> str:
    """The condition that an erasure covers a row; '' when none does."""
    tests = []
    for one in state.erased:
        if one.patient is not None:
            whose = f"{row}._patient = {one.patient}"
        elif one.type == type_:
            whose = f"{row}._id = {literal(one.id)}"
        else:
            continue
        tests.append(f"({whose} and {upto(one.position, row)})" if one.position else f"({whose})")
    return f"({' or '.join(tests)})" if tests else ""


def upto(position: str, row: str) -> str:
    """The condition that a row stands at this place in the change feed or before it."""
    epoch, batch, seq = position.split(".")
    e, b, s = (f"cast(split_part({row}._position, '.', {n}) as bigint)" for n in (1, 2, 3))
    return f"({e} < {epoch} or ({e} = {epoch} and ({b} < {batch} or ({b} = {batch} and {s} <= {seq}))))"
