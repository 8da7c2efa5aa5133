"""Views in the background: exports that somebody asked for ($viewdefinition-export), and materialised views kept fresh.

An export is a bulk job of its own kind: one at a time for each organisation, cancelled and expired like the others, and given up when
the requester may no longer see what was asked. Whose rows are in a file is in the audit log before the job is done.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from healthbrain import audit
from healthbrain.audit import Event
from healthbrain.errors import Conflict, Forbidden, HealthBrainError, NotFound
from healthbrain.exchange import bulkdata
from healthbrain.exchange.bulkdata import Desk, Job, jobs
from healthbrain.exchange.bulkdata.export import worked
from healthbrain.lake import Lake, materialised, stored, warehouse
from healthbrain.lake.asking import Question, answer, members_of
from healthbrain.lake.library import View
from healthbrain.lake.sof.files import Layout
from healthbrain.lake.sof.running import Outcome
from healthbrain.runtime import datasets
from healthbrain.runtime.lakes import retention
from healthbrain.runtime.platform import Platform
from healthbrain.store import patient_key

log = logging.getLogger("healthbrain.worker")

_BEAT_SECONDS = 1.0
_RUNNING = timedelta(hours=1)  # a run takes minutes at most
_NAMED = 2000  # patients in one audit event


async def export_views(platform: Platform, desk: Desk) -> bool:
    """Work on the next export of views; False when there is none."""
    async with jobs.next_job(desk.pool, "view") as job:
        if job is None:
            return False
        await worked(desk, job, _Export(platform, desk, job).run)
    return True


class _Export:
    def __init__(self, platform: Platform, desk: Desk, job: Job) -> None:
        self._platform = platform
        self._desk = desk
        self._job = job
        self._folder = bulkdata.folder_of(desk.root, job.id)

    async def run(self) -> None:
        """Every view of the wish, one after the other."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        views = self._job.wish["views"]
        lake = Lake(self._platform.settings.lake)
        as_of = lake.as_of() or self._desk.clock()
        output: list[dict[str, Any]] = []
        for number, one in enumerate(views, 1):
            await jobs.beat(self._desk.pool, self._job, f"{one['name']} ({number} of {len(views)} views)")
            output.append(await self._take(lake, one, number))
        result = {"output": output, "as_of": as_of.isoformat()}
        async with self._desk.pool.connection() as connection:
            await jobs.done(connection, self._job, result, self._desk.clock())

    async def _take(self, lake: Lake, one: Mapping[str, Any], number: int) -> dict[str, Any]:
        wish = self._job.wish
        question = await self._question(one)
        name = f"{one['name']}-{number:04d}.{wish['format']}"
        plain = self._folder / name
        done = await self._attended(lake, question, plain, Layout(wish["format"], wish["header"]))
        await self._note(done, str(one["name"]), question.view.resource)
        await asyncio.to_thread(_pack, plain)
        return {"name": name, "type": one["name"], "count": done.rows}

    async def _question(self, one: Mapping[str, Any]) -> Question:
        """What the requester may see of it now."""
        wish, who = self._job.wish, self._job.principal
        view = stored.runnable(one.get("dataset", ""), one["definition"])
        async with self._desk.pool.connection() as connection:
            if dataset := one.get("dataset"):  # it may have been withdrawn meanwhile
                await datasets.admit(connection, dataset, who, self._desk.clock())
            scope = await self._desk.decide(connection, who, "search", view.resource)
            if not scope.identified:
                raise Forbidden("you see figures, not single residents; declare a purpose of use that allows it first")
            others = {
                type_: await self._desk.decide(connection, who, "search", type_)
                for type_ in sorted(view.types if isinstance(view, View) else ())
            }
            keys: set[int] | None = {patient_key(id_) for id_ in wish["patients"]} if wish["patients"] else None
            for group in wish["groups"]:
                own = await self._desk.decide(connection, who, "read", "Group")
                found = await self._platform.store.read(connection, "Group", group, scope=own)
                keys = (keys or set()) | members_of(found.resource)
        since = datetime.fromisoformat(wish["since"]) if wish["since"] else None
        return Question(view, scope, None if keys is None else tuple(sorted(keys)), since, others=others)

    async def _attended(self, lake: Lake, question: Question, out: Path, layout: Layout) -> Outcome:
        """Run it, looking now and then whether it is still wanted."""
        running: list[duckdb.DuckDBPyConnection] = []
        task = asyncio.create_task(asyncio.to_thread(answer, lake, question, out, layout, running.append))
        try:
            while not task.done():
                await asyncio.wait([task], timeout=_BEAT_SECONDS)
                if not task.done():
                    await jobs.beat(self._desk.pool, self._job, out.name)
            return await task
        except BaseException:
            for connection in running:
                connection.interrupt()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def _note(self, done: Outcome, name: str, type_: str) -> None:
        """Write into the audit log whose records are in a file."""
        parts = [done.patients[n : n + _NAMED] for n in range(0, len(done.patients), _NAMED)] or [()]
        detail = f"$viewdefinition-export {self._job.id}: {done.rows} rows of {name}"
        events = [
            Event.of(
                self._job.principal,
                self._desk.clock(),
                "R",
                type_,
                patients=part,
                detail=detail,
                interaction="operation",
            )
            for part in parts
        ]
        async with self._desk.pool.connection() as connection:
            await audit.record(connection, events)


async def refresh_kept(platform: Platform) -> int:
    """Bring the materialised views up to the lake and to their definitions; returns how many had changed."""
    folder, changed = platform.settings.lake, 0
    kept_by_themes = {warehouse.kept_id(view) for view in warehouse.bases()}
    for state in await asyncio.to_thread(materialised.listed, folder):
        if state.id in kept_by_themes:
            continue  # theme libraries rest on it: their job refreshes it
        try:
            definition = await definition_of(platform, state.id)
            done = await asyncio.to_thread(
                materialised.refresh, folder, state.id, platform.clock(),
                definition=definition, keep=retention(platform.settings).snapshots,
            )  # fmt: skip
            changed += bool(done.computed or done.dropped)
        except Conflict:
            continue  # another process refreshes it now
        except NotFound:  # the view was deleted
            await asyncio.to_thread(materialised.drop, folder, state.id)
        except HealthBrainError as error:
            if error.message != state.problem:
                log.warning("the materialised view %s cannot be refreshed: %s", state.id, error.message)
                await asyncio.to_thread(materialised.note_problem, folder, state.id, error.message)
    return changed


async def definition_of(platform: Platform, reference: str) -> Mapping[str, Any]:
    """The definition of a stored view or one of the libraries. Raises NotFound, Gone."""
    async with platform.pool.connection() as connection:
        _, definition = await stored.resolve(connection, reference)
    return definition


def sweep_runs(folder: Path, at: datetime) -> None:
    """Remove what runs that were cut off have left."""
    before = (at - _RUNNING).timestamp()
    for one in folder.glob("run-*"):
        if one.stat().st_mtime < before:
            shutil.rmtree(one, ignore_errors=True)


def _pack(plain: Path) -> None:
    """Files of jobs lie gzip-packed."""
    with plain.open("rb") as source, gzip.open(plain.with_name(f"{plain.name}.gz"), "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)
    plain.unlink()
