"""Published own measures beside the built-in ones: read from the database, parsed once per text.

What no longer compiles (after an upgrade that changed a table) is left out and said in the log; it never keeps the other measures
from being counted.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date
from functools import lru_cache

from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError
from healthbrain.measure.compute import constants_at
from healthbrain.measure.definition import Definition
from healthbrain.measure.load import definition_of, library
from healthbrain.measure.tally import counting

log = logging.getLogger("healthbrain.measure")
_PUBLISHED = """
select distinct on (v.measure) v.measure, v.definition, v.change from own_measure_version v join own_measure m on m.id = v.measure
where v.state = 'published' and m.retired_at is null and m.deleted_at is null order by v.measure, v.number desc
"""


class _LastRead:
    """The own measures as this process read them last, for callers that have no connection at hand."""

    definitions: tuple[Definition, ...] = ()


async def own_measures(connection: Connection) -> tuple[Definition, ...]:
    """The own measures in force."""
    rows = await (await connection.execute(_PUBLISHED)).fetchall()
    found = (_parsed(str(text), str(change)) for _, text, change in rows)
    _LastRead.definitions = tuple(one for one in found if one is not None)
    return _LastRead.definitions


def last_read() -> tuple[Definition, ...]:
    """The own measures in force when they were last read here."""
    return _LastRead.definitions


@lru_cache(maxsize=512)
def _parsed(text: str, change: str) -> Definition | None:
    try:
        one = definition_of(text, "own measure")
        counting((one,), library(), constants_at(date(2000, 1, 1)))
    except HealthBrainError as error:
        log.error("an own measure is not counted: %s", error.message)
        return None
    return replace(one, change={"zh": change, "en": change}) if change else one
