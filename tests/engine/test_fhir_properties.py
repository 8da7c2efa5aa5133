"""Whatever arrives: reading and writing are inverse, and validation judges without crashing."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthbrain.errors import Malformed
from healthbrain.fhir import date_interval, definitions, dump, extract, number_interval, parse, validate
from healthbrain.fhir.primitives import primitives
from tests.fhir_samples import BUNDLE, CONDITION, OBSERVATION, PATIENT

NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def written(value: Any) -> str:
    """A JSON text whose numbers are given as text."""
    match value:
        case tuple():
            return str(value[0])
        case list():
            return "[" + " , ".join(written(item) for item in value) + "]"
        case dict():
            return "{" + ",\n".join(f"{json.dumps(k)}: {written(v)}" for k, v in value.items()) + "}"
        case _:
            return json.dumps(value)


TREES = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS.map(lambda text: (text,)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=5))
def test_nothing_is_lost_between_reading_and_writing(tree: dict[str, Any]) -> None:
    text = written(tree)
    again = dump(parse(text))
    assert json.loads(again, parse_float=str, parse_int=str) == json.loads(text, parse_float=str, parse_int=str)
    assert dump(parse(again)) == again


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | TEXTS.map(str.encode)
    | st.dictionaries(NAMES, TREES).map(lambda t: written(t)[:-1].encode())
)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(parse(raw), dict)


def places(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values inside a resource."""
    found = [way] if way else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        found += places(inner, (*way, key))
    return found


OPERATIONS = ("remove", "replace", "rename", "repeat", "swap", "add", "wrap")
JUNK = st.sampled_from(
    [None, True, 0, -1, 1.5, "", " ", "x", "张", "2026-02-30", "#p", "Patient/1", [], {}, [None], [{}], {"id": "x"}]
)


def mutate(resource: dict[str, Any], draw: Any) -> None:
    """One random change somewhere in the resource."""
    ways = places(resource)
    way = draw(st.sampled_from(ways))
    parent: Any = resource
    for part in way[:-1]:
        parent = parent[part]
    last = way[-1]
    operation = draw(st.sampled_from(OPERATIONS))
    match operation:
        case "remove":
            del parent[last]
        case "replace":
            parent[last] = copy.deepcopy(draw(JUNK))
        case "repeat":
            parent[last] = [parent[last], parent[last]]
        case "wrap":
            parent[last] = {"extension": [parent[last]]}
        case "swap":
            other: Any = resource
            for part in draw(st.sampled_from(ways)):
                if isinstance(other, list) and part >= len(other):
                    break
                other = other[part]
            parent[last] = copy.deepcopy(other)
        case _ if isinstance(parent, dict):
            key = draw(
                st.sampled_from(["_" + str(last), "valueString", "extension", "contained", "reference", "bad", "张"])
            )
            parent[key] = parent.pop(last) if operation == "rename" else copy.deepcopy(draw(JUNK))


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([PATIENT, OBSERVATION, CONDITION, BUNDLE]), st.data())
def test_a_mutated_resource_is_valid_and_found_or_has_located_errors(
    resource: dict[str, Any], data: st.DataObject
) -> None:
    mutant = copy.deepcopy(resource)
    for _ in range(data.draw(st.integers(1, 4))):
        if places(mutant):
            mutate(mutant, data.draw)
    before = copy.deepcopy(mutant)
    issues = validate(mutant)
    assert mutant == before
    for issue in issues:
        assert issue.expression
        assert issue.text
        assert "张" not in issue.text + issue.expression
    if not issues:
        extract(mutant)
        assert parse(dump(mutant)) == mutant


@settings(max_examples=300, deadline=None)
@given(st.from_regex(definitions().primitives["dateTime"], fullmatch=True))
def test_every_valid_date_covers_a_span_of_time(text: str) -> None:
    if primitives()["dateTime"].valid(text):
        low, high = date_interval(text)
        assert low is None or high is None or low < high


@settings(max_examples=300, deadline=None)
@given(NUMBERS)
def test_every_number_lies_in_its_interval(text: str) -> None:
    low, high = number_interval(text)
    assert low <= float(text) <= high
    assert number_interval(parse(f'{{"v":{text}}}')["v"]) == (low, high)


@pytest.mark.parametrize("name", sorted(primitives()))
@settings(max_examples=60, deadline=None)
@given(
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.lists(st.none())
    | st.dictionaries(TEXTS, TEXTS)
)
def test_a_primitive_judges_any_value(name: str, value: Any) -> None:
    assert primitives()[name].valid(value) in {True, False}
