"""Single writes that travel together: each keeps its own delivery, version, event and outcome, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from healthbrain.database import Connection, Statement
from healthbrain.exchange import express
from tests.api_world import World, inhabited, observation, world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hb(postgres: str, template: str, tmp_path: Path) -> AsyncIterator[World]:
    name = "hb_express"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    async with world(make_conninfo(postgres, dbname=name), tmp_path) as made:
        await inhabited(made)
        yield made


@pytest.fixture
def departures(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many writes went in each call."""
    seen: list[int] = []
    carry = express.Express._carry

    async def counted(self: express.Express, group: Any) -> bool:
        seen.append(len(group))
        return await carry(self, group)

    monkeypatch.setattr(express.Express, "_carry", counted)
    return seen


async def rows(hb: World, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with hb.platform.pool.connection() as connection:
        return await (await connection.execute(statement.encode(), values)).fetchall()


def sent(n: int) -> dict[str, Any]:
    return {**observation(f"o-{n}", "a-zs"), "note": [{"text": f"n{n}"}]}


async def test_writes_that_come_at_once_go_together_and_stay_apart(hb: World, departures: list[int]) -> None:
    answers = await asyncio.gather(
        *(hb.ask("POST", "Observation", "QPZS", json=sent(n), headers={"x-request-id": f"r{n}"}) for n in range(40))
    )
    assert [answer.status_code for answer in answers] == [201] * 40
    assert max(departures) > 1
    found = await rows(
        hb,
        "select r.fhir_id, d.state, d.written, d.entries, count(*) over (partition by d.id), r.owner from delivery d "
        "join resource r on r.delivery = d.id where d.id in (select delivery from resource where fhir_id = any(%s))",
        [answer.json()["id"] for answer in answers],
    )
    assert len(found) == 40
    assert {row[1:] for row in found} == {("accepted", 1, 1, 1, hb.keys["QPZS"])}
    for n, answer in enumerate(answers):
        assert answer.json()["note"] == [{"text": f"n{n}"}]
        (event,) = await hb.events(f"r{n}")
        assert (event.interaction, event.id, event.outcome) == ("create", answer.json()["id"], 0)
    kept = await rows(
        hb, "select count(*) from delivery_raw join delivery on id = delivery where door = 'fhir' and entries = 1"
    )
    assert kept[0][0] >= 40


async def test_a_refused_write_spoils_none_of_those_beside_it(hb: World) -> None:
    def one(n: int) -> Any:
        body: dict[str, Any] = sent(n)
        if n % 5 == 0:
            del body["status"]
        return hb.ask("PUT", f"Observation/o-{n}", "QPZS", json=body)

    answers = await asyncio.gather(*(one(n) for n in range(25)))
    assert [answer.status_code for answer in answers] == [422 if n % 5 == 0 else 201 for n in range(25)]
    states = Counter(row[0] for row in await rows(hb, "select state from delivery where message_type = 'Observation'"))
    assert states["refused"] == 5


async def test_writes_of_one_resource_at_once_become_versions_one_after_another(hb: World) -> None:
    answers = await asyncio.gather(
        *(hb.ask("PUT", "Observation/o-x", "QPZS", json={**sent(n), "id": "o-x"}) for n in range(24))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
    assert sorted(int(answer.json()["meta"]["versionId"]) for answer in answers) == list(range(1, 25))
    history = (await hb.ask("GET", "Observation/o-x/_history?_count=100", "QPZS")).json()["entry"]
    assert {tuple(e["resource"]["note"][0].values()) for e in history} == {(f"n{n}",) for n in range(24)}
    changes = await rows(
        hb,
        "select c.version, c.delivery from change c join resource r using (rid) where r.fhir_id = 'o-x' order by seq",
    )
    assert [row[0] for row in changes] == list(range(1, 25))
    assert len({row[1] for row in changes}) == 24


async def test_an_update_leaves_history_and_index_as_the_ordinary_way_does(hb: World) -> None:
    first = {**observation("o-q", "a-zs"), "valueQuantity": {"value": 1, "unit": "mmol/L"}}
    await hb.ask("PUT", "Observation/o-q", "QPZS", json=first)
    await hb.ask("PUT", "Observation/o-q", "QPZS", json={**first, "valueQuantity": {"value": 9, "unit": "mmol/L"}})
    assert "entry" not in (await hb.ask("GET", "Observation?value-quantity=1&_id=o-q", "QPZS")).json()
    assert len((await hb.ask("GET", "Observation?value-quantity=9&_id=o-q", "QPZS")).json()["entry"]) == 1
    same = await hb.ask(
        "PUT", "Observation/o-q", "QPZS", json={**first, "valueQuantity": {"value": 9, "unit": "mmol/L"}}
    )
    assert (same.status_code, same.json()["meta"]["versionId"]) == (200, "2")


async def test_somebody_elses_resource_is_not_overwritten(hb: World) -> None:
    assert (await hb.ask("PUT", "Observation/o-own", "QPZS", json=observation("o-own", "a-zs"))).status_code == 201
    answer = await hb.ask("PUT", "Observation/o-own", "XHZX", json=observation("o-own", "c-zx"))
    assert answer.status_code == 403


async def test_connections_that_broke_meanwhile_are_replaced_unseen(hb: World) -> None:
    await asyncio.gather(*(hb.ask("POST", "Observation", "QPZS", json=sent(n)) for n in range(8)))
    await rows(
        hb,
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"  # and wait until they have gone
        " where pid <> pg_backend_pid() and datname = current_database()",
    )
    answers = await asyncio.gather(*(hb.ask("POST", "Observation", "QPZS", json=sent(n)) for n in range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    assert (await rows(hb, "select count(*) from resource where fhir_id = any(%s)", [a.json()["id"] for a in answers]))[
        0
    ][0] == 8


@pytest.mark.parametrize("committed", [True, False], ids=["after its commit", "before its commit"])
async def test_a_call_that_broke_off_is_carried_out_once(
    hb: World, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    await hb.ask("POST", "Observation", "QPZS", json=sent(0))
    statement_for, breaks = express._take_in, [True]

    async def breaking(whole: Statement, connection: Connection, parameters: Any) -> Any:
        if breaks and breaks.pop():
            if committed:
                await whole(connection, parameters)
            await rows(hb, f"select pg_terminate_backend({connection.info.backend_pid})")
            return await whole(connection, parameters)
        return await whole(connection, parameters)

    monkeypatch.setattr(express, "_take_in", lambda parts: partial(breaking, statement_for(parts)))
    before = (await rows(hb, "select count(*) from resource"))[0][0]
    answer = await hb.ask("POST", "Observation", "QPZS", json=sent(1))
    assert answer.status_code == 201
    assert (await rows(hb, "select count(*) from resource"))[0][0] == before + 1
    assert (await hb.ask("GET", f"Observation/{answer.json()['id']}", "QPZS")).status_code == 200
    assert len(await hb.events(answer.headers["x-request-id"])) == 1
