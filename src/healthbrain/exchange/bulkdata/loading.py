"""Working on an import: an uploaded file of resources goes through the delivery ledger, line by line.

Rules are those of the NDJSON door (every line an upsert by its id, a wrong one listed and not holding up the others, a
file that was broken off goes on where it was). Beside them the import may do no more than its requester: their scope
narrows every write, and what they may not write at all is refused with its line.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from healthbrain import audit
from healthbrain.access import permitted
from healthbrain.audit import Event
from healthbrain.database import Connection
from healthbrain.errors import Fault, Forbidden
from healthbrain.exchange import bulk, listing
from healthbrain.exchange.bulkdata import files, jobs
from healthbrain.exchange.bulkdata.export import Desk, worked
from healthbrain.exchange.bulkdata.files import Lines
from healthbrain.exchange.bulkdata.jobs import Job
from healthbrain.exchange.limits import Limits
from healthbrain.exchange.receiving import Ledger
from healthbrain.exchange.sources import source as source_of
from healthbrain.fhir import dump
from healthbrain.scope import Principal, Scope
from healthbrain.store import LARGEST_BUNDLE, Array, Observer, Store, Write, WriteContext, Written

UPLOAD = "upload.gz"
_BEAT_SECONDS = 1.0
_WORTH_HELP = 1024 * 1024  # bytes of an upload (gzip) from which on other processes are worth their start
_LISTED = 1000  # refused lines read at once


class OnBehalf(Store):
    """The store as far as a principal may change it."""

    def __init__(self, principal: Principal, scope: Scope) -> None:
        self._principal = principal
        self._scope = scope

    async def write(
        self,
        connection: Connection,
        writes: Sequence[Write],
        context: WriteContext,
        *,
        observers: Sequence[Observer] = (),
        validated: bool = False,
    ) -> list[Written]:
        """As `Store.write`; raises Forbidden for a type that they may not write."""
        self._check(write.type for write in writes)
        context = replace(context, scope=self._scope)
        return await super().write(connection, writes, context, observers=observers, validated=validated)

    async def write_new(
        self, connection: Connection, columns: Sequence[Array], types: Collection[str]
    ) -> list[int | None]:
        """As `Store.write_new`; raises Forbidden for a type that they may not write, or may write only some of."""
        self._check(types)
        if self._scope.rules is not None:
            raise Forbidden("what an application was granted is looked at one by one")
        return await super().write_new(connection, columns, types)

    async def bundle(
        self,
        connection: Connection,
        bundle: dict[str, Any],
        context: WriteContext,
        *,
        observers: Sequence[Observer] = (),
        largest: int = LARGEST_BUNDLE,
    ) -> dict[str, Any]:
        """As `Store.bundle`; raises Forbidden for a type that they may not write."""
        self._check(_types_of(bundle))
        context = replace(context, scope=self._scope)
        return await super().bundle(connection, bundle, context, observers=observers, largest=largest)

    def _check(self, types: Iterable[str]) -> None:
        for type_ in dict.fromkeys(types):
            permitted(self._principal, "write", type_)


def _types_of(bundle: dict[str, Any]) -> Iterator[str]:
    entries = bundle.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        request = entry.get("request") if isinstance(entry, dict) else None
        if isinstance(request, dict):
            yield str(request.get("url", "")).lstrip("/").partition("?")[0].partition("/")[0]


async def work_import(desk: Desk, observers: Sequence[Observer]) -> bool:
    """Work on the next import; False when there is none."""
    async with jobs.next_job(desk.pool, "import") as job:
        if job is None:
            return False
        await worked(desk, job, _Import(desk, job, observers).run)
    return True


async def write_scope(desk: Desk, connection: Connection, principal: Principal) -> Scope:
    """What a principal may change by an import: clinical resources and open ones, whichever reaches less far.

    Raises Forbidden unless they may write both.
    """
    scopes = [await desk.decide(connection, principal, "write", type_) for type_ in ("Patient", "Organization")]
    return min(scopes, key=lambda one: float("inf") if one.organisations is None else len(one.organisations))


class _Import:
    def __init__(self, desk: Desk, job: Job, observers: Sequence[Observer]) -> None:
        self._desk = desk
        self._job = job
        self._observers = tuple(observers)
        self._next_beat = 0.0

    async def run(self) -> None:
        job, at = self._job, self._desk.clock()
        upload = files.folder_of(self._desk.root, job.id) / UPLOAD
        async with self._desk.pool.connection() as connection:
            source = await source_of(connection, job.wish["source"])
            scope = await write_scope(self._desk, connection, job.principal)
        store = OnBehalf(job.principal, scope)
        ledger = Ledger(self._desk.pool, store, (*self._observers, self._witness))
        lines = await asyncio.to_thread(_lines, upload)
        large = await asyncio.to_thread(lambda: upload.stat().st_size >= _WORTH_HELP)
        with bulk.helping_processes() if large else nullcontext() as helpers:
            standing = await bulk.receive_ndjson(
                ledger, lines, source, name=job.wish["name"], key=job.wish["digest"], at=at, author=job.account,
                progress=self._beat, helpers=helpers, limits=Limits(scope) if job.principal.grant is not None else None,
            )  # fmt: skip
        refused = await self._refused(standing.delivery)
        counts = {"delivery": standing.delivery, "state": standing.state, "lines": standing.lines}
        counts |= {"written": standing.written, "refused": standing.refused}
        async with self._desk.pool.connection() as connection:
            await jobs.done(connection, job, {"error": refused, "extension": counts}, self._desk.clock())
        await asyncio.to_thread(upload.unlink, missing_ok=True)

    async def _beat(self, standing: bulk.Standing) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + _BEAT_SECONDS
            text = f"{standing.lines} lines, {standing.written} written, {standing.refused} refused"
            await jobs.beat(self._desk.pool, self._job, text)

    async def _witness(self, connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
        """Store observer: the audit event of a part of the file, in the transaction that writes it."""
        patients = {one.patient for one in written if one.patient is not None}
        event = Event.of(
            self._job.principal, context.at, "C", "Bundle", patients=patients, interaction="operation",
            detail=f"$import {self._job.id}: {len(written)} resources",
        )  # fmt: skip
        await audit.record(connection, [event])

    async def _refused(self, delivery: int) -> list[dict[str, object]]:
        """The refused lines as files of OperationOutcomes."""
        lines = Lines(files.folder_of(self._desk.root, self._job.id), "OperationOutcome")
        after = 0
        async with self._desk.pool.connection() as connection:
            while found := await listing.refused_lines(connection, delivery, after=after, count=_LISTED):
                after = found[-1][0]
                await asyncio.to_thread(lines.write, [_outcome(number, issues) for number, issues in found])
                if lines.full:
                    await asyncio.to_thread(lines.close)
        await asyncio.to_thread(lines.close)
        return lines.finished


def _lines(upload: Path) -> Iterator[bytes]:
    if not upload.is_file():
        raise Fault("the uploaded file is not there any more; upload it again")
    return _read(upload)


def _read(upload: Path) -> Iterator[bytes]:
    with gzip.open(upload) as file:
        yield from file


def _outcome(number: int, issues: Sequence[dict[str, Any]]) -> bytes:
    found = []
    for issue in issues:
        one = {"severity": issue["severity"], "code": issue["code"], "diagnostics": f"line {number}: {issue['text']}"}
        found.append(one | ({"expression": [issue["expression"]]} if issue.get("expression") else {}))
    return dump({"resourceType": "OperationOutcome", "issue": found})
