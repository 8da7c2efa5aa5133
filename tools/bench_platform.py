"""The whole platform under load: `hb serve` on an empty data folder, everything switched on (fsync, validation, access, audit).

Method: a synthetic district is registered and its messages are sent through the doors with four connections per door;
then each screen is asked for N times in a row by a signed-in account, one request at a time, and each FHIR interaction
by four clients. Rates are wall-clock on the machine named above; CPU is that of all server processes and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.running import Running  # noqa: E402

from healthbrain.cli.district import DEMO_PASSWORD, follow_up, register  # noqa: E402
from healthbrain.runtime import Platform  # noqa: E402
from healthbrain.settings import load  # noqa: E402
from healthbrain.twin import District  # noqa: E402
from healthbrain.twin.send import Doors, send  # noqa: E402

RESIDENTS = int(os.environ.get("BENCH_RESIDENTS", "300"))
PAGES = 40
REQUESTS = 1500


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hb-bench-") as folder:
        platform = Running(Path(folder) / "data", HB_WORKERS="0").start()
        try:
            asyncio.run(measure(platform))
        finally:
            platform.stop()


async def measure(running: Running) -> None:
    os.environ.update({k: v for k, v in running.environment.items() if k.startswith("HB_")})
    district = District(7, RESIDENTS, end=datetime.now(UTC).date())
    async with Platform(load()) as platform:
        async with platform.pool.connection() as connection:
            tokens = await register(connection, district, platform.clock())
        await ingest(running, district, tokens)
        await settle(running)
        async with platform.pool.connection() as connection:
            await follow_up(connection, district)
            row = await (await connection.execute("select person from account where name = 'resident'")).fetchone()
    person = row[0] if row else ""
    await interactions(running)
    for account, page in (
        ("leader", "/cockpit"), ("doctor", f"/residents/{person}"), ("doctor", f"/residents/{person}?tab=results"),
        ("admin", "/arrivals"), ("admin", "/sources"),
    ):  # fmt: skip
        await screen(running, account, page)


async def ingest(running: Running, district: District, tokens: dict[str, str]) -> None:
    messages = list(district.messages())
    before, started = cpu(running), time.perf_counter()
    done = await send(messages, Doors(f"{running.url}/fhir", "127.0.0.1", running.mllp_port, tokens))
    seconds, used = time.perf_counter() - started, cpu(running) - before
    resources = done.total("resources")
    print(
        f"doors (both)      {len(messages):,} messages of {RESIDENTS} residents: {done.done / seconds:,.0f} messages/s, "
        f"{resources / seconds:,.0f} resources/s, {used * 1000 / resources:.2f} CPU-ms a resource, "
        f"{done.total('refused')} refused"
    )


async def settle(running: Running) -> None:
    """Let lake and measures catch up, so that they do not disturb what follows."""
    await asyncio.sleep(5)


async def interactions(running: Running) -> None:
    headers = {"Authorization": f"Bearer {running.token()}"}
    async with httpx.AsyncClient(base_url=f"{running.url}/fhir", headers=headers, timeout=60) as client:
        found = (await client.get("/Observation", params={"_count": "200"})).json()["entry"]
        ids = [entry["resource"]["id"] for entry in found]
        patients = sorted(
            {e["resource"]["subject"]["reference"].split("/")[1] for e in found if "subject" in e["resource"]}
        )
        await rate("read by id", client, running, lambda n: f"/Observation/{ids[n % len(ids)]}")
        resources = [{k: v for k, v in entry["resource"].items() if k not in {"id", "meta"}} for entry in found]
        await rate(
            "create", client, running, lambda n: "/Observation", method="POST",
            body=lambda n: resources[n % len(resources)],
        )  # fmt: skip
        await rate(
            "update", client, running, lambda n: f"/Observation/{ids[n % len(ids)]}", method="PUT",
            body=lambda n: {**resources[n % len(ids)], "id": ids[n % len(ids)], "note": [{"text": f"v{n}"}]},
        )  # fmt: skip
        await rate(
            "patient+code+date", client, running,
            lambda n: f"/Observation?patient={patients[n % len(patients)]}&code=http://loinc.org|85354-9&date=ge2025-01-01&_count=20",
        )  # fmt: skip


async def rate(
    name: str,
    client: httpx.AsyncClient,
    running: Running,
    url: Callable[[int], str],
    *,
    method: str = "GET",
    body: Callable[[int], dict[str, Any]] | None = None,
) -> None:
    numbers, times = iter(range(REQUESTS)), []

    async def lane() -> None:
        for n in numbers:
            sent = body(n) if body else None
            started = time.perf_counter()
            answer = await client.request(method, url(n), json=sent)
            answer.raise_for_status()
            times.append(time.perf_counter() - started)

    before, started = cpu(running), time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(4)))
    seconds, used = time.perf_counter() - started, cpu(running) - before
    print(
        f"{name:<18}{REQUESTS / seconds:,.0f} req/s at 4 clients (httpx, in this process), {used * 1000 / REQUESTS:.2f} CPU-ms each, "
        f"p50 {statistics.median(times) * 1000:.1f} ms"
    )


async def screen(running: Running, account: str, page: str) -> None:
    async with httpx.AsyncClient(base_url=running.url, timeout=60, headers={"Accept-Language": "zh-CN"}) as client:
        answer = await client.post("/login", data={"name": account, "password": DEMO_PASSWORD, "next": "/"})
        assert answer.status_code in {302, 303}, answer.status_code
        times, size = [], 0
        for _ in range(PAGES):
            started = time.perf_counter()
            answer = await client.get(page)
            times.append(time.perf_counter() - started)
            assert answer.status_code == 200, (page, answer.status_code)
            size = len(answer.content)
    times.sort()
    shown = re.sub(r"P\d{12}", "{person}", page)
    print(
        f"screen {shown:<32} as {account:<8} p50 {statistics.median(times) * 1000:.0f} ms, "
        f"p95 {times[int(len(times) * 0.95)] * 1000:.0f} ms, {size / 1024:.0f} kB, {PAGES} times"
    )


def cpu(running: Running) -> float:
    """CPU seconds used so far by the server's processes and its database, ended children included."""
    top = json.loads((running.data / "serve.json").read_text())["pid"]
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    ticks = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            used[int(entry.name)] = sum(int(fields[n]) for n in (11, 12, 13, 14)) / ticks
    total, waiting = 0.0, [top]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children.get(pid, [])
    return total


if __name__ == "__main__":
    main()
