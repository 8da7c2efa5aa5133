"""The schemes that can be run here: those that come with the platform, and own ones kept with every version.

An own scheme begins as a copy or from nothing; each saving is a version, a run names the version it used. Built-in ones are
never changed: their copies are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.measure.adjusting import in_force
from healthbrain.measure.assessment.scheme import Scheme, against, scheme_of
from healthbrain.measure.strict import read

OWN = "OWN-"
_LATEST = """
select distinct on (v.scheme) v.scheme, v.number, v.content, v.change, v.by, v.at, s.organisation, s.retired_at
from assessment_scheme_version v join assessment_scheme s on s.id = v.scheme
where (%(scheme)s = '' or s.id = %(scheme)s) order by v.scheme, v.number desc
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A scheme with where it comes from."""

    scheme: Scheme
    own: bool
    organisation: int | None = None
    by: str = ""
    at: datetime | None = None
    change: str = ""
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One form an own scheme had."""

    number: int
    change: str
    by: str
    at: datetime


@cache
def built_in_schemes() -> tuple[Scheme, ...]:
    """The schemes that come with the platform, by their file names."""
    files = (one for one in (resources.files(__package__) / "schemes").iterdir() if one.name.endswith(".yaml"))
    return tuple(scheme_from(one.read_text("utf-8"), one.name) for one in sorted(files, key=lambda one: one.name))


def scheme_from(text: str, where: str) -> Scheme:
    """A scheme from YAML. Raises Incorrect."""
    raw = read(text, where)
    version = 1
    if isinstance(raw, dict) and "version" in raw:
        said = str(raw.pop("version"))
        if not said.isdecimal() or not int(said):
            raise Incorrect(f"{where}: the version is a whole number")
        version = int(said)
    return scheme_of(raw, where, version)


async def schemes(connection: Connection, organisations: Collection[int] | None = None) -> list[Kept]:
    """Every scheme that can be run for these organisations (None: all), own ones first."""
    rows = await (await connection.execute(_LATEST.encode(), {"scheme": ""})).fetchall()
    own = [_kept(row) for row in rows]
    seen = [one for one in own if not one.retired and (organisations is None or one.organisation in organisations)]
    return [*seen, *(Kept(one, own=False) for one in built_in_schemes())]


async def find(connection: Connection, id_: str) -> Kept:
    """The newest version of a scheme. Raises NotFound."""
    for one in built_in_schemes():
        if one.id == id_:
            return Kept(one, own=False)
    row = await (await connection.execute(_LATEST.encode(), {"scheme": id_})).fetchone() if id_ else None
    if row is None:
        raise NotFound("there is no such assessment scheme")
    return _kept(row)


async def versions(connection: Connection, id_: str) -> list[Version]:
    """Every version of an own scheme, newest first."""
    cursor = await connection.execute(
        "select number, change, by, at from assessment_scheme_version where scheme = %s order by number desc", [id_]
    )
    return [Version(*row) for row in await cursor.fetchall()]


async def checked(connection: Connection, raw: Any, where: str) -> Scheme:
    """A scheme that is right in itself and fits the measures in force. Raises Incorrect with every fault."""
    found = scheme_of(raw, where)
    if faults := against(found, await in_force(connection)):
        raise Incorrect(f"{where}: the scheme does not fit the measures in force here", issues=faults)
    return found


async def create(
    connection: Connection, raw: dict[str, Any], *, organisation: int, by: str, at: datetime, change: str = ""
) -> Scheme:
    """A new own scheme; its number is given here. Raises Incorrect."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtextextended('assessment scheme', 6))")
        cursor = await connection.execute("select count(*) + 1 from assessment_scheme")
        row = await cursor.fetchone()
        id_ = f"{OWN}{row[0] if row else 1}"
        scheme = await checked(connection, {**raw, "id": id_}, id_)
        await connection.execute(
            "insert into assessment_scheme (id, organisation, created_by, created_at) values (%s, %s, %s, %s)",
            [id_, organisation, by, at],
        )
        await _put(connection, scheme, 1, change, by, at)
    return scheme


async def change(
    connection: Connection, id_: str, raw: dict[str, Any], *, number: int, by: str, at: datetime, note: str = ""
) -> Scheme:
    """The next version of an own scheme, made from version `number`. Raises Incorrect, Conflict, NotFound."""
    async with connection.transaction():
        await connection.execute("select 1 from assessment_scheme where id = %s for update", [id_])
        kept = await find(connection, id_)
        if not kept.own:
            raise Conflict("a scheme that comes with the platform is not changed; copy it")
        if kept.scheme.version != number:
            raise Conflict("the scheme was changed in the meantime; open it again")
        scheme = replace(await checked(connection, {**raw, "id": id_}, id_), version=number + 1)
        await _put(connection, scheme, number + 1, note, by, at)
    return scheme


async def retire(connection: Connection, id_: str, at: datetime, *, on: bool = True) -> None:
    """No longer offer an own scheme, or offer it again; its runs stay. Raises NotFound."""
    cursor = await connection.execute(
        "update assessment_scheme set retired_at = %s where id = %s", [at if on else None, id_]
    )
    if cursor.rowcount != 1:
        raise NotFound("there is no such own scheme")


async def _put(connection: Connection, scheme: Scheme, number: int, change: str, by: str, at: datetime) -> None:
    await connection.execute(
        "insert into assessment_scheme_version (scheme, number, content, change, by, at) values (%s, %s, %s, %s, %s, %s)",
        [scheme.id, number, orjson.dumps(scheme.as_raw()).decode(), change[:300], by, at],
    )


def _kept(row: Any) -> Kept:
    id_, number, content, change, by, at, organisation, retired_at = row
    scheme = scheme_of(orjson.loads(content), id_, number)
    return Kept(scheme, True, organisation, by, at, change, retired_at is not None)
