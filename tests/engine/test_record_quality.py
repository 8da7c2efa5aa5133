"""Rules of data quality and the added programmes over a small cohort: each rule finds what it is for, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from healthbrain import measure
from healthbrain.measure import compute_all
from healthbrain.terms import systems
from tests.engine.measure_cohort import AT, TODAY, Cohort


def faults(cohort: Cohort, measure_id: str, folder: Path) -> dict[str, str]:
    """The letters of the rules that each record breaks, by its person or id."""
    (found,) = compute_all(cohort.lake(folder), [measure.definition(measure_id)], AT)
    for member in found.members:
        assert member.numerator == (member.shown["fault"] == ""), member
        assert set(member.reasons) == set(str(member.shown["fault"]))
    return {member.subject: str(member.shown["fault"]) for member in found.members}


def record(number: str) -> dict[str, Any]:
    return {"identifier": [{"system": systems.HEALTH_RECORD, "value": number}]}


def test_each_fault_of_a_health_record_is_found_and_a_sound_one_has_none(tmp_path: Path) -> None:
    cohort = Cohort()
    cohort.person(1, **record("31011800100100001"))
    cohort.person(2, **record("3101180010010000"))
    cohort.person(3, **record("31011800100100003"), gender="unknown")
    cohort.person(4, birth="1890-01-01", **record("31011800100100004"))
    cohort.person(5, **record("31011800100100005"))
    cohort.person(5, owner=22, **record("31011800200100005"))
    cohort.person(6)  # no record: not checked
    assert faults(cohort, "BPHS-DQ01", tmp_path) == {
        "P000000000001": "", "P000000000002": "N", "P000000000003": "S", "P000000000004": "A", "P000000000005": "D",
    }  # fmt: skip


def test_each_fault_of_a_hypertension_follow_up_is_found(tmp_path: Path) -> None:
    cohort = Cohort()
    wanted: dict[str, str] = {}
    for number in range(1, 9):
        patient = cohort.person(number)
        cohort.enrol(patient, systems.HTN_MANAGEMENT, since=str(TODAY - timedelta(days=200)))
        day = TODAY - timedelta(days=30)
        match number:
            case 1:
                wanted[cohort.htn_visit(patient, day)] = ""
            case 2:
                wanted[cohort.htn_visit(patient, day, pressure=None)] = "M"
            case 3:
                wanted[cohort.htn_visit(patient, day, pressure=(78, 128))] = "V"
            case 4:
                wanted[cohort.htn_visit(patient, day, verdict=None, next_days=None)] = "LN"
            case 5:
                wanted[cohort.htn_visit(patient, day, next_days=0)] = "O"
            case 6:
                wanted[cohort.htn_visit(patient, TODAY - timedelta(days=300))] = "E"
            case 7:
                for back in (90, 60, 30):
                    wanted[cohort.htn_visit(patient, TODAY - timedelta(days=back), pressure=(131, 79))] = "R"
            case 8:
                wanted[cohort.htn_visit(patient, day, pressure=None, class_="VR")] = ""  # by telephone
    dead = cohort.person(9, deceasedDateTime=str(TODAY - timedelta(days=60)))
    cohort.enrol(dead, systems.HTN_MANAGEMENT, since=str(TODAY - timedelta(days=200)))
    wanted[cohort.htn_visit(dead, TODAY - timedelta(days=30))] = "X"
    assert faults(cohort, "BPHS-DQ02", tmp_path) == wanted


def test_each_fault_of_a_diabetes_follow_up_and_of_other_services_is_found(tmp_path: Path) -> None:
    cohort, day = Cohort(), TODAY - timedelta(days=30)
    patient = cohort.person(1)
    sugar = {
        cohort.dm_visit(patient, day, glucose=None): "M",
        cohort.dm_visit(patient, day - timedelta(days=20), glucose=66.0): "V",
        cohort.dm_visit(patient, day - timedelta(days=40), glucose=6.2): "",
    }
    assert faults(cohort, "BPHS-DQ03", tmp_path / "dm") == sugar
    cohort = Cohort()
    old, child = cohort.person(1), cohort.person(2, birth="2022-03-01")
    man = cohort.person(3, gender="male")
    other = {
        cohort.encounter(old, "annual-exam", day): "",
        cohort.encounter(old, "child-checkup", day): "C",
        cohort.encounter(child, "tcm-elderly", day): "O",
        cohort.encounter(man, "antenatal", day): "G",
        cohort.encounter(child, "child-checkup", date(2026, 5, 5)): "T",
        cohort.encounter(child, "child-checkup", date(2026, 5, 5)): "T",
    }
    assert faults(cohort, "BPHS-DQ04", tmp_path / "other") == other


def test_the_added_programmes_count_their_group_and_whom_they_served(tmp_path: Path) -> None:
    cohort, day = Cohort(), TODAY - timedelta(days=100)
    sixty, seventy, young = cohort.person(1, birth="1966-01-01"), cohort.person(2, birth="1956-01-01"), cohort.person(3, birth="2000-01-01")  # fmt: skip
    cohort.encounter(sixty, systems.COLORECTAL_SCREENING, day)
    cohort.shot(seventy, "PPV23", 1, date(2019, 5, 1))
    cohort.encounter(young, systems.PSYCHOLOGICAL_SERVICE, day)
    cohort.encounter(young, systems.CONTRACEPTIVES, TODAY - timedelta(days=500))
    cohort.enrol(young, systems.MATERNAL_MANAGEMENT, since=str(day))
    cohort.encounter(young, systems.DOWN_SCREENING, day + timedelta(days=20))
    cohort.enrol(sixty, systems.SPECIAL_FAMILY)
    cohort.enrol(seventy, systems.SPECIAL_FAMILY)
    cohort.encounter(seventy, systems.SPECIAL_FAMILY_CHECKUP, day)
    cohort.enrol(seventy, systems.HTN_MANAGEMENT)
    cohort.enrol(seventy, systems.DM_MANAGEMENT)
    cohort.enrol(seventy, systems.CHRONIC_FINE)
    cohort.enrol(sixty, systems.DM_MANAGEMENT)
    wanted = {
        "PRG-CRC": (1, 2), "PRG-PPV": (1, 2), "PRG-PSY": (1, 3), "PRG-CONTRA": (0, 1), "PRG-DOWN": (1, 1),
        "PRG-FAMILY": (1, 2), "PRG-CHRONIC": (1, 2),
    }  # fmt: skip
    found = {}
    for one in compute_all(cohort.lake(tmp_path), [measure.definition(id_) for id_ in wanted], AT):
        last = [r for r in one.results if r.level == "district" and not r.stratifier][-1]
        found[one.definition.id] = (last.numerator, last.denominator)
        assert sum(member.numerator for member in one.members) == last.numerator
        assert all(member.evidence for member in one.members if member.numerator)
    assert found == wanted
