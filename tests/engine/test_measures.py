"""What the built-in measures count, case by case, and what they say about whom they don't."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from healthbrain.measure import Computed, DeliveryDay, Result, compute_all, definition
from healthbrain.terms import systems
from tests.engine.measure_cohort import AT, CENTRE, HOSPITAL, SILENT, TODAY, Cohort, every

DAY = timedelta(days=1)


def computed(
    folder: Path, cohort: Cohort, measure: str, deliveries: Iterable[DeliveryDay] = (), periods: int = 1
) -> Computed:
    assert cohort.valid()
    chosen = replace(definition(measure), periods=periods)
    (found,) = compute_all(cohort.lake(folder), [chosen], AT, deliveries=deliveries)
    return found


def result(found: Computed, level: str = "district", key: str = "", period: str | None = None) -> Result:
    (one,) = [r for r in found.results if (r.level, r.key, r.period) == (level, key, period or found.period)]
    return one


def managed(cohort: Cohort, number: int = 1, **more: str) -> str:
    patient = cohort.person(number, **more)
    cohort.enrol(patient, systems.HTN_MANAGEMENT)
    return patient


def good_year(cohort: Cohort, patient: str) -> None:
    for on in every(90, 4):
        cohort.htn_visit(patient, on)
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY - 100 * DAY)


Story = Callable[[Cohort], None]


def standard(cohort: Cohort) -> None:
    good_year(cohort, managed(cohort))


def home_visits_count(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(90, 4)):
        cohort.htn_visit(patient, on, class_="HH" if number % 2 else "AMB")
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def telephone_does_not_count(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(90, 4)):
        cohort.htn_visit(patient, on, class_="VR" if number == 2 else "AMB")
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def no_exam(cohort: Cohort) -> None:
    patient = managed(cohort)
    for on in every(90, 4):
        cohort.htn_visit(patient, on)


def exam_too_long_ago(cohort: Cohort) -> None:
    no_exam(cohort)
    cohort.encounter("21-p1", systems.ANNUAL_EXAM, TODAY - 365 * DAY)


def pressure_missing_once(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(90, 4)):
        cohort.htn_visit(patient, on, pressure=None if number == 1 else (130, 80))
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def called_controlled_at_152(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(90, 4)):
        cohort.htn_visit(patient, on, pressure=(152, 80) if number == 1 else (130, 80))
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def at_65_the_limit_is_150(cohort: Cohort) -> None:
    patient = managed(cohort, birth="1961-11-10")
    for on in (TODAY - 250 * DAY, TODAY - 180 * DAY, TODAY - 90 * DAY):
        cohort.htn_visit(patient, on)
    cohort.htn_visit(patient, TODAY - 10 * DAY, pressure=(145, 85))  # the day of the 65th birthday
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def at_64_145_is_not_controlled(cohort: Cohort) -> None:
    at_65_the_limit_is_150(cohort)
    cohort.rows[0][0]["birthDate"] = "1961-11-11"


def uncontrolled_seen_again_in_two_weeks(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(80, 4)):
        high = number == 1
        cohort.htn_visit(
            patient, on, (162, 95) if high else (130, 80), "uncontrolled" if high else "controlled", 14 if high else 90
        )
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def uncontrolled_planned_in_three_months(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(80, 4)):
        high = number == 1
        cohort.htn_visit(patient, on, (162, 95) if high else (130, 80), "uncontrolled" if high else "controlled", 90)
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def adverse_reaction_at_good_pressure(cohort: Cohort) -> None:
    patient = managed(cohort)
    for number, on in enumerate(every(80, 4)):
        cohort.htn_visit(
            patient, on, verdict="adverse" if number == 0 else "controlled", next_days=14 if number == 0 else 92
        )
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def visit_on_the_first_day_of_the_window(cohort: Cohort) -> None:
    patient = managed(cohort)
    for on in (date(2025, 11, 21), TODAY - 200 * DAY, TODAY - 100 * DAY, TODAY):
        cohort.htn_visit(patient, on)
    cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)


def visit_on_the_day_before_the_window(cohort: Cohort) -> None:
    visit_on_the_first_day_of_the_window(cohort)
    next(one for one, _ in cohort.rows if one["resourceType"] == "Encounter")["period"] = {
        "start": "2025-11-20T23:59:00+08:00"
    }


def records_at_two_institutions_are_one_person(cohort: Cohort) -> None:
    patient = managed(cohort)
    other = cohort.person(1, owner=HOSPITAL, town=None)
    for number, on in enumerate(every(90, 4)):
        cohort.htn_visit(other if number % 2 else patient, on)
    cohort.encounter(other, systems.ANNUAL_EXAM, TODAY, owner=HOSPITAL)


@pytest.mark.parametrize(
    ("story", "inside", "reasons"),
    [
        (standard, True, ()),
        (home_visits_count, True, ()),
        (telephone_does_not_count, False, ("few_visits",)),
        (no_exam, False, ("no_exam",)),
        (exam_too_long_ago, False, ("no_exam",)),
        (pressure_missing_once, False, ("incomplete",)),
        (called_controlled_at_152, False, ("misclassified",)),
        (at_65_the_limit_is_150, True, ()),
        (at_64_145_is_not_controlled, False, ("misclassified",)),
        (uncontrolled_seen_again_in_two_weeks, True, ()),
        (uncontrolled_planned_in_three_months, False, ("misplanned",)),
        (adverse_reaction_at_good_pressure, True, ()),
        (visit_on_the_first_day_of_the_window, True, ()),
        (visit_on_the_day_before_the_window, False, ("few_visits",)),
        (records_at_two_institutions_are_one_person, True, ()),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
def test_hypertension_managed_to_standard(tmp_path: Path, story: Story, inside: bool, reasons: tuple[str, ...]) -> None:
    cohort = Cohort()
    story(cohort)
    found = computed(tmp_path, cohort, "IND-Q-08")
    (member,) = found.members
    assert (member.numerator, member.reasons) == (inside, reasons)
    assert (result(found).numerator, result(found).denominator) == (int(inside), 1)


@pytest.mark.parametrize(
    ("what", "counted"),
    [
        ({"birth": "1991-11-20"}, True),  # 35 today
        ({"birth": "1991-11-21"}, False),
        ({"deceasedDateTime": "2026-11-20"}, False),
        ({"deceasedDateTime": "2026-11-21"}, True),
        ({"deceasedBoolean": True}, False),
        ({"deceasedBoolean": False}, True),
        ({"town": None}, True),
    ],
)
def test_the_denominator_is_who_is_managed_alive_and_35(tmp_path: Path, what: dict[str, object], counted: bool) -> None:
    cohort = Cohort()
    cohort.enrol(cohort.person(1, **what), systems.HTN_MANAGEMENT)  # type: ignore[arg-type]
    assert result(computed(tmp_path, cohort, "IND-Q-08")).denominator == int(counted)


def test_who_left_the_programme_or_is_in_another_one_is_not_counted(tmp_path: Path) -> None:
    cohort = Cohort()
    cohort.enrol(cohort.person(1), systems.HTN_MANAGEMENT, end="2026-11-20")
    cohort.enrol(cohort.person(2), systems.DM_MANAGEMENT)
    cohort.enrol(cohort.person(3), systems.HTN_MANAGEMENT, end="2026-11-21")
    again = cohort.person(4)
    cohort.enrol(again, systems.HTN_MANAGEMENT)
    cohort.enrol(again, systems.HTN_MANAGEMENT, since="2024-01-01")
    found = computed(tmp_path, cohort, "IND-Q-08")
    assert [one.subject for one in found.members] == ["P000000000003", "P000000000004"]


def test_every_level_adds_up_and_carries_interval_and_small_count(tmp_path: Path) -> None:
    cohort = Cohort()
    for number in range(40):
        patient = managed(cohort, number, town=("310118001", "310118103")[number % 4 == 0])
        if number % 2:
            good_year(cohort, patient)
    cohort.enrol(cohort.person(99, town=None), systems.HTN_MANAGEMENT, managingOrganization={"display": "?"})
    found = computed(tmp_path, cohort, "IND-Q-08")
    whole = result(found)
    assert (whole.numerator, whole.denominator, whole.small) == (20, 41, False)
    assert whole.value == pytest.approx(100 * 20 / 41)
    assert (whole.low, whole.high) == (pytest.approx(34.3, abs=0.1), pytest.approx(63.5, abs=0.1))
    towns = {key: result(found, "town", key) for key in ("310118001", "310118103", "")}
    assert {key: (one.numerator, one.denominator, one.small) for key, one in towns.items()} == {
        "310118001": (20, 30, False),
        "310118103": (0, 10, True),
        "": (0, 1, True),
    }
    assert result(found, "institution", str(CENTRE)).denominator == 41


def test_the_trend_goes_back_month_by_month_with_the_window_of_each(tmp_path: Path) -> None:
    cohort = Cohort()
    cohort.encounter(cohort.person(99), systems.OUTPATIENT, date(2022, 3, 1))
    good_year(cohort, managed(cohort))
    found = computed(tmp_path, cohort, "IND-Q-08", periods=definition("IND-Q-08").periods)
    series = [one for one in found.results if one.level == "district"]
    assert [one.period for one in series][:2] == ["2025-06", "2025-07"]
    assert (series[-1].period, series[-1].complete, series[-2].complete) == ("2026-11", False, True)
    assert (series[-2].start, series[-2].to) == (date(2025, 11, 1), date(2026, 10, 31))
    assert [one.numerator for one in series[-3:]] == [0, 0, 1]


@pytest.mark.parametrize(
    ("pressures", "inside", "reasons"),
    [
        ([(165, 95), (138, 88)], True, ()),
        ([(138, 88), (165, 95)], False, ("high",)),
        ([(138, 88), None], False, ("unmeasured",)),
        ([], False, ("lost",)),
    ],
)
def test_control_is_what_the_last_follow_up_found_and_lost_is_not_controlled(
    tmp_path: Path, pressures: list[tuple[float, float] | None], inside: bool, reasons: tuple[str, ...]
) -> None:
    cohort = Cohort()
    patient = managed(cohort)
    for on, pressure in zip(every(60, len(pressures)), pressures, strict=True):
        cohort.htn_visit(patient, on, pressure, class_="VR")
    (member,) = computed(tmp_path, cohort, "BPHS-HTN02").members
    assert (member.numerator, member.reasons) == (inside, reasons)


def test_diabetes_is_judged_by_fasting_glucose(tmp_path: Path) -> None:
    cohort = Cohort()
    right, wrong = cohort.person(1), cohort.person(2)
    for patient, glucose in ((right, 6.9), (wrong, 7.0)):
        cohort.enrol(patient, systems.DM_MANAGEMENT)
        for on in every(90, 4):
            cohort.dm_visit(patient, on, glucose)
        cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY)
    found = computed(tmp_path / "standard", cohort, "IND-Q-09")
    assert [(one.numerator, one.reasons) for one in found.members] == [(True, ()), (False, ("misclassified",))]
    control = computed(tmp_path / "control", cohort, "BPHS-DM02")
    assert [(one.numerator, one.reasons) for one in control.members] == [(True, ()), (False, ("high",))]


def test_residents_with_a_contract_in_force_on_the_day(tmp_path: Path) -> None:
    cohort = Cohort()
    cohort.enrol(cohort.person(1), systems.FAMILY_DOCTOR)
    cohort.enrol(cohort.person(2), systems.FAMILY_DOCTOR, since="2025-01-01", end="2026-10-31")
    cohort.person(3)
    cohort.person(4, town=None)
    cohort.person(5, deceasedDateTime="2026-01-01")
    found = computed(tmp_path, cohort, "IND-Q-10", periods=3)
    assert (result(found).numerator, result(found).denominator) == (1, 3)
    assert (
        result(found, "institution", str(CENTRE)).numerator,
        result(found, "institution", str(CENTRE)).denominator,
    ) == (1, 3)
    assert result(found, period="2026-09").numerator == 2


def test_coverage_counts_who_delivered_in_the_last_seven_days_and_names_the_silent(tmp_path: Path) -> None:
    deliveries = [
        DeliveryDay(CENTRE, TODAY - 6 * DAY, 12, 3),
        DeliveryDay(HOSPITAL, TODAY - 7 * DAY, 5, 0),
        DeliveryDay(HOSPITAL, TODAY, 0, 9),
    ]
    found = computed(tmp_path, Cohort(), "HUB-EX-11", deliveries)
    assert (result(found).numerator, result(found).denominator) == (1, 3)
    assert (found.coverage.sending, found.coverage.registered) == (1, 3)
    assert [(one.subject, one.numerator, one.reasons) for one in found.members] == [
        ("QP21", True, ()),
        ("QP22", False, ("silent",)),
        ("QP23", False, ("never",)),
    ]
    assert result(found, "town", "310118103").numerator == 0
    assert result(found, "institution", str(SILENT)).denominator == 1


def test_visits_are_counted_by_local_day_without_follow_ups(tmp_path: Path) -> None:
    cohort = Cohort()
    patient = cohort.person(1)
    for on in (date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 20)):
        cohort.encounter(patient, systems.OUTPATIENT, on, owner=HOSPITAL)
    late = cohort.encounter(patient, systems.EMERGENCY, date(2026, 11, 1))
    next(one for one, _ in cohort.rows if one["id"] == late)["period"] = {"start": "2026-10-31T16:30:00Z"}
    cohort.encounter(patient, systems.HTN_FOLLOWUP, date(2026, 11, 5))
    found = computed(tmp_path, cohort, "OPS-VISITS", periods=3)
    assert (result(found).value, result(found).denominator, result(found, period="2026-10").value) == (3.0, None, 1.0)
    assert result(found, "institution", str(HOSPITAL)).value == 2.0


def test_influenza_like_illness_is_a_share_of_the_weeks_visits(tmp_path: Path) -> None:
    cohort = Cohort()
    patient = cohort.person(1)
    for code in ("J11.1", "J06.9", "I10"):
        visit = cohort.encounter(patient, systems.OUTPATIENT, date(2026, 11, 16))
        cohort.diagnose(patient, visit, code)
    cohort.encounter(patient, systems.OUTPATIENT, date(2026, 11, 15))
    found = computed(tmp_path, cohort, "PH-ILI", periods=3)
    assert (result(found).numerator, result(found).denominator) == (2, 3)
    assert (result(found, period="2026-W46").numerator, result(found, period="2026-W46").denominator) == (0, 1)


def test_a_child_is_vaccinated_on_time_when_every_dose_is_within_its_age(tmp_path: Path) -> None:
    cohort = Cohort()
    birth = date(2025, 6, 1)

    def child(number: int, mmr: date, born: date = birth) -> None:
        patient = cohort.person(number, birth=born.isoformat())
        for vaccine, dose, months in (
            *(("HepB", n, m) for n, m in ((1, 0), (2, 1), (3, 6))),
            ("BCG", 1, 0),
            *(("IPV", n, n + 1) for n in (1, 2)),
            ("bOPV", 1, 4),
            *(("DTaP", n, 2 * n) for n in (1, 2, 3)),
        ):
            cohort.shot(patient, vaccine, dose, born + timedelta(days=30 * months))
        cohort.shot(patient, "MMR", 1, mmr)

    child(1, birth + timedelta(days=245))
    child(2, date(2026, 6, 1))  # on the first birthday: too late
    child(3, date(2026, 3, 1), born=date(2025, 12, 1))  # not yet one year old
    cohort.person(4, birth="2025-07-01")
    found = computed(tmp_path, cohort, "PH-VAC12")
    assert [(one.subject[-1], one.numerator, one.reasons) for one in found.members] == [
        ("1", True, ()),
        ("2", False, ("mmr",)),
        ("4", False, ("bcg", "hepb", "polio", "dtap", "mmr")),
    ]


def test_a_members_evidence_names_the_resources_behind_it(tmp_path: Path) -> None:
    cohort = Cohort()
    patient = managed(cohort)
    visit = cohort.htn_visit(patient, TODAY - DAY)
    exam = cohort.encounter(patient, systems.ANNUAL_EXAM, TODAY - DAY)
    (member,) = computed(tmp_path, cohort, "IND-Q-08").members
    assert member.evidence == (f"Encounter/{visit}", f"Encounter/{exam}")
    assert member.shown["visits"] == 1


def test_a_patient_that_no_person_is_known_for_counts_alone(tmp_path: Path) -> None:
    cohort = Cohort()
    managed(cohort)
    cohort.persons.clear()
    (member,) = computed(tmp_path, cohort, "IND-Q-08").members
    assert member.subject.startswith("patient:")
