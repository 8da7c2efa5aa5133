"""Searching the log: by person, account, resource, time (SEC-18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.audit.events import Event
from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.scope import EVERYTHING, Scope

MOST = 1000


@dataclass(frozen=True, slots=True)
class Record:
    """An event as it lies in the log. `key` names it for good: lane, batch and place in the batch."""

    key: str
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for; empty fields do not matter. Times are half-open: since <= at < until."""

    patients: tuple[int, ...] = ()
    account: str = ""
    type: str = ""
    id: str = ""
    action: str = ""
    interaction: str = ""
    outcomes: tuple[int, ...] = ()
    organisations: tuple[int, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


_COLUMNS = """lane, batch, place, at, action, account, role, organisation, purpose, type, resource, patients, outcome,
       detail, interaction, address, request"""


async def search(
    connection: Connection, query: Query, *, scope: Scope = EVERYTHING, count: int = 50, after: str = ""
) -> tuple[list[Record], str]:
    """Matching records, newest first, and the cursor of the next page ('' = no more)."""
    where, values = _conditions(query, scope)
    if after:
        where.append("(at, lane, batch, place) < (%s, %s, %s, %s)")
        values += _position(after)
    count = max(1, min(count, MOST))
    text = (
        f"select {_COLUMNS} from audit_event where {' and '.join(where) or 'true'} "  # noqa: S608 - constant fragments
        "order by at desc, lane desc, batch desc, place desc limit %s"
    )
    cursor = await connection.execute(text.encode(), (*values, count + 1))
    rows = await cursor.fetchall()
    more = _cursor(rows[count - 1]) if len(rows) > count else ""
    return [_record(row) for row in rows[:count]], more


async def read(connection: Connection, key: str, *, scope: Scope = EVERYTHING) -> Record:
    """The record with this key; raises NotFound, also when it lies outside the scope."""
    parts = key.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        raise NotFound("there is no audit event with this id")
    where, values = _conditions(Query(), scope)
    where = ["lane = %s", "batch = %s", "place = %s", *where]
    text = f"select {_COLUMNS} from audit_event where {' and '.join(where)}"  # noqa: S608 - constant fragments
    cursor = await connection.execute(text.encode(), (*map(int, parts), *values))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no audit event with this id")
    return _record(row)


def _conditions(query: Query, scope: Scope) -> tuple[list[str], list[Any]]:
    found: list[tuple[str, Any]] = []
    if query.patients:
        found.append(("patients && %s::bigint[] and patients <> '{}'", list(query.patients)))
    if query.account:
        found.append(("account = %s", query.account))
    if query.type:
        found.append(("type = %s", query.type))
    if query.id:
        found.append(("resource = %s", query.id))
    if query.action:
        found.append(("action = %s", query.action))
    if query.interaction:
        found.append(("interaction = %s", query.interaction))
    if query.outcomes:
        found.append(("outcome = any(%s)", list(query.outcomes)))
    if query.organisations:
        found.append(("organisation = any(%s)", list(query.organisations)))
    if query.since:
        found.append(("at >= %s", query.since))
    if query.until:
        found.append(("at < %s", query.until))
    where, values = [condition for condition, _ in found], [value for _, value in found]
    _limit(where, values, scope)
    return where, values


def _limit(where: list[str], values: list[Any], scope: Scope) -> None:
    """Only acts of the scope's organisations, or with data of its patients."""
    _limit_grant(where, values, scope)
    ways: list[str] = []
    if scope.organisations is None or scope.patients is None:
        return
    if scope.organisations:
        ways.append("organisation = any(%s)")
        values.append(list(scope.organisations))
    if scope.patients:
        ways.append("(patients && %s::bigint[] and patients <> '{}')")
        values.append(list(scope.patients))
    where.append(f"({' or '.join(ways) or 'false'})")


def _limit_grant(where: list[str], values: list[Any], scope: Scope) -> None:
    """Only what an application was granted. Search restrictions of a grant are not kept to here: such a rule opens
    nothing."""
    if scope.rules is None:
        return
    rules = [rule for rule in scope.rules_for("AuditEvent", "rs") if not rule.where]
    if any(rule.patients is None for rule in rules):
        return
    where.append("(patients && %s::bigint[] and patients <> '{}')")
    values.append(sorted({patient for rule in rules for patient in rule.patients or ()}))


def _record(row: Sequence[Any]) -> Record:
    lane, batch, place, at, action, account, role, organisation, purpose, type_, id_, patients, *rest = row
    return Record(
        f"{lane}.{batch}.{place}",
        Event(at, action, account, role, organisation, purpose, type_, id_, tuple(patients), *rest),
    )


def _cursor(row: Sequence[Any]) -> str:
    return f"{row[3].isoformat()}_{row[0]}.{row[1]}.{row[2]}"


def _position(cursor: str) -> list[Any]:
    when, _, key = cursor.rpartition("_")
    try:
        return [datetime.fromisoformat(when), *(int(part) for part in key.split("."))]
    except ValueError:
        raise Incorrect("this page link is broken; start the search again") from None
