"""What people decide about links: apart, together, and taking a decision back. The machine never overturns it.

A decision is about pairs of records: "not the same" between the record taken out and each one it is taken from, "the
same" with those it is put to. Records that come later are grouped around it by the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.identity.grouping import MODEL
from healthbrain.identity.index import resolve
from healthbrain.identity.linking import Cause, relink_records

_EVENT = """
insert into link_event (at, patient, from_person, to_person, kind, rule, model, who, reason, undoes)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id"""
_VERDICTS = """
insert into link_verdict (one, other, same, event)
select least(%s, o), greatest(%s, o), %s, %s from unnest(%s::bigint[]) o"""
_PERSON = "select person from person_link where patient = %s and not deleted for update"
_OTHERS = (
    "select patient from person_link where person = %s and patient <> %s and not deleted order by patient for update"
)
_DECISION = """
select e.patient, e.kind, exists (select 1 from link_verdict v where v.event = e.id and v.withdrawn_by is null), l.person
from link_event e join person_link l using (patient) where e.id = %s"""
_WITHDRAW = "update link_verdict set withdrawn_by = %s where event = %s and withdrawn_by is null returning one, other"


async def unlink(connection: Connection, patient: int, *, who: str, reason: str, at: datetime) -> int:
    """This record is not the person it is linked to: it gets one of its own. Returns the number of the decision."""
    _explained(reason)
    person, others = await _belongs(connection, patient)
    if not others:
        raise Conflict("this record is already alone in its person")
    event = await _decide(connection, patient, person, "unlink", who, reason, at)
    await connection.execute(_VERDICTS, (patient, patient, False, event, others))
    await _regroup(connection, [patient, *others], Cause(at, "manual", who, reason, rule="verdict"))
    return event


async def relink(connection: Connection, patient: int, person: str, *, who: str, reason: str, at: datetime) -> int:
    """This record belongs to `person`. Returns the number of the decision."""
    _explained(reason)
    target = (await resolve(connection, [person])).get(person)
    if target is None:
        raise NotFound(f"there is no person {person}")
    before, others = await _belongs(connection, patient)
    if target == before:
        raise Conflict("this record already belongs to that person")
    members = [row[0] for row in await (await connection.execute(_OTHERS, (target, patient))).fetchall()]
    if not members:
        raise Conflict("that person has no records any more")
    event = await _decide(connection, patient, before, "relink", who, reason, at)
    if others:
        await connection.execute(_VERDICTS, (patient, patient, False, event, others))
    await connection.execute(_VERDICTS, (patient, patient, True, event, members))
    await _regroup(connection, [patient, *others, *members], Cause(at, "manual", who, reason, rule="verdict"))
    return event


async def undo(connection: Connection, decision: int, *, who: str, reason: str, at: datetime) -> int:
    """Take a decision back: the records stand as if it had not been made. Returns the number of this event."""
    _explained(reason)
    row = await (await connection.execute(_DECISION, (decision,))).fetchone()
    if row is None or row[1] != "manual":
        raise NotFound(f"there is no decision {decision}")
    if not row[2]:
        raise Conflict(f"decision {decision} was already taken back")
    patient, person = int(row[0]), str(row[3])  # the record may have been deleted since
    event = await _record(connection, patient, person, "undo", "undo", who, reason, at, decision)
    pairs = await (await connection.execute(_WITHDRAW, (event, decision))).fetchall()
    await _regroup(connection, {one for pair in pairs for one in pair}, Cause(at, "undo", who, reason, rule="undo"))
    return event


async def _belongs(connection: Connection, patient: int) -> tuple[str, list[int]]:
    """Its person, and the other records of that person."""
    row = await (await connection.execute(_PERSON, (patient,))).fetchone()
    if row is None:
        raise NotFound("this patient record is not in the person index")
    others = await (await connection.execute(_OTHERS, (row[0], patient))).fetchall()
    return row[0], [one[0] for one in others]


async def _decide(
    connection: Connection, patient: int, person: str, rule: str, who: str, reason: str, at: datetime
) -> int:
    return await _record(connection, patient, person, "manual", rule, who, reason, at, None)


async def _record(
    connection: Connection,
    patient: int,
    person: str,
    kind: str,
    rule: str,
    who: str,
    reason: str,
    at: datetime,
    undoes: int | None,
) -> int:
    cursor = await connection.execute(_EVENT, (at, patient, person, person, kind, rule, MODEL, who, reason, undoes))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("the decision could not be recorded")
    return int(row[0])


async def _regroup(connection: Connection, patients: Iterable[int], cause: Cause) -> None:
    await relink_records(connection, dict.fromkeys(patients), cause)


def _explained(reason: str) -> None:
    if not reason.strip():
        raise Incorrect("a decision about a person needs a reason")
