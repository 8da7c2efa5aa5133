"""Working on an export: everything the requester may see of what they asked for, as of one moment, into NDJSON files.

One repeatable-read transaction reads it all, so the files are consistent with each other however long they take, and
`transactionTime` is the time of that moment. The bytes of a resource go from the database into the file unread (except
for `_elements`). Whoever's records are in a file is written into the audit log before the job is done. A job that was
broken off begins again with a new moment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from healthbrain import audit
from healthbrain.audit import Event
from healthbrain.database import Connection, Pool
from healthbrain.errors import Fault, Forbidden, HealthBrainError, NotFound
from healthbrain.exchange.bulkdata import files, jobs
from healthbrain.exchange.bulkdata.files import Lines
from healthbrain.exchange.bulkdata.jobs import Cancelled, Job
from healthbrain.exchange.bulkdata.wishes import Wish
from healthbrain.fhir import definitions, dump, summary
from healthbrain.scope import Action, Principal, Scope
from healthbrain.store import Store
from healthbrain.store.streaming import Extent, Parcel, deletions, in_snapshot, stream, types_present

Decide = Callable[[Connection, Principal, Action, str], Awaitable[Scope]]

_BEAT_SECONDS = 1.0
_DELETIONS = 500  # entries of a Bundle of deletions
_PATIENTS = 2000  # whose records one audit event names
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the work needs: connections, the folder of files, who decides on scopes, the clock."""

    pool: Pool
    root: Path
    decide: Decide
    clock: Callable[[], datetime]


async def work_export(desk: Desk) -> bool:
    """Work on the next export; False when there is none."""
    async with jobs.next_job(desk.pool, "export") as job:
        if job is None:
            return False
        await worked(desk, job, _Export(desk, job).run)
    return True


async def worked(desk: Desk, job: Job, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work of a job and note how it ended. Trouble of ours raises, so that it is tried again later."""
    try:
        if job.attempts > jobs.ATTEMPTS:
            raise Fault(f"the job broke off {jobs.ATTEMPTS} times and was given up; ask the platform's operator")
        await work()
    except Cancelled:
        await asyncio.to_thread(files.remove, desk.root, job.id)
    except HealthBrainError as error:
        await asyncio.to_thread(files.remove, desk.root, job.id)
        await jobs.failed(desk.pool, job, error, desk.clock())
    except psycopg.errors.DataError as error:
        _log.error("bulk job %s failed: %s", job.id, type(error).__name__)
        await jobs.failed(desk.pool, job, Fault("the search in a filter could not be run"), desk.clock())


class _Export:
    def __init__(self, desk: Desk, job: Job) -> None:
        self._desk = desk
        self._job = job
        self._wish = Wish.of_json(job.wish)
        self._folder = files.folder_of(desk.root, job.id)
        self._lines = 0
        self._next_beat = 0.0
        self._step = ""

    async def run(self) -> None:
        await asyncio.to_thread(files.remove, self._desk.root, self._job.id)
        output: list[dict[str, Any]] = []
        deleted: list[dict[str, Any]] = []
        async with self._desk.pool.connection() as connection, connection.transaction():
            snapshot = await in_snapshot(connection)
            at = self._desk.clock()
            await jobs.begun(self._desk.pool, self._job, at, snapshot)
            extents = await self._extents(connection)
            for n, extent in enumerate(extents, 1):
                self._step = f"{extent.type} ({n} of {len(extents)} types)"
                output += await self._take(connection, extent)
            if self._wish.since:
                deleted = await self._take_deletions(connection, extents)
        result = {"output": output, "deleted": deleted}
        async with self._desk.pool.connection() as connection:
            await jobs.done(connection, self._job, result, self._desk.clock())

    # -- what belongs to it

    async def _extents(self, connection: Connection) -> list[Extent]:
        wish, present = self._wish, await types_present(connection)
        patients = await self._patients(connection)
        since = datetime.fromisoformat(wish.since) if wish.since else None
        unseen = await jobs.snapshot_of(connection, self._job.organisation, since) if since else None
        found: list[Extent] = []
        for type_ in wish.types or present:
            if type_ not in present:
                continue
            if wish.level != "system" and type_ != "Patient" and not definitions().patient_compartment(type_):
                continue
            if (scope := await self._scope(connection, type_)) is None:
                continue
            found.append(
                Extent(
                    type=type_, scope=scope, filters=wish.queries(type_), since=since, unseen=unseen,
                    until=datetime.fromisoformat(wish.until) if wish.until else None,
                    compartments=wish.level != "system", patients=patients,
                )
            )  # fmt: skip
        return found

    async def _scope(self, connection: Connection, type_: str) -> Scope | None:
        """What the requester may see of a type now; None for a type that was not asked for by name and is closed."""
        try:
            scope = await self._desk.decide(connection, self._job.principal, "search", type_)
        except Forbidden:
            if self._wish.types:
                raise
            return None
        if not scope.identified:
            raise Forbidden("you see figures, not single residents; declare a purpose of use that allows it first")
        return scope

    async def _patients(self, connection: Connection) -> tuple[str, ...] | None:
        """Whose compartments; None = everybody's."""
        wish = self._wish
        if wish.level != "group":
            return wish.patients or None
        scope = await self._scope(connection, "Group")
        if scope is None:
            raise NotFound("there is no such Group")
        group = (await Store().read(connection, "Group", wish.group, scope=scope)).resource
        members = tuple(_members(group))
        return tuple(id_ for id_ in members if id_ in set(wish.patients)) if wish.patients else members

    # -- into files

    async def _take(self, connection: Connection, extent: Extent) -> list[dict[str, Any]]:
        lines = Lines(self._folder, extent.type)
        part = summary.wanted("", self._wish.parts(extent.type))
        patients: set[int] = set()

        def write(parcel: Parcel) -> None:
            bodies = parcel.bodies()
            lines.write([summary.cut(body, part) for body in bodies] if part else bodies)

        try:
            async with aclosing(stream(connection, extent)) as parcels:
                async for parcel in parcels:
                    await asyncio.to_thread(write, parcel)
                    patients |= parcel.patients
                    await self._beat(len(parcel.rows))
                    if lines.full:
                        await self._close(lines, patients)
                        patients = set()
        except BaseException:
            await asyncio.to_thread(lines.close)
            raise
        await self._close(lines, patients)
        return lines.finished

    async def _take_deletions(self, connection: Connection, extents: Sequence[Extent]) -> list[dict[str, Any]]:
        lines = Lines(self._folder, "Bundle")
        try:
            for extent in extents:
                async with aclosing(deletions(connection, extent)) as parts:
                    async for ids in parts:
                        urls = [f"{extent.type}/{id_}" for id_ in ids]
                        bundles = [_deleting(urls[n : n + _DELETIONS]) for n in range(0, len(urls), _DELETIONS)]
                        await asyncio.to_thread(lines.write, bundles)
                        await self._beat(len(ids))
        finally:
            await asyncio.to_thread(lines.close)
        return lines.finished

    async def _beat(self, more: int) -> None:
        self._lines += more
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + _BEAT_SECONDS
            await jobs.beat(self._desk.pool, self._job, f"{self._lines} resources, {self._step}")

    async def _close(self, lines: Lines, patients: set[int]) -> None:
        """Finish a file and write into the audit log whose records are in it."""
        count = lines.count
        await asyncio.to_thread(lines.close)
        if not count:
            return
        named = sorted(patients)
        parts = [named[n : n + _PATIENTS] for n in range(0, len(named), _PATIENTS)] or [[]]
        detail = f"$export {self._job.id}: {count} {lines.type}"
        events = [
            Event.of(
                self._job.principal, self._desk.clock(), "R", lines.type, patients=part, detail=detail,
                interaction="operation",
            )
            for part in parts
        ]  # fmt: skip
        async with self._desk.pool.connection() as connection:
            await audit.record(connection, events)


def _members(group: dict[str, Any]) -> Iterable[str]:
    for member in group.get("member", ()):
        type_, _, id_ = str(member.get("entity", {}).get("reference", "")).rpartition("/")
        if type_.rpartition("/")[2] == "Patient" and id_ and not member.get("inactive"):
            yield id_


def _deleting(urls: Sequence[str]) -> bytes:
    """Bulk Data Access: what is gone, as the transaction that would delete it."""
    entries = [{"request": {"method": "DELETE", "url": url}} for url in urls]
    return dump({"resourceType": "Bundle", "type": "transaction", "entry": entries})
