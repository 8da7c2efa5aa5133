"""How searches slow down as data grow, what a resource takes on the disk, and how fast a file is imported, fsync on.

    python tools/bench_growth.py [--patients 1000,8000] [--each 9] [--asked 1000] [--updated 500] [--json]

Fills one database for each number of patients, by NDJSON through the ledger (read, validated, indexed, helping processes as in
`hb import`; rates include making the lines), then asks all of them the same questions in turn, a few at a time, so that whatever
else the machine does meets all alike: random patients of all there are, one client, the store's own interface, after a vacuum.
The growth is the p50 of the largest by that of the smallest. At the end the resources of `--updated` patients of the largest are updated
once, to tell what history takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bench_store import Server, sizes
from healthbrain.access import put_organisation
from healthbrain.database import Connection, Embedded, Pool, apply_migrations, open_pool
from healthbrain.exchange import Ledger, Source, put_source, receive_ndjson
from healthbrain.exchange.bulk import helping_processes
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
IDENTIFIERS = "urn:example:residents"
CODES = [("8480-6", "mm[Hg]"), ("8867-4", "/min"), ("29463-7", "kg"), ("2339-0", "mg/dL"), ("718-7", "g/dL")]
STORE = Store()
_ROUNDS = 10

Question = Callable[[Connection, int, random.Random], Awaitable[Any]]


def patient(n: int, note: str) -> dict[str, Any]:
    born = datetime(1930, 1, 1, tzinfo=UTC) + timedelta(days=n * 37 % 33000)
    return {
        "resourceType": "Patient",
        "id": f"p{n}",
        "identifier": [{"system": IDENTIFIERS, "value": f"R{n:08d}"}],
        "name": [{"family": f"Family{n % 4001}", "given": [f"Given{n % 997}"]}],
        "gender": ("female", "male")[n % 2],
        "birthDate": f"{born:%Y-%m-%d}",
        **({"language": note} if note else {}),
    }


def observation(n: int, k: int, note: str) -> dict[str, Any]:
    code, unit = CODES[k % len(CODES)]
    at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=(n * 7919 + k * 4241) % 59000)
    return {
        "resourceType": "Observation",
        "id": f"o{n}-{k}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": f"measurement {code}"}]},
        "subject": {"reference": f"Patient/p{n}"},
        "effectiveDateTime": f"{at:%Y-%m-%dT%H:%M:%S}+08:00",
        "valueQuantity": {
            "value": 60 + (n + k) % 80,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        **({"language": note} if note else {}),
    }


def lines(first: int, last: int, each: int, note: str = "") -> Iterator[bytes]:
    """NDJSON of patients and their observations, one person after another."""
    for n in range(first, last):
        yield json.dumps(patient(n, note)).encode() + b"\n"
        for k in range(each):
            yield json.dumps(observation(n, k, note)).encode() + b"\n"


async def _identifier(connection: Connection, n: int, dice: random.Random) -> int:
    value = f"{IDENTIFIERS}|R{n:08d}"
    return len((await STORE.search(connection, "Patient", [("identifier", value)])).matches)


async def _by_code_and_date(connection: Connection, n: int, dice: random.Random) -> int:
    code = f"http://loinc.org|{dice.choice(CODES)[0]}"
    asked = [("patient", f"p{n}"), ("code", code), ("date", "ge2020-01-01"), ("_count", "20")]
    return len((await STORE.search(connection, "Observation", asked)).matches)


async def _newest(connection: Connection, n: int, dice: random.Random) -> int:
    asked = [("patient", f"p{n}"), ("_sort", "-date"), ("_count", "20")]
    return len((await STORE.search(connection, "Observation", asked)).matches)


async def _read(connection: Connection, n: int, dice: random.Random) -> int:
    return len((await STORE.read(connection, "Observation", f"o{n}-0")).body)


QUESTIONS: dict[str, Question] = {
    "Patient?identifier": _identifier,
    "Observation?patient&code&date": _by_code_and_date,
    "Observation?patient&_sort=-date": _newest,
    "read": _read,
}


@dataclass
class Size:
    """A database with so many patients, and what was found there."""

    patients: int
    pool: Pool
    readers: Pool
    ledger: Ledger
    source: Source
    rate: float = 0.0
    disk: float = 0.0
    taken: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


async def filled(dsn: str, patients: int, each: int, helpers: Executor) -> Size:
    """A new database with so many patients."""
    name = f"hb_{patients}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    own = make_conninfo(dsn, dbname=name)
    apply_migrations(own)
    pool, readers = await open_pool(own), await open_pool(own, reading=True)
    async with pool.connection() as connection:
        owner = await put_organisation(connection, code="B", name="B", kind="institution")
        source = await put_source(connection, code="b", name="b", organisation=owner, door="ndjson", at=AT)
    size = Size(patients, pool, readers, Ledger(pool, STORE), source)
    await taken_in(size, lines(0, 100, each), helpers)  # the helpers have started
    size.rate = await taken_in(size, lines(100, patients, each), helpers)
    size.disk = sum((await sizes(pool)).values())
    print(
        f"{patients:>8,} patients   import {size.rate:>8,.0f} resources/s   disk {size.disk:>6,.0f} bytes each",
        flush=True,
    )
    return size


async def taken_in(size: Size, content: Iterator[bytes], helpers: Executor) -> float:
    """Import lines; resources a second."""
    key, start = str(time.monotonic_ns()), time.perf_counter()
    done = await receive_ndjson(size.ledger, content, size.source, name=key, key=key, at=AT, helpers=helpers)
    if done.refused:
        raise SystemExit(f"{done.refused} lines were refused")
    return done.lines / (time.perf_counter() - start)


async def ask(size: Size, server: Server, times: int, dice: random.Random) -> None:
    """Ask every question so often."""
    async with size.readers.connection() as connection:
        for name, question in QUESTIONS.items():
            taken, before = size.taken.setdefault(name, []), server.cpu()
            for _ in range(times):
                n, start = dice.randrange(size.patients), time.perf_counter()
                if not await question(connection, n, dice):
                    raise SystemExit(f"{name} found nothing for patient {n}")
                taken.append(time.perf_counter() - start)
            size.cpu[name] = size.cpu.get(name, 0.0) + server.cpu() - before


async def run(dsn: str, server: Server, chosen: argparse.Namespace) -> dict[str, Any]:
    """Fill, ask, update."""
    with helping_processes() as helpers:
        found = [await filled(dsn, int(one), chosen.each, helpers) for one in chosen.patients.split(",")]
        dice = random.Random(7)
        for size in found:
            await ask(size, server, 30, dice)
            size.taken.clear()
            size.cpu.clear()
        for _ in range(_ROUNDS):
            for size in found:
                await ask(size, server, chosen.asked // _ROUNDS, dice)
        last = found[-1]
        updated = min(chosen.updated, last.patients)
        await taken_in(last, lines(0, updated, chosen.each, "zh-CN"), helpers)
    async with last.pool.connection() as connection:
        row = await (await connection.execute("select pg_total_relation_size('resource_history')")).fetchone()
    for size in found:
        await size.pool.close()
        await size.readers.close()
    return {
        "sizes": [
            {"patients": one.patients, "import": one.rate, "disk": one.disk}
            | {
                name: {"p50": median(taken) * 1e3, "cpu": one.cpu[name] / len(taken) * 1e6}
                for name, taken in one.taken.items()
            }
            for one in found
        ],
        "history": (row[0] if row else 0) / (updated * (1 + chosen.each)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", default="1000,8000", help="sizes to grow to")
    parser.add_argument("--each", type=int, default=9, help="observations of a patient")
    parser.add_argument("--asked", type=int, default=1000, help="times that each question is asked")
    parser.add_argument("--updated", type=int, default=500, help="patients whose resources are updated at the end")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Embedded(Path(folder) / "postgres")
        dsn = server.start()
        try:
            result = asyncio.run(run(dsn, Server(server.pid or 0), chosen))
        finally:
            server.stop()
    for name in QUESTIONS:
        asked = [one[name] for one in result["sizes"]]
        shown = ", ".join(f"{one['p50']:.3f} ms ({one['cpu']:.0f} µs of PostgreSQL's CPU)" for one in asked)
        print(f"{name:<34} {shown}: p50 grows {asked[-1]['p50'] / asked[0]['p50']:.2f} times")
    print(f"a superseded version takes {result['history']:.0f} bytes")
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
