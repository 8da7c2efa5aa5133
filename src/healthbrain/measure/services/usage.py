"""How often each data service is used, by whom, and whether one caller asks too often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from healthbrain.database import Connection
from healthbrain.errors import Busy
from healthbrain.measure.services.service import Service

_KEPT = timedelta(days=400)
_ADMIT = """
insert into data_service_rate (service, version, caller, minute, calls) values (%s, %s, %s, %s, 1)
on conflict (service, version, caller) do update set
    calls = case when data_service_rate.minute = excluded.minute then data_service_rate.calls + 1 else 1 end, minute = excluded.minute
returning calls"""
_COUNT = """
insert into data_service_use (service, version, day, caller, calls, refused, rows, milliseconds) values (%s, %s, %s, %s, %s, %s, %s, %s)
on conflict (service, version, day, caller) do update set calls = data_service_use.calls + excluded.calls,
    refused = data_service_use.refused + excluded.refused, rows = data_service_use.rows + excluded.rows,
    milliseconds = data_service_use.milliseconds + excluded.milliseconds"""
_SUM = """
select service, version, sum(calls)::bigint, sum(refused)::bigint, count(distinct caller), max(day), sum(milliseconds)::bigint
from data_service_use where day > %s group by service, version"""


@dataclass(frozen=True, slots=True)
class Use:
    """How a service was used in the last days."""

    calls: int
    refused: int
    callers: int
    last: date
    milliseconds: int


async def admit(connection: Connection, one: Service, caller: str, at: datetime) -> None:
    """Count a call against what one caller may ask in a minute. Raises Busy."""
    minute = at.replace(second=0, microsecond=0)
    row = await (await connection.execute(_ADMIT, (one.id, one.version, caller, minute))).fetchone()
    if row is not None and row[0] > one.a_minute:
        raise Busy(f"this service answers one caller {one.a_minute} times a minute; go on in the next minute")


async def count(
    connection: Connection, one: Service, caller: str, day: date, *, rows: int, milliseconds: int, refused: bool = False
) -> None:
    """Note a call, answered or refused."""
    values = (one.id, one.version, day, caller, 0 if refused else 1, int(refused), rows, milliseconds)
    await connection.execute(_COUNT, values)


async def used(connection: Connection, today: date, days: int = 30) -> dict[tuple[str, int], Use]:
    """Every service that was asked in the last days, by id and version."""
    rows = await (await connection.execute(_SUM, (today - timedelta(days=days),))).fetchall()
    return {(row[0], row[1]): Use(row[2], row[3], row[4], row[5], row[6]) for row in rows}


async def tidy(connection: Connection, at: datetime) -> None:
    """Forget what is long past."""
    await connection.execute("delete from data_service_rate where minute < %s", (at - timedelta(hours=1),))
    await connection.execute("delete from data_service_use where day < %s", (at.date() - _KEPT,))
