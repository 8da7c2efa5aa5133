"""_text and _content: exact before, while and after the text index follows the change feed."""

from __future__ import annotations

import asyncio

import pytest

from healthbrain.errors import Incorrect
from healthbrain.scope import Scope
from healthbrain.store import Store, Write, latest, prune
from healthbrain.store.texts import index_texts, text_position
from healthbrain.store.types import type_number
from tests.engine.store_samples import context, observation, opened, patient, put
from tests.engine.test_store_search import _walk

store = Store()
pytestmark = pytest.mark.anyio


def noted(id_: str, text: str, narrative: str = "") -> dict:
    more = {"text": {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'}}
    return observation("p") | {"id": id_, "note": [{"text": text}]} | (more if narrative else {})


async def found(connection, *asked: tuple[str, str], type_: str | None = "Observation", **options) -> list[str]:
    page = await store.search(connection, type_, list(asked), **options)
    assert page.notes == ()
    return sorted(one.id for one in page.matches)


async def caught_up(pool) -> None:
    while await index_texts(pool, most=3):
        pass


async def ask_everything(connection) -> None:
    assert await found(connection, ("_content", "高血压")) == ["a", "c"]
    assert await found(connection, ("_content", "血")) == ["a", "b", "c"]
    assert await found(connection, ("_content", "headache severe")) == ["b"]
    assert await found(connection, ("_content", "headache,糖尿病")) == ["b", "c"]
    assert await found(connection, ("_content", "narrated")) == ["c"]
    assert await found(connection, ("_text", "narrated")) == ["c"]
    assert await found(connection, ("_text", "高血压")) == []
    assert await found(connection, ("_content", "高血压"), ("status", "final"), ("_sort", "-_id")) == ["a", "c"]
    assert await found(connection, ("subject:Patient._content", "王"), ("_id", "a")) == ["a"]
    assert await found(connection, ("_content", "高血压"), scope=Scope((2,), ())) == []
    assert await found(connection, ("_content", "王"), type_=None) == ["p"]


async def test_it_is_exact_before_and_after_the_index_has_caught_up(dsn):
    async with opened(dsn, size=3) as pool:
        async with pool.connection() as connection:
            await store.write(
                connection,
                [
                    put(patient("p", "王")),
                    put(noted("a", "患者有高血压病史")),
                    put(noted("b", "Severe headache, 血糖高")),
                    put(noted("c", "高血压 糖尿病", "narrated <b>here</b>")),
                    put(noted("d", "高血压")),
                ],
                context(),
            )
            await store.write(connection, [Write("delete", "Observation", "d", None)], context())
        async with pool.connection() as connection:
            await ask_everything(connection)
        await caught_up(pool)
        async with pool.connection() as connection:
            cursor = await connection.execute("select count(*) from resource_text")
            assert await cursor.fetchone() == (4,)
            await ask_everything(connection)
            await store.write(connection, [put(noted("a", "nothing")), put(noted("e", "高血压"))], context(1))
            assert await found(connection, ("_content", "高血压")) == ["c", "e"], "in the transaction that wrote it"
        async with pool.connection() as connection:
            assert await found(connection, ("_content", "高血压")) == ["c", "e"]
        await caught_up(pool)
        async with pool.connection() as connection:
            assert await found(connection, ("_content", "高血压")) == ["c", "e"]
            with pytest.raises(Incorrect, match="no word"):
                await found(connection, ("_content", "！？"))
            with pytest.raises(Incorrect, match="neither modifiers"):
                await found(connection, ("_text:exact", "x"))


async def test_it_is_exact_while_others_write_and_the_index_follows(dsn):
    async with opened(dsn, size=6) as pool:

        async def writing(who: int) -> None:
            for n in range(6):
                async with pool.connection() as connection:
                    await store.write(connection, [put(noted(f"w{who}-{n}", f"word{who} 高血压"))], context(n))
                    await asyncio.sleep(0.002 * who)
                async with pool.connection() as connection:
                    assert len(await found(connection, ("_content", f"word{who}"))) == n + 1

        async def indexing() -> None:
            for _ in range(60):
                await index_texts(pool, most=2)
                await asyncio.sleep(0)

        await index_texts(pool)  # begins at the empty store: what it says of older resources is another test's
        await asyncio.gather(indexing(), *(writing(who) for who in range(4)))
        await caught_up(pool)
        async with pool.connection() as connection:
            assert len(await found(connection, ("_content", "高血压"), ("_count", "100"))) == 24
            cursor = await connection.execute("select count(*) from resource_text")
            assert await cursor.fetchone() == (24,)


async def test_what_was_here_before_the_feed_is_gone_through(dsn):
    async with opened(dsn, size=3) as pool:
        async with pool.connection() as connection:
            await store.write(connection, [put(noted(f"o{n}", "高血压")) for n in range(10)], context())
        async with pool.connection() as connection:
            await connection.set_autocommit(True)
            await prune(connection, await latest(connection))
            await connection.set_autocommit(False)
        await index_texts(pool, most=3)
        await index_texts(pool, most=3)
        async with pool.connection() as connection:
            page = await store.search(connection, "Observation", [("_content", "高血压")])
            assert "being built" in page.notes[0]
        await caught_up(pool)
        async with pool.connection() as connection:
            assert len(await found(connection, ("_content", "高血压"))) == 10
            assert await text_position(connection) is not None


async def test_a_text_search_uses_the_index_of_words(dsn):
    async with opened(dsn, size=2) as pool:
        async with pool.connection() as connection:
            for start in range(0, 3000, 20):
                values = [put(noted(f"o{n}", f"remark{n} 高血压")) for n in range(start, start + 20)]
                await store.write(connection, values, context(start), validated=True)
        while await index_texts(pool, most=3000):
            pass
        async with pool.connection() as connection:
            await connection.commit()
            await connection.set_autocommit(True)
            await connection.execute("vacuum analyze")
            for _ in range(12):
                assert await found(connection, ("_content", "remark1234")) == ["o1234"]
            sql = (
                f"explain (format json) select r.body from resource r where r.rtype = {type_number('Observation')} and not r.deleted"
                " and r.rid = any(array(select x.rid from resource_text x where x.content @@ %s::tsquery))"
                " order by r.updated, r.rid limit 51"
            )
            row = await (await connection.execute(sql.encode(), ("'remark1234':*",))).fetchone()
            scans = list(_walk(row[0][0]["Plan"]))
            assert {name for _, name in scans} >= {"resource_text_content", "resource_pkey"}, scans
            cursor = await connection.execute(
                "select count(*), sum(generic_plans) from pg_prepared_statements where statement like '%tsquery%'"
            )
            prepared, generic = await cursor.fetchone()
            assert prepared > 0
            assert generic == 0
