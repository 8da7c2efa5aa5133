"""Linking: after every write of Patients, the persons they belong to, in the same transaction.

Bulk-friendly: a handful of statements for any number of Patients. The records' keys are locked first (a row each, in key
order), so that one person registered twice at the same moment is one person; then everything connected is read, grouped by the pure
rules, and only what changed is written, each change with its event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from healthbrain.database import Connection
from healthbrain.identity.evidence import Evidence, evidence
from healthbrain.identity.grouping import MODEL, Record, Ruling, group
from healthbrain.store import WriteContext, Written, patient_key

_CHINA = timezone(timedelta(hours=8))
_ROUNDS = 12
_spare_numbers: WeakKeyDictionary[Connection, list[int]] = WeakKeyDictionary()

_LOCK_NEW = """
insert into person_key_lock (key) select k from unnest(%s::uuid[]) k order by k on conflict do nothing returning key"""
_LOCK = "select key from person_key_lock where key = any(%s::uuid[]) order by key for update"
# the records themselves, in one order, so that two changes of one record queue up
_LOCK_RECORDS = "select patient from person_link where patient = any(%s::bigint[]) order by patient for update"

# every record that is connected with these records, keys or persons in one step
_CONNECTED = """
with wanted as (
    select unnest(%(patients)s::bigint[]) patient
    union select patient from person_identifier where usable and key = any(%(keys)s::uuid[])
    union select patient from person_link where person = any(%(persons)s::text[])
    union select patient from person_link where replaced_by = any(%(patients)s::bigint[])
    union select other from link_verdict where withdrawn_by is null and one = any(%(patients)s::bigint[])
    union select one from link_verdict where withdrawn_by is null and other = any(%(patients)s::bigint[])
)
select l.patient, l.patient_id, l.owner, l.person, l.first_person, l.replaced_by, l.deleted, l.name, l.birth, l.sex,
    i.keys, i.kinds, i.verdicts, i.usable
from wanted join person_link l using (patient)
left join lateral (
    select array_agg(key order by key) keys, array_agg(kind order by key) kinds,
        array_agg(verdict order by key) verdicts, array_agg(usable order by key) usable
    from person_identifier where person_identifier.patient = l.patient
) i on true"""
_RULINGS = """
select one, other, same, event from link_verdict
where withdrawn_by is null and one = any(%s::bigint[]) and other = any(%s::bigint[])"""
_NEW_NUMBERS = "select nextval('person_number_seq') from generate_series(1, %s)"
_NUMBERS_AT_ONCE = 64
_RETIRED = "select id from person where id = any(%s::text[]) and retired_into is not null"

# persons, links, identifiers and events of one change in one statement
_WRITE = """
with new_person as (
    insert into person (id, created_at) select p, %(at)s from unnest(%(created)s::text[]) p
), event as (
    insert into link_event (at, patient, from_person, to_person, kind, rule, model, who, reason, delivery)
    select %(at)s, p, f, t, %(kind)s, r, %(model)s, %(who)s, %(reason)s, %(delivery)s
    from unnest(%(event_patient)s::bigint[], %(event_from)s::text[], %(event_to)s::text[], %(event_rule)s::text[]) e(p, f, t, r)
), identifier as (
    insert into person_identifier (key, patient, kind, usable, verdict)
    select * from unnest(%(key)s::uuid[], %(key_patient)s::bigint[], %(key_kind)s::text[], %(key_usable)s::boolean[],
        %(key_verdict)s::text[])
)
insert into person_link (patient, patient_id, owner, person, first_person, replaced_by, deleted, name, birth, sex, since)
select *, %(at)s from unnest(%(patient)s::bigint[], %(patient_id)s::text[], %(owner)s::int[], %(person)s::text[],
    %(first_person)s::text[], %(replaced_by)s::bigint[], %(deleted)s::boolean[], %(name)s::text[], %(birth)s::text[],
    %(sex)s::text[])
on conflict (patient) do update set owner = excluded.owner, person = excluded.person, replaced_by = excluded.replaced_by,
    deleted = excluded.deleted, name = excluded.name, birth = excluded.birth, sex = excluded.sex,
    since = case when person_link.person = excluded.person then person_link.since else excluded.since end"""
_CLEAR_IDENTIFIERS = "delete from person_identifier where patient = any(%s::bigint[])"
_RETIRE = """
update person set retired_into = r.into_person, retired_at = %s
from unnest(%s::text[], %s::text[]) r(id, into_person) where person.id = r.id"""
_REVIVE = "update person set retired_into = null, retired_at = null where id = any(%s::text[])"
_OPEN_DOUBTS = """
insert into link_doubt (patient, kind, opened_at) select p, k, %s from unnest(%s::bigint[], %s::text[]) d(p, k)
on conflict (patient, kind) do update set closed_at = null where link_doubt.closed_at is not null"""
_CLOSE_DOUBTS = """
update link_doubt set closed_at = %s
where closed_at is null and patient = any(%s::bigint[])
  and (patient, kind) not in (select * from unnest(%s::bigint[], %s::text[]))"""


@dataclass(slots=True)
class Known:
    """A record as the index holds it, or as it is about to."""

    patient: int
    patient_id: str
    owner: int
    person: str | None
    first_person: str | None
    replaced_by: int | None
    deleted: bool
    name: str
    birth: str
    sex: str
    identifiers: tuple[tuple[UUID, str, bool, str], ...]

    @property
    def usable(self) -> frozenset[UUID]:
        """The keys it may be linked by."""
        return frozenset(key for key, _, usable, _ in self.identifiers if usable)

    def record(self) -> Record:
        """The same as grouping sees it."""
        return Record(
            self.patient,
            frozenset(key for key, kind, usable, _ in self.identifiers if usable and kind == "id-card"),
            frozenset(key for key, kind, usable, _ in self.identifiers if usable and kind == "insurance"),
            self.owner,
            self.replaced_by,
        )

    def offers(self, other: Evidence) -> bool:
        """Whether it already says what `other` says."""
        return (
            not self.deleted
            and (self.owner, self.name, self.birth, self.sex, self.replaced_by)
            == (other.owner, other.name, other.birth, other.sex, other.replaced_by)
            and self.identifiers == tuple((i.key, i.kind, i.usable, i.verdict) for i in other.identifiers)
        )


@dataclass(frozen=True, slots=True)
class Cause:
    """Why links change: for their events."""

    at: datetime
    kind: str = "auto"
    who: str = "healthbrain"
    reason: str = ""
    delivery: int | None = None
    rule: str = ""  # instead of the one grouping found


@dataclass(slots=True)
class _Plan:
    """Who goes where."""

    person: dict[int, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    retired: dict[str, str] = field(default_factory=dict)


async def link(connection: Connection, context: WriteContext, written: Sequence[Written]) -> None:
    """Store observer: every Patient written gets the person it belongs to, in the same transaction."""
    today = context.at.astimezone(_CHINA).date()
    offered: dict[int, Evidence | None] = {}
    for one in written:
        if one.type != "Patient" or not (one.changed or one.created):
            continue
        key = patient_key(one.id)
        if one.deleted or one.resource is None:
            offered[key] = None
        else:
            offered[key] = evidence(
                one.resource, patient=key, owner=context.owner, today=today, replaced_by=_replaced_by(one.resource)
            )
    if offered:
        created = frozenset(patient_key(one.id) for one in written if one.created and one.type == "Patient")
        await relink_records(connection, offered, Cause(context.at, delivery=context.delivery), created=created)


def _replaced_by(resource: Mapping[str, Any]) -> int | None:
    for one in resource.get("link", ()):
        target = one.get("other", {}).get("reference", "")
        if one.get("type") == "replaced-by" and target.startswith("Patient/"):
            return patient_key(target.removeprefix("Patient/"))
    return None


async def relink_records(
    connection: Connection,
    offered: Mapping[int, Evidence | None],
    cause: Cause,
    *,
    created: frozenset[int] = frozenset(),
) -> None:
    """Bring the index up to date for these records (None: deleted, or nothing new about it) and all connected ones.

    Those in `created` were just made: nobody else can be working with them.
    """
    fresh = {key: one for key, one in offered.items() if one is not None}
    await _lock(connection, fresh.values(), [key for key in offered if key not in created])
    begin = {*offered, *(one.replaced_by for one in fresh.values() if one.replaced_by is not None)}
    known = await _read(connection, begin, {key for one in fresh.values() for key in one.usable})
    if all(key in known and known[key].offers(one) for key, one in fresh.items()) and len(fresh) == len(offered):
        return
    before = set(known)
    renewed = _renew(known, offered, cause)
    alive = [one for one in known.values() if not one.deleted]
    rulings = await _rulings(connection, [one.patient for one in alive])
    found = group([one.record() for one in alive], rulings)
    plan = await _assign(connection, found.blocks, known)
    await _write(connection, known, renewed, plan, found.rules, cause)
    await _write_doubts(connection, known, renewed, before, found.doubts, cause.at)


async def _lock(connection: Connection, fresh: Iterable[Evidence], patients: Sequence[int]) -> None:
    keys = sorted({key for one in fresh for key in one.usable})
    if keys:
        cursor = await connection.execute(_LOCK_NEW, (keys,))
        if cursor.rowcount < len(keys):  # some are known: whoever works with them is waited for
            await connection.execute(_LOCK, (keys,))
    if patients:
        await connection.execute(_LOCK_RECORDS, (sorted(patients),))


async def _read(connection: Connection, patients: set[int], keys: set[UUID]) -> dict[int, Known]:
    """The records and everything connected with them, step by step until nothing is added."""
    known: dict[int, Known] = {}
    persons: set[str] = set()
    asked_patients, asked_keys, asked_persons = set(patients), set(keys), set[str]()
    new_patients, new_keys, new_persons = asked_patients, asked_keys, asked_persons
    for _ in range(_ROUNDS):
        cursor = await connection.execute(
            _CONNECTED, {"patients": list(new_patients), "keys": list(new_keys), "persons": list(new_persons)}
        )
        found = [_known(row) for row in await cursor.fetchall()]
        known.update({one.patient: one for one in found if one.patient not in known})
        persons = {one.person for one in known.values() if one.person}
        every_key = {key for one in known.values() for key in one.usable}
        merged = {one.replaced_by for one in known.values() if one.replaced_by is not None}
        new_patients = (known.keys() | merged) - asked_patients
        new_keys, new_persons = every_key - asked_keys, persons - asked_persons
        if not (new_patients or new_keys or new_persons):
            break
        asked_patients |= new_patients
        asked_keys |= new_keys
        asked_persons |= new_persons
    return known


def _known(row: tuple[Any, ...]) -> Known:
    patient, patient_id, owner, person, first, replaced_by, deleted, name, birth, sex, keys, kinds, verdicts, usable = (
        row
    )
    identifiers = tuple(zip(keys, kinds, usable, verdicts, strict=True)) if keys else ()
    return Known(
        patient, patient_id, owner, person, first, replaced_by, deleted, name, birth, sex, identifiers
    )  # fmt: skip


def _renew(known: dict[int, Known], offered: Mapping[int, Evidence | None], cause: Cause) -> set[int]:
    """Lay what is offered over what is known; returns the records that changed."""
    renewed = set()
    for key, one in offered.items():
        before = known.get(key)
        if one is None:
            if before is not None and cause.kind == "auto" and not before.deleted:
                before.deleted, before.identifiers = True, ()
                renewed.add(key)
            continue
        if before is not None and before.offers(one):
            continue
        known[key] = Known(
            key, one.patient_id, one.owner,
            before.person if before else None, before.first_person if before else None,
            one.replaced_by, False, one.name, one.birth, one.sex,
            tuple((i.key, i.kind, i.usable, i.verdict) for i in one.identifiers),
        )  # fmt: skip
        renewed.add(key)
    return renewed


async def _rulings(connection: Connection, patients: list[int]) -> list[Ruling]:
    if len(patients) < 2:
        return []
    return [Ruling(*row) for row in await (await connection.execute(_RULINGS, (patients, patients))).fetchall()]


async def _assign(connection: Connection, blocks: Sequence[frozenset[int]], known: Mapping[int, Known]) -> _Plan:
    """Give every block a person: the one most of its records have, else one that is theirs from before, else a new one."""
    plan = _Plan()
    claims: list[tuple[int, bool, str, int]] = []
    for n, block in enumerate(blocks):
        held = Counter(person for patient in block if (person := known[patient].person))
        own = {known[patient].first_person for patient in block}
        claims += [(-count, person not in own, person, n) for person, count in held.items()]
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for *_, person, n in sorted(claims):
        if n not in chosen and person not in taken:
            chosen[n] = person
            taken.add(person)
    await _revive(connection, blocks, known, chosen, taken, plan)
    without = [n for n in range(len(blocks)) if n not in chosen]
    if without:
        numbers = await _new_numbers(connection, len(without))
        for n, number in zip(sorted(without, key=lambda n: min(blocks[n])), numbers, strict=True):
            chosen[n] = f"P{number:012d}"
            plan.created.append(chosen[n])
    for n, block in enumerate(blocks):
        plan.person.update(dict.fromkeys(block, chosen[n]))
    _retire(blocks, known, plan)
    return plan


async def _new_numbers(connection: Connection, count: int) -> list[int]:
    """Person numbers, taken from the sequence in blocks that stay with the connection; gaps mean nothing."""
    spare = _spare_numbers.setdefault(connection, [])
    if len(spare) < count:
        rows = await (await connection.execute(_NEW_NUMBERS, (max(count, _NUMBERS_AT_ONCE),))).fetchall()
        spare += [row[0] for row in rows]
    taken, spare[:] = spare[:count], spare[count:]
    return taken


async def _revive(
    connection: Connection,
    blocks: Sequence[frozenset[int]],
    known: Mapping[int, Known],
    chosen: dict[int, str],
    taken: set[str],
    plan: _Plan,
) -> None:
    """A block that lost its person takes back a retired one that was made for one of its records."""
    lost = [n for n in range(len(blocks)) if n not in chosen]
    own = {n: sorted({first for p in blocks[n] if (first := known[p].first_person)} - taken) for n in lost}
    wanted = sorted({person for persons in own.values() for person in persons})
    if not wanted:
        return
    retired = {row[0] for row in await (await connection.execute(_RETIRED, (wanted,))).fetchall()}
    for n in lost:
        for person in own[n]:
            if person in retired and person not in taken:
                chosen[n] = person
                taken.add(person)
                plan.revived.append(person)
                break


def _retire(blocks: Sequence[frozenset[int]], known: Mapping[int, Known], plan: _Plan) -> None:
    """A person that all its records left redirects to where most of them went."""
    kept = set(plan.person.values()) | {one.person for one in known.values() if one.deleted}
    went: dict[str, Counter[str]] = {}
    for block in blocks:
        for patient in block:
            before = known[patient].person
            if before and before not in kept:
                went.setdefault(before, Counter())[plan.person[patient]] += 1
    for person, into in went.items():
        plan.retired[person] = min(into, key=lambda one: (-into[one], one))


async def _write(
    connection: Connection,
    known: Mapping[int, Known],
    renewed: set[int],
    plan: _Plan,
    rules: Mapping[int, str],
    cause: Cause,
) -> None:
    events: list[tuple[int, str | None, str | None, str]] = []
    changed: list[Known] = []
    stored: list[int] = []  # records whose identifiers are replaced
    for one in known.values():
        person = plan.person.get(one.patient, one.person)
        if one.deleted and one.patient in renewed:
            events.append((one.patient, one.person, None, "deleted"))
        elif person != one.person:
            rule = cause.rule or rules.get(one.patient, "new" if one.person is None else "separated")
            events.append((one.patient, one.person, person, rule))
        elif one.patient not in renewed:
            continue
        if one.patient in renewed and one.first_person:
            stored.append(one.patient)
        one.person = person
        one.first_person = one.first_person or person
        changed.append(one)
    if plan.revived:
        await connection.execute(_REVIVE, (plan.revived,))
    if stored:
        await connection.execute(_CLEAR_IDENTIFIERS, (stored,))
    if changed:
        await connection.execute(_WRITE, _columns(changed, renewed, events, plan.created, cause))
    if plan.retired:
        await connection.execute(_RETIRE, (cause.at, list(plan.retired), list(plan.retired.values())))


def _columns(
    changed: Sequence[Known],
    renewed: set[int],
    events: Sequence[tuple[int, str | None, str | None, str]],
    created: Sequence[str],
    cause: Cause,
) -> dict[str, Any]:
    keys = [(key, one.patient, *rest) for one in changed if one.patient in renewed for key, *rest in one.identifiers]
    return {
        "at": cause.at,
        "kind": cause.kind,
        "model": MODEL,
        "who": cause.who,
        "reason": cause.reason,
        "delivery": cause.delivery,
        "created": list(created),
        **_transposed(("event_patient", "event_from", "event_to", "event_rule"), events),
        **_transposed(("key", "key_patient", "key_kind", "key_usable", "key_verdict"), keys),
        **{name: [getattr(one, name) for one in changed] for name in _LINK},
    }


_LINK = ("patient", "patient_id", "owner", "person", "first_person", "replaced_by", "deleted", "name", "birth", "sex")


def _transposed(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


async def _write_doubts(
    connection: Connection,
    known: Mapping[int, Known],
    renewed: set[int],
    before: set[int],
    doubts: Mapping[int, str],
    at: datetime,
) -> None:
    """Open what a steward should look at, close what is settled."""
    found = {(patient, kind) for patient, kind in doubts.items()}
    for patient in renewed:
        if any(
            verdict.startswith("suspect") or verdict == "contradictory" for *_, verdict in known[patient].identifiers
        ):
            found.add((patient, "suspect-id"))
    rows = sorted(found)
    patients, kinds = [p for p, _ in rows], [k for _, k in rows]
    if before:
        await connection.execute(_CLOSE_DOUBTS, (at, sorted(before), patients, kinds))
    if rows:
        await connection.execute(_OPEN_DOUBTS, (at, patients, kinds))
