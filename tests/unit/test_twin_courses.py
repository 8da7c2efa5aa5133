"""Courses: what happens to residents follows medicine, season and the rules of public health services."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from statistics import mean

import pytest

from healthbrain.terms import tables
from healthbrain.twin import District, Resident
from healthbrain.twin.chronic import DILIGENCE
from healthbrain.twin.course import Life
from healthbrain.twin.events import Enrolment, Event, Exam, FollowUp, Shot, Visit
from healthbrain.twin.season import Calendar, intensity

END = date(2026, 11, 1)


@pytest.fixture(scope="module")
def courses() -> list[tuple[Resident, list[Event]]]:
    district = District(11, 9000, end=END)
    return [(who, Life(11, who, district.calendar).course()) for who in district.people()]


def follow_ups(events: list[Event], disease: str) -> list[FollowUp]:
    return [event for event in events if isinstance(event, FollowUp) and event.disease == disease]


@pytest.mark.parametrize(("disease", "least"), [("htn", 12.0), ("dm", 1.0)])
def test_new_patients_answer_to_treatment(
    courses: list[tuple[Resident, list[Event]]], disease: str, least: float
) -> None:
    first, last = [], []
    for _, events in courses:
        met = follow_ups(events, disease)
        enrolled = any(
            isinstance(e, Enrolment) and e.service == f"{disease}-management" and e.since > date(2025, 5, 10)
            for e in events
        )
        if enrolled and len(met) >= 4:
            first.append(met[0].results[0].number or 0)
            last.append(met[-1].results[0].number or 0)
    assert len(first) > 20
    assert mean(first) - mean(last) > least


def test_glycated_haemoglobin_follows_glucose(courses: list[tuple[Resident, list[Event]]]) -> None:
    low, high = [], []
    for _, events in courses:
        for met in follow_ups(events, "dm"):
            if len(met.results) > 1:
                (high if (met.results[0].number or 0) > 8.5 else low).append(met.results[1].number or 0)
    assert mean(high) > mean(low) + 0.6


def test_the_follow_up_class_says_what_the_readings_say(courses: list[tuple[Resident, list[Event]]]) -> None:
    for who, events in courses:
        for met in follow_ups(events, "htn"):
            systolic, diastolic = met.results[0].number or 0, met.results[1].number or 0
            target = 150 if int(who.age(met.at.date())) >= 65 else 140
            if met.verdict == "controlled":
                assert systolic < target
                assert diastolic < 90
            elif met.verdict in ("uncontrolled", "complication"):
                assert systolic >= target or diastolic >= 90
            assert met.next_on > met.at.date()


def test_towns_differ_in_how_well_they_follow_up(courses: list[tuple[Resident, list[Event]]]) -> None:
    """Managed as the rules say: four face-to-face follow-ups and an examination within the last year."""
    kept: dict[int, list[bool]] = defaultdict(list)
    year = END - timedelta(days=365)
    for who, events in courses:
        managed = [e for e in events if isinstance(e, Enrolment) and e.service == "htn-management" and e.since < year]
        if not managed or who.died or who.left or (who.arrived and who.arrived > year):
            continue
        met = [e for e in follow_ups(events, "htn") if e.at.date() >= year and e.mode in ("AMB", "HH")]
        exam = any(isinstance(e, Exam) and e.at.date() >= year for e in events)
        kept[who.address.town.index].append(len(met) >= 4 and exam)
    rates = {town: mean(marks) for town, marks in kept.items()}
    assert 0.66 < mean(mark for marks in kept.values() for mark in marks) < 0.93
    best = [DILIGENCE.index(share) for share in sorted(DILIGENCE)[-4:]]
    worst = [DILIGENCE.index(share) for share in sorted(DILIGENCE)[:4]]
    assert mean(rates[town] for town in best) > mean(rates[town] for town in worst) + 0.04


def test_children_are_vaccinated_by_the_schedule(courses: list[tuple[Resident, list[Event]]]) -> None:
    complete = []
    for who, events in courses:
        if who.age(END) < 2 or who.age(END) > 6 or who.left or who.died:
            continue
        had = {(e.vaccine, e.dose) for e in events if isinstance(e, Shot)}
        due = {(d.vaccine, d.number) for d in tables.schedule() if d.applies(who.born, who.sex) and d.month <= 18}
        complete.append(due <= had)
        for event in events:
            if isinstance(event, Shot) and event.vaccine != "Flu":
                dose = next(
                    d
                    for d in tables.schedule()
                    if d.vaccine == event.vaccine and d.number == event.dose and d.applies(who.born, who.sex)
                )
                assert event.at.date() >= who.born + timedelta(days=int(dose.month * 30.44))
    assert len(complete) > 100
    assert mean(complete) > 0.85


def test_infections_keep_to_their_season(courses: list[tuple[Resident, list[Event]]]) -> None:
    months: dict[str, Counter[int]] = defaultdict(Counter)
    for _, events in courses:
        for event in events:
            if isinstance(event, Visit):
                months[event.diagnoses[0]][event.at.month] += 1
    flu = months["J10.1"] + months["J11.1"]
    assert flu[12] + flu[1] + flu[2] > 4 * (flu[4] + flu[5] + flu[10])
    hand_foot_mouth = months["B08.4"]
    assert hand_foot_mouth[5] + hand_foot_mouth[6] + hand_foot_mouth[7] > 4 * (hand_foot_mouth[1] + hand_foot_mouth[2])


def test_clinics_are_open_by_day_and_emergencies_come_at_any_hour(courses: list[tuple[Resident, list[Event]]]) -> None:
    visits = [event for _, events in courses for event in events if isinstance(event, Visit)]
    assert all(7 <= v.at.hour <= 17 for v in visits if v.kind == "outpatient")
    assert any(v.at.hour < 6 for v in visits if v.kind == "emergency")
    assert all(v.until > v.at for v in visits)
    weekdays = Counter(v.at.weekday() for v in visits if v.kind == "outpatient")
    assert weekdays[6] < weekdays[0] * 0.6


def test_nothing_happens_to_those_who_are_not_there(courses: list[tuple[Resident, list[Event]]]) -> None:
    for who, events in courses:
        for event in events:
            assert event.at.date() >= who.born
            assert who.died is None or event.at.date() < who.died
            assert who.left is None or event.at.date() < who.left
        assert len({event.number for event in events}) == len(events)


def test_nearly_half_of_the_residents_have_a_family_doctor(courses: list[tuple[Resident, list[Event]]]) -> None:
    signed = sum(
        any(isinstance(e, Enrolment) and e.service == "family-doctor" for e in events) for _, events in courses
    )
    assert signed / len(courses) == pytest.approx(0.46, abs=0.06)


def test_the_calendar_draws_days_as_often_as_the_season_says() -> None:
    assert intensity("flu", date(2026, 1, 5)) > 10 * intensity("flu", date(2026, 5, 1))
    calendar = Calendar(date(2026, 1, 1), date(2026, 3, 1))
    assert calendar.days == 59
