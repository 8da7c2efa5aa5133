"""From the change feed to events: which subscriptions want to know of a change.

The place in the feed and the events it led to are written in one transaction, so nothing is skipped and nothing noted
twice, wherever the worker is killed. A change is judged by what the resource is when it is looked at, a moment later:
versions that follow each other within that moment are one event. Each subscription sees with the scope of its owner.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from healthbrain.database import Connection, Pool
from healthbrain.errors import Forbidden, Gone
from healthbrain.exchange.notify import table
from healthbrain.exchange.notify.table import Subscription
from healthbrain.exchange.notify.wanted import Trigger
from healthbrain.scope import Action, Principal, Scope
from healthbrain.store import Change, Position, changes, latest
from healthbrain.store.streaming import found_among
from healthbrain.store.visibility import visible

Decide = Callable[[Connection, Principal, Action, str], Awaitable[Scope]]

_AT_ONCE = 1000
# who is in error goes on being counted: their events wait among the dead letters
_TOLD: tuple[table.State, ...] = ("active", "requested", "error")
_log = logging.getLogger(__name__)
_ADVANCE = "update subscription_feed set position = %s where position = %s"
_COUNT = "update subscription set events = events + %s where rid = %s returning events, state"
_NOTE = """
insert into subscription_event (subscription, number, type, id, kind, at, state, reason)
select %s, %s + n, t, i, k, a, %s, %s
from unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[]) with ordinality as u(t, i, k, a, n)"""


async def feed_position(connection: Connection) -> Position | None:
    """How far the feed was read; None before the first time."""
    row = await (await connection.execute("select position from subscription_feed")).fetchone()
    return Position.parse(row[0]) if row else None


async def evaluate(pool: Pool, decide: Decide) -> bool:
    """Note the events of the next changes; returns whether there may be more at once."""
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            return await _evaluate(connection, decide)
        finally:
            if not connection.broken:
                await connection.set_autocommit(False)


async def _evaluate(connection: Connection, decide: Decide) -> bool:
    position = await feed_position(connection)
    if position is None:
        await _start(connection)
        return False
    try:
        if await _nobody_asks(connection, position):
            return False
        found, after = await changes(connection, position, _AT_ONCE)
    except Gone:
        _log.error("the change feed does not reach back to where subscriptions stood; events in between are lost")
        await connection.execute("delete from subscription_feed")
        await _start(connection)
        return False
    if not found:
        return False
    subscriptions = await table.in_state(connection, *_TOLD)
    noted = [(one, await _events_of(connection, one, found, decide)) for one in subscriptions]
    async with connection.transaction():
        cursor = await connection.execute(_ADVANCE, (str(after), str(position)))
        if cursor.rowcount != 1:
            return True  # somebody else was quicker
        for one, wanted in noted:
            if wanted:
                await _note(connection, one, wanted)
    return len(found) == _AT_ONCE


async def _nobody_asks(connection: Connection, position: Position) -> bool:
    """Whether there is no subscription to tell of anything; then the feed need not be read, only passed.

    Where the feed ends is found out first: who subscribes after that misses nothing, who did before is seen.
    """
    if await table.in_state(connection, *_TOLD):
        return False
    end = await latest(connection)
    if end.epoch != position.epoch or await table.in_state(connection, *_TOLD):
        return False
    if end > position:
        await connection.execute(_ADVANCE, (str(end), str(position)))
    return True


async def _start(connection: Connection) -> None:
    position = await latest(connection)
    await connection.execute(
        "insert into subscription_feed (position) values (%s) on conflict do nothing", (str(position),)
    )


async def _events_of(
    connection: Connection, one: Subscription, found: Sequence[Change], decide: Decide
) -> list[Change]:
    kept: dict[int, Change] = {}
    for trigger in one.wanted.triggers:
        try:
            scope = one.narrowed(await decide(connection, one.eyes, "search", trigger.type))
        except Forbidden:
            continue
        for change in await _triggered(connection, one, trigger, found, scope):
            kept[change.rid] = change
    return sorted(kept.values(), key=lambda change: change.position)


async def _triggered(
    connection: Connection, one: Subscription, trigger: Trigger, found: Sequence[Change], scope: Scope
) -> list[Change]:
    last = {change.rid: change for change in found if change.type == trigger.type and change.kind in trigger.kinds}
    query = one.wanted.queries(trigger)
    gone = [
        change for change in last.values()
        if change.kind == "delete" and not query and visible(scope, change.owner, change.patient, change.type, "s")
    ]  # fmt: skip
    alive = [rid for rid, change in last.items() if change.kind != "delete"]
    if not alive:
        return gone
    matching = await found_among(connection, trigger.type, alive, query, scope=scope)
    return gone + [last[rid] for rid in matching]


async def _note(connection: Connection, one: Subscription, wanted: Sequence[Change]) -> None:
    row = await (await connection.execute(_COUNT, (len(wanted), one.rid))).fetchone()
    if row is None:
        return  # it was deleted meanwhile
    total, state = row
    dead = state in ("error", "off")
    times: list[datetime] = [change.at for change in wanted]
    values = (
        one.rid, total - len(wanted), "dead" if dead else "waiting", "the subscription was in error" if dead else "",
        [c.type for c in wanted], [c.id for c in wanted], [c.kind for c in wanted], times,
    )  # fmt: skip
    await connection.execute(_NOTE, values)
