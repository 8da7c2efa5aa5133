"""The rows of a view as a file: CSV, Parquet, NDJSON, or one JSON array.

Columns keep their types as far as the format has any: in Parquet all, in JSON numbers, booleans, lists, and elements with parts as
objects. CSV (RFC 4180, UTF-8) writes lists and elements as JSON; absent values are empty, the empty text is `""`.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from healthbrain.errors import Incorrect
from healthbrain.lake.engine import literal, name
from healthbrain.lake.sof.compile import QueryColumn

Format = Literal["csv", "ndjson", "parquet", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA: dict[str, Format] = {
    "text/csv": "csv",
    "application/ndjson": "ndjson",
    "application/x-ndjson": "ndjson",
    "application/fhir+ndjson": "ndjson",
    "application/json": "json",
    "application/parquet": "parquet",
    "application/vnd.apache.parquet": "parquet",
}
CONTENT: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/ndjson",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
_OPTIONS: dict[Format, str] = {
    "csv": "format csv",
    "ndjson": "format json",
    "json": "format json, array true",
    "parquet": "format parquet, compression zstd",
}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are written. `header` and `bom` (for Excel) are about CSV."""

    format: Format = "csv"
    header: bool = True
    bom: bool = False
    limit: int | None = None


def format_of(text: str) -> Format:
    """A format by its code or media type. Raises Incorrect."""
    code = text.partition(";")[0].strip().lower().replace(" ", "+")
    for known in FORMATS:
        if code == known:
            return known
    if code in MEDIA:
        return MEDIA[code]
    raise Incorrect(f"the format is one of {', '.join(FORMATS)}")


def selected(columns: Sequence[QueryColumn], layout: Layout, source: str) -> str:
    """The query for what is written of the rows of `source`."""
    values = ", ".join(f"{_value(one, layout.format)} as {name(one.name)}" for one in columns)
    rows = "" if layout.limit is None else f" limit {layout.limit}"
    return f"select {values} from {source}{rows}"


def copying(query: str, path: Path, layout: Layout) -> str:
    """The statement that writes the rows of a query. It answers with their number."""
    options = _OPTIONS[layout.format]
    if layout.format == "csv":
        options += f", header {'true' if layout.header else 'false'}"
    return f"copy ({query}) to {literal(str(path))} ({options})"


def mark(path: Path, layout: Layout) -> None:
    """Put the byte order mark before CSV, by which Excel knows UTF-8."""
    if layout.format != "csv" or not layout.bom:
        return
    marked = path.with_name(f"{path.name}.marked")
    with path.open("rb") as source, marked.open("wb") as target:
        target.write(_BOM)
        shutil.copyfileobj(source, target)
    marked.replace(path)


def _value(column: QueryColumn, format_: Format) -> str:
    quoted = name(column.name)
    nested = column.sql_type.startswith("JSON")
    if format_ == "parquet":
        return quoted
    if format_ == "csv":
        return f"cast(to_json({quoted}) as varchar)" if column.collection or column.sql_type.endswith("[]") else quoted
    if not nested:
        return quoted
    if column.collection:
        return f"list_transform({quoted}, lambda one: cast(one as json))"
    return f"cast({quoted} as json)"
