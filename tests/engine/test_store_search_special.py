"""What R4 has beside plain parameters: near, sources by their beginning, functional lists."""

from __future__ import annotations

import asyncio
from math import asin, cos, radians, sin, sqrt
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.store import Store
from tests.engine.store_samples import context, opened, put

store = Store()
pytestmark = pytest.mark.anyio


async def found(connection: Any, type_: str, *asked: tuple[str, str]) -> list[str]:
    return sorted(one.id for one in (await store.search(connection, type_, list(asked))).matches)


# -- near

PLACES = {
    "xiayang": (31.15, 121.12), "zhujiajiao": (31.11, 121.05), "xuhui": (31.19, 121.44), "fiji": (-17.0, 179.9),
    "taveuni": (-16.8, -179.95), "pole": (89.99, 10.0), "beyond": (89.99, -170.0),
}  # fmt: skip


def place(id_: str, latitude: float, longitude: float) -> dict[str, Any]:
    return {"resourceType": "Location", "id": id_, "position": {"latitude": latitude, "longitude": longitude}}


ASKED = {
    "31.15|121.12|1": "xiayang",
    "31.15|121.12|10|km": "xiayang zhujiajiao",
    "31.15|121.12|10000|m": "xiayang zhujiajiao",
    "31.15|121.12|6|[mi_us]": "xiayang zhujiajiao",
    "31.15|121.12": "xiayang xuhui zhujiajiao",
    "31.15|121.12|1,31.19|121.44|1": "xiayang xuhui",
    "-17|180|50": "fiji taveuni",
    "90|0|5": "beyond pole",
    "0|0|30000": "beyond fiji pole taveuni xiayang xuhui zhujiajiao",
    "0|0|1": "",
}
WRONG = [
    "31",
    "31|",
    "91|0",
    "0|181",
    "x|0",
    "nan|0",
    "0|inf",
    "0|0|-1",
    "0|0|1|kg",
    "0|0|gt1",
    "0|0|x|km",
    "1|2|3|km|5",
]


async def test_places_are_found_by_their_distance(dsn):
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        nowhere = {"resourceType": "Location", "id": "nowhere", "name": "x"}
        device = {"resourceType": "Device", "id": "d", "location": {"reference": "Location/xiayang"}}
        places = [place(id_, *at) for id_, at in PLACES.items()]
        await store.write(connection, [put(one) for one in (*places, nowhere, device)], context())
        for asked, expected in ASKED.items():
            assert await found(connection, "Location", ("near", asked)) == expected.split(), asked
            through = ["d"] if "xiayang" in expected else []
            assert await found(connection, "Device", ("location.near", asked)) == through
        assert await found(connection, "Location", ("near:missing", "true")) == ["nowhere"]
        for asked in WRONG:
            with pytest.raises(Incorrect, match="near"):
                await found(connection, "Location", ("near", asked))


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Along a great circle, in km, by another formula than the store's: the chord between two points of a sphere."""
    (a, b), (c, d) = one, other
    points = [
        (cos(radians(y)) * cos(radians(x)), cos(radians(y)) * sin(radians(x)), sin(radians(y)))
        for y, x in ((a, b), (c, d))
    ]
    chord = sqrt(sum((p - q) ** 2 for p, q in zip(*points, strict=True)))
    return 2 * 6371.0088 * asin(min(1.0, chord / 2))


def test_near_is_what_measuring_every_place_finds(dsn):
    degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180))

    @tried(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(st.lists(degrees, min_size=30, max_size=30), degrees, st.sampled_from([1, 100, 3000, 9000, 19000]))
    def check(places: list[tuple[float, float]], here: tuple[float, float], far: int) -> None:
        asyncio.run(_check(dsn, places, here, far))

    check()


async def _check(dsn: str, places: list[tuple[float, float]], here: tuple[float, float], far: int) -> None:
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await store.write(connection, [put(place(f"l{n}", *at)) for n, at in enumerate(places)], context())
        asked = f"{here[0]:.12f}|{here[1]:.12f}|{far}|km"
        answer = set(await found(connection, "Location", ("near", asked), ("_count", "1000")))
        for n, at in enumerate(places):
            length = distance(at, here)
            if abs(length - far) > 0.01:
                assert (f"l{n}" in answer) == (length < far), (at, here, far)
        await connection.rollback()


# -- sources


async def test_a_source_is_found_by_the_beginning_of_its_path(dsn):
    sources = {
        "a": "http://his.example.org/fhir/Bundle/1#x", "b": "http://his.example.org/fhir/Bundle/2",
        "c": "http://his.example.org/other", "d": "urn:his:a:1", "e": "http://his.example.org.cn/fhir",
    }  # fmt: skip
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        patients = [{"resourceType": "Patient", "id": id_, "meta": {"source": s}} for id_, s in sources.items()]
        await store.write(connection, [put(one) for one in patients], context())
        for asked, expected in (
            ("http://his.example.org", "a b c"), ("http://his.example.org/", "a b c"), ("http://his.example.org/fhir", "a b"),
            ("http://his.example.org/fhir/Bundle/1", "a"), ("http://his.example.org/fhir/Bundle/2", "b"), ("urn:his", "d"),
            ("urn:his:a:1", "d"), ("http://his", ""), ("urn:his:a:1:2", ""), ("http://his.example.org/other,urn:his", "c d"),
        ):  # fmt: skip
            assert await found(connection, "Patient", ("_source:below", asked)) == expected.split(), asked
        assert await found(connection, "Patient", ("_source:above", "http://his.example.org/other/x")) == ["c"]
        assert await found(connection, "Patient", ("_source", "http://his.example.org/fhir/Bundle/2")) == ["b"]


async def test_a_named_query_is_refused_with_what_to_do(dsn):
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        with pytest.raises(Unsupported, match="_filter"):
            await found(connection, "Patient", ("_query", "everybody"))


# -- functional lists


def stated(type_: str, id_: str, clinical: str, verification: str = "confirmed", **more: Any) -> dict[str, Any]:
    def concept(code: str) -> dict[str, Any]:
        return {"coding": [{"code": code}]}

    return {"resourceType": type_, "id": id_, "clinicalStatus": concept(clinical),
            "verificationStatus": concept(verification), **more}  # fmt: skip


def prescribed(type_: str, id_: str, status: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": type_, "id": id_, "status": status, "subject": {"reference": "Patient/p"}, **more}


async def test_lists_of_what_is_current_are_computed(dsn):
    made = [
        stated("Condition", "c1", "active"), stated("Condition", "c2", "relapse"), stated("Condition", "c3", "resolved"),
        stated("Condition", "c4", "active", "refuted"),
        stated("AllergyIntolerance", "a1", "active", category=["medication"]),
        stated("AllergyIntolerance", "a2", "active", category=["food"]), stated("AllergyIntolerance", "a3", "inactive"),
        stated("AllergyIntolerance", "a4", "active", "entered-in-error", category=["medication"]),
        prescribed("MedicationRequest", "m1", "active", intent="order"),
        prescribed("MedicationRequest", "m2", "active", intent="plan"),
        prescribed("MedicationRequest", "m3", "stopped", intent="order"),
        prescribed("MedicationStatement", "m4", "active"), prescribed("MedicationStatement", "m5", "completed"),
    ]  # fmt: skip
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await store.write(connection, [put(one) for one in made], context(), validated=True)
        for type_, name, expected in (
            ("Condition", "problems", "c1 c2"), ("AllergyIntolerance", "allergies", "a1 a2"),
            ("AllergyIntolerance", "drug-allergies", "a1"), ("MedicationRequest", "medications", "m1"),
            ("MedicationStatement", "medications", "m4"), ("Condition", "medications", ""),
        ):  # fmt: skip
            assert await found(connection, type_, ("_list", f"$current-{name}")) == expected.split(), name
        asked = [
            ("_list", "$current-medications,$current-drug-allergies"),
            ("_type", "AllergyIntolerance,MedicationRequest"),
        ]
        page = await store.search(connection, None, asked)
        assert sorted(one.id for one in page.matches) == ["a1", "m1"]
        assert await found(connection, "MedicationRequest", ("_list", "$current-medications"), ("patient", "q")) == []
