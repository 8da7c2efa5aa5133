"""Transaction and batch bundles."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest

from healthbrain.errors import Incorrect, Invalid, NotFound, PreconditionFailed, TooLarge
from healthbrain.fhir import parse
from healthbrain.store import Store
from tests.engine.store_samples import context, observation, opened, patient, put

store = Store()
pytestmark = pytest.mark.anyio


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(
    method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **request: str
) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


async def test_references_between_entries_become_real(dsn):
    name = f"urn:uuid:{uuid.uuid4()}"
    value = observation("x") | {"subject": {"reference": name}}
    async with opened(dsn) as pool, pool.connection() as connection:
        sent = bundle(entry("POST", "Observation", value), entry("POST", "Patient", patient(), name))
        before = copy.deepcopy(sent)
        response = await store.bundle(connection, sent, context())
        assert sent == before, "what was sent is left as it is"
        places = [one["response"]["location"] for one in response["entry"]]
        assert [p.split("/")[0] for p in places] == ["Observation", "Patient"]
        assert response["entry"][0]["response"]["status"] == "201 Created"
        assert response["entry"][0]["response"]["etag"] == 'W/"1"'
        page = await store.search(connection, "Observation", [("patient", places[1].split("/")[1])])
        assert len(page.matches) == 1


async def test_a_reference_to_nowhere_and_an_invalid_resource_name_their_entry(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        lost = observation("x") | {"subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}}
        with pytest.raises(Invalid) as caught:
            await store.bundle(
                connection, bundle(entry("POST", "Patient", patient()), entry("POST", "Observation", lost)), context()
            )
        assert caught.value.issues[0].expression == "Bundle.entry[1].resource"
        wrong = patient(gender="nobody")
        with pytest.raises(Invalid) as caught:
            await store.bundle(
                connection, bundle(entry("POST", "Patient", patient()), entry("POST", "Patient", wrong)), context()
            )
        assert caught.value.issues[0].expression == "Bundle.entry[1].resource.gender"


async def test_conditions_find_create_update_and_delete(dsn):
    number = {"system": "urn:x", "value": "1"}
    who = patient(identifier=[number])
    async with opened(dsn) as pool, pool.connection() as connection:
        create = entry("POST", "Patient", who, ifNoneExist="identifier=urn:x|1")
        first = await store.bundle(connection, bundle(create), context())
        second = await store.bundle(connection, bundle(create), context())
        assert [r["entry"][0]["response"]["status"] for r in (first, second)] == ["201 Created", "200 OK"]
        assert first["entry"][0]["response"]["location"] == second["entry"][0]["response"]["location"]
        update = entry("PUT", "Patient?identifier=urn:x|1", who | {"gender": "male"})
        refer = entry(
            "POST", "Observation", observation("x") | {"subject": {"reference": "Patient?identifier=urn:x|1"}}
        )
        third = await store.bundle(connection, bundle(update, refer), context())
        assert third["entry"][0]["response"]["etag"] == 'W/"2"'
        own = third["entry"][0]["response"]["location"].split("/")[1]
        assert len((await store.search(connection, "Observation", [("subject", f"Patient/{own}")])).matches) == 1
        await store.bundle(connection, bundle(entry("DELETE", "Patient?identifier=urn:x|1")), context())
        with pytest.raises(NotFound):
            await store.read(connection, "Patient", own)


async def test_a_condition_that_finds_two_is_refused(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("a")), put(patient("b"))], context())
        with pytest.raises(PreconditionFailed):
            await store.bundle(connection, bundle(entry("DELETE", "Patient?family=张")), context())


async def test_if_match_guards_an_update(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        await store.write(connection, [put(patient("a"))], context())
        stale = entry("PUT", "Patient/a", patient("a", "王"), ifMatch='W/"3"')
        with pytest.raises(PreconditionFailed):
            await store.bundle(connection, bundle(stale), context())
        fresh = entry("PUT", "Patient/a", patient("a", "王"), ifMatch='W/"1"')
        await store.bundle(connection, bundle(fresh), context())


async def test_a_transaction_reads_after_it_wrote(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        sent = bundle(
            entry("GET", "Patient/a"), entry("GET", "Patient?family=张"), entry("PUT", "Patient/a", patient("a"))
        )
        response = await store.bundle(connection, sent, context())
        assert response["entry"][0]["resource"]["id"] == "a"
        assert response["entry"][1]["resource"]["entry"][0]["resource"]["id"] == "a"


async def test_a_batch_does_what_it_can(dsn):
    async with opened(dsn) as pool, pool.connection() as connection:
        sent = bundle(
            entry("PUT", "Patient/a", patient("a")),
            entry("PUT", "Patient/b", patient("b", gender="nobody")),
            entry("GET", "Patient/zzz"),
            entry("BREW", "Patient/c"),
            {"nonsense": 1},
            kind="batch",
        )
        response = await store.bundle(connection, sent, context())
        statuses = [one["response"]["status"][:3] for one in response["entry"]]
        assert statuses == ["201", "422", "404", "400", "400"]
        assert response["entry"][1]["response"]["outcome"]["issue"][0]["expression"] == [
            "Bundle.entry[1].resource.gender"
        ]
        assert (await store.read(connection, "Patient", "a")).version == 1


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([entry("PUT", "Patient/a", patient("a")), entry("DELETE", "Patient/a")], Incorrect),
        ([entry("PUT", "Patient/a", patient("b"))], Incorrect),
        ([entry("POST", "Patient/a", patient("a"))], Incorrect),
        ([entry("PUT", "Nothing/a", patient("a"))], Incorrect),
        ([entry("PUT", "Patient/a")], Incorrect),
        ([entry("PUT", "Patient/a", patient("a"), ifMatch="x")], Incorrect),
        ([entry("PATCH", "Patient?identifier=none", {"resourceType": "Parameters"})], NotFound),
        ([entry("POST", "Patient", patient())] * 11, TooLarge),
    ],
)
async def test_a_wrong_bundle_is_refused(dsn, entries, error):
    async with opened(dsn) as pool, pool.connection() as connection:
        with pytest.raises(error):
            await store.bundle(connection, bundle(*entries), context(), largest=10)


@pytest.mark.suite
async def test_synthetic_patients_go_in_whole(dsn, suites):
    import gzip

    with gzip.open(suites / "synthea-100-patients.ndjson.gz") as lines:
        sent = [parse(next(lines)) for _ in range(3)]
    async with opened(dsn) as pool, pool.connection() as connection:
        for one in sent:
            response = await store.bundle(connection, one, context())
            assert {e["response"]["status"] for e in response["entry"]} == {"201 Created"}
        page = await store.search(connection, "Patient", [("_total", "accurate")])
        assert page.total == sum(e["resource"]["resourceType"] == "Patient" for one in sent for e in one["entry"])
