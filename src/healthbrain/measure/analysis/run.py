"""Running a question: in a thread over one state of the lake, within a time limit, stopped when nobody waits any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import Any

import duckdb

from healthbrain.errors import Busy, TooLarge
from healthbrain.lake import Lake
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure.analysis.pivot import Pivot, pivot
from healthbrain.measure.analysis.query import Reader, cells_query, members_query, protected, types_of
from healthbrain.measure.analysis.question import Question

SECONDS = 30.0
MEMORY = "1GB"
AT_ONCE = 4  # questions that one process answers at the same time
_LOOK = 0.2  # seconds between two looks at whether anybody still waits
_AGAIN = 0.01  # and between two calls to stop
Gone = Callable[[], Awaitable[bool]]


class Stopped(Exception):
    """The reader went away before the answer was there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The table, as of when it was true, and how long it took."""

    table: Pivot
    as_of: datetime | None
    seconds: float
    institutions: dict[str, str]  # organisation key and FHIR id -> name


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of one cell with the patients they are about."""

    rows: tuple[tuple[Any, ...], ...]
    patients: tuple[int, ...]
    as_of: datetime | None


class Limits:
    """How many questions run now; one per process."""

    def __init__(self) -> None:
        self.running = 0

    async def run(
        self, lake: Lake, types: set[str], query: str, gone: Gone | None, seconds: float
    ) -> tuple[list[Any], list[Any], datetime | None]:
        """Rows of a query and the organisations, or an error in words."""
        if self.running >= AT_ONCE:
            raise Busy("too many questions are being answered at once; try again in a moment")
        self.running += 1
        try:
            state = lake.state()
            connection = await asyncio.to_thread(lambda: lake.connect(types=types, state=state, memory=MEMORY))
            try:
                work = asyncio.ensure_future(asyncio.to_thread(_fetch, connection, query))
                rows, organisations = await _within(work, connection, gone, seconds)
            finally:
                connection.close()
            return rows, organisations, state.at
        finally:
            self.running -= 1


_limits = Limits()


async def answer(
    lake: Lake, asked: Question, reader: Reader, at: datetime, *, gone: Gone | None = None, seconds: float = SECONDS
) -> Answer:
    """The table of a checked question. Raises TooLarge (too many cells, too long), Busy, Stopped."""
    started = monotonic()
    query = cells_query(asked, reader, _day(at))
    rows, organisations, as_of = await _limits.run(lake, types_of(asked), query, gone, seconds)
    table = await asyncio.to_thread(pivot, asked, rows, protect=protected(asked, reader))
    names = {str(key): str(name) for key, _, name in organisations}
    names |= {str(id_): str(name) for _, id_, name in organisations if id_}
    return Answer(table, as_of, monotonic() - started, names)


async def members(
    lake: Lake, asked: Question, reader: Reader, at: datetime, cell: Sequence[str | None], limit: int,
    *, gone: Gone | None = None,
) -> Found:  # fmt: skip
    """Rows behind one cell. The caller has checked that the reader may see people, and records the access."""
    query = members_query(asked, reader, _day(at), cell, limit)
    rows, _, as_of = await _limits.run(lake, types_of(asked), query, gone, SECONDS)
    patients = sorted({int(row[-1]) for row in rows if row[-1] is not None})
    return Found(tuple(tuple(row[:-1]) for row in rows), tuple(patients), as_of)


def _fetch(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[list[Any], list[Any]]:
    organisations = connection.execute("select key, fhir_id, name from organisation").fetchall()
    return connection.execute(query).fetchall(), organisations


async def _within(
    work: asyncio.Future[tuple[list[Any], list[Any]]],
    connection: duckdb.DuckDBPyConnection,
    gone: Gone | None,
    seconds: float,
) -> tuple[list[Any], list[Any]]:
    """What the work gives; stopped when time is up or nobody waits."""
    until = monotonic() + seconds
    why: type[Exception] | None = None
    while True:
        rest = _AGAIN if why is not None else max(0.0, until - monotonic())
        done, _ = await asyncio.wait({work}, timeout=min(_LOOK, rest))
        if done:
            break
        if why is None and monotonic() >= until:
            why = TooLarge
        elif why is None and gone is not None and await gone():
            why = Stopped
        if why is not None:
            connection.interrupt()  # again until the engine has heard it
    try:
        return work.result()
    except duckdb.InterruptException:
        if why is Stopped:
            raise Stopped from None
        raise TooLarge(
            f"the question took longer than {seconds:g} seconds and was stopped; add filters or coarser rows"
        ) from None
    except duckdb.OutOfMemoryException:
        raise TooLarge(
            "the question needs more memory than one question may take; add filters or coarser rows"
        ) from None


def _day(at: datetime) -> date:
    return at.astimezone(LOCAL).date()
