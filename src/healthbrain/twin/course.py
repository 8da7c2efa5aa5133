"""A resident's course through the period: everything that happens to one person, in order of time.

Rates come from the data files illness.csv, admission.csv and the immunisation schedule of the terms tables; which
institution somebody goes to depends on where they live and on what ails them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from random import Random

from healthbrain.terms import tables
from healthbrain.twin import chronic, institutions, labs, places
from healthbrain.twin.chance import Weighted, number, pick, stream, whole
from healthbrain.twin.events import Allergy, Enrolment, Event, Exam, FollowUp, Known, Note, Result, Shot, Visit
from healthbrain.twin.people import Resident
from healthbrain.twin.programmes import Programmes
from healthbrain.twin.season import Calendar

_GROUPS = ((5, "a0"), (15, "a5"), (45, "a15"), (65, "a45"), (200, "a65"))
_VISITS_SCALE = 1.3  # how many visits the table's relative numbers stand for
_EMPTY: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Illness:
    """A reason to see a doctor or to be admitted."""

    code: str
    season: str
    department: str
    where: str
    panels: tuple[tuple[str, float], ...]
    drugs: tuple[tuple[str, float], ...]
    fever: float = 0.0
    days: int = 0
    procedures: tuple[tuple[str, float], ...] = ()


def _chances(text: str) -> tuple[tuple[str, float], ...]:
    found = []
    for item in text.split():
        name, _, chance = item.partition(":")
        found.append((name, float(chance or 1)))
    return tuple(found)


@cache
def _reasons(table: str, sex: str, group: str) -> Weighted[Illness]:
    pairs = []
    for row in places.read_rows(table):
        if row["sex"] in ("", sex) and float(row[group]) > 0:
            illness = Illness(
                row["code"], row["season"], row["department"], row["where"], _chances(row["panels"]),
                _chances(row["drugs"]), float(row.get("fever") or 0), int(row.get("days") or 0),
                _chances(row.get("procedure") or ""),
            )  # fmt: skip
            pairs.append((illness, float(row[group])))
    return Weighted(pairs)


def _group(age: float) -> str:
    return next(name for limit, name in _GROUPS if age < limit)


_NEAR = {  # town -> hospitals people there go to
    "310118102": ("QPH05", "QPH05", "QPH01"), "310118103": ("QPH05", "QPH01"), "310118104": ("QPH05", "QPH05", "QPH01"),
    "310118106": ("QPH06", "QPH06", "QPH01"), "310118105": ("QPH06", "QPH01"), "310118107": ("QPH07", "QPH07", "QPH01"),
    "310118110": ("QPH07", "QPH01"), "310118109": ("QPH07", "QPH01"),
}  # fmt: skip
_ELSEWHERE = {
    "T": ("QPH02",),
    "M": ("QPH03",),
    "P": ("QPH04",),
    "D": ("QPD01", "QPD03"),
    "O": ("QPD02",),
    "R": ("QPH08",),
}

_ALLERGENS = (
    ("101", "青霉素类抗生素", "medication", "皮疹", 5.0), ("103", "头孢类抗生素", "medication", "荨麻疹", 3.0),
    ("102", "磺胺类抗生素", "medication", "皮疹", 2.0), ("104", "含碘药品", "medication", "恶心、皮肤潮红", 0.8),
    ("207", "鱼、虾等水产类食品", "food", "口周瘙痒", 2.0), ("205", "蛋及蛋制品", "food", "湿疹加重", 1.0),
    ("204", "牛奶", "food", "腹泻", 1.0), ("301", "植物花粉", "environment", "喷嚏、流涕", 2.0),
)  # fmt: skip
_ALLERGEN = Weighted([(row[:4], row[4]) for row in _ALLERGENS])
_LASTING = frozenset(
    {
        "I25.1",
        "E78.5",
        "J44.9",
        "J45.9",
        "N40",
        "M81.9",
        "K29.5",
        "E03.9",
        "B18.1",
        "G20",
        "F20.9",
        "N18.3",
        "I48",
        "I69.3",
    }
)


class Life:
    """Makes the course of one resident."""

    def __init__(self, seed: int, resident: Resident, calendar: Calendar) -> None:
        self.seed, self.who, self.calendar = seed, resident, calendar
        self.rng = stream(seed, "course", resident.key)
        self.events: list[Event] = []
        self.first = max(calendar.start, resident.born, resident.arrived or calendar.start)
        self.last = min(d for d in (calendar.end, resident.left, resident.died) if d is not None)
        self.centre = institutions.centre_of(resident.address.town).code
        self.tall = self.rng.gauss(168, 6) if resident.sex == "M" else self.rng.gauss(157, 5.5)
        self.bmi = min(max(self.rng.gauss(23.6, 3.1), 16.5), 37)
        self.diseases: list[chronic.Disease] = []

    def course(self) -> list[Event]:
        """Everything that happens, in order of time."""
        if self.last <= self.first:
            return []
        rng, who, calendar = self.rng, self.who, self.calendar
        if who.age(calendar.end) >= 25:
            for kind in ("htn", "dm"):
                found = chronic.disease(rng, kind, who, calendar.start, calendar.end, sure=who.cast == "elder")
                if found:
                    # a person keeps all appointments or misses some, whatever the disease
                    found.faithful = self.diseases[0].faithful if self.diseases else found.faithful
                    self.diseases.append(found)
        self._contract()
        for ill in self.diseases:
            self._manage(ill)
        self._exams()
        self._visits()
        self._admissions()
        self._shots()
        self._allergy()
        if who.cast == "elder":
            self._show()
        doctor = self._family_doctor()
        programmes = Programmes(self.seed, who, calendar, self.first, self.last, self.centre, doctor, self.events)
        self.events = [*self.events, *programmes.made()]
        self.events.sort(key=lambda e: (e.at, e.number))
        return self.events

    # -- what a resident's life is made of

    def _contract(self) -> None:
        age = self.who.age(self.calendar.end)
        older = age >= 60 or bool(self.diseases)
        chance = (0.78 if older else 0.54) if self.who.native else (0.5 if older else 0.32)
        if not self.who.health_record or (self.rng.random() >= chance * 1.08 and not self.who.cast):
            return
        if self.rng.random() < 0.75:
            since = (
                self.first - timedelta(days=whole(self.rng, 0, 700))
                if self.first == self.calendar.start
                else self.first
            )
        else:
            since = self._day()
        since = max(since, self.who.born + timedelta(days=35))
        at = self.calendar.on(self.rng, since)
        channel = (
            "online" if number(self.seed, "channel", self.who.key) % 1000 < (180 if age >= 60 else 420) else "onsite"
        )
        self._add(Enrolment(self._number(), self.centre, at, self._family_doctor(), "family-doctor", since, channel))

    def _family_doctor(self) -> institutions.Staff:
        team = institutions.family_doctors(self.seed, self.centre)
        return team[self.who.household % len(team)]

    def _manage(self, ill: chronic.Disease) -> None:
        """Enrolment, follow-ups, refills and referrals of a chronic disease."""
        rng, doctor = self.rng, self._family_doctor()
        code = chronic.DIAGNOSIS[ill.kind]
        if ill.enrolled is not None and ill.enrolled < self.last:
            at = self.calendar.on(rng, ill.enrolled)
            since = ill.enrolled
            self._add(Enrolment(self._number(), self.centre, at, doctor, f"{ill.kind}-management", since))
            self._add(Known(self._number(), self.centre, at, doctor, code, ill.since))
            first = max(self.calendar.start, self.first)
            for meeting in chronic.follow_ups(rng, ill, self.who, first, self.last):
                self._meet(ill, meeting, doctor)
        for _ in range(_times(rng, 0.9 * self._years())):
            on = self._day()
            if on >= ill.since and ill.step:
                self._refill(ill, on)

    def _meet(self, ill: chronic.Disease, meeting: chronic.Meeting, doctor: institutions.Staff) -> None:
        at = self.calendar.on(self.rng, meeting.on)
        self._add(
            FollowUp(
                self._number(), self.centre, at, doctor, ill.kind, meeting.mode, meeting.results, meeting.verdict,
                meeting.next_on, meeting.drugs if meeting.mode != "VR" else (),
            )
        )  # fmt: skip
        if meeting.referred and self.rng.random() < 0.5:
            self._refill(ill, meeting.on + timedelta(days=whole(self.rng, 2, 9)), place=self._hospital())

    def _refill(self, ill: chronic.Disease, on: date, place: str = "") -> None:
        if not self.first <= on < self.last:
            return
        rng = self.rng
        place = place or (self.centre if rng.random() < 0.6 else self._hospital())
        age = int(self.who.age(on))
        panels = []
        if place != self.centre and rng.random() < 0.5:
            name = (
                pick(rng, ("renal", "lipid", "lytes"))
                if ill.kind == "htn"
                else pick(rng, ("a1c", "renal", "lipid", "urine"))
            )
            panels.append(self._panel(name, age, chronic.DIAGNOSIS[ill.kind]))
        taken = chronic.readings(rng, ill, self.who, age)
        if ill.kind == "dm":
            panels.append(("glucose", taken[:1]))
        at = self.calendar.on(rng, on)
        department = "02" if place == self.centre else ("0304" if ill.kind == "htn" else "0307")
        self._visit(
            at,
            place,
            department,
            (chronic.DIAGNOSIS[ill.kind],),
            taken if ill.kind == "htn" else (),
            tuple(panels),
            ill.drugs,
        )

    def _exams(self) -> None:
        managed = [ill for ill in self.diseases if ill.enrolled is not None]
        age = self.who.age(self.calendar.end)
        wanted = bool(managed and managed[0].faithful) or (age >= 65 and self.who.native and self.rng.random() < 0.7)
        if not wanted:
            return
        on = self.first + timedelta(days=int(self.rng.random() * 330))
        new = [ill.enrolled for ill in managed if ill.enrolled is not None and ill.enrolled > self.first]
        if new and len(new) == len(managed):  # examined when the programme begins
            on = min(new)
        while on < self.last:
            self._exam(on)
            on += timedelta(days=whole(self.rng, 320, 356))

    def _exam(self, on: date) -> None:
        rng, age = self.rng, int(self.who.age(on))
        problems = [chronic.DIAGNOSIS[ill.kind] for ill in self.diseases]
        panels = [self._panel(name, age, *problems) for name in ("cbc", "liver", "renal", "lipid")]
        sugar = next((ill for ill in self.diseases if ill.kind == "dm"), None)
        if sugar:
            panels.append(("glucose", chronic.readings(rng, sugar, self.who, age)[:1]))
        else:
            panels.append(self._panel("glucose", age))
        at = self.calendar.on(rng, on)
        self._add(
            Exam(
                self._number(),
                self.centre,
                at,
                self._family_doctor(),
                (*self._pressure(age), *self._body(age)),
                tuple(panels),
                (Note("self-care", "points", str(_dependency(self.seed, self.who, age))),) if age >= 65 else (),
            )
        )

    def _visits(self) -> None:
        """Outpatient and emergency visits by the table of reasons."""
        rng = self.rng
        reasons = _reasons("illness", self.who.sex, _group(self.who.age(self.calendar.end)))
        for _ in range(_times(rng, reasons.total / 1000 * _VISITS_SCALE * self._years())):
            illness = reasons.pick(rng)
            where = pick(rng, illness.where)
            emergency = where == "E"
            at = self.calendar.always(rng, illness.season) if emergency else self.calendar.clinic(rng, illness.season)
            if self.first <= at.date() < self.last:
                self._see(illness, where, at)

    def _see(self, illness: Illness, where: str, at: datetime) -> None:
        rng = self.rng
        age = int(self.who.age(at.date()))
        place = self._place(where)
        vitals: tuple[Result, ...] = ()
        if rng.random() < illness.fever:
            vitals = (labs.measured("8310-5", self.who.sex, age, 37.4 + abs(rng.gauss(0.9, 0.5))),)
        elif age >= 35 and place == self.centre and rng.random() < 0.7:
            vitals = self._pressure(age)
        large = place not in ("QPD01", "QPD02", "QPD03")
        panels = tuple(
            self._panel(name, age, illness.code)
            for name, chance in illness.panels
            if large and rng.random() < chance * 0.7
        )
        drugs = tuple(code for code, chance in illness.drugs if rng.random() < chance)
        if age < 12:
            drugs = tuple(_FOR_CHILDREN.get(code, code) for code in drugs)
        department = "02" if place == self.centre else illness.department
        kind = "emergency" if where == "E" else "outpatient"
        self._visit(at, place, department, (illness.code,), vitals, panels, drugs, kind)
        if (
            illness.code in _LASTING
            and place == self.centre
            and not any(isinstance(e, Known) and e.diagnosis == illness.code for e in self.events)
        ):
            self._add(Known(self._number(), place, at, self._family_doctor(), illness.code, at.date()))

    def _admissions(self) -> None:
        rng = self.rng
        reasons = _reasons("admission", self.who.sex, _group(self.who.age(self.calendar.end)))
        for _ in range(_times(rng, reasons.total / 1000 * 0.8 * self._years())):
            illness = reasons.pick(rng)
            at = self.calendar.always(rng, illness.season)
            if not self.first <= at.date() < self.last:
                continue
            stay = timedelta(days=max(1, round(rng.gauss(illness.days, illness.days * 0.3))), hours=whole(rng, 0, 5))
            self._stay(illness, at, min(at + stay, datetime(self.last.year, self.last.month, self.last.day, 12)))  # noqa: DTZ001 - local

    def _stay(self, illness: Illness, at: datetime, until: datetime) -> None:
        rng, age = self.rng, int(self.who.age(at.date()))
        if until <= at:
            return
        others = tuple(chronic.DIAGNOSIS[ill.kind] for ill in self.diseases if ill.since <= at.date())
        diagnoses = (illness.code, *(code for code in others if code != illness.code))
        panels = tuple(self._panel(name, age, *diagnoses) for name, chance in illness.panels if rng.random() < chance)
        drugs = tuple(code for code, chance in illness.drugs if rng.random() < chance)
        done = tuple(code for code, chance in illness.procedures if rng.random() < chance)
        place = self._place(pick(rng, illness.where))
        doctor = institutions.doctor(self.seed, place, illness.department, self.who.key)
        vitals = (labs.measured("8310-5", self.who.sex, age, rng.gauss(36.7, 0.3)), *self._pressure(age))
        self._add(Visit(self._number(), place, at, doctor, "inpatient", until, diagnoses, vitals, panels, drugs, done))

    def _shots(self) -> None:
        rng, who = self.rng, self.who
        if who.age(self.calendar.start) < 14.5:
            timely = rng.random() < 0.93 or who.cast != ""
            for dose in tables.schedule():
                if dose.applies(who.born, who.sex):
                    due = who.born + timedelta(
                        days=int(dose.month * 30.44) + (0 if dose.month == 0 else whole(rng, 0, 12 if timely else 90))
                    )
                    if due < self.last and (who.cast or rng.random() < (0.998 if timely else 0.95)):
                        self._shot(due, dose.vaccine, dose.number)
        for year in (self.calendar.start.year, self.calendar.end.year):
            day = date(year, 10, 1) + timedelta(days=whole(rng, 0, 60))
            if who.age(day) >= 60 and rng.random() < (0.36 if who.native else 0.12) and self.first <= day < self.last:
                self._shot(day, "Flu", 1)

    def _shot(self, on: date, vaccine: str, dose: int) -> None:
        # doses given at birth are entered by the health centre, too, when it issues the vaccination certificate
        place = self.centre
        doctor = institutions.doctor(self.seed, place, "01", self.who.key)
        at = self.calendar.on(self.rng, on)
        lot = f"{on.year}{(on.timetuple().tm_yday // 45) + 1:02d}{vaccine[:2].upper()}{dose}"
        self._add(Shot(self._number(), place, at, doctor, vaccine, dose, lot))

    def _show(self) -> None:
        """What the demonstration's elder has in any case: visits to two hospitals and an operation."""
        age = int(self.who.age(self.calendar.end))
        for place, department, code, share, names in (
            ("QPH01", "0304", "I25.1", 0.35, ("lipid", "cardiac", "renal", "lytes")),
            ("QPH02", "0303", "I69.3", 0.62, ("lipid", "a1c", "liver")),
            ("QPH01", "0307", "E11.9", 0.86, ("a1c", "renal", "urine", "lipid")),
        ):
            at = self.calendar.on(self.rng, self.calendar.start + timedelta(days=int(self.calendar.days * share)))
            panels = tuple(self._panel(name, age, code) for name in names)
            self._visit(at, place, department, (code, "I10"), self._pressure(age), panels, ("B01AC06", "C10AA05"))
        cataract = next(i for i in _reasons("admission", self.who.sex, "a65").values if i.code == "H25.9")
        at = self.calendar.on(self.rng, self.calendar.start + timedelta(days=int(self.calendar.days * 0.5)))
        self._stay(cataract, at, at + timedelta(days=2))

    def _allergy(self) -> None:
        if self.rng.random() >= 0.055 and self.who.cast != "elder":
            return
        code, substance, category, reaction = _ALLERGEN.pick(self.rng)
        if self.who.cast == "elder":
            code, substance, category, reaction = _ALLERGENS[0][:4]
        at = self.calendar.on(self.rng, self._day())
        place = self.centre if self.rng.random() < 0.6 else self._hospital()
        doctor = institutions.doctor(self.seed, place, "02", self.who.key)
        self._add(
            Allergy(self._number(), place, at, doctor, code, substance, category, reaction, self.rng.random() < 0.12)
        )

    # -- parts

    def _number(self) -> int:
        return len(self.events) + 1

    def _add(self, event: Event) -> None:
        if event.at.date() < self.last:
            self.events.append(event)

    def _visit(
        self, at: datetime, place: str, department: str, diagnoses: tuple[str, ...], vitals: tuple[Result, ...],
        panels: tuple[tuple[str, tuple[Result, ...]], ...], drugs: tuple[str, ...], kind: str = "outpatient",
    ) -> None:  # fmt: skip
        doctor = institutions.doctor(self.seed, place, department, self.who.key)
        until = at + timedelta(minutes=whole(self.rng, 8, 55) * (4 if kind == "emergency" else 1))
        self._add(Visit(self._number(), place, at, doctor, kind, until, diagnoses, vitals, panels, drugs, ()))

    def _place(self, where: str) -> str:
        if where == "C":
            return self.centre
        if where in "HE":
            return self._hospital()
        return pick(self.rng, _ELSEWHERE[where])

    def _hospital(self) -> str:
        near = _NEAR.get(self.who.address.town.code, ("QPH01", "QPH01", "QPH01", "QPH02"))
        return pick(self.rng, near)

    def _panel(self, name: str, age: int, *problems: str) -> tuple[str, tuple[Result, ...]]:
        effects, positive = _EMPTY, _EMPTY
        for code in problems:
            effects = labs.EFFECTS.get(code) or effects
            positive = labs.POSITIVE.get(code) or positive
        rng, sex = self.rng, self.who.sex
        return name, tuple(labs.result(rng, code, sex, age, effects, positive) for code in labs.PANELS[name])

    def _pressure(self, age: int) -> tuple[Result, ...]:
        high = next((ill for ill in self.diseases if ill.kind == "htn"), None)
        if high:
            return chronic.readings(self.rng, high, self.who, age)
        systolic = self.rng.gauss(112 + min(age, 80) * 0.25, 8)
        return chronic.pressure(self.who.sex, age, systolic, systolic * 0.62 + self.rng.gauss(0, 4))

    def _body(self, age: int) -> tuple[Result, ...]:
        rng, sex = self.rng, self.who.sex
        bmi = self.bmi + rng.gauss(0, 0.3)
        weight = bmi * (self.tall / 100) ** 2
        waist = (bmi * 2.4 + 27) if sex == "M" else (bmi * 2.3 + 25)
        values = (
            ("29463-7", weight),
            ("8302-2", self.tall),
            ("39156-5", bmi),
            ("8280-0", waist),
            ("8867-4", rng.gauss(75, 8)),
        )
        return tuple(labs.measured(code, sex, age, value) for code, value in values)

    def _years(self) -> float:
        return self.calendar.days / 365

    def _day(self) -> date:
        return self.first + timedelta(days=int(self.rng.random() * (self.last - self.first).days))


_FOR_CHILDREN = {
    "N02BE01": "Z-BLFHXY",
    "M01AE01": "Z-BLFHXY",
    "Z-LHQW": "Z-XETQL",
    "J01MA12": "J01DD08",
    "J01DC02": "J01DD08",
    "A02BC01": "A07BC05",
}


def _dependency(seed: int, who: Resident, age: int) -> int:
    """Points of the self-care scale of the elderly exam: 0 to 3 is able, 19 and more is unable."""
    draw = number(seed, "self-care", who.key) % 1000 / 1000
    limited = 0.02 * 1.16 ** (age - 65)
    if draw >= limited:
        return int(draw * 40) % 4
    return 19 if draw < limited * 0.2 else 9 if draw < limited * 0.5 else 4


def _times(rng: Random, mean: float) -> int:
    """How often something happens (Poisson; means here are small)."""
    from math import exp

    limit, product, count = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
