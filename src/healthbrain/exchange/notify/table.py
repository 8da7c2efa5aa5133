"""The tables of subscriptions: their state, their events, their websocket tokens."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from healthbrain.database import Connection
from healthbrain.errors import NotFound, Unauthenticated
from healthbrain.exchange.notify.wanted import Wanted
from healthbrain.scope import Principal, Rule, Scope

State = Literal["requested", "active", "error", "off"]

AUTHOR = "subscriptions"  # who writes the status into the resource
BINDING = timedelta(minutes=5)  # a websocket token is good for

_COLUMNS = "s.rid, s.fhir_id, s.owner, s.rules, s.wanted, s.state, s.events, s.attempts, s.next_at, s.sent_at, s.error"
_PUT = """
insert into subscription (rid, fhir_id, owner, rules, wanted, state, next_at) values (%s, %s, %s, %s, %s, %s, %s)
on conflict (rid) do update set owner = excluded.owner, rules = excluded.rules, wanted = excluded.wanted,
    state = excluded.state, next_at = excluded.next_at, attempts = 0, error = ''"""
_FIND = f"select {_COLUMNS} from subscription s where s.fhir_id = %s"  # noqa: S608 - a constant column list
_IN = f"select {_COLUMNS} from subscription s where s.state = any(%s) order by s.rid"  # noqa: S608 - the same
_EVENTS = """
select number, type, id, kind, at, state, attempts, reason from subscription_event
where subscription = %s and number between %s and %s and (%s::text is null or state = %s) order by number limit %s"""
_REPLAY = """
update subscription_event set state = 'waiting', reason = ''
where subscription = %s and state = 'dead' and (%s::bigint is null or number = %s)"""
_BIND = "insert into subscription_binding (token, subscription, expires_at) values (%s, %s, %s)"
_BOUND = f"""
select {_COLUMNS} from subscription_binding b join subscription s on s.rid = b.subscription
where b.token = %s and b.expires_at > %s"""  # noqa: S608 - a constant column list
LAST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Subscription:
    """A row: what is wanted, and how it goes."""

    rid: int
    id: str
    owner: int
    rules: tuple[Rule, ...] | None
    wanted: Wanted
    state: State
    events: int
    attempts: int
    next_at: datetime
    sent_at: datetime | None
    error: str

    @property
    def eyes(self) -> Principal:
        """With whose rights it looks: those of the system of the organisation it belongs to."""
        return Principal(f"Subscription/{self.id}", "Subscription", "system", self.owner, "TREAT")

    def narrowed(self, scope: Scope) -> Scope:
        """A scope of these eyes, narrowed to what the author's application was granted."""
        return scope if self.rules is None else replace(scope, rules=self.rules)


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened that a subscription asks for."""

    number: int
    type: str
    id: str
    kind: str
    at: datetime
    state: str
    attempts: int
    reason: str


async def put(
    connection: Connection, rid: int, id_: str, owner: int, rules: Sequence[Rule] | None, wanted: Wanted, state: State,
    at: datetime,
) -> None:  # fmt: skip
    """Remember a subscription as it is wanted now."""
    kept = None if rules is None else json.dumps([asdict(rule) for rule in rules])
    await connection.execute(_PUT, (rid, id_, owner, kept, json.dumps(wanted.as_json()), state, at))


async def find(connection: Connection, id_: str) -> Subscription:
    """The subscription of a resource id. NotFound when there is none."""
    row = await (await connection.execute(_FIND, (id_,))).fetchone()
    if row is None:
        raise NotFound(f"there is no Subscription/{id_}")
    return of_row(row)


async def in_state(connection: Connection, *states: State) -> list[Subscription]:
    """All subscriptions in these states."""
    return [of_row(row) for row in await (await connection.execute(_IN, (list(states),))).fetchall()]


async def events(
    connection: Connection, rid: int, *, first: int = 1, last: int = LAST, state: str | None = None, count: int = 100
) -> list[Event]:
    """Events of a subscription by number."""
    rows = await (await connection.execute(_EVENTS, (rid, first, last, state, state, count))).fetchall()
    return [Event(*row) for row in rows]


async def dead_letters(connection: Connection, rid: int, *, first: int = 1, count: int = 100) -> list[Event]:
    """The events that could not be delivered."""
    return await events(connection, rid, first=first, state="dead", count=count)


async def replay(connection: Connection, rid: int, number: int | None = None) -> int:
    """Send dead events again, one or all; returns how many. A subscription in error is tried afresh."""
    cursor = await connection.execute(_REPLAY, (rid, number, number))
    if cursor.rowcount:
        await connection.execute(
            "update subscription set attempts = 0, next_at = now(), state = case when state = 'error' then 'requested' else state end where rid = %s",
            (rid,),
        )
    return cursor.rowcount


async def bind(connection: Connection, rid: int, at: datetime) -> tuple[str, datetime]:
    """A token with which a websocket is bound to a subscription, and until when it may be used."""
    token, until = secrets.token_urlsafe(32), at + BINDING
    await connection.execute("delete from subscription_binding where expires_at < %s", (at,))
    await connection.execute(_BIND, (_digest(token), rid, until))
    return token, until


async def bound(connection: Connection, token: str, at: datetime) -> Subscription:
    """The subscription of a binding token; raises Unauthenticated."""
    row = await (await connection.execute(_BOUND, (_digest(token), at))).fetchone()
    if row is None:
        raise Unauthenticated("the token is unknown or too old; ask $get-ws-binding-token for another one")
    return of_row(row)


def of_row(row: tuple[Any, ...]) -> Subscription:
    """A row as a value."""
    values = list(row)
    if values[3] is not None:
        values[3] = tuple(
            Rule(
                one["type"], one["may"], None if one["patients"] is None else tuple(one["patients"]),
                tuple((name, value) for name, value in one["where"]),
            )
            for one in values[3]
        )  # fmt: skip
    values[4] = Wanted.of_json(values[4])
    return Subscription(*values)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
