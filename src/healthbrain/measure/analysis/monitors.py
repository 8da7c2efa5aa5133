"""Monitors: saved questions with a threshold, judged by themselves; what crossed, since when, and whether the owner has seen it.

A question over time is judged by its newest finished period, each place alone: a count there is nought when nothing came. A count
that is already beyond an upper threshold in the period under way is a crossing too, because it can only grow. Any other question
is judged cell by cell. Hidden and missing numbers are not judged. A crossing begins when it is first judged so and ends when it is first judged otherwise;
a later period beyond the threshold goes on with it. Row HUB-DS-07.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.analysis.ahead import first_day, label_of
from healthbrain.measure.analysis.pivot import Pivot
from healthbrain.measure.analysis.protect import Key
from healthbrain.measure.analysis.question import Dimension, Question

State = Literal["fine", "crossed", "nothing", "hidden", "failed"]
AGAIN = timedelta(hours=1)  # how soon it is judged again when the lake has moved
MOST_KEPT = 50  # crossings of one question that are kept apart
LONGEST_MUTE = timedelta(days=366)

_DUE = """
select q.id, q.owner, q.version, q.question from analysis_question q left join analysis_monitor m on m.question_id = q.id
where q.deleted_at is null and q.question ->> 'watch' is not null and (m.question_id is null or m.version <> q.version
    or m.day <> %(day)s or (m.position <> %(position)s and m.judged_at <= %(before)s))
order by m.judged_at nulls first, q.id limit %(most)s"""
_KEEP = """
insert into analysis_monitor (question_id, version, position, day, judged_at, state, places, crossed, why)
values (%(id)s, %(version)s, %(position)s, %(day)s, %(at)s, %(state)s, %(places)s, %(crossed)s, %(why)s)
on conflict (question_id) do update set version = excluded.version, position = excluded.position, day = excluded.day,
    judged_at = excluded.judged_at, state = excluded.state, places = excluded.places, crossed = excluded.crossed, why = excluded.why"""
_CROSSED = """
insert into analysis_crossing (question_id, version, place, period, first_period, side, threshold, value, first_value, crossed_at, judged_at)
values (%(id)s, %(version)s, %(place)s, %(period)s, %(period)s, %(side)s, %(threshold)s, %(value)s, %(value)s, %(at)s, %(at)s)
on conflict (question_id, place) where ended_at is null do update set version = excluded.version, period = excluded.period,
    side = excluded.side, threshold = excluded.threshold, value = excluded.value, judged_at = excluded.judged_at"""
_MONITORS = """
select q.id, q.name, q.owner, q.question, m.judged_at, coalesce(m.state, ''), coalesce(m.places, 0), coalesce(m.crossed, 0),
    coalesce(m.why, ''), m.muted_until,
    (select count(*) from analysis_crossing c where c.question_id = q.id and c.seen_at is null)
from analysis_question q left join analysis_monitor m on m.question_id = q.id
where q.deleted_at is null and q.question ->> 'watch' is not null and (%(owner)s::text is null or q.owner = %(owner)s)
order by (m.state = 'crossed') desc nulls last, q.name, q.id"""


@dataclass(frozen=True, slots=True)
class Due:
    """A monitor that is to be judged. `question` is its JSON, not yet checked."""

    id: int
    owner: str
    version: int
    question: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Crossed:
    """One place beyond the threshold."""

    place: tuple[Key | None, Key | None]
    period: str
    value: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What judging a table found."""

    state: State
    places: int
    crossed: tuple[Crossed, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor as its owner sees it."""

    id: int
    name: str
    owner: str
    question: dict[str, Any]
    judged_at: datetime | None
    state: str  # '' = not judged yet
    places: int
    crossed: int
    why: str
    muted_until: datetime | None
    unseen: int

    def muted(self, at: datetime) -> bool:
        """Whether the owner wants no notice now."""
        return self.muted_until is not None and at < self.muted_until


@dataclass(frozen=True, slots=True)
class Crossing:
    """One crossing with its time."""

    id: int
    question: int
    name: str
    place: tuple[Key | None, Key | None]
    period: str
    first_period: str
    side: str
    threshold: float
    value: float
    first_value: float
    crossed_at: datetime
    judged_at: datetime
    ended_at: datetime | None
    seen_at: datetime | None


def judge(table: Pivot, today: date) -> Judged:
    """Which places of a table are beyond its threshold."""
    watch = table.asked.watch
    if watch is None:
        raise Incorrect("the question has no threshold to watch")
    places = hidden = 0
    found: dict[tuple[Key | None, Key | None], Crossed] = {}
    for row, column, place, period in _judged(table, today):
        cell = table.cell(row, column)
        hidden += cell.hidden
        value = cell.values[0]
        if cell.hidden or value is None:
            continue
        places += 1
        if watch.crossed(value):
            found[place] = Crossed(place, period, value)  # of a series the later of two periods
    if not places:
        return Judged("hidden" if hidden else "nothing", 0)
    return Judged("crossed" if found else "fine", places, tuple(found.values()))


_Cell = tuple[Key | None, Key | None, tuple[Key | None, Key | None], str]  # row, column, place without time, period


def _judged(table: Pivot, today: date) -> list[_Cell]:
    """The cells that are judged, in order of time: all of them, or of each place over time the newest."""
    time = _time(table.asked)
    rows: Sequence[Key | None] = table.rows or (() if table.asked.rows else (None,))
    columns: Sequence[Key | None] = table.columns or (() if table.asked.columns else (None,))
    cells = [(row, column) for row in rows for column in columns]
    if time is None:
        return [(row, column, (row, column), "") for row, column in cells]
    place_of = [(_parted(time, row, column), row, column) for row, column in cells]
    now = label_of(today, time.dimension.grain)
    newest = _newest_count(table, time, now)
    last: dict[tuple[Key | None, Key | None], tuple[str, Key | None, Key | None]] = {}
    rising: list[_Cell] = []
    for (place, period), row, column in place_of:
        if period and period < now and (not newest or period == newest) and period >= last.get(place, ("",))[0]:
            last[place] = (period, row, column)
        if period == now and _beyond_already(table, row, column):
            rising.append((row, column, place, period))
    if newest and cells:  # a place without a row in that period had nobody
        for (place, _), row, column in place_of:
            last.setdefault(place, (newest, *_moved(time, row, column, newest)))
    return [*((row, column, place, period) for place, (period, row, column) in last.items()), *rising]


@dataclass(frozen=True, slots=True)
class _Time:
    """Where time stands in a table."""

    dimension: Dimension
    across: bool  # among the columns
    number: int


def _time(asked: Question) -> _Time | None:
    for across, dimensions in ((False, asked.rows), (True, asked.columns)):
        for number, one in enumerate(dimensions):
            if one.grain:
                return _Time(one, across, number)
    return None


def _newest_count(table: Pivot, time: _Time, now: str) -> str:
    """The period before this one, when a count is asked that is nought where there are no rows; '' otherwise."""
    column = time.dimension.column
    if table.asked.measures[0].what not in {"count", "persons"} or any(f.column == column for f in table.asked.filters):
        return ""
    return label_of(first_day(now, time.dimension.grain) - timedelta(days=1), time.dimension.grain)


def _beyond_already(table: Pivot, row: Key | None, column: Key | None) -> bool:
    watch, value = table.asked.watch, table.cell(row, column).values[0]
    counted = table.asked.measures[0].what in {"count", "persons"}
    return watch is not None and watch.side == "above" and counted and watch.crossed(value)


def _parted(time: _Time, row: Key | None, column: Key | None) -> tuple[tuple[Key | None, Key | None], str]:
    """A place without its period, and the period."""
    key = (column if time.across else row) or ()
    rest = (*key[: time.number], *key[time.number + 1 :]) or None
    return ((row, rest) if time.across else (rest, column)), key[time.number] if key else ""


def _moved(time: _Time, row: Key | None, column: Key | None, period: str) -> tuple[Key | None, Key | None]:
    """The same place in another period."""
    key = (column if time.across else row) or ()
    there = (*key[: time.number], period, *key[time.number + 1 :])
    return (row, there) if time.across else (there, column)


async def due(connection: Connection, position: str, day: date, at: datetime, most: int = 20) -> list[Due]:
    """Monitors to be judged: new or changed ones, each once a day, and when the lake has moved since an hour ago or longer."""
    cursor = await connection.execute(
        _DUE.encode(), {"day": day, "position": position, "before": at - AGAIN, "most": most}
    )
    return [Due(*row) for row in await cursor.fetchall()]


async def keep(connection: Connection, one: Due, found: Judged, position: str, day: date, at: datetime) -> None:
    """Write down what judging found: crossings begin, go on and end; a failure leaves them as they are."""
    async with connection.transaction():
        await connection.execute("select 1 from analysis_question where id = %s for update", [one.id])
        await connection.execute(
            _KEEP.encode(),
            {
                "id": one.id, "version": one.version, "position": position, "day": day, "at": at, "state": found.state,
                "places": found.places, "crossed": len(found.crossed), "why": found.why[:300],
            },
        )  # fmt: skip
        if found.state == "failed":
            return
        kept = [(_place(crossed.place), crossed) for crossed in found.crossed[:MOST_KEPT]]
        await connection.execute(
            "update analysis_crossing set ended_at = %s where question_id = %s and ended_at is null and not place = any(%s)",
            [at, one.id, [place for place, _ in kept]],
        )
        watch = one.question["watch"]
        for place, crossed in kept:
            await connection.execute(
                _CROSSED.encode(),
                {
                    "id": one.id, "version": one.version, "place": place, "period": crossed.period, "side": watch["side"],
                    "threshold": float(watch["value"]), "value": crossed.value, "at": at,
                },
            )  # fmt: skip


async def end_unwatched(connection: Connection, at: datetime) -> None:
    """End the crossings of questions that were deleted or have no threshold any more; nobody need look at them."""
    await connection.execute(
        "update analysis_crossing c set ended_at = coalesce(ended_at, %(at)s), seen_at = coalesce(seen_at, %(at)s) "
        "from analysis_question q where q.id = c.question_id and (c.ended_at is null or c.seen_at is null) "
        "and (q.deleted_at is not null or q.question ->> 'watch' is null)",
        {"at": at},
    )


async def monitors(connection: Connection, owner: str | None) -> list[Monitor]:
    """The monitors of an owner (None: everybody's), those that cross first."""
    cursor = await connection.execute(_MONITORS.encode(), {"owner": owner})
    return [Monitor(*row) for row in await cursor.fetchall()]


async def crossings(connection: Connection, owner: str | None, question: int | None = None) -> list[Crossing]:
    """The crossings of an owner's monitors (None: everybody's): those that go on first, then the newest."""
    cursor = await connection.execute(
        "select c.id, c.question_id, q.name, c.place, c.period, c.first_period, c.side, c.threshold, c.value, c.first_value, "
        "c.crossed_at, c.judged_at, c.ended_at, c.seen_at from analysis_crossing c join analysis_question q on q.id = c.question_id "
        "where q.deleted_at is null and (%(owner)s::text is null or q.owner = %(owner)s) "
        "and (%(question)s::bigint is null or q.id = %(question)s) "
        "order by c.ended_at is not null, c.crossed_at desc, c.id desc limit 200",
        {"owner": owner, "question": question},
    )
    return [_crossing(row) for row in await cursor.fetchall()]


async def unseen(connection: Connection, owner: str, at: datetime) -> int:
    """How many crossings wait to be seen by their owner; those of muted monitors do not wait."""
    cursor = await connection.execute(
        "select count(*) from analysis_crossing c join analysis_question q on q.id = c.question_id "
        "left join analysis_monitor m on m.question_id = q.id where q.owner = %s and q.deleted_at is null and c.seen_at is null "
        "and (m.muted_until is null or m.muted_until <= %s)",
        [owner, at],
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def see(connection: Connection, owner: str, question: int, at: datetime) -> int:
    """The owner has seen the crossings of a monitor; how many were new. Raises NotFound."""
    await _own(connection, owner, question)
    cursor = await connection.execute(
        "update analysis_crossing set seen_at = %s where question_id = %s and seen_at is null", [at, question]
    )
    return cursor.rowcount


async def mute(connection: Connection, owner: str, question: int, until: datetime | None, at: datetime) -> None:
    """No notice of a monitor until then (None: notices again). It is judged all the same. Raises Incorrect, NotFound."""
    if until is not None and not at < until <= at + LONGEST_MUTE:
        raise Incorrect("a monitor is muted until a day that is to come, at most a year ahead")
    await _own(connection, owner, question)
    cursor = await connection.execute(
        "update analysis_monitor set muted_until = %s where question_id = %s", [until, question]
    )
    if cursor.rowcount != 1:
        raise NotFound("this monitor has not been judged yet; it is within minutes")


async def _own(connection: Connection, owner: str, question: int) -> None:
    cursor = await connection.execute(
        "select 1 from analysis_question where id = %s and owner = %s and deleted_at is null", [question, owner]
    )
    if await cursor.fetchone() is None:
        raise NotFound("only the owner of a monitor acknowledges or mutes it")


def _place(place: tuple[Key | None, Key | None]) -> str:
    return orjson.dumps([None if key is None else list(key) for key in place]).decode()


def _crossing(row: Sequence[Any]) -> Crossing:
    id_, question, name, place, *rest = row
    return Crossing(id_, question, name, _places(place), *rest)


def _places(text: str) -> tuple[Key | None, Key | None]:
    row, column = orjson.loads(text)
    return (None if row is None else tuple(row), None if column is None else tuple(column))
