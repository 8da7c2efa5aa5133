"""Background work, one function a job. Each is idempotent: it may be cut off and run again at any moment.

A job returns whether there may be more to do at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta, timezone

from healthbrain import exchange, identity, lake, measure
from healthbrain.database import Connection
from healthbrain.errors import Conflict
from healthbrain.exchange import bulkdata, notify
from healthbrain.exchange.bulkdata import Desk
from healthbrain.lake import Lake
from healthbrain.measure import DeliveryDay, supervision
from healthbrain.runtime import catalogue, erasure, models, monitors, views, warehouse
from healthbrain.runtime.lakes import retention
from healthbrain.runtime.pace import Pace
from healthbrain.runtime.platform import Platform
from healthbrain.store import Position, prune
from healthbrain.store.texts import text_position

log = logging.getLogger("healthbrain.worker")

_CHINA = timezone(timedelta(hours=8))
_NIGHT = range(1, 5)  # hours
_WASTE = 0.2  # share of superseded rows from which the lake is rewritten
_RUN = 200_000  # changes that one run takes into the lake
_measuring = Pace()  # of this process
_COVERAGE_DAYS = 7  # an institution counts as connected if it delivered within them (HUB-EX-11)


async def follow_feed(platform: Platform) -> bool:
    """Bring the lake up to the store."""
    try:
        progress = await lake.sync(
            platform.pool, platform.settings.lake, platform.clock(),
            persons=identity.links, most=_RUN, keep=retention(platform.settings),
        )  # fmt: skip
    except Conflict:
        return False  # somebody else writes it now (a rebuild)
    return not progress.caught_up


async def finish_erasures(platform: Platform) -> bool:
    """Take what was erased out of the lake too."""
    await erasure.finish(platform)
    return False


async def compact_lake(platform: Platform) -> bool:
    """Take superseded rows off the disk when they are many, at night; erased ones at once."""
    folder = platform.settings.lake
    night = platform.clock().astimezone(_CHINA).hour in _NIGHT
    if Lake(folder).state().erased or (night and lake.waste(folder) > _WASTE):
        with contextlib.suppress(Conflict):  # somebody else writes it now; the next turn comes
            await asyncio.to_thread(lake.compact, folder, platform.clock(), keep=retention(platform.settings))
    return False


async def rebuild_themes(platform: Platform) -> bool:
    """Make the theme libraries anew from the base libraries when the lake has moved, and the models that read them."""
    with contextlib.suppress(Conflict):  # somebody does it by hand now
        await warehouse.rebuild_themes(platform)
    await models.compute_models(platform)
    return False


async def count_catalogue(platform: Platform) -> bool:
    """Count the views of the libraries when the lake has moved."""
    await catalogue.count_views(platform)
    return False


async def refresh_views(platform: Platform) -> bool:
    """Bring the materialised views up to the lake."""
    await views.refresh_kept(platform)
    return False


async def publish_measures(platform: Platform) -> bool:
    """Compute the measures anew if the lake, the day, the definitions or entered values have moved since they were published."""
    reader = Lake(platform.settings.lake)
    at, position = platform.clock(), reader.state().position
    async with platform.pool.connection() as connection:
        mark = f"{position} {await measure.mark(connection, at)}"
        if not position or mark == await published_position(connection) or not _measuring.due(mark, at):
            return False
        deliveries = await delivery_days(platform, connection)
    try:
        done = await measure.refresh(
            platform.pool, reader, at, deliveries=deliveries, cluster=platform.settings.cluster
        )
    except Conflict:
        return False  # another process computes them now
    async with platform.pool.connection() as connection:
        await note_published(connection, mark)
    _measuring.done(at, platform.clock())
    log.info(
        "%d measures published as of lake position %s in %.1f s (%s)", len(done.measures), position, done.seconds,
        "everything" if done.everything else f"{done.changed} resources, {done.persons} persons",
    )  # fmt: skip
    return False


async def delivery_days(platform: Platform, connection: Connection) -> list[DeliveryDay]:
    """What each institution delivered on each of the last days."""
    since = platform.clock() - timedelta(days=_COVERAGE_DAYS)
    days = await exchange.summary(connection, exchange.Filter(since=since))
    return [
        DeliveryDay(one.organisation, one.day, one.accepted + one.partly, one.refused)
        for one in days
        if one.organisation is not None
    ]


async def index_parameters(platform: Platform) -> bool:
    """Index older resources for search parameters that were added."""
    async with platform.pool.connection() as connection:
        return await platform.store.reindex(connection)


async def index_texts(platform: Platform) -> bool:
    """Bring the words for text search up to the change feed."""
    return await platform.store.index_texts(platform.pool)


async def escalate_tasks(platform: Platform) -> bool:
    """Raise what units have not answered in time."""
    async with platform.pool.connection() as connection:
        await supervision.escalate(connection, platform.clock())
    return False


async def judge_monitors(platform: Platform) -> bool:
    """Judge saved questions with a threshold when they are new, once a day, and when the lake has moved."""
    async with platform.pool.connection() as connection:
        published = await published_position(connection)
    return await monitors.judge_due(platform, published) == monitors.AT_ONCE


async def prune_feed(platform: Platform) -> bool:
    """Forget changes that every follower has passed: the lake, texts, subscriptions, and exports that others may follow."""
    position = Lake(platform.settings.lake).state().position
    if position:
        async with platform.pool.connection() as connection:
            upto = Position.parse(position)
            for other in (
                await notify.feed_position(connection),
                await bulkdata.feed_position(connection),
                await text_position(connection),
            ):
                if other is not None and other.epoch == upto.epoch:
                    upto = min(upto, other)
            await connection.commit()  # the feed is pruned outside a transaction
            await prune(connection, upto)
    return False


async def export(platform: Platform) -> bool:
    """Work on the next export that somebody asked for."""
    return await bulkdata.work_export(desk(platform))


async def export_views(platform: Platform) -> bool:
    """Work on the next export of views that somebody asked for."""
    return await views.export_views(platform, desk(platform))


async def load_uploads(platform: Platform) -> bool:
    """Work on the next import that somebody asked for."""
    return await bulkdata.work_import(desk(platform), platform.observers)


async def sweep_files(platform: Platform) -> bool:
    """Remove the files of exports that nobody will fetch any more."""
    await bulkdata.sweep(platform.pool, platform.settings.data / "export", platform.clock())
    await asyncio.to_thread(views.sweep_runs, platform.settings.data / "runs", platform.clock())
    return False


async def find_events(platform: Platform) -> bool:
    """Find what subscribers want to know in what has changed."""
    return await notify.evaluate(platform.pool, platform.decide)


async def send_notifications(platform: Platform) -> bool:
    """Tell subscribers what waits for them."""
    return await notify.deliver(post(platform))


async def tidy_subscriptions(platform: Platform) -> bool:
    """Forget events of long ago."""
    await notify.tidy(platform.pool, platform.clock())
    return False


def post(platform: Platform) -> notify.Post:
    """What notifications are sent with."""
    settings = platform.settings
    base = (settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}") + "/fhir"
    return notify.Post(
        platform.pool, platform.store, platform.decide, platform.clock, settings.subscription_hosts, base
    )


def desk(platform: Platform) -> Desk:
    """What bulk jobs are worked on with."""
    return Desk(platform.pool, platform.settings.data / "export", platform.decide, platform.clock)


async def published_position(connection: Connection) -> str:
    """What the published measures were computed from; '' when there are none."""
    row = await (await connection.execute("select position from measures_published")).fetchone()
    return str(row[0]) if row else ""


async def note_published(connection: Connection, position: str) -> None:
    """Remember what the measures were computed from."""
    await connection.execute(
        "insert into measures_published (position) values (%s) on conflict (only_one) do update "
        "set position = excluded.position, at = now()",
        (position,),
    )
