"""What access knows of a person: panels, the account of a resident, what applications were allowed.

The account is closed and loses its name and its person; its id stays, because the log speaks of it. Emergency grants
stay: they are part of the proof of who looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from healthbrain.access.stamps import changed
from healthbrain.database import Connection

_GONE = (
    "delete from panel where person = any(%(persons)s::text[])",
    "delete from authorisation where person = any(%(persons)s::text[])",
    "delete from launch where person = any(%(persons)s::text[])",
    "delete from session where account in (select name from account where person = any(%(persons)s::text[]))",
    "delete from federated_identity where account in (select name from account where person = any(%(persons)s::text[]))",
    "update account set display = '', person = null, disabled_at = coalesce(disabled_at, %(at)s)"
    " where person = any(%(persons)s::text[])",
)
TABLES = ("account", "panel", "session", "authorisation", "launch")


async def forget(connection: Connection, persons: Sequence[str], at: datetime) -> None:
    """Remove what is kept of these persons, in the caller's transaction."""
    for statement in _GONE:
        await connection.execute(statement, {"persons": list(persons), "at": at})
    await changed(connection, "accounts", at)
