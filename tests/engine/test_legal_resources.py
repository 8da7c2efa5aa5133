"""Resources nobody would write, but R4 allows: valid, the same in JSON and XML, kept to the last digit, and found.

The oracle of the searches evaluates each parameter's expression as R4 publishes it with the FHIRPath evaluator, which
shares nothing with the compiled paths that the store extracts by.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from healthbrain.fhir import definitions, dump, parse, validate
from healthbrain.fhir.xml import from_xml, to_xml
from healthbrain.store import Store
from healthbrain.store.parameters import values_of
from tests.engine.legal_resources import legal
from tests.engine.store_samples import context, opened, put

store = Store()
FIRST = Random().randrange(1 << 40) if os.environ.get("HB_TEST_EXPLORE") else 0
EACH = 4  # resources of each type
# docs/spec-readings.md#composition-and-message-of-bundle; a canonical is a uri to FHIRPath, not to `target-uri`
READ_OTHERWISE = {
    ("Bundle", "composition"),
    ("Bundle", "message"),
    ("ConceptMap", "target-uri"),
    ("ConceptMap", "source-uri"),
}
STORED = 4  # of these in the database


def digits(resource: Any) -> Any:
    """A resource with its numbers as the text they are written with."""
    return json.loads(dump(resource), parse_float=str, parse_int=str)


@pytest.mark.parametrize("number", range(EACH))
def test_a_legal_resource_is_valid_and_the_same_in_json_and_xml(number: int) -> None:
    for type_ in definitions().types:
        seed = f"{type_} {FIRST + number}"
        resource = legal(type_, Random(seed))
        assert [one for one in validate(resource) if one.severity in ("error", "fatal")] == [], seed
        assert digits(parse(dump(resource))) == digits(resource), seed
        raw = to_xml(resource)
        assert digits(from_xml(raw)) == digits(resource), seed
        assert to_xml(from_xml(raw)) == raw, seed


@pytest.mark.anyio
async def test_a_legal_resource_is_kept_as_it_was_and_found_by_each_of_its_values(dsn: str) -> None:
    known: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    asked_for = 0
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        for type_ in definitions().types:
            for number in range(STORED):
                resource = legal(type_, Random(f"{type_} {FIRST + number}")) | {"id": f"legal-{number}"}
                known[type_][f"legal-{number}"] = resource
        everything = [put(one) for some in known.values() for one in some.values()]
        await store.write(connection, everything, context(invariants=False))
        for type_, some in known.items():
            for id_, resource in some.items():
                found = (await store.read(connection, type_, id_)).resource
                for name in ("versionId", "lastUpdated"):
                    del found["meta"][name]
                if not found["meta"]:
                    del found["meta"]
                assert digits(found) == digits(resource), (type_, id_)
            expected: dict[tuple[str, str], set[str]] = defaultdict(set)
            for id_, resource in some.items():
                for question in _questions(type_, resource):
                    expected[question].add(id_)
            for question, ids in expected.items():
                page = await store.search(connection, type_, [question])
                assert {one.id for one in page.matches} == ids, (type_, FIRST, question)
                asked_for += 1
    assert asked_for > 800


NUMBERS = [
    "1e400",
    "-1e400",
    "1e-400",
    "0.00",
    "1E+5",
    "123456789012345678901234567890",
    "5.0e-324",
    "1.7976931348623157e308",
]
SAMPLES = ["x", "nan inf", "1_0", "1e400 2", "E U L", " ", "1 -2.5 3e2"]
INSTANTS = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "2026-02-03T23:59:60Z",
    "2026-06-30T10:00:00.123456789+14:00",
]


@pytest.mark.anyio
async def test_numbers_and_times_at_the_edges_are_kept_searched_and_sorted(dsn: str) -> None:
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        head = '"resourceType":"Observation","status":"final","code":{"text":"x"}'
        for n, number in enumerate(NUMBERS):
            value = f'{{"value":{number},"system":"http://unitsofmeasure.org","code":"kg"}}'
            resource = parse(f'{{{head},"id":"n{n}","valueQuantity":{value}}}')
            await store.write(connection, [put(resource)], context())
            assert f'"value":{number},'.encode() in (await store.read(connection, "Observation", f"n{n}")).body
        for n, data in enumerate(SAMPLES):
            value = f'{{"origin":{{"value":1}},"period":1,"dimensions":1,"data":"{data}"}}'
            resource = parse(f'{{{head},"id":"s{n}","valueSampledData":{value}}}')
            await store.write(connection, [put(resource)], context())
        for asked in ("gt0", "lt0", "ap5", "ge1e300", "0", "le1|http://unitsofmeasure.org|g", "ne1e-300"):
            for sort in ("value-quantity", "-value-quantity"):
                question = [("value-quantity", asked), ("_sort", sort), ("_count", "2")]
                page = await store.search(connection, "Observation", question)
                if page.next:
                    await store.search(connection, "Observation", [*question, ("_cursor", page.next)])
        for n, (born, died) in enumerate((b, d) for b in ("0001", "9999-12-31", "0001-01-01") for d in INSTANTS):
            patient = {"resourceType": "Patient", "id": f"d{n}", "birthDate": born, "deceasedDateTime": died}
            await store.write(connection, [put(patient)], context())
        for asked in ("0001", "9999", "gt0001", "lt9999", "sa0001", "eb9999-12-31", "ap2000", "ap0001", "ap9999-12-31"):
            for name in ("birthdate", "death-date"):
                await store.search(connection, "Patient", [(name, asked), ("_sort", f"-{name}")])


def _questions(type_: str, resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What asks for exactly the resources that have a value, by the published expressions."""
    for code, parameter in definitions().search_parameters(type_).items():
        if not parameter.paths or parameter.type == "composite" or (type_, code) in READ_OTHERWISE:
            continue
        if ".where(resolve() is" in parameter.expression:
            continue
        values = values_of(parameter, resource)
        for token in values.tokens:
            if token.code:
                yield code, _escaped(token.code)
        for reference in values.references:
            if reference.id:
                yield code, f"{reference.type}/{reference.id}"
            elif reference.value:
                yield f"{code}:identifier", f"{_escaped(reference.system)}|{_escaped(reference.value)}"
        yield from ((f"{code}:exact", _escaped(text.value)) for text in values.texts)
        yield from ((code, _escaped(uri.value)) for uri in values.uris)


def _escaped(value: str) -> str:
    for character in "\\,|$":
        value = value.replace(character, f"\\{character}")
    return value
