"""The official R4 examples: each goes in, comes back equal, and is found by everything that was extracted from it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.store_samples import context, opened, put

from healthbrain.fhir import extract, parse, validate
from healthbrain.fhir.values import DateRange, Number, Reference, Text, Token, Uri
from healthbrain.store import Store

store = Store()


def escaped(value: str) -> str:
    for character in "\\,|$":
        value = value.replace(character, "\\" + character)
    return value


def questions(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    values = extract(resource)
    yield from ((t.param, f"{escaped(t.system)}|{escaped(t.code)}") for t in values.tokens if t.code)
    yield from ((t.param, escaped(t.code)) for t in values.tokens if t.code)
    yield from ((r.param, f"{r.type}/{r.id}") for r in values.references if r.id)
    yield from ((f"{r.param}:identifier", escaped(r.value)) for r in values.references if r.value)
    yield from ((t.param, escaped(t.value)) for t in values.texts if t.value.strip())
    yield from ((f"{t.param}:exact", escaped(t.value)) for t in values.texts if t.value.strip())
    yield from ((u.param, escaped(u.value)) for u in values.uris)
    yield from ((n.param, f"ap{n.value!r}") for n in values.numbers)
    yield from ((d.param, d.low.strftime("ge%Y-%m-%d")) for d in values.dates if d.low)
    yield from ((p.param, f"{p.latitude!r}|{p.longitude!r}|1|km") for p in values.positions)
    for composite in values.composites:
        parts = [part(one) for one in composite.parts]
        if all(parts):
            yield composite.param, "$".join(parts)


def part(value: Any) -> str:
    """One part of a composite as it is asked for; '' for what cannot be written."""
    match value:
        case Token():
            return f"{escaped(value.system)}|{escaped(value.code)}" if value.code else ""
        case Reference():
            return f"{value.type}/{value.id}" if value.id else escaped(value.url)
        case Uri() | Text():
            return escaped(value.value)
        case Number():
            return f"ap{value.value!r}"
        case DateRange():
            return value.low.strftime("ge%Y-%m-%d") if value.low else ""
    return ""


@pytest.mark.suite
@pytest.mark.anyio
async def test_every_example_is_found_by_each_of_its_values(dsn, suites):
    kept = asked = 0
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        with tarfile.open(suites / "fhir-r4-examples.tar.gz") as archive:
            bodies = [archive.extractfile(m).read() for m in archive if m.name.endswith(".json")]  # type: ignore[union-attr]  # files only
        for resource in map(parse, bodies):
            if validate(resource) or "id" not in resource:
                continue
            await store.write(connection, [put(resource)], context(), validated=True)
            found = (await store.read(connection, resource["resourceType"], resource["id"])).resource
            del found["meta"]["versionId"], found["meta"]["lastUpdated"]
            expected = resource | {
                "meta": {k: v for k, v in resource.get("meta", {}).items() if k not in {"versionId", "lastUpdated"}}
            }
            assert found == expected
            kept += 1
            for question in dict.fromkeys(questions(resource)):
                page = await store.search(connection, resource["resourceType"], [question, ("_id", resource["id"])])
                assert page.matches, (resource["resourceType"], resource["id"], question)
                asked += 1
    assert kept > 300
    assert asked > 3000
