"""Care relations that open single residents' records: a family doctor's panel, and emergencies.

The panel (签约居民) comes from family-doctor contracts. Breaking the glass opens one person to one account for an
hour, says why, and waits for a reviewer (SEC-06: emergency access leaves a reviewed trace).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.scope import Principal

EMERGENCY = timedelta(hours=1)
_MIN_REASON = 6


@dataclass(frozen=True, slots=True)
class EmergencyGrant:
    """One breaking of the glass."""

    id: int
    account: str
    person: str
    reason: str
    opened_at: datetime
    until: datetime
    reviewed_at: datetime | None
    reviewed_by: str | None
    verdict: str | None


_PUT = """
insert into panel (practitioner, person) select * from unnest(%s::text[], %s::text[]) on conflict do nothing"""
_TAKE = """
delete from panel using unnest(%s::text[], %s::text[]) as gone (practitioner, person)
where panel.practitioner = gone.practitioner and panel.person = gone.person"""
_PANEL = "select person from panel where practitioner = %s order by person"
_DOCTORS = "select practitioner from panel where person = %s order by practitioner"
_OPEN = """
insert into emergency_grant (account, person, reason, opened_at, until_at) values (%s, %s, %s, %s, %s)
returning id, account, person, reason, opened_at, until_at, reviewed_at, reviewed_by, verdict"""
_GRANTED = "select distinct person from emergency_grant where account = %s and until_at > %s order by person"
_WAITING = """
select id, account, person, reason, opened_at, until_at, reviewed_at, reviewed_by, verdict
from emergency_grant where reviewed_at is null order by id"""
_REVIEW = """
update emergency_grant set reviewed_at = %s, reviewed_by = %s, verdict = %s
where id = %s and reviewed_at is null and account <> %s"""


async def put_panel(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Put (practitioner, person) pairs on the panels; those already there stay."""
    await connection.execute(_PUT, _columns(pairs))


async def take_off_panel(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Take (practitioner, person) pairs off the panels."""
    await connection.execute(_TAKE, _columns(pairs))


async def panel(connection: Connection, practitioner: str) -> tuple[str, ...]:
    """The persons a practitioner looks after."""
    cursor = await connection.execute(_PANEL, (practitioner,))
    return tuple(row[0] for row in await cursor.fetchall())


async def doctors_of(connection: Connection, person: str) -> tuple[str, ...]:
    """The practitioners on whose panels a person is."""
    cursor = await connection.execute(_DOCTORS, (person,))
    return tuple(row[0] for row in await cursor.fetchall())


async def break_glass(
    connection: Connection, principal: Principal, person: str, reason: str, at: datetime
) -> EmergencyGrant:
    """Open one person's record to a doctor in an emergency. Use the principal with purpose ETREAT afterwards.

    Raises Forbidden for other roles, Incorrect without a reason. The caller audits it.
    """
    if principal.role != "doctor":
        raise Forbidden("only doctors may open a record in an emergency")
    if len(reason.strip()) < _MIN_REASON:
        raise Incorrect("say what the emergency is; the reason is kept and reviewed")
    cursor = await connection.execute(_OPEN, (principal.account, person, reason.strip()[:500], at, at + EMERGENCY))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - insert returning gives its row
    return EmergencyGrant(*row)


async def granted(connection: Connection, account: str, at: datetime) -> tuple[str, ...]:
    """The persons opened to an account by emergency now."""
    cursor = await connection.execute(_GRANTED, (account, at))
    return tuple(row[0] for row in await cursor.fetchall())


async def unreviewed(connection: Connection) -> list[EmergencyGrant]:
    """Emergencies nobody has looked at yet."""
    cursor = await connection.execute(_WAITING)
    return [EmergencyGrant(*row) for row in await cursor.fetchall()]


async def review(connection: Connection, grant: int, *, reviewer: Principal, justified: bool, at: datetime) -> None:
    """Judge an emergency. Nobody judges their own; raises NotFound when it is reviewed already."""
    verdict = "justified" if justified else "unjustified"
    cursor = await connection.execute(_REVIEW, (at, reviewer.account, verdict, grant, reviewer.account))
    if cursor.rowcount != 1:
        raise NotFound("no unreviewed emergency of somebody else has this number")


def _columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    ordered = sorted(set(pairs))  # one order for everybody: no deadlock between two writers
    return [practitioner for practitioner, _ in ordered], [person for _, person in ordered]
