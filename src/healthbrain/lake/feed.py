"""The change feed into the lake: read a batch of changes, write their resources as parts, swap the manifest.

A batch of the feed, and so every transaction, is either wholly in the lake or not at all: its parts and the feed position
behind it become visible in the same rename. Killed before it, the same batch is read again; killed after it, it is never read again. Memory is bounded:
bodies go to a spool file as they come, and DuckDB spills what does not fit.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import duckdb
import orjson

from healthbrain.access import organisations
from healthbrain.database import Connection, Pool
from healthbrain.errors import Gone
from healthbrain.lake import engine, manifest
from healthbrain.lake.compaction import compact_parts
from healthbrain.lake.manifest import USUAL, Manifest, Part, Retention
from healthbrain.lake.parts import Row, Spool, write_dead, write_part, write_table
from healthbrain.store import Change, Position, Stored, changes, latest
from healthbrain.store.versions import everything_at, versions

BATCH = 50_000  # changes that become visible together
_WHOLE = 1_000_000  # changes of one feed batch from which on it is shown in steps: a first load
_CHUNK = 2_000  # resources read from the store at once

# Whose patient is whom is known to `identity`; whoever wires the rooms passes the reader.
Persons = Callable[[Connection], Awaitable[Iterable[tuple[int, str]]]]  # -> (patient key, person id)
Told = Callable[[int, int], None]  # is told how many changes were read and rows written so far


@dataclass(frozen=True, slots=True)
class Progress:
    """What one run did and how far behind the lake is now."""

    changes: int
    rows: int
    batches: int
    seconds: float
    position: str
    as_of: datetime | None
    caught_up: bool


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the lake is behind the store."""

    changes: int  # at least so many changes wait; counted up to BATCH
    seconds: float  # how old the lake's state is


async def sync(
    pool: Pool,
    folder: Path,
    at: datetime,
    *,
    persons: Persons | None = None,
    batch: int = BATCH,
    most: int | None = None,
    keep: Retention = USUAL,
    progress: Told | None = None,
) -> Progress:
    """Bring the lake up to the store: every change that was committed when the last batch was read.

    `most` bounds the number of changes of this run. Raises Conflict while another process writes the lake.
    """
    with manifest.writer(folder):
        engine.sweep_scratch(folder / "scratch")
        run = _Run(folder, at, persons, batch, most, keep, progress)
        state = manifest.sweep(folder, manifest.load(folder), at, keep.snapshots)
        return await run.follow(pool, state, visible=True)


async def rebuild(
    pool: Pool,
    folder: Path,
    at: datetime,
    *,
    persons: Persons | None = None,
    batch: int = BATCH,
    keep: Retention = USUAL,
    progress: Told | None = None,
) -> Progress:
    """Make the lake anew from the store. Readers see the old one until the new one is complete."""
    with manifest.writer(folder):
        engine.sweep_scratch(folder / "scratch")
        old = manifest.sweep(folder, manifest.load(folder), at, keep.snapshots)
        fresh = replace(Manifest(), erased=old.erased, retired=old.retired)
        return await _Run(folder, at, persons, batch, None, keep, progress).follow(pool, fresh, visible=False)


async def lag(pool: Pool, folder: Path, at: datetime) -> Lag:
    """How far the lake is behind."""
    state = manifest.load(folder)
    async with pool.connection() as connection:
        try:
            waiting, _ = await changes(connection, _position(state), BATCH)
        except Gone:
            return Lag(BATCH, (at - state.at).total_seconds() if state.at else 0.0)
    return Lag(len(waiting), (at - state.at).total_seconds() if state.at and waiting else 0.0)


class _Run:
    """One run of the writer."""

    def __init__(
        self,
        folder: Path,
        at: datetime,
        persons: Persons | None,
        batch: int,
        most: int | None,
        keep: Retention,
        progress: Told | None,
    ) -> None:
        self.keep = keep
        self.progress = progress
        self.folder = folder
        self.at = at
        self.persons = persons
        self.batch = batch
        self.most = most
        self.started = perf_counter()

    async def follow(self, pool: Pool, state: Manifest, *, visible: bool) -> Progress:
        """Batch after batch until the feed has no more; with `visible` False only the end result is shown."""
        seen = rows = batches = 0
        caught_up = False
        with ExitStack() as stack:
            engine_ = engine.connect(self.folder / "scratch")
            stack.callback(engine_.close)
            async with pool.connection() as connection:
                unseen, whole = 0, True  # what is written but not shown yet; whether no transaction is cut in two
                while not caught_up and (self.most is None or seen < self.most or not whole):
                    state, read, written, caught_up = await self._batch(connection, engine_, state, self.batch)
                    seen, rows, batches = seen + read, rows + written, batches + bool(read)
                    unseen += read
                    whole = caught_up or unseen >= _WHOLE or await _ends(connection, _position(state))
                    if read and visible and whole:
                        state, unseen = self._show(state), 0
                    if self.progress is not None:
                        self.progress(seen, rows)
                state = await self._tables(connection, engine_, state)
            state = await asyncio.to_thread(compact_parts, engine_, self.folder, state, self.at - self.keep.versions)
            state = self._show(replace(state, at=self.at if caught_up else state.at))
        return Progress(seen, rows, batches, perf_counter() - self.started, state.position, state.at, caught_up)

    def _show(self, state: Manifest) -> Manifest:
        return manifest.swap(self.folder, manifest.load(self.folder), state, self.at)

    async def _batch(
        self, connection: Connection, engine_: duckdb.DuckDBPyConnection, state: Manifest, limit: int
    ) -> tuple[Manifest, int, int, bool]:
        try:
            found, position = await changes(connection, _position(state), limit)
        except Gone:
            return await self._afresh(connection, engine_, state)
        if not found:
            return replace(state, position=str(position)), 0, 0, True
        with Spool(self.folder / "spool") as spool:
            async for part in _read(connection, found):
                await asyncio.to_thread(_spool, spool, part)
            spool.close()
            dead = _superseded(found)
            state = await asyncio.to_thread(self._write, engine_, state, spool, dead)
            written = sum(spool.rows.values())
        return replace(state, position=str(position)), len(found), written, len(found) < limit

    async def _afresh(
        self, connection: Connection, engine_: duckdb.DuckDBPyConnection, state: Manifest
    ) -> tuple[Manifest, int, int, bool]:
        """The feed no longer reaches back to where we stood: copy what is current, then follow the feed from now."""
        state = replace(Manifest(), generation=state.generation, erased=state.erased, retired=state.retired)
        position = await latest(connection)
        await connection.commit()  # the copy below sets the isolation of a transaction of its own
        with Spool(self.folder / "spool") as spool:
            async for page in everything_at(connection, position, _CHUNK):
                await asyncio.to_thread(_spool, spool, [_row(one, position) for one in page])
            spool.close()
            state = await asyncio.to_thread(self._write, engine_, state, spool, {})
            written = sum(spool.rows.values())
        return replace(state, position=str(position)), written, written, False

    def _write(
        self, engine_: duckdb.DuckDBPyConnection, state: Manifest, spool: Spool, dead: dict[str, list[tuple[str, int]]]
    ) -> Manifest:
        parts, graves = dict(state.parts), dict(state.dead)
        for type_ in sorted(spool.rows):
            parts[type_] = (*parts.get(type_, ()), write_part(engine_, self.folder, type_, spool))
        for type_ in sorted(dead):
            graves[type_] = (*graves.get(type_, ()), write_dead(engine_, self.folder, type_, dead[type_]))
        for folder in {(self.folder / part.file).parent for group in parts.values() for part in group[-1:]}:
            manifest.sync_folder(folder)
        return replace(state, parts=parts, dead=graves)

    async def _tables(self, connection: Connection, engine_: duckdb.DuckDBPyConnection, state: Manifest) -> Manifest:
        tree = await organisations(connection)
        rows: dict[str, list[dict[str, object]]] = {
            "organisation": [
                {
                    "key": one.key,
                    "code": one.code,
                    "name": one.name,
                    "kind": one.kind,
                    "parent": one.parent,
                    "fhir_id": one.fhir_id,
                    "facility_class": one.facility_class,
                    "division": tree.division(one.key),
                }
                for one in tree
            ]
        }
        if self.persons is not None:
            links = sorted(await self.persons(connection))
            rows["person_link"] = [{"patient": patient, "person": person} for patient, person in links]
        for table, content in rows.items():
            state = await asyncio.to_thread(self._table, engine_, state, table, content)
        return state

    def _table(
        self, engine_: duckdb.DuckDBPyConnection, state: Manifest, table: str, rows: Sequence[dict[str, object]]
    ) -> Manifest:
        content = b"\n".join(orjson.dumps(row) for row in rows)
        digest = hashlib.sha256(content).hexdigest()
        if state.digests.get(table) == digest:
            return state
        part: Part = write_table(engine_, self.folder, table, content, len(rows))
        manifest.sync_folder((self.folder / part.file).parent)
        return replace(state, tables={**state.tables, table: part}, digests={**state.digests, table: digest})


async def _ends(connection: Connection, position: Position) -> bool:
    """Whether a batch of the feed, which holds whole transactions, ends here."""
    found, _ = await changes(connection, position, 1)
    return not found or found[0].position.batch != position.batch


async def _read(connection: Connection, found: Sequence[Change]) -> AsyncIterator[list[Row]]:
    for start in range(0, len(found), _CHUNK):
        chunk = {(one.rid, one.version): one.position for one in found[start : start + _CHUNK]}
        async with connection.transaction():
            stored = await versions(connection, list(chunk))
        yield [_row(one, chunk[one.rid, one.version]) for one in stored]


def _spool(spool: Spool, rows: Sequence[Row]) -> None:
    for row in rows:
        spool.add(row)


def _row(one: Stored, position: Position) -> Row:
    return Row(
        one.type,
        one.id,
        one.version,
        one.updated.astimezone(UTC),
        one.deleted,
        one.owner,
        one.patient,
        one.delivery,
        str(position),
        one.body,
    )


def _superseded(found: Sequence[Change]) -> dict[str, list[tuple[str, int]]]:
    """The first version of a resource replaces nothing; every later one replaces those before it."""
    dead: dict[str, list[tuple[str, int]]] = {}
    for one in found:
        if one.version > 1:
            dead.setdefault(one.type, []).append((one.id, one.version))
    return dead


def _position(state: Manifest) -> Position:
    return Position.parse(state.position) if state.position else Position()
