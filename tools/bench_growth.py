"""How searches slow down as data grow, what a resource takes on the disk, and how fast a file is imported, fsync on.

    python tools/bench_growth.py [--patients 1000,8000] [--each 9] [--asked 1000] [--updated 500] [--json]

Grows one database to each number of patients, by NDJSON through the ledger (read, validated, indexed, helping processes as
in `hb import`), and asks the same questions of it each time: random patients of all there are, one client, the store's own
interface, after a vacuum. The growth is the p50 at the largest size by that at the smallest. At the end the resources of `--updated`
patients are updated once, so that the disk with history can be told.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench_store import Server, sizes
from healthbrain.access import put_organisation
from healthbrain.database import Connection, Embedded, Pool, apply_migrations, open_pool
from healthbrain.exchange import Ledger, put_source, receive_ndjson
from healthbrain.exchange.bulk import helping_processes
from healthbrain.store import Store

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
IDENTIFIERS = "urn:example:residents"
CODES = [("8480-6", "mm[Hg]"), ("8867-4", "/min"), ("29463-7", "kg"), ("2339-0", "mg/dL"), ("718-7", "g/dL")]
STORE = Store()

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


async def ask(pool: Pool, server: Server, patients: int, times: int) -> dict[str, tuple[float, float]]:
    """p50 in ms and PostgreSQL's CPU in µs of every question."""
    found = {}
    async with pool.connection() as connection:
        for name, question in QUESTIONS.items():
            dice = random.Random(7)
            for _ in range(50):
                await question(connection, dice.randrange(patients), dice)
            taken, before = [], server.cpu()
            for _ in range(times):
                n, start = dice.randrange(patients), time.perf_counter()
                if not await question(connection, n, dice):
                    raise SystemExit(f"{name} found nothing for patient {n}")
                taken.append(time.perf_counter() - start)
            found[name] = (sorted(taken)[times // 2] * 1e3, (server.cpu() - before) / times * 1e6)
    return found


class Bench:
    """One growing database and what was found at each size."""

    def __init__(self, dsn: str, server: Server, each: int, asked: int) -> None:
        self._dsn = dsn
        self._server = server
        self._each = each
        self._asked = asked
        self._files = 0

    async def run(self, stages: list[int], updated: int) -> dict[str, Any]:
        pool = await open_pool(self._dsn)
        readers = await open_pool(self._dsn, reading=True)
        self._ledger = Ledger(pool, STORE)
        async with pool.connection() as connection:
            organisation = await put_organisation(connection, code="B", name="B", kind="institution")
            self._source = await put_source(
                connection, code="b", name="b", organisation=organisation, door="ndjson", at=AT
            )
        result: dict[str, Any] = {"stages": []}
        with helping_processes() as helpers:
            await self._import(lines(0, 200, self._each), helpers)  # the helpers have started
            here = 0
            for patients in stages:
                rate = await self._import(lines(here, patients, self._each), helpers)
                here = patients
                disk = sum((await sizes(pool)).values())
                found = await ask(readers, self._server, patients, self._asked)
                result["stages"].append({"patients": patients, "import": rate, "disk": disk, "p50": found})
                _show(result["stages"][-1])
            await self._import(lines(0, updated, self._each, "zh-CN"), helpers)
            result["history"] = await self._disk_of_history(pool, updated * (1 + self._each))
        await pool.close()
        await readers.close()
        return result

    async def _import(self, content: Iterator[bytes], helpers: Executor) -> float:
        self._files += 1
        start = time.perf_counter()
        done = await receive_ndjson(
            self._ledger, content, self._source, name=f"{self._files}", key=f"{self._files}", at=AT, helpers=helpers
        )
        if done.refused:
            raise SystemExit(f"{done.refused} lines were refused")
        return done.lines / (time.perf_counter() - start)

    async def _disk_of_history(self, pool: Pool, versions: int) -> float:
        async with pool.connection() as connection:
            row = await (await connection.execute("select pg_total_relation_size('resource_history')")).fetchone()
        return float(row[0]) / versions if row else 0.0


def _show(stage: dict[str, Any]) -> None:
    print(
        f"{stage['patients']:>8,} patients   import {stage['import']:>8,.0f} resources/s   disk {stage['disk']:>6,.0f} B each   "
        + "   ".join(f"{name} {ms:.3f} ms, {cpu:.0f} µs" for name, (ms, cpu) in stage["p50"].items()),
        flush=True,
    )


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
            apply_migrations(dsn)
            bench = Bench(dsn, Server(server.pid or 0), chosen.each, chosen.asked)
            stages = [int(one) for one in chosen.patients.split(",")]
            result = asyncio.run(bench.run(stages, min(chosen.updated, stages[-1])))
        finally:
            server.stop()
    first, last = result["stages"][0]["p50"], result["stages"][-1]["p50"]
    for name in QUESTIONS:
        print(f"{name:<34} p50 grows {last[name][0] / first[name][0]:5.2f} times")
    print(f"a superseded version takes {result['history']:.0f} bytes")
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
