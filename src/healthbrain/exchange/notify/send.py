"""Sending: handshakes, notifications and heartbeats to rest-hooks, each subscription in the order of its events.

At least once: an event is noted as sent after the endpoint's 2xx; a worker killed in between sends it again, with the
same number. What fails is tried again, longer and longer apart; after the last attempt the waiting events become dead
letters and the subscription goes into error, until somebody writes it again or replays them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from healthbrain import audit
from healthbrain.database import Connection, Pool
from healthbrain.errors import HealthBrainError
from healthbrain.exchange.notify import table
from healthbrain.exchange.notify.evaluate import Decide
from healthbrain.exchange.notify.notifications import event_bundle, events_bundle
from healthbrain.exchange.notify.table import Event, Subscription
from healthbrain.exchange.notify.wanted import check_endpoint
from healthbrain.fhir import dump
from healthbrain.store import Store, Write, WriteContext

ATTEMPTS = 8  # 1 + 2 + 4 … 128 s: an endpoint may be away for four minutes
KEPT = timedelta(days=7)  # events, sent or dead
_AT_ONCE = 8  # endpoints
_LONGEST_WAIT = 300
_log = logging.getLogger(__name__)
_DUE = """
select rid from subscription s where s.state in ('requested', 'active') and s.next_at <= %(at)s and (
    s.state = 'requested'
    or s.wanted ->> 'channel' = 'rest-hook' and (
        exists (select from subscription_event e where e.subscription = s.rid and e.state = 'waiting')
        or (s.wanted ->> 'heartbeat')::int > 0
            and s.sent_at + make_interval(secs => (s.wanted ->> 'heartbeat')::int) <= %(at)s))"""
_SENT = (
    "update subscription_event set state = 'sent', attempts = attempts + 1 where subscription = %s and number = any(%s)"
)
_TRIED = "update subscription_event set attempts = attempts + 1 where subscription = %s and number = any(%s)"
_DEAD = "update subscription_event set state = 'dead', reason = %s where subscription = %s and state = 'waiting'"
_WENT_WELL = "update subscription set attempts = 0, next_at = %s, sent_at = %s, state = 'active', error = '' where rid = %s and state in ('requested', 'active')"
_WENT_WRONG = "update subscription set attempts = attempts + 1, next_at = %s, error = %s where rid = %s"
_GIVEN_UP = "update subscription set state = 'error', error = %s where rid = %s and state in ('requested', 'active')"


@dataclass(frozen=True, slots=True)
class Post:
    """What sending needs. `base` is our FHIR base URL as subscribers know it."""

    pool: Pool
    store: Store
    decide: Decide
    clock: Callable[[], datetime]
    hosts: str
    base: str


async def deliver(post: Post) -> bool:
    """Send what is due; returns whether there may be more at once."""
    async with post.pool.connection() as connection:
        due = {row[0] for row in await (await connection.execute(_DUE, {"at": post.clock()})).fetchall()}
        waiting = [one for one in await table.in_state(connection, "requested", "active") if one.rid in due]
    if not waiting:
        return False
    gangway = asyncio.Semaphore(_AT_ONCE)
    limits = httpx.Limits(max_connections=_AT_ONCE)
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=limits) as client:

        async def turn(one: Subscription) -> bool:
            async with gangway:
                return await _Turn(post, client, one).take()

        return any(await asyncio.gather(*(turn(one) for one in waiting)))


async def mark_sent(
    connection: Connection, one: Subscription, events: Sequence[Event], patients: set[int], at: datetime
) -> None:
    """Note that these events were delivered, and whose records went out."""
    await connection.execute(_SENT, (one.rid, [event.number for event in events]))
    await connection.execute(_WENT_WELL, (at, at, one.rid))
    if patients:
        event = audit.Event.of(
            one.eyes, at, "R", "Subscription", one.id, patients=patients, interaction="operation",
            detail=f"notification of {len(events)} events",
        )  # fmt: skip
        await audit.record(connection, [event])


async def tidy(pool: Pool, at: datetime) -> None:
    """Forget events of long ago."""
    async with pool.connection() as connection:
        await connection.execute("delete from subscription_event where at < %s", (at - KEPT,))
        await connection.execute("delete from subscription_binding where expires_at < %s", (at,))


class _Turn:
    """One subscription's turn."""

    def __init__(self, post: Post, client: httpx.AsyncClient, one: Subscription) -> None:
        self._post = post
        self._client = client
        self._one = one

    async def take(self) -> bool:
        if self._one.state == "requested":
            return await self._handshake()
        async with self._post.pool.connection() as connection:
            events = await table.events(connection, self._one.rid, state="waiting", count=self._one.wanted.most)
        if not events:
            await self._heartbeat()
            return False
        return await self._notify(events)

    async def _handshake(self) -> bool:
        one = replace(self._one, error="")
        if one.wanted.channel == "rest-hook":
            wrong = await self._send(event_bundle(one, "handshake", self._post.base, self._post.clock()))
            if wrong:
                await self._failed(wrong, [])
                return False
        at = self._post.clock()
        async with self._post.pool.connection() as connection:
            await connection.execute(_WENT_WELL, (at, at, one.rid))
            await self._say(connection, "active", "")
        return True

    async def _heartbeat(self) -> None:
        wrong = await self._send(event_bundle(self._one, "heartbeat", self._post.base, self._post.clock()))
        if wrong:
            await self._failed(wrong, [])
            return
        at = self._post.clock()
        async with self._post.pool.connection() as connection:
            await connection.execute(_WENT_WELL, (at, at, self._one.rid))

    async def _notify(self, events: Sequence[Event]) -> bool:
        async with self._post.pool.connection() as connection:
            bundle, patients = await events_bundle(
                connection, self._one, events, self._post.decide, base=self._post.base, at=self._post.clock()
            )
        wrong = await self._send(bundle)
        if wrong:
            await self._failed(wrong, events)
            return False
        async with self._post.pool.connection() as connection:
            await mark_sent(connection, self._one, events, patients, self._post.clock())
        return True

    async def _send(self, bundle: dict[str, Any]) -> str:
        """Post it; returns what went wrong, '' for nothing."""
        wanted = self._one.wanted
        headers = {**dict(wanted.headers), "content-type": "application/fhir+json"}
        try:
            check_endpoint(wanted.endpoint, self._post.hosts)  # the operator may have changed their mind
            async with asyncio.timeout(wanted.timeout):
                answer = await self._client.post(
                    wanted.endpoint, content=dump(bundle), headers=headers, timeout=wanted.timeout
                )
        except HealthBrainError as error:
            return error.message
        except TimeoutError:
            return f"the endpoint did not answer in {wanted.timeout} s"
        except httpx.HTTPError as error:
            return f"the endpoint could not be reached ({type(error).__name__})"
        return "" if answer.is_success else f"the endpoint answered {answer.status_code}"

    async def _failed(self, wrong: str, events: Sequence[Event]) -> None:
        one, at = self._one, self._post.clock()
        _log.warning("Subscription/%s: %s", one.id, wrong)
        async with self._post.pool.connection() as connection:
            await connection.execute(_TRIED, (one.rid, [event.number for event in events]))
            wait = timedelta(seconds=min(2**one.attempts, _LONGEST_WAIT))
            await connection.execute(_WENT_WRONG, (at + wait, wrong, one.rid))
            if one.attempts + 1 >= ATTEMPTS:
                await connection.execute(_DEAD, (wrong, one.rid))
                await connection.execute(_GIVEN_UP, (wrong, one.rid))
                await self._say(connection, "error", wrong)

    async def _say(self, connection: Connection, status: str, error: str) -> None:
        """Write the status into the resource, unless somebody changes it at this moment: then theirs counts."""
        one = self._one
        context = WriteContext(one.owner, self._post.clock(), author=table.AUTHOR)
        try:
            async with connection.transaction():
                stored = await self._post.store.read(connection, "Subscription", one.id)
                resource = {name: value for name, value in stored.resource.items() if name != "error"}
                resource["status"] = status
                if error:
                    resource["error"] = error
                write = Write("update", "Subscription", one.id, resource, stored.version)
                await self._post.store.write(connection, [write], context)
        except HealthBrainError as clash:
            _log.info("Subscription/%s: status not written: %s", one.id, type(clash).__name__)
