"""A blocked source is refused at every door with a clear reason; nothing it sends is lost, and it can be replayed later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from healthbrain import exchange
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.exchange import Filter, Source, receiving
from tests.api_world import World, patient, world
from tests.mllp_client import Sender

pytestmark = pytest.mark.anyio
ADMISSION = (
    b"MSH|^~\\&|HIS|H01|HB|QP00|20261101080000||ADT^A04|1|P|2.5.1|||||CHN|UTF-8\rEVN|A04|20261101080000\r"
    b"PID|1||100^^^QPZS^MR||A^B||19800102|M\rPV1|1|O|||||||||||||||||V1\r"
)


@asynccontextmanager
async def _door(dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, Source, int]]:
    """A platform whose processes notice a block at once, a hospital that sends HL7 v2, and the port it sends to."""
    monkeypatch.setattr(receiving, "_CACHE_SECONDS", 0.0)
    async with world(dsn, folder) as made:
        async with made.platform.pool.connection() as connection:
            hospital = await exchange.put_source(
                connection, code="his", name="HIS", organisation=made.keys["QPZS"], door="hl7v2", facility="H01",
                at=datetime.now(UTC),
            )  # fmt: skip
        server = await exchange.serve_mllp("127.0.0.1", 0, exchange.mllp_handler(made.platform.ledger))
        try:
            yield made, hospital, server.port
        finally:
            await server.stop(grace=1)


async def _send(port: int, message: bytes) -> bytes:
    def talk() -> bytes:
        with Sender(port) as sender:
            return sender.send(message)

    return await asyncio.to_thread(talk)


async def _listed(made: World, source: int) -> list[exchange.Delivery]:
    async with made.platform.pool.connection() as connection:
        return (await exchange.arrivals(connection, Filter(source=source))).deliveries


async def test_a_blocked_hospital_gets_AR_over_mllp_and_its_message_is_taken_in_after_the_block(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _door(dsn, tmp_path, monkeypatch) as (made, hospital, port):
        async with made.platform.pool.connection() as connection:
            blocked = await exchange.block_source(
                connection, hospital.key, by="admin", reason="sends test data", at=datetime.now(UTC)
            )
        assert blocked.blocked
        answer = await _send(port, ADMISSION)
        assert b"|AR|1" in answer or b"MSA|AR|" in answer
        assert b"blocked" in answer
        (one,) = await _listed(made, hospital.key)
        assert (one.state, one.written) == ("refused", 0)
        assert "this source is blocked" in one.reason
        async with made.platform.pool.connection() as connection:
            assert await exchange.raw(connection, one.id) == ADMISSION
        # a replay meets the block too; without it the same message is taken in once
        receipt = await exchange.replay(made.platform.ledger, one.id, by="admin", at=datetime.now(UTC))
        assert receipt.state == "refused"
        async with made.platform.pool.connection() as connection:
            assert not (await exchange.unblock_source(connection, hospital.key)).blocked
        receipt = await exchange.replay(made.platform.ledger, one.id, by="admin", at=datetime.now(UTC))
        assert receipt.state == "accepted", receipt.issues
        assert b"MSA|AA|" in await _send(port, ADMISSION)  # sent again: a duplicate of what is there
        states = [each.state for each in await _listed(made, hospital.key)]
        assert sorted(states) == ["accepted", "duplicate"]


async def test_a_blocked_source_gets_403_at_the_fhir_interface_and_nothing_is_stored(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _door(dsn, tmp_path, monkeypatch) as (made, _, _port):
        async with made.platform.pool.connection() as connection:
            key = (await exchange.source_by_code(connection, "s-QPZS") or pytest.fail("no source")).key
            await exchange.block_source(connection, key, by="admin", reason="stolen token", at=datetime.now(UTC))
        resource = patient("p1", "310118195001011233", "张伟", "1950-01-01", "male")
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"resource": resource, "request": {"method": "PUT", "url": "Patient/p1"}}],
        }
        for method, path, body in (
            ("PUT", "Patient/p1", resource),
            ("POST", "Patient", resource),
            ("POST", "", bundle),
        ):
            answer = await made.ask(method, path, "QPZS", json=body)
            assert answer.status_code == 403, (path, answer.text)
            assert "this source is blocked" in answer.json()["issue"][0]["diagnostics"]
        assert (await made.ask("GET", "Patient/p1", "QP00")).status_code == 404
        listed = await _listed(made, key)
        assert [one.state for one in listed] == ["refused"] * 3
        # others go on sending
        assert (await made.ask("PUT", "Patient/p2", "QPXY", json={**resource, "id": "p2"})).status_code == 201
        async with made.platform.pool.connection() as connection:
            await exchange.unblock_source(connection, key)
        first = min(listed, key=lambda one: one.id)
        receipt = await exchange.replay(made.platform.ledger, first.id, by="admin", at=datetime.now(UTC))
        assert receipt.state == "accepted", receipt.issues
        assert (await made.ask("PUT", "Patient/p1", "QPZS", json=resource)).status_code == 200


async def test_a_registration_that_is_changed_stays_blocked_and_files_are_refused_too(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _door(dsn, tmp_path, monkeypatch) as (made, hospital, _):
        at = datetime.now(UTC)
        async with made.platform.pool.connection() as connection:
            with pytest.raises(Incorrect):
                await exchange.block_source(connection, hospital.key, by="admin", reason="  ", at=at)
            with pytest.raises(NotFound):
                await exchange.block_source(connection, 10**6, by="admin", reason="x", at=at)
            await exchange.block_source(connection, hospital.key, by="admin", reason="x", at=at)
            changed = await exchange.put_source(
                connection, code="his", name="HIS 2", organisation=hospital.organisation, door="hl7v2", facility="H01",
                at=at,
            )  # fmt: skip
        assert (changed.name, changed.blocked) == ("HIS 2", True)
        with pytest.raises(Forbidden):
            await exchange.receive_ndjson(made.platform.ledger, [b"{}"], changed, name="x", at=at)
