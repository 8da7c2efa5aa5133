"""Taking a person out of the index. Decisions about links stay: they hold numbers of records, no values of a person."""

from __future__ import annotations

from collections.abc import Sequence

from healthbrain.database import Connection

_PERSONS = """
with recursive chain as (
    select id from person where id = %s
    union select p.id from chain c join person p on p.retired_into = c.id)
select id from chain"""
_RECORDS = "select patient, patient_id from person_link where person = any(%s::text[]) order by patient"
_LOCK = "select patient from person_link where patient = any(%s::bigint[]) order by patient for update"
_GONE = (
    "delete from person_key_lock where key in (select key from person_identifier where patient = any(%(patients)s::bigint[]))",
    "delete from link_verdict where one = any(%(patients)s::bigint[]) or other = any(%(patients)s::bigint[])",
    "delete from link_doubt where patient = any(%(patients)s::bigint[])",
    "delete from person_link where patient = any(%(patients)s::bigint[])",
    "delete from person where id = any(%(persons)s::text[])"
    " and not exists (select 1 from person_link l where l.person = person.id or l.first_person = person.id)"
    " and not exists (select 1 from person p where p.retired_into = person.id and p.id <> all(%(persons)s::text[]))",
)
TABLES = ("person_link", "person_identifier", "person_key_lock", "person")


async def records(connection: Connection, person: str) -> tuple[list[str], list[tuple[int, str]]]:
    """Every id the person ever had, and (patient key, Patient id) of every record, deleted ones included."""
    persons = [row[0] for row in await (await connection.execute(_PERSONS, (person,))).fetchall()]
    rows = await (await connection.execute(_RECORDS, (persons,))).fetchall()
    return persons, [(row[0], row[1]) for row in rows]


async def forget(connection: Connection, persons: Sequence[str], patients: Sequence[int]) -> None:
    """Remove these persons and their records from the index, in the caller's transaction."""
    await connection.execute(_LOCK, (list(patients),))
    for statement in _GONE:
        await connection.execute(statement, {"patients": list(patients), "persons": list(persons)})
