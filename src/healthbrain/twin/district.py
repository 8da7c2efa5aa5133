"""The district: people, institutions and everything they send, for one seed, size and period.

Pure and deterministic: the same arguments give the same bytes. Messages come in order of time; a large district is sorted
in runs on disk, so memory stays small. What happens to a household does not depend on how many households there are.
"""

from __future__ import annotations

import heapq
import pickle
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from healthbrain.twin import bundles, directory, institutions, pipes, registry
from healthbrain.twin.chance import stream, whole
from healthbrain.twin.course import Life
from healthbrain.twin.events import Event, FollowUp, Visit
from healthbrain.twin.faces import CARD_AFTER, Face, again, face
from healthbrain.twin.faults import spoil
from healthbrain.twin.institutions import Institution, Staff
from healthbrain.twin.outgoing import Outgoing
from healthbrain.twin.people import Register, Resident
from healthbrain.twin.season import Calendar

RUN = 200_000  # messages sorted in memory at a time
DIVISION = "310118"
LOAD = 40  # residents in one bundle of a first load
_WITHOUT_ENCOUNTER = re.compile(r',"encounter":\{"reference":"Encounter/[^"]*"\}')


@dataclass(frozen=True, slots=True)
class Truth:
    """Which resident is behind a patient record of an institution, and what is wrong in it."""

    source: str
    mrn: str
    person: int
    flaws: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """People worth showing: who the demonstration's accounts belong to. Ids are those of the district's register."""

    elder: Resident  # hypertension and diabetes, three institutions
    child: Resident  # all vaccinations
    doctor: Staff  # the elder's family doctor
    centre: Institution  # where the doctor works
    hospital: Institution


class District:
    """A simulated district of about `residents` people over the `months` before `end`."""

    def __init__(self, seed: int = 1, residents: int = 2000, *, end: date, months: int = 18) -> None:
        self.seed, self.residents, self.end = seed, residents, end
        year, month = divmod(end.year * 12 + end.month - 1 - months, 12)
        self.start = date(year, month + 1, min(end.day, 28))
        self.calendar = Calendar(self.start, end)

    def organisations(self) -> tuple[Institution, ...]:
        """All institutions, parents first; those with a `door` are sources."""
        return institutions.institutions()

    def staff(self) -> tuple[Staff, ...]:
        """Everybody who works in them."""
        return institutions.staff(self.seed)

    @cached_property
    def _residents(self) -> tuple[Resident, ...]:
        found: list[Resident] = []
        for household in Register(self.seed, self.start, self.end).households():
            found.extend(household.members)
            if len(found) >= self.residents:
                break
        return tuple(found)

    def people(self) -> Sequence[Resident]:
        """All residents of the period, those who died or moved included; whole households, so maybe a few more than asked."""
        return self._residents

    @cached_property
    def _by_key(self) -> dict[int, Resident]:
        return {who.key: who for who in self._residents}

    def cast(self) -> Cast:
        """The people of the demonstration."""
        elder = next(who for who in self._residents if who.cast == "elder")
        child = next(who for who in self._residents if who.cast == "child")
        centre = institutions.centre_of(elder.address.town)
        team = institutions.family_doctors(self.seed, centre.code)
        return Cast(elder, child, team[elder.household % len(team)], centre, institutions.by_code()["QPH01"])

    def register_id(self, who: Resident) -> str:
        """Logical id of a resident's Patient in the population register."""
        return self._face(who, institutions.by_code()["QP00"]).fhir_id

    def truth(self) -> Iterator[Truth]:
        """Every patient record that the messages contain, with the resident behind it."""
        for who in self._residents:
            for known in self._faces(who, self._events(who)):
                yield Truth(known.institution.code, known.mrn, who.key, known.flaws)

    def messages(self) -> Iterator[Outgoing]:
        """Everything the institutions send, in order of time."""
        run: list[Outgoing] = []
        with tempfile.TemporaryDirectory(prefix="twin-") as folder:
            files: list[Path] = []
            for message in self._unsorted():
                run.append(message)
                if len(run) >= RUN:
                    files.append(_spill(run, Path(folder) / f"{len(files)}.run"))
                    run = []
            run.sort(key=_order)
            yield from heapq.merge(run, *map(_read, files), key=_order) if files else run

    # -- how messages come about

    def _unsorted(self) -> Iterator[Outgoing]:
        limit = datetime.combine(self.end, time())
        yield from directory.messages(
            self.organisations(), self.staff(), datetime.combine(self.start, time(8)) - timedelta(days=10)
        )
        loads = _Loads(datetime.combine(self.start, time(3)) - timedelta(days=1))
        for who in self._residents:
            for message in self._of(who, loads):
                if message.sent_at < limit:
                    yield message
        yield from loads.rest()

    def _of(self, who: Resident, loads: _Loads) -> Iterator[Outgoing]:
        yield from self._registered(who, loads)
        events = self._events(who)
        known = self._face(who, institutions.by_code()["QP00"])
        yield from registry.messages(self.seed, who, known, events, self.calendar)
        by_place: dict[str, list[Event]] = {}
        for event in events:
            by_place.setdefault(event.place, []).append(event)
        centre = institutions.centre_of(who.address.town)
        if who.health_record:
            by_place.setdefault(centre.code, [])
        for code, group in by_place.items():
            institution = institutions.by_code()[code]
            if institution.door == "fhir":
                yield from self._by_fhir(who, institution, group, loads)
            elif institution.door == "hl7v2":
                yield from self._by_hl7(who, institution, group)

    def _events(self, who: Resident) -> list[Event]:
        return Life(self.seed, who, self.calendar).course()

    def _faces(self, who: Resident, events: list[Event]) -> Iterator[Face]:
        places = dict.fromkeys(event.place for event in events)
        yield self._face(who, institutions.by_code()["QP00"])
        if who.health_record:
            places.setdefault(institutions.centre_of(who.address.town).code)
        for code in places:
            mine = [event for event in events if event.place == code]
            institution = institutions.by_code()[code]
            first = self._first(who, institution, mine)
            yield first
            if any(self._second(who, institution, event) for event in mine):
                yield again(first)

    def _face(self, who: Resident, institution: Institution, on: date | None = None) -> Face:
        mother = self._by_key.get(who.mother) if who.mother is not None else None
        return face(self.seed, who, institution, on=on or self._here(who), parent=mother)

    def _first(self, who: Resident, institution: Institution, events: list[Event]) -> Face:
        """How the institution writes the resident down at the first contact."""
        here = self._here(who)
        on = max(events[0].at.date(), here) if events else here
        return self._face(who, institution, on) if on < who.born + CARD_AFTER else self._grown(who, institution)

    def _grown(self, who: Resident, institution: Institution) -> Face:
        """How the institution knows the resident when they are no newborn any more."""
        return self._face(who, institution, max(self._here(who), who.born + CARD_AFTER))

    def _here(self, who: Resident) -> date:
        """Since when, in the period, the resident lives here."""
        return max(self.start, who.arrived or self.start, who.born)

    def _second(self, who: Resident, institution: Institution, event: Event) -> bool:
        """Whether this event was booked under a second number."""
        share = institution.habits.second_number
        if not share or who.cast:
            return False
        return stream(self.seed, "second", institution.code, who.key).random() < share and event.number % 3 == 1

    def _registered(self, who: Resident, loads: _Loads) -> Iterator[Outgoing]:
        """The population register: the resident, the parents of a child, a death."""
        register = institutions.by_code()["QP00"]
        known = self._face(who, register)
        entries = [bundles.patient(known, household=who.household, registration=registration(who))]
        for key, role in ((who.mother, "MTH"), (who.father, "FTH")):
            parent = self._by_key.get(key) if key is not None and who.age(self.end) < 18 else None
            if parent:
                entries.append(bundles.relative(known, self._face(parent, register), role))
        since = max(who.born, who.arrived or who.born)
        if since >= self.start:
            at = datetime.combine(since, time(16)) + timedelta(days=14)
            yield Outgoing("QP00", "fhir", at, bundles.bundle(entries, at), "register", len(entries))
            grown = self._grown(who, register)
            if grown != known:
                at = datetime.combine(who.born, time(16)) + CARD_AFTER + timedelta(days=20)
                entry = bundles.patient(grown, household=who.household, registration=registration(who))
                yield Outgoing("QP00", "fhir", at, bundles.bundle([entry], at), "register", 1)
        else:
            yield from loads.add("QP00", entries)
        if who.died:
            at = max(
                datetime.combine(who.died, time(16)) + timedelta(days=9),
                datetime.combine(since, time(17)) + timedelta(days=14),
            )
            moment = datetime.combine(who.died, time(4))
            dead = bundles.patient(
                self._face(who, register, who.died),
                household=who.household, died=moment, registration=registration(who),
            )  # fmt: skip
            cause = bundles.Writer(known).cause(moment, registry.cause_of_death(self.seed, who))
            yield Outgoing("QP00", "fhir", at, bundles.bundle([dead, cause], at), "death", 2)

    def _by_fhir(
        self, who: Resident, institution: Institution, events: list[Event], loads: _Loads
    ) -> Iterator[Outgoing]:
        rng = stream(self.seed, "send", institution.code, who.key)
        here = self._here(who)
        known = self._first(who, institution, events)
        grown = self._grown(who, institution)
        other = again(known)
        history = [event for event in events if event.at.date() < here]
        later = [event for event in events if event.at.date() >= here]
        sent: set[str] = set()
        if history or (who.health_record and institution.facility_class == "B100"):
            writer = bundles.Writer(known)
            entries = [bundles.patient(known), *(entry for event in history for entry in _past(writer, event))]
            sent.add(known.fhir_id)
            if here == self.start:
                yield from loads.add(institution.code, entries)
            else:
                at = datetime.combine(here, time(15))
                yield Outgoing(institution.code, "fhir", at, bundles.bundle(entries, at), "load", len(entries))
        last = datetime.combine(here, time(15)) if sent else datetime.min  # noqa: DTZ901 - local time
        for at, event in sorted(
            ((self._sent_at(rng, institution, e), e) for e in later), key=lambda pair: (pair[0], pair[1].number)
        ):
            at = max(at, last + timedelta(seconds=60)) if last.year > 1 else at
            last = at
            used = other if self._second(who, institution, event) else known
            entries = bundles.Writer(used).entries(event)
            if needed := used.fhir_id not in sent:
                entries.insert(0, bundles.patient(used))
                sent.add(used.fhir_id)
            elif used == known != grown and at.date() >= who.born + CARD_AFTER:
                known = used = grown  # the newborn has got its name and number
                entries.insert(0, bundles.patient(used))
            message = Outgoing(institution.code, "fhir", at, bundles.bundle(entries, at), _kind(event), len(entries))
            yield from spoil(rng, message, needed=needed)

    def _by_hl7(self, who: Resident, institution: Institution, events: list[Event]) -> Iterator[Outgoing]:
        rng = stream(self.seed, "send", institution.code, who.key)
        known = self._first(who, institution, events)
        grown = self._grown(who, institution)
        other = again(known)
        bills = stream(
            self.seed, "bills", institution.code, who.key
        )  # of its own: bills change nothing else that is sent
        for event in events:
            if event.at.date() >= who.born + CARD_AFTER:
                known = grown
            writer = pipes.Writer(other if self._second(who, institution, event) else known)
            late = self._delay(rng, institution)
            for at, kind, text, resources in writer.messages(event):
                message = Outgoing(
                    institution.code, "hl7v2", at + late, pipes.encode(institution, text), kind, resources
                )
                yield from spoil(rng, message, needed=False)
            for at, kind, text, resources in writer.bill(event) if isinstance(event, Visit) else ():
                message = Outgoing(
                    institution.code, "hl7v2", at + late, pipes.encode(institution, text), kind, resources
                )
                yield from spoil(bills, message, needed=False)

    def _sent_at(self, rng: Random, institution: Institution, event: Event) -> datetime:
        done = event.until if isinstance(event, Visit) else event.at + timedelta(minutes=15)
        return done + self._delay(rng, institution)

    def _delay(self, rng: Random, institution: Institution) -> timedelta:
        if rng.random() < institution.habits.late:
            return timedelta(days=whole(rng, 2, 25))
        return timedelta(seconds=int(institution.delay * 60 * (0.5 + rng.random())))


class _Loads:
    """First loads: residents gathered into large bundles, one after the other for each institution."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._waiting: dict[str, list[bundles.Entry]] = {}
        self._counts: dict[str, int] = {}

    def add(self, source: str, entries: Iterable[bundles.Entry]) -> Iterator[Outgoing]:
        """One more resident; a bundle when it is full."""
        self._waiting.setdefault(source, []).extend(entries)
        self._counts[source] = self._counts.get(source, 0) + 1
        if self._counts[source] % LOAD == 0:
            yield self._flush(source)

    def rest(self) -> Iterator[Outgoing]:
        """What is left at the end."""
        for source in [source for source, entries in self._waiting.items() if entries]:
            yield self._flush(source)

    def _flush(self, source: str) -> Outgoing:
        entries = self._waiting[source]
        self._waiting[source] = []
        at = self.at + timedelta(seconds=self._counts[source] // LOAD)
        return Outgoing(source, "fhir", at, bundles.bundle(entries, at), "load", len(entries))


def _past(writer: bundles.Writer, event: Event) -> list[bundles.Entry]:
    """What is kept of something that happened before the period: no encounter, only what lasts."""
    return [
        (kind, ident, _WITHOUT_ENCOUNTER.sub("", body))
        for kind, ident, body in writer.entries(event)
        if kind != "Encounter"
    ]


def registration(who: Resident) -> str:
    """Division of the household registration: this district for families rooted here."""
    return DIVISION if who.native else who.area[:6]


def _kind(event: Event) -> str:
    if isinstance(event, FollowUp):
        return "followup"
    return type(event).__name__.lower()


def _order(message: Outgoing) -> tuple[datetime, str, bytes]:
    return message.sent_at, message.source, message.payload


def _spill(run: list[Outgoing], path: Path) -> Path:
    run.sort(key=_order)
    with path.open("wb") as file:
        for start in range(0, len(run), 1000):
            pickle.dump(run[start : start + 1000], file, protocol=5)
    return path


def _read(path: Path) -> Iterator[Outgoing]:
    with path.open("rb") as file:
        while True:
            try:
                part: list[Any] = pickle.load(file)  # noqa: S301 - our own temporary file
            except EOFError:
                return
            yield from part
