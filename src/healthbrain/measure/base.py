"""What measures are counted from: the library's views over the lake as narrow Parquet files, sorted by person.

Counting reads a few columns of a few kinds of facts; taking them from typed resources each time costs more than all
counting. So they are kept beside the lake (`lake/measures`): per view one main file, one small file of rows that came
since (`fresh`), and the ids of main rows that no longer hold (`dead`). The manifest names them together with the place in
the change feed that they show, the people behind patients, the organisations, what was delivered, and the cells counted
from them: one rename makes all of it valid. Everything here can be deleted at any time; it is made anew from the lake.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import orjson

from healthbrain.lake import Lake, engine
from healthbrain.lake.engine import literal
from healthbrain.lake.expression_sql import Constant
from healthbrain.lake.local_time import MACROS
from healthbrain.lake.manifest import Manifest
from healthbrain.measure.compile import BASE, base_query, person_key
from healthbrain.measure.definition import Library
from healthbrain.measure.running import WHOLE, Slice

FOLDER = "measures"
FOLDER_OF_FILES = ".files"  # a file of the base may be a folder of files: `NAME.files/*.parquet`
_FORMAT = 2
_GRACE = timedelta(hours=1)  # readers of an older state may go on for so long
# Ids are most of what is read; so encoded they are read in half the time, and take twice the space (0.5 GB a million residents).
_FAST = "compression lz4_raw, parquet_version v2"


@dataclass(frozen=True, slots=True)
class DeliveryDay:
    """What one institution delivered on one day: how much was accepted and how much refused."""

    organisation: int
    day: date
    accepted: int
    refused: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The files of one view."""

    main: str
    rows: int
    fresh: str = ""
    dead: str = ""
    fresh_rows: int = 0


@dataclass(frozen=True, slots=True)
class Base:
    """A consistent state of the base."""

    position: str = ""  # of the lake
    at: datetime | None = None  # as the lake
    today: str = ""  # the local day up to which periods were counted
    shape: str = ""  # digest of the views
    counted: str = ""  # digest of the definitions whose cells these are
    data_from: str = ""
    lake_files: tuple[str, ...] = ()
    lake_digests: Mapping[str, str] = field(default_factory=dict)
    erased: str = ""
    views: Mapping[str, Rows] = field(default_factory=dict)
    links: str = ""
    organisation: str = ""
    deliveries: str = ""
    cells: str = ""
    difference: str = ""  # what changed since the cells were written: cells with a sign
    entered: str = ""  # digest of the entered values from which measures were computed
    labels: str = ""  # digest of the periods that the cells speak of by number
    run: str = ""  # the run that published these cells
    retired: tuple[tuple[str, str], ...] = ()  # file, since when

    def files(self) -> set[str]:
        """Every file that it names."""
        own = {self.links, self.organisation, self.deliveries, self.cells, self.difference}
        return (own | {file for rows in self.views.values() for file in (rows.main, rows.fresh, rows.dead)}) - {""}


def shape_of(library: Library, views: Sequence[str], constants: Mapping[str, Constant]) -> str:
    """A digest of the views: another one means that the base must be made anew."""
    text = "\n".join(base_query(library.views[view], constants) for view in sorted(views))
    return hashlib.sha256(text.encode()).hexdigest()


def load(folder: Path) -> Base:
    """The current state; an empty one when there is none or it cannot be read."""
    try:
        raw = orjson.loads((folder / "manifest.json").read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return Base()
    if raw.pop("format", None) != _FORMAT:
        return Base()
    views = {view: Rows(**rows) for view, rows in raw.pop("views").items()}
    at = raw.pop("at")
    raw["lake_files"] = tuple(raw["lake_files"])
    raw["retired"] = tuple((file, since) for file, since in raw["retired"])
    return Base(**raw, views=views, at=datetime.fromisoformat(at) if at else None)


def save(folder: Path, old: Base, new: Base, at: datetime) -> Base:
    """Make `new` the current state; files that it no longer names go after a while."""
    known = new.files()
    retired = [(file, since) for file, since in old.retired if file not in known]
    retired += [(file, at.isoformat()) for file in sorted(old.files() - known)]
    keep = [(file, since) for file, since in retired if datetime.fromisoformat(since) > at - _GRACE]
    state = replace(new, retired=tuple(keep))
    temporary = folder / "manifest.new"
    with temporary.open("wb") as file:
        file.write(orjson.dumps({"format": _FORMAT, **asdict(state)}))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "manifest.json")
    alive = known | {name for name, _ in keep}
    for path in folder.glob("*.parquet"):
        if path.name not in alive:
            path.unlink(missing_ok=True)
    for path in folder.glob(f"*{FOLDER_OF_FILES}"):  # as a cluster writes them
        if f"{path.name}/*.parquet" not in alive:
            shutil.rmtree(path, ignore_errors=True)
    return state


def build(
    folder: Path, lake: Lake, state: Manifest, library: Library, views: Sequence[str], constants: Mapping[str, Constant]
) -> Base:
    """All views over one state of the lake, as new files. Nothing is current until it is saved."""
    folder.mkdir(parents=True, exist_ok=True)
    types = {library.views[view].resource for view in views}
    connection = lake.connect(types=types, state=state)
    try:
        found = {}
        connection.execute("set preserve_insertion_order = true")  # the files are sorted
        for view in views:
            query = f"{base_query(library.views[view], constants)} order by person"
            file, rows = write(connection, folder, view, query, encoding=_FAST)
            found[view] = Rows(file, rows)
        links, organisation = linked(connection, folder)
    finally:
        connection.close()
    return of_state(state, library, found, constants, links, organisation)


def linked(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[str, str]:
    """The people behind patients, and the organisations, as new files."""
    links, _ = write(
        connection,
        folder,
        "links",
        f"select patient, {person_key('person')} as person, person as id from person_link order by 1",
    )
    organisation, _ = write(connection, folder, "organisation", "select * from organisation")
    return links, organisation


def of_state(
    state: Manifest,
    library: Library,
    found: Mapping[str, Rows],
    constants: Mapping[str, Constant],
    links: str,
    organisation: str,
) -> Base:
    """The base that these files are."""
    types = {library.views[view].resource for view in found}
    return Base(
        position=state.position, at=state.at, shape=shape_of(library, sorted(found), constants), views=found, links=links,
        organisation=organisation, lake_files=lake_files(state, types), lake_digests=dict(state.digests),
        erased=erased_digest(state),
    )  # fmt: skip


def lake_files(state: Manifest, types: Iterable[str]) -> tuple[str, ...]:
    """The lake's files of some types."""
    return tuple(sorted(part.file for type_ in types for part in state.parts.get(type_, ())))


def erased_digest(state: Manifest) -> str:
    """Changes whenever something is erased."""
    return hashlib.sha256(repr(state.erased).encode()).hexdigest()


def with_deliveries(folder: Path, base: Base, deliveries: Iterable[DeliveryDay]) -> Base:
    """The same base with what institutions delivered."""
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    connection = engine.connect(folder / "scratch")
    connection.execute("create table delivery_day (organisation bigint, day date, accepted bigint, refused bigint)")
    rows = [f"({one.organisation}, date '{one.day.isoformat()}', {one.accepted}, {one.refused})" for one in deliveries]
    for start in range(0, len(rows), 1000):
        connection.execute(f"insert into delivery_day values {', '.join(rows[start : start + 1000])}")
    file, _ = write(connection, folder, "delivery_day", "select * from delivery_day")
    connection.close()
    return replace(base, deliveries=file)


def connect(folder: Path, base: Base, *, memory: str = engine.MEMORY, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A connection with the base tables."""
    (folder / "scratch").mkdir(parents=True, exist_ok=True)  # DuckDB makes only the last folder, when it spills
    connection = engine.connect(folder / "scratch", memory=memory, threads=threads)
    connection.execute(MACROS)
    connection.execute("set enable_progress_bar = false")
    for table, file in (("organisation", base.organisation), ("delivery_day", base.deliveries), ("links", base.links)):
        connection.execute(f"create temp view {table} as from {parquet(folder, file)}")
    choose(connection, folder, base, WHOLE)
    return connection


def choose(connection: duckdb.DuckDBPyConnection, folder: Path, base: Base, part: Slice) -> None:
    """Let the base tables show one slice of the population."""
    for view, rows in base.views.items():
        connection.execute(f"create or replace temp view {BASE}{view} as {rows_of(folder, rows, part.condition)}")


def rows_of(folder: Path, rows: Rows, condition: str = "true") -> str:
    """The current rows of a view."""
    main = f"select m.* from {parquet(folder, rows.main)} m where {condition}"
    if rows.dead:
        main += f" and not exists (select 1 from {parquet(folder, rows.dead)} d where d._id = m._id)"
    if rows.fresh:
        main += f" union all by name select * from {parquet(folder, rows.fresh)} where {condition}"
    return main


def write(
    connection: duckdb.DuckDBPyConnection, folder: Path, name_: str, query: str, encoding: str = "compression zstd"
) -> tuple[str, int]:
    """The rows of a query as a new file; returns its name and how many there are."""
    file = f"{name_}-{uuid.uuid4().hex[:16]}.parquet"
    # small row groups: persons are looked up by the smallest and greatest key in each
    done = connection.execute(
        f"copy ({query}) to {literal(str(folder / file))} (format parquet, {encoding}, row_group_size 61440)"
    ).fetchone()
    return file, int(done[0]) if done else 0


def parquet(folder: Path, file: str) -> str:
    """A file as a table function."""
    return f"read_parquet({literal(str(folder / file))})"
