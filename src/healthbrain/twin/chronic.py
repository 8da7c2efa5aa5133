"""Hypertension and type 2 diabetes: who has them, how the values answer to treatment, how the health centre follows up.

Rules followed: 国家基本公共卫生服务规范（第三版）, 高血压 and 2型糖尿病患者健康管理: controlled below 140/90 mmHg (150/90 from
65 years) or fasting glucose below 7.0 mmol/L, next follow-up within three months when controlled and within two weeks when
not, four face-to-face follow-ups and one examination a year. Each further step of treatment lowers the true value by
what the person's adherence lets through; a measurement scatters around the true value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from healthbrain.twin.chance import pick, whole
from healthbrain.twin.events import Result
from healthbrain.twin.labs import measured
from healthbrain.twin.people import Resident

_PREVALENCE = {  # diagnosed, by age in years
    "htn": ((35, 0.012), (45, 0.06), (55, 0.16), (65, 0.31), (75, 0.45), (200, 0.52)),
    "dm": ((35, 0.005), (45, 0.025), (55, 0.07), (65, 0.13), (75, 0.19), (200, 0.19)),
}
DIAGNOSIS = {"htn": "I10", "dm": "E11.9"}
STEPS = {
    "htn": (
        (("C08CA01",), ("C08CA01", "C09CA03"), ("C08CA01", "C09CA03", "C03AA03"), ("C08CA01", "C09CA03", "C03AA03", "C07AB07")),
        (("C09CA01",), ("C09CA01", "C08CA05"), ("C09CA01", "C08CA05", "C03BA11"), ("C09CA01", "C08CA05", "C03BA11", "C07AB02")),
    ),
    "dm": (
        (("A10BA02",), ("A10BA02", "A10BB12"), ("A10BA02", "A10BB12", "A10BK01"), ("A10BA02", "A10BK01", "A10AE04")),
        (("A10BA02",), ("A10BA02", "A10BF01"), ("A10BA02", "A10BF01", "A10BH01"), ("A10BA02", "A10BH01", "A10AE04")),
    ),
}  # fmt: skip
# how well each town's health centre keeps to the standard: share of enrolled patients followed up as the rules say
DILIGENCE = (0.97, 0.94, 0.88, 0.93, 0.80, 0.76, 0.86, 0.92, 0.84, 0.89, 0.79)


@dataclass(slots=True)
class Disease:
    """One person's course of a chronic disease."""

    kind: str  # htn | dm
    since: date
    enrolled: date | None  # in the centre's programme since
    untreated: float  # systolic pressure, or fasting glucose, without treatment
    effect: float  # what one step of treatment takes off with full adherence
    adherence: float
    line: int  # which of the usual treatments
    step: int
    faithful: bool  # comes to every follow-up
    gap: float  # diastolic share
    sugar: float = 0.0  # of the last months, for HbA1c

    @property
    def drugs(self) -> tuple[str, ...]:
        """What is taken now."""
        return STEPS[self.kind][self.line][self.step - 1] if self.step else ()

    @property
    def true_value(self) -> float:
        """The true systolic pressure or fasting glucose under the treatment of now."""
        floor = 112.0 if self.kind == "htn" else 4.8
        return max(self.untreated - self.effect * self.step * self.adherence, floor)


@dataclass(frozen=True, slots=True)
class Meeting:
    """One follow-up as it went."""

    on: date
    mode: str
    results: tuple[Result, ...]
    verdict: str
    next_on: date
    drugs: tuple[str, ...]
    referred: bool


def chance_of(kind: str, age: float) -> float:
    """Diagnosed prevalence at an age."""
    return next(p for limit, p in _PREVALENCE[kind] if age < limit)


def disease(
    rng: Random, kind: str, resident: Resident, start: date, end: date, *, sure: bool = False
) -> Disease | None:
    """The disease of a resident, or None; `sure` makes an ill and faithful patient of them."""
    age = resident.age(end)
    if rng.random() >= chance_of(kind, age) * (1.0 if resident.native else 0.85) and not sure:
        return None
    fresh = rng.random() < 0.14 and not sure  # found during the period
    if fresh:
        since = start + timedelta(days=int(rng.random() * (end - start).days * 0.8))
    else:
        since = start - timedelta(days=whole(rng, 60, int(min(max(age - 30, 1), 25) * 365)))
    if resident.arrived and since < resident.arrived and not fresh:
        enrolled_from = resident.arrived + timedelta(days=30)
    else:
        enrolled_from = max(since, date(2009, 9, 1)) + timedelta(days=whole(rng, 3, 60 if fresh else 700))
    managed = (sure or rng.random() < (0.84 if resident.native else 0.5)) and age >= 35 and bool(resident.health_record)
    chosen = Disease(
        kind=kind,
        since=since,
        enrolled=min(enrolled_from, max(since, start + timedelta(days=20))) if managed else None,
        untreated=rng.gauss(165, 10) if kind == "htn" else max(rng.gauss(10.2, 1.7), 7.3),
        effect=rng.gauss(10.5, 1.5) if kind == "htn" else rng.gauss(1.35, 0.25),
        adherence=min(max(rng.gauss(0.95 if sure else 0.74, 0.2), 0.2), 1.0),
        line=int(rng.random() * 2),
        step=0 if fresh else pick(rng, (1, 1, 2, 2, 2, 3)),
        faithful=rng.random() < DILIGENCE[resident.address.town.index] or sure,
        gap=rng.gauss(0.585, 0.03),
    )
    chosen.sugar = chosen.true_value
    return chosen


def readings(rng: Random, ill: Disease, resident: Resident, age: int) -> tuple[Result, ...]:
    """What is measured now: blood pressure, or glucose and every other time HbA1c."""
    if ill.kind == "htn":
        systolic = max(ill.true_value + rng.gauss(0, 6), 92)
        diastolic = min(max(systolic * ill.gap + rng.gauss(0, 4), 52), 118)
        return pressure(resident.sex, age, systolic, diastolic)
    glucose = max(ill.true_value + rng.gauss(0, 0.45), 3.6)
    found = [measured("14771-0", resident.sex, age, glucose)]
    if rng.random() < 0.5:
        found.append(measured("4548-4", resident.sex, age, max((ill.sugar * 1.12 + 2.59) / 1.59, 4.6)))
    return tuple(found)


def pressure(sex: str, age: int, systolic: float, diastolic: float) -> tuple[Result, Result]:
    """A blood pressure; an hour of crisis aside, the two values keep at least 25 mmHg apart."""
    high = round(systolic)
    return measured("8480-6", sex, age, high), measured("8462-4", sex, age, min(round(diastolic), high - 25))


def controlled(kind: str, results: tuple[Result, ...], age: int) -> bool:
    """Whether the readings meet the target of the rules."""
    if kind == "htn":
        systolic, diastolic = results[0].number or 0, results[1].number or 0
        return systolic < (150 if age >= 65 else 140) and diastolic < 90
    return (results[0].number or 0) < 7.0


def follow_ups(rng: Random, ill: Disease, resident: Resident, start: date, end: date) -> Iterator[Meeting]:
    """The follow-ups of an enrolled patient between `start` and `end`; treatment steps change `ill` on the way."""
    if ill.enrolled is None:
        return
    new = ill.enrolled >= start
    on = ill.enrolled if new else start + timedelta(days=int(rng.random() * 84))
    misses = 0  # uncontrolled times in a row
    while on < end:
        age = int(resident.age(on))
        if ill.step == 0:
            ill.step = 1
            taken = readings(rng, ill, resident, age) if not new else _untreated(rng, ill, resident, age)
        else:
            taken = readings(rng, ill, resident, age)
        good = controlled(ill.kind, taken, age)
        misses = 0 if good else misses + 1
        adverse = rng.random() < 0.012
        # not every high reading leads to more treatment: doctors and patients hesitate
        if not good and rng.random() < (0.55 if misses > 1 else 0.3) and ill.step < 4:
            ill.step += 1
            ill.adherence = min(ill.adherence + 0.04, 1.0)
        if adverse:
            ill.line = 1 - ill.line
        verdict = "adverse" if adverse else "controlled" if good else "uncontrolled"
        if not good and misses > 2 and rng.random() < 0.08:
            verdict = "complication"
        next_on = on + timedelta(days=90 if verdict == "controlled" else 14)
        mode = "VR" if not ill.faithful and rng.random() < 0.35 else "HH" if rng.random() < 0.18 else "AMB"
        yield Meeting(on, mode, taken, verdict, next_on, ill.drugs, referred=misses == 2)
        ill.sugar = 0.45 * ill.sugar + 0.55 * ill.true_value
        # one who stays uncontrolled is referred at the second miss and then comes back when the hospital is done
        on = _next(rng, ill, next_on) if misses <= 2 else next_on + timedelta(days=whole(rng, 10, 55))


def _untreated(rng: Random, ill: Disease, resident: Resident, age: int) -> tuple[Result, ...]:
    step, ill.step = ill.step, 0
    found = readings(rng, ill, resident, age)
    ill.step = step
    return found


def _next(rng: Random, ill: Disease, due: date) -> date:
    """When the patient really comes: a little early when faithful; others late, or not this time."""
    if ill.faithful:
        return due - timedelta(days=whole(rng, 0, 9) if rng.random() < 0.96 else -whole(rng, 1, 12))
    return due + timedelta(days=whole(rng, 10, 130))
