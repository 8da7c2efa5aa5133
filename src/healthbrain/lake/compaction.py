"""Compaction: many small parts become few large ones, and what is superseded or erased is left out.

Parts of one level are merged into one of the next when there are enough of them, so that a row is written a few times
in its life and a reader never opens many files. `compact` rewrites everything: the only way in which superseded
versions and the rows of erased people leave the disk.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from healthbrain.lake import engine, manifest
from healthbrain.lake.manifest import Manifest, Part
from healthbrain.lake.parts import copy_to, part_of, row_group
from healthbrain.lake.reader import all_rows, current_rows

_TOGETHER = 8  # parts of one level that are merged into one of the next
_LARGEST = 256 * 1024 * 1024  # bytes; larger parts are left alone by the ordinary merge


def compact(folder: Path, at: datetime) -> Manifest:
    """Rewrite every type that has superseded or erased rows or several parts: only current rows remain.

    Files that held erased people are deleted at once, others after the time that readers may still need them.
    Raises Conflict while another process writes the lake.
    """
    folder = folder.absolute()
    with manifest.writer(folder):
        old = manifest.load(folder)
        connection = engine.connect(folder / "scratch")
        try:
            state = old
            for type_ in sorted(old.parts):
                if len(old.parts[type_]) > 1 or old.dead.get(type_) or old.erased:
                    state = _rewrite(connection, folder, state, type_)
        finally:
            connection.close()
        state = manifest.swap(folder, old, replace(state, erased=()), at)
        if old.erased:
            state = manifest.swap(folder, state, manifest.sweep(folder, state, at, timedelta(seconds=-1)), at)
        return state


def erase(folder: Path, patients: Sequence[int], at: datetime) -> Manifest:
    """Hide every row of these patients from readers that connect from now on; `compact` takes them off the disk."""
    folder = folder.absolute()
    with manifest.writer(folder):
        old = manifest.load(folder)
        return manifest.swap(folder, old, replace(old, erased=tuple(sorted({*old.erased, *patients}))), at)


def compact_parts(connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest) -> Manifest:
    """The ordinary merge after a batch: levels that are full move up."""
    for type_ in sorted(state.parts):
        while full := _full(state.parts[type_]):
            state = _merge(connection, folder, state, type_, full)
        if len(state.dead.get(type_, ())) >= _TOGETHER:
            state = _merge_dead(connection, folder, state, type_)
    return state


def _full(parts: Sequence[Part]) -> list[Part]:
    levels: dict[int, list[Part]] = defaultdict(list)
    for part in parts:
        if part.bytes <= _LARGEST:
            levels[part.level].append(part)
    return next((group for _, group in sorted(levels.items()) if len(group) >= _TOGETHER), [])


def _merge(
    connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str, full: Sequence[Part]
) -> Manifest:
    rows = f"({all_rows(folder, type_, full)})"
    merged = _write(connection, folder, type_, current_rows(folder, rows, state, type_), full[0].level + 1)
    kept = tuple(part for part in state.parts[type_] if part not in full)
    return replace(state, parts={**state.parts, type_: (*kept, *([merged] if merged.rows else []))})


def _rewrite(connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str) -> Manifest:
    rows = f"({all_rows(folder, type_, state.parts[type_])})"
    current = f"{current_rows(folder, rows, state, type_)} where not _deleted"
    merged = _write(connection, folder, type_, current, max(part.level for part in state.parts[type_]))
    parts = {**state.parts, type_: (merged,)} if merged.rows else {k: v for k, v in state.parts.items() if k != type_}
    return replace(state, parts=parts, dead={k: v for k, v in state.dead.items() if k != type_})


def _merge_dead(connection: duckdb.DuckDBPyConnection, folder: Path, state: Manifest, type_: str) -> Manifest:
    file = f"parts/{type_}/{uuid.uuid4().hex}.dead.parquet"
    files = engine.file_list([folder / part.file for part in state.dead[type_]])
    copy_to(connection, f"select _id, max(_version) as _version from read_parquet({files}) group by _id", folder / file)
    return replace(state, dead={**state.dead, type_: (part_of(connection, folder, file),)})


def _write(connection: duckdb.DuckDBPyConnection, folder: Path, type_: str, query: str, level: int) -> Part:
    file = f"parts/{type_}/{uuid.uuid4().hex}.parquet"
    copy_to(connection, query, folder / file, row_group(type_))
    return part_of(connection, folder, file, level)
