"""Opening the lake: a DuckDB connection over one consistent state of its files.

The manifest is read once, when the connection is made; whatever a writer does afterwards, this reader goes on seeing
the same rows. Current rows are all versions without the superseded ones: a part is never changed, so each update
leaves (id, version) in a small list of the dead, and the view of a type subtracts it.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import orjson

from healthbrain.errors import Incorrect
from healthbrain.fhir.definitions import definitions
from healthbrain.lake import engine, manifest
from healthbrain.lake.columns import fields_of, structure
from healthbrain.lake.engine import file_list, literal, name
from healthbrain.lake.manifest import Manifest, Part
from healthbrain.lake.parts import BODY, OWN, TABLES
from healthbrain.lake.sql import MACROS

HISTORY = "_all"  # suffix of the view with every version


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
        connection.execute(f"create view {name(type_ + HISTORY)} as {rows}")
        current = current_rows(self.folder, name(type_ + HISTORY), state, type_)
        connection.execute(f"create view {name(type_)} as {current} where not _deleted")

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
    if parts:
        return f"select * from read_parquet({file_list([folder / part.file for part in parts])})"
    own = ", ".join(f"cast(null as {kind}) as {column}" for column, kind in {**OWN, BODY: "VARCHAR"}.items())
    shape = literal(orjson.dumps(structure(fields_of(type_))).decode())
    return f"select {own}, unnest(from_json('{{}}', {shape})) where false"


def current_rows(folder: Path, source: str, state: Manifest, type_: str) -> str:
    """A query for the rows of `source` that nothing newer replaces and no erasure hides."""
    query = f"select p.* from {source} p"
    if dead := state.dead.get(type_):
        files = file_list([folder / part.file for part in dead])
        newest = f"(select _id, max(_version) as _version from read_parquet({files}) group by _id)"
        query += f" anti join {newest} d on p._id = d._id and p._version < d._version"
    if state.erased:
        keys = ", ".join(str(key) for key in state.erased)
        query = f"select * from ({query}) where _patient is null or _patient not in ({keys})"
    return f"select * from ({query})"
