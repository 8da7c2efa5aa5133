"""The brake on guessing passwords.

Attempts are counted by the digest of the name that was tried, whether or not such an account exists, before the
password is looked at: neither a parallel burst nor the answer's wording tells an attacker anything. From the fifth
failure on each further one doubles the wait, up to an hour (GB/T 22239: 登录失败处理).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from healthbrain.database import Connection
from healthbrain.errors import Busy

FREE_FAILURES = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
_FORGET = timedelta(days=1)

_LOCKED = "select locked_until from sign_in_guard where name_digest = %s"
# counts the attempt as failed; a success takes it back
_COUNT = """
insert into sign_in_guard as g (name_digest, failures, last_at) values (%s, 1, %s)
on conflict (name_digest) do update
    set failures = case when g.last_at < %s then 1 else g.failures + 1 end, last_at = excluded.last_at
returning failures"""
_LOCK = "update sign_in_guard set locked_until = %s where name_digest = %s"
_CLEAR = "delete from sign_in_guard where name_digest = %s"
_PRUNE = """
delete from sign_in_guard where name_digest in (
    select name_digest from sign_in_guard where last_at < %s limit 100 for update skip locked)"""


def wait_after(failures: int) -> timedelta:
    """How long the name is locked after so many failures in a row."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(FIRST_WAIT * (1 << min(failures - FREE_FAILURES, 20)), LONGEST_WAIT)


async def begin(connection: Connection, name: str, at: datetime) -> None:
    """Count an attempt for `name`; raises Busy while it is locked. Commits, so that the count survives a failure."""
    digest = _digest(name)
    cursor = await connection.execute(_LOCKED, (digest,))
    row = await cursor.fetchone()
    if row and row[0] and row[0] > at:
        await connection.commit()
        raise Busy(f"too many failed attempts; try again in {_seconds(row[0] - at)} seconds")
    cursor = await connection.execute(_COUNT, (digest, at, at - _FORGET))
    counted = await cursor.fetchone()
    wait = wait_after(counted[0] if counted else 1)
    if wait:
        await connection.execute(_LOCK, (at + wait, digest))
    await connection.execute(_PRUNE, (at - _FORGET,))
    await connection.commit()


async def succeeded(connection: Connection, name: str) -> None:
    """The password was right: forget the failures."""
    await connection.execute(_CLEAR, (_digest(name),))


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _seconds(wait: timedelta) -> int:
    return max(1, int(wait.total_seconds()) + 1)
