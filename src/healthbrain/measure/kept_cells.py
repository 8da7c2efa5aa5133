"""The cells as they are kept beside the lake: a main file, and a small one of what has changed since it was written.

Changes are added to the small file only; its cells have a sign, and the cells that hold are the sums of both. A million
residents have some millions of cells, and ten thousand changed resources touch some ten thousands of them.
"""

# ruff: noqa: S608  # statements are made here
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from healthbrain.measure.base import Base, parquet, write
from healthbrain.measure.running import make_cells
from healthbrain.measure.tally import CELLS, KEYS

TOUCHED = "touched_cells"  # the places of which something is not what it was
_PLACE = KEYS.removesuffix(", v")
_MOST = 0.2  # when the changes are so many of the main file's cells, that is written anew
_SUMS = ", ".join(f"cast(sum({one}) as {'bigint' if one in 'nd' else 'hugeint'}) as {one}" for one in "ndxw")
_CHANGED = " or ".join(f"sum({one}) <> 0" for one in "ndxw")


def cells_of(folder: Path, base: Base, *, measures: Sequence[int] | None = None, places: str = "", by: str = "") -> str:
    """A query for the cells that hold, of some measures, or at the places in the columns `by` of a table."""
    tests = [f"m in ({', '.join(map(str, measures)) or 'null'})"] if measures is not None else []
    limit = (f" semi join {places} using ({by or _PLACE})" if places else "") + (
        f" where {' and '.join(tests)}" if tests else ""
    )
    main = f"select {KEYS}, n, d, x, w from {parquet(folder, base.cells)}{limit}"
    if not base.difference:
        return main
    changes = f"select {KEYS}, n, d, x, w from {parquet(folder, base.difference)}{limit}"
    return f"select {KEYS}, {_SUMS} from ({main} union all {changes}) group by {KEYS} having sum(n) <> 0 or sum(d) <> 0"


def merge(connection: duckdb.DuckDBPyConnection, folder: Path, old: Base, new: Base) -> Base:
    """Keep the changes that the table of cells has. It has the cells of the touched places afterwards."""
    connection.execute(
        f"create or replace temp table changed_cells as select {KEYS}, {_SUMS} from {CELLS} group by {KEYS} having {_CHANGED}"
    )
    connection.execute(f"create or replace temp table {TOUCHED} as select distinct {_PLACE} from changed_cells")
    before = f"union all by name from {parquet(folder, old.difference)}" if old.difference else ""
    query = f"select {KEYS}, {_SUMS} from (from changed_cells {before}) group by {KEYS} having {_CHANGED}"
    file, changes = write(connection, folder, "difference", query)
    kept = replace(new, cells=old.cells, difference=file)
    row = connection.execute(f"select count(*) from {parquet(folder, old.cells)}").fetchone()
    if changes > _MOST * (row[0] if row else 0):
        whole, _ = write(connection, folder, "cells", cells_of(folder, kept))
        (folder / file).unlink()
        kept = replace(new, cells=whole, difference="")
    make_cells(connection)
    connection.execute(f"insert into {CELLS} by name {cells_of(folder, kept, places=TOUCHED)}")
    return kept


def keep(connection: duckdb.DuckDBPyConnection, folder: Path, new: Base) -> Base:
    """Keep the table of cells as all there is."""
    file, _ = write(connection, folder, "cells", f"select * from {CELLS}")
    return replace(new, cells=file, difference="")


def compare(connection: duckdb.DuckDBPyConnection, folder: Path, before: Base) -> None:
    """Find the places whose cells are not what they were."""
    here, there = f"select {KEYS}, n, d, x, w from {CELLS}", cells_of(folder, before)
    connection.execute(
        f"create or replace temp table {TOUCHED} as select distinct {_PLACE} from "
        f"((({here}) except ({there})) union all (({there}) except ({here})))"
    )
