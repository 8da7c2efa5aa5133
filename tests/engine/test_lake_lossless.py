"""Nothing of a resource is lost in the lake: all 146 types (148 with the two abstract ones), every element, every choice, whatever comes.

The claim has two halves. `_body` is the resource byte for byte. Every typed column equals what the body says at its
place: texts, codes and whole numbers exactly, decimals as the nearest double (15 digits or more), JSON columns as the
JSON they are. What has no column (ids and extensions of inner elements, extensions of primitives, elements below their
own kind) is in a JSON column or in `_body`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthbrain.fhir import definitions, dump
from healthbrain.fhir.primitives import is_primitive
from healthbrain.lake.columns import Field, fields_of
from tests.engine.test_fhir_forms import resources
from tests.engine.test_lake_views import expected_value, lake_of, without_nulls

AT = datetime(2026, 11, 20, tzinfo=UTC)
SAMPLES: dict[str, Any] = {
    "boolean": True,
    "integer": -7,
    "unsignedInt": 0,
    "positiveInt": 2147483647,
    "decimal": 72.5,
    "date": "2026-02-28",
    "dateTime": "2026-02-28T08:30:00.125+08:00",
    "instant": "2026-02-28T08:30:00Z",
    "time": "08:30:00",
    "id": "x-1.2",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">张&amp;<b>"伟"</b></div>',
}
DEPTH = 4


def filled(type_: str, choice: int, depth: int = 0) -> dict[str, Any]:
    """Every element of a type, lists with two items, of each choice the one of this number; down to a depth."""
    found: dict[str, Any] = {}
    for element in definitions().type(type_).elements.values():
        keys = list(element.keys().items())
        key, one = keys[choice % len(keys)]
        value = _sample(one.code, one.shape, choice, depth)
        if value is not None:
            found[key] = [value, value] if element.repeats else value
    return found


def _sample(code: str, shape: str, choice: int, depth: int) -> Any:
    if is_primitive(code):
        return SAMPLES.get(code, '一 "quoted" \\ text, with 𠮷 and 1.10')
    if depth >= DEPTH:
        return None
    if code == "Resource":
        return {"resourceType": "Basic", "code": {"text": "inside"}, "extension": [{"url": "u", "valueDecimal": 1.50}]}
    return filled(shape, choice, depth + 1) or None


def agrees(got: Any, wanted: Any) -> bool:
    """The same, with numbers compared as numbers."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(agrees(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(agrees, got, wanted))
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        return not isinstance(got, (bool, str)) and got is not None and float(got) == float(wanted)
    return bool(got == wanted)


def shown(field: Field, value: Any) -> Any:
    """What a column must hold of a value of the body: nothing of elements that have no column."""
    return without_nulls(expected_value(value, field))


def check(folder: Path, found: list[dict[str, Any]], bodies: list[bytes]) -> int:
    """Write the resources, read them back; returns how many column values were compared."""
    connection = lake_of(folder, found, bodies).connect()
    compared = 0
    for type_ in sorted({one["resourceType"] for one in found}):
        rows = connection.execute(f'select _id, _body, to_json(t) from "{type_}" t').fetchall()
        assert len(rows) == sum(one["resourceType"] == type_ for one in found)
        for number, body, typed in rows:
            assert body.encode() == bodies[int(number)]
            resource, row = json.loads(body), json.loads(typed)
            for field in fields_of(type_):
                if field.name not in resource:
                    assert row[field.name] is None, (type_, field.name)
                    continue
                compared += 1
                wanted = shown(field, resource[field.name])
                assert agrees(without_nulls(row[field.name]), wanted), (type_, field.name)
    connection.close()
    return compared


@pytest.mark.parametrize("choice", range(3))
def test_every_element_of_all_types_is_in_its_column_and_in_the_body(tmp_path: Path, choice: int) -> None:
    assert len(definitions().types) == 146
    found = [{"resourceType": type_, **filled(type_, choice)} for type_ in definitions().types]
    compared = check(tmp_path, found, [dump(one) for one in found])
    assert compared > 146 * 15


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(found=st.lists(resources(), min_size=6, max_size=10))
def test_whatever_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, Any]]
) -> None:
    check(tmp_path_factory.mktemp("lake"), found, [dump(one) for one in found])


def test_items_that_nest_in_themselves_are_json_below_the_first_and_whole_in_the_body(tmp_path: Path) -> None:
    item: dict[str, Any] = {"linkId": "leaf", "text": "1.10"}
    for level in range(40):
        item = {"linkId": f"l{level}", "item": [item]}
    form = {"resourceType": "Questionnaire", "status": "draft", "item": [item]}
    contains: dict[str, Any] = {"code": "leaf"}
    for level in range(40):
        contains = {"code": f"c{level}", "contains": [contains]}
    values = {"resourceType": "ValueSet", "status": "draft", "expansion": {"timestamp": "2026", "contains": [contains]}}
    check(tmp_path, [form, values], [dump(form), dump(values)])


def test_decimals_keep_their_digits_in_the_body_and_are_the_nearest_double_in_their_column(tmp_path: Path) -> None:
    written = ["72.50", "0.1", "123456789012345678.125", "-0.000", "1e-7", "6.02214076e23", "1e400"]
    bodies = [
        f'{{"resourceType":"Observation","status":"final","valueQuantity":{{"value":{digits}}}}}'.encode()
        for digits in written
    ]
    lake = lake_of(tmp_path, [{"resourceType": "Observation"} for _ in bodies], bodies)
    connection = lake.connect()
    found = connection.execute("select _id, _body, valueQuantity.value from Observation").fetchall()
    connection.close()
    assert len(found) == len(written)
    for number, body, value in found:
        assert f'"value":{written[int(number)]}}}' in body
        assert value == float(written[int(number)])
