"""Running a view from beginning to end, into a file: over files of resources, or over a relation of the lake's shape.

Nothing is written when the view or the input turns out to be wrong half-way: the rows go to a file beside, which takes its name
at the end.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from healthbrain.errors import Malformed
from healthbrain.lake import engine
from healthbrain.lake.parts import no_rows
from healthbrain.lake.sof.compile import Query, QueryColumn, Target, compile_view
from healthbrain.lake.sof.definition import ViewDefinition
from healthbrain.lake.sof.files import Layout, copying, mark, selected
from healthbrain.lake.sof.inputs import first_fault, read_inputs
from healthbrain.lake.sof.run import execute

_KEPT = '"$rows"'
_PATIENT = "_patient"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: how many rows, of which columns, remarks for the view's author, and whose rows (patient keys)."""

    rows: int
    columns: tuple[QueryColumn, ...]
    notices: tuple[str, ...]
    patients: tuple[int, ...] = ()


def run_on_files(
    view: ViewDefinition, inputs: Sequence[Path], out: Path, layout: Layout, *, memory: str = engine.MEMORY
) -> Outcome:
    """Run a view over files and folders of resources. Needs no lake and no database."""
    with tempfile.TemporaryDirectory(prefix="hb-view-") as temporary:
        scratch = Path(temporary)
        compile_view(view, Target())  # what is wrong with the view is said before much is read
        files = read_inputs(inputs, scratch)
        connection = engine.connect(scratch / "spill", memory=memory)
        try:
            connection.execute("set preserve_insertion_order = true")  # rows come as the resources stand in the files
            target = Target("ndjson", files=files) if files else Target(relation=f"({no_rows(view.resource)})")
            return run_on(connection, view, target, out, layout)
        except Malformed:
            if place := first_fault(files):
                raise Malformed(f"{place} is no JSON object; send one resource per line") from None
            raise
        finally:
            connection.close()


def run_on(
    connection: duckdb.DuckDBPyConnection, view: ViewDefinition, target: Target, out: Path, layout: Layout
) -> Outcome:
    """Run a view over what `target` names."""
    query = compile_view(view, target)
    with _beside(out) as fresh:
        execute(connection, view, target, copying(selected(query.columns, layout, "({})"), fresh, layout))
        rows = _number(connection)
        mark(fresh, layout)
        fresh.replace(out)
    return Outcome(rows, query.columns, query.notices)


def run_noting_patients(
    connection: duckdb.DuckDBPyConnection, view: ViewDefinition, target: Target, out: Path, layout: Layout
) -> Outcome:
    """The same over a relation with the lake's own columns, telling whose rows were written."""
    query = compile_view(view, target)
    limit = "" if layout.limit is None else f" limit {layout.limit}"
    carrying = replace(target, carry=(_PATIENT,))
    execute(connection, view, carrying, f"create or replace temp table {_KEPT} as select * from ({{}}){limit}")
    return _told(connection, query, out, layout)


def write_noting_patients(
    connection: duckdb.DuckDBPyConnection, query: Query, rows: str, out: Path, layout: Layout
) -> Outcome:
    """Write rows that have been computed: `rows` is a relation with the columns of the query and the lake's own."""
    limit = "" if layout.limit is None else f" limit {layout.limit}"
    connection.execute(f"create or replace temp table {_KEPT} as select * from {rows}{limit}")
    return _told(connection, query, out, layout)


def _told(connection: duckdb.DuckDBPyConnection, query: Query, out: Path, layout: Layout) -> Outcome:
    found = connection.execute(f"select distinct {_PATIENT} from {_KEPT} where {_PATIENT} is not null").fetchall()
    with _beside(out) as fresh:
        connection.execute(copying(selected(query.columns, layout, _KEPT), fresh, layout))
        rows = _number(connection)
        mark(fresh, layout)
        fresh.replace(out)
    connection.execute(f"drop table {_KEPT}")
    return Outcome(rows, query.columns, query.notices, tuple(sorted(int(key) for (key,) in found)))


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A name beside a file for what is not complete yet; gone afterwards if it was not renamed."""
    fresh = out.with_name(f".{out.name}.part")
    try:
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


def _number(connection: duckdb.DuckDBPyConnection) -> int:
    found = connection.fetchone()
    return int(found[0]) if found else 0
