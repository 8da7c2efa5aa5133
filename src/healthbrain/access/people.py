"""Accounts of people: made by an administrator, never shipped; closed or expired ones cannot sign in.

GB/T 22239 身份鉴别 and 访问控制: unique names, no default or shared passwords, a password somebody else chose must be
changed at first use, expired accounts are closed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast, get_args

from healthbrain.access import stamps
from healthbrain.access.passwords import PASSWORDS, check_password
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.scope import Role

PERSON_ROLES = tuple(role for role in get_args(Role) if role != "system")
_NAME = re.compile(r"[\w][\w.@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as administrators see it; the password is not part of it."""

    name: str
    display: str
    role: Role
    organisation: int
    person: str | None
    practitioner: str | None
    must_change: bool
    valid_until: datetime | None
    disabled_at: datetime | None
    last_sign_in_at: datetime | None

    def usable(self, at: datetime) -> bool:
        """Whether it may be used at `at`."""
        return self.disabled_at is None and (self.valid_until is None or at < self.valid_until)


ACCOUNT_COLUMNS = (
    "name, display, role, organisation, person, practitioner, must_change, valid_until, disabled_at, last_sign_in_at"
)
_LIST = f"select {ACCOUNT_COLUMNS} from account order by name"  # noqa: S608 - a constant column list
_ONE = f"select {ACCOUNT_COLUMNS} from account where name = %s"  # noqa: S608 - a constant column list
_INSERT = """
insert into account (name, display, role, organisation, person, practitioner, password, must_change, valid_until,
                     created_at, password_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (name) do nothing"""
_SET_KEPT = "update account set password = %s, must_change = %s, password_at = %s where name = %s"
_DISABLE = "update account set disabled_at = %s where name = %s"
_END_SESSIONS = "delete from session where account = %s"


def account_name(text: str) -> str:
    """The one spelling of an account's name: width and case do not matter."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


async def accounts(connection: Connection) -> list[Account]:
    """All accounts by name."""
    cursor = await connection.execute(_LIST)
    return [Account(*row) for row in await cursor.fetchall()]


async def display_names(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """What the persons behind accounts are called, for histories; an account that is unknown or has no name keeps its own."""
    wanted = sorted(set(names))
    cursor = await connection.execute("select name, display from account where name = any(%s)", [wanted])
    found = {name: display for name, display in await cursor.fetchall() if display}
    return {name: found.get(name, name) for name in wanted}


async def account(connection: Connection, name: str) -> Account:
    """One account; raises NotFound."""
    cursor = await connection.execute(_ONE, (account_name(name),))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no account of this name")
    return Account(*row)


async def create_account(
    connection: Connection,
    *,
    name: str,
    password: str,
    role: str,
    organisation: int,
    display: str,
    person: str | None = None,
    practitioner: str | None = None,
    must_change: bool = False,
    valid_until: datetime | None = None,
    at: datetime | None = None,
) -> Account:
    """Make an account. `must_change` when somebody other than its owner chose the password.

    Raises Incorrect for a bad name, role or password and Conflict when the name is taken.
    """
    at = at or datetime.now(UTC)
    known = account_name(name)
    if not _NAME.fullmatch(known):
        raise Incorrect("an account's name has 1 to 64 letters, digits or . _ @ + - and begins with a letter or digit")
    if role not in PERSON_ROLES:
        raise Incorrect(f"'{role}' is not a role of a person; known are {', '.join(PERSON_ROLES)}")
    if role == "resident" and person is None:
        raise Incorrect("a resident's account names the person it belongs to")
    check_password(password, account=known)
    kept = await PASSWORDS.hash(password)
    cursor = await connection.execute(
        _INSERT,
        (known, display, role, organisation, person, practitioner, kept, must_change, valid_until, at, at),
    )
    if cursor.rowcount != 1:
        raise Conflict(f"the account name '{known}' is taken; choose another")
    return Account(
        known, display, cast(Role, role), organisation, person, practitioner, must_change, valid_until, None, None
    )


async def set_password(
    connection: Connection, name: str, password: str, *, at: datetime, must_change: bool = False
) -> None:
    """Give an account a new password and end its sessions. Raises Incorrect when it is too easy."""
    known = (await account(connection, name)).name
    check_password(password, account=known)
    kept = await PASSWORDS.hash(password)
    await connection.execute(_SET_KEPT, (kept, must_change, at, known))
    await connection.execute(_END_SESSIONS, (known,))
    await stamps.changed(connection, "accounts", at)


async def disable_account(connection: Connection, name: str, *, at: datetime) -> None:
    """Close an account and end its sessions."""
    known = (await account(connection, name)).name
    await connection.execute(_DISABLE, (at, known))
    await connection.execute(_END_SESSIONS, (known,))
    await stamps.changed(connection, "accounts", at)


async def enable_account(connection: Connection, name: str, *, at: datetime) -> None:
    """Open a closed account again."""
    known = (await account(connection, name)).name
    await connection.execute(_DISABLE, (None, known))
    await stamps.changed(connection, "accounts", at)
