"""How fast the lake follows the store, how fast it is read, how long the measures and one portrait take.

    python tools/bench_lake.py [--residents 1000] [--seed 1] [--keep FOLDER]

A simulated district's FHIR messages are written to a store on an embedded PostgreSQL (not measured here); then the change
feed goes into an empty lake, 1,000 resources change and it follows, it is compacted, every measure is computed
and published, and the person with the most records is shown. Figures are of this one run.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from healthbrain import access, lake, measure
from healthbrain.database import Embedded, Pool, apply_migrations, open_pool
from healthbrain.lake import Lake
from healthbrain.portrait import portrait
from healthbrain.store import Store, Write, WriteContext, patient_key
from healthbrain.terms import systems
from healthbrain.twin import District

STORE = Store()
END = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
TOGETHER = 2_000  # resources in one write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep database and lake in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-lake-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        server = Embedded(folder / "postgres")
        dsn = server.start()
        try:
            apply_migrations(dsn)
            asyncio.run(bench(dsn, folder, District(options.seed, options.residents, end=END)))
        finally:
            server.stop()


async def bench(dsn: str, folder: Path, district: District) -> None:
    pool = await open_pool(dsn, size=4)
    try:
        persons = await fill(pool, district)

        async def links(_: Any) -> list[tuple[int, str]]:
            return sorted(persons.items())

        await follow(pool, folder / "lake", links)
        await figures(pool, folder / "lake")
        await face(pool, folder / "lake", persons)
    finally:
        await pool.close()
    print(
        f"largest memory of this process            {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f} MB"
    )


async def fill(pool: Pool, district: District) -> dict[int, str]:
    """Everything that the FHIR institutions send, in the store; returns patient key -> person."""
    async with pool.connection() as connection, connection.transaction():
        keys: dict[str, int] = {}
        for one in district.organisations():
            keys[one.code] = await access.put_organisation(
                connection,
                code=one.code,
                name=one.name,
                kind=one.kind,  # type: ignore[arg-type]
                parent=keys.get(one.parent),
                fhir_id=one.fhir_id,
                facility_class=one.facility_class,
                division=one.division,
            )
    started, count = time.perf_counter(), Counter[str]()
    persons: dict[int, str] = {}
    for source, resources in bundled(district):
        for one in resources:
            count[one["resourceType"]] += 1
            if one["resourceType"] == "Patient":
                card = next((i["value"] for i in one["identifier"] if i.get("system") == systems.ID_CARD), one["id"])
                persons[patient_key(one["id"])] = f"P{card}"
        writes = [Write("update", one["resourceType"], one["id"], one) for one in resources]
        async with pool.connection() as connection, connection.transaction():
            await STORE.write(connection, writes, WriteContext(owner=keys[source], at=AT), validated=True)
    total = sum(count.values())
    print(
        f"{district.residents:,} residents, {total:,} resources written ({time.perf_counter() - started:.0f} s): "
        + ", ".join(f"{n:,} {type_}" for type_, n in count.most_common(5))
    )
    return persons


def bundled(district: District) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The resources of faultless FHIR messages, gathered per source to writes of decent size."""
    waiting: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for message in district.messages():
        if message.door == "fhir" and not message.fault:
            group = waiting.setdefault(message.source, {})
            for entry in orjson.loads(message.payload)["entry"]:
                one = entry["resource"]
                group[one["resourceType"], one["id"]] = one
            if len(group) >= TOGETHER:
                yield message.source, list(waiting.pop(message.source).values())
    for source, group in waiting.items():
        yield source, list(group.values())


async def follow(pool: Pool, folder: Path, links: lake.Persons) -> None:
    own = time.process_time()
    progress = await lake.sync(pool, folder, AT, persons=links)
    report("change feed -> Parquet, first time", progress.rows, progress.seconds, time.process_time() - own)
    size = sum(part.bytes for parts in Lake(folder).state().parts.values() for part in parts)
    print(
        f"on the disk                               {size / 1e6:>10,.1f} MB   {size / progress.rows:,.0f} bytes a resource"
    )
    async with pool.connection() as connection, connection.transaction():
        page = await STORE.search(connection, "Observation", [("_count", "1000")])
        writes = [Write("update", one.type, one.id, {**one.resource, "language": "zh"}) for one in page.matches]
        await STORE.write(connection, writes, WriteContext(owner=page.matches[0].owner, at=AT))
    progress = await lake.sync(pool, folder, AT, persons=links)
    report("follow-up with changed resources", progress.rows, progress.seconds, progress.seconds)
    started = time.perf_counter()
    state = lake.compact(folder, AT)
    report("compaction of everything", state.rows(), time.perf_counter() - started, 0)
    connection = Lake(folder).connect()
    query = (
        "select code.coding[1].code, count(*), avg(valueQuantity.value), max(effectiveDateTime) from Observation "
        "where status = 'final' group by 1"
    )
    started = time.perf_counter()
    found = connection.execute(query).fetchall()
    report("group by code over typed Observations", sum(one[1] for one in found), time.perf_counter() - started, 0)
    connection.close()


async def figures(pool: Pool, folder: Path) -> None:
    days = [
        measure.DeliveryDay(one[0], AT.date() - timedelta(days=back), 10, 1)
        for one in asked(folder, "select key from organisation where kind = 'institution'")
        for back in range(0, 30, 3)
        if one[0] % 7
    ]
    for definition in measure.built_in():
        started = time.perf_counter()
        await measure.refresh(pool, Lake(folder), AT, deliveries=days, definitions=[definition])
        print(f"{definition.id:<12} {definition.periods:>3} periods           {time.perf_counter() - started:>10.2f} s")
    started = time.perf_counter()
    await measure.refresh(pool, Lake(folder), AT, deliveries=days)
    print(f"all measures together                     {time.perf_counter() - started:>10.2f} s")
    async with pool.connection() as connection:
        for head in await measure.headline(connection):
            now = head.now
            value = "-" if now.value is None else f"{now.value:.1f}"
            print(
                f"  {head.definition.id:<12}{head.definition.title['zh']:<16} {value:>8} {head.definition.unit:<7} "
                f"{now.numerator}/{now.denominator} [{now.low or 0:.1f}, {now.high or 0:.1f}] {now.period}"
            )


async def face(pool: Pool, folder: Path, persons: dict[int, str]) -> None:
    """The portrait of whoever has the most results."""
    busiest = "select _patient from Observation group by 1 order by count(*) desc limit 1"
    ((key, id_),) = asked(folder, f"select _patient, _id from Patient where _patient = ({busiest})")
    async with pool.connection() as connection:
        tree = await access.organisations(connection)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            shown = await portrait(connection, STORE, person=persons[key], patient_ids=[id_], organisations=tree, at=AT)
            times.append(time.perf_counter() - started)
    values = sum(len(one.points) for one in (*shown.results, *shown.vitals))
    visits = sum(count for *_, count in shown.timeline.kinds)
    print(f"a portrait ({values} values, {visits} encounters), median {1000 * sorted(times)[2]:>10.0f} ms")


def asked(folder: Path, query: str) -> list[tuple[Any, ...]]:
    connection = Lake(folder).connect()
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def report(what: str, rows: int, seconds: float, own: float) -> None:
    cpu = f"   {1e6 * own / rows:,.0f} µs CPU a row" if own and rows else ""
    print(f"{what:<42}{rows / seconds:>10,.0f} rows/s   {rows:,} in {seconds:.2f} s{cpu}")


if __name__ == "__main__":
    main()
