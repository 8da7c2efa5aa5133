"""The person index on a real database: linking, concurrency, decisions and undo."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from healthbrain.access import put_organisation
from healthbrain.database import Connection, Pool, open_pool
from healthbrain.errors import Conflict, Incorrect
from healthbrain.identity import explain, find, link, patient_ids, patients_of, person_of, relink, resolve, undo, unlink
from healthbrain.identity.grouping import Record, Ruling, group
from healthbrain.identity.numbers import check_digit
from healthbrain.store import Store, Write, WriteContext, patient_key
from healthbrain.terms import systems

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
STORE = Store()


def card(sequence: int = 121, birth: str = "19900101") -> str:
    return (first := f"310118{birth}{sequence:03}") + check_digit(first)


def patient(
    id_: str, *, number: str = "", insurance: str = "", name: str = "张伟", birth: str = "1990-01-01", **more: Any
) -> dict[str, Any]:
    identifiers = [{"system": systems.ID_CARD, "value": number}] if number else []
    identifiers += [{"system": systems.INSURANCE, "value": insurance}] if insurance else []
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": id_,
        "name": [{"text": name}],
        "gender": "male",
        "birthDate": birth,
    }
    return {**resource, **({"identifier": identifiers} if identifiers else {}), **more}


async def write(connection: Connection, *resources: dict[str, Any], owner: int = 1) -> None:
    writes = [Write("update", "Patient", one["id"], one) for one in resources]
    await STORE.write(connection, writes, WriteContext(owner, AT, 7), observers=[link])


async def persons(connection: Connection) -> dict[str, str]:
    rows = await (await connection.execute("select patient_id, person from person_link where not deleted")).fetchall()
    return dict(rows)


async def partition(connection: Connection) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for patient_id, person in (await persons(connection)).items():
        found.setdefault(person, set()).add(patient_id)
    return {frozenset(block) for block in found.values()}


async def connected(dsn: str, size: int = 4) -> Pool:
    pool = await open_pool(dsn, size=size)
    async with pool.connection() as connection:
        await put_organisation(connection, code="O1", name="一", kind="institution")
        await put_organisation(connection, code="O2", name="二", kind="institution")
    return pool


def run(dsn: str, scenario: Any, size: int = 4) -> None:
    async def whole() -> None:
        pool = await connected(dsn, size)
        try:
            await scenario(pool)
        finally:
            await pool.close()

    asyncio.run(whole())


def test_records_with_one_card_are_one_person_and_others_are_not(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, patient("a", number=card()), patient("b", number=card(143)))
            await write(c, patient("c", number=card(), name="张　伟"), owner=2)
            await write(c, patient("d"))
            assert await partition(c) == {frozenset("ac"), frozenset("b"), frozenset("d")}
            who = await person_of(c, [patient_key("a"), patient_key("c"), 99])
            assert who[patient_key("a")] == who[patient_key("c")]
            assert 99 not in who
            person = who[patient_key("a")]
            assert person[0] == "P"
            assert len(person) == 13
            assert set(await patient_ids(c, person)) == {("a", 1), ("c", 2)}
            assert set(await patients_of(c, [person])) == {patient_key("a"), patient_key("c")}
            events = await explain(c, patient_key("c"))
            assert [(e.kind, e.rule, e.delivery) for e in events] == [("auto", "id-card", 7)]
            assert await find(c, identifier=card().lower()) == [person]
            assert person in await find(c, name="张")

    run(dsn, scenario)


def test_a_card_that_disagrees_with_the_record_is_kept_for_review_and_not_used(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(
                c, patient("mother", number=card()), patient("child", number=card(), birth="2020-05-05", name="张小")
            )
            assert len(await partition(c)) == 2
            rows = await (await c.execute("select patient, kind from link_doubt where closed_at is null")).fetchall()
            assert rows == [(patient_key("child"), "suspect-id")]
            await write(c, patient("child", number="", birth="2020-05-05", name="张小"))
            rows = await (await c.execute("select 1 from link_doubt where closed_at is null")).fetchall()
            assert rows == []

    run(dsn, scenario)


def test_an_insurance_number_links_with_name_birth_and_sex_only(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, patient("a", insurance="SH20398471"), patient("b", insurance="sh20398471"))
            await write(
                c,
                patient("c", insurance="SH20398471", name="张强"),
                patient("d", insurance="123456789"),
                patient("e", insurance="123456789"),
            )
            assert await partition(c) == {frozenset("ab"), frozenset("c"), frozenset("d"), frozenset("e")}

    run(dsn, scenario)


def test_every_order_of_arrival_ends_in_the_same_persons(dsn: str) -> None:
    world = [
        patient("a", number=card(), insurance="SH20398471"),
        patient("b", insurance="SH20398471"),
        patient("c", number=card(143), insurance="SH77777123"),
        patient("d", insurance="SH77777123"),
        patient("e", number=card(165), insurance="SH77777123"),
    ]

    async def scenario(pool: Pool) -> None:
        found = set()
        for order in itertools.islice(itertools.permutations(world), 0, 120, 5):
            async with pool.connection() as c, c.transaction(force_rollback=True):
                for one in order:
                    await write(c, one)
                found.add(frozenset(await partition(c)))
        assert found == {frozenset({frozenset("ab"), frozenset("c"), frozenset("d"), frozenset("e")})}

    run(dsn, scenario)


def test_two_registrations_at_once_make_one_person(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async def register(n: int, sequence: int) -> None:
            async with pool.connection() as c, c.transaction():
                await write(c, patient(f"p{n}-{sequence}", number=card(sequence)), owner=1 + n % 2)
                await asyncio.sleep(0.01)

        for sequence in range(101, 141, 2):
            await asyncio.gather(*(register(n, sequence) for n in range(6)))
        async with pool.connection() as c:
            assert {len(block) for block in await partition(c)} == {6}
            assert len(await partition(c)) == 20

    run(dsn, scenario, size=6)


def test_a_new_card_merges_two_persons_and_the_retired_id_redirects(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, patient("a", number=card()))
            await write(c, patient("b"))
            before = await persons(c)
            await write(c, patient("b", number=card()))
            after = await persons(c)
            assert after == {"a": before["a"], "b": before["a"]}
            assert await resolve(c, [before["b"]]) == {before["b"]: before["a"]}
            assert set(await patients_of(c, [before["b"]])) == {patient_key("a"), patient_key("b")}
            await write(c, patient("b", number=card(143)))  # the source corrects the number
            assert await persons(c) == before
            assert await resolve(c, [before["b"]]) == {before["b"]: before["b"]}

    run(dsn, scenario)


def test_what_a_steward_separated_the_machine_never_joins_again_and_undo_restores(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, *(patient(one, number=card()) for one in "abc"))
            whole = await persons(c)
            with pytest.raises(Incorrect):
                await unlink(c, patient_key("a"), who="王主管", reason=" ", at=AT)
            decision = await unlink(c, patient_key("a"), who="王主管", reason="借用他人证件", at=AT)
            apart = await partition(c)
            assert apart == {frozenset("a"), frozenset("bc")}
            await write(c, patient("a", number=card(), name="张伟伟"))
            await write(c, patient("d", number=card()), owner=2)
            assert await partition(c) == {frozenset("a"), frozenset("bcd")}
            await undo(c, decision, who="王主管", reason="核实为同一人", at=AT)
            assert await partition(c) == {frozenset("abcd")}
            assert {k: v for k, v in (await persons(c)).items() if k != "d"} == whole
            with pytest.raises(Conflict):
                await undo(c, decision, who="王主管", reason="再次", at=AT)
            kinds = [e.kind for e in await explain(c, patient_key("a"))]
            assert kinds == ["auto", "manual", "manual", "undo", "undo"]

    run(dsn, scenario)


def test_a_steward_can_put_a_record_to_a_person_and_take_it_back(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, patient("a", number=card()), patient("b", number=card()), patient("x", number=card(143)))
            before = await persons(c)
            decision = await relink(c, patient_key("b"), before["x"], who="王主管", reason="号码录错", at=AT)
            assert await partition(c) == {frozenset("a"), frozenset("bx")}
            await write(c, patient("b", number=card(), name="又改"))
            assert await partition(c) == {frozenset("a"), frozenset("bx")}
            await undo(c, decision, who="王主管", reason="原先正确", at=AT)
            assert await persons(c) == before

    run(dsn, scenario)


def test_a_merge_reported_by_the_source_itself_links_its_two_records(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            old = patient("old", active=False, link=[{"other": {"reference": "Patient/new"}, "type": "replaced-by"}])
            await write(c, old)
            await write(c, patient("new"))
            assert await partition(c) == {frozenset({"old", "new"})}
            foreign = patient("foreign", link=[{"other": {"reference": "Patient/new"}, "type": "replaced-by"}])
            await write(c, foreign, owner=2)
            assert await partition(c) == {frozenset({"old", "new"}), frozenset({"foreign"})}

    run(dsn, scenario)


def test_a_deleted_record_leaves_its_person_and_comes_back(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, patient("a", number=card()), patient("b", number=card()))
            before = await persons(c)
            await STORE.write(c, [Write("delete", "Patient", "b", None)], WriteContext(1, AT), observers=[link])
            assert await persons(c) == {"a": before["a"]}
            await write(c, patient("b", number=card()))
            assert await persons(c) == before

    run(dsn, scenario)


def test_the_history_of_links_cannot_be_changed(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            await write(c, patient("a"))
        for statement in ("update link_event set who = 'x'", "delete from link_event", "truncate link_event cascade"):
            async with pool.connection() as c:
                with pytest.raises(psycopg.errors.RaiseException):
                    await c.execute(statement)
                await c.rollback()

    run(dsn, scenario)


def test_a_thousand_patients_take_a_handful_of_statements(dsn: str) -> None:
    async def scenario(pool: Pool) -> None:
        async with pool.connection() as c:
            many = [
                patient(
                    f"p{n}",
                    number=card(n % 500, birth=f"19{50 + n % 50}0101"),
                    birth=f"19{50 + n % 50}-01-01",
                    gender="unknown",
                )
                for n in range(1000)
            ]
            seen = 0
            execute = c.execute

            async def counted(*args: Any, **more: Any) -> Any:
                nonlocal seen
                seen += 1
                return await execute(*args, **more)

            written = await STORE.write(
                c, [Write("update", "Patient", one["id"], one) for one in many], WriteContext(1, AT)
            )
            c.execute = counted  # type: ignore[method-assign]  # counting only
            await link(c, WriteContext(1, AT), written)
            assert seen < 20
            assert len(await partition(c)) == 500

    run(dsn, scenario)


@pytest.mark.parametrize("seed", [0, 1, 16, 26])
def test_step_by_step_and_from_scratch_always_agree_and_undoing_everything_restores(dsn: str, seed: int) -> None:
    """The oracle: all records of the database in one pure grouping, with the decisions that stand."""
    rng = random.Random(seed)
    names = [f"r{n}" for n in range(9)]

    def some(id_: str) -> dict[str, Any]:
        number = card(rng.choice([121, 143, 165])) if rng.random() < 0.5 else ""
        insurance = rng.choice(["SH20398471", "SH77777123"]) if rng.random() < 0.5 else ""
        more = (
            {"link": [{"other": {"reference": f"Patient/{rng.choice(names)}"}, "type": "replaced-by"}]}
            if rng.random() < 0.15
            else {}
        )
        return patient(id_, number=number, insurance=insurance, **more)

    async def expected(c: Connection, decided: bool = True) -> set[frozenset[int]]:
        rows = await (
            await c.execute(
                "select l.patient, l.owner, l.replaced_by, array_agg(i.key) filter (where i.usable and i.kind = 'id-card'),"
                " array_agg(i.key) filter (where i.usable and i.kind = 'insurance')"
                " from person_link l left join person_identifier i using (patient) where not l.deleted group by 1, 2, 3"
            )
        ).fetchall()
        records = [
            Record(p, frozenset(cards or ()), frozenset(ins or ()), owner, by) for p, owner, by, cards, ins in rows
        ]
        rulings = await (
            await c.execute("select one, other, same, event from link_verdict where withdrawn_by is null")
        ).fetchall()
        return set(group(records, [Ruling(*row) for row in rulings] if decided else []).blocks)

    async def actual(c: Connection) -> set[frozenset[int]]:
        return {frozenset(patient_key(one) for one in block) for block in await partition(c)}

    async def scenario(pool: Pool) -> None:
        decisions: list[int] = []
        async with pool.connection() as c:
            for _ in range(45):
                what = rng.random()
                known = sorted(await persons(c))
                with suppress(Conflict):
                    if what < 0.6 or len(known) < 3:
                        await write(c, *(some(one) for one in rng.sample(names, rng.choice([1, 1, 3]))))
                    elif what < 0.68:
                        await STORE.write(
                            c,
                            [Write("delete", "Patient", rng.choice(known), None)],
                            WriteContext(1, AT),
                            observers=[link],
                        )
                    elif what < 0.8:
                        decisions.append(await unlink(c, patient_key(rng.choice(known)), who="w", reason="r", at=AT))
                    elif what < 0.92:
                        target = (await persons(c))[rng.choice(known)]
                        decisions.append(
                            await relink(c, patient_key(rng.choice(known)), target, who="w", reason="r", at=AT)
                        )
                    elif decisions:
                        await undo(c, decisions.pop(rng.randrange(len(decisions))), who="w", reason="r", at=AT)
                assert await actual(c) == await expected(c)
            await write(c, *(some(one) for one in names))
            rng.shuffle(decisions)
            for decision in decisions:
                await undo(c, decision, who="w", reason="r", at=AT)
            assert await actual(c) == await expected(c, decided=False)
            current = set((await persons(c)).values())
            everyone = [row[0] for row in await (await c.execute("select id from person")).fetchall()]
            assert set((await resolve(c, everyone)).keys()) == set(everyone)
            events = await (
                await c.execute(
                    "select patient, to_person from link_event where kind <> 'manual' or from_person <> to_person order by id"
                )
            ).fetchall()
            assert {dict(events).get(key) for key in map(patient_key, names)} <= current | {None}

    run(dsn, scenario)
