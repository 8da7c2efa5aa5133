"""Search by every kind of parameter with every modifier: units, terminology, hierarchies, composites, canonicals."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthbrain.errors import Incorrect, TooLarge, Unsupported
from healthbrain.store import Store
from tests.engine.store_samples import context, opened, put

store = Store()
pytestmark = pytest.mark.anyio

UCUM = "http://unitsofmeasure.org"
ICD = "urn:icd"
DISEASES = [
    {"code": "I", "concept": [{"code": "I10", "concept": [{"code": "I10.0"}, {"code": "I10.1"}]}, {"code": "I11"}]},
    {"code": "E", "concept": [{"code": "E11", "property": [{"code": "chronic", "valueBoolean": True}]}]},
]


def valued(id_: str, number: float, code: str, system: str = UCUM) -> dict[str, Any]:
    quantity = {"value": number, "unit": code, "system": system, "code": code}
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"text": "x"},
        "valueQuantity": quantity,
    }


def condition(id_: str, code: str) -> dict[str, Any]:
    coding = [{"system": ICD, "code": code}]
    return {"resourceType": "Condition", "id": id_, "subject": {"reference": "Patient/p"}, "code": {"coding": coding}}


def value_set(id_: str, compose: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "id": id_,
        "status": "active",
        "url": f"urn:vs:{id_}",
        "compose": compose,
        **more,
    }


def sequence(id_: str, *windows: tuple[str, int, int]) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "MolecularSequence", "id": id_, "coordinateSystem": 0}
    if windows:
        chromosome, start, end = windows[0]
        made["referenceSeq"] = {
            "chromosome": {"coding": [{"code": chromosome}]}, "windowStart": start, "windowEnd": end,
        }  # fmt: skip
        made["variant"] = [{"start": s, "end": e} for _, s, e in windows[1:]]
    return made


RESOURCES: list[dict[str, Any]] = [
    valued("mg", 5400, "mg"), valued("g", 5.4, "g"), valued("kg", 0.0054, "kg"), valued("ug", 5_400_001, "ug"),
    valued("molar", 6.3, "mmol/L"), valued("micro", 6300, "umol/L"), valued("cells", 7.1, "10*9/L"),
    valued("warm", 39.0, "Cel"), valued("fahrenheit", 102.2, "[degF]"), valued("own", 5.4, "g", "urn:units"),
    {"resourceType": "CodeSystem", "id": "icd", "status": "active", "content": "complete", "url": ICD, "concept": DISEASES},
    *(condition(f"c-{code}", code) for code in ("I10", "I10.1", "I11", "E11")),
    value_set("listed", {"include": [{"system": ICD, "concept": [{"code": "I10"}, {"code": "E11"}]}]}),
    value_set("below", {"include": [{"system": ICD, "filter": [{"property": "concept", "op": "is-a", "value": "I10"}]}]}),
    value_set("chronic", {"include": [{"system": ICD, "filter": [{"property": "chronic", "op": "=", "value": "true"}]}]}),
    value_set("whole", {"include": [{"system": ICD}]}),
    value_set("all-but", {"include": [{"system": ICD}], "exclude": [{"system": ICD, "concept": [{"code": "I11"}]}]}),
    value_set("both", {"include": [{"valueSet": ["urn:vs:listed", "urn:vs:below"]}]}),
    value_set("regex", {"include": [{"system": ICD, "filter": [{"property": "code", "op": "regex", "value": "I.*"}]}]}),
    value_set("circle", {"include": [{"valueSet": ["urn:vs:circle"]}]}),
    value_set("expanded", {"include": [{"system": "urn:elsewhere"}]},
              expansion={"timestamp": "2026-01-01", "contains": [{"system": ICD, "code": "E11"}]}),
    {"resourceType": "Location", "id": "hospital", "name": "h"},
    {"resourceType": "Location", "id": "ward", "partOf": {"reference": "Location/hospital"}},
    {"resourceType": "Location", "id": "bed", "partOf": {"reference": "Location/ward"}},
    {"resourceType": "Encounter", "id": "in-bed", "status": "finished", "class": {"code": "IMP"},
     "location": [{"location": {"reference": "Location/bed"}}]},
    {"resourceType": "Encounter", "id": "in-ward", "status": "finished", "class": {"code": "IMP"},
     "location": [{"location": {"reference": "Location/ward"}}]},
    sequence("s1", ("7", 100, 200), ("", 10, 20), ("", 90, 95)), sequence("s2", ("7", 300, 400)), sequence("s3", ("8", 100, 200)),
    {"resourceType": "Patient", "id": "p", "address": [{"line": ["光荣村 12组"], "city": "Qing Pu"}], "gender": "male"},
    {"resourceType": "Patient", "id": "q", "meta": {"profile": ["http://a.org/p/x"], "source": "urn:s"}, "gender": "female"},
    {"resourceType": "Questionnaire", "id": "q1", "status": "active", "url": "http://a.org/q", "title": "Sleep", "version": "2"},
    {"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed", "questionnaire": "http://a.org/q|2"},
    {"resourceType": "QuestionnaireResponse", "id": "r2", "status": "completed", "questionnaire": "http://a.org/other"},
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(postgres, template) -> Iterator[str]:
    """A database with RESOURCES."""
    name = f"hb_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    dsn = make_conninfo(postgres, dbname=name)

    async def fill() -> None:
        async with opened(dsn, size=1) as pool, pool.connection() as connection:
            await store.write(connection, [put(one) for one in RESOURCES], context(), validated=True)

    asyncio.run(fill())
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


QUESTIONS: list[tuple[str, str, str, str]] = [
    ("Observation", "value-quantity", f"5.4|{UCUM}|g", "g kg mg ug"),
    ("Observation", "value-quantity", f"5400.000|{UCUM}|mg", "g kg mg"),
    ("Observation", "value-quantity", f"gt5.4|{UCUM}|g", "ug"),
    ("Observation", "value-quantity", f"ge5400|{UCUM}|mg", "g kg mg ug"),
    ("Observation", "value-quantity", "5.4|urn:units|g", "own"),
    ("Observation", "value-quantity", "5.4||g", "g own"),
    ("Observation", "value-quantity", f"6.3|{UCUM}|mmol/L", "micro molar"),
    ("Observation", "value-quantity", f"lt100|{UCUM}|mmol/L", "micro molar"),  # and no cell counts
    ("Observation", "value-quantity", f"lt100|{UCUM}|10*9/L", "cells"),
    ("Observation", "value-quantity", f"39.0|{UCUM}|Cel", "fahrenheit warm"),
    ("Observation", "value-quantity", f"gt102.0|{UCUM}|[degF]", "fahrenheit warm"),
    ("Observation", "value-quantity", f"5|{UCUM}|nonsense", ""),
    ("Condition", "code:below", f"{ICD}|I10", "c-I10 c-I10.1"),
    ("Condition", "code:below", f"{ICD}|I", "c-I10 c-I10.1 c-I11"),
    ("Condition", "code:above", f"{ICD}|I10.1", "c-I10 c-I10.1"),
    ("Condition", "code:in", "urn:vs:listed", "c-E11 c-I10"),
    ("Condition", "code:in", "ValueSet/listed", "c-E11 c-I10"),
    ("Condition", "code:in", "urn:vs:below", "c-I10 c-I10.1"),
    ("Condition", "code:in", "urn:vs:chronic", "c-E11"),
    ("Condition", "code:in", "urn:vs:whole", "c-E11 c-I10 c-I10.1 c-I11"),
    ("Condition", "code:in", "urn:vs:all-but", "c-E11 c-I10 c-I10.1"),
    ("Condition", "code:in", "urn:vs:both", "c-I10"),
    ("Condition", "code:in", "urn:vs:expanded", "c-E11"),
    ("Condition", "code:in", "urn:vs:chronic,urn:vs:both", "c-E11 c-I10"),
    ("Condition", "code:not-in", "urn:vs:listed", "c-I10.1 c-I11"),
    ("Patient", "gender:in", "http://hl7.org/fhir/ValueSet/administrative-gender", "p q"),
    ("Encounter", "location", "Location/ward", "in-ward"),
    ("Encounter", "location:below", "Location/hospital", "in-bed in-ward"),
    ("Encounter", "location:below", "ward", "in-bed in-ward"),
    ("Encounter", "location:above", "Location/bed", "in-bed in-ward"),
    ("Location", "partof:below", "Location/hospital", "bed ward"),
    ("MolecularSequence", "chromosome-window-coordinate", "7$lt150$gt150", "s1"),
    ("MolecularSequence", "chromosome-window-coordinate", "7$ge100$le400", "s1 s2"),
    ("MolecularSequence", "chromosome-window-coordinate", "8$100$200", "s3"),
    ("MolecularSequence", "chromosome-window-coordinate", "8$100$300", ""),
    ("Patient", "address:text", "12组 光荣", "p"),
    ("Patient", "address:text", "qing pu", "p"),
    ("Patient", "address:text", "12组 qing", ""),
    ("Patient", "_profile:below", "http://a.org/p", "q"),
    ("Patient", "_profile:above", "http://a.org/p/x/y", "q"),
    ("Patient", "_profile:missing", "true", "p"),
    ("Patient", "_id:not", "p", "q"),
    ("Patient", "_id:missing", "true", ""),
    ("Patient", "_lastUpdated:missing", "false", "p q"),
    ("QuestionnaireResponse", "questionnaire", "http://a.org/q", "r1"),
    ("QuestionnaireResponse", "questionnaire", "http://a.org/q|2", "r1"),
    ("QuestionnaireResponse", "questionnaire", "http://a.org/q|3", ""),
    ("QuestionnaireResponse", "questionnaire.title", "sleep", "r1"),
    ("QuestionnaireResponse", "questionnaire.title", "wake", ""),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status", "completed", "q1"),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status", "amended", ""),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "name", "value", "expected"), QUESTIONS, ids=lambda v: str(v)[:40])
async def test_a_parameter_with_its_modifier_finds(filled, type_, name, value, expected):
    async with opened(filled, size=1) as pool, pool.connection() as connection:
        page = await store.search(connection, type_, [(name, value)])
        assert sorted(one.id for one in page.matches) == expected.split()


@pytest.mark.parametrize(
    ("type_", "name", "value", "error", "says"),
    [
        ("Condition", "code:in", "urn:vs:nowhere", Unsupported, "not known here"),
        ("Condition", "code:in", "urn:vs:regex", Unsupported, "filters by 'regex'"),
        ("Condition", "code:in", "urn:vs:circle", Unsupported, "imports"),
        ("Condition", "code:below", "I10", Incorrect, r"system\|code"),
        ("Condition", "code:below", "urn:other|I10", Unsupported, "hierarchy"),
        ("Condition", "subject:below", "Patient/p", Unsupported, "partOf"),
        ("Condition", "code:nonsense", "x", Unsupported, ":not-in"),
        ("Patient", "_id:exact", "x", Incorrect, "no modifier"),
        ("MolecularSequence", "chromosome-window-coordinate", "7$1", Incorrect, "window-end"),
        ("Observation", "value-quantity:contains", "5", Incorrect, "no modifier"),
    ],
)
async def test_what_cannot_be_answered_says_why(filled, type_, name, value, error, says):
    async with opened(filled, size=1) as pool, pool.connection() as connection:
        with pytest.raises(error, match=says):
            await store.search(connection, type_, [(name, value)])


async def test_a_terminology_service_can_take_over(filled):
    class Elsewhere:
        async def expand(self, connection, url):
            raise TooLarge(f"{url} is too large")

        async def related(self, connection, system, code, *, down):
            return [code, "I11"]

    async with opened(filled, size=1) as pool, pool.connection() as connection:
        asked = Store(terminology=Elsewhere())
        page = await asked.search(connection, "Condition", [("code:below", f"{ICD}|X")])
        assert [one.id for one in page.matches] == ["c-I11"]
        with pytest.raises(TooLarge):
            await asked.search(connection, "Condition", [("code:in", "urn:vs:listed")])


async def test_quantities_are_sorted_by_what_they_measure(filled):
    async with opened(filled, size=1) as pool, pool.connection() as connection:
        page = await store.search(connection, "Observation", [("_id", "g,mg,kg,ug"), ("_sort", "-value-quantity,_id")])
        assert [one.id for one in page.matches] == ["ug", "g", "kg", "mg"]
