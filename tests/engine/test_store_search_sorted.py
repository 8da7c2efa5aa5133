"""Sorting by codes and references: whatever the hashes tell and whatever only the bodies do, for any number of rows."""

from __future__ import annotations

from typing import Any

import pytest

from healthbrain.store import Store, bodysort
from tests.engine.store_samples import context, opened, put

pytestmark = pytest.mark.anyio
store = Store()
CODED = {"system": "http://loinc.org"}


def observation(n: int, code: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": f"o{n:02}", "status": "final", "code": code, **more}


# id, what it counts with for `code`, for `subject`, for `performer`; ascending and descending where they differ
RESOURCES = [
    observation(0, {"coding": [{**CODED, "code": "B"}]}, subject={"reference": "Patient/p2"}),
    observation(1, {"coding": [{**CODED, "code": "a"}], "text": "Zz"}, subject={"reference": "Patient/p1"}),
    observation(2, {"text": "Änd"}, status="preliminary", subject={"reference": "Patient/nobody"}),
    observation(3, {"coding": [{**CODED, "code": "a"}, {**CODED, "code": "z"}]}, subject={"reference": "Group/g"}),
    observation(4, {"coding": [{"display": "mm"}]}, status="amended", performer=[{"reference": "Practitioner/x"}]),
    observation(5, {"coding": [{**CODED, "code": "血"}]}, subject={"identifier": {"value": "77"}}),
    observation(6, {"coding": [{**CODED, "code": "b"}]}, status="amended", subject={"reference": "Patient/p1"}),
    observation(7, {"coding": [{**CODED, "code": "n"}]}, performer=[{"reference": "Practitioner/y"}, {"display": "?"}],
                effectivePeriod={"start": "2026-01-01"}),
]  # fmt: skip
CODE = ["B", "a", "Änd", ("a", "z"), "mm", "血", "b", "n"]
SUBJECT = ["Patient/p2", "Patient/p1", "Patient/nobody", "Group/g", None, "77", "Patient/p1", None]
STATUS = [one["status"] for one in RESOURCES]
PERFORMER = [None, None, None, None, "Practitioner/x", None, None, "Practitioner/y"]
FOLDED = {"B": "b", "Änd": "and"}
COLUMNS = {"code": CODE, "subject": SUBJECT, "status": STATUS, "performer": PERFORMER}


def expected(sort: str) -> list[str]:
    rows = sorted(range(len(RESOURCES)), reverse=sort.startswith("-"))
    for one in reversed(sort.split(",")):
        down = one.startswith("-")
        values: dict[int, Any] = {}
        for n in rows:
            value = COLUMNS[one.lstrip("-")][n]
            several = value if isinstance(value, tuple) else (value,)
            several = tuple(FOLDED.get(v, v) for v in several)
            values[n] = (max if down else min)(several) if None not in several else None
        given = sorted((n for n in rows if values[n] is not None), key=values.__getitem__, reverse=down)
        rows = given + [n for n in rows if values[n] is None]
    return [f"o{n:02}" for n in rows]


@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("batch", [1, 200])
@pytest.mark.parametrize(
    "sort",
    ["code", "-code", "subject", "-subject", "status,-code", "-status,performer", "performer", "-performer,subject"],
)
async def test_codes_and_references_are_sorted_and_paged(dsn, monkeypatch, sort, batch, count):
    monkeypatch.setattr(bodysort, "_BATCH", batch)
    async with opened(dsn) as pool, pool.connection() as connection:
        known = [{"resourceType": "Patient", "id": f"p{n}"} for n in (1, 2)]
        await store.write(connection, [put(one) for one in [*known, *RESOURCES]], context())
        asked = [("_sort", sort), ("_count", str(count))]
        page = await store.search(connection, "Observation", asked)
        seen = [one.id for one in page.matches]
        while page.next:
            page = await store.search(connection, "Observation", [*asked, ("_cursor", page.next)])
            assert len(page.matches) <= count
            seen += [one.id for one in page.matches]
        assert seen == expected(sort)


async def test_a_code_is_sorted_beside_an_open_period(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(one) for one in RESOURCES], context())
        asked = [("_sort", "-date,code"), ("_count", "1")]
        page = await store.search(connection, "Observation", asked)
        seen = [page.matches[0].id]
        while page.next:
            page = await store.search(connection, "Observation", [*asked, ("_cursor", page.next)])
            seen += [one.id for one in page.matches]
        assert seen[0] == "o07"
        assert sorted(seen) == [one["id"] for one in RESOURCES]


async def test_codes_without_a_list_are_learnt_from_what_is_stored(dsn):
    kinds = ["VR", "IMP", "AMB", "EMER", "HH"]
    visits = [
        {"resourceType": "Encounter", "id": f"v{n}", "status": "finished", "class": {"code": kinds[n]}}
        for n in range(5)
    ]
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(one) for one in visits], context())
        page = await store.search(connection, "Encounter", [("_sort", "class")])
        assert [one.resource["class"]["code"] for one in page.matches] == sorted(kinds)


COPIES = """
with made as (select nextval('resource_rid_seq') as rid, g from generate_series(1, 60000) g)
insert into resource (rid, key, patient, code, delivery, at_low, at_high, updated, version, owner, rtype, deleted, fhir_id,
    tokens, body)
select m.rid, md5(m.g::text)::uuid, r.patient, r.code, r.delivery, r.at_low, r.at_high, r.updated, r.version, r.owner,
    r.rtype, false, 'c' || m.g, r.tokens, r.body
from made m join resource r on r.fhir_id = case when m.g % 2 = 0 then 'o06' else 'o07' end
"""


async def test_there_is_no_number_of_matches_beyond_which_they_are_not_sorted(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(one) for one in RESOURCES], context())
        await connection.execute(COPIES.encode())
        for sort, first, last in [("code", "o01", "o05"), ("performer", "o04", None)]:
            asked = [("_sort", sort), ("_count", "1000")]
            page = await store.search(connection, "Observation", asked)
            assert page.matches[0].id == first
            following = await store.search(connection, "Observation", [*asked, ("_cursor", page.next or "")])
            assert not {one.id for one in page.matches} & {one.id for one in following.matches}
            if last:
                down = await store.search(connection, "Observation", [("_sort", f"-{sort}"), ("_count", "1")])
                assert down.matches[0].id == last
