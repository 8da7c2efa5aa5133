"""Programmes: mothers, children, the old, the mentally ill and the referred get what the service rules say, mostly."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, datetime, timedelta

import pytest

from healthbrain.terms import systems, tables
from healthbrain.twin import District, Resident
from healthbrain.twin.course import Life
from healthbrain.twin.events import Care, Enrolment, Event, Known, Referral, Visit

END = date(2026, 11, 1)
Course = tuple[Resident, list[Event]]


@pytest.fixture(scope="module")
def courses() -> list[Course]:
    district = District(11, 6000, end=END)
    return [(who, Life(11, who, district.calendar).course()) for who in district.people()]


@pytest.fixture(scope="module")
def sent() -> dict[str, list[dict]]:
    """Resources of the FHIR messages of a small district by type."""
    found: dict[str, list[dict]] = defaultdict(list)
    for message in District(3, 1500, end=END).messages():
        if message.door == "fhir" and not message.fault:
            for entry in json.loads(message.payload)["entry"]:
                found[entry["resource"]["resourceType"]].append(entry["resource"])
    return found


def cares(events: list[Event], service: str) -> list[Care]:
    return [one for one in events if isinstance(one, Care) and one.service == service]


def test_a_delivery_is_the_birth_of_a_child_of_the_household(courses: list[Course]) -> None:
    born = {who.born for who, _ in courses}
    deliveries = [(who, one) for who, events in courses for one in cares(events, "delivery")]
    assert len(deliveries) > 30
    for who, one in deliveries:
        assert who.sex == "F"
        assert any(abs((one.at.date() - day).days) <= 1 for day in who.births)
    assert {day for who, _ in deliveries for day in who.births} <= born


def test_most_pregnancies_are_booked_before_13_weeks_and_seen_five_times(courses: list[Course]) -> None:
    early, seen = [], []
    for _, events in courses:
        for delivery in cares(events, "delivery"):
            weeks = int(delivery.notes[0].value)
            booked = [
                one.since
                for one in events
                if isinstance(one, Enrolment) and one.service == "maternal-management" and one.at < delivery.at
            ]
            conceived = delivery.at.date() - timedelta(days=weeks * 7)
            early.append(any((day - conceived).days < 13 * 7 for day in booked))
            seen.append(len([one for one in cares(events, "antenatal") if one.at < delivery.at]) >= 5)
    assert 0.85 < sum(early) / len(early) < 1
    assert 0.8 < sum(seen) / len(seen) < 1


def test_children_are_examined_at_the_ages_of_the_schedule(courses: list[Course]) -> None:
    for who, events in courses:
        for one in cares(events, "child-checkup"):
            months = (one.at.date() - who.born).days / 30.44
            assert any(-0.05 < months - due < 0.6 for due in (1, 3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72))


def test_only_people_from_65_get_chinese_medicine_management_for_the_old(courses: list[Course]) -> None:
    ages = [who.age(one.at.date()) for who, events in courses for one in cares(events, "tcm-elderly")]
    assert len(ages) > 200
    assert min(ages) >= 64.99


def test_only_those_with_a_family_doctor_are_referred(courses: list[Course]) -> None:
    referred = [events for _, events in courses if any(isinstance(one, Referral) for one in events)]
    assert len(referred) > 50
    for events in referred:
        assert any(isinstance(one, Enrolment) and one.service == "family-doctor" for one in events)


def test_severe_mental_disorders_and_tumours_are_as_frequent_as_they_are(courses: list[Course]) -> None:
    ill = sum(any(isinstance(one, Enrolment) and one.service == "smi-management" for one in e) for _, e in courses)
    assert 0.002 < ill / len(courses) < 0.008
    stages = [one.stage for _, events in courses for one in events if isinstance(one, Known) and one.stage]
    assert 0.002 < len(stages) / len(courses) < 0.015
    assert set(stages) <= {row["code"] for row in tables.rows("tumour_stage")}


def test_internet_visits_are_a_small_share_of_outpatient_visits(courses: list[Course]) -> None:
    visits = [one for _, events in courses for one in events if isinstance(one, Visit)]
    net = sum(one.kind == "internet-outpatient" for one in visits)
    assert 0.03 < net / sum(one.kind in ("outpatient", "internet-outpatient") for one in visits) < 0.1


def test_every_death_has_a_coded_cause_and_every_team_a_doctor(sent: dict[str, list[dict]]) -> None:
    causes = {
        one["subject"]["reference"]: one["valueCodeableConcept"]["coding"][0]["code"]
        for one in sent["Observation"]
        if one["code"]["coding"][0]["code"] == "69453-9"
    }
    dead = {f"Patient/{one['id']}" for one in sent["Patient"] if "deceasedDateTime" in one and "QP00" in one["id"]}
    assert dead
    assert set(causes) == dead
    assert len(sent["CareTeam"]) == 77
    assert all(len(one["participant"]) in (2, 3) for one in sent["CareTeam"])


def test_a_case_report_names_when_it_was_found_and_when_it_was_sent(sent: dict[str, list[dict]]) -> None:
    reports = [one for one in sent["Observation"] if one["code"]["coding"][0]["code"] == "infectious-report"]
    late = 0
    for one in reports:
        code = one["valueCodeableConcept"]["coding"][0]["code"]
        assert tables.table("icd10")[code]["notifiable"]
        taken = datetime.fromisoformat(one["issued"]) - datetime.fromisoformat(one["effectiveDateTime"])
        assert taken > timedelta(0)
        late += taken > timedelta(hours=24)
    assert len(reports) > 100
    assert 0 < late < len(reports) * 0.08


def test_the_register_says_where_residents_are_registered(sent: dict[str, list[dict]]) -> None:
    places = [
        extension["valueString"]
        for one in sent["Patient"]
        for extension in one.get("extension", ())
        if extension["url"] == systems.EXT_REGISTRATION
    ]
    assert 0.35 < sum(place == "310118" for place in places) / len(places) < 0.55
    assert all(len(place) == 6 for place in places if place)
