"""Who answers for an indicator: the unit of the organisation tree and the person, set by the district (责任单位, 责任人).

Plans name departments of their city; which organisation of this platform that is, and who is in charge there, is for
the district to say. Without it a notice cannot be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.plans import plan as plan_of


@dataclass(frozen=True, slots=True)
class Duty:
    """Who answers for one indicator."""

    indicator: str
    organisation: int
    person: str


async def duties(connection: Connection, plan: str) -> dict[str, Duty]:
    """By indicator."""
    cursor = await connection.execute("select indicator, organisation, person from plan_duty where plan = %s", [plan])
    return {row[0]: Duty(*row) for row in await cursor.fetchall()}


async def put_duty(
    connection: Connection, plan: str, indicator: str, organisation: int, person: str, *, by: str, at: datetime
) -> None:
    """Say who answers for it from now on. Raises NotFound for an indicator the plan does not have."""
    if plan_of(plan).indicator(indicator) is None:
        raise NotFound("the plan has no such indicator")
    name = person.replace("\0", "").strip()
    if len(name) > 60:
        raise Incorrect("the person in charge is longer than 60 characters; give a name or a post")
    await connection.execute(
        "insert into plan_duty (plan, indicator, organisation, person, set_by, set_at) values (%s, %s, %s, %s, %s, %s) "
        "on conflict (plan, indicator) do update set organisation = excluded.organisation, person = excluded.person, "
        "set_by = excluded.set_by, set_at = excluded.set_at",
        [plan, indicator, organisation, name, by, at],
    )
