"""A 50 MB bundle neither takes the server down nor leaves half of itself."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest

from healthbrain.access import put_organisation
from healthbrain.database import open_pool
from healthbrain.errors import TooLarge
from healthbrain.exchange import Arrival, Ledger, put_source, raw
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
PING = b"MSH|^~\\&|HIS|QP001|||20261122110000||ADT^A28|P%d|P|2.5\rPID|1||M1^^^QP001^MR||A^B||19900101|M\r"


def bundle(entries: int, size: int) -> bytes:
    text = "x" * size
    return json.dumps(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": {"resourceType": "Basic", "code": {"text": text}},
                    "request": {"method": "POST", "url": "Basic"},
                }
                for _ in range(entries)
            ],
        }
    ).encode()


@pytest.mark.parametrize(("entries", "size", "state"), [(60_000, 700, "refused"), (4_000, 12_700, "accepted")])
def test_the_server_answers_others_while_it_works_on_it(dsn: str, entries: int, size: int, state: str) -> None:
    async def whole() -> None:
        pool = await open_pool(dsn, size=4)
        try:
            async with pool.connection() as c:
                key = await put_organisation(c, code="QP001", name="医院", kind="institution")
                source = await put_source(c, code="f", name="F", organisation=key, door="fhir", at=AT)
            ledger = Ledger(pool, Store())
            body = bundle(entries, size)
            assert len(body) > 48_000_000
            task = asyncio.create_task(ledger.receive(Arrival("fhir", source.key, body, AT), at=AT))
            slowest, n = 0.0, 0
            while not task.done():
                begun = time.monotonic()
                await ledger.receive(Arrival("hl7v2", None, PING % n, AT), at=AT)
                slowest, n = max(slowest, time.monotonic() - begun), n + 1
                await asyncio.sleep(0.02)
            receipt = await task
            assert receipt.state == state
            assert n >= 1
            assert slowest < 10
            if state == "refused":
                assert isinstance(receipt.error, TooLarge)
            async with pool.connection() as c:
                row = await (await c.execute("select count(*) from resource where owner = %s", (key,))).fetchone()
                assert row == ((entries if state == "accepted" else 0),)
                assert receipt.delivery is not None
                assert await raw(c, receipt.delivery) == body
        finally:
            await pool.close()

    asyncio.run(whole())
