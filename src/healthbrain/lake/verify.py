"""Whether the lake is what it says: its files are there and whole, and its current rows are those of the store.

The store is compared by type through number of resources, sum of versions and a sum over a hash of ids: two sides that
agree in all three hold the same versions. A store that moves while it is compared is compared again.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from healthbrain.database import Pool
from healthbrain.lake import engine, feed
from healthbrain.lake.engine import literal, name
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.reader import Lake
from healthbrain.store.versions import tally

_TRIES = 3
Tally = tuple[int, int, int]  # resources, sum of versions, sum of hashes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. `what`: missing, size, rows, unreadable, content."""

    what: str
    where: str  # a file, or a resource type
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was checked and found. `compared` is False when the store moved on all the time."""

    files: int
    rows: int
    types: int
    compared: bool
    findings: tuple[Finding, ...]


async def verify(pool: Pool, folder: Path, at: datetime) -> Verdict:
    """Check files against the manifest, and current rows against the store."""
    lake = Lake(folder)
    state = lake.state()
    findings = await asyncio.to_thread(_files, lake.folder, state)
    if findings:
        return Verdict(len(state.files()), state.rows(), len(state.parts), False, tuple(findings))
    for _ in range(_TRIES):
        state = lake.state()
        async with pool.connection() as connection:
            store = await tally(connection)
        here = await asyncio.to_thread(_tally, lake, state)
        waiting = (await feed.lag(pool, folder, at)).changes
        if lake.state().generation == state.generation and not waiting:
            return Verdict(len(state.files()), state.rows(), len(state.parts), True, tuple(_differences(store, here)))
    return Verdict(len(state.files()), state.rows(), len(state.parts), False, ())


def _files(folder: Path, state: Manifest) -> list[Finding]:
    found: list[Finding] = []
    connection = engine.connect(folder / "scratch")
    groups = (*state.parts.values(), *state.dead.values(), tuple(state.tables.values()))
    for part in (part for parts in groups for part in parts):
        path = folder / part.file
        if not path.exists():
            found.append(Finding("missing", part.file, "the manifest names this file, but it is not there"))
        elif path.stat().st_size != part.bytes:
            found.append(Finding("size", part.file, f"{path.stat().st_size} bytes instead of {part.bytes}"))
        else:
            found += _content(connection, part.file, path, part.rows)
    connection.close()
    return found


def _content(connection: engine.Engine, file: str, path: Path, rows: int) -> list[Finding]:
    try:
        # every column is decoded, so a damaged page is found
        counted = connection.execute(
            f"select count(*), max(hash(t)) from read_parquet({literal(str(path))}) t"
        ).fetchone()
    except engine.Error:
        return [Finding("unreadable", file, "the file cannot be read; `hb lake rebuild` makes the lake anew")]
    if counted is None or counted[0] != rows:
        return [Finding("rows", file, f"{counted[0] if counted else 0} rows instead of {rows}")]
    return []


def _tally(lake: Lake, state: Manifest) -> dict[str, Tally]:
    connection = lake.connect(state=state)
    found: dict[str, Tally] = {}
    for type_ in sorted(state.parts):
        row = connection.execute(
            "select count(*), coalesce(sum(_version), 0)::bigint, "
            f"coalesce(sum(('0x' || left(md5(_id || '/' || _version), 8))::bigint), 0)::bigint from {name(type_)}"
        ).fetchone()
        if row and row[0]:
            found[type_] = (int(row[0]), int(row[1]), int(row[2]))
    connection.close()
    return found


def _differences(store: dict[str, Tally], here: dict[str, Tally]) -> list[Finding]:
    nothing = (0, 0, 0)
    return [
        Finding(
            "content",
            type_,
            f"the store has {store.get(type_, nothing)[0]} resources, the lake {here.get(type_, nothing)[0]}; "
            "`hb lake rebuild` makes the lake anew",
        )
        for type_ in sorted({*store, *here})
        if store.get(type_, nothing) != here.get(type_, nothing)
    ]
