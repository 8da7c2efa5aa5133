"""National parameters that a city sets otherwise: every setting is a new version of the measure, with its own series.

Who set what, why and by which document stays; the definition in force is the shipped one with the latest setting made for
its version. A new shipped version starts from the national values again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure.definition import Constant, Definition
from healthbrain.measure.load import built_in, library
from healthbrain.measure.own import own_measures

_LATEST = """
select distinct on (measure) measure, base, revision, parameters, reason from measure_adjustment
order by measure, revision desc
"""


async def in_force(connection: Connection) -> tuple[Definition, ...]:
    """The built-in definitions as this place has adjusted them, and its own published ones."""
    rows = await (await connection.execute(_LATEST)).fetchall()
    latest = {(measure, base): rest for measure, base, *rest in rows}
    shipped = tuple(_adjusted(one, latest.get((one.id, one.version))) for one in built_in())
    return (*shipped, *await own_measures(connection))


async def mark(connection: Connection, at: datetime) -> str:
    """Changes when figures may, although no resource did: with the local day, definitions, settings and entered values."""
    row = await (
        await connection.execute(
            "select (select coalesce(max(id), 0) from measure_entry) + (select count(*) from measure_entry_review), (select count(*) from measure_adjustment), "
            "(select coalesce(max(id), 0) from own_measure_event where action in ('published', 'retired', 'resumed'))"
        )
    ).fetchone()
    said = "\n".join(f"{one!r}" for one in built_in()) + f"{library()!r}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    entries, settings, own = row or (0, 0, 0)
    return f"{at.astimezone(LOCAL).date()} {digest} {entries} {settings} {own}"


async def adjust(
    connection: Connection,
    measure: str,
    values: Mapping[str, Constant],
    *,
    reason: str,
    document: str,
    by: str,
    at: datetime,
) -> Definition:
    """Set parameters of a measure otherwise; returns the definition that holds from now on. Raises Incorrect, NotFound."""
    one = next((known for known in built_in() if known.id == measure), None)
    if one is None:
        raise NotFound(f"there is no measure {measure}")
    if not reason.strip() or not document.strip():
        raise Incorrect("a parameter is changed with a reason and the document that says so")
    kinds = {parameter.name: parameter.value for parameter in one.parameters}
    for name, value in values.items():
        if name in kinds and isinstance(kinds[name], str) != isinstance(value, str):
            raise Incorrect(f"the parameter {name} is {'a text' if isinstance(kinds[name], str) else 'a number'}")
    one.adjusted(values, 1, {})  # refuses unknown parameters
    cursor = await connection.execute(
        "insert into measure_adjustment (measure, revision, base, parameters, reason, document, adjusted_by, adjusted_at) "
        "select %(measure)s, coalesce(max(revision), 0) + 1, %(base)s, %(values)s, %(reason)s, %(document)s, %(by)s, %(at)s "
        "from measure_adjustment where measure = %(measure)s returning revision, parameters, reason",
        {
            "measure": measure, "base": one.version, "values": orjson.dumps(dict(values)).decode(),
            "reason": reason.strip(), "document": document.strip(), "by": by, "at": at,
        },
    )  # fmt: skip
    return _adjusted(one, await cursor.fetchone())


def _adjusted(one: Definition, setting: object) -> Definition:
    if not isinstance(setting, list | tuple):
        return one
    revision, parameters, reason = setting
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    return one.adjusted(values, revision, {"zh": reason, "en": reason})
