"""What a stranger sent goes to its institution once somebody has said whose system it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from healthbrain.database import Pool
from healthbrain.errors import Conflict
from healthbrain.exchange import Ledger, Source, put_source, release, source_for_mllp, unreleased
from healthbrain.store import Store
from tests.engine.test_exchange_ledger import AT, adt, count, run, v2

STORE = Store()
LATER = AT + timedelta(minutes=1)
OWNED = """
select count(*) from resource r join organisation o on o.key = r.owner
where o.code = 'QUARANTINE' and not r.deleted"""


async def verify(pool: Pool, one: Source, code: str = "QP001") -> None:
    async with pool.connection() as c:
        row = await (await c.execute("select key from organisation where code = %s", (code,))).fetchone()
        assert row is not None
        await put_source(
            c, code=one.code, name=one.name, organisation=row[0], door="hl7v2", application=one.application,
            facility=one.facility, verified=True, at=LATER,
        )  # fmt: skip


async def stranger(pool: Pool) -> Source:
    async with pool.connection() as c:
        found = await source_for_mllp(c, "HIS", "UNKNOWN")
    assert found is not None
    return found


async def released(ledger: Ledger, one: Source) -> list[str]:
    return [step.receipt.state async for step in release(ledger, one.key, by="admin", clock=lambda: LATER)]


def test_everything_it_sent_belongs_to_the_institution_and_nothing_to_the_quarantine(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        for number in ("A1", "A2"):
            event = "A01" if number == "A1" else "A08"
            assert (await v2(ledger, adt(number, event=event, facility="UNKNOWN")))[0] == "accepted"
        one = await stranger(pool)
        held = await count(pool, OWNED)
        assert held > 0
        async with pool.connection() as c:
            assert await unreleased(c) == {}  # nobody has said whose it is
        await verify(pool, one)
        async with pool.connection() as c:
            assert await unreleased(c) == {one.key: 2}
        assert await released(ledger, one) == ["accepted", "accepted"]
        assert await count(pool, OWNED) == 0
        assert await count(pool, "select count(*) from resource where not deleted") == held
        async with pool.connection() as c:
            assert await unreleased(c) == {}
            page = await STORE.search(c, "Patient", [("identifier", "urn:healthbrain:org:QP001:mrn|M1")])
        assert len(page.matches) == 1
        assert await released(ledger, one) == []  # there is nothing left to do

    run(dsn, world)


def test_a_release_that_was_cut_off_is_begun_again(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        for number in ("A1", "A2", "A3"):
            await v2(ledger, adt(number, facility="UNKNOWN"))
        one = await stranger(pool)
        held = await count(pool, OWNED)
        await verify(pool, one)
        async for _ in release(ledger, one.key, by="admin", clock=lambda: LATER):
            break
        assert await count(pool, OWNED) == held
        assert await released(ledger, one) == ["accepted"] * 3
        assert await count(pool, OWNED) == 0

    run(dsn, world)


def test_a_source_nobody_has_verified_is_not_released(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        await v2(ledger, adt(facility="UNKNOWN"))
        one = await stranger(pool)
        with pytest.raises(Conflict, match="whose system"):
            await released(ledger, one)
        assert await count(pool, OWNED) > 0

    run(dsn, world)
