"""What happens to residents: the truth, before any institution writes it down. Times are local (Asia/Shanghai), naive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from healthbrain.twin.institutions import Staff


@dataclass(frozen=True, slots=True)
class Result:
    """One measured value: `text` is what the report prints, `number` is None when it is a word."""

    code: str  # LOINC
    text: str
    number: float | None
    flag: str  # N L H A
    range: str  # as printed: 3.50-9.50, <5.20


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at an institution. `number` counts within the resident's course."""

    number: int
    place: str  # institution code
    at: datetime
    doctor: Staff


@dataclass(frozen=True, slots=True)
class Visit(Event):
    """An outpatient or emergency visit, or a stay."""

    kind: str  # outpatient | emergency | inpatient | internet-outpatient
    until: datetime
    diagnoses: tuple[str, ...]
    vitals: tuple[Result, ...]
    panels: tuple[tuple[str, tuple[Result, ...]], ...]
    drugs: tuple[str, ...]
    procedures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FollowUp(Event):
    """A follow-up of hypertension (htn) or type 2 diabetes (dm) by the community health centre."""

    disease: str
    mode: str  # AMB | HH face to face, VR by phone
    results: tuple[Result, ...]  # blood pressure first, then glucose and HbA1c where measured
    verdict: str  # controlled | uncontrolled | adverse | complication
    next_on: date
    drugs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """What a service writes down beside measured values: a FINDING and its value.

    `kind` says what the value is: finding or icd10 (a code), weeks, percent, points or births (a number).
    """

    code: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Exam(Event):
    """A yearly health examination."""

    vitals: tuple[Result, ...]
    panels: tuple[tuple[str, tuple[Result, ...]], ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Care(Event):
    """A service of a public health programme: a newborn's visit, an antenatal visit, a screening ..."""

    service: str
    mode: str  # AMB | HH at home | VR by telephone | IMP
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Referral(Event):
    """A resident is sent up to a hospital, or back down to the health centre, which keeps the record of both."""

    direction: str  # up | down
    other: str  # code of the hospital
    diagnosis: str


@dataclass(frozen=True, slots=True)
class Shot(Event):
    """One vaccination."""

    vaccine: str
    dose: int
    lot: str


@dataclass(frozen=True, slots=True)
class Enrolment(Event):
    """The resident joins a programme or signs with a family doctor."""

    service: str  # htn-management | dm-management | family-doctor ...
    since: date
    channel: str = ""  # of a contract: online | onsite


@dataclass(frozen=True, slots=True)
class Allergy(Event):
    """An allergy is written down."""

    code: str
    substance: str
    category: str
    reaction: str
    severe: bool


@dataclass(frozen=True, slots=True)
class Known(Event):
    """A lasting problem is entered on the problem list."""

    diagnosis: str
    since: date
    stage: str = ""  # of a tumour: 0 I II III IV X
