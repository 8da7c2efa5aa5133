"""Search: what the oracle does not cover. Chains, includes, texts, uris, paging, errors, plans."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthbrain.errors import Incorrect, TooLarge, Unsupported
from healthbrain.scope import Scope
from healthbrain.store import Store, Write, patient_key
from healthbrain.store.asking import Asking
from healthbrain.store.question import read_question
from healthbrain.store.selection import selected
from tests.engine.store_samples import context, observation, opened, patient, post, put

store = Store()
pytestmark = pytest.mark.anyio


async def found(connection, type_: str, *parameters: tuple[str, str], **options) -> list[str]:
    page = await store.search(connection, type_, list(parameters), **options)
    return sorted(one.id for one in page.matches)


async def filled(connection) -> None:
    """Two patients of two organisations, an organisation, an encounter, observations."""
    who = {"identifier": [{"system": "urn:x", "value": "1", "type": {"coding": [{"system": "urn:t", "code": "MR"}]}}]}
    org = {"resourceType": "Organization", "id": "org", "name": "夏阳街道社区卫生服务中心"}
    visit = {
        "resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": "Patient/p1"}, "serviceProvider": {"reference": "Organization/org"},
        "period": {"start": "2026-02-01T09:00:00Z"},
    }  # fmt: skip
    value = observation("p1") | {"id": "o1", "encounter": {"reference": "Encounter/e1"}}
    value["code"] = {
        "coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "收缩压"}],
        "text": "Systolic Blood Pressure",
    }
    guardian = {"performer": [{"reference": "Patient/p2"}, {"identifier": {"system": "urn:y", "value": "9"}}]}
    meta = {"tag": [{"system": "urn:tag", "code": "t"}], "profile": ["http://example.org/profile"], "source": "urn:src"}
    await store.write(
        connection,
        [
            put(patient("p1", "张三", **who)),
            put(org),
            put(visit),
            put(value),
            put(observation("p1") | {"id": "o2", **guardian, "meta": meta}),
        ],
        context(),
    )
    await store.write(
        connection, [put(patient("p2", "李四")), put(observation("p2", "8462-4") | {"id": "o3"})], context(1, owner=2)
    )


def _copy(postgres: str, template: str) -> Iterator[str]:
    """DSN of a database with the whole schema for all tests of this module."""
    name = f"hb_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="module")
def large(postgres, template):
    """A database for a hundred patients and 10,000 observations."""
    yield from _copy(postgres, template)


@pytest.fixture(scope="module")
def small(postgres, template):
    """A database in which `filled` has been."""

    async def fill(dsn: str) -> None:
        async with opened(dsn, size=1) as pool, pool.connection() as connection:
            await filled(connection)

    for dsn in _copy(postgres, template):
        asyncio.run(fill(dsn))
        yield dsn


@pytest.mark.parametrize(
    ("type_", "parameter", "expected"),
    [
        ("Observation", ("subject:Patient.name", "张"), ["o1", "o2"]),
        ("Observation", ("patient.identifier", "urn:x|1"), ["o1", "o2"]),
        ("Observation", ("encounter.service-provider.name", "夏阳"), ["o1"]),
        ("Observation", ("encounter:Encounter.subject:Patient.name", "李"), []),
        ("Observation", ("performer:Patient.name", "李"), ["o2"]),
        ("Patient", ("_has:Observation:patient:code", "8462-4"), ["p2"]),
        ("Patient", ("_has:Observation:performer:status", "final"), ["p2"]),
        ("Encounter", ("_has:Observation:encounter:code", "8480-6"), ["e1"]),
        ("Organization", ("_has:Encounter:service-provider:_has:Observation:encounter:code", "8480-6"), ["org"]),
        ("Observation", ("code:text", "systolic bl"), ["o1"]),
        ("Observation", ("code:text", "收缩"), ["o1"]),
        ("Patient", ("identifier:of-type", "urn:t|MR|1"), ["p1"]),
        ("Patient", ("identifier:of-type", "urn:t|SS|1"), []),
        ("Observation", ("performer:identifier", "urn:y|9"), ["o2"]),
        ("Observation", ("performer:identifier", "9"), ["o2"]),
        ("Observation", ("_tag", "urn:tag|t"), ["o2"]),
        ("Observation", ("_profile", "http://example.org/profile"), ["o2"]),
        ("Observation", ("_source", "urn:src"), ["o2"]),
        ("Observation", ("_id", "o1,o3,nothing"), ["o1", "o3"]),
        ("Observation", ("_lastUpdated", "gt2026-03-01T08:00:30Z"), ["o3"]),
        ("Observation", ("_lastUpdated", "2026-03-01"), ["o1", "o2", "o3"]),
        ("Observation", ("date", "ap2026-02-03"), ["o1", "o2", "o3"]),
        ("Observation", ("date", "ap1980"), []),
        ("Observation", ("_lastUpdated", "ap2026-03-01"), ["o1", "o2", "o3"]),
        ("Encounter", ("date", "ap2026-02-01"), ["e1"]),
        ("Observation", ("value-quantity", "ap125"), ["o1", "o2", "o3"]),
    ],
)  # fmt: skip
async def test_a_parameter_finds(small, type_, parameter, expected):
    async with opened(small, size=1) as pool, pool.connection() as connection:
        assert await found(connection, type_, parameter) == expected


async def test_uris_are_found_below_and_above(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        for n, url in enumerate(["http://a.org/fhir/vs", "http://a.org/fhir/vs/1", "http://b.org/vs"]):
            await store.write(
                connection,
                [put({"resourceType": "ValueSet", "id": f"v{n}", "status": "active", "url": url})],
                context(),
            )
        assert await found(connection, "ValueSet", ("url", "http://b.org/vs")) == ["v2"]
        assert await found(connection, "ValueSet", ("url:below", "http://a.org/fhir/")) == ["v0", "v1"]
        assert await found(connection, "ValueSet", ("url:above", "http://a.org/fhir/vs/1/2")) == ["v0", "v1"]


async def test_includes_come_once_and_within_the_scope(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await filled(connection)
        page = await store.search(
            connection, "Observation", [("_include", "Observation:subject"), ("_include", "Observation:encounter")]
        )
        assert sorted(one.id for one in page.included) == ["e1", "p1", "p2"]
        page = await store.search(connection, "Observation", [("_id", "o1"), ("_include", "*")])
        assert sorted(one.id for one in page.included) == ["e1", "p1"]
        page = await store.search(
            connection,
            "Patient",
            [("_id", "p2"), ("_revinclude", "Observation:subject"), ("_revinclude", "Observation:performer")],
        )
        assert sorted(one.id for one in page.included) == ["o2", "o3"]
        mine = Scope(organisations=(), patients=(patient_key("p2"),))
        page = await store.search(connection, "Patient", [("_revinclude", "Observation:performer")], scope=mine)
        assert ([one.id for one in page.matches], page.included) == (["p2"], [])


async def test_includes_go_on_with_iterate_and_stop_without(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await filled(connection)
        first = [("_id", "o1"), ("_include", "Observation:encounter")]
        page = await store.search(connection, "Observation", [*first, ("_include", "Encounter:service-provider")][:2])
        assert [one.id for one in page.included] == ["e1"]
        page = await store.search(
            connection, "Observation", [*first, ("_include:iterate", "Encounter:service-provider:Organization")]
        )
        assert sorted(one.id for one in page.included) == ["e1", "org"]
        page = await store.search(
            connection,
            "Organization",
            [("_revinclude", "Encounter:*"), ("_revinclude:iterate", "Observation:encounter")],
        )
        assert sorted(one.id for one in page.included) == ["e1", "o1"]
        page = await store.search(connection, "Patient", [("_id", "p1"), ("_revinclude", "*")])
        assert sorted(one.id for one in page.included) == ["e1", "o1", "o2"]
        page = await store.search(
            connection, "Observation", [("_id", "o2"), ("_include", "Observation:performer:Group")]
        )
        assert page.included == []


async def test_a_circle_of_includes_ends(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        ring = [
            put(
                {
                    "resourceType": "Organization",
                    "id": f"g{n}",
                    "name": "x",
                    "partOf": {"reference": f"Organization/g{(n + 1) % 4}"},
                }
            )
            for n in range(4)
        ]
        await store.write(connection, ring, context())
        page = await store.search(
            connection, "Organization", [("_id", "g0"), ("_include:iterate", "Organization:partof")]
        )
        assert sorted(one.id for one in page.included) == ["g1", "g2", "g3"]


async def test_a_canonical_includes_the_version_it_names(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        forms = [
            {
                "resourceType": "Questionnaire",
                "id": f"q{n}",
                "status": "active",
                "url": "http://a.org/q",
                "version": str(n),
            }
            for n in range(3)
        ]
        answers = [
            {
                "resourceType": "QuestionnaireResponse",
                "id": "r1",
                "status": "completed",
                "questionnaire": "http://a.org/q|1",
            },
            {
                "resourceType": "QuestionnaireResponse",
                "id": "r2",
                "status": "completed",
                "questionnaire": "http://a.org/q",
            },
        ]
        await store.write(connection, [put(one) for one in [*forms, *answers]], context())
        include = ("_include", "QuestionnaireResponse:questionnaire")
        page = await store.search(connection, "QuestionnaireResponse", [("_id", "r1"), include])
        assert [one.id for one in page.included] == ["q1"]
        page = await store.search(connection, "QuestionnaireResponse", [("_id", "r2"), include])
        assert sorted(one.id for one in page.included) == ["q0", "q1", "q2"]


async def test_periods_without_end_are_paged_too(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        visits = [
            {"resourceType": "Encounter", "id": f"v{n}", "status": "in-progress", "class": {"code": "IMP"},
             **({} if n == 4 else {"period": {"start": f"2026-02-0{n + 1}"} | ({"end": "2026-03-01"} if n % 2 else {})})}
            for n in range(5)
        ]  # fmt: skip
        await store.write(connection, [put(one) for one in visits], context())
        for sort, expected in [
            ("-date", ["v2", "v0", "v3", "v1", "v4"]),
            ("date,_id", ["v1", "v3", "v0", "v2", "v4"]),
            ("status,-date", ["v0", "v2", "v1", "v3", "v4"]),
        ]:
            asked, seen = [("_sort", sort), ("_count", "1")], []
            page = await store.search(connection, "Encounter", asked)
            while page.next:
                seen += [one.id for one in page.matches]
                page = await store.search(connection, "Encounter", [*asked, ("_cursor", page.next)])
            assert [*seen, *(one.id for one in page.matches)] == expected, sort


async def test_chains_may_be_long_but_not_without_bound(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        row = [
            put(
                {
                    "resourceType": "Organization",
                    "id": f"g{n}",
                    "name": "x",
                    "partOf": {"reference": f"Organization/g{n + 1}"},
                }
            )
            for n in range(8)
        ]
        await store.write(
            connection, [*row, put({"resourceType": "Organization", "id": "g8", "name": "top"})], context()
        )
        up = "partof." * 8 + "name"
        assert await found(connection, "Organization", (up, "top")) == ["g0"]
        down = "_has:Organization:partof:" * 8 + "_id"
        assert await found(connection, "Organization", (down, "g0")) == ["g8"]
        assert await found(connection, "Organization", ("partof._has:Organization:partof:name", "none")) == []
        with pytest.raises(TooLarge):
            await found(connection, "Organization", ("partof." * 20 + "name", "top"))
        with pytest.raises(TooLarge, match="name the type"):
            await found(connection, "Provenance", ("target.subject.focus.subject.focus._id", "x"))


async def test_an_estimated_total_is_counted_when_it_is_small(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await filled(connection)
        assert (await store.search(connection, "Observation", [("_total", "estimate")])).total == 3


async def test_chains_do_not_reach_outside_the_scope(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await filled(connection)
        second = Scope(organisations=(2,), patients=())
        assert await found(connection, "Observation", ("subject:Patient.name", "张"), scope=second) == []
        assert await found(connection, "Observation", ("performer:Patient.name", "李"), scope=Scope((1,), ())) == []


async def test_everything_of_a_patient_is_the_compartment(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await filled(connection)
        page = await store.everything(connection, "p2", count=2)
        assert [one.id for one in page.matches] == ["p2", "o2"], "performer puts o2 into the compartment too"
        rest = await store.everything(connection, "p2", count=2, cursor=page.next)
        assert [one.id for one in rest.matches] == ["o3"]
        assert rest.next is None


async def test_counts_only_when_asked(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await filled(connection)
        assert (await store.search(connection, "Observation", [])).total is None
        page = await store.search(connection, "Observation", [("_summary", "count")])
        assert (page.total, page.matches) == (3, [])


async def test_paging_survives_writes_between_pages(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        for n in range(6):
            await store.write(
                connection, [put(observation("p1", at=f"2026-01-0{n + 1}") | {"id": f"o{n}"})], context(n)
            )
        asked = [("_sort", "-date"), ("_count", "2")]
        first = await store.search(connection, "Observation", asked)
        await store.write(
            connection,
            [Write("delete", "Observation", "o4", None), post(observation("p1", at="2026-01-09"))],
            context(9),
        )
        second = await store.search(connection, "Observation", [*asked, ("_cursor", first.next or "")])
        assert [one.id for one in [*first.matches, *second.matches]] == ["o5", "o4", "o3", "o2"]


@pytest.mark.parametrize(
    ("type_", "parameters", "error"),
    [
        ("Patient", [("colour", "red")], Incorrect),
        ("Nobody", [], Incorrect),
        ("Observation", [("date", "yesterday")], Incorrect),
        ("Observation", [("date", "2026-13-01")], Incorrect),
        ("Observation", [("value-quantity", "many")], Incorrect),
        ("Observation", [("value-quantity", "5|x")], Incorrect),
        ("Observation", [("code-value-quantity", "8480-6")], Incorrect),
        ("Observation", [("subject", "Nobody/1")], Incorrect),
        ("Observation", [("subject:nonsense", "1")], Incorrect),
        ("Observation", [("code.name", "x")], Incorrect),
        ("Observation", [("subject:Patient.colour", "x")], Incorrect),
        ("Observation", [("code:in", "x")], Unsupported),
        ("Location", [("near", "1")], Incorrect),
        ("Location", [("_query", "x")], Unsupported),
        ("Observation", [("_query", "x")], Unsupported),
        ("Observation", [("_sort", "code-value-quantity")], Incorrect),
        ("Observation", [("_sort", "_id,_id,_id,_id,_id,_id")], Incorrect),
        ("Observation", [("_sort", "colour")], Incorrect),
        ("Observation", [("_count", "-1")], Incorrect),
        ("Observation", [("_cursor", "abc")], Incorrect),
        ("Observation", [("_include", "subject")], Incorrect),
        ("Observation", [("_include", "Observation:code")], Incorrect),
        ("Observation", [("_include", "Patient:organization")], Incorrect),
        ("Patient", [("_revinclude", "Observation:code")], Incorrect),
        ("Observation", [("_include:often", "Observation:subject")], Incorrect),
        ("Observation", [("_include", "Observation:subject:Nobody")], Incorrect),
        ("Patient", [("_has:Observation:code", "x")], Incorrect),
        ("Patient", [("_has:Observation:code:status", "x")], Incorrect),
        ("Patient", [("name", "x")] * 51, TooLarge),
        ("Patient", [("_id", ",".join("x" * 2001))], TooLarge),
        ("Patient", [("name:missing", "perhaps")], Incorrect),
    ],
)  # fmt: skip
async def test_a_wrong_search_says_what_is_wrong(small, type_, parameters, error):
    async with opened(small, size=1) as pool, pool.connection() as connection:
        with pytest.raises(error) as caught:
            await store.search(connection, type_, parameters)
        assert type(caught.value) is error


async def test_an_unknown_parameter_is_named_with_the_known_ones_or_ignored(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        with pytest.raises(Incorrect, match=r"'colour' is not a search parameter of Patient; known are .*birthdate"):
            await store.search(connection, "Patient", [("colour", "red")])
        assert await found(connection, "Patient", ("colour", "red"), strict=False) == []


async def test_values_with_commas_bars_and_percent_signs_are_plain_text(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        odd = [{"system": "urn:x|y", "value": "a,b$c\\d"}]
        await store.write(
            connection, [put(patient("p1", "100%_\\", identifier=odd)), put(patient("p2", "100x"))], context()
        )
        assert await found(connection, "Patient", ("identifier", r"urn:x\|y|a\,b\$c\\d")) == ["p1"]
        assert await found(connection, "Patient", ("name:contains", r"0%_\\")) == ["p1"]
        assert await found(connection, "Patient", ("name", "100%")) == ["p1"]
        assert await found(connection, "Patient", ("name", "'; drop table resource; --")) == []


# -- plans

HEAVIEST = [
    ("Patient", [("identifier", "urn:x|17")], {"resource_tokens"}),
    ("Observation", [("patient", "p3"), ("code", "http://loinc.org|c5"), ("date", "ge2025-01-01")], {"resource_patient"}),
    ("Observation", [("patient", "p3"), ("code", "c5"), ("_sort", "-date")], {"resource_patient"}),
    ("Observation", [("subject", "Patient/p3")], {"resource_patient"}),
    ("Observation", [("encounter", "Encounter/e77")], {"resource_tokens"}),
    ("Observation", [("identifier", "urn:o|1234,urn:o|1235,urn:o|1236")], {"resource_tokens"}),
    ("Observation", [("_sort", "-date"), ("_count", "10")], {"resource_at"}),
    ("Observation", [("_lastUpdated", "gt2026-03-02")], {"resource_updated"}),
    ("Patient", [("name", "f17")], {"resource_string_value"}),
    ("Observation", [("subject:Patient.identifier", "urn:x|17")], {"resource_tokens", "resource_patient"}),
    ("Observation", [("value-quantity", "gt9990")], {"resource_number_high"}),
    ("Patient", [("_has:Observation:patient:identifier", "urn:o|1234")], {"resource_tokens"}),
    ("Observation", [("_id", "o1,o2")], {"resource_key"}),
    ("Observation", [("value-quantity", "gt9990|http://unitsofmeasure.org|mm[Hg]")], {"resource_number_high"}),
    ("Observation", [("_filter", "patient re Patient/p3 and code eq c5")], {"resource_patient"}),
    ("Observation", [("_filter", "subject.identifier eq urn:x|17 and status eq final")], {"resource_tokens", "resource_patient"}),
    ("Patient", [("_filter", "name sw f17")], {"resource_string_value"}),
    ("Encounter", [("_has:Observation:encounter:identifier", "urn:o|1234")], {"resource_tokens"}),
]  # fmt: skip

# what few have is looked up alone, and everything else checked on what was found: intersected with all of a type it grows with them
LOOKED_UP_FIRST = [
    ("Patient", [("identifier", "urn:x|17")]),
    ("Observation", [("encounter", "Encounter/e77")]),
    ("Observation", [("encounter", "e77"), ("status", "final")]),
    ("Observation", [("patient", "p3"), ("encounter", "Encounter/e77")]),
]


async def test_the_heaviest_searches_use_their_index_the_twentieth_time_too(large):
    """psycopg prepares after a few calls and PostgreSQL then likes generic plans, which walk whole tables: 0.1 ms become
    200 ms. So every shape is asked often, and then its plan is read."""
    async with opened(large, size=1) as pool, pool.connection() as connection:
        people = [put(patient(f"p{n}", f"f{n}", identifier=[{"system": "urn:x", "value": str(n)}])) for n in range(100)]
        values = [
            put(
                observation(f"p{n % 100}", f"c{n % 40}", n, f"202{n % 6}-0{1 + n % 9}-11")
                | {
                    "id": f"o{n}",
                    "identifier": [{"system": "urn:o", "value": str(n)}],
                    "encounter": {"reference": f"Encounter/e{n % 900}"},
                }
            )
            for n in range(10_000)
        ]
        await store.write(connection, people, context(), validated=True)
        for start in range(0, len(values), 1000):
            await store.write(connection, values[start : start + 1000], context(start), validated=True)
        await connection.commit()
        await connection.set_autocommit(True)
        await connection.execute("vacuum analyze")
        for type_, parameters, indexes in HEAVIEST:
            for _ in range(20):
                await store.search(connection, type_, parameters)
            scans = await _scans(connection, type_, parameters)
            used = {name for _, name in scans if name}
            assert used & indexes, (parameters, scans)
            assert not any(kind == "Seq Scan" and name == "resource" for kind, name in scans), (parameters, scans)
        for type_, parameters in LOOKED_UP_FIRST:
            used = {name for _, name in await _scans(connection, type_, parameters) if name.startswith("resource_")}
            assert used == {"resource_tokens", "resource_pkey"}, (parameters, used)
        prepared = await (
            await connection.execute(
                "select count(*), sum(generic_plans) from pg_prepared_statements where parameter_types <> '{}'"
            )
        ).fetchone()
        assert prepared is not None
        assert prepared[0] > 0, "the statements were prepared"
        assert prepared[1] == 0, "no plan became generic"


async def _scans(connection, type_: str, parameters: list[tuple[str, str]]) -> list[tuple[str, str]]:
    question = read_question(parameters)
    selection = await selected(connection, type_, question.criteria, Asking())
    by_date = bool(question.sort) and question.sort[0].name == "date"
    column = "r.at_high" if by_date else "r.updated"
    direction = "desc" if by_date and question.sort[0].descending else "asc"
    keyed = " and r.at_high is not null" if by_date else ""
    sql = f"explain (format json) select r.body from resource r where {selection.where}{keyed} order by {column} {direction}, r.rid {direction} limit 51"
    row = await (await connection.execute(sql.encode(), selection.parameters)).fetchone()
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(_walk(plan[0]["Plan"]))


def _walk(node):
    if "Scan" in node["Node Type"]:
        yield node["Node Type"], node.get("Index Name", node.get("Relation Name", ""))
    for inner in node.get("Plans", []):
        yield from _walk(inner)
