"""Computed measures put where the screens read them: replaced as a whole per measure and version, in one transaction."""

from __future__ import annotations

from datetime import datetime

import orjson

from healthbrain.database import Connection
from healthbrain.measure.compute import Computed

# Periods that the run did not compute (older than its trend) keep what was computed when they were within it.
_DROP_RESULTS = "delete from measure_result where measure = %s and version = %s and period = any(%s)"
_DROP_MEMBERS = "delete from measure_member where measure = %s"
_COPY_RESULTS = """
copy measure_result (measure, version, period, level, key, window_from, window_to, complete, numerator, denominator,
    value, low, high, small, sending, registered, as_of, computed_at) from stdin"""
_COPY_MEMBERS = """
copy measure_member (measure, version, period, subject, town, institution, inside, reasons, shown, evidence)
    from stdin"""


async def publish(connection: Connection, computed: Computed, at: datetime) -> None:
    """Replace the results and members of one measure. Readers see the old ones until the transaction commits."""
    definition = computed.definition
    async with connection.transaction(), connection.cursor() as cursor:
        # two runs at once would each delete what they see and collide; one waits for the other
        await cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 4))", [f"measure {definition.id}"])
        periods = sorted({one.period for one in computed.results})
        await cursor.execute(_DROP_RESULTS, [definition.id, definition.version, periods])
        await cursor.execute(_DROP_MEMBERS, [definition.id])
        head = (definition.id, definition.version)
        tail = (computed.coverage.sending, computed.coverage.registered, computed.as_of, at)
        async with cursor.copy(_COPY_RESULTS) as copy:
            for one in computed.results:
                place = (one.period, one.level, one.key, one.start, one.to, one.complete)
                figures = (one.numerator, one.denominator, one.value, one.low, one.high, one.small)
                await copy.write_row((*head, *place, *figures, *tail))
        async with cursor.copy(_COPY_MEMBERS) as copy:
            for member in computed.members:
                who = (computed.period, member.subject, member.town, member.institution, member.numerator)
                why = (list(member.reasons), orjson.dumps(member.shown).decode(), list(member.evidence))
                await copy.write_row((*head, *who, *why))
