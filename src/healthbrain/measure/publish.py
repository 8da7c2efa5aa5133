"""Computed figures put where the screens read them, in one transaction per measure or one for a whole run.

What is the same as before is not written again: figures arrive in a temporary table by COPY, and only rows that differ are
put, only rows that are gone are taken away. When and from what a period was computed is said once per period.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from healthbrain.database import Connection
from healthbrain.measure.compute import Computed
from healthbrain.measure.definition import Definition
from healthbrain.measure.periods import Span
from healthbrain.measure.result import Coverage, Result

_COLUMNS = "measure, version, period, level, key, stratifier, stratum, numerator, denominator, value, low, high, small"
_KEY = "measure, version, level, stratifier, period, key, stratum"
_STAGE = f"create temporary table staged on commit drop as select {_COLUMNS} from measure_figure limit 0"  # noqa: S608  # constants
_PUT = f"""
insert into measure_figure as r ({_COLUMNS}) select {_COLUMNS} from staged
on conflict ({_KEY}) do update set numerator = excluded.numerator, denominator = excluded.denominator,
    value = excluded.value, low = excluded.low, high = excluded.high, small = excluded.small
where (r.numerator, r.denominator, r.value, r.low, r.high, r.small) is distinct from
    (excluded.numerator, excluded.denominator, excluded.value, excluded.low, excluded.high, excluded.small)
"""  # noqa: S608  # constants
_SAME = "(s.measure, s.version, s.level, s.stratifier, s.period, s.key, s.stratum) = (r.measure, r.version, r.level, r.stratifier, r.period, r.key, r.stratum)"
# Periods that a run did not compute (older than its trend) keep what was computed when they were within it.
_GONE = f"""
delete from measure_figure r using staged_period p
where r.measure = p.measure and r.version = p.version and r.period = p.period
and not exists (select 1 from staged s where {_SAME})
"""  # noqa: S608  # constants
_GONE_WHOLE = _GONE + " and r.measure = any(%s)"
_KNOWN = """
select exists (select 1 from (select distinct measure, version from staged_period) p join measure_figure using (measure, version))
"""
_GONE_KEYS = f"delete from measure_figure r using staged_gone s where {_SAME}"  # noqa: S608  # constants
_PERIODS = """
insert into measure_period (measure, version, period, window_from, window_to, complete, as_of, computed_at, sending, registered)
select measure, version, period, window_from, window_to, complete, %s, %s, %s, %s from staged_period
on conflict (measure, version, period) do update set window_from = excluded.window_from, window_to = excluded.window_to,
    complete = excluded.complete, as_of = excluded.as_of, computed_at = excluded.computed_at,
    sending = excluded.sending, registered = excluded.registered
"""
_RUN = "insert into measure_run (run) values (%s) on conflict (only_one) do update set run = excluded.run"
Named = tuple[str, str, str, date, date, bool]  # measure, version, period, first and last day, whether over


@dataclass(frozen=True, slots=True)
class Run:
    """What holds for everything that a run computed."""

    as_of: datetime
    at: datetime
    coverage: Coverage
    name: str = ""  # what is published is known to the files of this run


async def published(connection: Connection) -> str:
    """The name of the run that published last; '' when that is not known."""
    row = await (await connection.execute("select run from measure_run")).fetchone()
    return str(row[0]) if row else ""


async def publish(connection: Connection, computed: Computed, at: datetime) -> None:
    """Replace the results of one measure. Readers see the old ones until the transaction commits."""
    one = computed.definition
    spans = {found.period: (found.start, found.to, found.complete) for found in computed.results}
    periods = [(one.id, one.version, period, *days) for period, days in spans.items()]
    lines = (csv_line(one.id, one.version, found) for found in computed.results)
    await put(connection, _in_blocks(lines), periods, Run(computed.as_of, at, computed.coverage))


async def put(
    connection: Connection, figures: AsyncIterator[bytes], periods: Sequence[Named], run: Run,
    *, gone: AsyncIterator[bytes] | None = None, whole: Sequence[str] = (),
) -> None:  # fmt: skip
    """Put figures (CSV, in the order of the columns). They are all there are of these periods, unless `gone` names
    the rows (CSV: measure, version, period, level, key, stratifier, stratum) to take away; of the `whole` measures they
    are all there are even then."""
    async with connection.transaction(), connection.cursor() as cursor:
        # two runs at once would each delete what they see and collide; one waits for the other
        await cursor.execute("select pg_advisory_xact_lock(hashtextextended('measures', 4))")
        await cursor.execute(
            "create temporary table staged_period (measure text, version text, period text, window_from date, "
            "window_to date, complete boolean) on commit drop"
        )
        async with cursor.copy("copy staged_period from stdin") as copy:
            for period in periods:
                await copy.write_row(period)
        await cursor.execute(_KNOWN)
        if await cursor.fetchone() == (False,):  # nothing to compare with
            await _copy(connection, f"copy measure_figure ({_COLUMNS}) from stdin (format csv)", figures)
        else:
            await _compare(connection, figures, gone, whole)
        await cursor.execute(_RUN, [run.name])
        await cursor.execute(_PERIODS, [run.as_of, run.at, run.coverage.sending, run.coverage.registered])


async def _compare(
    connection: Connection, figures: AsyncIterator[bytes], gone: AsyncIterator[bytes] | None, whole: Sequence[str]
) -> None:
    """Put the figures that are not what they were; take away those that are gone."""
    await connection.execute(_STAGE.encode())
    await _copy(connection, f"copy staged ({_COLUMNS}) from stdin (format csv)", figures)
    if gone is None or whole:
        await connection.execute("analyze staged")
    if gone is None:
        await connection.execute(_GONE)
    else:
        await connection.execute(
            "create temporary table staged_gone (measure text, version text, period text, level text, "
            "key text, stratifier text, stratum text) on commit drop"
        )
        await _copy(connection, "copy staged_gone from stdin (format csv)", gone)
        await connection.execute(_GONE_KEYS)
        if whole:
            await connection.execute(_GONE_WHOLE, [list(whole)])
    await connection.execute(_PUT.encode())


async def _copy(connection: Connection, statement: str, blocks: AsyncIterator[bytes]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        async for block in blocks:
            await copy.write(block)


def named(one: Definition, span: Span) -> Named:
    """One period of a definition's series."""
    return one.id, one.version, span.label, span.start, span.to, span.complete


def gone_line(measure: str, version: str, period: str, level: str, key: str) -> str:
    """A figure of everybody at one place that is to be taken away, as a line for COPY."""
    return ",".join(_field(value) for value in (measure, version, period, level, key, "", "")) + "\n"


def csv_line(measure: str, version: str, one: Result) -> str:
    """A figure as a line for COPY."""
    values = (
        measure, version, one.period, one.level, one.key, one.stratifier, one.stratum, one.numerator, one.denominator, one.value, one.low, one.high, str(one.small).lower(),
    )  # fmt: skip
    return ",".join(_field(value) for value in values) + "\n"


def _field(value: object) -> str:
    if value is None:
        return ""
    text = repr(value) if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"'


async def _in_blocks(lines: Iterable[str], size: int = 2000) -> AsyncIterator[bytes]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == size:
            yield "".join(block).encode()
            block = []
    if block:
        yield "".join(block).encode()


blocks = _in_blocks
