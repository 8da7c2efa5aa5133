"""The table of bulk jobs: asked for by a request, worked on in the background, picked up by their requester.

A job is taken under an advisory lock of its organisation that lives as long as the worker's connection: one job of a
kind at a time for each tenant, and a job whose worker was killed is free again at once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from healthbrain.database import Connection, Pool
from healthbrain.errors import Busy, HealthBrainError, NotFound, operation_outcome
from healthbrain.scope import Grant, Principal, Rule
from healthbrain.store import Position
from healthbrain.store.streaming import Snapshot

Kind = Literal["export", "import", "view"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]

KEPT = timedelta(hours=24)  # results and files after the job ended
REMEMBERED = timedelta(days=8)  # transaction times of exports, so that the next one can begin exactly there
ATTEMPTS = 5  # a job that fails by our fault this often is given up
MOST_WAITING = 20  # jobs of one organisation that are not done yet
_LOCKS = {"export": 0x48420301, "import": 0x48420302, "view": 0x48420303}

_COLUMNS = "id, kind, organisation, account, principal, base, request, wish, state, asked_at, ended_at, attempts, progress, transaction_at, result, error"
_ADD = """
insert into bulk_job (id, kind, organisation, account, principal, base, request, wish, asked_at)
select %(id)s, %(kind)s, %(organisation)s, %(account)s, %(principal)s, %(base)s, %(request)s, %(wish)s, %(at)s
where (select count(*) from bulk_job where organisation = %(organisation)s and state in ('waiting', 'running')) < %(most)s"""
_ONE = f"select {_COLUMNS} from bulk_job where id = %s"  # noqa: S608 - a constant column list
_OPEN = "select id, organisation from bulk_job where kind = %s and state in ('waiting', 'running') order by asked_at"
_TAKE = f"""
update bulk_job set state = 'running', attempts = attempts + 1 where id = %s and state in ('waiting', 'running')
returning {_COLUMNS}"""  # noqa: S608 - a constant column list
_BEAT = "update bulk_job set progress = %s where id = %s and state = 'running'"
_BEGUN = "update bulk_job set transaction_at = %s, snapshot = %s, epoch = %s where id = %s"
_END = """
update bulk_job set state = %s, ended_at = %s, result = %s, error = %s, progress = '' where id = %s and state = 'running'"""
_CANCEL = "update bulk_job set state = 'cancelled', ended_at = %s where id = %s and state <> 'cancelled'"
_EARLIER = """
select snapshot, epoch from bulk_job
where kind = 'export' and organisation = %s and transaction_at = %s and snapshot is not null limit 1"""
_EXPIRE = """
update bulk_job set state = 'cancelled', ended_at = coalesce(ended_at, %s), result = null
where kind in ('export', 'view') and state <> 'cancelled' or kind = 'import' and state in ('done', 'failed')"""
_FORGET = "delete from bulk_job where ended_at < %s"
_KNOWN = "select id, state <> 'cancelled' and (ended_at is null or ended_at > %s) from bulk_job"
_OLDEST = """
select e.epoch, max(b.batch) from change_epoch e, change_batch b
where b.at <= (select min(transaction_at) from bulk_job where kind = 'export') group by e.epoch"""
_ANY = "select exists (select from bulk_job where kind = 'export' and transaction_at is not null)"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table."""

    id: str
    kind: Kind
    organisation: int
    account: str
    principal: Principal
    base: str
    request: str
    wish: dict[str, Any]
    state: State
    asked_at: datetime
    ended_at: datetime | None
    attempts: int
    progress: str
    transaction_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def expires_at(self) -> datetime | None:
        """When its files go."""
        return self.ended_at + KEPT if self.ended_at else None


class Cancelled(Exception):
    """The job was cancelled while it was worked on."""


def new_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_hex(16)


async def add(
    connection: Connection,
    kind: Kind,
    who: Principal,
    wish: dict[str, Any],
    *,
    base: str,
    request: str,
    at: datetime,
    id_: str = "",
) -> str:
    """Ask for a job; returns its id. Raises Busy when too many of this organisation wait already."""
    id_ = id_ or new_id()
    values = {
        "id": id_, "kind": kind, "organisation": who.organisation, "account": who.account, "base": base,
        "principal": json.dumps(asdict(who)), "request": request, "wish": json.dumps(wish), "at": at,
        "most": MOST_WAITING,
    }  # fmt: skip
    cursor = await connection.execute(_ADD, values)
    if cursor.rowcount != 1:
        raise Busy(f"{MOST_WAITING} jobs of your organisation are waiting already; try again when one is done")
    return id_


async def find(connection: Connection, id_: str, who: Principal, at: datetime) -> Job:
    """The job, for who asked for it; NotFound for everybody else, and once it was cancelled or has expired."""
    row = await (await connection.execute(_ONE, (id_,))).fetchone()
    job = _job(row) if row else None
    gone = job is None or job.state == "cancelled" or (job.expires_at is not None and job.expires_at <= at)
    if job is None or gone or (job.account, job.organisation) != (who.account, who.organisation):
        raise NotFound("there is no such job; its files are kept for 24 hours after it ended")
    return job


async def cancel(connection: Connection, id_: str, at: datetime) -> None:
    """The job is not wanted any more. Whoever works on it notices; its files are removed by `sweep`."""
    await connection.execute(_CANCEL, (at, id_))


@asynccontextmanager
async def next_job(pool: Pool, kind: Kind) -> AsyncIterator[Job | None]:
    """The longest waiting job of an organisation that has none running, ours while the context lasts."""
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        organisation: int | None = None
        job = None
        try:
            for id_, owner in await (await connection.execute(_OPEN, (kind,))).fetchall():
                row = await (
                    await connection.execute("select pg_try_advisory_lock(%s, %s)", (_LOCKS[kind], owner))
                ).fetchone()
                if not row or not row[0]:
                    continue
                organisation = owner
                found = await (await connection.execute(_TAKE, (id_,))).fetchone()
                if found is not None:
                    job = _job(found)
                    break
                await _release(connection, kind, owner)
                organisation = None
            yield job
        finally:
            if not connection.broken:
                if organisation is not None:
                    await _release(connection, kind, organisation)
                await connection.set_autocommit(False)


async def _release(connection: Connection, kind: Kind, organisation: int) -> None:
    await connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCKS[kind], organisation))


async def beat(pool: Pool, job: Job, progress: str) -> None:
    """Say how far it is. Raises Cancelled when nobody wants it any more."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_BEAT, (progress[:200], job.id))
        if cursor.rowcount != 1:
            raise Cancelled


async def begun(pool: Pool, job: Job, at: datetime, snapshot: Snapshot) -> None:
    """Note the moment that the export shows."""
    async with pool.connection() as connection:
        await connection.execute(_BEGUN, (at, snapshot.text, snapshot.epoch, job.id))


async def done(connection: Connection, job: Job, result: dict[str, Any], at: datetime) -> None:
    """It is done. Raises Cancelled when nobody wants it any more."""
    cursor = await connection.execute(_END, ("done", at, json.dumps(result), None, job.id))
    if cursor.rowcount != 1:
        raise Cancelled


async def failed(pool: Pool, job: Job, error: HealthBrainError, at: datetime) -> None:
    """It cannot be done."""
    async with pool.connection() as connection:
        await connection.execute(_END, ("failed", at, None, json.dumps(operation_outcome(error)), job.id))


async def snapshot_of(connection: Connection, organisation: int, transaction_at: datetime) -> Snapshot | None:
    """The snapshot of the export whose transactionTime this is."""
    row = await (await connection.execute(_EARLIER, (organisation, transaction_at))).fetchone()
    return Snapshot(row[0], row[1]) if row else None


async def feed_position(connection: Connection) -> Position | None:
    """What is after this place in the change feed, an export that follows on an earlier one may ask for. None: nothing."""
    row = await (await connection.execute(_ANY)).fetchone()
    if not row or not row[0]:
        return None
    row = await (await connection.execute(_OLDEST)).fetchone()
    if row is not None:
        return Position(row[0], row[1], 0)
    row = await (await connection.execute("select epoch, pruned from change_epoch")).fetchone()
    return Position(row[0], row[1], 0) if row else None


async def forget(connection: Connection, at: datetime) -> None:
    """Drop the rows of jobs that ended long ago."""
    await connection.execute(_FORGET, (at - REMEMBERED,))


async def expire(connection: Connection, at: datetime) -> None:
    """The files of every job go with the next sweep, because somebody in them was erased; who wants them asks anew."""
    await connection.execute(_EXPIRE, (at,))


async def with_files(connection: Connection, at: datetime) -> dict[str, bool]:
    """The jobs that are known, and whether their files are still wanted."""
    return dict(await (await connection.execute(_KNOWN, (at - KEPT,))).fetchall())


def _job(row: tuple[Any, ...]) -> Job:
    values = list(row)
    values[4] = principal_of(values[4])
    return Job(*values)


def principal_of(kept: dict[str, Any]) -> Principal:
    """A principal from its JSON."""
    grant = kept.get("grant")
    if grant is not None:
        rules = tuple(
            Rule(
                rule["type"], rule["may"],
                None if rule["patients"] is None else tuple(rule["patients"]),
                tuple((name, value) for name, value in rule["where"]),
            )
            for rule in grant["rules"]
        )  # fmt: skip
        grant = Grant(**{**grant, "rules": rules})
    return Principal(**{**kept, "grant": grant})
