"""Search beyond one parameter of one type: _filter, _list, all types at once, compartments."""

from __future__ import annotations

import pytest

from healthbrain.errors import Incorrect, NotFound, Unsupported
from healthbrain.scope import Scope
from healthbrain.store import Store
from tests.engine.store_samples import context, opened, put
from tests.engine.test_store_search import filled as fill
from tests.engine.test_store_search import small  # noqa: F401 - a fixture

store = Store()
pytestmark = pytest.mark.anyio


async def found(connection, type_, *parameters, **options) -> list[str]:
    page = await store.search(connection, type_, list(parameters), **options)
    return sorted(one.id for one in page.matches)


@pytest.mark.parametrize(
    ("type_", "asked", "expected"),
    [
        ("Patient", 'name co "三"', "p1"),
        ("Patient", "name eq 张三 or name sw 李", "p1 p2"),
        ("Patient", "name ew 四", "p2"),
        ("Patient", "name ne 张三", "p2"),
        ("Patient", "not(name eq 张三)", "p2"),
        ("Patient", "name pr true and identifier pr false", "p2"),
        ("Patient", "identifier eq urn:x|1", "p1"),
        ("Patient", "identifier ne urn:x|1", ""),
        ("Patient", "_id eq p1", "p1"),
        ("Observation", "code eq loinc|8480-6", "o1 o2"),
        ("Observation", "code eq LOINC|8480-6 and value-quantity gt 100", "o1 o2"),
        ("Observation", "value-quantity lt 100", ""),
        ("Observation", "date ge 2026-02-01 and date lt 2026-03-01", "o1 o2 o3"),
        ("Observation", "date po 2026-02", "o1 o2 o3"),
        ("Observation", "date co 2026-02", ""),
        ("Observation", "date co 2026-02-03T10:00:00Z", "o1 o2 o3"),
        ("Observation", "_lastUpdated gt 2026-03-01T08:00:30Z", "o3"),
        ("Observation", "subject.name co 三", "o1 o2"),
        ("Observation", "subject[identifier pr true].name pr true", "o1 o2"),
        ("Observation", "subject[name sw 李].name pr true or encounter.service-provider.name co 夏阳", "o1 o3"),
        ("Observation", "subject re Patient/p2", "o3"),
        ("Observation", "combo-code eq 8462-4", "o3"),
        ("Encounter", "date po 2026-03", "e1"),
        ("Encounter", "date eb 2026-01-01", ""),
        ("Observation", "_profile sw http://example.org", "o2"),
    ],
)
async def test_a_filter_finds(small, type_, asked, expected):  # noqa: F811
    async with opened(small, size=1) as pool, pool.connection() as connection:
        assert await found(connection, type_, ("_filter", asked)) == expected.split()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("colour eq x", "'colour' is not"),
        ("code.name eq x", "only a reference can be followed"),
        ("status gt x", "'gt' cannot be asked of status"),
        ("date sw 2026", "'sw' cannot be asked of date"),
        ("_source sw urn", "'sw' cannot be asked of _source"),
        ("date gt yesterday", "a date is written"),
        ("subject pr maybe", "true or false"),
        ("subject.colour eq x", "colour"),
    ],
)
async def test_a_filter_that_means_nothing_says_so(small, asked, says):  # noqa: F811
    async with opened(small, size=1) as pool, pool.connection() as connection:
        with pytest.raises(Incorrect, match=says):
            await found(connection, "Observation", ("_filter", asked))


async def test_a_filter_reaches_no_further_than_the_scope(small):  # noqa: F811
    async with opened(small, size=1) as pool, pool.connection() as connection:
        asked = ("_filter", "subject.name co 三 or not(subject.name co 三)")
        assert await found(connection, "Observation", asked, scope=Scope((2,), ())) == ["o3"]
        asked = ("_filter", "performer.name co 李")
        assert await found(connection, "Observation", asked, scope=Scope((1,), ())) == []


async def test_a_list_finds_what_it_names_as_far_as_it_may_be_read(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await fill(connection)
        named = [{"item": {"reference": name}} for name in ("Patient/p1", "Patient/gone", "Observation/o3")]
        made = {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": named}
        await store.write(connection, [put(made)], context())
        assert await found(connection, "Patient", ("_list", "l")) == ["p1"]
        assert await found(connection, "Observation", ("_list", "List/l"), ("status", "final")) == ["o3"]
        assert await found(connection, "Observation", ("subject:Patient._list", "l")) == ["o1", "o2"]
        assert await found(connection, None, ("_list", "l")) == ["o3", "p1"]
        with pytest.raises(NotFound):
            await found(connection, "Patient", ("_list", "none"))
        with pytest.raises(NotFound):
            await found(connection, "Patient", ("_list", "l"), scope=Scope((2,), ()))
        with pytest.raises(Unsupported, match="current-problems"):
            await found(connection, "Patient", ("_list", "$current-everything"))
        with pytest.raises(Incorrect):
            await found(connection, "Patient", ("_list:not", "l"))


async def test_all_types_are_searched_at_once_in_one_order_with_pages(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await fill(connection)
        everything: list[str] = []
        asked = [("_count", "2")]
        page = await store.search(connection, None, [*asked, ("_total", "accurate")])
        assert page.total == 7
        while True:
            everything += [one.id for one in page.matches]
            if page.next is None:
                break
            page = await store.search(connection, None, [*asked, *([("_total", "accurate")]), ("_cursor", page.next)])
        assert sorted(everything) == ["e1", "o1", "o2", "o3", "org", "p1", "p2"]
        assert set(everything[-2:]) == {"p2", "o3"}, "the last written last"
        assert await found(connection, None, ("_type", "Patient,Organization")) == ["org", "p1", "p2"]
        assert await found(connection, None, ("_tag", "t")) == ["o2"]
        page = await store.search(
            connection, None, [("_type", "Patient,Observation"), ("_sort", "-_id"), ("_count", "3")]
        )
        assert [one.id for one in page.matches] == ["p2", "p1", "o3"]
        page = await store.search(connection, None, [("_type", "Encounter"), ("_include", "Encounter:subject")])
        assert [one.id for one in page.included] == ["p1"]
        scopes = {"Patient": Scope((1,), ()), "Observation": Scope((2,), ())}
        assert await found(connection, None, scope=scopes) == ["o3", "p1"]
        with pytest.raises(Incorrect):
            await found(connection, None, ("_type", "Patient,Encounter"), ("birthdate", "2000"))
        with pytest.raises(Incorrect):
            await found(connection, None, ("_type", "Nobody"))
        with pytest.raises(Incorrect):
            await found(connection, "Patient", ("_type", "Patient"))


async def test_a_compartment_is_searched_by_type_and_whole(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await fill(connection)
        first, second = ("Patient", "p1"), ("Patient", "p2")
        assert await found(connection, "Observation", within=first) == ["o1", "o2"]
        assert await found(connection, "Observation", within=second) == ["o2", "o3"], "a performer belongs too"
        assert await found(connection, "Observation", ("code", "8462-4"), within=second) == ["o3"]
        assert await found(connection, None, within=first) == ["e1", "o1", "o2", "p1"]
        assert await found(connection, None, ("_type", "Encounter"), within=first) == ["e1"]
        assert await found(connection, "Observation", within=("Encounter", "e1")) == ["o1"]
        assert await found(connection, "Observation", within=first, scope=Scope((2,), ())) == []
        with pytest.raises(Incorrect, match="never in the compartment"):
            await found(connection, "Organization", within=first)
        with pytest.raises(Incorrect, match="has no compartment"):
            await found(connection, "Observation", within=("Organization", "org"))
