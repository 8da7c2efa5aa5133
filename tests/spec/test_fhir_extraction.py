"""By which values a resource is found: tables of elements and the index values they give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from math import inf
from typing import Any

import pytest

from healthbrain.fhir import date_interval, extract, number_interval, parse, validate
from healthbrain.fhir.values import Composite, DateRange, Number, Reference, Text, Token, Uri

P = {"reference": "Patient/p1"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def found(resource: dict[str, Any], param: str) -> list[Any]:
    """All values of one parameter, after checking that the resource is a proper one."""
    assert validate(resource) == []
    return [value for values in extract(resource)[:-1] for value in values if value[0] == param]


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p1", **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "c"}, **elements}


TOKENS = [
    (
        "a concept gives its codings, and its text when no coding displays it",
        observation(code={"coding": [{"system": "urn:s", "code": "a", "display": "A"}, {"code": "b"}], "text": "甲"}),
        "code",
        [Token("code", "urn:s", "a", "A"), Token("code", "", "b"), Token("code", "", "", "甲")],
    ),
    (
        "a text that repeats a display is not given twice",
        observation(code={"coding": [{"system": "urn:s", "code": "a", "display": "甲"}], "text": "甲"}),
        "code",
        [Token("code", "urn:s", "a", "甲")],
    ),
    (
        "a code has the system of its required binding",
        patient(gender="male"),
        "gender",
        [Token("gender", "http://hl7.org/fhir/administrative-gender", "male")],
    ),
    (
        "an identifier carries the coding of its type",
        patient(
            identifier=[{"system": "urn:x", "value": "1", "type": {"coding": [{"system": "urn:t", "code": "MR"}]}}]
        ),
        "identifier",
        [Token("identifier", "urn:x", "1", "", "urn:t", "MR")],
    ),
    (
        "an identifier may lack its system",
        patient(identifier=[{"value": "1"}]),
        "identifier",
        [Token("identifier", "", "1")],
    ),
    ("a boolean is a token", patient(active=False), "active", [Token("active", "", "false")]),
    (
        "telecom is found by value, phone only by phones",
        patient(telecom=[{"system": "phone", "value": "021"}, {"system": "email", "value": "a@b"}]),
        "phone",
        [Token("phone", "", "021")],
    ),
    ("nobody is dead without a word of it", patient(), "deceased", [Token("deceased", "", "false")]),
    ("a date of death is a death", patient(deceasedDateTime="2026"), "deceased", [Token("deceased", "", "true")]),
    ("deceased false is no death", patient(deceasedBoolean=False), "deceased", [Token("deceased", "", "false")]),
    (
        "tags are found in meta",
        patient(meta={"tag": [{"system": "urn:t", "code": "x"}]}),
        "_tag",
        [Token("_tag", "urn:t", "x")],
    ),
    (
        "an extension's value is read whatever type it has",
        observation(
            extension=[
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/observation-geneticsGene",
                    "valueCodeableConcept": {"coding": [{"system": "urn:g", "code": "BRCA1"}]},
                }
            ]
        ),
        "gene-identifier",
        [Token("gene-identifier", "urn:g", "BRCA1")],
    ),
]


@pytest.mark.parametrize(("meaning", "resource", "param", "expected"), TOKENS, ids=[row[0] for row in TOKENS])
def test_tokens(meaning: str, resource: dict[str, Any], param: str, expected: list[Token]) -> None:
    assert found(resource, param) == expected


ENCOUNTER = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
URN = "urn:uuid:00000000-0000-0000-0000-000000000001"
REFERENCES = [
    ("a literal reference", observation(subject=P), "subject", [Reference("subject", "Patient", "p1")]),
    ("a patient is also found as patient", observation(subject=P), "patient", [Reference("patient", "Patient", "p1")]),
    ("a group is not found as patient", observation(subject={"reference": "Group/g"}), "patient", []),
    (
        "a versioned reference",
        observation(subject={"reference": "Patient/p1/_history/3"}),
        "subject",
        [Reference("subject", "Patient", "p1", version="3")],
    ),
    (
        "an absolute reference",
        observation(subject={"reference": "http://x.example/fhir/Patient/1"}),
        "patient",
        [Reference("patient", url="http://x.example/fhir/Patient/1")],
    ),
    (
        "a urn is the patient's when the reference says so",
        observation(subject={"reference": URN, "type": "Patient"}),
        "patient",
        [Reference("patient", url=URN)],
    ),
    ("a urn of unknown type is not a patient's", observation(subject={"reference": URN}), "patient", []),
    (
        "a logical reference",
        observation(subject={"type": "Patient", "identifier": {"system": "urn:x", "value": "1"}}),
        "subject",
        [Reference("subject", "Patient", system="urn:x", value="1")],
    ),
    (
        "literal and logical at once",
        observation(subject={**P, "identifier": {"value": "1"}}),
        "subject",
        [Reference("subject", "Patient", "p1"), Reference("subject", value="1")],
    ),
    (
        "a conditional reference by identifier is a logical one",
        observation(subject={"reference": "Patient?identifier=urn%3Ax|1"}),
        "subject",
        [Reference("subject", "Patient", system="urn:x", value="1")],
    ),
    (
        "a contained resource cannot be searched for by reference",
        observation(subject={"reference": "#p"}, contained=[{"resourceType": "Patient", "id": "p"}]),
        "subject",
        [],
    ),
    (
        "a canonical is split into url and version",
        {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "urn:q|2"},
        "questionnaire",
        [Reference("questionnaire", url="urn:q", version="2")],
    ),
    (
        "where() by a code selects among related artefacts",
        {
            "resourceType": "Library",
            "status": "draft",
            "type": {"text": "x"},
            "relatedArtifact": [
                {"type": "depends-on", "resource": "urn:a"},
                {"type": "successor", "resource": "urn:b"},
            ],
        },
        "successor",
        [Reference("successor", url="urn:b")],
    ),
    (
        "only marked items of a questionnaire tell its subject",
        {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "item": [
                {"linkId": "1", "answer": [{"valueReference": {"reference": "Patient/no"}}]},
                {
                    "linkId": "2",
                    "extension": [
                        {
                            "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject",
                            "valueBoolean": True,
                        }
                    ],
                    "answer": [{"valueReference": P}],
                },
            ],
        },
        "item-subject",
        [Reference("item-subject", "Patient", "p1")],
    ),
    (
        "a document is found by its composition, the first entry only",
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [
                {
                    "resource": {
                        "resourceType": "MessageHeader",
                        "id": "m",
                        "eventUri": "urn:e",
                        "source": {"endpoint": "x"},
                    }
                },
                {"resource": patient()},
            ],
        },
        "message",
        [Reference("message", "MessageHeader", "m")],
    ),
]


@pytest.mark.parametrize(("meaning", "resource", "param", "expected"), REFERENCES, ids=[row[0] for row in REFERENCES])
def test_references(meaning: str, resource: dict[str, Any], param: str, expected: list[Reference]) -> None:
    assert found(resource, param) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ({"text": "张伟", "family": "张", "given": ["伟"]}, ["张伟", "张", "伟"]),
        ({"family": "张", "given": ["伟"]}, ["张伟", "张", "伟"]),
        (
            {"family": "Lovelace", "given": ["Ada", "King"], "prefix": ["Lady"]},
            ["Ada King Lovelace", "Lovelace", "Ada", "King", "Lady"],
        ),
        ({"text": "张伟"}, ["张伟"]),
        ({"given": [None, "B"], "_given": [{"extension": [{"url": "u", "valueCode": "c"}]}, None]}, ["B"]),
    ],
)
def test_a_name_is_found_whole_and_by_its_parts(name: dict[str, Any], expected: list[str]) -> None:
    assert [text.value for text in found(patient(name=[name]), "name")] == expected


def test_an_address_is_found_by_its_parts() -> None:
    resource = patient(
        address=[{"line": ["崧泽大道1号"], "city": "上海市", "district": "青浦区", "text": "上海市青浦区"}]
    )
    assert {text.value for text in found(resource, "address")} == {"崧泽大道1号", "上海市", "青浦区", "上海市青浦区"}
    assert found(resource, "address-city") == [Text("address-city", "上海市")]


def test_a_string_value_may_be_the_text_of_a_concept() -> None:
    assert found(observation(valueCodeableConcept={"text": "阴性"}), "value-string") == [Text("value-string", "阴性")]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("2026-12", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("2024-02", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
        ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("2026-01-05T08:30:00+08:00", "2026-01-05T00:30:00", "2026-01-05T00:30:01"),
        ("2026-01-05T08:30:00Z", "2026-01-05T08:30:00", "2026-01-05T08:30:01"),
        ("2026-01-05T08:30:00.5Z", "2026-01-05T08:30:00.5", "2026-01-05T08:30:00.6"),
        ("2026-01-05T08:30:00.123-05:00", "2026-01-05T13:30:00.123", "2026-01-05T13:30:00.124"),
        ("2026-01-05T08:30:00.1234Z", "2026-01-05T08:30:00.1234", "2026-01-05T08:30:00.1235"),
        ("2026-01-05T08:30:00.123456789Z", "2026-01-05T08:30:00.123456", "2026-01-05T08:30:00.123457"),
        ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00", "2026-07-01T00:00:01"),
        ("2026-01-05T08:30Z", "2026-01-05T08:30:00", "2026-01-05T08:31:00"),
    ],
)
def test_a_date_covers_what_its_precision_says(text: str, low: str, high: str) -> None:
    assert date_interval(text) == (at(low), at(high))


def test_a_zone_may_be_given_for_dates_that_have_none() -> None:
    china = timezone(timedelta(hours=8))
    assert date_interval("2026-01-05", china) == (at("2026-01-04T16:00:00"), at("2026-01-05T16:00:00"))
    assert date_interval("2026-01-05T08:30:00", china) == (at("2026-01-05T00:30:00"), at("2026-01-05T00:30:01"))
    assert date_interval("2026-01-05T08:30:00Z", china).low == at("2026-01-05T08:30:00")
    assert date_interval("2026-12", china).high == at("2026-12-31T16:00:00")


def test_dates_beyond_the_calendar_are_open() -> None:
    assert date_interval("9999").high is None
    assert date_interval("9999-12").high is None
    assert date_interval("9999-12-31").high is None
    assert date_interval("9999-12-31T23:59:59-14:00").high is None
    assert date_interval("0001-01-01T00:00:00+14:00").low is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026-13",
        "2026-02-30",
        "20",
        "2026-01-05T",
        "2026-01-05T25:00:00Z",
        "２０２６",
        "2026/01",
        "20260105T083000Z",
    ],
)
def test_a_text_that_is_no_date_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        date_interval(text)


DATES = [
    ("a period", {"effectivePeriod": {"start": "2026-01-05", "end": "2026-01-06"}}, "2026-01-05", "2026-01-07"),
    ("a period that goes on", {"effectivePeriod": {"start": "2026-01-05"}}, "2026-01-05", None),
    ("a period that began some time", {"effectivePeriod": {"end": "2026-01-05"}}, None, "2026-01-06"),
    ("events", {"effectiveTiming": {"event": ["2026-01-09", "2026-01-05"]}}, "2026-01-05", "2026-01-10"),
    (
        "a schedule within bounds",
        {"effectiveTiming": {"repeat": {"boundsPeriod": {"start": "2026-01-05", "end": "2026-02"}}}},
        "2026-01-05",
        "2026-03-01",
    ),
    ("an endless schedule", {"effectiveTiming": {"repeat": {"boundsPeriod": {"start": "2026"}}}}, "2026-01-01", None),
]


@pytest.mark.parametrize(("meaning", "elements", "low", "high"), DATES, ids=[row[0] for row in DATES])
def test_dates(meaning: str, elements: dict[str, Any], low: str | None, high: str | None) -> None:
    expected = DateRange("date", low and at(low), high and at(high))
    assert found(observation(**elements), "date") == [expected]


def test_periods_and_schedules_that_say_nothing_give_nothing() -> None:
    assert found(observation(effectiveTiming={"code": {"text": "daily"}}), "date") == []
    extension = {"extension": [{"url": "u", "valueCode": "c"}]}
    assert found(observation(effectivePeriod=extension), "date") == []
    assert found(observation(_effectiveDateTime=extension), "date") == []


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100", 99.5, 100.5),
        ("100.00", 99.995, 100.005),
        ("72.5", 72.45, 72.55),
        ("72.50", 72.495, 72.505),
        ("-0.3", -0.35, -0.25),
        ("0", -0.5, 0.5),
        ("0.1", 0.05, 0.15),
        ("1e2", 95.0, 105.0),
        ("1.0e3", 995.0, 1005.0),
        ("5.40e-3", 0.0053995, 0.0054005),
        ("1e30", 0.95e30, 1.05e30),
        ("1e400", inf, inf),
    ],
)
def test_a_number_covers_what_its_digits_say(text: str, low: float, high: float) -> None:
    stored = parse(f'{{"v":{text}}}')["v"]
    for value in (text, stored):
        assert number_interval(value) == (pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))
    assert number_interval(text) == number_interval(stored)


UCUM = "http://unitsofmeasure.org"
NUMBERS = [
    (
        "a quantity",
        {"valueQuantity": {"value": 7.2, "system": UCUM, "code": "mmol/L", "unit": "毫摩/升"}},
        Number("value-quantity", 7.15, 7.25, 7.2, UCUM, "mmol/L", "毫摩/升"),
    ),
    ("less than", {"valueQuantity": {"value": 5, "comparator": "<"}}, Number("value-quantity", -inf, 5.5, 5.0)),
    ("at least", {"valueQuantity": {"value": 5, "comparator": ">="}}, Number("value-quantity", 4.5, inf, 5.0)),
    (
        "sampled data span their samples",
        {
            "valueSampledData": {
                "origin": {"value": 10, "code": "mV"},
                "period": 1,
                "factor": 2,
                "dimensions": 1,
                "data": "1 E -3 U 4 L",
            }
        },
        Number("value-quantity", 4.0, 18.0, 11.0, "", "mV"),
    ),
]


@pytest.mark.parametrize(("meaning", "elements", "expected"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_quantities(meaning: str, elements: dict[str, Any], expected: Number) -> None:
    assert found(observation(**elements), "value-quantity") == [expected]


def test_money_ranges_and_plain_numbers() -> None:
    invoice = {"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 9.5, "currency": "CNY"}}
    assert found(invoice, "totalnet") == [Number("totalnet", 9.45, 9.55, 9.5, "urn:iso:std:iso:4217", "CNY", "CNY")]
    group = {"resourceType": "Library", "status": "draft", "type": {"text": "x"}, "useContext": [
        {"code": {"code": "age"}, "valueRange": {"low": {"value": 1}, "high": {"value": 4}}},
        {"code": {"code": "age"}, "valueRange": {"high": {"value": 4, "unit": "a"}}},
    ]}  # fmt: skip
    assert found(group, "context-quantity") == [
        Number("context-quantity", 0.5, 4.5, 2.5),
        Number("context-quantity", -inf, 4.5, 4.0, unit="a"),
    ]
    risk = {
        "resourceType": "RiskAssessment",
        "status": "final",
        "subject": P,
        "prediction": [{"probabilityDecimal": 0.3}],
    }
    assert found(risk, "probability") == [Number("probability", 0.25, 0.35, 0.3)]
    assert found(observation(valueQuantity={"unit": "mg"}), "value-quantity") == []


def test_a_canonical_uri_is_found_with_and_without_its_version() -> None:
    resource = patient(meta={"profile": ["urn:p|1"], "source": "urn:s"})
    assert found(resource, "_profile") == [Uri("_profile", "urn:p|1"), Uri("_profile", "urn:p")]
    assert found(resource, "_source") == [Uri("_source", "urn:s")]


BLOOD_PRESSURE = observation(
    code={"coding": [{"code": "85354-9"}]},
    component=[
        {"code": {"coding": [{"code": "8480-6"}]}, "valueQuantity": {"value": 120}},
        {"code": {"coding": [{"code": "8462-4"}]}, "valueQuantity": {"value": 80}},
        {"code": {"coding": [{"code": "other"}]}},
    ],
)


def test_composites_hold_only_what_stands_together() -> None:
    def pairs(param: str) -> list[tuple[str, float]]:
        return [(c.parts[0].code, c.parts[1].value) for c in found(BLOOD_PRESSURE, param)]

    assert pairs("component-code-value-quantity") == [("8480-6", 120.0), ("8462-4", 80.0)]
    assert pairs("combo-code-value-quantity") == [("8480-6", 120.0), ("8462-4", 80.0)]
    assert pairs("code-value-quantity") == []
    assert [t.code for t in found(BLOOD_PRESSURE, "code")] == ["85354-9"]
    assert [t.code for t in found(BLOOD_PRESSURE, "combo-code")] == ["85354-9", "8480-6", "8462-4", "other"]


def test_a_composite_pairs_every_coding_with_the_value() -> None:
    resource = observation(code={"coding": [{"code": "a"}, {"code": "b"}]}, valueDateTime="2026")
    composites = found(resource, "code-value-date")
    assert [type(c) for c in composites] == [Composite, Composite]
    assert [c.parts for c in composites] == [
        (Token("", "", code), DateRange("", at("2026-01-01"), at("2027-01-01"))) for code in ("a", "b")
    ]


def test_a_composite_may_reach_back_to_the_resource() -> None:
    sequence = {
        "resourceType": "MolecularSequence",
        "coordinateSystem": 0,
        "referenceSeq": {"referenceSeqId": {"coding": [{"code": "NC_1"}]}, "windowStart": 1, "windowEnd": 9},
        "variant": [{"start": 5, "end": 6}],
    }
    (composite,) = found(sequence, "referenceseqid-variant-coordinate")
    assert [part[-4] if isinstance(part, Token) else part.value for part in composite.parts] == ["NC_1", 5.0, 6.0]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (patient(), ("p1",)),
        (patient(link=[{"other": {"reference": "Patient/p2"}, "type": "seealso"}]), ("p1", "p2")),
        (observation(subject=P, performer=[P, {"reference": "Practitioner/d"}]), ("p1",)),
        (observation(subject={"reference": "Group/g"}, focus=[P]), ()),
        ({**ENCOUNTER, "subject": P}, ("p1",)),
        ({"resourceType": "Organization", "name": "x"}, ()),
    ],
)
def test_a_resource_lies_in_the_compartments_of_its_patients(
    resource: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert validate(resource) == []
    assert extract(resource).patients == expected
