"""What somebody allowed an application and asked not to be asked again: for 90 days, these scopes, this patient, until withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthbrain.access.smart.clients import Client
from healthbrain.database import Connection

LASTS = timedelta(days=90)

_PUT = """
insert into consent (account, client, scopes, patient_id, created_at, until_at) values (%s, %s, %s, %s, %s, %s)
on conflict (account, client) do update set scopes = excluded.scopes, patient_id = excluded.patient_id,
    created_at = excluded.created_at, until_at = excluded.until_at"""
_GET = "select scopes, patient_id from consent where account = %s and client = %s and until_at > %s"
_LIST = """
select o.client, c.name, o.until_at from consent o join client c on c.id = o.client
where o.account = %s and o.until_at > %s order by c.name, o.client"""
_FORGET = "delete from consent where account = %s and client = %s"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A consent that still holds."""

    scopes: frozenset[str]
    patient_id: str | None


async def remember(
    connection: Connection, account: str, client: Client, scopes: Sequence[str], patient_id: str | None, at: datetime
) -> None:
    """Keep a consent; the one before is replaced."""
    await connection.execute(_PUT, (account, client.id, list(scopes), patient_id, at, at + LASTS))


async def remembered(connection: Connection, account: str, client: Client, at: datetime) -> Remembered | None:
    """The consent that an account gave an application and that still holds."""
    row = await (await connection.execute(_GET, (account, client.id, at))).fetchone()
    return Remembered(frozenset(row[0]), row[1]) if row else None


async def consents_of(connection: Connection, account: str, at: datetime) -> list[tuple[str, str, datetime]]:
    """(client, its name, until when) of all that hold."""
    return [(row[0], row[1], row[2]) for row in await (await connection.execute(_LIST, (account, at))).fetchall()]


async def forget(connection: Connection, account: str, client: str) -> None:
    """Ask again from now on."""
    await connection.execute(_FORGET, (account, client))
