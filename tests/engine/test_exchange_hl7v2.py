"""HL7 v2 from the wire to the store, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from healthbrain.access import put_organisation
from healthbrain.database import Pool, open_pool
from healthbrain.exchange import Arrival, Ledger, Source, put_source
from healthbrain.identity import link
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def adt(control_id: str = "A1", *, name: str = "张^伟", event: str = "A01", more: str = "") -> bytes:
    return (
        f"MSH|^~\\&|HIS|QP001|HB|QP00|20261122110000||ADT^{event}|{control_id}|P|2.5|||||CHN|UNICODE UTF-8\r"
        f"EVN|{event}|20261122110000\r"
        f"PID|1||M1^^^QP001^MR~310118199001011217^^^^NI||{name}||19900101|M\r"
        f"PV1|1|O|||||D1^李^医生||||||||||||V1|||||||||||||||||||||||||20261122105500\r{more}"
    ).encode()


async def hospital(pool: Pool) -> Source:
    async with pool.connection() as connection:
        district = await put_organisation(connection, code="QP00", name="青浦区", kind="district")
        key = await put_organisation(
            connection, code="QP001", name="中山医院青浦分院", kind="institution", parent=district, fhir_id="org-QP001"
        )
        return await put_source(
            connection,
            code="QP001-his",
            name="HIS",
            organisation=key,
            door="hl7v2",
            facility="QP001",
            code_set="his-a",
            at=AT,
        )


async def send(ledger: Ledger, raw: bytes) -> tuple[str, str]:
    receipt = await ledger.receive(Arrival("hl7v2", None, raw, AT), at=AT)
    return receipt.state, receipt.response.decode().split("\r")[1].split("|")[1]


@pytest.mark.anyio
async def test_an_admission_becomes_a_patient_and_an_encounter(dsn: str) -> None:
    pool = await open_pool(dsn, size=3)
    try:
        await hospital(pool)
        ledger = Ledger(pool, Store(), [link])
        assert await send(ledger, adt()) == ("accepted", "AA")
        async with pool.connection() as connection:
            page = await Store().search(connection, "Patient", [("name", "张伟")])
            assert len(page.matches) == 1
            assert page.matches[0].delivery is not None
            encounters = await Store().search(connection, "Encounter", [("subject", f"Patient/{page.matches[0].id}")])
            assert encounters.matches[0].resource["class"]["code"] == "AMB"
    finally:
        await pool.close()
