"""Background work of a running platform: the lake follows the change feed, measures follow the lake.

One process, a few lanes: jobs of one lane take turns, lanes do not wait for each other. Each job is idempotent and
resumable, so the process may be killed at any moment. What nobody waits for is put off while the doors are busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import (
    compact_lake,
    count_catalogue,
    escalate_tasks,
    export,
    export_views,
    find_events,
    finish_erasures,
    follow_feed,
    index_parameters,
    index_texts,
    judge_monitors,
    load_uploads,
    prune_feed,
    publish_measures,
    rebuild_themes,
    refresh_views,
    send_notifications,
    sweep_files,
    tidy_subscriptions,
)
from healthbrain.serve.calm import Doors
from healthbrain.serve.process import die_with_parent, give_way, settle_memory
from healthbrain.settings import Settings, load

log = logging.getLogger("healthbrain.worker")


@dataclass(frozen=True, slots=True)
class Job:
    """Work to be done again and again; `run` says whether there may be more to do at once.

    It is begun when the doors have been calm for `calm` seconds, at the latest `patience` after it was due.
    """

    name: str
    every: timedelta
    run: Callable[[Platform], Awaitable[bool]]
    lane: str = "lake"
    calm: float = 0.0
    patience: timedelta = timedelta(0)

    def may_begin(self, waited: timedelta, doors: Doors) -> bool:
        """Whether to begin it, so long after it was due (less than nothing: before)."""
        return waited >= timedelta(0) and (waited >= self.patience or doors.calm_for() >= self.calm)


JOBS = (
    Job("lake", timedelta(seconds=2), follow_feed, calm=1, patience=timedelta(seconds=20)),
    Job("views", timedelta(seconds=10), refresh_views, calm=2, patience=timedelta(minutes=2)),
    Job("erasures", timedelta(seconds=5), finish_erasures),
    Job("lake compaction", timedelta(minutes=1), compact_lake, calm=10, patience=timedelta(minutes=30)),
    Job("search parameters", timedelta(seconds=2), index_parameters),
    Job("texts", timedelta(seconds=2), index_texts, calm=1, patience=timedelta(seconds=20)),
    Job("measures", timedelta(seconds=10), publish_measures, calm=3, patience=timedelta(minutes=3)),
    Job("themes", timedelta(minutes=1), rebuild_themes, calm=5, patience=timedelta(minutes=10)),
    Job("catalogue", timedelta(minutes=1), count_catalogue, calm=5, patience=timedelta(minutes=10)),
    Job("feed", timedelta(hours=6), prune_feed),
    Job("export", timedelta(seconds=1), export, lane="export"),
    Job("view export", timedelta(seconds=1), export_views, lane="view export"),
    Job("import", timedelta(seconds=1), load_uploads, lane="import"),
    Job("events", timedelta(seconds=0.5), find_events, lane="events"),
    Job("notifications", timedelta(seconds=0.5), send_notifications, lane="notifications"),
    Job("monitors", timedelta(minutes=1), judge_monitors, lane="monitors", calm=5, patience=timedelta(minutes=10)),
    Job("overdue tasks", timedelta(minutes=10), escalate_tasks, lane="events"),
    Job("subscriptions", timedelta(hours=1), tidy_subscriptions, lane="events"),
    Job("sweep", timedelta(minutes=10), sweep_files, lane="export"),
)


async def run(settings: Settings) -> None:
    """Work until SIGTERM; a job under way is finished first."""
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    async with Platform(settings) as platform:
        settle_memory()
        lanes = dict.fromkeys(job.lane for job in JOBS)
        doors = Doors(os.getppid(), os.getpid())
        await asyncio.gather(
            *(_walk([job for job in JOBS if job.lane == lane], platform, doors, stop) for lane in lanes)
        )


async def _walk(jobs: Sequence[Job], platform: Platform, doors: Doors, stop: asyncio.Event) -> None:
    """Do the jobs of one lane, each when its time has come."""
    due = {job.name: platform.clock() for job in jobs}
    while not stop.is_set():
        for job in jobs:
            if job.may_begin(platform.clock() - due[job.name], doors) and not stop.is_set():
                due[job.name] = await _next_run(job, platform)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)


async def _next_run(job: Job, platform: Platform) -> datetime:
    """Run a job; a failure is logged and tried again later, it never ends the worker."""
    try:
        more = await job.run(platform)
    except Exception:
        log.exception("job %s failed; it is tried again in 10 s", job.name)
        return platform.clock() + timedelta(seconds=10)
    return platform.clock() if more else platform.clock() + job.every


def main() -> None:
    """Process entry."""
    die_with_parent(signal.SIGTERM)
    give_way()  # what is derived can follow a little later
    settings = load()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
