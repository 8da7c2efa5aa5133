"""The life cycle of a data set (数据集全生命周期): collected, cleaned, proposed, published, opened, withdrawn, archived, destroyed.

A data set is a view of the libraries. STEPS says which step leads from where to where. Every step is kept with who, when and why, and
with the evidence as it was at that moment: of collection the sources, their deliveries and rows; of cleaning what the rules of
quality found; of publication version, schema and conditions, approved by a second person; of opening who may read, what for, how long.
Once a data set was published its state decides who reads it: `admit` is asked at every run and export by its name. HUB-EX-10, HUB-EX-22.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from healthbrain import exchange
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.exchange import Filter
from healthbrain.lake import materialised
from healthbrain.lake.library import View
from healthbrain.lake.stored import library_id
from healthbrain.runtime import catalogue
from healthbrain.runtime.platform import Platform
from healthbrain.scope import Principal

State = Literal["", "collected", "cleaned", "proposed", "published", "opened", "withdrawn", "archived", "destroyed"]
Act = Literal[
    "collect", "clean", "propose", "return", "publish", "subscribe", "end", "withdraw", "archive", "destroy"
]  # fmt: skip
Kind = Literal["organisation", "token", "application"]

_OPEN: tuple[State, ...] = ("published", "opened")
# step -> (states from which it is taken, state that it leads to)
STEPS: Mapping[Act, tuple[tuple[State, ...], State]] = {
    "collect": (("", "collected", "cleaned", "withdrawn", "archived"), "collected"),
    "clean": (("collected", "cleaned"), "cleaned"),
    "propose": (("cleaned",), "proposed"),
    "return": (("proposed",), "cleaned"),
    "publish": (("proposed",), "published"),
    "subscribe": (_OPEN, "opened"),
    "end": (_OPEN, "opened"),
    "withdraw": (_OPEN, "withdrawn"),
    "archive": (("withdrawn",), "archived"),
    "destroy": (("archived",), "destroyed"),
}
_DELIVERIES = timedelta(days=30)  # before a collection
_LONGEST = timedelta(days=3660)
_STEP = """
insert into dataset_step (dataset, act, state, at, by, reason, evidence) values (%s, %s, %s, %s, %s, %s, %s) returning id"""
_NOW = """
insert into dataset (id, state, governed, by_subscription, step) values (%(id)s, %(state)s, %(governed)s, %(mode)s, %(step)s)
on conflict (id) do update set state = excluded.state, governed = excluded.governed,
    by_subscription = excluded.by_subscription, step = excluded.step"""
_SUBSCRIBED = """
select exists (select from dataset_subscription where dataset = %(dataset)s and ended_at is null and until_at > %(at)s and (
    (kind = 'organisation' and organisation = %(organisation)s)
    or (kind = 'token' and %(system)s and subscriber = %(account)s and organisation = %(organisation)s)
    or (kind = 'application' and subscriber = %(client)s)))"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was taken."""

    id: int
    act: Act
    state: State
    at: datetime
    by: str
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who may read a data set."""

    id: int
    kind: Kind
    subscriber: str
    purpose: str
    until_at: datetime
    granted_at: datetime
    granted_by: str
    ended_at: datetime | None
    ended_by: str | None

    def holds(self, at: datetime) -> bool:
        """Whether it opens the data set at this moment."""
        return self.ended_at is None and self.until_at > at


@dataclass(frozen=True, slots=True)
class Life:
    """Where a data set is, how it came there, and who may read it."""

    state: State
    governed: bool
    by_subscription: bool
    steps: tuple[Step, ...]
    subscriptions: tuple[Subscription, ...]

    def possible(self) -> tuple[Act, ...]:
        """The steps that can be taken now."""
        return tuple(act for act, (before, _) in STEPS.items() if self.state in before)


@dataclass(frozen=True, slots=True)
class Who:
    """Who takes a step, when and why."""

    name: str
    at: datetime
    reason: str


async def life(connection: Connection, view: View) -> Life:
    """The life of a data set so far, newest step first."""
    id_ = library_id(view)
    row = await (
        await connection.execute("select state, governed, by_subscription from dataset where id = %s", (id_,))
    ).fetchone()
    steps = await connection.execute(
        "select id, act, state, at, by, reason, evidence from dataset_step where dataset = %s order by id desc", (id_,)
    )
    subscriptions = await connection.execute(
        "select id, kind, subscriber, purpose, until_at, granted_at, granted_by, ended_at, ended_by "
        "from dataset_subscription where dataset = %s order by id desc",
        (id_,),
    )
    return Life(
        row[0] if row else "", bool(row and row[1]), bool(row and row[2]),
        tuple([Step(*one) for one in await steps.fetchall()]),
        tuple([Subscription(*one) for one in await subscriptions.fetchall()]),
    )  # fmt: skip


async def states(connection: Connection) -> dict[str, State]:
    """The state of every data set that has one, by the view's id as a resource."""
    return dict(await (await connection.execute("select id, state from dataset")).fetchall())


async def collect(connection: Connection, view: View, tree: Tree, who: Who) -> None:
    """Take down which sources it comes from, what they delivered lately, and how many rows there are."""
    before = await _begun(connection, view, "collect", who)
    mine = (await catalogue.counted(connection)).get(view.id)
    if mine is None:
        raise Conflict("the view has not been counted yet; the worker does so when data have come")
    delivered: dict[int, list[int]] = {}
    for one in await exchange.summary(connection, Filter(since=who.at - _DELIVERIES)):
        if one.organisation is not None:
            sums = delivered.setdefault(one.organisation, [0, 0])
            sums[0] += one.total
            sums[1] += one.refused
    sources = [
        {"organisation": tree.name(key), "rows": rows, "deliveries": sums[0], "refused": sums[1]}
        for key, rows in mine.owners
        for sums in (delivered.get(key, [0, 0]),)
    ]
    await _taken(connection, view, "collect", who, before, {
        "rows": mine.rows, "as_of": mine.as_of.isoformat(), "newest": mine.newest.isoformat() if mine.newest else "",
        "delivery_days": _DELIVERIES.days, "sources": sources,
    })  # fmt: skip


async def clean(connection: Connection, view: View, who: Who) -> None:
    """Take down what the rules of quality found when the view was counted last."""
    before = await _begun(connection, view, "clean", who)
    mine = (await catalogue.counted(connection)).get(view.id)
    if mine is None or not mine.checks:
        raise Conflict("the quality of the view has not been assessed yet; the worker does so when data have come")
    rules = [
        {"kind": rule.kind, "column": rule.column, "title": dict(rule.title),
         "total": mine.checks[number].total, "failed": mine.checks[number].failed}
        for number, rule in enumerate(view.rules) if number in mine.checks
    ]  # fmt: skip
    shape = [[rule.kind, rule.column, str(rule)] for rule in view.rules]
    evidence = {
        "assessed_at": mine.counted_at.isoformat(),
        "rows": mine.rows,
        "rules_version": _digest(shape),
        "rules": rules,
    }
    await _taken(connection, view, "clean", who, before, evidence)


async def propose(
    connection: Connection, view: View, who: Who, *, version: str, conditions: str, by_subscription: bool
) -> None:
    """Ask for its publication under a version, with the conditions of its use."""
    if not version.strip() or not conditions.strip():
        raise Incorrect("a publication has a version and conditions of use")
    before = await _begun(connection, view, "propose", who)
    if any(one.act == "publish" and one.evidence["version"] == version.strip() for one in before.steps):
        raise Conflict("this version was published before; give the new one its own")
    evidence = {
        "version": version.strip()[:50], "conditions": conditions.strip()[:2000], "by_subscription": by_subscription,
        "schema": schema_digest(view), "columns": [one.name for one in view.columns],
    }  # fmt: skip
    await _taken(connection, view, "propose", who, before, evidence)


async def publish(connection: Connection, view: View, who: Who) -> None:
    """Approve what another person proposed; from now on the state decides who reads it."""
    before = await _begun(connection, view, "publish", who)
    asked = before.steps[0]
    if asked.by == who.name:
        raise Forbidden("who proposed the publication cannot approve it; a second person does")
    if asked.evidence["schema"] != schema_digest(view):
        raise Conflict("the view has changed since it was proposed; return it and propose it again")
    evidence = {**asked.evidence, "proposed_by": asked.by, "proposed_at": asked.at.isoformat()}
    await _taken(
        connection, view, "publish", who, before, evidence, governed=True, mode=bool(asked.evidence["by_subscription"])
    )


async def turn(connection: Connection, view: View, act: Act, who: Who) -> None:
    """Return a proposal, or archive what was withdrawn."""
    if act not in ("return", "archive"):
        raise Incorrect("there is no such step")
    before = await _begun(connection, view, act, who)
    newest = {one.act: one.id for one in reversed(before.steps)}
    mine = (await catalogue.counted(connection)).get(view.id)
    evidence = {"rows": mine.rows if mine else None, "schema": schema_digest(view), "steps": newest}
    await _taken(connection, view, act, who, before, evidence)


async def subscribe(
    connection: Connection, view: View, tree: Tree, who: Who, *, kind: str, subscriber: str, until: datetime
) -> None:
    """Open it to an organisation, a token (`organisation code/token name`) or an application; the reason says what for."""
    before = await _begun(connection, view, "subscribe", who)
    if not who.at < until <= who.at + _LONGEST:
        raise Incorrect("a subscription ends on a day to come, ten years from now at most")
    subscriber = subscriber.strip()
    organisation: int | None = None
    if kind in ("organisation", "token"):
        code, _, account = subscriber.partition("/")
        node = tree.by_code(code)
        if node is None or (kind == "token") != bool(account):
            raise Incorrect("name an organisation by its code, a token as organisation code/token name")
        organisation, subscriber = node.key, account or code
    elif kind != "application" or not subscriber:
        raise Incorrect("a subscriber is an organisation, a token or an application")
    await connection.execute(
        "insert into dataset_subscription (dataset, kind, subscriber, organisation, purpose, until_at, granted_at, granted_by) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (library_id(view), kind, subscriber, organisation, who.reason, until, who.at, who.name),
    )
    evidence = {"kind": kind, "subscriber": subscriber, "until": until.isoformat()}
    await _taken(connection, view, "subscribe", who, before, evidence)


async def end(connection: Connection, view: View, number: int, who: Who) -> None:
    """End a subscription before its time."""
    before = await _begun(connection, view, "end", who)
    one = next((one for one in before.subscriptions if one.id == number and one.ended_at is None), None)
    if one is None:
        raise NotFound("there is no such subscription, or it has ended")
    await _end(connection, view, who, number)
    left = any(other.holds(who.at) for other in before.subscriptions if other.id != number)
    evidence = {"kind": one.kind, "subscriber": one.subscriber}
    await _taken(connection, view, "end", who, before, evidence, state="opened" if left else "published")


async def withdraw(connection: Connection, view: View, who: Who) -> None:
    """Nobody reads it any more; all subscriptions end."""
    before = await _begun(connection, view, "withdraw", who)
    ended = [one.subscriber for one in before.subscriptions if one.holds(who.at)]
    await _end(connection, view, who)
    await _taken(connection, view, "withdraw", who, before, {"ended": ended})


async def destroy(platform: Platform, connection: Connection, view: View, who: Who) -> None:
    """Remove the copy that was kept of it; by another person than who archived it. Its steps stay, and the records it was made of."""
    before = await _begun(connection, view, "destroy", who)
    if before.steps[0].by == who.name:
        raise Forbidden("who archived the data set cannot destroy it; a second person does")
    folder, kept = platform.settings.lake, False
    with suppress(NotFound):
        await asyncio.to_thread(materialised.load, folder, library_id(view))
        await asyncio.to_thread(materialised.drop, folder, library_id(view))
        kept = True
    await _taken(connection, view, "destroy", who, before, {"copy_removed": kept, "archived_by": before.steps[0].by})


async def admit(connection: Connection, id_: str, who: Principal, at: datetime) -> None:
    """Let `who` read the data set of this name, as far as its life cycle goes. Raises Forbidden."""
    row = await (
        await connection.execute("select state, by_subscription from dataset where id = %s and governed", (id_,))
    ).fetchone()
    if row is None:
        return  # never published: what the requester's scope shows
    if row[0] not in _OPEN:
        raise Forbidden("the data set is withdrawn; ask who publishes it")
    if not row[1]:
        return
    values = {
        "dataset": id_, "at": at, "organisation": who.organisation, "system": who.role == "system",
        "account": who.account, "client": who.grant.client if who.grant else "",
    }  # fmt: skip
    found = await (await connection.execute(_SUBSCRIBED, values)).fetchone()
    if not (found and found[0]):
        raise Forbidden("the data set is read by subscription, and you have none in force; ask who publishes it")


def schema_digest(view: View) -> str:
    """SHA-256 of the definition that makes the rows: columns and conditions."""
    return _digest(dict(view.definition))


async def _begun(connection: Connection, view: View, act: Act, who: Who) -> Life:
    """The life so far, locked until the transaction ends. Raises Conflict when the step cannot be taken from there."""
    if not who.reason.strip():
        raise Incorrect("say why; the reason is kept with the step")
    await connection.execute("select pg_advisory_xact_lock(hashtext('dataset'), hashtext(%s))", (library_id(view),))
    before = await life(connection, view)
    if before.state not in STEPS[act][0]:
        raise Conflict("the data set is in another state; open the page again")
    return before


async def _taken(
    connection: Connection, view: View, act: Act, who: Who, before: Life, evidence: Mapping[str, Any], *,
    state: State = "", governed: bool = False, mode: bool | None = None,
) -> None:  # fmt: skip
    after, id_ = state or STEPS[act][1], library_id(view)
    text = json.dumps(evidence, ensure_ascii=False)
    values = (id_, act, after, who.at, who.name, who.reason.strip()[:500], text)
    row = await (await connection.execute(_STEP, values)).fetchone()
    if row is None:
        raise Conflict("the step was not kept")
    mode = before.by_subscription if mode is None else mode
    now = {"id": id_, "state": after, "governed": governed or before.governed, "mode": mode, "step": row[0]}
    await connection.execute(_NOW, now)


async def _end(connection: Connection, view: View, who: Who, number: int | None = None) -> None:
    await connection.execute(
        "update dataset_subscription set ended_at = %s, ended_by = %s "
        "where dataset = %s and ended_at is null and coalesce(id = %s, true)",
        (who.at, who.name, library_id(view), number),
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
