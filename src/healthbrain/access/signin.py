"""Signing in and staying signed in.

A session is a random cookie of which the database keeps the digest; it ends when unused for `IDLE`, at the latest
after `ABSOLUTE`, when signed out or revoked, and when the account is closed. The declared purpose of use belongs to
the session: somebody who needs another one says so, with a reason, and that is audited by the caller.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from healthbrain.access import guard, second_factor, secrets, stamps
from healthbrain.access.passwords import PASSWORDS
from healthbrain.access.people import account_name
from healthbrain.access.permissions import allowed_purposes, default_purpose
from healthbrain.access.second_factor import Waits
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, Unauthenticated
from healthbrain.scope import Principal, Purpose

IDLE = timedelta(hours=1)
ABSOLUTE = timedelta(hours=12)
_SEEN_EVERY = timedelta(minutes=1)  # how exact seen_at is; saves a write per request
_REFUSED = "the name or the password is not right"
_NO_SESSION = "your session has ended; sign in again"


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh session. `cookie` is shown once; with `must_change` only the password page should open; one that waits for
    a second factor opens nothing until `complete`."""

    cookie: str
    principal: Principal
    until: datetime
    must_change: bool
    waits_for: Waits = ""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session in a list: enough to recognise it and end it, not to use it."""

    handle: str  # digest, hexadecimal
    created_at: datetime
    seen_at: datetime
    until: datetime
    address: str
    agent: str


_CREDENTIALS = """
select name, display, role, organisation, person, practitioner, password, must_change
from account where name = %s and disabled_at is null and (valid_until is null or valid_until > %s)"""
_SIGNED_IN = "update account set last_sign_in_at = %s where name = %s"
_REHASH = "update account set password = %s where name = %s"
_INSERT = """
insert into session (digest, account, purpose, created_at, seen_at, until_at, address, agent, waits_for)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_FIND = """
select a.name, a.display, a.role, a.organisation, s.purpose, a.person, a.practitioner, s.seen_at, a.must_change
from session s join account a on a.name = s.account
where s.digest = %s and s.until_at > %s and s.seen_at > %s and s.waits_for = ''
  and a.disabled_at is null and (a.valid_until is null or a.valid_until > %s)"""
_BEGAN = "select created_at from session where digest = %s"
_SEEN = "update session set seen_at = %s where digest = %s"
_END = "delete from session where digest = %s"
_OLD = "delete from session where until_at < %s or seen_at < %s"
_LIST = """
select encode(digest, 'hex'), created_at, seen_at, until_at, address, agent from session
where account = %s and until_at > %s and seen_at > %s and waits_for = '' order by seen_at desc"""
_END_ONE = "delete from session where account = %s and encode(digest, 'hex') = %s"
_PURPOSE = "update session set purpose = %s, reason = %s where digest = %s"


async def sign_in(
    connection: Connection,
    name: str,
    password: str,
    at: datetime,
    *,
    address: str = "",
    agent: str = "",
    lasts: timedelta = ABSOLUTE,
    required: Container[str] = (),
    proven: bool = False,
) -> Session:
    """Start a session. Raises Unauthenticated, or Busy while the name is locked; neither tells whether it exists.

    An account with a second factor, or of a role for which one is `required`, gets a session that waits for it;
    `proven` says that this browser has shown it already.

    Commits on its own (a failed attempt must be remembered): call it outside a transaction block.
    """
    known = account_name(name)
    await guard.begin(connection, known, at)
    cursor = await connection.execute(_CREDENTIALS, (known, at))
    row = await cursor.fetchone()
    await connection.commit()
    kept = row[6] if row else None
    if not await PASSWORDS.verify(kept, password) or row is None:
        raise Unauthenticated(_REFUSED)
    if PASSWORDS.outdated(row[6]):
        await connection.execute(_REHASH, (await PASSWORDS.hash(password), known))
    await guard.succeeded(connection, known)
    waits: Waits = "" if proven else await second_factor.waits_for(connection, known, row[2], required)
    opened = await _open(connection, row, at, address, agent, lasts, waits)
    await connection.commit()
    return opened


async def complete(connection: Connection, cookie: str, at: datetime, *, address: str = "", agent: str = "") -> Session:
    """The session that a waiting one becomes once its second factor was shown; the waiting one ends."""
    known = await second_factor.waiting(connection, cookie, at)
    await connection.execute(_END, (secrets.digest(cookie),))
    return await open_session(connection, known.account, at, address=address, agent=agent)


async def open_session(
    connection: Connection, name: str, at: datetime, *, address: str = "", agent: str = "", lasts: timedelta = ABSOLUTE
) -> Session:
    """Start a session for somebody whom an identity provider vouches for. Raises Unauthenticated."""
    cursor = await connection.execute(_CREDENTIALS, (account_name(name), at))
    row = await cursor.fetchone()
    if row is None:
        raise Unauthenticated("this account is closed or has expired")
    return await _open(connection, row, at, address, agent, lasts)


async def session_began(connection: Connection, cookie: str) -> datetime | None:
    """When the session of this cookie was started by signing in."""
    row = await (await connection.execute(_BEGAN, (secrets.digest(cookie),))).fetchone()
    return row[0] if row else None


async def _open(
    connection: Connection,
    row: Sequence[Any],
    at: datetime,
    address: str,
    agent: str,
    lasts: timedelta,
    waits: Waits = "",
) -> Session:
    """A new session for the account of a row of _CREDENTIALS."""
    principal = Principal(row[0], row[1], row[2], row[3], default_purpose(row[2]), row[4], row[5])
    cookie = secrets.make_cookie()
    await connection.execute(_SIGNED_IN, (at, principal.account))
    await connection.execute(_OLD, (at, at - IDLE))
    await connection.execute(
        _INSERT,
        (
            secrets.digest(cookie),
            principal.account,
            principal.purpose,
            at,
            at,
            at + lasts,
            address[:100],
            agent[:300],
            waits,
        ),
    )
    return Session(cookie, principal, at + lasts, row[7], waits)


async def session(connection: Connection, cookie: str, at: datetime) -> Principal:
    """Who this cookie is; raises Unauthenticated when the session has ended."""
    return (await find_session(connection, cookie, at))[0]


async def find_session(connection: Connection, cookie: str, at: datetime) -> tuple[Principal, bool]:
    """Who this cookie is, and whether the password must be changed first."""
    key = secrets.digest(cookie)
    cursor = await connection.execute(_FIND, (key, at, at - IDLE, at))
    row = await cursor.fetchone()
    if row is None:
        raise Unauthenticated(_NO_SESSION)
    if at - row[7] > _SEEN_EVERY:
        await connection.execute(_SEEN, (at, key))
    return Principal(*row[:7]), row[8]


async def sign_out(connection: Connection, cookie: str, at: datetime) -> None:
    """End this session; no complaint if it has ended already."""
    await connection.execute(_END, (secrets.digest(cookie),))
    await stamps.changed(connection, "accounts", at)


async def sessions(connection: Connection, account: str, at: datetime) -> list[OpenSession]:
    """The open sessions of an account, newest use first."""
    cursor = await connection.execute(_LIST, (account_name(account), at, at - IDLE))
    return [OpenSession(*row) for row in await cursor.fetchall()]


async def revoke_session(connection: Connection, account: str, handle: str, at: datetime) -> None:
    """End one of the account's sessions by its handle from `sessions`."""
    await connection.execute(_END_ONE, (account_name(account), handle))
    await stamps.changed(connection, "accounts", at)


async def declare_purpose(
    connection: Connection, cookie: str, purpose: Purpose, reason: str, at: datetime
) -> Principal:
    """Go on with another purpose of use. Raises Forbidden when the role does not know it, Incorrect without a reason."""
    who = await session(connection, cookie, at)
    changed = with_purpose(who, purpose)
    if purpose != default_purpose(who.role) and len(reason.strip()) < 4:
        raise Incorrect("say in a few words why you need this; the reason is kept in the audit log")
    await connection.execute(_PURPOSE, (purpose, reason.strip()[:500], secrets.digest(cookie)))
    await stamps.changed(connection, "accounts", at)
    return changed


def with_purpose(principal: Principal, purpose: Purpose) -> Principal:
    """The same principal acting for `purpose`; raises Forbidden when its role does not know that purpose."""
    if purpose not in allowed_purposes(principal.role):
        raise Forbidden(
            f"the role {principal.role} does not act for {purpose}; possible: "
            + ", ".join(sorted(allowed_purposes(principal.role)))
        )
    return replace(principal, purpose=purpose)
