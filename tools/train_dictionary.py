"""Train the dictionary that stored bodies are compressed with.

    python tools/train_dictionary.py NUMBER [RESOURCES.ndjson[.gz] ...]

Writes src/healthbrain/store/body-NUMBER.dict and the migration that puts the same bytes into table body_dictionary.
Samples are made up here in the platform's conventions (terms/systems.py); files of resources or bundles given on the
command line are added, synthetic ones only. A dictionary that was ever released is never trained again: take the next number.
"""

from __future__ import annotations

import base64
import gzip
import random
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard

from healthbrain.terms import systems

STORE = Path(__file__).parents[1] / "src" / "healthbrain" / "store"
SIZE = 64 * 1024 - 1024
MADE_UP = 6000
USED = 24_000  # samples trained on
LEVEL = 3

SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何高林郑"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀英霞平刚桂兰玉梅建国华"
TOWNS = [
    "夏阳街道",
    "盈浦街道",
    "香花桥街道",
    "朱家角镇",
    "练塘镇",
    "金泽镇",
    "赵巷镇",
    "徐泾镇",
    "华新镇",
    "重固镇",
    "白鹤镇",
]
LABS = [
    ("2345-7", "葡萄糖", "mmol/L"), ("14771-0", "空腹血糖", "mmol/L"), ("4548-4", "糖化血红蛋白", "%"), ("718-7", "血红蛋白", "g/L"),
    ("2160-0", "肌酐", "umol/L"), ("2093-3", "总胆固醇", "mmol/L"), ("2571-8", "甘油三酯", "mmol/L"), ("6690-2", "白细胞计数", "10*9/L"),
    ("8867-4", "心率", "/min"), ("8310-5", "体温", "Cel"), ("29463-7", "体重", "kg"), ("8302-2", "身高", "cm"), ("39156-5", "体质指数", "kg/m2"),
]  # fmt: skip
ILLNESSES = [
    ("I10.x00", "原发性高血压"),
    ("E11.900", "2型糖尿病"),
    ("J06.900", "急性上呼吸道感染"),
    ("K29.500", "慢性胃炎"),
    ("M54.500", "腰痛"),
]
DRUGS = [
    ("amlodipine", "苯磺酸氨氯地平片"),
    ("metformin", "盐酸二甲双胍片"),
    ("aspirin", "阿司匹林肠溶片"),
    ("amoxicillin", "阿莫西林胶囊"),
]


def main() -> None:
    """Train from made-up samples and the given files; write both outputs."""
    number = int(sys.argv[1])
    samples = [orjson.dumps(resource) for resource in made_up(random.Random(7), MADE_UP)]
    for name in sys.argv[2:]:
        samples += [orjson.dumps(resource) for resource in from_file(Path(name), random.Random(5))]
    random.Random(3).shuffle(samples)
    trained = zstandard.train_dictionary(SIZE, samples[:USED], level=LEVEL, dict_id=number)
    content = trained.as_bytes()
    (STORE / f"body-{number}.dict").write_bytes(content)
    text = base64.encodebytes(content).decode()
    sql = (
        "-- The dictionary of body-{0}.dict, so that bodies can be read from the database alone. Made by\n"
        "-- tools/train_dictionary.py; never edited.\n"
        "insert into body_dictionary (id, content) values ({0}, decode('\n{1}', 'base64'));\n"
    )
    (STORE / "migrations" / f"{number + 100:04d}_dictionary_{number}.pre.sql").write_text(sql.format(number, text))
    compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=zstandard.ZstdCompressionDict(content))
    tested = samples[-2000:]
    print(f"{sum(map(len, tested)) / 2000:.0f} bytes -> {sum(len(compressor.compress(s)) for s in tested) / 2000:.0f}")


def from_file(path: Path, rng: random.Random) -> Iterator[dict[str, Any]]:
    """The resources of an NDJSON file of resources or bundles, as they look once stored."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in data.splitlines():
        document = orjson.loads(line)
        if document.get("resourceType") != "Bundle":
            yield stored(document, rng)
            continue
        text = line.decode()
        for entry in document["entry"]:
            if full_url := entry.get("fullUrl"):
                text = text.replace(
                    f'"{full_url}"', f'"{entry["resource"]["resourceType"]}/{full_url.rpartition(":")[2]}"'
                )
        yield from (stored(entry["resource"], rng) for entry in orjson.loads(text)["entry"] if "resource" in entry)


def stored(resource: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """With the id and meta that the store sets."""
    kind, id_ = resource.pop("resourceType"), resource.pop("id", None) or key(rng)
    stamp = instant(rng)[:-6] + f".{rng.randrange(1000):03d}Z"
    meta = {"versionId": "1", "lastUpdated": stamp, **resource.pop("meta", {})}
    return {"resourceType": kind, "id": id_, "meta": meta, **resource}


def made_up(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Resources of the kinds an institution sends, with server-set ids and meta."""
    makers = [
        patient,
        encounter,
        observation,
        observation,
        observation,
        blood_pressure,
        condition,
        prescription,
        report,
        immunization,
        episode,
        abroad,
        abroad,
    ]
    for _ in range(count):
        yield stored(rng.choice(makers)(rng), rng)


def key(rng: random.Random) -> str:
    """A resource id."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def instant(rng: random.Random) -> str:
    """A time of the last years."""
    return f"20{rng.randrange(19, 30)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:00+08:00"


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def to(rng: random.Random, kind: str) -> dict[str, str]:
    """A reference."""
    return {"reference": f"{kind}/{key(rng)}"}


def organisation(rng: random.Random) -> str:
    """An institution's code."""
    return f"QP{rng.randrange(100):02d}"


def patient(rng: random.Random) -> dict[str, Any]:
    """A resident as a hospital knows them."""
    family, given = rng.choice(SURNAMES), "".join(rng.choices(GIVEN, k=rng.choice([1, 2])))
    org = organisation(rng)
    town = rng.choice(TOWNS)
    day = instant(rng)[2:10]
    return {
        "resourceType": "Patient",
        "identifier": [
            {"use": "official", "system": systems.ID_CARD, "value": f"310118{rng.randrange(10**11):011d}X"},
            {"use": "usual", "system": systems.local(org, "mrn"), "value": f"{rng.randrange(10**8):08d}"},
            {"system": systems.INSURANCE, "value": f"{rng.randrange(10**9):09d}"},
            {"system": systems.HEALTH_RECORD, "value": f"310118{rng.randrange(10**11):011d}"},
        ],
        "active": True,
        "name": [{"use": "official", "text": family + given, "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": f"13{rng.randrange(10**9):09d}", "use": "mobile"}],
        "gender": rng.choice(["male", "female"]),
        "birthDate": f"19{day}",
        "maritalStatus": {"coding": [{"system": systems.MARITAL, "code": "20"}], "text": "已婚"},
        "address": [{
            "use": "home", "text": f"上海市青浦区{town}", "line": [f"{rng.randrange(1, 900)}弄{rng.randrange(1, 90)}号"], "city": "上海市",
            "district": "青浦区", "state": "上海市", "postalCode": "201700", "country": "CHN",
            "extension": [{"url": systems.EXT_DIVISION, "valueString": f"310118{rng.randrange(1, 111):03d}"}],
        }],
        "managingOrganization": {"reference": f"Organization/org-{org}"},
    }  # fmt: skip


def encounter(rng: random.Random) -> dict[str, Any]:
    """A visit."""
    start = instant(rng)
    kind = rng.choice(
        [
            ("AMB", "ambulatory", systems.OUTPATIENT, "门诊"),
            ("IMP", "inpatient encounter", systems.INPATIENT, "住院"),
            ("EMER", "emergency", systems.EMERGENCY, "急诊"),
            ("HH", "home health", systems.HTN_FOLLOWUP, "高血压随访"),
        ]
    )
    org = organisation(rng)
    return {
        "resourceType": "Encounter",
        "identifier": [{"system": systems.local(org, "visit"), "value": f"{rng.randrange(10**10):010d}"}],
        "status": "finished",
        "class": {"system": systems.ACT_CODE, "code": kind[0], "display": kind[1]},
        "type": [concept(systems.SERVICE, kind[2], kind[3])],
        "subject": to(rng, "Patient"),
        "participant": [{"individual": {"reference": f"Practitioner/prac-{rng.randrange(10**6):06d}"}}],
        "period": {"start": start, "end": start[:11] + instant(rng)[11:]},
        "serviceProvider": {"reference": f"Organization/org-{org}"},
    }


def observation(rng: random.Random) -> dict[str, Any]:
    """A laboratory result or a vital sign."""
    code, name, unit = rng.choice(LABS)
    category = rng.choice([("laboratory", "Laboratory"), ("vital-signs", "Vital Signs")])
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {"coding": [{"system": systems.OBSERVATION_CATEGORY, "code": category[0], "display": category[1]}]}
        ],
        "code": concept(systems.LOINC, code, name),
        "subject": to(rng, "Patient"),
        "encounter": to(rng, "Encounter"),
        "effectiveDateTime": instant(rng),
        "issued": instant(rng),
        "performer": [{"reference": f"Organization/org-{organisation(rng)}"}],
        "valueQuantity": {"value": round(rng.uniform(1, 200), 1), "unit": unit, "system": systems.UCUM, "code": unit},
    }
    if rng.random() < 0.5:
        made["referenceRange"] = [
            {
                "low": {"value": 3.9, "unit": unit, "system": systems.UCUM, "code": unit},
                "high": {"value": 6.1, "unit": unit, "system": systems.UCUM, "code": unit},
                "text": "3.9-6.1",
            }
        ]
        made["interpretation"] = [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                        "code": rng.choice("HLN"),
                    }
                ]
            }
        ]
    return made


def blood_pressure(rng: random.Random) -> dict[str, Any]:
    """A blood pressure panel."""

    def part(code: str, name: str) -> dict[str, Any]:
        return {
            "code": concept(systems.LOINC, code, name),
            "valueQuantity": {
                "value": rng.randrange(50, 200),
                "unit": "mmHg",
                "system": systems.UCUM,
                "code": "mm[Hg]",
            },
        }

    made = observation(rng)
    del made["valueQuantity"]
    return made | {
        "code": concept(systems.LOINC, "85354-9", "血压"),
        "component": [part("8480-6", "收缩压"), part("8462-4", "舒张压")],
    }


def condition(rng: random.Random) -> dict[str, Any]:
    """A diagnosis."""
    return {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "verificationStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                        "code": "encounter-diagnosis",
                        "display": "Encounter Diagnosis",
                    }
                ]
            }
        ],
        "code": concept(systems.ICD10, *rng.choice(ILLNESSES)),
        "subject": to(rng, "Patient"),
        "encounter": to(rng, "Encounter"),
        "onsetDateTime": instant(rng),
        "recordedDate": instant(rng),
    }


def prescription(rng: random.Random) -> dict[str, Any]:
    """A medicine ordered."""
    return {
        "resourceType": "MedicationRequest",
        "identifier": [
            {"system": systems.local(organisation(rng), "prescription"), "value": f"{rng.randrange(10**10):010d}"}
        ],
        "status": "completed",
        "intent": "order",
        "medicationCodeableConcept": concept(systems.DRUG, *rng.choice(DRUGS)),
        "subject": to(rng, "Patient"),
        "encounter": to(rng, "Encounter"),
        "authoredOn": instant(rng),
        "requester": {"reference": f"Practitioner/prac-{rng.randrange(10**6):06d}"},
        "dosageInstruction": [{"text": f"每次{rng.randrange(1, 4)}片，每日{rng.randrange(1, 4)}次，口服"}],
    }


def report(rng: random.Random) -> dict[str, Any]:
    """A laboratory report."""
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [
            {"system": systems.local(organisation(rng), "report"), "value": f"{rng.randrange(10**10):010d}"}
        ],
        "status": "final",
        "category": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB", "display": "Laboratory"}
                ]
            }
        ],
        "code": concept(systems.LOINC, "58410-2", "血常规"),
        "subject": to(rng, "Patient"),
        "encounter": to(rng, "Encounter"),
        "effectiveDateTime": instant(rng),
        "issued": instant(rng),
        "result": [to(rng, "Observation") for _ in range(rng.randrange(1, 9))],
    }


def immunization(rng: random.Random) -> dict[str, Any]:
    """A vaccination."""
    return {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": concept(systems.VACCINE, rng.choice(["HepB", "BCG", "IPV", "DTaP", "MMR"]), "疫苗"),
        "patient": to(rng, "Patient"),
        "occurrenceDateTime": instant(rng),
        "lotNumber": f"{rng.randrange(10**8):08d}",
        "performer": [{"actor": {"reference": f"Organization/org-{organisation(rng)}"}}],
        "protocolApplied": [{"doseNumberPositiveInt": rng.randrange(1, 5)}],
    }


def episode(rng: random.Random) -> dict[str, Any]:
    """An enrolment."""
    kind = rng.choice(
        [
            (systems.HTN_MANAGEMENT, "高血压患者健康管理"),
            (systems.DM_MANAGEMENT, "2型糖尿病患者健康管理"),
            (systems.FAMILY_DOCTOR, "家庭医生签约"),
        ]
    )
    return {
        "resourceType": "EpisodeOfCare",
        "status": "active",
        "type": [concept(systems.SERVICE, *kind)],
        "patient": to(rng, "Patient"),
        "managingOrganization": {"reference": f"Organization/org-{organisation(rng)}"},
        "period": {"start": instant(rng)[:10]},
        "careManager": {"reference": f"Practitioner/prac-{rng.randrange(10**6):06d}"},
    }


SNOMED, RXNORM = "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
TERMS = [
    "disorder",
    "finding",
    "procedure",
    "situation",
    "qualifier value",
    "physical object",
    "substance",
    "body structure",
]


def abroad(rng: random.Random) -> dict[str, Any]:
    """What a sender with international habits would send: other code systems, profiles, microseconds."""
    kind, profile = rng.choice(
        [
            ("Condition", "condition-encounter-diagnosis"),
            ("Procedure", "procedure"),
            ("Observation", "vital-signs"),
            ("Observation", "observation-lab"),
            ("DiagnosticReport", "diagnosticreport-lab"),
            ("MedicationRequest", "medicationrequest"),
            ("Immunization", "immunization"),
            ("CarePlan", "careplan"),
            ("Encounter", "encounter"),
        ]
    )
    when = f"{instant(rng)[:-6]}.{rng.randrange(10**6):06d}+00:00"
    made: dict[str, Any] = {
        "resourceType": kind,
        "meta": {"profile": [US_CORE + profile]},
        "status": rng.choice(["completed", "final", "finished", "active"]),
    }
    snomed = {
        "coding": [{"system": SNOMED, "code": str(rng.randrange(10**6, 10**9)), "display": f" ({rng.choice(TERMS)})"}]
    }
    made["category"] = [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/"
                    + rng.choice(["observation-category", "condition-category", "v2-0074"]),
                    "code": rng.choice(["laboratory", "vital-signs", "encounter-diagnosis", "LAB"]),
                }
            ]
        }
    ]
    match kind:
        case "MedicationRequest":
            made |= {
                "intent": "order",
                "medicationCodeableConcept": {
                    "coding": [{"system": RXNORM, "code": str(rng.randrange(10**6)), "display": " MG Oral Tablet"}]
                },
            }
        case "Immunization":
            made |= {
                "vaccineCode": {
                    "coding": [
                        {"system": "http://hl7.org/fhir/sid/cvx", "code": str(rng.randrange(150)), "display": ""}
                    ]
                },
                "primarySource": True,
            }
        case "Observation" | "DiagnosticReport":
            made["code"] = {
                "coding": [
                    {
                        "system": systems.LOINC,
                        "code": f"{rng.randrange(10**5)}-{rng.randrange(10)}",
                        "display": " [Mass/volume] in Blood",
                    }
                ]
            }
        case "Encounter":
            made |= {"class": {"system": systems.ACT_CODE, "code": "AMB", "display": "ambulatory"}, "type": [snomed]}
        case _:
            made["code"] = snomed
    made["patient" if kind == "Immunization" else "subject"] = to(rng, "Patient")
    made["encounter"] = to(rng, "Encounter")
    if kind in {"Observation", "DiagnosticReport"}:
        made |= {"effectiveDateTime": when, "issued": when}
    elif kind == "Condition":
        made |= {"onsetDateTime": when, "abatementDateTime": when}
    elif kind in {"Encounter", "CarePlan", "Procedure"}:
        made["performedPeriod" if kind == "Procedure" else "period"] = {"start": when, "end": when}
    if profile in {"vital-signs", "observation-lab"}:
        made["valueQuantity"] = {
            "value": round(rng.uniform(1, 200), 3),
            "unit": "mg/dL",
            "system": systems.UCUM,
            "code": "mg/dL",
        }
    return made


if __name__ == "__main__":
    main()
