"""What public health programmes do for a resident, beside hypertension and diabetes: mothers, children, the old, severe
mental disorders, tuberculosis, tumours, screening, referrals and Internet visits.

Dates follow 国家基本公共卫生服务规范（第三版）; shares are plausible for a Shanghai district. Draws come from a stream of
their own, so that what the programmes do changes nothing in the rest of a resident's course.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from healthbrain.terms import systems
from healthbrain.twin import institutions
from healthbrain.twin.chance import Weighted, number, pick, stream, whole
from healthbrain.twin.events import Care, Enrolment, Event, Known, Note, Referral, Shot, Visit
from healthbrain.twin.institutions import Staff
from healthbrain.twin.people import Resident
from healthbrain.twin.season import Calendar

CHILD_MONTHS = (1, 3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72)
TCM_MONTHS = (6, 12, 18, 24, 30, 36)
ANTENATAL_WEEKS = (18, 23, 31, 35, 38)
HOSPITAL_CLASS = "A"
MATERNITY = "QPH03"
_INTERNET = ("QPH03", "QPH04", "QPH06", "QPH07")  # institutions whose Internet visits come by FHIR; centres have none
_INTERNET_REASONS = ("I10", "E11.9", "E78.5", "L30.9", "K29.5", "F51.0")

_SMI = Weighted([("F20.9", 62.0), ("F31.9", 20.0), ("F25.9", 5.0), ("F22.0", 4.0), ("F71.9", 9.0)])
_CONSTITUTIONS = Weighted([
    ("balanced", 34.0), ("qi-deficient", 15.0), ("yang-deficient", 12.0), ("yin-deficient", 10.0), ("phlegm-damp", 11.0),
    ("damp-heat", 6.0), ("blood-stasis", 6.0), ("qi-stagnant", 4.0), ("special", 2.0),
])  # fmt: skip
_TUMOURS = {
    "M": Weighted([("C34.9", 26.0), ("C18.9", 13.0), ("C16.9", 12.0), ("C20", 9.0), ("C22.0", 9.0), ("C61", 12.0), ("C73", 6.0), ("C15.9", 6.0)]),
    "F": Weighted([("C34.9", 21.0), ("C50.9", 22.0), ("C73", 14.0), ("C18.9", 12.0), ("C20", 7.0), ("C16.9", 8.0), ("C53.9", 5.0), ("C22.0", 4.0)]),
}  # fmt: skip
_STAGES = Weighted([("0", 4.0), ("I", 35.0), ("II", 14.0), ("III", 18.0), ("IV", 22.0), ("X", 7.0)])
_TUMOUR_YEARLY = ((30, 0.0002), (45, 0.0016), (60, 0.006), (75, 0.014), (200, 0.017))


@dataclass(slots=True)
class Programmes:
    """Makes the events of one resident; `first` and `last` bound where the resident lives here within the period."""

    seed: int
    who: Resident
    calendar: Calendar
    first: date
    last: date
    centre: str
    doctor: Staff
    before: Sequence[Event]  # what the course holds already
    events: list[Event] = field(default_factory=list)
    rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = stream(self.seed, "programmes", self.who.key)

    def made(self) -> list[Event]:
        """Everything the programmes do, numbered after the course."""
        age = self.who.age(self.calendar.end)
        if age < 8.5:
            self._child()
        if self.who.births:
            self._mother()
        if age >= 64.5:
            self._elder()
        if age >= 18:
            self._mental()
            self._infection()
            self._tumour(age)
            self._internet()
        if self.who.sex == "F" and 33 <= age < 66:
            self._screening()
        self._referrals()
        self._district(age)
        return self.events

    # -- mothers and children

    def _mother(self) -> None:
        rng = self.rng
        for born in self.who.births:
            conceived = born - timedelta(days=whole(rng, 262, 287))  # counted from the last period
            if born >= self.calendar.start - timedelta(days=30):
                self._pregnancy(rng, conceived, born)

    def _pregnancy(self, rng: Random, conceived: date, born: date) -> None:
        draw, careful = rng.random(), rng.random() < 0.93
        weeks = whole(rng, 7, 12) if draw < 0.93 else whole(rng, 14, 24) if draw < 0.985 else 0
        lost = 0 if careful else whole(rng, 1, 3)
        extra, visited = rng.random() < 0.5, rng.random() < 0.95
        if weeks:
            booked = conceived + timedelta(days=weeks * 7 + whole(rng, 0, 5))
            self._enrol("maternal-management", booked)
            days = [(weeks, booked)]
            for week in ANTENATAL_WEEKS[: len(ANTENATAL_WEEKS) - lost] + ((28,) if extra else ()):
                days.append((week, conceived + timedelta(days=week * 7 + whole(rng, 0, 6))))
            for week, on in days:
                if on < born and week >= weeks:
                    self._care("antenatal", on, notes=(Note("gestational-age", "weeks", str(week)),))
        ripe = str((born - conceived).days // 7)
        doctor = institutions.doctor(self.seed, MATERNITY, "05", self.who.key)
        notes = (Note("gestational-age", "weeks", ripe), Note("live-births", "births", "1"))
        self._care("delivery", born, mode="IMP", place=MATERNITY, doctor=doctor, notes=notes)
        if visited:
            self._care("postpartum-visit", born + timedelta(days=whole(rng, 7, 11 if careful else 34)), mode="HH")

    def _child(self) -> None:
        rng, born = self.rng, self.who.born
        steady = rng.random() < (0.93 if self.who.native else 0.86) or self.who.cast != ""
        carded = rng.random() < 0.997 or self.who.cast != ""
        if carded:
            on = born + timedelta(days=whole(rng, 3, 25))
            if self.who.arrived and on < self.who.arrived:
                on = self.who.arrived + timedelta(days=whole(rng, 5, 80))
            self._enrol("vaccination-card", on)
        if rng.random() < (0.97 if steady else 0.75):
            self._care("newborn-visit", born + timedelta(days=whole(rng, 5, 12)), mode="HH")
        for month in CHILD_MONTHS:
            due = born + timedelta(days=int(month * 30.44) + whole(rng, 0, 14))
            comes, tcm = rng.random() < (0.975 if steady else 0.6), rng.random() < 0.86
            if comes:
                self._care("child-checkup", due)
                if month in TCM_MONTHS and tcm:
                    self._care("tcm-child", due)

    # -- adults

    def _elder(self) -> None:
        rng = self.rng
        if not self.who.health_record or rng.random() >= (0.84 if self.who.native else 0.74):
            return
        on = self.first + timedelta(days=int(rng.random() * 330))
        constitution = f"constitution-{_CONSTITUTIONS.pick(rng)}"
        while on < self.last:
            if self.who.age(on) >= 65:
                guided = (Note("tcm-guidance", "finding", "given"),) if rng.random() < 0.985 else ()
                self._care("tcm-elderly", on, notes=(Note("tcm-constitution", "finding", constitution), *guided))
            on += timedelta(days=whole(rng, 330, 362))

    def _mental(self) -> None:
        rng = self.rng
        if rng.random() >= 0.0052:
            return
        since = self.calendar.start - timedelta(days=whole(rng, 200, 6000))
        code = _SMI.pick(rng)
        self._known(code, max(since, self.who.born + timedelta(days=16 * 365)))
        self._enrol("smi-management", max(since + timedelta(days=20), self.who.arrived or since))
        kept, stable = rng.random() < 0.95, rng.random() < 0.82
        on = self.first + timedelta(days=whole(rng, 0, 80))
        while on < self.last:
            calm = rng.random() < (0.95 if stable else 0.55)
            verdict = "stable" if calm else "mostly-stable" if rng.random() < 0.8 else "unstable"
            mode = "HH" if rng.random() < 0.5 else "AMB"
            self._care("smi-followup", on, mode=mode, notes=(Note("smi-class", "finding", verdict),))
            gap = whole(rng, 75, 88) if calm else whole(rng, 10, 14)
            on += timedelta(days=gap if kept else gap + whole(rng, 30, 90))
        if kept:
            on = self.first + timedelta(days=whole(rng, 0, 300))
            while on < self.last:
                self._care("annual-exam", on)
                on += timedelta(days=whole(rng, 320, 356))

    def _infection(self) -> None:
        """Tuberculosis: found, entrusted to the health centre, seen every month until the course is over."""
        rng = self.rng
        if rng.random() >= 0.0006 * (self.calendar.days + 200) / 365:
            return
        found = (
            self.calendar.start - timedelta(days=200) + timedelta(days=int(rng.random() * (self.calendar.days + 200)))
        )
        if self.who.arrived and found < self.who.arrived:
            return
        self._known("A15.0", found)
        if rng.random() >= 0.97:
            return
        self._enrol("tb-management", found + timedelta(days=whole(rng, 1, 3)))
        taken = min(max(round(rng.gauss(97, 3)), 60), 100)
        for month in range(1, 7):
            over = month == 6
            notes = (Note("tb-adherence", "percent", str(taken)),) if over else ()
            self._care("tb-followup", found + timedelta(days=30 * month), notes=notes)

    def _tumour(self, age: float) -> None:
        rng = self.rng
        yearly = next(share for limit, share in _TUMOUR_YEARLY if age < limit)
        if rng.random() < yearly * self.calendar.days / 365:
            on = self.first + timedelta(days=int(rng.random() * (self.last - self.first).days))
            self._known(_TUMOURS[self.who.sex].pick(rng), on, stage=_STAGES.pick(rng))

    def _internet(self) -> None:
        rng = self.rng
        chance = 0.17 if self.who.age(self.calendar.end) < 60 else 0.13
        while rng.random() < chance:
            on = self.first + timedelta(days=int(rng.random() * (self.last - self.first).days))
            place, code = pick(rng, _INTERNET), pick(rng, _INTERNET_REASONS)
            doctor = institutions.doctor(self.seed, place, "03", self.who.key)
            at = self.calendar.on(rng, on)
            until = at + timedelta(minutes=whole(rng, 5, 20))
            self._add(Visit(self._next(), place, at, doctor, "internet-outpatient", until, (code,), (), (), (), ()))

    def _screening(self) -> None:
        """Gynaecological and breast screening, every second year."""
        rng = self.rng
        if rng.random() >= (0.82 if self.who.native else 0.58):
            return
        on = self.calendar.end - timedelta(days=whole(rng, 0, 760))
        both = rng.random() < 0.96
        results = [Note("cervical-screen", "finding", "abnormal" if rng.random() < 0.05 else "normal")]
        if both:
            results.append(Note("breast-screen", "finding", "abnormal" if rng.random() < 0.06 else "normal"))
        self._care("women-screening", on, notes=tuple(results))

    def _referrals(self) -> None:
        """Of those with a family doctor, some visits to hospitals come by referral, and some stays end with one."""
        if not any(isinstance(one, Enrolment) and one.service == systems.FAMILY_DOCTOR for one in self.before):
            return
        for visit in [one for one in self.before if isinstance(one, Visit)]:
            hospital = institutions.by_code()[visit.place].facility_class.startswith(HOSPITAL_CLASS)
            if not hospital or visit.kind == "emergency":
                continue
            draw = number(self.seed, "referral", self.who.key, visit.number) % 1000
            if draw < 95:
                self._refer("up", visit, visit.at.date() - timedelta(days=1 + draw % 4))
            elif visit.kind == "inpatient" and draw < 420:
                self._refer("down", visit, visit.until.date() + timedelta(days=1 + draw % 3))

    def _district(self, age: float) -> None:
        """Programmes that districts add: draws of their own, last, so that everything before stays as it was."""
        self.rng = rng = stream(self.seed, "district programmes", self.who.key)
        screened, vaccinated, helped, given, family, fine = (rng.random() for _ in range(6))
        day = self.first + timedelta(days=int(rng.random() * max(1, (self.last - self.first).days)))
        if 50 <= age < 75 and screened < 0.24:
            self._care("colorectal-screening", day)
        if age >= 60 and vaccinated < 0.11:
            at = self.calendar.on(rng, day)
            if self.first <= day < self.last:
                self._add(Shot(self._next(), self.centre, at, self.doctor, "PPV23", 1, f"PPV{day:%y%m}"))
        if age >= 18 and helped < 0.018:
            self._care("psychological-service", day)
        if 15 <= age < 50 and given < 0.06:
            self._care("contraceptives", day)
        if age >= 49 and family < 0.006:
            self._enrol("special-family", max(self.who.arrived or day, self.calendar.start - timedelta(days=400)))
            if family < 0.0052:
                self._care("special-family-checkup", day)
        managed = any(isinstance(one, Enrolment) and one.service.startswith(("htn-", "dm-")) for one in self.before)
        if managed and fine < 0.55:
            self._enrol("chronic-fine", day)
        for booked in [
            one for one in self.events if isinstance(one, Enrolment) and one.service == "maternal-management"
        ]:
            if rng.random() < 0.9:
                self._care("down-screening", booked.since + timedelta(days=whole(rng, 14, 50)), place=MATERNITY)

    # -- parts

    def _refer(self, direction: str, visit: Visit, on: date) -> None:
        if self.first <= on < self.last:
            at = self.calendar.on(self.rng, on)
            self._add(Referral(self._next(), self.centre, at, self.doctor, direction, visit.place, visit.diagnoses[0]))

    def _known(self, code: str, since: date, stage: str = "") -> None:
        if since < self.last:
            at = self.calendar.on(self.rng, since)
            self._add(Known(self._next(), self.centre, at, self.doctor, code, since, stage))

    def _enrol(self, service: str, since: date) -> None:
        if since < self.last:
            at = self.calendar.on(self.rng, since)
            self._add(Enrolment(self._next(), self.centre, at, self.doctor, service, since))

    def _care(
        self, service: str, on: date, *, mode: str = "AMB", place: str = "", doctor: Staff | None = None,
        notes: tuple[Note, ...] = (),
    ) -> None:  # fmt: skip
        """A service on a day. Before the period only what is noted lasts; nothing happens before somebody moves in."""
        if on >= self.last or (on < self.first and (not notes or self.first != self.calendar.start)):
            return
        at = self.calendar.on(self.rng, on)
        self._add(Care(self._next(), place or self.centre, at, doctor or self.doctor, service, mode, notes))

    def _next(self) -> int:
        return len(self.before) + len(self.events) + 1

    def _add(self, event: Event) -> None:
        if event.at.date() < self.last:
            self.events.append(event)
