"""What each HL7 v2 field becomes: a table of messages and the FHIR values they must give, every resource valid R4."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from healthbrain.errors import HealthBrainError, Unsupported
from healthbrain.exchange.hl7v2 import Made, Translation, parse, tables, translate
from healthbrain.exchange.sender import Sender
from healthbrain.fhir import definitions, dump, validate

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)  # noon in China
SENDER = Sender("QP001", "QP001", code_set="his-a")
EVN = "EVN|A01|20261122110000"
PID = "PID|1||M1^^^QP001^MR~310118199001011217^^^^NI~SH20398471^^^^SS||张^伟||19900101|M|||公园路1号^^上海市^上海市^201700^CHN^H^^310118001||13800000001"
PV1 = "PV1|1|O|内科门诊||||D1^李^医生||||||||||||V1" + "|" * 25 + "20261122103000"


def message(kind: str, *segments: str, control: str = "C1") -> str:
    head = f"MSH|^~\\&|HIS|QP001|HB|QP00|20261122110000||{kind}|{control}|P|2.5"
    return "\r".join([head, *segments]) + "\r"


def translated(text: str, sender: Sender = SENDER) -> Translation:
    return translate(parse(text), sender, at=AT)


def made(text: str, sender: Sender = SENDER) -> dict[str, list[dict[str, Any]]]:
    found = translated(text, sender)
    assert not found.refused, found.issues
    by_type: dict[str, list[dict[str, Any]]] = {}
    for one in found.made:
        assert_valid(one)
        by_type.setdefault(one.type, []).append(json.loads(dump(one.resource)))
    return by_type


def assert_valid(one: Made) -> None:
    whole = {**one.once, **one.resource}
    wrong = [i for i in validate(whole, one.type) if i.severity in {"error", "fatal"}]
    assert wrong == [], wrong


def at(resource: Any, path: str) -> Any:
    for step in path.split("."):
        resource = resource[int(step)] if step.isdecimal() else resource.get(step)
        if resource is None:
            return None
    return resource


ADT = message("ADT^A01", EVN, PID, PV1)
ORU_HEAD = [PID, PV1, "OBR|1|P1|F1|CBC^血常规^L|||20261122090000|||||||||||||||20261122100000||LAB|F"]


def obx(*rest: str) -> str:
    return message("ORU^R01", *ORU_HEAD, "OBX|1|" + "|".join(rest))


VALUES = [
    # OBX-2.. , path, value
    (("NM", "WBC^白细胞^L", "", "5.60", "10^9/L", "3.5-9.5", "N", "", "", "F"), "valueQuantity.value", 5.6),
    (("NM", "WBC^白细胞^L", "", "5.60", "10^9/L", "3.5-9.5", "N", "", "", "F"), "valueQuantity.code", "10*9/L"),
    (("NM", "WBC^白细胞^L", "", "5.60", "10^9/L", "3.5-9.5", "N", "", "", "F"), "code.coding.0.code", "6690-2"),
    (
        ("NM", "WBC^白细胞^L", "", "5.60", "10^9/L", "3.5-9.5", "N", "", "", "F"),
        "code.coding.1.system",
        "urn:healthbrain:org:QP001:lab",
    ),
    (("NM", "WBC^白细胞^L", "", "5.60", "10^9/L", "3.5-9.5", "N", "", "", "F"), "referenceRange.0.low.value", 3.5),
    (
        ("NM", "WBC^白细胞^L", "", "5.60", "", "", "", "", "", "F"),
        "valueQuantity.code",
        "10*9/L",
    ),  # unit of the code table
    (("NM", "WBC^白细胞^L", "", "<0.10", "10^9/L", "", "L", "", "", "F"), "valueQuantity.comparator", "<"),
    (("NM", "WBC^白细胞^L", "", "凝血", "10^9/L", "", "", "", "", "F"), "valueString", "凝血"),
    (("NM", "K^钾^L", "", "4.1", "mmol/L", "<5.3", "", "", "", "F"), "referenceRange.0.high.value", 5.3),
    (("NM", "K^钾^L", "", "4.1", "mmol/L", "3.5～5.3", "↑", "", "", "F"), "referenceRange.0.low.value", 3.5),
    (("NM", "K^钾^L", "", "4.1", "mmol/L", "3.5～5.3", "↑", "", "", "F"), "interpretation.0.coding.0.code", "H"),
    (("ST", "U-PRO^尿蛋白^L", "", "阴性", "", "阴性", "", "", "", "F"), "valueString", "阴性"),
    (("ST", "U-PRO^尿蛋白^L", "", "阴性", "", "阴性", "", "", "", "F"), "referenceRange.0.text", "阴性"),
    (("ST", "K^钾^L", "", "4.1", "mmol/L", "", "", "", "", "F"), "valueQuantity.value", 4.1),
    (("CWE", "FLUA-AG^甲流抗原^L", "", "POS^阳性^L", "", "", "A", "", "", "F"), "valueCodeableConcept.text", "阳性"),
    (("CE", "8480-6^SBP^LN", "", "1^x^99A", "", "", "", "", "", "F"), "component.0.code.coding.0.code", "8480-6"),
    (("SN", "K^钾^L", "", ">^8", "mmol/L", "", "HH", "", "", "F"), "valueQuantity.comparator", ">"),
    (("SN", "K^钾^L", "", "^1^-^2", "mmol/L", "", "", "", "", "F"), "valueRange.high.value", 2),
    (("SN", "K^钾^L", "", "^1^:^128", "", "", "", "", "", "F"), "valueRatio.denominator.value", 128),
    (("SN", "U-PRO^尿蛋白^L", "", "^2^+", "", "", "", "", "", "F"), "valueString", "2+"),
    (("TX", "X^所见^L", "", "第一行~第二行", "", "", "", "", "", "F"), "valueString", "第一行\n第二行"),
    (("FT", "X^所见^L", "", r"心影\.br\正常", "", "", "", "", "", "F"), "valueString", "心影\n正常"),
    (("DT", "X^末次月经^L", "", "20261001", "", "", "", "", "", "F"), "valueDateTime", "2026-10-01"),
    (("TM", "X^时间^L", "", "0830", "", "", "", "", "", "F"), "valueTime", "08:30:00"),
    (("NM", "K^钾^L", "", "", "", "", "", "", "", "X"), "dataAbsentReason.coding.0.code", "not-performed"),
    (("NM", "K^钾^L", "", "", "", "", "", "", "", "X"), "status", "cancelled"),
    (("NM", "K^钾^L", "", "4.1", "", "", "", "", "", "C"), "status", "corrected"),
    (("NM", "PULSE^脉搏^L", "", "72", "次/分", "", "", "", "", "F"), "category.0.coding.0.code", "vital-signs"),
    (("NM", "K^钾^L", "", "4.1", "", "", "", "", "", "F"), "effectiveDateTime", "2026-11-22T09:00:00+08:00"),
    (
        ("NM", "K^钾^L", "", "4.1", "", "", "", "", "", "F", "", "", "20261122084500"),
        "effectiveDateTime",
        "2026-11-22T08:45:00+08:00",
    ),
]


@pytest.mark.parametrize(("fields", "path", "value"), VALUES)
def test_a_result_becomes_an_observation(fields: tuple[str, ...], path: str, value: Any) -> None:
    (observation,) = made(obx(*fields))["Observation"]
    assert at(observation, path) == value


def test_a_number_keeps_its_digits() -> None:
    found = translated(obx("NM", "K^钾^L", "", "4.10", "mmol/L", "", "", "", "", "F"))
    observation = next(one for one in found.made if one.type == "Observation")
    assert b'"value":4.10' in dump(observation.resource)


FIELDS = [
    ("Patient", "name.0", {"text": "张伟", "family": "张", "given": ["伟"]}),
    ("Patient", "gender", "male"),
    ("Patient", "birthDate", "1990-01-01"),
    ("Patient", "identifier.0.value", "M1"),
    ("Patient", "identifier.0.system", "urn:healthbrain:org:QP001:mrn"),
    ("Patient", "identifier.1", {"system": "urn:oid:2.16.156.10011.1.3", "value": "310118199001011217"}),
    ("Patient", "identifier.2", {"system": "urn:healthbrain:id:insurance", "value": "SH20398471"}),
    ("Patient", "address.0.extension.0.valueString", "310118001"),
    ("Patient", "address.0.line", ["公园路1号"]),
    ("Patient", "telecom.0", {"system": "phone", "value": "13800000001", "use": "mobile"}),
    ("Patient", "managingOrganization.reference", "Organization/org-QP001"),
    ("Encounter", "status", "in-progress"),
    ("Encounter", "class.code", "AMB"),
    ("Encounter", "type.0.coding.0.code", "outpatient"),
    ("Encounter", "identifier.0", {"system": "urn:healthbrain:org:QP001:visit", "value": "V1"}),
    ("Encounter", "period.start", "2026-11-22T10:30:00+08:00"),
    ("Encounter", "participant.0.individual.display", "李医生"),
    ("Encounter", "serviceProvider.reference", "Organization/org-QP001"),
]


@pytest.mark.parametrize(("kind", "path", "value"), FIELDS)
def test_an_admission_becomes_patient_and_encounter(kind: str, path: str, value: Any) -> None:
    assert at(made(ADT)[kind][0], path) == value


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("张^伟", ("张", ["伟"])),
        ("张伟", ("张", ["伟"])),
        ("欧阳修", ("欧阳", ["修"])),
        ("欧阳", ("欧", ["阳"])),
        ("EVERYMAN^ADAM^A", ("EVERYMAN", ["ADAM", "A"])),
    ],
)
def test_names_are_cut_as_the_hospital_sends_them(name: str, parts: tuple[str, list[str]]) -> None:
    patient = made(ADT.replace("张^伟", name))["Patient"][0]
    assert (patient["name"][0]["family"], patient["name"][0]["given"]) == parts


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("A01", "in-progress"),
        ("A03", "finished"),
        ("A04", "in-progress"),
        ("A05", "planned"),
        ("A11", "cancelled"),
        ("A13", "in-progress"),
    ],
)
def test_the_event_decides_how_the_visit_stands(event: str, status: str) -> None:
    assert made(ADT.replace("ADT^A01", f"ADT^{event}"))["Encounter"][0]["status"] == status


def test_an_update_leaves_the_status_of_a_known_visit_alone() -> None:
    found = translated(ADT.replace("ADT^A01", "ADT^A08"))
    encounter = next(one for one in found.made if one.type == "Encounter")
    assert "status" not in encounter.resource
    assert encounter.once["status"] == "in-progress"


def test_diagnoses_and_allergies_come_with_the_visit() -> None:
    found = made(
        message(
            "ADT^A03", EVN, PID, PV1, "DG1|1||I10^原发性高血压^I10|原发性高血压|20261122|F", "DG1|2||E11.9^2型糖尿病||20261122|F",
            "AL1|1|DA|PCN^青霉素|SV|皮疹~呼吸困难|20200101",
        )
    )  # fmt: skip
    first, second = found["Condition"]
    assert first["code"]["coding"][0] == {
        "system": "urn:oid:2.16.156.10011.2.3.3.11",
        "code": "I10",
        "display": "原发性高血压",
    }
    assert second["code"]["coding"][0]["system"] == "urn:oid:2.16.156.10011.2.3.3.11"
    assert first["encounter"]["reference"] == f"Encounter/{found['Encounter'][0]['id']}"
    (allergy,) = found["AllergyIntolerance"]
    assert allergy["criticality"] == "high"
    assert [one["text"] for one in allergy["reaction"][0]["manifestation"]] == ["皮疹", "呼吸困难"]


def test_two_pressures_become_one_blood_pressure_in_the_report() -> None:
    found = made(
        message(
            "ORU^R01",
            *ORU_HEAD,
            "OBX|1|NM|SBP^收缩压^L||138|mmHg|||||F",
            "OBX|2|NM|DBP^舒张压^L||86|mmHg|||||F",
            "OBX|3|NM|PULSE^脉搏^L||70|次/分|||||F",
        )
    )
    panel, pulse = found["Observation"]
    assert panel["code"]["coding"][0]["code"] == "85354-9"
    assert [(c["code"]["coding"][0]["code"], c["valueQuantity"]["value"]) for c in panel["component"]] == [
        ("8480-6", 138),
        ("8462-4", 86),
    ]
    assert [one["reference"] for one in found["DiagnosticReport"][0]["result"]] == [
        f"Observation/{panel['id']}",
        f"Observation/{pulse['id']}",
    ]


def test_notes_go_where_they_stand() -> None:
    found = made(
        message("ORU^R01", *ORU_HEAD, "NTE|1||标本轻度溶血", "OBX|1|NM|K^钾^L||4.1|mmol/L|||||F", "NTE|1||已复查~两次")
    )
    assert found["DiagnosticReport"][0]["conclusion"] == "标本轻度溶血"
    assert found["Observation"][0]["note"] == [{"text": "已复查\n两次"}]


def test_a_correction_is_the_same_observation_with_another_status() -> None:
    first = made(obx("NM", "K^钾^L", "", "4.1", "mmol/L", "", "", "", "", "F"))["Observation"][0]
    second = made(obx("NM", "K^钾^L", "", "5.1", "mmol/L", "", "", "", "", "C").replace("|C1|", "|C2|"))["Observation"][
        0
    ]
    assert first["id"] == second["id"]
    assert (first["status"], second["status"]) == ("final", "corrected")


def test_an_order_becomes_a_service_request_and_a_prescription_a_medication_request() -> None:
    order = made(
        message("ORM^O01", PID, PV1, "ORC|NW|P9|||IP||^^^^^S||20261122101500|||D1^李^医生", "OBR|1|P9||CBC^血常规^L|S")
    )
    (request,) = order["ServiceRequest"]
    assert (request["status"], request["intent"], request["priority"]) == ("active", "order", "stat")
    assert request["code"]["coding"][0]["code"] == "58410-2"
    assert request["authoredOn"] == "2026-11-22T10:15:00+08:00"
    cancelled = made(message("ORM^O01", PID, PV1, "ORC|CA|P9", "OBR|1|P9||CBC^血常规^L"))["ServiceRequest"][0]
    assert (cancelled["id"], cancelled["status"]) == (request["id"], "revoked")
    (medicine,) = made(
        message(
            "ORM^O01", PID, PV1, "ORC|NW|RX1|||||||20261122", "RXO|amlodipine^苯磺酸氨氯地平片^DRUG|5||mg||||||7|30|片"
        )
    )["MedicationRequest"]
    assert medicine["medicationCodeableConcept"]["text"] == "苯磺酸氨氯地平片"
    assert medicine["medicationCodeableConcept"]["coding"][0]["system"] == "urn:healthbrain:cs:drug"


def test_a_vaccination_becomes_an_immunization() -> None:
    (given,) = made(
        message(
            "VXU^V04", PID, "ORC|RE||I1", "RXA|0|1|20250601|20250601|HepB^乙肝疫苗^VACCINE|10|ug||||||||LOT9|20270101|||CP",
            "RXR|IM^肌内注射|LA^左上臂", "OBX|1|NM|30973-2^剂次^LN||2||||||F",
        )
    )["Immunization"]  # fmt: skip
    assert given["vaccineCode"]["coding"][0] == {
        "system": "urn:healthbrain:cs:vaccine",
        "code": "HepB",
        "display": "乙肝疫苗",
    }
    assert given["protocolApplied"] == [{"doseNumberPositiveInt": 2}]
    assert (given["occurrenceDateTime"], given["lotNumber"], given["status"]) == ("2025-06-01", "LOT9", "completed")


def test_a_patient_merge_names_both_and_which_one_stays() -> None:
    survivor, prior = made(message("ADT^A40", EVN, PID, "MRG|M0^^^QP001^MR"))["Patient"]
    assert prior["active"] is False
    assert prior["link"] == [{"other": {"reference": f"Patient/{survivor['id']}"}, "type": "replaced-by"}]


REFUSALS = [
    ("no patient number", ADT.replace("M1^^^QP001^MR~310118199001011217^^^^NI~SH20398471^^^^SS", ""), "PID-3"),
    ("a birth in the future", ADT.replace("19900101", "20261123"), "PID-7[1]"),
    ("a birth on 30 February", ADT.replace("|19900101|", "|19900230|"), "PID-7[1]"),
    ("a birth that is no date", ADT.replace("|19900101|", "|九零年|"), "PID-7[1]"),
    ("an admission tomorrow", ADT.replace("20261122103000", "20261123103000"), "PV1-44[1]"),
    ("a time that is none", ADT.replace("20261122103000", "20261122253000"), "PV1-44[1]"),
    ("discharge before admission", ADT.replace("20261122103000", "20261122103000|20261121103000"), "PV1-45[1]"),
    ("an unknown class", ADT.replace("PV1|1|O|", "PV1|1|Q|"), "PV1-2[1]"),
    ("no visit", message("ADT^A01", EVN, PID), "PV1"),
    ("no visit number", ADT.replace("|V1|", "||").replace("20261122103000", ""), "PV1-19"),
    ("no result group", message("ORU^R01", PID), "OBR"),
    ("no order number", message("ORM^O01", PID, "ORC|NW", "OBR|1|||CBC"), "OBR-2"),
    ("no order at all", message("ORM^O01", PID, "ORC|NW|P1"), "OBR or RXO"),
    ("merged into itself", message("ADT^A40", EVN, PID, "MRG|M1^^^QP001^MR"), "MRG-1"),
    ("a result of tomorrow", obx("NM", "K^钾^L", "", "4.1", "", "", "", "", "", "F", "", "", "20261124"), "OBX-14[1]"),
    ("a result without a code", obx("NM", "", "", "4.1", "", "", "", "", "", "F"), "OBX-3"),
]


@pytest.mark.parametrize(("text", "place"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_what_is_wrong_is_refused_with_its_place(text: str, place: str) -> None:
    found = translated(text)
    assert found.refused
    assert found.made == ()
    assert place in [issue.expression for issue in found.issues if issue.severity == "error"]
    assert not any("19900101" in issue.text or "张" in issue.text for issue in found.issues)


def test_a_planned_admission_may_lie_in_the_future() -> None:
    assert (
        made(ADT.replace("ADT^A01", "ADT^A05").replace("20261122103000", "20261130103000"))["Encounter"][0]["status"]
        == "planned"
    )


def test_an_unknown_type_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(Unsupported, match=r"MSH-9.*ADT\^A01.*ORU\^R01"):
        translated(message("ZZZ^Z99", PID))


def test_an_unmapped_local_code_is_kept_with_a_warning() -> None:
    found = translated(obx("NM", "PCT^降钙素原^L", "", "0.05", "ng/mL", "", "", "", "", "F"))
    assert [i.expression for i in found.issues if i.severity == "warning"] == ["OBX-3[1].1"]
    observation = next(one for one in found.made if one.type == "Observation")
    assert [c["system"] for c in observation.resource["code"]["coding"]] == ["urn:healthbrain:org:QP001:lab"]


def test_two_strangers_with_the_same_numbers_are_never_one_patient() -> None:
    first, second = (made(ADT, Sender(name))["Patient"][0]["id"] for name in ("unknown-a", "unknown-b"))
    assert first != second


def test_the_same_message_always_gives_the_same_resources() -> None:
    assert made(ADT) == made(ADT.replace("|C1|", "|C2|"))


def test_every_table_names_what_exists() -> None:
    known = tables()
    for part, rows in known.resources.items():
        assert known.types.get(part, part) in definitions().types
        assert rows
    assert {"his-a", "his-b", "his-c"} <= known.local.keys()
    for codes in known.local.values():
        units = {one.unit for one in codes.values() if one.unit}
        assert units <= set(known.units.values()) | {"mg/g", "[pH]"}
        assert sum(1 for one in codes.values() if one.loinc) >= 45
        assert any(not one.loinc for one in codes.values())


@pytest.mark.suite
def test_every_public_sample_is_translated_or_refused_with_a_reason(suites: Path) -> None:
    accepted, refused, unsupported = 0, 0, []
    for path in sorted((suites / "hl7v2-samples").glob("*.hl7")):
        try:
            found = translate(parse(path.read_bytes()), Sender("samples"), at=AT)
        except HealthBrainError as error:
            refused += 1
            unsupported.append(error.message)
            continue
        if found.refused:
            refused += 1
            assert all(issue.expression and issue.text for issue in found.issues if issue.severity == "error")
            continue
        accepted += 1
        for one in found.made:
            assert_valid(one)
    assert all(message.startswith("MSH-9") for message in unsupported)
    assert accepted >= 33
    assert accepted + refused == 70


def test_the_reference_page_says_what_the_tables_say() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "tools" / "write_hl7v2_reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def charge(*rest: str, kind: str = "CG", amount: str = "25.50&CNY", unit: str = "") -> str:
    return f"FT1|{len(rest) + 1}|T1||20261122103000|20261122104000|{kind}|110200001^普通门诊诊查费^L^02^诊察费^FEE|||1|{amount}|{unit}"


DFT = ["EVN|P03|20261122110000", PID, PV1]


def test_a_charge_becomes_an_item_with_its_category_and_amount() -> None:
    found = made(message("DFT^P03", *DFT, charge()))
    (item,) = found["ChargeItem"]
    assert item["code"]["coding"][1] == {"system": "urn:healthbrain:cs:fee-category", "code": "02", "display": "诊察费"}
    assert item["code"]["text"] == "普通门诊诊查费"
    assert item["priceOverride"] == {"value": 25.5, "currency": "CNY"}
    assert item["context"]["reference"] == f"Encounter/{found['Encounter'][0]['id']}"
    assert item["subject"]["reference"] == f"Patient/{found['Patient'][0]['id']}"
    assert (item["status"], item["occurrenceDateTime"]) == ("billable", "2026-11-22T10:30:00+08:00")


def test_a_refund_is_negative_a_payment_is_no_charge_and_an_amount_is_needed() -> None:
    (back,) = made(message("DFT^P03", *DFT, charge(kind="CD", amount="25.50")))["ChargeItem"]
    assert back["priceOverride"] == {"value": -25.5, "currency": "CNY"}
    twice = message("DFT^P03", *DFT, charge(), charge(kind="PY").replace("|T1|", "|T2|"))
    assert len(made(twice)["ChargeItem"]) == 1
    (each,) = made(message("DFT^P03", *DFT, charge(amount="", unit="12.30")))["ChargeItem"]
    assert each["priceOverride"]["value"] == 12.3
    for wrong in (charge(amount=""), charge(amount="many"), charge(kind="PY"), "FT1|1"):
        assert translated(message("DFT^P03", *DFT, wrong)).refused


def test_a_charge_that_is_sent_again_is_the_same_resource() -> None:
    first = made(message("DFT^P03", *DFT, charge()))["ChargeItem"][0]["id"]
    again = made(message("DFT^P03", *DFT, charge(amount="30.00"), control="C2"))["ChargeItem"][0]["id"]
    assert first == again
