"""Writing Parquet parts: resource versions are spooled to a text file per type, then typed by DuckDB in one pass.

A spool line is the row's own columns and the body as the store gave it, separated by U+001F: compact JSON has no
control characters, so nothing is quoted or escaped and the body reaches the `_body` column byte for byte.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import duckdb
import orjson

from healthbrain.errors import Fault
from healthbrain.lake.columns import Field, fields_of, leaves, occurring, structure
from healthbrain.lake.engine import literal
from healthbrain.lake.manifest import Part, sync_file

# The row's own columns; the leading underscore keeps them apart from R4's names.
OWN: dict[str, str] = {
    "_id": "VARCHAR",
    "_version": "BIGINT",
    "_updated": "TIMESTAMPTZ",
    "_deleted": "BOOLEAN",
    "_owner": "BIGINT",  # organisation key
    "_patient": "BIGINT",  # key of the patient in whose compartment it lies
    "_delivery": "BIGINT",  # the arrival that brought this version
    "_position": "VARCHAR",  # where it stood in the change feed
}
BODY = "_body"
# What the lake knows beside resources.
TABLES: dict[str, dict[str, str]] = {
    "person_link": {"patient": "BIGINT", "person": "VARCHAR"},
    "organisation": {
        "key": "BIGINT",
        "code": "VARCHAR",
        "name": "VARCHAR",
        "kind": "VARCHAR",
        "parent": "BIGINT",
        "fhir_id": "VARCHAR",
        "facility_class": "VARCHAR",
        "division": "VARCHAR",
    },
}
_SEPARATOR = b"\x1f"
_NAME = re.compile(rb'"(\w+)"\s*:')
_LINE = 2 * 1024 * 1024  # lines are mostly far shorter; longer ones make the reader's buffer grow
# A row group is kept uncompressed in memory while it is written, some 16 bytes a column and row, per thread.
_CELLS = 4_000_000
_ROWS = (2_048, 40_960)


@dataclass(frozen=True, slots=True)
class Row:
    """One version of a resource on its way into the lake."""

    type: str
    id: str
    version: int
    updated: datetime
    deleted: bool
    owner: int
    patient: int | None
    delivery: int | None
    position: str
    body: bytes


class Spool:
    """Rows of a batch on disk, one file per type, so that memory does not grow with the batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, int] = {}
        self.longest: dict[str, int] = {}
        self.names: dict[str, set[bytes]] = {}  # the names of all JSON members that occur
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        for type_ in self.rows:
            self.path(type_).unlink(missing_ok=True)

    def path(self, type_: str) -> Path:
        """Where the rows of `type_` are."""
        return self.folder / f"{type_}.rows"

    def add(self, row: Row) -> None:
        """Append one row."""
        line = _line(row)
        if row.type not in self._files:
            self._files[row.type] = self.path(row.type).open("wb")
            self.rows[row.type] = self.longest[row.type] = 0
            self.names[row.type] = set()
        self._files[row.type].write(line)
        self.rows[row.type] += 1
        self.longest[row.type] = max(self.longest[row.type], len(line))
        self.names[row.type].update(_names(row.body))

    def close(self) -> None:
        """Everything added is in the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def _names(body: bytes) -> Iterable[bytes]:
    """The names of the members in a resource, and perhaps some more that only look like names."""
    if b"\\u" in body:  # a name may be written with escapes
        return _walk(orjson.loads(body))
    return _NAME.findall(body)


def _walk(value: object) -> Iterator[bytes]:
    if isinstance(value, dict):
        yield from (name.encode() for name in value)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(one)


def _line(row: Row) -> bytes:
    body = row.body
    if b"\n" in body or b"\r" in body or _SEPARATOR in body:
        body = orjson.dumps(orjson.loads(body))  # not compact: the digits of its decimals may change, its values not
    own = (
        row.id.encode(),
        b"%d" % row.version,
        row.updated.isoformat().encode(),
        b"1" if row.deleted else b"0",
        b"%d" % row.owner,
        b"" if row.patient is None else b"%d" % row.patient,
        b"" if row.delivery is None else b"%d" % row.delivery,
        row.position.encode(),
    )
    return _SEPARATOR.join((*own, body)) + b"\n"


def write_part(connection: duckdb.DuckDBPyConnection, folder: Path, type_: str, spool: Spool) -> Part:
    """A part of the spooled rows of `type_`, on the disk for good."""
    file = f"parts/{type_}/{uuid.uuid4().hex}.parquet"
    fields = occurring(fields_of(type_), {name.decode() for name in spool.names[type_]})
    make_shape(connection, folder, type_)
    copy_to(connection, _typed(fields, spool.path(type_), spool.longest[type_]), folder / file, row_group(fields))
    return Part(file, spool.rows[type_], (folder / file).stat().st_size)


def write_dead(connection: duckdb.DuckDBPyConnection, folder: Path, type_: str, ids: Iterable[tuple[str, int]]) -> Part:
    """A list of (id, version): versions of that id below it are superseded."""
    rows = orjson.dumps([{"id": id_, "version": version} for id_, version in ids])
    file = f"parts/{type_}/{uuid.uuid4().hex}.dead.parquet"
    spool = folder / "spool" / f"{type_}.dead"
    spool.parent.mkdir(parents=True, exist_ok=True)
    spool.write_bytes(rows)
    source = f"read_json({literal(str(spool))}, format='array', columns={{id: 'VARCHAR', version: 'BIGINT'}})"
    copy_to(connection, f"select id as _id, max(version) as _version from {source} group by id", folder / file)
    spool.unlink()
    return part_of(connection, folder, file)


def write_table(connection: duckdb.DuckDBPyConnection, folder: Path, table: str, lines: bytes, rows: int) -> Part:
    """A small table beside the resources, from NDJSON."""
    file = f"tables/{table}-{uuid.uuid4().hex}.parquet"
    spool = folder / "spool" / f"{table}.rows"
    spool.parent.mkdir(parents=True, exist_ok=True)
    spool.write_bytes(lines)
    columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in TABLES[table].items())
    source = f"read_json({literal(str(spool))}, format='newline_delimited', columns={{{columns}}})"
    copy_to(connection, f"select * from {source}", folder / file)
    spool.unlink()
    return Part(file, rows, (folder / file).stat().st_size)


def part_of(connection: duckdb.DuckDBPyConnection, folder: Path, file: str, level: int = 0) -> Part:
    """The Part of a file that was just written."""
    counted = connection.execute(
        f"select coalesce(sum(num_rows), 0) from parquet_file_metadata({literal(str(folder / file))})"
    ).fetchone()
    if counted is None:
        raise Fault("a part of the lake cannot be read back; nothing was changed, try again")
    return Part(file, int(counted[0]), (folder / file).stat().st_size, level)


def shape_file(folder: Path, type_: str) -> Path:
    """A Parquet file without rows that has every column of a type. Read first, by name, it completes the parts, which have
    only the columns that occur in them."""
    return folder / "shapes" / f"{type_}-{_digest(type_)}.parquet"


def make_shape(connection: duckdb.DuckDBPyConnection, folder: Path, type_: str) -> None:
    """Write the shape file of a type when it is not there yet."""
    path = shape_file(folder, type_)
    if not path.exists():
        fresh = path.with_suffix(f".{uuid.uuid4().hex}.new")
        copy_to(connection, no_rows(type_), fresh)
        fresh.replace(path)


def no_rows(type_: str) -> str:
    """A query without rows that has every column of a type."""
    own = ", ".join(f"cast(null as {kind}) as {column}" for column, kind in {**OWN, BODY: "VARCHAR"}.items())
    shape = literal(orjson.dumps(structure(fields_of(type_))).decode())
    return f"select {own}, unnest(from_json('{{}}', {shape})) where false"


@cache
def _digest(type_: str) -> str:
    shape = orjson.dumps([OWN, structure(fields_of(type_))])
    return hashlib.sha256(shape).hexdigest()[:12]


def _typed(fields: Sequence[Field], path: Path, longest: int) -> str:
    own = ", ".join(f"'{name}': '{kind}'" for name, kind in {**OWN, BODY: "VARCHAR"}.items())
    line = max(_LINE, longest + 1)
    source = (
        f"read_csv({literal(str(path))}, delim='\x1f', quote='', escape='', header=false, auto_detect=false, "
        f"nullstr='', new_line='\\n', max_line_size={line}, buffer_size={2 * line}, columns={{{own}}})"
    )
    shape = literal(orjson.dumps(structure(fields)).decode())
    return f"select {', '.join(OWN)}, {BODY}, unnest(typed) from (select *, from_json({BODY}, {shape}) as typed from {source})"


def row_group(fields: Sequence[Field]) -> int:
    """How many rows stand together in a Parquet file: fewer where there are many columns."""
    rows = _CELLS // leaves(fields) // _ROWS[0] * _ROWS[0]
    return max(_ROWS[0], min(_ROWS[1], rows))


def copy_to(connection: duckdb.DuckDBPyConnection, query: str, target: Path, rows: int = _ROWS[1]) -> None:
    """The rows of `query` as a Parquet file, on the disk for good; `rows` stand together in a row group."""
    target.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(
        f"copy ({query}) to {literal(str(target))} (format parquet, compression zstd, row_group_size {rows})"
    )
    sync_file(target)
