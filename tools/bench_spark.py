"""All built-in measures counted by DuckDB and by a Spark cluster of this machine, over the same synthetic lakes.

    python tools/bench_spark.py [--residents 10000,100000] [--measures 50 | --ids OPS-VISITS,IND-Q-10] [--keep FOLDER]

The lakes are those of bench_measures.py (about 38 resources a resident, twelve months of each measure). Counted is what a night
counts: the base from the lake, and all cells from the base; what follows (figures, publishing) is the same for both and small.
The cluster is a standalone master with two workers of one core and 1 GB each, driver 2 GB, everything on this machine. CPU is
that of all its processes. The cells of both are compared. Figures are of one run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from bench_measures import AT, definitions, write_lake
from healthbrain import measure
from healthbrain.lake import Lake
from healthbrain.lake.local_time import LOCAL
from healthbrain.lake.spark import Cluster
from healthbrain.measure import Definition, clustered, library
from healthbrain.measure import base as store
from healthbrain.measure.compile import needed_views
from healthbrain.measure.compute import constants_at, count_all, first_day
from healthbrain.measure.running import calendars_of, make_calendars
from healthbrain.measure.tally import CELLS, counting
from spark_cluster import cluster

TODAY = AT.astimezone(LOCAL).date()
CONSTANTS = constants_at(TODAY)
LIBRARY = library()
SMALL = {
    "spark.driver.memory": "2g", "spark.executor.memory": "1g", "spark.sql.shuffle.partitions": "4",
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
}  # fmt: skip

Cells = list[tuple[object, ...]]


class Clock:
    """Wall clock, and CPU of this process and all that it started."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), _cpu()

    def lap(self, what: str) -> None:
        wall, cpu = time.perf_counter(), _cpu()
        print(f"  {what:28} {wall - self.wall:8.1f} s wall {cpu - self.cpu:8.1f} s CPU", flush=True)
        self.wall, self.cpu = wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", default="10000,100000")
    parser.add_argument("--measures", type=int, default=50)
    parser.add_argument("--ids", default="", help="only these measures, and the base views that they need")
    parser.add_argument("--keep", type=Path, help="keep the lakes in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-spark-") as temporary:
        folder = options.keep or Path(temporary)
        for residents in map(int, options.residents.split(",")):
            (folder / str(residents)).mkdir(parents=True, exist_ok=True)
            lake = write_lake(folder / str(residents), residents, 1_000)
            print(
                f"{residents:,} residents, {lake.state().rows():,} resources, load {os.getloadavg()[0]:.0f}", flush=True
            )
            chosen = only(options.ids.split(",")) if options.ids else definitions(options.measures)
            here = on_duckdb(lake, chosen)
            with cluster(Path(temporary)) as master:
                there = on_spark(lake, chosen, master)
            print(f"  {len(here):,} cells, {'the same' if here == there else 'DIFFERENT'} on both", flush=True)


def only(ids: Sequence[str]) -> list[Definition]:
    """These measures, with twelve months as the others have."""
    return [replace(measure.definition(id_), periods=12, also=()) for id_ in ids]


def on_duckdb(lake: Lake, chosen: Sequence[Definition]) -> Cells:
    counted, views, state = counting(chosen, LIBRARY, CONSTANTS), needed_views(LIBRARY, chosen), lake.state()
    with tempfile.TemporaryDirectory(dir=lake.folder) as temporary:
        folder, clock = Path(temporary), Clock()
        base = store.with_deliveries(folder, store.build(folder, lake, state, LIBRARY, views, CONSTANTS), [])
        clock.lap("DuckDB, base from the lake")
        connection = store.connect(folder, base)
        make_calendars(connection, calendars_of(counted, TODAY, first_day(connection, base)))
        count_all(connection, folder, base, counted)
        clock.lap("DuckDB, everyone counted")
        return _cells(connection)


def on_spark(lake: Lake, chosen: Sequence[Definition], master: str) -> Cells:
    counted, views, state = counting(chosen, LIBRARY, CONSTANTS), needed_views(LIBRARY, chosen), lake.state()
    with tempfile.TemporaryDirectory(dir=lake.folder) as temporary:
        folder, clock = Path(temporary), Clock()
        with Cluster(master, lake.folder / "scratch", SMALL) as session:
            clock.lap("Spark, session started")
            base = clustered.build(session, folder, lake, state, LIBRARY, views, CONSTANTS)
            base = store.with_deliveries(folder, base, [])
            clock.lap("Spark, base from the lake")
            clustered.open_base(session, folder, base)
            connection = store.connect(folder, base)
            calendars = calendars_of(counted, TODAY, clustered.first_day(session, base))
            clustered.count_all(session, base, counted, calendars, connection)
            clock.lap("Spark, everyone counted")
        return _cells(connection)


def _cells(connection) -> Cells:
    found = connection.execute(f"select * from {CELLS} order by all").fetchall()
    connection.close()
    return found


def _cpu() -> float:
    own = psutil.Process()
    return sum(_seconds(one) for one in (own, *own.children(recursive=True)))


def _seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return used.user + used.system


if __name__ == "__main__":
    main()
