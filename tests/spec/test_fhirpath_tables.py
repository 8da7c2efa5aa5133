"""The tables of fhirpath.md, executed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from healthbrain.fhir import parse
from healthbrain.fhir.fhirpath import Unanswerable, Unreadable, compile
from healthbrain.fhir.fhirpath.functions.conversion import to_string
from healthbrain.fhir.fhirpath.nodes import system

PATIENT = parse("""{
  "resourceType": "Patient", "id": "p1", "active": true, "gender": "male", "birthDate": "1961-03-05",
  "name": [
    {"use": "official", "text": "张伟", "_given": [
      {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}]},
    {"use": "old", "text": "张小伟"}],
  "telecom": [
    {"system": "phone", "use": "mobile", "value": "13800000000", "rank": 1},
    {"system": "phone", "use": "home", "value": "021-60000000", "rank": 2}],
  "managingOrganization": {"reference": "Organization/org-QP00"}}""")


def _component(code: str, value: str, unit: str) -> str:
    coding = f'{{"system": "http://loinc.org", "code": "{code}"}}'
    quantity = f'"value": {value}, "unit": "{unit}", "system": "http://unitsofmeasure.org", "code": "{unit}"'
    return f'{{"code": {{"coding": [{coding}]}}, "valueQuantity": {{{quantity}}}}}'


OBSERVATION = parse(
    '{"resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-03-10T09:30:00+08:00",'
    ' "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "component": ['
    + ", ".join(
        (
            _component("8480-6", "150", "mm[Hg]"),
            _component("8462-4", "95", "mm[Hg]"),
            _component("8310-5", "38.5", "Cel"),
        )
    )
    + "]}"
)
AT = datetime(2026, 11, 22, 8, 30, tzinfo=timezone(timedelta(hours=8)))
ROW = re.compile(r"^\| `(?P<expression>.+)` \| (?P<answer>.+) \|$", re.MULTILINE)
TABLES = Path(__file__).with_name("fhirpath.md").read_text(encoding="utf-8")


def _shown(item: Any) -> str:
    return to_string(system(item)) or "an element"


def _answer(text: str) -> str:
    resource = OBSERVATION if text.startswith("Observation") else PATIENT
    try:
        found = compile(text).items(resource, at=AT)
    except (Unanswerable, Unreadable):
        return "error"
    return ", ".join(map(_shown, found)) or "empty"


@pytest.mark.parametrize(("expression", "answer"), ROW.findall(TABLES), ids=str)
def test_expression_answers_as_the_table_says(expression: str, answer: str) -> None:
    assert _answer(expression) == answer


def test_every_row_of_the_tables_is_executed() -> None:
    rows = [line for line in TABLES.splitlines() if line.startswith("| `")]
    assert len(rows) == len(ROW.findall(TABLES)) > 80
