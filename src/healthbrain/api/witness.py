"""The audit event of a change, written in the transaction of the change itself.

As a store observer it sees what was written and puts one event beside it: either both are there or neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

from healthbrain import audit
from healthbrain.api.call import Call
from healthbrain.audit import AuditAction, Event
from healthbrain.database import Connection
from healthbrain.store import WriteContext, Written


class Witness:
    """Observes the writes of one call. With `at_once=False` it only remembers (a batch is written entry by entry)."""

    def __init__(self, call: Call, *, at_once: bool = True) -> None:
        self._call = call
        self._at_once = at_once
        self._delivery: int | None = None
        self.seen: list[Written] = []

    async def __call__(self, connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
        """Called by the store inside its transaction; once more when that had to be begun again."""
        if self._at_once or context.delivery != self._delivery:
            self._delivery = context.delivery
            self.seen = []
        self.seen += written
        self._note(written)
        if self._at_once:
            await audit.record(connection, [event_of(self._call, audit.FINE)])
            self._call.trace.written = True

    def foresee(self, written: Written) -> Event:
        """The event of a single write that is about to be made, to be written with it."""
        self._note([written])
        return event_of(self._call, audit.FINE)

    def accept(self, written: Sequence[Written]) -> None:
        """What was foreseen has come true, its event is written."""
        self.seen = list(written)
        self._call.trace.written = True

    def _note(self, written: Sequence[Written]) -> None:
        trace = self._call.trace
        trace.patients.update(one.patient for one in written if one.patient is not None)
        if trace.type == "Bundle":
            trace.detail = counted(self.seen)
        elif len(written) == 1:
            trace.id = written[0].id


def counted(written: Sequence[Written]) -> str:
    """What a bundle changed, by type: `Observation 30, Encounter 1`."""
    return ", ".join(f"{type_} {n}" for type_, n in Counter(one.type for one in written).most_common(20))


def event_of(call: Call, outcome: int, detail: str = "") -> Event:
    """The audit event of a call."""
    trace, who = call.trace, call.principal
    return Event(
        at=call.at,
        action=cast(AuditAction, trace.action),
        account=who.account if who else "",
        role=who.role if who else "",
        organisation=who.organisation if who else 0,
        purpose=who.purpose if who else "",
        type=trace.type,
        id=trace.id,
        patients=tuple(trace.patients),
        outcome=outcome,
        detail="; ".join(part for part in (_through(call), trace.detail, detail) if part)[:2000],
        interaction=trace.interaction,
        address=call.address,
        request=call.request_id,
    )


def _through(call: Call) -> str:
    """Through which application the principal acts, if any."""
    grant = call.principal.grant if call.principal else None
    return f"application {grant.client}" if grant else ""
