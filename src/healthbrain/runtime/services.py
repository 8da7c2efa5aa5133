"""Calling a published data service for somebody: permission, purpose, rate, the answer, and a count of its use (HUB-03).

The API and the screens call services by this one function, with the caller's own permission; there is no other way to their data.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthbrain.access import Organisation, Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError, NotFound
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure import services
from healthbrain.measure.services import Read, Reader, Row, Service
from healthbrain.runtime.platform import Platform
from healthbrain.scope import Principal


@dataclass(frozen=True, slots=True)
class Answered:
    """What a service answered: figures with the units they are about, as of when, for what was asked."""

    service: Service
    asked: Mapping[str, str]
    rows: tuple[Row, ...]
    as_of: datetime | None
    units: Mapping[int, Organisation]

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "service": self.service.id,
            "version": self.service.version,
            "title": dict(self.service.title),
            "unit": dict(self.service.unit),
            "asOf": self.as_of.isoformat() if self.as_of else None,
            "parameters": dict(self.asked),
            "deprecated": deprecation(self.service),
            "rows": [
                {
                    "month": row.month,
                    "institution": None if row.unit is None else _named(row.unit, self.units),
                    "numerator": row.above,
                    "denominator": row.below,
                    "value": row.value,
                    "hidden": row.hidden,
                }
                for row in self.rows
            ],
        }


def _named(unit: int, units: Mapping[int, Organisation]) -> dict[str, str] | None:
    found = units.get(unit)
    return {"code": found.code, "name": found.name} if found else None


def deprecation(one: Service) -> dict[str, Any] | None:
    """What is said about a version that will go."""
    old = one.deprecated
    if old is None:
        return None
    return {
        "since": old.since.isoformat(),
        "until": old.until.isoformat(),
        "instead": old.instead,
        "why": dict(old.why),
    }


async def call(
    platform: Platform,
    who: Principal,
    id_: str,
    parameters: Mapping[str, str] | None = None,
    *,
    version: int | None = None,
) -> Answered:
    """Ask a service, in its newest version unless one is named. Raises NotFound, Gone, Incorrect, Forbidden, Busy, Unavailable.

    Refused calls are counted too, and so is their reason's kind in the audit log of whoever calls this.
    """
    began, at = time.monotonic(), platform.clock()
    one, today, caller = services.service(id_, version), at.astimezone(LOCAL).date(), caller_of(who)
    async with platform.pool.connection() as connection:
        await services.admit(connection, one, caller, at)
        await connection.commit()
        try:
            services.answering(one, today)
            asked = services.read_parameters(one, parameters or {}, today)
            tree = await platform.tree(connection)
            reader = await _reader(platform, connection, who, one)
            unit = _unit(tree, asked["institution"], reader, who if one.measure else None)
            found = await _read(platform, connection, one, asked, unit, reader)
        except HealthBrainError:
            await services.count(connection, one, caller, today, rows=0, milliseconds=0, refused=True)
            await connection.commit()
            raise
        spent = round((time.monotonic() - began) * 1000)
        await services.count(connection, one, caller, today, rows=len(found.rows), milliseconds=spent)
    units = {row.unit: tree[row.unit] for row in found.rows if row.unit is not None and row.unit in tree}
    return Answered(one, asked, found.rows, found.as_of, units)


async def _read(
    platform: Platform, connection: Connection, one: Service, asked: Mapping[str, str], unit: int | None, reader: Reader
) -> Read:
    if one.measure:
        return await services.read_measure(one, connection, asked, unit, reader)
    return await asyncio.to_thread(services.read_statement, one, platform.settings.lake, asked, unit, reader)


async def _reader(platform: Platform, connection: Connection, who: Principal, one: Service) -> Reader:
    """What the caller may see of it. Figures need the permission for indicators; a purpose that the service is not for is refused."""
    scope = await platform.decide(connection, who, "search", "indicator")
    if who.purpose not in one.purposes:
        raise Forbidden(f"this service is for the purposes {', '.join(one.purposes)}; declare one of them")
    try:
        people = (await platform.decide(connection, who, "search", "Encounter")).identified
    except Forbidden:
        people = False
    return Reader(scope.organisations, people)


def _unit(tree: Tree, code: str, reader: Reader, who: Principal | None) -> int | None:
    """The institution that is asked for, if the caller may see it. Without one, of a measure's figures (`who`) somebody of an
    institution gets those of the own one."""
    if not code:
        return None if who is None or reader.organisations is None else tree.nearest(who.organisation, "institution")
    node = tree.by_code(code)
    if node is None or (reader.organisations is not None and node.key not in reader.organisations):
        raise NotFound("there is no such institution among those whose figures you may see")
    return node.key


def described(id_: str) -> Service:
    """What the registry says of a service, in its newest version. Raises NotFound."""
    return services.service(id_)


def caller_of(who: Principal) -> str:
    """Under which name calls are counted."""
    return f"{who.account} {who.grant.client}" if who.grant else who.account
