"""Lines that are prepared ahead, by other processes too: what comes out is what the ordinary way makes, in the order of the file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthbrain.database import Pool
from healthbrain.errors import Conflict
from healthbrain.exchange import Ledger, Source, import_paths, receive_ndjson, refused_lines
from healthbrain.exchange.bulk import helping_processes
from healthbrain.identity import link
from healthbrain.store import Store, Watching
from tests.engine.test_exchange_ledger import AT, STORE, count, found, run

WATCHING = (Watching(frozenset({"Patient"}), link),)


def patient(n: int, name: str = "张伟") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p-{n}", "name": [{"text": name}]}


def weight(n: int, value: float = 70) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"w-{n}", "status": "final", "code": {"text": "体重"},
        "subject": {"reference": f"Patient/p-{n}"}, "valueQuantity": {"value": value, "unit": "kg"},
    }  # fmt: skip


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [
        {"fullUrl": f"urn:uuid:{one['id']}", "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def lines(*resources: dict[str, Any]) -> Iterator[bytes]:
    return (json.dumps(one).encode() + b"\n" for one in resources)


@pytest.mark.parametrize("helped", [False, True], ids=["a thread prepares", "processes prepare"])
def test_a_file_is_taken_in_whole_and_in_order(dsn: str, helped: bool) -> None:
    content = [patient(n) for n in range(400)] + [weight(n) for n in range(400)]
    content += [weight(7, 71), {"resourceType": "Observation", "id": "bad"}, patient(3, "李娜"), weight(7, 72)]
    content += [weight(n) for n in range(400, 2600)] + [weight(7, 73), patient(3, "王芳")]

    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        ledger = Ledger(pool, STORE, WATCHING)
        if helped:
            with helping_processes(2) as helpers:
                standing = await receive_ndjson(
                    ledger, lines(*content), sources["files"], name="f", key="k", at=AT, helpers=helpers
                )
        else:
            standing = await receive_ndjson(ledger, lines(*content), sources["files"], name="f", key="k", at=AT)
        assert (standing.state, standing.lines, standing.refused) == ("partly", len(content), 1)
        assert standing.written == len(content) - 1
        async with pool.connection() as c:
            ((number, _),) = [one[:2] for one in await refused_lines(c, standing.delivery)]
            assert content[number - 1]["id"] == "bad"
            history = (await STORE.history(c, "Observation", "w-7")).matches
            assert [one.resource["valueQuantity"]["value"] for one in history] == [73, 72, 71, 70]
            assert {one.delivery for one in history} == {standing.delivery}
            assert (await STORE.read(c, "Patient", "p-3")).resource["name"][0]["text"] == "王芳"
        assert await count(pool, "select count(*) from person_link") == 400
        assert await count(pool, "select count(*) from change") == standing.written
        assert len(await found(pool, "Observation", ("subject", "Patient/p-9"))) == 1

    run(dsn, world)


def test_bundles_are_prepared_with_their_references_and_refused_as_a_whole(dsn: str) -> None:
    good = bundle(patient(1), {**weight(1), "subject": {"reference": "urn:uuid:p-1"}})
    wrong = bundle(patient(2), {"resourceType": "Observation", "id": "x", "status": "final"})
    nowhere = bundle({**weight(1), "subject": {"reference": "urn:uuid:elsewhere"}})
    conditional = bundle(patient(4))
    conditional["entry"][0]["request"]["ifNoneExist"] = "identifier=urn:x|4"

    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        ledger = Ledger(pool, STORE, WATCHING)
        standing = await receive_ndjson(
            ledger, lines(good, wrong, nowhere, conditional, good), sources["files"], name="f", key="k", at=AT
        )
        assert (standing.written, standing.refused, standing.state) == (5, 2, "partly")
        async with pool.connection() as c:
            refused = {line[0]: line[1] for line in await refused_lines(c, standing.delivery)}
            assert set(refused) == {2, 3}
            assert refused[2][0]["expression"].startswith("Bundle.entry[1].resource")
        for one in await found(pool, "Observation"):
            (owner,) = await found(pool, "Patient", ("_id", one["subject"]["reference"].removeprefix("Patient/")))
            assert owner["name"][0]["text"] == "张伟"

    run(dsn, world)


def test_what_is_here_already_is_only_written_when_it_changed(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        ledger = Ledger(pool, STORE, WATCHING)
        await receive_ndjson(ledger, lines(*(weight(n) for n in range(50))), sources["files"], name="a", key="a", at=AT)
        again = [weight(n, 70 if n % 2 else 80) for n in range(60)]
        standing = await receive_ndjson(ledger, lines(*again), sources["files"], name="b", key="b", at=AT)
        assert (standing.lines, standing.written, standing.state) == (60, 35, "accepted")
        assert await count(pool, "select count(*) from resource_history") == 25

    run(dsn, world)


def test_a_store_that_narrows_is_asked(dsn: str) -> None:
    asked: list[frozenset[str]] = []

    class Narrow(Store):
        async def write_new(self, connection: Any, columns: Any, types: Any) -> list[int | None]:
            asked.append(types)
            return await super().write_new(connection, columns, types)

    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        await receive_ndjson(
            Ledger(pool, Narrow()), lines(patient(1), weight(1)), sources["files"], name="a", key="a", at=AT
        )
        assert asked == [frozenset({"Patient", "Observation"})]

    run(dsn, world)


def test_an_import_outlives_its_helpers(dsn: str, tmp_path: Path) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        with helping_processes(1) as helpers:
            (pid,) = [helpers.submit(os.getpid).result()]

            def content() -> Iterator[bytes]:
                for n, line in enumerate(lines(*(weight(n) for n in range(3500)))):
                    if n == 2200:
                        os.kill(pid, signal.SIGKILL)
                    yield line

            standing = await receive_ndjson(
                Ledger(pool, STORE, WATCHING), content(), sources["files"], name="a", key="a", at=AT, helpers=helpers
            )
        assert (standing.state, standing.written) == ("accepted", 3500)

    run(dsn, world)


def test_a_large_file_is_imported_with_help(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthbrain.exchange.imports._WORTH_HELP", 1000)
    file = tmp_path / "w.ndjson"
    file.write_bytes(b"".join(lines(*(weight(n) for n in range(1500)))))

    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        (report,) = await import_paths(Ledger(pool, STORE, WATCHING), [file], sources["files"])
        assert (report.state, report.written) == ("accepted", 1500)
        (report,) = await import_paths(Ledger(pool, STORE, WATCHING), [file], sources["files"])
        assert await count(pool, "select count(*) from resource") == 1500

    run(dsn, world)


def test_one_file_by_two_at_once_is_taken_in_once(dsn: str) -> None:
    async def world(pool: Pool, ledger: Ledger, sources: dict[str, Source]) -> None:
        async def one() -> object:
            try:
                return await receive_ndjson(
                    Ledger(pool, STORE, WATCHING),
                    lines(*(weight(n) for n in range(2500))),
                    sources["files"],
                    name="a",
                    key="a",
                    at=AT,
                )
            except Conflict as taken:
                return taken

        await asyncio.gather(one(), one())
        assert await count(pool, "select count(*) from resource") == 2500
        assert await count(pool, "select count(*) from resource_history") == 0

    run(dsn, world)
