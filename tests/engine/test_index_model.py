"""The food-safety index: only its library is read, bounds hold, components make up the value, months that warn are named."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake import Lake, engine, library, warehouse
from healthbrain.lake.manifest import Manifest, swap, writer
from healthbrain.lake.parts import Row, Spool, write_part
from healthbrain.measure import models
from healthbrain.measure.models import Part, Value
from healthbrain.store import patient_key

AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
MODEL = models.model("food-safety-index")
ICD10, FINDING = "urn:oid:2.16.156.10011.2.3.3.11", "urn:healthbrain:cs:finding"
TOWN, OTHER = "310118001", "310118002"


def raw() -> dict[str, Any]:
    text = (resources.files("healthbrain.measure.models") / "food-safety-index.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_model_reads_only_its_library_and_names_what_it_reads() -> None:
    assert MODEL.inputs == (
        "food-safety.case", "food-safety.exposure", "food-safety.pathogen", "food-safety.report", "food-safety.resident",
    )  # fmt: skip
    assert {library.find(*one.split(".")).library for one in MODEL.inputs} == {"food-safety"}
    assert [one.id for one in models.reading("food-safety.case")] == ["food-safety-index"]
    assert models.reading("emr.diagnosis") == []


@pytest.mark.parametrize("view", ["emr_diagnosis", "population_resident", "medical_service_visit", "Condition"])
@pytest.mark.parametrize("part", ["above", "below"])
def test_a_statement_over_a_view_of_another_library_is_refused(view: str, part: str) -> None:
    wrong = copy.deepcopy(raw())
    wrong["components"][0][part] = f"select '' as month, '' as area, count(*) as n from {view}"
    with pytest.raises(Incorrect, match="no view of the model's library"):
        models.model_of(wrong, "x.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"above": "select * from read_parquet('x')"}, "function"),
        ({"below": "select 1; drop table x"}, "no single"),
        ({"weight": 0}, "a weight"),
        ({"best": 5, "worst": 5}, "differ"),
    ],
    ids=["file", "two", "weight", "limits"],
)
def test_a_component_with_a_fault_is_refused(change: dict[str, Any], message: str) -> None:
    wrong = copy.deepcopy(raw())
    wrong["components"][0].update(change)
    with pytest.raises(Incorrect, match=message):
        models.model_of(wrong, "x.yaml")


def lake_of(folder: Path, *found: dict[str, Any]) -> None:
    """A lake of these resources, with the themes made."""
    connection = engine.connect(folder / "scratch")
    with writer(folder), Spool(folder / "spool") as spool:
        for one in found:
            about = one["id"] if one["resourceType"] == "Patient" else one["subject"]["reference"].partition("/")[2]
            body = json.dumps(one).encode()
            spool.add(Row(one["resourceType"], one["id"], 1, AT, False, 1, patient_key(about), None, "1.1.1", body))
        spool.close()
        parts = {type_: (write_part(connection, folder, type_, spool),) for type_ in spool.rows}
        swap(folder, Manifest(), Manifest(position="1.1.1", parts=parts, at=AT), AT)
    connection.close()
    assert warehouse.rebuild(folder, AT).failed == 0


def person(number: int, town: str = TOWN) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": f"p{number}",
        "extension": [{"url": "urn:healthbrain:ext:registration", "valueString": "310118"}],
        "address": [{"extension": [{"url": "urn:healthbrain:ext:division", "valueString": town}]}],
    }  # fmt: skip


def case(number: int, on: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": f"c{number}", "subject": {"reference": f"Patient/p{number}"}, "encounter": {"reference": "Encounter/e"},
        "code": {"coding": [{"system": ICD10, "code": "A05.9"}]}, "recordedDate": on,
    }  # fmt: skip


def noted(number: int, code: str, value: str, at: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"{code}-{number}", "status": "final", "subject": {"reference": f"Patient/p{number}"},
        "code": {"coding": [{"system": FINDING, "code": code}]}, "effectiveDateTime": at,
        "valueCodeableConcept": {"coding": [{"system": FINDING, "code": value}]}, **more,
    }  # fmt: skip


def place(code: str) -> list[dict[str, Any]]:
    return [{
        "code": {"coding": [{"system": FINDING, "code": "food-place"}]},
        "valueCodeableConcept": {"coding": [{"system": FINDING, "code": code}]},
    }]  # fmt: skip


def found_on(number: int, found: str, issued: str) -> dict[str, Any]:
    one = noted(number, "infectious-report", "x", found, issued=issued)
    return {**one, "valueCodeableConcept": {"coding": [{"system": ICD10, "code": "A03.9"}]}}


def test_the_index_is_what_its_components_say_by_town_and_month(tmp_path: Path) -> None:
    people = [person(n, TOWN if n < 8 else OTHER) for n in range(10)]
    cluster = [
        noted(n, "food-exposure", "food-seafood", "2026-10-03", component=place("place-stall")) for n in range(3)
    ]
    lake_of(
        tmp_path, *people, *(case(n, "2026-10-05") for n in range(4)), *cluster,
        noted(4, "food-exposure", "food-meat", "2026-10-04", component=place("place-home")),
        noted(1, "food-pathogen", "pathogen-none", "2026-10-04"), noted(2, "food-pathogen", "pathogen-vibrio", "2026-10-04"),
        found_on(1, "2026-10-05T08:00:00+08:00", "2026-10-05T20:00:00+08:00"),
        found_on(2, "2026-10-05T08:00:00+08:00", "2026-10-07T20:00:00+08:00"),
    )  # fmt: skip
    computed = models.compute(MODEL, tmp_path, AT)
    values = {(one.month, one.area): one for one in computed.values}
    october = values["2026-10", TOWN]
    parts = {one.component: one for one in october.parts}
    assert (parts["case_rate"].above, parts["case_rate"].below, parts["case_rate"].value) == (4, 8, 50_000)
    assert parts["case_rate"].score == 0
    assert (parts["clusters"].above, parts["clusters"].below, parts["clusters"].value) == (1, 4, 25)
    assert parts["positivity"].value == 50
    assert parts["positivity"].score == pytest.approx(100 * 10 / 60)
    assert (parts["concentration"].above, parts["concentration"].below) == (9 + 1, 16)
    assert parts["concentration"].value is None  # of four asked it says nothing
    assert (parts["timeliness"].value, parts["timeliness"].score) == (50, 0)
    expected = sum(one.weight * (parts[one.id].score or 0) for one in MODEL.components) / 90
    assert october.value == pytest.approx(expected)
    assert (october.known, october.complete) == (90, True)
    quiet = values["2026-10", OTHER]  # nobody was asked or tested there: 30 of 100 is too little to say anything
    assert (quiet.value, quiet.known) == (None, 30)
    assert {one.component: one.score for one in quiet.parts}["case_rate"] == 100
    assert values["2026-10", ""].parts[0].below == 10
    assert not values["2026-11", TOWN].complete
    assert len({month for month, _ in values}) == MODEL.months
    assert computed.as_of == AT


def test_values_lie_between_0_and_100_whatever_the_counts_are() -> None:
    for one in MODEL.components:
        for above in (0, 1, 5, 1e9):
            value = one.value(above, 30)
            assert value is not None
            assert 0 <= one.score(value) <= 100
        assert one.value(1, 0) is None
        assert one.score(one.best) == 100
        assert one.score(one.worst) == 0


def test_a_low_value_and_a_fall_warn_and_nothing_else() -> None:
    series = [
        Value(month, "", value, 100, (Part("case_rate", 0, 1, 0, 100),), complete=True)
        for month, value in (("1", 90.0), ("2", 85.0), ("3", None), ("4", 74.0), ("5", 59.0), ("6", 61.0))
    ]
    assert models.warnings(MODEL, series) == {"4": "fall", "5": "low"}
    assert models.warnings(replace(MODEL, warn_below=0, warn_fall=1000), series) == {}


def test_without_the_library_there_is_no_value_and_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not been made"):
        models.compute(MODEL, tmp_path, AT)
    assert Lake(tmp_path).state().parts == {}
