"""Values of data models where screens and services read them. A computation replaces all values of its version at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from healthbrain.database import Connection
from healthbrain.measure.models.compute import Computed, Part, Value
from healthbrain.measure.models.model import Model

_PUT = """
insert into model_value (model, version, month, area, value, known, parts, complete) values (%s, %s, %s, %s, %s, %s, %s, %s)"""
_RUN = """
insert into model_run (model, version, as_of, computed_at, inputs, problem) values (%s, %s, %s, %s, %s, '')
on conflict (model) do update set version = excluded.version, as_of = excluded.as_of, computed_at = excluded.computed_at,
    inputs = excluded.inputs, problem = ''"""


@dataclass(frozen=True, slots=True)
class Run:
    """When a model was computed last, from what, and why the last attempt failed ('' = it did not)."""

    version: str
    as_of: datetime | None
    computed_at: datetime | None
    inputs: tuple[tuple[str, str], ...]  # view and digest of the rows it read
    problem: str


async def put(connection: Connection, model: Model, computed: Computed, at: datetime) -> None:
    """Replace the values of a model."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('model_value'), hashtext(%s))", (model.id,))
        await connection.execute("delete from model_value where model = %s and version = %s", (model.id, model.version))
        async with connection.cursor() as cursor:
            await cursor.executemany(_PUT, [
                (model.id, model.version, one.month, one.area, one.value, one.known,
                 json.dumps([asdict(part) for part in one.parts]), one.complete)
                for one in computed.values
            ])  # fmt: skip
        inputs = json.dumps([[one.id, one.digest] for one in computed.inputs])
        await connection.execute(_RUN, (model.id, model.version, computed.as_of, at, inputs))


async def note_problem(connection: Connection, model: Model, problem: str) -> None:
    """Remember why it could not be computed; the last good values stay."""
    await connection.execute(
        "insert into model_run (model, version, inputs, problem) values (%s, %s, '[]', %s) "
        "on conflict (model) do update set problem = excluded.problem",
        (model.id, model.version, problem),
    )


async def run(connection: Connection, model: Model) -> Run | None:
    """The last run; None when there was none."""
    row = await (
        await connection.execute(
            "select version, as_of, computed_at, inputs, problem from model_run where model = %s", (model.id,)
        )
    ).fetchone()
    return (
        Run(row[0], row[1], row[2], tuple((str(view), str(digest)) for view, digest in row[3]), row[4]) if row else None
    )


async def values(connection: Connection, model: Model, *, areas: Sequence[str] | None = None) -> list[Value]:
    """The values of the version in force, by month; of some areas only when they are named."""
    rows = await (
        await connection.execute(
            "select month, area, value, known, parts, complete from model_value where model = %s and version = %s "
            "and coalesce(area = any(%s), true) order by month, area",
            (model.id, model.version, None if areas is None else list(areas)),
        )
    ).fetchall()
    return [
        Value(month, area, value, known, tuple([Part(**one) for one in parts]), complete)
        for month, area, value, known, parts, complete in rows
    ]
