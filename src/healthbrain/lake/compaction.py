"""Compaction: many small parts become few large ones, and what is superseded or erased is left out.

Parts of one level are merged into one of the next when there are enough of them, so that a row is written a few times
in its life and a reader never opens many files. `compact` rewrites what holds superseded, deleted or erased rows: the
only way in which they leave the disk. Large parts without such rows are left alone.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from healthbrain.lake import engine, manifest, materialised, warehouse
from healthbrain.lake.columns import fields_of
from healthbrain.lake.engine import file_list, literal
from healthbrain.lake.manifest import USUAL, Erased, Manifest, Part, Retention
from healthbrain.lake.parts import copy_to, part_of, row_group
from healthbrain.lake.reader import all_rows, dead_rows, erased, occurring_rows, upto
from healthbrain.store import Position

_TOGETHER = 8  # parts of one level that are merged into one of the next
_LARGEST = 256 * 1024 * 1024  # bytes; larger parts are left alone by the ordinary merge
Told = Callable[[str, int, int], None]  # is told the type, how many types are done, and of how many


def compact(folder: Path, at: datetime, *, keep: Retention = USUAL, progress: Told | None = None) -> Manifest:
    """Rewrite what has superseded, deleted or erased rows: only what is current, or young enough to be kept, remains.

    Files that held erased rows are deleted at once, others after the time that readers may still need them.
    Raises Conflict while another process writes the lake.
    """
    folder = folder.absolute()
    with manifest.writer(folder):
        old = manifest.load(folder)
        connection = engine.connect(folder / "scratch")
        try:
            state = old
            for done, type_ in enumerate(sorted(old.parts)):
                if progress is not None:
                    progress(type_, done, len(old.parts))
                state = _rewrite(connection, folder, state, type_, at - keep.versions)
        finally:
            connection.close()
        materialised.purge(folder, old.erased, at)
        warehouse.purge(folder, old.erased, at)
        state = manifest.swap(folder, old, replace(state, erased=()), at)
        if old.erased:
            state = manifest.swap(folder, state, manifest.sweep(folder, state, at, timedelta(seconds=-1)), at)
        return state


def erase(folder: Path, gone: Sequence[Erased], at: datetime) -> Manifest:
    """Hide these rows from readers that connect from now on; `compact` takes them off the disk."""
    folder = folder.absolute()
    with manifest.writer(folder):
        old = manifest.load(folder)
        state = replace(old, erased=tuple(dict.fromkeys([*old.erased, *gone])))
        connection = engine.connect(folder / "scratch")
        try:
            for type_ in sorted(state.dead):
                state = _forget_dead(connection, folder, state, type_)
        finally:
            connection.close()
        return manifest.swap(folder, old, state, at)


def waste(folder: Path) -> float:
    """Which share of the rows is superseded, by what the manifest knows: 0 when nothing was ever updated."""
    state = manifest.load(folder)
    rows = state.rows()
    return sum(part.rows for parts in state.dead.values() for part in parts) / rows if rows else 0.0


def compact_parts(connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, before: datetime) -> Manifest:
    """The ordinary merge after a batch: levels that are full move up. Superseded rows from `before` stay behind."""
    for type_ in sorted(state.parts):
        while full := _full(state.parts[type_]):
            state = _merge(connection, folder, state, type_, full, full[0].level + 1, before)
        if len(state.dead.get(type_, ())) >= _TOGETHER:
            state = _write_dead(connection, folder, state, type_, dead_rows(folder, state, type_))
    return state


def _full(parts: Sequence[Part]) -> list[Part]:
    levels: dict[int, list[Part]] = defaultdict(list)
    for part in parts:
        if part.bytes <= _LARGEST:
            levels[part.level].append(part)
    return next((group for _, group in sorted(levels.items()) if len(group) >= _TOGETHER), [])


def _merge(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    state: Manifest,
    type_: str,
    chosen: Sequence[Part],
    level: int,
    before: datetime,
) -> Manifest:
    rows = occurring_rows(folder, chosen)
    query = f"select p.* from ({rows}) p where not {_useless(folder, state, type_, before)}"
    file = f"parts/{type_}/{uuid.uuid4().hex}.parquet"
    copy_to(connection, query, folder / file, row_group(fields_of(type_)))
    merged = part_of(connection, folder, file, level)
    kept = tuple(part for part in state.parts[type_] if part not in chosen)
    return replace(state, parts={**state.parts, type_: (*kept, *([merged] if merged.rows else []))})


def _useless(folder: Path, state: Manifest, type_: str, before: datetime) -> str:
    """The condition that a row is erased, or superseded and older than is kept."""
    tests = []
    if dead := dead_rows(folder, state, type_):
        old = f"p._updated <= timestamptz {literal(before.isoformat())}"
        tests.append(f"({old} and exists (select 1 from ({dead}) d where d._id = p._id and d._version > p._version))")
    if hidden := erased(state, type_):
        tests.append(f"coalesce({hidden}, false)")
    return f"({' or '.join(tests)})" if tests else "false"


def _rewrite(
    connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str, before: datetime
) -> Manifest:
    """Every part of a type that holds useless rows anew, and the small ones together."""
    state = _bury(connection, folder, state, type_, before)
    worth = [part for part in state.parts[type_] if _holds_useless(connection, folder, state, type_, part, before)]
    small = [part for part in state.parts[type_] if part.bytes <= _LARGEST and part not in worth]
    chosen = worth + small if worth or len(small) > 1 else []
    for group in _groups(chosen):
        level = max(part.level for part in group)
        state = _merge(connection, folder, state, type_, group, level, before)
    dead = dead_rows(folder, state, type_)
    if dead and state.parts[type_]:
        left = (
            f"(select _id, min(_version) as _version from ({all_rows(folder, type_, state.parts[type_])}) group by _id)"
        )
        dead = f"select d.* from ({dead}) d semi join {left} l on l._id = d._id and l._version < d._version"
        state = _write_dead(connection, folder, state, type_, dead)
    if not state.parts[type_]:
        state = replace(
            state,
            parts={name: parts for name, parts in state.parts.items() if name != type_},
            dead={name: parts for name, parts in state.dead.items() if name != type_},
        )
    return state


def _bury(
    connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str, before: datetime
) -> Manifest:
    """What is a deletion, and older than is kept, counts as superseded by itself: nothing of the resource stays."""
    old = f"p._updated <= timestamptz {literal(before.isoformat())}"
    graves = f"select _id, _version + 1 as _version from ({all_rows(folder, type_, state.parts[type_])}) p where _deleted and {old}"
    found = connection.execute(f"select count(*) from ({graves})").fetchone()
    if not found or not found[0]:
        return state
    both = f"{graves} union all {dead}" if (dead := dead_rows(folder, state, type_)) else graves
    return _write_dead(
        connection, folder, state, type_, f"select _id, max(_version) as _version from ({both}) group by _id"
    )


def _holds_useless(
    connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str, part: Part, before: datetime
) -> bool:
    useless = _useless(folder, state, type_, before)
    if useless == "false":
        return False
    rows = f"read_parquet({file_list([folder / part.file])})"
    return connection.execute(f"select 1 from {rows} p where {useless} limit 1").fetchone() is not None


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts in groups that are merged into one each, none much larger than what is large."""
    groups: list[list[Part]] = []
    for part in sorted(parts, key=lambda one: one.bytes):
        if groups and sum(one.bytes for one in groups[-1]) + part.bytes <= _LARGEST:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _forget_dead(connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str) -> Manifest:
    """Ids of which everything is erased leave the list of the dead: what comes again under one begins at version 1.

    An id of which something older remains (a version about somebody else) stays listed, or that would be current again.
    """
    hidden = erased(state, type_)
    if not hidden or not state.parts.get(type_):
        return state
    rows = f"({all_rows(folder, type_, state.parts[type_])})"
    last = max((one.position for one in state.erased if one.position), key=Position.parse, default="")
    older = f" and {upto(last, 'p')}" if last else ""
    gone = (
        f"(select _id from {rows} p where {hidden} "
        f"except select _id from {rows} p where not coalesce({hidden}, false){older})"
    )
    new = f"select _id, max(_version) as _version from {rows} p where not coalesce({hidden}, false) group by _id"
    dead = (
        f"select d.* from ({dead_rows(folder, state, type_)}) d anti join {gone} g on g._id = d._id "
        f"union all select n.* from ({new}) n semi join {gone} g on g._id = n._id"
    )
    return _write_dead(connection, folder, state, type_, dead)


def _write_dead(
    connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str, query: str
) -> Manifest:
    """The rows of `query` as the only list of the dead of a type."""
    file = f"parts/{type_}/{uuid.uuid4().hex}.dead.parquet"
    copy_to(connection, query, folder / file)
    part = part_of(connection, folder, file)
    others = {name: parts for name, parts in state.dead.items() if name != type_}
    return replace(state, dead={**others, type_: (part,)} if part.rows else others)
