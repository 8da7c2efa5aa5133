"""_contained and _containedType: contained resources are found by every parameter, and what contains them is shown."""

from __future__ import annotations

from typing import Any

import pytest

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.scope import Scope
from healthbrain.store import Store
from tests.engine.store_samples import context, opened, put

store = Store()
pytestmark = pytest.mark.anyio
ATC = "http://www.whocc.no/atc"


def medication(id_: str, code: str, lot: str = "", expires: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Medication",
        "id": id_,
        "code": {"coding": [{"system": ATC, "code": code, "display": "阿莫西林"}]},
    }
    batch = {name: value for name, value in (("lotNumber", lot), ("expirationDate", expires)) if value}
    return made | ({"batch": batch} if batch else {})


def request(id_: str, *contained: dict[str, Any], patient: str = "p") -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest", "id": id_, "status": "active", "intent": "order",
        "subject": {"reference": f"Patient/{patient}"}, "medicationReference": {"reference": f"#{contained[0]['id']}"},
        "contained": list(contained),
    }  # fmt: skip


async def filled(connection: Any) -> None:
    parts = {"resourceType": "Medication", "id": "mix", "ingredient": [{"itemReference": {"reference": "#b"}}],
             "contained": [medication("b", "X")]}  # fmt: skip
    made = [
        medication("own", "J01"),
        request("r1", medication("m", "J01", "lot-1", "2026-05-01")),
        request("r2", medication("m", "N02"), medication("n", "J01", "lot-2", "2028-01")),
        parts,
    ]
    await store.write(connection, [put(one) for one in made], context(invariants=False))
    await store.write(connection, [put(request("far", medication("m", "J01")))], context(owner=2, invariants=False))


async def shown(connection: Any, *asked: tuple[str, str], **more: Any) -> list[str]:
    page = await store.search(connection, "Medication", list(asked), **more)
    return [f"{one.inside}#{one.id}" if one.inside else f"{one.type}/{one.id}" for one in page.matches]


ASKED: list[tuple[list[tuple[str, str]], str]] = [
    ([("code", "J01")], "Medication/own"),
    ([("code", "J01"), ("_contained", "false")], "Medication/own"),
    ([("code", "J01"), ("_contained", "true")], "MedicationRequest/r1 MedicationRequest/r2 MedicationRequest/far"),
    ([("code", f"{ATC}|J01"), ("_contained", "both")], "Medication/own MedicationRequest/r1 MedicationRequest/r2 MedicationRequest/far"),
    ([("code", "J01"), ("_contained", "true"), ("_containedType", "contained")], "MedicationRequest/r1#m MedicationRequest/r2#n MedicationRequest/far#m"),
    ([("lot-number", "lot-2"), ("_contained", "true"), ("_containedType", "contained")], "MedicationRequest/r2#n"),
    ([("expiration-date", "lt2027"), ("_contained", "true"), ("_containedType", "contained")], "MedicationRequest/r1#m"),
    ([("code:text", "阿莫"), ("code:not", "J01"), ("_contained", "true"), ("_containedType", "contained")], "MedicationRequest/r2#m Medication/mix#b"),
    ([("lot-number:missing", "true"), ("_contained", "true"), ("_containedType", "contained")], "MedicationRequest/r2#m Medication/mix#b MedicationRequest/far#m"),
    ([("_id", "n"), ("_contained", "true"), ("_containedType", "contained")], "MedicationRequest/r2#n"),
    ([("ingredient:missing", "false"), ("_contained", "true")], ""),
]  # fmt: skip


async def test_contained_resources_are_found_by_any_parameter(dsn: str) -> None:
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await filled(connection)
        for asked, expected in ASKED:
            assert await shown(connection, *asked) == expected.split(), asked
            following, everything = "", list[str]()
            while True:
                page = await store.search(
                    connection,
                    "Medication",
                    [*asked, ("_count", "1"), *([("_cursor", following)] if following else [])],
                )
                everything += [
                    f"{one.inside}#{one.id}" if one.inside else f"{one.type}/{one.id}" for one in page.matches
                ]
                if not page.next:
                    break
                following = page.next
            assert list(dict.fromkeys(everything)) == expected.split(), asked
        inside = [("_contained", "both"), ("_total", "accurate"), ("code", "J01")]
        assert (await store.search(connection, "Medication", inside)).total == 4
        assert (await store.search(connection, "Medication", [*inside, ("_summary", "count")])).total == 4


async def test_what_is_contained_is_as_open_as_what_contains_it(dsn: str) -> None:
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await filled(connection)
        asked = [("code", "J01"), ("_contained", "true")]
        assert await shown(connection, *asked, scope=Scope((2,), ())) == ["MedicationRequest/far"]
        scopes = {"Medication": Scope((1, 2), ()), "MedicationRequest": Scope((1,), ())}
        found = await shown(connection, *asked, scope=scopes)
        assert found == ["MedicationRequest/r1", "MedicationRequest/r2"]
        assert await shown(connection, *asked, scope={"Medication": Scope((1, 2), ())}) == []


async def test_what_cannot_be_asked_of_contained_resources_is_refused(dsn: str) -> None:
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        for more in (
            ("manufacturer.name", "x"),
            ("_sort", "code"),
            ("_include", "*"),
            ("_has:MedicationRequest:medication:status", "active"),
            ("_text", "x"),
        ):
            with pytest.raises(Unsupported):
                await shown(connection, ("_contained", "true"), more)
        for wrong in (("_contained", "maybe"), ("_containedType", "maybe")):
            with pytest.raises(Incorrect):
                await shown(connection, wrong)
        with pytest.raises(Incorrect, match="one type"):
            await store.search(connection, None, [("_contained", "true")])
