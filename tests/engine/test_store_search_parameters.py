"""Search parameters added at run time: at once for new writes, in steps for old ones, gone when removed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from healthbrain.errors import Incorrect
from healthbrain.store import Store, Write, parameters, reindexing
from tests.engine.store_samples import context, opened, patient, put

store = Store()
pytestmark = pytest.mark.anyio


def definition(code: str, kind: str, expression: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter", "id": code, "url": f"urn:sp:{code}", "name": code, "status": "active",
        "description": code, "code": code, "base": ["Patient"], "type": kind, "expression": expression, **more,
    }  # fmt: skip


async def found(connection, type_: str, *asked: tuple[str, str]) -> list[str]:
    return [one.id for one in (await store.search(connection, type_, list(asked))).matches]


async def finished(pool) -> int:
    """Reindex to the end, in transactions of their own; how many steps it took."""
    for step in range(200):
        async with pool.connection() as connection:
            more = await reindexing.reindex(connection, most=3)
        if not more:
            async with pool.connection() as connection:
                if all(one.state in {"ready", "refused"} for one in await store.parameters(connection)):
                    return step
            await asyncio.sleep(0.02)
    raise AssertionError("it does not end")


@pytest.fixture(autouse=True)
def _no_margin(monkeypatch):
    monkeypatch.setattr(reindexing, "_SETTLE", 0.0)


DEFINITIONS = [
    ("colour", "token", "Patient.extension('urn:colour').value", "extension", {"url": "urn:colour", "valueCode": "red"}, "red"),
    ("job", "string", "Patient.extension('urn:job').value.ofType(string)", "extension", {"url": "urn:job", "valueString": "Bäcker"}, "backer"),
    ("moved", "date", "Patient.extension('urn:moved').value", "extension", {"url": "urn:moved", "valueDate": "2020-05-01"}, "ge2020"),
    ("children", "number", "Patient.extension('urn:n').value", "extension", {"url": "urn:n", "valueInteger": 3}, "gt2"),
    ("height", "quantity", "Patient.extension('urn:h').value", "extension",
     {"url": "urn:h", "valueQuantity": {"value": 1.8, "system": "http://unitsofmeasure.org", "code": "m"}}, "180|http://unitsofmeasure.org|cm"),
    ("nurse", "reference", "Patient.extension('urn:r').value", "extension", {"url": "urn:r", "valueReference": {"reference": "Practitioner/n"}}, "Practitioner/n"),
    ("home", "uri", "Patient.extension('urn:u').value", "extension", {"url": "urn:u", "valueUri": "http://a.org/x"}, "http://a.org/x"),
    ("named", "token", "Patient.name.family.exists()", "name", {"family": "x"}, "true"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "kind", "expression", "element", "value", "asked"), DEFINITIONS, ids=lambda v: str(v)[:20]
)
async def test_every_type_is_found_in_new_and_old_resources(dsn, code, kind, expression, element, value, asked):
    async with opened(dsn, size=2) as pool:
        async with pool.connection() as connection:
            old = {"resourceType": "Patient", "id": "old", element: [value]}
            await store.write(connection, [put(old), put({"resourceType": "Patient", "id": "other"})], context())
        async with pool.connection() as connection:
            with pytest.raises(Incorrect, match=code):
                await found(connection, "Patient", (code, asked))
            await store.write(connection, [put(definition(code, kind, expression))], context(1))
        async with pool.connection() as connection:
            await store.write(connection, [put(old | {"id": "new"})], context(2))
            page = await store.search(connection, "Patient", [(code, asked)])
            assert [one.id for one in page.matches] == ["new"]
            assert "added lately" in page.notes[0]
        await finished(pool)
        async with pool.connection() as connection:
            page = await store.search(connection, "Patient", [(code, asked)])
            assert [one.id for one in page.matches] == ["old", "new"]
            assert page.notes == ()
            if code != "named":
                assert await found(connection, "Patient", (f"{code}:missing", "true")) == ["other"]
            assert (await store.read(connection, "Patient", "old")).version == 1, "indexing is no change"
            sorted_ = await found(connection, "Patient", ("_sort", f"{code},-_id"))
            assert set(sorted_[:2]) <= {"new", "old", "other"}
            assert sorted_[-1] == "other" or code == "named"


async def test_added_parameters_work_in_chains_includes_and_filters(dsn):
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await store.write(
            connection,
            [
                put(definition("nurse", "reference", "Patient.extension('urn:r').value", target=["Practitioner"])),
                put(definition("skill", "token", "Practitioner.extension('urn:s').value", base=["Practitioner"])),
            ],
            context(),
        )
        nurse = {"resourceType": "Practitioner", "id": "n", "extension": [{"url": "urn:s", "valueCode": "x"}]}
        cared = patient("p", extension=[{"url": "urn:r", "valueReference": {"reference": "Practitioner/n"}}])
        visit = {
            "resourceType": "Encounter",
            "id": "e",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/p"},
        }
        await store.write(connection, [put(nurse), put(cared), put(visit)], context(1))
        assert await found(connection, "Patient", ("nurse.skill", "x")) == ["p"]
        assert await found(connection, "Encounter", ("subject:Patient.nurse.skill", "x")) == ["e"]
        assert await found(connection, "Encounter", ("subject.nurse.skill", "y")) == []
        assert await found(connection, "Practitioner", ("_has:Patient:nurse:name", "张")) == ["n"]
        assert await found(connection, "Patient", ("_filter", "nurse.skill eq x")) == ["p"]
        page = await store.search(connection, "Patient", [("_include", "Patient:nurse")])
        assert [one.id for one in page.included] == ["n"]
        page = await store.search(connection, "Practitioner", [("_revinclude", "Patient:nurse")])
        assert [one.id for one in page.included] == ["p"]


async def test_an_added_composite_finds_values_that_stand_together(dsn):
    kin = definition(
        "kin-age", "composite", "FamilyMemberHistory.condition", base=["FamilyMemberHistory"],
        component=[
            {"definition": "http://hl7.org/fhir/SearchParameter/clinical-code", "expression": "code"},
            {"definition": "urn:sp:onset", "expression": "onset.as(Age)"},
        ],
    )  # fmt: skip
    onset = definition("onset", "quantity", "FamilyMemberHistory.condition.onset.as(Age)", base=["FamilyMemberHistory"])
    named = definition(
        "name-pair", "composite", "Patient.identifier",
        component=[
            {"definition": "urn:sp:system", "expression": "system"}, {"definition": "urn:sp:kind", "expression": "type"},
        ],
    )  # fmt: skip
    parts = [
        definition("system", "uri", "Patient.identifier.system"),
        definition("kind", "token", "Patient.identifier.type"),
    ]

    def history(id_: str, *found: tuple[str, int]) -> dict[str, Any]:
        conditions = [
            {"code": {"coding": [{"system": "urn:c", "code": code}]},
             "onsetAge": {"value": years, "system": "http://unitsofmeasure.org", "code": "a"}} for code, years in found
        ]  # fmt: skip
        return {"resourceType": "FamilyMemberHistory", "id": id_, "status": "completed", "patient": {"reference": "Patient/p"},
                "relationship": {"text": "mother"}, "condition": conditions}  # fmt: skip

    old, new = history("old", ("dm", 40), ("htn", 60)), history("new", ("dm", 60), ("htn", 40))
    type_ = {"coding": [{"code": "MR"}]}
    known = patient(
        "k", identifier=[{"system": "urn:a", "value": "1", "type": type_}, {"system": "urn:b", "value": "2"}]
    )
    async with opened(dsn, size=2) as pool:
        async with pool.connection() as connection:
            await store.write(connection, [put(old)], context())
            await store.write(connection, [put(one) for one in (onset, kin, *parts, named)], context(1))
            assert {c.problem for c in await store.parameters(connection)} == {""}
            await store.write(connection, [put(new), put(known)], context(2))
        await finished(pool)
        async with pool.connection() as connection:
            for asked, expected in (
                ("dm$lt50", ["old"]), ("urn:c|htn$40|http://unitsofmeasure.org|a", ["new"]), ("dm$gt30", ["old", "new"]),
                ("dm$480|http://unitsofmeasure.org|mo", ["old"]), ("x$40", []),
            ):  # fmt: skip
                assert await found(connection, "FamilyMemberHistory", ("kin-age", asked)) == expected, asked
            assert await found(connection, "Patient", ("name-pair", "urn:a$MR")) == ["k"]
            assert await found(connection, "Patient", ("name-pair", "urn:b$MR")) == []
            assert await found(connection, "Patient", ("name-pair:missing", "false")) == ["k"]


async def test_a_removed_parameter_is_unknown_and_may_come_back_as_something_else(dsn):
    async with opened(dsn, size=2) as pool:
        for expression in ("Patient.name.family", "Patient.name.given"):
            async with pool.connection() as connection:
                await store.write(connection, [put(definition("alias", "string", expression))], context())
            async with pool.connection() as connection:
                names = [{"family": "Wang", "given": ["Wei"]}]
                await store.write(connection, [put({"resourceType": "Patient", "id": "p", "name": names})], context(1))
            await finished(pool)
            async with pool.connection() as connection:
                right, wrong = ("wang", "wei") if "family" in expression else ("wei", "wang")
                assert await found(connection, "Patient", ("alias", right)) == ["p"]
                assert await found(connection, "Patient", ("alias", wrong)) == []
        async with pool.connection() as connection:
            await store.write(connection, [Write("delete", "SearchParameter", "alias", None)], context(3))
        async with pool.connection() as connection:
            with pytest.raises(Incorrect):
                await found(connection, "Patient", ("alias", "wei"))
        await finished(pool)
        async with pool.connection() as connection:
            cursor = await connection.execute("select count(*) from resource_string where param > 1000000")
            assert await cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"code": "name"}, "parameter of R4"),
        ({"type": "composite"}, "two components"),
        (
            {"type": "composite", "component": [{"definition": "urn:none", "expression": "code"}] * 2},
            "definition of a component",
        ),
        ({"type": "special"}, "special"),
        ({"expression": "Patient.name.("}, "expression"),
        ({"expression": None}, "no expression"),
        ({"code": "a:b"}, "letters"),
    ],
)
async def test_what_cannot_be_used_is_kept_and_says_why(dsn, more, says):
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        made = {k: v for k, v in (definition("x", "token", "Patient.active") | more).items() if v is not None}
        await store.write(connection, [put(made)], context(), validated=True)
        (one,) = await store.parameters(connection)
        assert (one.state, says in one.problem) == ("refused", True)


async def test_what_an_older_version_indexed_is_indexed_afresh(dsn):
    async with opened(dsn, size=2) as pool:
        async with pool.connection() as connection:
            weights = [
                {"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": "x"}, "effectiveDateTime": "2026",
                 "valueQuantity": {"value": n * 1000, "system": "http://unitsofmeasure.org", "code": "g"}}
                for n in range(7)
            ]  # fmt: skip
            profiled = patient("p", meta={"profile": ["http://a.org/p/x"]})
            await store.write(connection, [put(one) for one in [*weights, profiled]], context())
            await connection.execute("delete from concept_text")
            await connection.execute("update index_format set format = 1")
            before = await (await connection.execute("select count(*) from resource_number")).fetchone()
            asked = ("value-quantity", "ge3|http://unitsofmeasure.org|kg")
            assert await found(connection, "Observation", asked) == []
        await finished(pool)
        async with pool.connection() as connection:
            assert await found(connection, "Observation", asked) == ["o3", "o4", "o5", "o6"]
            assert await found(connection, "Patient", ("_profile:below", "http://a.org")) == ["p"]
            assert await found(connection, "Observation", ("code:text", "x"), ("_id", "o1")) == ["o1"]
            assert await (await connection.execute("select count(*) from resource_number")).fetchone() == before
            assert await (await connection.execute("select format from index_format")).fetchone() == (
                reindexing.FORMAT,
            )


async def test_a_draft_is_no_parameter_and_a_code_has_one_definition(dsn):
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        await store.write(
            connection,
            [
                put(definition("draft", "token", "Patient.active", status="draft")),
                put(definition("one", "token", "Patient.active")),
                put(definition("one", "token", "Patient.gender") | {"id": "two"}),
            ],
            context(),
        )
        assert {(c.resource, c.state) for c in await store.parameters(connection)} == {
            ("one", "waiting"),
            ("two", "refused"),
        }


async def test_what_other_processes_write_before_they_know_is_indexed_later(dsn):
    """A writer whose memory is old, and a transaction that was open when the parameter came."""
    async with opened(dsn, size=3) as pool:
        async with pool.connection() as slow:
            await store.write(slow, [put(patient("slow", "x", active=True))], context())
            async with pool.connection() as connection:
                await store.write(connection, [put(definition("works", "token", "Patient.active"))], context())
            async with pool.connection() as connection:
                memory = parameters._memory(connection)
                memory.catalog, memory.looked, memory.hot = parameters.Catalog(), float("inf"), float("-inf")
                await store.write(connection, [put(patient("unaware", "x", active=True))], context())
                memory.looked = float("-inf")
            for _ in range(5):
                async with pool.connection() as connection:
                    await reindexing.reindex(connection)
            async with pool.connection() as connection:
                assert [one.state for one in await store.parameters(connection)] == ["waiting"], "slow is still open"
        await finished(pool)
        async with pool.connection() as connection:
            assert sorted(await found(connection, "Patient", ("works", "true"))) == ["slow", "unaware"]


async def test_a_resource_that_changes_while_it_is_indexed_has_the_values_of_its_last_version(dsn):
    async with opened(dsn, size=3) as pool:
        async with pool.connection() as connection:
            await store.write(connection, [put(patient(f"p{n}", "Old")) for n in range(12)], context())
            await store.write(connection, [put(definition("sur", "string", "Patient.name.family"))], context())

        async def change(n: int) -> None:
            async with pool.connection() as connection:
                await store.write(connection, [put(patient(f"p{n}", "New"))], context(n + 1))

        await asyncio.gather(finished(pool), *(change(n) for n in range(0, 12, 2)))
        async with pool.connection() as connection:
            assert len(await found(connection, "Patient", ("sur", "new"))) == 6
            assert len(await found(connection, "Patient", ("sur", "old"))) == 6
            cursor = await connection.execute(
                "select count(*), count(distinct rid) from resource_string where param > 1000000"
            )
            assert await cursor.fetchone() == (12, 12)
