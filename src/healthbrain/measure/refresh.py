"""The measures brought up to the lake: what changed is counted again, or everything (at night, after a new definition).

Counting runs in a thread beside the event loop; its results are published in one transaction. Everyone is counted again
when the day or a definition has changed; otherwise only the people that changes touch. The base is made anew from the lake
when that was made anew, the views changed, something was erased, or `everything` is asked for.
"""

# ruff: noqa: S608  # statements are made here; values are quoted by lake.engine
from __future__ import annotations

import asyncio
import fcntl
import hashlib
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from time import perf_counter

import duckdb

from healthbrain.database import Connection, Pool
from healthbrain.errors import Conflict
from healthbrain.lake import Lake
from healthbrain.lake.engine import literal, sweep_scratch
from healthbrain.lake.expression_sql import Constant
from healthbrain.lake.local_time import LOCAL
from healthbrain.lake.manifest import Manifest
from healthbrain.lake.spark import Cluster
from healthbrain.measure import base as store
from healthbrain.measure import clustered, increment, kept_cells
from healthbrain.measure.adjusting import in_force
from healthbrain.measure.base import Base, DeliveryDay
from healthbrain.measure.compile import BASE, needed_views
from healthbrain.measure.compute import constants_at, count_all, coverage_of, first_day
from healthbrain.measure.definition import Definition, Library
from healthbrain.measure.deriving import Derived, derive, entered_digest
from healthbrain.measure.difference import count_changes
from healthbrain.measure.figures import FIGURES, make_figures
from healthbrain.measure.kept_cells import TOUCHED, cells_of
from healthbrain.measure.load import library as shipped_library
from healthbrain.measure.periods import Span
from healthbrain.measure.publish import Named, Run, blocks, named, published, put
from healthbrain.measure.result import Coverage, Result
from healthbrain.measure.running import WHOLE, Calendars, calendars_of, count, make_calendars
from healthbrain.measure.tally import CELLS, Counting, Group, calendar_of, counting

_BLOCK = 1 << 20
_KEYS = "measure, version, period, level, key, stratifier, stratum"
_LEVEL = "['district', 'town', 'institution'][c.level + 1]"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a run did."""

    measures: tuple[str, ...]
    everything: bool  # False: only what changes touched
    changed: int  # resources
    persons: int  # counted again
    figures: int  # written or compared
    seconds: float


@dataclass(frozen=True, slots=True)
class _Work:
    """What one run knows."""

    lake: Lake
    folder: Path
    library: Library
    constants: Mapping[str, Constant]
    definitions: tuple[Definition, ...]
    counted: Counting
    today: date
    at: datetime
    entered: Mapping[str, Sequence[Result]]
    cluster: str  # the Spark cluster on which everyone is counted; '' = here
    published: str  # the run whose figures the screens show
    digest: str  # of what is counted


@dataclass(frozen=True, slots=True)
class _Found:
    """What counting gave: files to publish."""

    base: Base
    figures: Path
    gone: Path | None
    derived: Derived
    periods: tuple[Named, ...]
    coverage: Coverage
    step: increment.Step | None
    lines: int


async def refresh(
    pool: Pool,
    lake: Lake,
    at: datetime,
    *,
    deliveries: Sequence[DeliveryDay] = (),
    definitions: Sequence[Definition] | None = None,
    everything: bool = False,
    library: Library | None = None,
    cluster: str = "",
) -> Refreshed:
    """Compute and publish the measures over the lake as it is now. Raises Conflict while another process does so.

    With `cluster` (spark://host:port) a Spark cluster makes the base and counts everyone; what changed is always counted here.
    """
    started = perf_counter()
    async with pool.connection() as connection:
        chosen = tuple(definitions) if definitions is not None else await in_force(connection)
        entered = await _entered(connection, chosen)
        shown = await published(connection)
    today = at.astimezone(LOCAL).date()
    constants = constants_at(today)
    shared = library or shipped_library()
    counted = counting(chosen, shared, constants)
    folder = lake.folder / store.FOLDER
    work = _Work(lake, folder, shared, constants, chosen, counted, today, at, entered, cluster, shown, _digest(counted))
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        sweep_scratch(folder / "scratch")
        old = store.load(folder)
        found = await asyncio.to_thread(_counted, work, old, list(deliveries), everything)
        try:
            run = Run(found.base.at or at, at, found.coverage, found.base.run)
            async with pool.connection() as connection:
                gone = _both(found.gone, found.derived.gone) if found.gone else None
                figures, periods = _both(found.figures, found.derived.lines), (*found.periods, *found.derived.periods)
                await put(connection, figures, periods, run, gone=gone, whole=found.derived.whole)
        finally:
            for path in (found.figures, found.gone):
                if path is not None:
                    path.unlink(missing_ok=True)
        store.save(folder, old, found.base, at)
    step = found.step
    return Refreshed(
        tuple(one.id for one in chosen if one.kind != "entered"), step is None, step.changed if step else 0,
        step.persons if step else 0, found.lines + len(found.derived.lines), perf_counter() - started,
    )  # fmt: skip


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one who counts; the kernel frees it on a crash."""
    with (folder / "writer.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another process is computing the measures; let it finish") from None
        yield


def _counted(work: _Work, old: Base, deliveries: Sequence[DeliveryDay], everything: bool) -> _Found:
    state = work.lake.state()
    views = needed_views(work.library, work.definitions)
    shape = store.shape_of(work.library, views, work.constants)
    goes_on = not everything and old.shape == shape and increment.possible(old, state, work.library, views)
    same = old.counted == work.digest and old.today == work.today.isoformat() and increment.exact(work.counted)
    built = None
    if goes_on and (same or not work.cluster):
        connection, step = increment.advance(work.folder, work.lake, old, state, work.library, work.constants)
        try:
            if same and increment.worth(old, step):
                return _increment(work, connection, old, step, deliveries)
        finally:
            connection.close()
        built = step.base
    if work.cluster:
        return _counted_on_cluster(work, old, deliveries, state, views)
    if built is None:
        built = store.build(work.folder, work.lake, state, work.library, views, work.constants)
    built = store.with_deliveries(work.folder, replace(built, shape=shape), deliveries)
    connection = store.connect(work.folder, built)
    try:
        start = first_day(connection, built)
        calendars = calendars_of(work.counted, work.today, start)
        make_calendars(connection, calendars)
        count_all(connection, work.folder, built, work.counted)
        base = replace(built, data_from=start.isoformat() if start else "")
        return _finish(work, connection, base, calendars, old, None)
    finally:
        connection.close()


def _counted_on_cluster(
    work: _Work, old: Base, deliveries: Sequence[DeliveryDay], state: Manifest, views: Sequence[str]
) -> _Found:
    with Cluster(work.cluster, work.folder / "scratch") as cluster:
        built = clustered.build(cluster, work.folder, work.lake, state, work.library, views, work.constants)
        built = store.with_deliveries(work.folder, built, deliveries)
        clustered.open_base(cluster, work.folder, built)
        connection = store.connect(work.folder, built)
        try:
            start = clustered.first_day(cluster, built)
            calendars = calendars_of(work.counted, work.today, start)
            make_calendars(connection, calendars)
            clustered.count_all(cluster, built, work.counted, calendars, connection)
            base = replace(built, data_from=start.isoformat() if start else "")
            return _finish(work, connection, base, calendars, old, None)
        finally:
            connection.close()


def _increment(
    work: _Work,
    connection: duckdb.DuckDBPyConnection,
    old: Base,
    step: increment.Step,
    deliveries: Sequence[DeliveryDay],
) -> _Found:
    """What changed, counted; the connection is the one that `advance` returned."""
    base = store.with_deliveries(work.folder, step.base, deliveries)
    start = date.fromisoformat(old.data_from) if old.data_from else None
    calendars = calendars_of(work.counted, work.today, start)
    same = {BASE + view for view, rows in base.views.items() if rows == old.views[view]}
    changed = [group for group in work.counted.groups if _anew(work.counted, group, same)]
    own = [group for group in changed if group.personal]
    others = [group for group in changed if not group.personal]
    count_changes(connection, work.folder, old, base, work.counted, own, calendars)
    if others:
        make_calendars(connection, calendars)
        store.choose(connection, work.folder, base, WHOLE)
        for given, file in (("organisation", base.organisation), ("delivery_day", base.deliveries)):
            connection.execute(f"create or replace temp view {given} as from {store.parquet(work.folder, file)}")
        count(connection, work.counted, others)
        mine = [share.measure for group in others for share in group.shares]
        connection.execute(
            f"insert into {CELLS} by name select * replace (-n as n, -d as d, -x as x, -w as w) "
            f"from ({cells_of(work.folder, old, measures=mine)})"
        )
    base = kept_cells.merge(connection, work.folder, old, base)
    return _finish(work, connection, base, calendars, old, step)


def _anew(counted: Counting, group: Group, same: Collection[str]) -> bool:
    """Whether something that a group rests on may have changed: what was delivered, or a view that is not the `same`."""
    read = {made.name for made in counted.tables([group])}
    return "delivery_day" in read or any(one.startswith(BASE) and one not in same for one in read)


def _finish(
    work: _Work,
    connection: duckdb.DuckDBPyConnection,
    base: Base,
    calendars: Calendars,
    old: Base,
    step: increment.Step | None,
) -> _Found:
    """Figures made and written to be published: those that differ, or all when it is not known which do."""
    labels = hashlib.sha256(
        repr([[span.label for span in spans_] for spans_ in calendars.values()]).encode()
    ).hexdigest()
    known = bool(old.run) and old.run == work.published and (old.counted, old.labels) == (work.digest, labels)
    if step is None:
        base = kept_cells.keep(connection, work.folder, base)
        if known:
            kept_cells.compare(connection, work.folder, old)
    base = replace(
        base, counted=work.digest, today=work.today.isoformat(), labels=labels, run=uuid.uuid4().hex,
        entered=entered_digest(work.entered),
    )  # fmt: skip
    periods = {m: calendars[calendar_of(one)] for m, one in enumerate(work.counted.definitions)}
    if known:
        make_figures(connection, work.counted.definitions, periods, only=TOUCHED)
    else:
        make_figures(connection, work.counted.definitions, periods, cells=cells_of(work.folder, base))
    _spans(connection, work.counted, periods)
    figures, lines = _write_figures(connection, work.folder)
    gone = _write_gone(connection, work.folder) if known else None
    coverage = coverage_of(connection, work.today)
    derived = derive(
        connection, work.folder, base, work.definitions, work.counted.definitions, periods, work.entered, work.today,
        again=known and step is not None and old.entered == base.entered,
    )  # fmt: skip
    own = [named(one, span) for m, one in enumerate(work.counted.definitions) for span in periods[m]]
    return _Found(base, figures, gone, derived, tuple(own), coverage, step, lines)


def _spans(connection: duckdb.DuckDBPyConnection, counted: Counting, periods: Mapping[int, Sequence[Span]]) -> None:
    connection.execute(
        "create or replace temp table span (m integer, p integer, measure varchar, version varchar, label varchar, "
        "first date, last date, complete boolean)"
    )
    rows = [
        f"({m}, {p}, {literal(one.id)}, {literal(one.version)}, {literal(span.label)}, date '{span.start}', "
        f"date '{span.to}', {str(span.complete).lower()})"
        for m, one in enumerate(counted.definitions)
        for p, span in enumerate(periods[m])
    ]
    if rows:
        connection.execute(f"insert into span values {', '.join(rows)}")


def _write_figures(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[Path, int]:
    """The figures as CSV in the columns of `publish`, in the order of its key: PostgreSQL then finds them in half the time."""
    path = folder / "figures.csv"
    done = connection.execute(
        f"""copy (select s.measure, s.version, s.label as period, {_LEVEL} as level, c.key, c.stratifier, c.stratum,
            c.numerator, c.denominator, c.value, c.low, c.high, c.small from {FIGURES} c join span s using (m, p)
            order by s.measure, s.version, {_LEVEL}, c.stratifier, s.label, c.key, c.stratum)
        to {literal(str(path))} (format csv, header false, force_quote ({_KEYS}), nullstr '')"""
    ).fetchone()
    return path, int(done[0]) if done else 0


def _write_gone(connection: duckdb.DuckDBPyConnection, folder: Path) -> Path:
    """Places that had figures and have none any more, as CSV."""
    path = folder / "gone.csv"
    connection.execute(
        f"""copy (select s.measure, s.version, s.label as period, {_LEVEL} as level, c.key, c.stratifier, c.stratum
            from {TOUCHED} c join span s using (m, p) anti join {FIGURES} f
            using (m, p, level, key, stratifier, stratum)) to {literal(str(path))}
        (format csv, header false, force_quote *, nullstr '')"""
    )
    return path


async def _entered(connection: Connection, definitions: Sequence[Definition]) -> dict[str, list[Result]]:
    """The values that hold of entered measures."""
    wanted = {one.id: one for one in definitions if one.kind == "entered"}
    cursor = await connection.execute(
        "select measure, period, p.window_from, p.window_to, p.complete, level, key, numerator, denominator, value, low, "
        "high, small, stratifier, stratum from measure_figure join measure_period p using (measure, version, period) "
        "where measure = any(%s)",
        [list(wanted)],
    )
    found: dict[str, list[Result]] = {}
    for measure, *rest in await cursor.fetchall():
        found.setdefault(measure, []).append(Result(*rest))
    return found


def _digest(counted: Counting) -> str:
    """Changes when a definition that is counted does."""
    said = "\n".join(f"{one!r}" for one in counted.definitions)
    tables = "\n".join(f"{made.name} {made.query}" for made in counted.plan.tables.values())
    return hashlib.sha256((said + tables).encode()).hexdigest()


async def _both(path: Path, lines: Sequence[str]) -> AsyncIterator[bytes]:
    async for block in _read(path):
        yield block
    async for block in blocks(lines):
        yield block


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
