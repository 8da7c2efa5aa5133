"""How fast arrivals are taken in: HL7 v2 parsed and translated, and over MLLP to the disk with fsync on.

    python tools/bench_exchange.py [--residents 800] [--messages 3000] [--connections 8] [--json]

The messages are the simulated district's own (ADT, ORU, ORM of three hospitals). Senders, server and store run in this one
process, so a rate is that of one worker with its senders beside it; CPU is this process's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

from healthbrain.access import put_organisation
from healthbrain.database import Embedded, apply_migrations, open_pool
from healthbrain.exchange import Ledger, mllp_handler, put_source, serve_mllp
from healthbrain.exchange.hl7v2 import parse, translate
from healthbrain.exchange.sender import Sender
from healthbrain.identity import link
from healthbrain.store import Store
from healthbrain.twin.district import District

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
CHARSETS = {"QPH05": "GB18030"}
CODES = {"QPH01": "his-a", "QPH02": "his-b", "QPH05": "his-c"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=800)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    messages = district(chosen.residents, chosen.messages)
    figures = {"messages": len(messages), **pure(messages)}
    with tempfile.TemporaryDirectory() as folder:
        server = Embedded(Path(folder) / "postgres")
        dsn = server.start()
        try:
            figures |= asyncio.run(over_mllp(dsn, messages, chosen.connections))
        finally:
            server.stop()
    if chosen.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:40} {value:>12,.0f}")


def district(residents: int, most: int) -> list[tuple[str, bytes]]:
    """Good HL7 v2 messages of a simulated district, in the order they are sent."""
    found = []
    for one in District(1, residents, end=date(2026, 11, 20), months=18).messages():
        if one.door == "hl7v2" and not one.fault:
            found.append((one.source, one.payload))
            if len(found) == most:
                break
    return found


def pure(messages: list[tuple[str, bytes]]) -> dict[str, float]:
    """Parsing and translating alone."""
    begun = time.process_time()
    parsed = [(source, parse(raw, registered=CHARSETS.get(source, ""))) for source, raw in messages]
    read = time.process_time() - begun
    begun = time.process_time()
    for source, message in parsed:
        translate(message, Sender(source, source, code_set=CODES.get(source, "")), at=AT)
    return {
        "parsed, messages/s-cpu": len(messages) / read,
        "translated, messages/s-cpu": len(messages) / (time.process_time() - begun),
    }


async def over_mllp(dsn: str, messages: list[tuple[str, bytes]], connections: int) -> dict[str, float]:
    """Sent over MLLP, each acknowledged after its commit."""
    apply_migrations(dsn)
    pool = await open_pool(dsn, size=8)
    async with pool.connection() as connection:
        for code in {source for source, _ in messages}:
            key = await put_organisation(connection, code=code, name=code, kind="institution")
            await put_source(
                connection, code=code, name=code, organisation=key, door="hl7v2", facility=code,
                charset=CHARSETS.get(code, ""), code_set=CODES.get(code, ""), at=AT,
            )  # fmt: skip
    server = await serve_mllp("127.0.0.1", 0, mllp_handler(Ledger(pool, Store(), [link]), lambda: AT))
    lanes = [[raw for n, (_, raw) in enumerate(messages) if n % connections == lane] for lane in range(connections)]
    wall, cpu = time.monotonic(), time.process_time()
    done = await asyncio.gather(*(send(server.port, lane) for lane in lanes))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    async with pool.connection() as connection:
        row = await (await connection.execute("select sum(written) from delivery")).fetchone()
    await server.stop()
    await pool.close()
    return {
        "acknowledged": sum(done),
        "over MLLP, messages/s": len(messages) / wall,
        "over MLLP, messages/s-cpu": len(messages) / cpu,
        "over MLLP, new versions/s": (row[0] if row else 0) / wall,
    }


async def send(port: int, lane: list[bytes]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    accepted = 0
    for raw in lane:
        writer.write(b"\x0b" + raw + b"\x1c\r")
        await writer.drain()
        accepted += b"|AA|" in await reader.readuntil(b"\x1c\r")
    writer.close()
    await writer.wait_closed()
    return accepted


if __name__ == "__main__":
    main()
