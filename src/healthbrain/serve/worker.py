"""Background work of a running platform: the lake follows the change feed, measures follow the lake.

One process, a few lanes: jobs of one lane take turns, lanes do not wait for each other. Each job is idempotent and
resumable, so the process may be killed at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
    load_uploads,
    prune_feed,
    publish_measures,
    refresh_views,
    send_notifications,
    sweep_files,
    tidy_subscriptions,
)
from healthbrain.serve.process import die_with_parent, give_way, settle_memory
from healthbrain.settings import Settings, load

log = logging.getLogger("healthbrain.worker")


@dataclass(frozen=True, slots=True)
class Job:
    """Work to be done again and again; `run` says whether there may be more to do at once."""

    name: str
    every: timedelta
    run: Callable[[Platform], Awaitable[bool]]
    lane: str = "lake"


JOBS = (
    Job("lake", timedelta(seconds=2), follow_feed),
    Job("views", timedelta(seconds=10), refresh_views),
    Job("erasures", timedelta(seconds=5), finish_erasures),
    Job("lake compaction", timedelta(minutes=1), compact_lake),
    Job("search parameters", timedelta(seconds=2), index_parameters),
    Job("texts", timedelta(seconds=2), index_texts),
    Job("measures", timedelta(seconds=10), publish_measures),
    Job("catalogue", timedelta(minutes=1), count_catalogue),
    Job("feed", timedelta(hours=6), prune_feed),
    Job("export", timedelta(seconds=1), export, lane="export"),
    Job("view export", timedelta(seconds=1), export_views, lane="view export"),
    Job("import", timedelta(seconds=1), load_uploads, lane="import"),
    Job("events", timedelta(seconds=0.5), find_events, lane="events"),
    Job("notifications", timedelta(seconds=0.5), send_notifications, lane="notifications"),
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
        await asyncio.gather(*(_walk([job for job in JOBS if job.lane == lane], platform, stop) for lane in lanes))


async def _walk(jobs: Sequence[Job], platform: Platform, stop: asyncio.Event) -> None:
    """Do the jobs of one lane, each when it is due."""
    due = {job.name: platform.clock() for job in jobs}
    while not stop.is_set():
        for job in jobs:
            if platform.clock() >= due[job.name] and not stop.is_set():
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
