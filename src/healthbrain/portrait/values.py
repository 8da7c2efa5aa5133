"""What a resident page shows: frozen values, each with the records it comes from.

Order and content follow the International Patient Summary (allergies, problems, medications, immunisations, results;
"nothing recorded" is not "known to have none"), with the Chinese parts: chronic programmes, contracted doctor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

AllergyState = Literal["none_recorded", "no_known", "recorded"]
Flag = Literal["", "N", "H", "L", "HH", "LL", "A"]
Trend = Literal["", "up", "down", "steady"]
DoseState = Literal["given", "due", "overdue", "upcoming"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from: the resource version, who sent it, when it was recorded, in which delivery."""

    type: str
    id: str
    version: int
    organisation: int
    organisation_name: str
    recorded: datetime
    delivery: int | None


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number by which somebody is known. `full` is None for readers who may not see it."""

    kind: Literal["id_card", "insurance", "health_record", "health_card", "local"]
    masked: str
    full: str | None
    organisation_name: str  # of a local number
    source: Source


@dataclass(frozen=True, slots=True)
class Doctor:
    """The family doctor by contract."""

    id: str
    name: str
    organisation_name: str
    since: date | None
    source: Source


@dataclass(frozen=True, slots=True)
class Programme:
    """A chronic-disease programme the person is in: htn-management, dm-management."""

    code: str
    display: str
    since: date | None
    source: Source


@dataclass(frozen=True, slots=True)
class Banner:
    """Who this is. Always on the page."""

    person: str
    name: str
    sex: str  # male, female, other, unknown, ''
    birth: str  # as known: 1960, 1960-05, 1960-05-01
    age: int | None
    dead: bool
    died: date | None
    identifiers: tuple[Identifier, ...]
    address: str
    division: str  # 9-digit town code
    phone: str  # masked unless the reader may see it
    blood: str  # A, B, AB, O with Rh; '' unknown
    allergies: AllergyState
    severe_allergy: bool
    doctor: Doctor | None
    programmes: tuple[Programme, ...]
    differing: tuple[str, ...]  # of name, sex, birth: what the institutions do not agree on
    records: int  # patient records of institutions behind this person


@dataclass(frozen=True, slots=True)
class Problem:
    """A diagnosis, once for all institutions."""

    system: str
    code: str
    display: str
    active: bool
    chronic: bool
    first: date | None
    last: date | None
    times: int
    sources: tuple[Source, ...]  # newest first


@dataclass(frozen=True, slots=True)
class Medicine:
    """A medicine, once for all prescriptions."""

    system: str
    code: str
    display: str
    dosage: str  # of the latest prescription
    current: bool
    first: date | None
    last: date | None
    times: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Allergy:
    """An allergy or intolerance that was recorded."""

    display: str
    category: str
    severe: bool
    active: bool
    reaction: str
    recorded: date | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value. `value` is the number, `text` what to show, digits as reported."""

    at: datetime
    value: float | None
    text: str
    flag: Flag
    range: str  # reference range as reported, '' when none
    source: Source


@dataclass(frozen=True, slots=True)
class Series:
    """Everything measured of one kind, in one unit, over all institutions, oldest first."""

    code: str
    display: str
    unit: str
    low: float | None  # normal for this person
    high: float | None
    points: tuple[Point, ...]
    trend: Trend

    @property
    def latest(self) -> Point:
        """The newest value."""
        return self.points[-1]


@dataclass(frozen=True, slots=True)
class Dose:
    """One vaccination that was given or is due by the national schedule."""

    vaccine: str
    display: str
    number: int | None
    state: DoseState
    due: date | None
    given: date | None
    lot: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class Event:
    """One encounter on the timeline."""

    kind: str  # outpatient, emergency, inpatient, htn-followup ... (SERVICE), else the class
    display: str
    start: datetime | None
    end: datetime | None
    department: str
    practitioner: str
    diagnoses: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class Timeline:
    """Part of the encounters, newest first. `next` is the cursor of the following part."""

    events: tuple[Event, ...]
    next: str | None
    kinds: tuple[tuple[str, str, int], ...]  # kind, display, how many: over all encounters
    organisations: tuple[tuple[int, str, int], ...]  # key, name, how many


@dataclass(frozen=True, slots=True)
class Portrait:
    """The resident page."""

    banner: Banner
    problems: tuple[Problem, ...]
    medicines: tuple[Medicine, ...]
    allergies: tuple[Allergy, ...]
    results: tuple[Series, ...]  # laboratory, the abnormal latest ones first
    vitals: tuple[Series, ...]
    vaccinations: tuple[Dose, ...]
    timeline: Timeline
    as_of: datetime
