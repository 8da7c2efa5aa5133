"""Who may send: the registered systems, and what happens when a stranger speaks.

A stranger over HL7 v2 is, by setting, refused or taken into quarantine: registered under the quarantine organisation,
marked unverified, its numbers kept apart from everybody's, until an administrator says whose system it is.

A known source can be blocked (a stolen token, a sender gone wild): what it sends is kept raw and refused, to be replayed
once the block is gone. Every process looks a source up again after a few seconds, so a block holds from then on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from healthbrain.access import organisations, put_organisation
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.exchange.hl7v2.charset import codec_of
from healthbrain.exchange.hl7v2.tables import tables
from healthbrain.exchange.sender import stable_id
from healthbrain.exchange.values import DOORS, Source

QUARANTINE = "QUARANTINE"
_COLUMNS = (
    "key, code, name, organisation, organisation_code, door, application, facility, charset, code_set, zone, verified,"
    " blocked_at is not null, invariants"
)
_BY_KEY = f"select {_COLUMNS} from source where key = %s"  # noqa: S608 - a constant column list
_BY_CODE = f"select {_COLUMNS} from source where code = %s"  # noqa: S608 - a constant column list
_ALL = f"select {_COLUMNS} from source order by code"  # noqa: S608 - a constant column list
# the most particular registration wins: facility and application before facility alone
_BY_HEADER = f"""
select {_COLUMNS} from source where door = 'hl7v2' and facility = %s and application in (%s, '')
order by application desc limit 1"""  # noqa: S608 - a constant column list
_PUT = f"""
insert into source (code, name, organisation, organisation_code, door, application, facility, charset, code_set, zone,
    verified, registered_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (code) do update set
    verified_at = case when excluded.verified and not source.verified then excluded.registered_at else source.verified_at end,
    name = excluded.name, organisation = excluded.organisation,
    organisation_code = excluded.organisation_code, door = excluded.door, application = excluded.application,
    facility = excluded.facility, charset = excluded.charset, code_set = excluded.code_set, zone = excluded.zone,
    verified = excluded.verified
returning {_COLUMNS}"""  # noqa: S608 - a constant column list

_BLOCK = f"""
update source set blocked_at = %s, blocked_by = %s, blocked_reason = %s where key = %s
returning {_COLUMNS}"""  # noqa: S608 - a constant column list
_INVARIANTS = f"update source set invariants = %s where key = %s returning {_COLUMNS}"  # noqa: S608 - a constant column list
_LONGEST_REASON = 500


async def put_source(
    connection: Connection,
    *,
    code: str,
    name: str,
    organisation: int,
    door: str,
    at: datetime,
    organisation_code: str = "",
    application: str = "",
    facility: str = "",
    charset: str = "",
    code_set: str = "",
    zone: str = "+08:00",
    verified: bool = True,
) -> Source:
    """Register the source with this code, or change it. For HL7 v2 `facility` is what it sends in MSH-4.

    `organisation_code` is read from the organisation when it isn't given.
    """
    if door not in DOORS:
        raise Incorrect(f"'{door}' is not a door; there are {', '.join(DOORS)}")
    if charset:
        codec_of(charset)
    if code_set and code_set not in tables().local:
        raise Incorrect(f"there is no code table '{code_set}'; there are {', '.join(sorted(tables().local))}")
    if verified and not organisation_code:
        row = await (
            await connection.execute("select code from organisation where key = %s", (organisation,))
        ).fetchone()
        if row is None:
            raise NotFound(f"there is no organisation with key {organisation}")
        organisation_code = row[0]
    values = (
        code,
        name,
        organisation,
        organisation_code,
        door,
        application,
        facility,
        charset,
        code_set,
        zone,
        verified,
        at,
    )
    try:
        async with connection.transaction():
            return _source(await (await connection.execute(_PUT, values)).fetchone())
    except psycopg.errors.UniqueViolation:
        raise Conflict(
            "another source already sends with this MSH-3 and MSH-4; change that one instead of adding a second"
        ) from None


async def source(connection: Connection, key: int) -> Source:
    """The source with this key."""
    row = await (await connection.execute(_BY_KEY, (key,))).fetchone()
    if row is None:
        raise NotFound(f"there is no source with key {key}")
    return _source(row)


def admit(one: Source) -> None:
    """Raises Forbidden when the source is blocked."""
    if one.blocked:
        raise Forbidden(
            "this source is blocked; the message is kept, ask the platform's administrator to lift the block"
        )


async def block_source(connection: Connection, key: int, *, by: str, reason: str, at: datetime) -> Source:
    """Refuse from now on what this source sends, until `unblock_source`."""
    if not reason.strip():
        raise Incorrect("say why the source is blocked; the reason is kept")
    values = (at, by, reason.strip()[:_LONGEST_REASON], key)
    return _source(await (await connection.execute(_BLOCK, values)).fetchone())


async def unblock_source(connection: Connection, key: int) -> Source:
    """Take in again what this source sends. What was refused meanwhile can be replayed."""
    return _source(await (await connection.execute(_BLOCK, (None, "", "", key))).fetchone())


async def ask_invariants(connection: Connection, key: int, asked: bool) -> Source:
    """Whether what this source sends must keep the invariants of R4; every source begins with that."""
    return _source(await (await connection.execute(_INVARIANTS, (asked, key))).fetchone())


async def source_by_code(connection: Connection, code: str) -> Source | None:
    """The source with this code."""
    row = await (await connection.execute(_BY_CODE, (code,))).fetchone()
    return _source(row) if row else None


async def sources(connection: Connection) -> list[Source]:
    """All of them, by code."""
    return [_source(row) for row in await (await connection.execute(_ALL)).fetchall()]


async def source_for_mllp(connection: Connection, application: str, facility: str) -> Source | None:
    """Who sends with this MSH-3 and MSH-4."""
    row = await (await connection.execute(_BY_HEADER, (facility, application))).fetchone()
    return _source(row) if row else None


async def quarantine(connection: Connection, application: str, facility: str, at: datetime) -> Source:
    """Register a stranger as unverified, under the quarantine organisation.

    That one hangs below the root, so that the root's administrators, and they alone, see what is waiting for them.
    """
    found = await (
        await connection.execute("select key from organisation where kind = 'quarantine' order by key limit 1")
    ).fetchone()
    if found:
        owner = found[0]
    else:
        root = (await organisations(connection)).root
        owner = await put_organisation(
            connection, code=QUARANTINE, name="待核实来源", kind="quarantine", parent=root.key if root else None, at=at
        )
    shown = " / ".join(part for part in (facility, application) if part) or "未署名系统"
    return await put_source(
        connection,
        code=stable_id("unknown", facility, application)[:24],
        name=shown[:100],
        organisation=owner,
        door="hl7v2",
        application=application,
        facility=facility,
        verified=False,
        at=at,
    )


def _source(row: tuple[Any, ...] | None) -> Source:
    if row is None:
        raise NotFound("there is no such source")
    return Source(*row)
