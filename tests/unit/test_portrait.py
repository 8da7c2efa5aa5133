"""One person at two institutions: everything once, in order, with its sources, and nothing that the scope hides."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from healthbrain.access import Organisation, Tree
from healthbrain.database import Pool, open_pool
from healthbrain.errors import Incorrect, NotFound
from healthbrain.portrait import Portrait, mask_name, mask_number, portrait, timeline
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import Store, Write, WriteContext, patient_key
from healthbrain.terms import systems

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
STORE = Store()
HOSPITAL, CENTRE = 11, 12
TREE = Tree(
    [
        Organisation(1, "QP00", "青浦区", "district", fhir_id="org-QP00", division="310118"),
        Organisation(HOSPITAL, "QP01", "区中心医院", "institution", 1, "org-QP01"),
        Organisation(CENTRE, "QP20", "夏阳街道社区卫生服务中心", "institution", 1, "org-QP20"),
    ]
)
IDS = ["h1", "c1"]
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def concept(system: str, code: str, text: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def patient(id_: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "name": [{"text": "张伟"}],
        "gender": "male",
        "birthDate": "1960-05-01",
        **more,
    }


def of(type_: str, id_: str, who: str, **more: Any) -> dict[str, Any]:
    role = "patient" if type_ in {"Immunization", "AllergyIntolerance", "EpisodeOfCare"} else "subject"
    return {"resourceType": type_, "id": id_, role: {"reference": f"Patient/{who}"}, **more}


def visit(id_: str, who: str, start: str, service: str = "outpatient") -> dict[str, Any]:
    return of(
        "Encounter",
        id_,
        who,
        status="finished",
        period={"start": start},
        type=[concept(systems.SERVICE, service)],
        **{"class": {"system": systems.ACT_CODE, "code": "AMB"}},
    )


def result(id_: str, who: str, at: str, value: Any, code: str = "718-7", **more: Any) -> dict[str, Any]:
    return of(
        "Observation",
        id_,
        who,
        **{"status": "final", **more},
        code=concept(systems.LOINC, code),
        category=[concept(systems.OBSERVATION_CATEGORY, "laboratory")],
        effectiveDateTime=at,
        valueQuantity={"value": value, "unit": "g/L", "system": systems.UCUM, "code": "g/L"},
    )


def condition(id_: str, who: str, code: str, on: str, **more: Any) -> dict[str, Any]:
    return of("Condition", id_, who, code=concept(systems.ICD10, code), recordedDate=on, **more)


def prescription(id_: str, who: str, on: str, code: str = "C08CA01", **more: Any) -> dict[str, Any]:
    return of(
        "MedicationRequest",
        id_,
        who,
        status="completed",
        intent="order",
        authoredOn=on,
        medicationCodeableConcept=concept(systems.DRUG, code),
        **more,
    )


ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}


def shown(
    dsn: str, by_owner: dict[int, list[dict[str, Any]]], scope: Scope = EVERYTHING, *, reveal: bool = False
) -> Portrait:
    async def story(pool: Pool) -> Portrait:
        await put(pool, by_owner)
        async with pool.connection() as connection:
            return await portrait(
                connection,
                STORE,
                person="P000000000001",
                patient_ids=IDS,
                scope=scope,
                organisations=TREE,
                at=AT,
                reveal=reveal,
            )

    return run(dsn, story)


async def put(pool: Pool, by_owner: dict[int, list[dict[str, Any]]]) -> None:
    for owner, resources in by_owner.items():
        async with pool.connection() as connection, connection.transaction():
            writes = [Write("update", one["resourceType"], one["id"], one) for one in resources]
            await STORE.write(connection, writes, WriteContext(owner=owner, at=AT, delivery=owner * 100))


def run(dsn: str, story: Any) -> Any:
    async def whole() -> Any:
        pool = await open_pool(dsn, size=2)
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(whole())


def test_the_banner_joins_the_records_and_says_where_they_differ(dsn: str) -> None:
    card = {"system": systems.ID_CARD, "value": "310118196005010011"}
    found = shown(
        dsn,
        {
            HOSPITAL: [
                patient("h1", identifier=[card, {"system": systems.local("QP01", "mrn"), "value": "M0012345"}]),
                of(
                    "EpisodeOfCare",
                    "ended",
                    "h1",
                    status="active",
                    type=[concept(systems.SERVICE, systems.DM_MANAGEMENT)],
                    period={"start": "2020-01-01", "end": "2021-01-01"},
                ),
            ],
            CENTRE: [
                patient(
                    "c1",
                    birthDate="1960-05-02",
                    identifier=[card],
                    telecom=[{"system": "phone", "value": "13812345678", "use": "mobile"}],
                    address=[
                        {
                            "text": "上海市青浦区夏阳街道一村1号",
                            "extension": [{"url": systems.EXT_DIVISION, "valueString": "310118001"}],
                        }
                    ],
                ),
                {"resourceType": "Practitioner", "id": "prac-1", "name": [{"text": "李医生"}]},
                of(
                    "EpisodeOfCare",
                    "contract",
                    "c1",
                    status="active",
                    type=[concept(systems.SERVICE, systems.FAMILY_DOCTOR)],
                    period={"start": "2025-03-01"},
                    careManager={"reference": "Practitioner/prac-1"},
                ),
                of(
                    "EpisodeOfCare",
                    "htn",
                    "c1",
                    status="active",
                    type=[concept(systems.SERVICE, systems.HTN_MANAGEMENT)],
                    period={"start": "2022-01-01"},
                ),
            ],
        },
    ).banner
    assert (found.name, found.sex, found.age, found.division, found.records) == ("张*", "male", 66, "310118001", 2)
    assert found.differing == ("birth",)
    assert [(one.kind, one.masked, one.full) for one in found.identifiers] == [
        ("id_card", "310118********0011", None),
        ("local", "M0***345", None),
    ]
    assert found.phone == "138****5678"
    assert found.doctor is not None
    assert (found.doctor.name, found.doctor.organisation_name, found.doctor.source.delivery) == (
        "李医生",
        "夏阳街道社区卫生服务中心",
        1200,
    )
    assert [one.code for one in found.programmes] == [systems.HTN_MANAGEMENT]
    assert (found.dead, found.allergies, found.address) == (False, "none_recorded", "")


def test_a_reader_with_the_right_sees_numbers_in_full_and_one_without_identity_never(dsn: str) -> None:
    resources = {CENTRE: [patient("c1", identifier=[{"system": systems.ID_CARD, "value": "310118196005010011"}])]}
    full = shown(dsn, resources, reveal=True).banner
    assert (full.name, full.identifiers[0].full) == ("张伟", "310118196005010011")
    counted = shown(dsn, resources, Scope(None, None, identified=False), reveal=True).banner
    assert (counted.name, counted.identifiers[0].full) == ("张*", None)


def test_a_problem_that_two_institutions_recorded_is_one_line_with_both_sources(dsn: str) -> None:
    found = shown(
        dsn,
        {
            HOSPITAL: [
                patient("h1"),
                condition("hc", "h1", "I10", "2024-02-03"),
                condition("cold", "h1", "J06.9", "2025-02-03"),
                condition(
                    "wrong", "h1", "C50.9", "2025-02-03", verificationStatus=concept(VERIFICATION, "entered-in-error")
                ),
            ],
            CENTRE: [patient("c1"), condition("cc", "c1", "I10", "2026-03-04", onsetDateTime="2019")],
        },
    ).problems
    assert [(one.code, one.active, one.chronic, one.times, one.first, one.last) for one in found] == [
        ("I10", True, True, 2, date(2019, 1, 1), date(2026, 3, 4)),
        ("J06.9", False, False, 1, date(2025, 2, 3), date(2025, 2, 3)),
    ]
    assert {(one.organisation_name, one.id) for one in found[0].sources} == {
        ("区中心医院", "hc"),
        ("夏阳街道社区卫生服务中心", "cc"),
    }


def test_a_repeated_prescription_is_still_taken_where_a_single_one_is_over(dsn: str) -> None:
    found = shown(
        dsn,
        {
            HOSPITAL: [
                patient("h1"),
                prescription("a", "h1", "2026-07-20"),
                prescription("once", "h1", "2026-10-01", code="J01CA04"),
                prescription("stated", "h1", "2026-08-01", code="A10BA02", dispenseRequest={
                    "expectedSupplyDuration": {"value": 120, "code": "d", "system": systems.UCUM}
                }),
            ],
            CENTRE: [patient("c1"), prescription("b", "c1", "2026-10-01", dosageInstruction=[{"text": "5mg 每日1次"}])],
        },
    ).medicines  # fmt: skip
    assert {one.code: (one.current, one.times, one.dosage) for one in found} == {
        "C08CA01": (True, 2, "5mg 每日1次"),
        "A10BA02": (True, 1, ""),
        "J01CA04": (False, 1, ""),
    }
    assert found[-1].code == "J01CA04"


def test_nothing_recorded_is_not_no_known_allergy(dsn: str) -> None:
    none = of(
        "AllergyIntolerance", "none", "c1", code=concept("http://snomed.info/sct", "716186003"), clinicalStatus=ACTIVE
    )
    found = shown(dsn, {CENTRE: [patient("c1"), none]})
    assert (found.banner.allergies, found.allergies) == ("no_known", ())
    penicillin = of(
        "AllergyIntolerance",
        "pen",
        "c1",
        code={"text": "青霉素"},
        clinicalStatus=ACTIVE,
        criticality="high",
        reaction=[{"manifestation": [{"text": "皮疹"}]}],
    )
    found = shown(dsn, {CENTRE: [penicillin]})
    assert (found.banner.allergies, found.banner.severe_allergy) == ("recorded", True)
    assert [(one.display, one.reaction, one.severe) for one in found.allergies] == [("青霉素", "皮疹", True)]


def test_results_of_both_institutions_are_one_series_with_flags_range_digits_and_trend(dsn: str) -> None:
    ranged = {"referenceRange": [{"low": {"value": 130}, "high": {"value": 175}, "text": "130-175"}]}
    found = shown(
        dsn,
        {
            HOSPITAL: [
                patient("h1"),
                result("r1", "h1", "2025-01-05T09:00:00+08:00", 150, **ranged),
                result("r3", "h1", "2026-06-05T09:00:00+08:00", 118.5),
                result("bad", "h1", "2026-07-05", 1, status="entered-in-error"),
            ],
            CENTRE: [patient("c1"), result("r2", "c1", "2025-10-05", 148)],
        },
    ).results
    assert len(found) == 1
    series = found[0]
    assert (series.code, series.unit, series.trend) == ("718-7", "g/L", "down")
    assert [(one.text, one.flag, one.range, one.source.id) for one in series.points] == [
        ("150", "N", "130-175", "r1"),
        ("148", "N", "", "r2"),
        ("118.5", "L", "", "r3"),
    ]


def test_blood_pressure_is_two_series_of_vital_signs(dsn: str) -> None:
    def part(code: str, value: int) -> dict[str, Any]:
        return {"code": concept(systems.LOINC, code), "valueQuantity": {"value": value, "unit": "mmHg"}}

    pressure = of(
        "Observation",
        "bp",
        "c1",
        status="final",
        code=concept(systems.LOINC, "85354-9"),
        category=[concept(systems.OBSERVATION_CATEGORY, "vital-signs")],
        effectiveDateTime="2026-06-01",
        component=[part("8480-6", 152), part("8462-4", 88)],
    )
    found = shown(dsn, {CENTRE: [patient("c1"), pressure]})
    assert {one.code: (one.latest.text, one.latest.flag) for one in found.vitals} == {
        "8480-6": ("152", "H"),
        "8462-4": ("88", "N"),
    }
    assert found.results == ()


def test_a_childs_missing_doses_follow_the_schedule(dsn: str) -> None:
    def shot(id_: str, vaccine: str, dose: int, on: str) -> dict[str, Any]:
        return of(
            "Immunization",
            id_,
            "c1",
            status="completed",
            vaccineCode=concept(systems.VACCINE, vaccine),
            occurrenceDateTime=on,
            protocolApplied=[{"doseNumberPositiveInt": dose}],
        )

    found = shown(
        dsn,
        {
            CENTRE: [
                patient("c1", birthDate="2026-07-10"),
                shot("i1", "HepB", 1, "2026-07-10"),
                shot("i2", "BCG", 1, "2026-07-11"),
            ]
        },
    ).vaccinations
    states = {(one.vaccine, one.number): one.state for one in found}
    assert states["HepB", 1] == states["BCG", 1] == "given"
    assert states["HepB", 2] == "overdue"
    assert states["IPV", 2] == "overdue"
    assert states["bOPV", 1] == "due"
    assert ("MMR", 1) not in states
    assert shown(dsn, {CENTRE: [patient("c1", birthDate="1950-01-01")]}).vaccinations[0].state == "given"


def test_the_timeline_is_paged_by_date_and_filtered_by_kind_and_institution(dsn: str) -> None:
    at_hospital = [visit(f"e{n:02}", "h1", f"2025-{n:02}-01T08:00:00+08:00") for n in range(1, 13)]
    at_centre = [visit(f"f{n:02}", "c1", f"2025-{n:02}-01T08:00:00+08:00", "htn-followup") for n in range(1, 13)]
    diagnosis = condition("d", "h1", "I10", "2025-12-01", encounter={"reference": "Encounter/e12"})

    async def story(pool: Pool) -> None:
        await put(pool, {HOSPITAL: [patient("h1"), *at_hospital, diagnosis], CENTRE: [patient("c1"), *at_centre]})
        async with pool.connection() as connection:

            async def page(**asked: Any) -> Any:
                return await timeline(connection, patient_ids=IDS, organisations=TREE, count=7, **asked)

            seen: list[str] = []
            cursor = None
            while True:
                part = await page(cursor=cursor)
                seen += [one.source.id for one in part.events]
                cursor = part.next
                if cursor is None:
                    break
            assert seen == [f"{letter}{n:02}" for n in range(12, 0, -1) for letter in "fe"]
            assert len((await page(kind="htn-followup")).events) == 7
            hospital = await page(organisation=HOSPITAL)
            assert {one.source.organisation for one in hospital.events} == {HOSPITAL}
            assert hospital.events[0].diagnoses == ("特发性（原发性）高血压",)
            assert {(key, n) for key, _, n in hospital.organisations} == {(HOSPITAL, 12), (CENTRE, 12)}
            with pytest.raises(Incorrect):
                await page(cursor="nonsense")

    run(dsn, story)


def test_the_scope_decides_what_is_in_the_portrait(dsn: str) -> None:
    resources = {HOSPITAL: [patient("h1"), condition("hc", "h1", "I10", "2024-02-03")], CENTRE: [patient("c1")]}
    own = shown(dsn, resources, Scope((CENTRE,), ()))
    assert (own.banner.records, own.problems) == (1, ())
    panel = shown(dsn, resources, Scope((), (patient_key("h1"), patient_key("c1"))))
    assert (panel.banner.records, len(panel.problems)) == (2, 1)
    with pytest.raises(NotFound):
        shown(dsn, resources, Scope((99,), ()))


def test_masks_keep_what_recognises_and_hide_the_rest() -> None:
    assert mask_number("310118196005010011", 6, 4) == "310118********0011"
    assert mask_number("123") == "*23"
    assert mask_number("1") == "*"
    assert (mask_name("欧阳修"), mask_name("张伟"), mask_name("")) == ("欧阳*", "张*", "")
