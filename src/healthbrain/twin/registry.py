"""What the commission's registers know of residents beside who they are: causes of death, reported infectious diseases,
blood donations. They come from the agencies that have no door of their own, so the commission sends them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta

from healthbrain.terms import tables
from healthbrain.twin import bundles
from healthbrain.twin.chance import Weighted, stream, whole
from healthbrain.twin.events import Event, Visit
from healthbrain.twin.faces import Face
from healthbrain.twin.outgoing import Outgoing
from healthbrain.twin.people import Resident
from healthbrain.twin.season import Calendar

SENDER = "QP00"
AGAIN = timedelta(days=30)  # the same disease within this time is the same case
_DONORS = 0.0175  # donations per resident and year, 17.5 ‰

# underlying causes by age; weights follow the order of causes in the Chinese mortality surveillance
_CAUSES = (
    (1, Weighted([("P07.3", 4.0), ("Q24.9", 3.0), ("P21.9", 2.0), ("J18.9", 1.0)])),
    (15, Weighted([("W74", 3.0), ("V89.2", 3.0), ("C95.9", 2.0), ("Q24.9", 1.0)])),
    (45, Weighted([("V89.2", 4.0), ("X80", 2.0), ("C22.0", 2.0), ("I21.9", 3.0), ("I61.9", 2.0), ("K74.6", 1.0)])),
    (70, Weighted([("C34.9", 12.0), ("C22.0", 5.0), ("C16.9", 5.0), ("C18.9", 4.0), ("I21.9", 10.0), ("I61.9", 6.0),
                   ("I63.9", 6.0), ("J44.9", 3.0), ("E11.9", 4.0), ("K74.6", 2.0), ("V89.2", 3.0), ("N18.5", 2.0)])),
    (200, Weighted([("I25.1", 14.0), ("I63.9", 12.0), ("I21.9", 9.0), ("C34.9", 9.0), ("J44.9", 9.0), ("E11.9", 5.0),
                    ("C18.9", 4.0), ("C16.9", 4.0), ("G30.9", 3.0), ("J18.9", 4.0), ("W19", 3.0), ("I50.9", 4.0)])),
)  # fmt: skip


def cause_of_death(seed: int, who: Resident) -> str:
    """ICD-10 of the underlying cause of a resident's death."""
    age = who.age(who.died) if who.died else 0.0
    causes = next(causes for limit, causes in _CAUSES if age < limit)
    return causes.pick(stream(seed, "cause", who.key))


def messages(seed: int, who: Resident, known: Face, events: Sequence[Event], calendar: Calendar) -> Iterator[Outgoing]:
    """Case reports and donations of one resident; `known` is how the population register knows them."""
    writer = bundles.Writer(known)
    here = datetime.combine(max(who.born, who.arrived or who.born, calendar.start), time(18)) + timedelta(days=14)
    yield from _cases(seed, who, writer, events, here)
    yield from _donations(seed, who, writer, calendar, here)


def _cases(
    seed: int, who: Resident, writer: bundles.Writer, events: Sequence[Event], here: datetime
) -> Iterator[Outgoing]:
    last: dict[str, datetime] = {}
    for event in events:
        if not isinstance(event, Visit) or not tables.table("icd10").get(event.diagnoses[0], _NONE)["notifiable"]:
            continue
        code, found = event.diagnoses[0], event.until
        if found < here or (code in last and found - last[code] < AGAIN):
            continue
        last[code] = found
        rng = stream(seed, "case", who.key, event.number)
        if rng.random() < 0.985:
            hours = 0.3 + rng.random() * 20 if rng.random() < 0.975 else 24.5 + rng.random() * 60
            reported = found + timedelta(seconds=int(hours * 3600))
            entry = writer.case(code, found, reported, event.number)
            at = reported + timedelta(minutes=5)
            yield Outgoing(SENDER, "fhir", at, bundles.bundle([entry], at), "case", 1)


def _donations(
    seed: int, who: Resident, writer: bundles.Writer, calendar: Calendar, here: datetime
) -> Iterator[Outgoing]:
    age = who.age(calendar.end)
    if not 18 <= age < 56:
        return
    rng = stream(seed, "donor", who.key)
    if rng.random() >= _DONORS * 1.62 * calendar.days / 365:  # those of donors' age are 62 % of the residents
        return
    at = datetime.combine(calendar.start, time(9)) + timedelta(minutes=whole(rng, 0, calendar.days * 1440 - 900))
    leaving = who.died or who.left
    if at < here or (leaving and at.date() >= leaving):
        return
    sent = at + timedelta(hours=whole(rng, 4, 40))
    yield Outgoing(SENDER, "fhir", sent, bundles.bundle([writer.donation(at, 1)], sent), "donation", 1)


_NONE = {"notifiable": ""}
