"""Asking the person index: who is this record, which records are this person, why, and who has this number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from healthbrain.database import Connection
from healthbrain.errors import NotFound
from healthbrain.identity.evidence import key_of
from healthbrain.identity.names import normal_name
from healthbrain.identity.numbers import IdCard, id_card, tidy

_ALL_LINKS = "select patient, person from person_link where not deleted order by patient"
_PERSON_OF = "select patient, person from person_link where patient = any(%s::bigint[]) and not deleted"
_PATIENTS_OF = "select patient from person_link where person = any(%s::text[]) and not deleted order by patient"
_RECORDS_OF = "select patient_id, owner from person_link where person = %s and not deleted order by since, patient"
# a chain of redirects ends at the person in use
_CURRENT = """
with recursive chain as (
    select id asked, id, retired_into from person where id = any(%s::text[])
    union all select c.asked, p.id, p.retired_into from chain c join person p on p.id = c.retired_into)
select asked, id from chain where retired_into is null"""
_EVENTS = """
select id, at, patient, from_person, to_person, kind, rule, model, who, reason, delivery, undoes
from link_event where patient = %s order by id"""
_BY_KEY = """
select distinct l.person from person_identifier i join person_link l using (patient)
where i.key = any(%s::uuid[]) and not l.deleted order by l.person limit %s"""
_BY_NAME = """
select distinct person from person_link where name like %s and not deleted order by person limit %s"""
_DOUBTS = """
select patient, kind, opened_at from link_doubt where closed_at is null order by opened_at desc, patient limit %s"""


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """One decision about where a record belongs."""

    id: int
    at: datetime
    patient: int
    from_person: str | None
    to_person: str | None
    kind: str  # auto, manual, undo
    rule: str
    model: str
    who: str
    reason: str
    delivery: int | None
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something a steward should look at."""

    patient: int
    kind: str
    opened_at: datetime


async def person_of(connection: Connection, patient_keys: Iterable[int]) -> dict[int, str]:
    """The person of each patient record; records that are not known or deleted are left out."""
    rows = await (await connection.execute(_PERSON_OF, (list(patient_keys),))).fetchall()
    return {row[0]: row[1] for row in rows}


async def patients_of(connection: Connection, persons: Iterable[str]) -> tuple[int, ...]:
    """The patient keys of these persons' records; retired ids count as what they redirect to."""
    current = await resolve(connection, persons)
    rows = await (await connection.execute(_PATIENTS_OF, (sorted(set(current.values())),))).fetchall()
    return tuple(row[0] for row in rows)


async def patient_ids(connection: Connection, person: str) -> list[tuple[str, int]]:
    """(logical id of the Patient, owner key of its source) of each record of the person, oldest link first."""
    current = (await resolve(connection, [person])).get(person, person)
    return [(row[0], row[1]) for row in await (await connection.execute(_RECORDS_OF, (current,))).fetchall()]


async def links(connection: Connection) -> list[tuple[int, str]]:
    """(patient key, person id) of every record that is linked; the lake keeps a copy."""
    rows = await (await connection.execute(_ALL_LINKS)).fetchall()
    return [(row[0], row[1]) for row in rows]


async def resolve(connection: Connection, persons: Iterable[str]) -> dict[str, str]:
    """Each known person id with the id now in use for it."""
    rows = await (await connection.execute(_CURRENT, (list(persons),))).fetchall()
    return {row[0]: row[1] for row in rows}


async def explain(connection: Connection, patient: int) -> list[LinkEvent]:
    """Every decision about this record, in order; NotFound when the index doesn't know it."""
    rows = await (await connection.execute(_EVENTS, (patient,))).fetchall()
    if not rows:
        raise NotFound("this patient record is not in the person index")
    return [LinkEvent(*row) for row in rows]


async def find(connection: Connection, *, identifier: str = "", name: str = "", limit: int = 50) -> list[str]:
    """Persons with this number (identity card, insurance without its name, health card or record) or whose name begins so."""
    if identifier:
        rows = await (await connection.execute(_BY_KEY, (_keys(identifier), limit))).fetchall()
    elif wanted := normal_name(name):
        pattern = wanted.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
        rows = await (await connection.execute(_BY_NAME, (pattern, limit))).fetchall()
    else:
        return []
    return [row[0] for row in rows]


async def doubts(connection: Connection, *, limit: int = 100) -> Sequence[Doubt]:
    """What a steward should look at, newest first."""
    return [Doubt(*row) for row in await (await connection.execute(_DOUBTS, (limit,))).fetchall()]


def _keys(identifier: str) -> list[object]:
    number = tidy(identifier)
    card = id_card(identifier, date.max)
    keys: list[object] = [
        key_of(kind, number) for kind in ("id-card", "insurance-number", "health-card", "health-record")
    ]
    if isinstance(card, IdCard):
        keys.append(key_of("id-card", card.number))
    return keys
