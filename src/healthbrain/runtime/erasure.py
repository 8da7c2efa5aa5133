"""Erasing a person: one operation over all rooms (个人信息保护法第四十七条; docs/decisions/0081-erasure-and-libraries.md).

Two steps: `plan` says what would go and what the law wants kept, with a code; `erase` does it when given that code. In
one transaction go the resources with history and index, the person and its links, the members of measures, panels and
account, and what the deliveries brought of the person. The lake hides the rows at once and rewrites its files within
`DEADLINE`; `finish` does that and is repeated by the worker until it is done. A row in `erasure` stays, without values.

What stays: the audit log and the decisions of stewards (numbers only, both are proof), the ledger rows with digests,
published counts. Free text of other people's records that mentions the person is not searched.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from healthbrain import audit, lake
from healthbrain.access import forgetting as accounts
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.exchange import bulkdata, redaction
from healthbrain.identity import forgetting as persons
from healthbrain.lake import Erased
from healthbrain.measure import forgetting as measures
from healthbrain.runtime.platform import Platform
from healthbrain.runtime.retention import GROUNDS, Hold, holds
from healthbrain.scope import Principal
from healthbrain.store import Store, forgetting, latest
from healthbrain.terms import systems

DEADLINE = timedelta(hours=24)  # from the erasure until nothing of it is on the lake's disk
_CHINA = timezone(timedelta(hours=8))
_TABLES = (
    *forgetting.TABLES, *persons.TABLES, *accounts.TABLES, *redaction.TABLES,
)  # fmt: skip
_RECORD = """
insert into erasure (at, person, patients, others, ground, reason, custodian, who, counts, due_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id"""
_OPEN = "select id, at, patients, others, position from erasure where lake_done_at is null order by id"
_LAKE_DONE = "update erasure set lake_done_at = %s where id = any(%s)"
_ALL = """
select id, at, person, ground, reason, custodian, who, counts, due_at, lake_done_at from erasure
order by id desc limit %s"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an erasure would take away."""

    person: str
    records: int  # patient records of institutions
    resources: Mapping[str, int]  # by type
    shared: int  # resources of others that refer to a record of the person by its id; they stay
    holds: tuple[Hold, ...]
    code: str  # confirms exactly this


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants it on which ground."""

    ground: str
    reason: str
    code: str
    custodian: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """What went."""

    id: int
    person: str
    resources: Mapping[str, int]
    versions: int
    deliveries_redacted: int
    deliveries_emptied: int
    members: int
    due_at: datetime
    lake_done: bool = False


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A row of the record of erasures."""

    id: int
    at: datetime
    person: str
    ground: str
    reason: str
    custodian: str
    who: str
    counts: Mapping[str, Any]
    due_at: datetime
    lake_done_at: datetime | None


@dataclass(slots=True)
class _Traces:
    """By what the person is known, gathered before it is gone. Never leaves this module."""

    identifiers: set[tuple[str, str]] = field(default_factory=set)  # (system, value)
    names: set[str] = field(default_factory=set)
    births: set[str] = field(default_factory=set)


async def plan(platform: Platform, connection: Connection, person: str) -> Plan:
    """What erasing this person would mean. Raises NotFound."""
    ids, records = await persons.records(connection, person)
    if not records:
        raise NotFound(f"there is no person {person} in the index; search the person again")
    traces = await _traces(connection, [id_ for _, id_ in records])
    others = await _named_by(connection, traces)
    patients = [key for key, _ in records]
    counts = await forgetting.count(connection, patients)
    for type_, _ in others:
        counts[type_] = counts.get(type_, 0) + 1
    found = await holds(connection, patients, platform.clock().astimezone(_CHINA).date())
    said = json.dumps([sorted(ids), sorted(patients), counts, sorted(others)])
    return Plan(
        ids[0],
        len(records),
        dict(sorted(counts.items())),
        await forgetting.shared_with(connection, [id_ for _, id_ in records]),
        tuple(found),
        hashlib.sha256(said.encode()).hexdigest()[:8],
    )


async def erase(platform: Platform, person: str, wish: Wish, who: Principal, *, address: str = "") -> Done:
    """Erase the person. Raises Incorrect or Conflict when ground, reason, code or a period of keeping stand against it."""
    at = platform.clock()
    async with platform.pool.connection() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('erasure'))")
        planned = await plan(platform, connection, person)
        _allowed(planned, wish)
        done = await _erase(connection, planned, wish, who.account, at)
        event = audit.Event.of(
            who, at, "D", "Person", planned.person, patients=[key for key, _ in done[1]], address=address,
            interaction="erase", detail=f"ground={wish.ground}; erasure={done[0].id}",
        )  # fmt: skip
        await audit.record(connection, [event])
    await _mark_position(platform)
    finished = await finish(platform)
    return _with(done[0], finished)


def _with(done: Done, finished: bool) -> Done:
    values = {name: getattr(done, name) for name in Done.__slots__}
    return Done(**{**values, "lake_done": finished})


def _allowed(planned: Plan, wish: Wish) -> None:
    if wish.ground not in GROUNDS:
        raise Incorrect(f"choose the legal ground of the erasure: {', '.join(GROUNDS)}")
    if len(wish.reason.strip()) < 4:
        raise Incorrect("an erasure needs a reason: the number of the request or judgement, without names")
    if planned.holds and not GROUNDS[wish.ground][2] and not wish.custodian.strip():
        last = max(one.until for one in planned.holds)
        raise Conflict(
            f"medical records of this person must be kept until {last.isoformat()}; name who keeps the statutory record, "
            "or choose a ground that ends the period"
        )
    if wish.code != planned.code:
        raise Conflict("the confirmation code does not belong to this plan; look at the plan again and confirm it")


async def _erase(
    connection: Connection, planned: Plan, wish: Wish, who: str, at: datetime
) -> tuple[Done, list[tuple[int, str]]]:
    ids, records = await persons.records(connection, planned.person)
    patients = [key for key, _ in records]
    traces = await _traces(connection, [id_ for _, id_ in records])
    others = await _named_by(connection, traces)
    gone = await forgetting.forget(connection, patients, others)
    await forgetting.forget_texts(connection, {*traces.names, *(value for _, value in traces.identifiers)})
    own = [id_ for _, id_ in records]
    local = [value for system, value in traces.identifiers if systems.is_local(system)]
    strong = [value for system, value in traces.identifiers if not systems.is_local(system)]
    partly, wholly = await redaction.redact(
        connection, gone.deliveries,
        known=redaction.about([*strong, *local, *own], traces.names, traces.births),
        unknown=redaction.about([*strong, *own], traces.names, traces.births), at=at,
    )  # fmt: skip
    members = await measures.forget(connection, ids)
    await accounts.forget(connection, ids, at)
    await persons.forget(connection, ids, patients)
    await connection.execute("delete from measures_published")  # computed anew without the person
    await bulkdata.expire(connection, at)
    counts = {
        "resources": gone.by_type(), "versions": gone.versions, "records": len(records), "members": members,
        "deliveries_redacted": partly, "deliveries_emptied": wholly,
        "holds": [{**asdict(one), "until": one.until.isoformat()} for one in planned.holds],
    }  # fmt: skip
    due = at + DEADLINE
    row = await (
        await connection.execute(
            _RECORD,
            (at, planned.person, patients, sorted({f"{t}/{i}" for t, i in (*others, *gone.mixed)}), wish.ground, wish.reason.strip(),
             wish.custodian.strip(), who, json.dumps(counts), due),
        )
    ).fetchone()  # fmt: skip
    number = int(row[0]) if row else 0
    return Done(number, planned.person, gone.by_type(), gone.versions, partly, wholly, members, due), records


async def finish(platform: Platform) -> bool:
    """Bring the open erasures into the lake: hidden at once, then off the disk. Whether nothing is open any more.

    Repeated by the worker; another writer of the lake makes it wait for its next turn.
    """
    await _mark_position(platform)
    async with platform.pool.connection() as connection:
        rows = await (await connection.execute(_OPEN)).fetchall()
        for _, at, patients, _, _ in rows:
            if await forgetting.left_over(connection, patients, at):  # came with a transaction that was under way
                await forgetting.forget(connection, patients)
    if not rows:
        return True
    folder = platform.settings.lake
    gone = [one for _, _, patients, others, position in rows for one in _erased(patients, others, position)]
    at = platform.clock()
    try:
        await asyncio.to_thread(lake.erase, folder, gone, at)
        await asyncio.to_thread(lake.compact, folder, at)
        await asyncio.to_thread(measures.forget_base, folder)
    except Conflict:
        return False
    await bulkdata.sweep(platform.pool, platform.settings.data / "export", at)
    async with platform.pool.connection() as connection:
        await connection.execute(_LAKE_DONE, (at, [row[0] for row in rows]))
    return True


async def purge(platform: Platform) -> list[str]:
    """Rewrite the tables that held what was erased, so that free space in the database's files holds none of it.

    Locks each table while it is rewritten. The write-ahead log goes with its own recycling, backups with theirs.
    """
    async with platform.pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            for table in _TABLES:
                await connection.execute(f"vacuum (full) {table}".encode())
            await connection.execute("checkpoint")
        finally:
            await connection.set_autocommit(False)
    return list(_TABLES)


async def tombstones(connection: Connection, limit: int = 200) -> list[Tombstone]:
    """What was erased, newest first."""
    return [Tombstone(*row) for row in await (await connection.execute(_ALL, (limit,))).fetchall()]


async def _mark_position(platform: Platform) -> None:
    """Note up to where in the feed the lake forgets: everything committed until now."""
    async with platform.pool.connection() as connection:
        waiting = await (await connection.execute("select 1 from erasure where position is null")).fetchone()
        await connection.commit()
        if waiting is None:
            return
        position = await latest(connection)
        await connection.execute("update erasure set position = %s where position is null", (str(position),))


def _erased(patients: Sequence[int], others: Sequence[str], position: str) -> list[Erased]:
    named = [other.split("/", 1) for other in others]
    return [
        *(Erased(position, patient=patient) for patient in patients),
        *(Erased(position, type=type_, id=id_) for type_, id_ in named),
    ]


async def _traces(connection: Connection, ids: Sequence[str]) -> _Traces:
    """Numbers, names and birth dates that any version of the person's records gave."""
    found = _Traces()
    for one in await forgetting.all_versions(connection, "Patient", ids):
        body = orjson.loads(one.body)
        # a household's number is that of all who live in it
        found.identifiers |= {
            (str(i.get("system", "")), str(i["value"]))
            for i in body.get("identifier", ())
            if "value" in i and not str(i.get("system")).endswith(":household")
        }
        for name in body.get("name", ()):
            whole = [name.get("text", ""), name.get("family", "") + "".join(name.get("given", ()))]
            found.names |= {text for text in whole if text}
        if "birthDate" in body:
            found.births.add(str(body["birthDate"]))
    return found


async def _named_by(connection: Connection, traces: _Traces) -> list[tuple[str, str]]:
    """Resources of other people that are only about this one: a relative known by one of the person's numbers."""
    found: set[tuple[str, str]] = set()
    for system, number in sorted(traces.identifiers):
        if system and not any(sign in system + number for sign in "\\,|$"):
            for type_ in ("RelatedPerson", "Person"):
                asked = [("identifier", f"{system}|{number}"), ("_count", "100")]
                found |= {(one.type, one.id) for one in (await Store().search(connection, type_, asked)).matches}
    return sorted(found)
