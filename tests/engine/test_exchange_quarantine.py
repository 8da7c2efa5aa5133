"""What strangers send waits where the administrators of the root see it, and nobody below it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from healthbrain.access import organisations, put_organisation
from healthbrain.database import open_pool
from healthbrain.exchange import Arrival, Ledger, source_for_mllp
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
# refused (no patient number), but its sender is known from then on
KNOCK = b"MSH|^~\\&|HIS|H01|HB|Z9|20261122115900||ADT^A08|1|P|2.5\rPID|1||||A^B||19900101|M\r"


def test_a_stranger_hangs_below_the_root_so_that_somebody_can_verify_it(dsn: str) -> None:
    async def world() -> None:
        pool = await open_pool(dsn, size=2)
        try:
            async with pool.connection() as c:
                root = await put_organisation(c, code="Z9", name="某区", kind="district")
                hospital = await put_organisation(c, code="Z91", name="某医院", kind="institution", parent=root)
            receipt = await Ledger(pool, Store()).receive(Arrival("hl7v2", None, KNOCK, AT), at=AT)
            assert receipt.state == "refused"
            async with pool.connection() as c:
                stranger = await source_for_mllp(c, "HIS", "H01")
                tree = await organisations(c)
            assert stranger is not None
            assert stranger.organisation in tree.subtree(root)
            assert stranger.organisation not in tree.subtree(hospital)
            # 'QUARANTINE' sorts before 'Z9': it must not be taken for the root of the tree
            assert tree.root is not None
            assert tree.root.key == root
        finally:
            await pool.close()

    asyncio.run(world())
