"""Bearer tokens: how systems prove who they are.

A token is shown once when issued. Lists show its prefix, organisation, expiry and last use; revoking works at once
in this process and within a second in the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from healthbrain.access import secrets, stamps
from healthbrain.access.permissions import default_purpose
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound, Unauthenticated
from healthbrain.scope import Principal, Role

LONGEST_DAYS = 3660
_USED_EVERY = timedelta(minutes=1)
_REFUSED = "the bearer token is unknown, expired or revoked; ask an administrator for a new one (hb token)"


@dataclass(frozen=True, slots=True)
class Token:
    """A token in a list: enough to recognise it and revoke it, not to use it."""

    key: int
    prefix: str
    name: str
    role: Role
    organisation: int
    source: int | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


_INSERT = """
insert into token (prefix, digest, name, role, organisation, source, created_at, expires_at)
values (%s, %s, %s, %s, %s, %s, %s, %s)"""
_FIND = """
select digest, name, role, organisation, source, key, last_used_at from token
where prefix = %s and revoked_at is null and expires_at > %s"""
_USED = "update token set last_used_at = %s where key = %s"
_LIST = """
select key, prefix, name, role, organisation, source, created_at, expires_at, revoked_at, last_used_at
from token order by key"""
_REVOKE = "update token set revoked_at = coalesce(revoked_at, %s) where prefix = %s"


async def issue_token(
    connection: Connection,
    *,
    name: str,
    organisation: int,
    role: Role = "system",
    source: int | None = None,
    days: int = 90,
    at: datetime | None = None,
) -> str:
    """Make a token and return it; it cannot be shown again."""
    at = at or datetime.now(UTC)
    if not 1 <= days <= LONGEST_DAYS:
        raise Incorrect(f"a token lives 1 to {LONGEST_DAYS} days")
    if role not in get_args(Role):
        raise Incorrect(f"'{role}' is not a role; known are {', '.join(get_args(Role))}")
    if not name.strip():
        raise Incorrect("a token has a name that says what it is for")
    token, prefix = secrets.make_token()
    await connection.execute(
        _INSERT,
        (prefix, secrets.digest(token), name.strip(), role, organisation, source, at, at + timedelta(days=days)),
    )
    return token


async def principal_of_token(connection: Connection, token: str, at: datetime) -> Principal:
    """Which system this token is; raises Unauthenticated."""
    prefix = token[: len(secrets.BEARER_START) + 8]
    if not prefix.isascii() or "\0" in prefix:
        raise Unauthenticated(_REFUSED)
    cursor = await connection.execute(_FIND, (prefix, at))
    row = await cursor.fetchone()
    if row is None or not secrets.same(row[0], secrets.digest(token)):
        raise Unauthenticated(_REFUSED)
    _, name, role, organisation, source, key, last_used_at = row
    if last_used_at is None or at - last_used_at > _USED_EVERY:
        await connection.execute(_USED, (at, key))
    return Principal(
        account=name, display=name, role=role, organisation=organisation, purpose=default_purpose(role), source=source
    )


async def tokens(connection: Connection) -> list[Token]:
    """All tokens, oldest first."""
    cursor = await connection.execute(_LIST)
    return [Token(*row) for row in await cursor.fetchall()]


async def revoke_token(connection: Connection, prefix: str, at: datetime) -> None:
    """Revoke the token with this prefix; raises NotFound."""
    cursor = await connection.execute(_REVOKE, (at, prefix))
    if cursor.rowcount != 1:
        raise NotFound("no token has this prefix")
    await stamps.changed(connection, "accounts", at)
