"""How fast the store is: ingest, read and search on an embedded PostgreSQL with fsync on.

    python tools/bench_store.py BUNDLES.ndjson[.gz] [--clients 1,4] [--seconds 3] [--profile] [--json]

Every bundle goes through parse, validate, extract and store.bundle in its own transaction. Clients are coroutines of
this one process, so the figures are those of one worker: CPU of this process and of PostgreSQL are told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gzip
import itertools
import json
import os
import pstats
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from healthbrain.database import Connection, Embedded, Pool, apply_migrations, open_pool
from healthbrain.fhir import extract, parse, validate
from healthbrain.store import Store, Write, WriteContext, bodies, rows, types

store = Store()


@dataclass
class Figure:
    """One line of the result."""

    name: str
    per_second: float
    p50_ms: float
    p95_ms: float
    own_us: float
    server_us: float

    def __str__(self) -> str:
        return (
            f"{self.name:<42}{self.per_second:>10,.0f}/s  p50 {self.p50_ms:>8.2f} ms  p95 {self.p95_ms:>8.2f} ms"
            f"   CPU µs: own {self.own_us:>7.0f}  PostgreSQL {self.server_us:>7.0f}"
        )


class Server:
    """CPU time of all PostgreSQL processes, ended ones included."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.seen: dict[int, float] = {}

    def cpu(self) -> float:
        for process in [self.root, *self.root.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            self.seen[process.pid] = times.user + times.system
        return sum(self.seen.values())


class Bench:
    """Runs steps and keeps their figures."""

    def __init__(self, pool: Pool, server: Server) -> None:
        self.pool, self.server = pool, server
        self.figures: list[Figure] = []

    async def run(
        self,
        name: str,
        clients: int,
        work: Callable[[Connection], Awaitable[int]],
        seconds: float | None = None,
    ) -> None:
        """Let clients repeat `work` (which returns how many things it did, 0 to stop)."""
        times: list[float] = []
        done = 0
        end = time.perf_counter() + seconds if seconds else None

        async def client() -> None:
            nonlocal done
            async with self.pool.connection() as connection:
                while end is None or time.perf_counter() < end:
                    start = time.perf_counter()
                    count = await work(connection)
                    if not count:
                        return
                    times.append(time.perf_counter() - start)
                    done += count

        own, server, start = time.process_time(), self.server.cpu(), time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        elapsed = time.perf_counter() - start
        own, server = time.process_time() - own, self.server.cpu() - server
        times.sort()
        figure = Figure(
            f"{name}, {clients} client{'s' if clients > 1 else ''}",
            done / elapsed,
            times[len(times) // 2] * 1e3,
            times[int(len(times) * 0.95)] * 1e3,
            own / done * 1e6,
            server / done * 1e6,
        )
        self.figures.append(figure)
        print(figure, flush=True)


def context() -> WriteContext:
    return WriteContext(owner=1, at=datetime.now(UTC))


async def ingest(bench: Bench, lines: list[bytes], clients: int, name: str) -> None:
    queue = iter(lines)

    async def one(connection: Connection) -> int:
        line = next(queue, None)
        if line is None:
            return 0
        async with connection.transaction():
            return len((await store.bundle(connection, parse(line), context()))["entry"])

    await bench.run(name, clients, one)


async def reads(bench: Bench, clients: int, seconds: float) -> None:
    async with bench.pool.connection() as connection:
        page = await store.search(connection, "Observation", [("_count", "1000"), ("value-quantity", "gt0")])
        people = (await store.search(connection, "Patient", [("_count", "1000")])).matches
    names = itertools.cycle([one.id for one in page.matches])
    asked = itertools.cycle(_questions(page.matches))
    numbers = itertools.cycle([p.resource["identifier"][0] for p in people])
    ids = itertools.cycle([p.id for p in people])
    template = page.matches[0].resource
    del template["id"], template["meta"]

    async def read(connection: Connection) -> int:
        await store.read(connection, "Observation", next(names))
        return 1

    async def identifier(connection: Connection) -> int:
        number = next(numbers)
        value = f"{number['system']}|{number['value']}"
        assert (await store.search(connection, "Patient", [("identifier", value)])).matches
        return 1

    def asking(*more: tuple[str, str], date: bool = False) -> Callable[[Connection], Awaitable[int]]:
        async def search(connection: Connection) -> int:
            patient, code, at = next(asked)
            when = [("date", f"ge{at}")] if date else []
            assert (await store.search(connection, "Observation", [("patient", patient), *code, *when, *more])).matches
            return 1

        return search

    async def everything(connection: Connection) -> int:
        await store.everything(connection, next(ids), count=50)
        return 1

    async def create(connection: Connection) -> int:
        async with connection.transaction():
            await store.write(connection, [Write("create", "Observation", None, template)], context())
        return 1

    steps: list[tuple[str, Callable[[Connection], Awaitable[int]]]] = [
        ("create Observation", create),
        ("read by id", read),
        ("Patient?identifier", identifier),
        ("Observation?patient&code&date&_count=20", asking(("_count", "20"), date=True)),
        ("Observation?patient&code&_include=subject", asking(("_include", "Observation:subject"))),
        ("Observation?patient&code&_sort=-date", asking(("_sort", "-date"), ("_count", "20"))),
        ("Patient/$everything?_count=50", everything),
    ]
    for name, work in steps:
        await bench.run(name, clients, _own_transaction(work) if name != "create Observation" else work, seconds)


def _own_transaction(work: Callable[[Connection], Awaitable[int]]) -> Callable[[Connection], Awaitable[int]]:
    async def autocommitted(connection: Connection) -> int:
        if not connection.autocommit:
            await connection.rollback()
            await connection.set_autocommit(True)
        return await work(connection)

    return autocommitted


def _questions(observations: list[Any]) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    for one in observations:
        resource = one.resource
        coding = resource["code"]["coding"][0]
        patient = resource["subject"]["reference"].partition("/")[2]
        yield patient, [("code", f"{coding['system']}|{coding['code']}")], resource["effectiveDateTime"][:10]


def pure_steps(lines: list[bytes]) -> None:
    """CPU of the steps outside the database, one by one."""
    bundles = [parse(line) for line in lines]
    resources = [entry["resource"] | {"id": "x"} for one in bundles for entry in one["entry"]]
    found: list[Any] = []

    def timed(name: str, work: Callable[[], Any]) -> None:
        start = time.process_time()
        work()
        print(f"  {name:<28}{(time.process_time() - start) / len(resources) * 1e6:8.1f} µs a resource")

    timed("parse", lambda: [parse(line) for line in lines])
    timed("validate", lambda: [validate(r) for r in resources])
    timed("extract", lambda: found.extend(extract(r) for r in resources))
    indexes = [types.type_index(r["resourceType"]) for r in resources]
    timed("hash into rows", lambda: [rows.index_rows(i, "x", v) for i, v in zip(indexes, found, strict=True)])
    from healthbrain.fhir import dump

    texts = [dump(r) for r in resources]
    timed("dump", lambda: [dump(r) for r in resources])
    timed("compress", lambda: [bodies.compress(t) for t in texts])


@contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    yield
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(35)


async def sizes(pool: Pool) -> dict[str, float]:
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        await connection.execute("vacuum analyze")
        (count,) = await (await connection.execute("select count(*) from resource")).fetchone() or (1,)
        tables = (
            "resource",
            "resource_history",
            "resource_date",
            "resource_number",
            "resource_string",
            "concept_text",
            "change",
        )
        found = {}
        for table in tables:
            row = await (await connection.execute(f"select pg_total_relation_size('{table}')")).fetchone() or (0,)
            found[table] = row[0] / count
    return found


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path)
    options.add_argument("--clients", default="1,4")
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--profile", action="store_true")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    raw = chosen.bundles.read_bytes()
    lines = (gzip.decompress(raw) if chosen.bundles.suffix == ".gz" else raw).splitlines()
    pure_steps(lines[:20])
    with tempfile.TemporaryDirectory() as folder:
        server = Embedded(Path(folder) / "postgres")
        dsn = server.start()
        try:
            apply_migrations(dsn)
            pool = await open_pool(dsn)
            bench = Bench(pool, Server(server.pid or os.getpid()))
            await ingest(bench, lines[:10], 1, "warm-up")
            clients = [int(n) for n in chosen.clients.split(",")]
            share = (len(lines) - 10) // len(clients)
            for nth, count in enumerate(clients):
                part = lines[10 + nth * share : 10 + (nth + 1) * share]
                with profiled(chosen.profile and nth == 0):
                    await ingest(bench, part, count, "transaction ingest (resources)")
            per_resource = await sizes(pool)
            print(
                "disk, bytes a resource: "
                + ", ".join(f"{k} {v:.0f}" for k, v in per_resource.items())
                + f" = {sum(per_resource.values()):.0f}"
            )
            for count in clients:
                await reads(bench, count, chosen.seconds)
            if chosen.json:
                print(json.dumps({"figures": [f.__dict__ for f in bench.figures], "disk": per_resource}))
            await pool.close()
        finally:
            server.stop()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
