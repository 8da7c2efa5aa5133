"""A second factor at sign-in: time-based one-time passwords (RFC 6238, RFC 4226) and recovery codes.

GB/T 22239 (等保三级, 身份鉴别) asks for two kinds of proof for those who administer. Codes have six digits and change every
30 seconds; the one before and the one after are taken too (clocks differ), each code once, guessing is braked like
passwords. A session whose password was right but whose code is missing opens nothing (`session.waits_for`). The secret is kept sealed (sealing.py);
earlier versions kept it as it is, 20 bytes, until `seal_existing`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as random
import struct
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote, urlencode

import psycopg

from healthbrain.access import guard, secrets, stamps
from healthbrain.access.people import account_name
from healthbrain.access.sealing import Vault
from healthbrain.database import Connection
from healthbrain.errors import NotFound, Unauthenticated

Waits = Literal["", "code", "enrolment"]
PERIOD = 30
_SECRET = 20  # bytes
DIGITS = 6
WAITING = timedelta(minutes=10)  # how long a session may wait for its code
RECOVERY_CODES = 10
_WINDOW = (-1, 0, 1)
_WRONG = "the code is not right or has been used; take the next one"
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"

_CONFIRMED = "select confirmed_at is not null from second_factor where account = %s"
_BEGIN = """
insert into second_factor (account, secret, created_at) values (%s, %s, %s)
on conflict (account) do update set secret = excluded.secret, created_at = excluded.created_at
    where second_factor.confirmed_at is null"""
_READ = "select secret, confirmed_at is not null from second_factor where account = %s"
_STEP = "update second_factor set last_step = %s where account = %s and last_step < %s"
_CONFIRM = "update second_factor set confirmed_at = %s where account = %s and confirmed_at is null"
_PLAIN = "select account, secret from second_factor where octet_length(secret) = %s for update"
_SEAL = "update second_factor set secret = %s where account = %s"
_REMOVE = "delete from second_factor where account = %s"
_NO_CODES = "delete from recovery_code where account = %s"
_ADD_CODE = "insert into recovery_code (account, digest) values (%s, %s)"
_USE_CODE = "update recovery_code set used_at = %s where account = %s and digest = %s and used_at is null"
_LEFT = "select count(*) from recovery_code where account = %s and used_at is null"
_WAITING = """
select s.account, s.waits_for, a.display from session s join account a on a.name = s.account
where s.digest = %s and s.waits_for <> '' and s.created_at > %s and s.until_at > %s and a.disabled_at is null"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits for its second factor."""

    account: str
    waits_for: Waits
    display: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has: whether codes are asked for, and how many recovery codes are left."""

    active: bool
    recovery_codes: int


def one_time_password(secret: bytes, step: int, *, digits: int = DIGITS) -> str:
    """The HOTP value of a counter (RFC 4226, 5.3); the step of TOTP is the time by PERIOD.

    >>> one_time_password(b"12345678901234567890", 59 // 30, digits=8)
    '94287082'
    """
    digest = hmac.digest(secret, struct.pack(">Q", step), hashlib.sha1)
    place = digest[-1] & 15
    number = struct.unpack(">I", digest[place : place + 4])[0] & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def address(secret: bytes, account: str, issuer: str) -> str:
    """What the QR code holds: the otpauth address that authenticator apps read."""
    label = quote(f"{issuer}:{account}")
    query = urlencode(
        {"secret": readable(secret), "issuer": issuer, "digits": DIGITS, "period": PERIOD}, quote_via=quote
    )
    return f"otpauth://totp/{label}?{query}"


def readable(secret: bytes) -> str:
    """The secret to be typed in by hand."""
    return base64.b32encode(secret).decode().rstrip("=")


def required_roles(setting: str) -> frozenset[str]:
    """The roles that must have a second factor (HB_SECOND_FACTOR)."""
    return frozenset(one.strip() for one in setting.split(",") if one.strip())


async def waits_for(connection: Connection, account: str, role: str, required: Container[str]) -> Waits:
    """What a sign-in with the right password still has to show."""
    row = await (await connection.execute(_CONFIRMED, (account,))).fetchone()
    if row is not None and row[0]:
        return "code"
    return "enrolment" if role in required else ""


async def waiting(connection: Connection, cookie: str, at: datetime) -> Waiting:
    """The session of this cookie that waits for its second factor. Raises Unauthenticated."""
    values = (secrets.digest(cookie), at - WAITING, at)
    row = await (await connection.execute(_WAITING, values)).fetchone()
    if row is None:
        raise Unauthenticated("your session has ended; sign in again")
    return Waiting(*row)


async def standing(connection: Connection, account: str) -> Standing:
    """What an account has."""
    row = await (await connection.execute(_CONFIRMED, (account,))).fetchone()
    left = await (await connection.execute(_LEFT, (account,))).fetchone()
    return Standing(bool(row and row[0]), int(left[0]) if left else 0)


async def begin(connection: Connection, vault: Vault, account: str, at: datetime) -> bytes:
    """A new secret, which counts once a code proves that the person has it. Of an account that has one already: that
    one is left as it is and NotFound raised."""
    secret = random.token_bytes(_SECRET)
    if (await connection.execute(_BEGIN, (account, vault.seal(secret, account), at))).rowcount != 1:
        raise NotFound("this account has a second factor already; remove it first")
    return secret


async def begun(connection: Connection, vault: Vault, account: str) -> bytes:
    """The secret that was begun and not yet confirmed. Raises NotFound."""
    row = await (await connection.execute(_READ, (account,))).fetchone()
    if row is None or row[1]:
        raise NotFound("no second factor was begun; begin again")
    return _opened(vault, account, bytes(row[0]))


async def confirm(connection: Connection, vault: Vault, account: str, code: str, at: datetime) -> list[str]:
    """Turn it on with a first code; returns the recovery codes, which cannot be shown again. Raises Unauthenticated.

    Commits on its own, like every check of a code.
    """
    await begun(connection, vault, account)
    await _check_code(connection, vault, account, code, at)
    await connection.execute(_CONFIRM, (at, account))
    made = await new_recovery_codes(connection, account)
    await connection.commit()
    return made


async def check(connection: Connection, vault: Vault, account: str, code: str, at: datetime) -> None:
    """Whether a code, or a recovery code, is right; each counts once. Raises Unauthenticated, or Busy after too many.

    Commits on its own (a failed attempt must be remembered): call it outside a transaction block.
    """
    plain = "".join(code.split()).replace("-", "").lower()
    if plain.isdecimal() and len(plain) == DIGITS:
        await _check_code(connection, vault, account, plain, at)
        return
    await guard.begin(connection, _guarded(account), at)
    done = await connection.execute(_USE_CODE, (at, account, _digest(account, plain)))
    await connection.commit()
    if done.rowcount != 1:
        raise Unauthenticated(_WRONG)
    await _passed(connection, account)


async def new_recovery_codes(connection: Connection, account: str) -> list[str]:
    """Codes for the day the phone is lost; the former ones end."""
    await connection.execute(_NO_CODES, (account,))
    made = ["".join(random.choice(_ALPHABET) for _ in range(12)) for _ in range(RECOVERY_CODES)]
    for one in made:
        await connection.execute(_ADD_CODE, (account, _digest(account, one)))
    return ["-".join((one[:4], one[4:8], one[8:])) for one in made]


async def remove(connection: Connection, name: str, at: datetime) -> None:
    """Take the second factor off an account: its owner with a code, or an operator for somebody who lost everything."""
    account = account_name(name)
    await connection.execute(_NO_CODES, (account,))
    if (await connection.execute(_REMOVE, (account,))).rowcount != 1:
        raise NotFound("this account has no second factor")
    await stamps.changed(connection, "accounts", at)


async def _check_code(connection: Connection, vault: Vault, account: str, code: str, at: datetime) -> None:
    await guard.begin(connection, _guarded(account), at)
    row = await (await connection.execute(_READ, (account,))).fetchone()
    now = int(at.timestamp()) // PERIOD
    secret = _opened(vault, account, bytes(row[0])) if row else None
    matching = [now + n for n in _WINDOW if secret and secrets.same(one_time_password(secret, now + n), code.strip())]
    fresh = False
    for step in matching:
        fresh = fresh or (await connection.execute(_STEP, (step, account, step))).rowcount == 1
    await connection.commit()
    if not fresh:
        raise Unauthenticated(_WRONG)
    await _passed(connection, account)


async def _passed(connection: Connection, account: str) -> None:
    await guard.succeeded(connection, _guarded(account))
    await connection.commit()


def _opened(vault: Vault, account: str, kept: bytes) -> bytes:
    return kept if len(kept) == _SECRET else vault.open(kept, account)


def seal_existing(dsn: str, vault: Vault) -> int:
    """Seal what an earlier version kept as it is; returns how many there were. Only when none of it runs any more."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(_PLAIN, (_SECRET,)).fetchall()
        for account, secret in found:
            connection.execute(_SEAL, (vault.seal(bytes(secret), account), account))
    return len(found)


def _guarded(account: str) -> str:
    """Under which name failures are counted; no account's name has a blank."""
    return f"second factor {account}"


def _digest(account: str, code: str) -> bytes:
    return secrets.digest(f"{account}\0{code}")
