"""Values entered from outside sources: kept with document, date and who, corrected with a reason, approved, published as results.

`enter` writes one value; a second one for the same period and place is a correction and needs a reason. With `review` a second person
approves it or returns it with a reason, and until then what was approved before goes on holding. Nothing is ever overwritten:
`history` tells all of it. The value that holds is put among the materialised results in the same transaction, so every screen sees
it as it sees computed ones. What a value must be like is said by its definition (`entry`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Literal

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.measure.definition import Definition, Entry, Level
from healthbrain.measure.load import built_in

_CHINA = timezone(timedelta(hours=8))
_PERIODS = {
    "year": re.compile(r"\d{4}"),
    "quarter": re.compile(r"\d{4}-Q[1-4]"),
    "month": re.compile(r"\d{4}-(0[1-9]|1[0-2])"),
}
_EARLIEST = 1990
_COLUMNS = (
    "e.id, e.measure, e.period, e.level, e.key, e.numerator, e.denominator, e.value, e.document, e.dated, e.reason, "
    "e.replaces, e.synthetic, e.entered_by, e.entered_at, "
    "coalesce(r.verdict, case when e.needs_review then 'waiting' else 'approved' end), "
    "coalesce(r.reason, ''), coalesce(r.by, ''), r.at"
)
_FROM = "measure_entry e left join measure_entry_review r on r.entry = e.id"
_COUNTS = "(not e.needs_review or r.verdict = 'approved')"
_LATER = "select 1 from measure_entry l where (l.measure, l.period, l.level, l.key) = (e.measure, e.period, e.level, e.key) and l.id > e.id"
# the entry that holds: the last one that counts
_HOLDS = (
    f"{_COUNTS} and not exists ({_LATER} and (not l.needs_review or exists (select 1 from measure_entry_review v "  # noqa: S608  # constants
    "where v.entry = l.id and v.verdict = 'approved')))"
)
State = Literal["waiting", "approved", "returned"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as somebody gives it. For a fraction numerator and denominator are given and the value follows."""

    measure: str
    period: str
    document: str
    dated: date
    value: float | None = None
    numerator: float | None = None
    denominator: float | None = None
    level: Level = "district"
    key: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """An entry as it is kept."""

    id: int
    measure: str
    period: str
    level: Level
    key: str
    numerator: float | None
    denominator: float | None
    value: float
    document: str
    dated: date
    reason: str
    replaces: int | None
    synthetic: bool
    entered_by: str
    entered_at: datetime
    state: State = "approved"
    verdict_reason: str = ""
    verdict_by: str = ""
    verdict_at: datetime | None = None


def enterable() -> list[Definition]:
    """The definitions whose values are entered."""
    return [one for one in built_in() if one.kind == "entered"]


def check(given: Given, today: date) -> float:
    """The value that follows; raises Incorrect saying what is wrong with it."""
    definition = next((one for one in enterable() if one.id == given.measure), None)
    if definition is None:
        raise Incorrect("the measure is not one whose values are entered; look its number up in the template")
    entry = definition.entry or Entry()
    if given.level not in entry.levels:
        raise Incorrect(f"this measure is not entered by {given.level}")
    _, last = bounds(definition, given.period)
    if last.year > today.year or (last > today and definition.period != "year"):
        raise Incorrect("the period is not over yet")
    if last.year < _EARLIEST:
        raise Incorrect(f"the period lies before {_EARLIEST}")
    if len(given.document.strip()) < 2 or len(given.document) > 300:
        raise Incorrect("name the document that the value is taken from, in 2 to 300 characters")
    if given.dated > today:
        raise Incorrect("the date of the document lies in the future")
    value = _value(given, definition, entry)
    if not entry.allows(value):
        raise Incorrect(f"the value cannot be right: {_rule(entry)}")
    return value


def bounds(definition: Definition, period: str) -> tuple[date, date]:
    """First and last day of a period written as the definition wants it; raises Incorrect."""
    pattern = _PERIODS.get(definition.period, _PERIODS["year"])
    if not pattern.fullmatch(period):
        raise Incorrect("write the period as a year 2025, a quarter 2025-Q3 or a month 2025-10, as the measure has it")
    year = int(period[:4])
    if year < 1:
        raise Incorrect("write the period as a year 2025, a quarter 2025-Q3 or a month 2025-10, as the measure has it")
    if len(period) == 4:
        return date(year, 1, 1), date(year, 12, 31)
    first = int(period[-1]) * 3 - 2 if "Q" in period else int(period[5:7])
    last = first + 2 if "Q" in period else first
    following = date(year + last // 12, last % 12 + 1, 1)
    return date(year, first, 1), following - timedelta(days=1)


async def enter(
    connection: Connection, given: Given, *, by: str, at: datetime, synthetic: bool = False, replaces: int | None = None,
    review: bool = False,
) -> int:  # fmt: skip
    """Keep a value, and publish it unless it needs a review; returns its id. `replaces` names the entry that a correction was
    made against.

    Raises Incorrect for a value that cannot be right, or a correction without a reason; Conflict when somebody else
    was quicker.
    """
    value = check(given, at.astimezone(_CHINA).date())
    definition = next(one for one in enterable() if one.id == given.measure)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 5))", [f"entry {given.measure}"])
        known = await latest(connection, given.measure, given.period, given.level, given.key)
        if replaces is not None and (known is None or known.id != replaces):
            raise Conflict("this value has been corrected by somebody else meanwhile; look at it again")
        held = await holding(connection, given.measure, given.period, given.level, given.key)
        corrects = held is not None or (known is not None and known.state == "waiting")
        if corrects and len(given.reason.strip()) < 2:
            raise Incorrect("there is a value for this period already; to correct it, give the reason")
        cursor = await connection.execute(
            "insert into measure_entry (measure, period, level, key, numerator, denominator, value, document, dated, "
            "reason, replaces, synthetic, entered_by, entered_at, needs_review) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
            [
                given.measure, given.period, given.level, given.key, given.numerator, given.denominator, value,
                _clean(given.document), given.dated, _clean(given.reason) if known else "", known.id if known else None,
                synthetic, by, at, review,
            ],
        )  # fmt: skip
        row = await cursor.fetchone()
        if not review:
            await _publish(connection, definition, given, value, at)
    return int(row[0]) if row else 0


async def review(
    connection: Connection,
    id: int,
    verdict: Literal["approved", "returned"],
    *,
    by: str,
    at: datetime,
    reason: str = "",
) -> Entered:
    """Approve an entry, so that it counts, or return it with the reason.

    Raises NotFound; Conflict when it does not wait; Forbidden for who entered it; Incorrect for a return without a reason.
    """
    async with connection.transaction():
        found = await _select(connection, "e.id = %s", [id])
        if not found:
            raise NotFound("there is no such entry")
        one = found[0]
        await connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 5))", [f"entry {one.measure}"])
        last = await latest(connection, one.measure, one.period, one.level, one.key)
        if last is None or last.id != id or last.state != "waiting":
            raise Conflict("this entry does not wait for a review; look at it again")
        if last.entered_by == by:
            raise Forbidden("who entered a value does not approve it; a second person does")
        if verdict == "returned" and len(reason.strip()) < 2:
            raise Incorrect("say why it is sent back")
        await connection.execute(
            "insert into measure_entry_review (entry, verdict, reason, by, at) values (%s, %s, %s, %s, %s)",
            [id, verdict, _clean(reason), by, at],
        )
        if verdict == "approved":
            definition = next((one for one in enterable() if one.id == last.measure), None)
            if definition is None:
                raise Incorrect("the measure is not one whose values are entered; look its number up in the template")
            given = Given(
                last.measure, last.period, last.document, last.dated, last.value, last.numerator, last.denominator,
                last.level, last.key,
            )  # fmt: skip
            await _publish(connection, definition, given, last.value, at)
    return last


async def holding(
    connection: Connection, measure: str, period: str, level: Level = "district", key: str = ""
) -> Entered | None:
    """The entry that holds for a period and place: the last one that counts."""
    found = await _select(
        connection, f"e.measure = %s and e.period = %s and e.level = %s and e.key = %s and {_HOLDS}",
        [measure, period, level, key],
    )  # fmt: skip
    return found[0] if found else None


async def latest(
    connection: Connection, measure: str, period: str, level: Level = "district", key: str = ""
) -> Entered | None:
    """The last entry for a period and place, whether it counts, waits or was returned."""
    found = await _select(
        connection, "e.measure = %s and e.period = %s and e.level = %s and e.key = %s order by e.id desc limit 1",
        [measure, period, level, key],
    )  # fmt: skip
    return found[0] if found else None


async def entered(
    connection: Connection, measure: str = "", *, level: Level | None = None, key: str = ""
) -> list[Entered]:
    """The entries that hold, newest period first."""
    return await _select(
        connection,
        "(%s = '' or e.measure = %s) and (%s::text is null or (e.level = %s and e.key = %s)) "
        f"and {_HOLDS} order by e.measure, e.period desc, e.level, e.key",
        [measure, measure, level, level, key],
    )


async def waiting(connection: Connection) -> list[Entered]:
    """The entries that wait for a second person, and the returned ones that nothing came after, oldest first."""
    return await _select(
        connection,
        f"e.needs_review and r.verdict is distinct from 'approved' and not exists ({_LATER}) order by e.id",
        [],
    )


async def history(connection: Connection, id: int) -> list[Entered]:
    """Everything that was entered for the period and place of this entry, newest first; raises NotFound."""
    found = await _select(
        connection,
        "(e.measure, e.period, e.level, e.key) = (select measure, period, level, key from measure_entry where id = %s) "
        "order by e.id desc",
        [id],
    )
    if not found:
        raise NotFound("there is no such entry")
    return found


def _value(given: Given, definition: Definition, entry: Entry) -> float:
    if entry.parts == "fraction":
        if given.numerator is None or given.denominator is None:
            raise Incorrect("give the numerator and the denominator")
        if given.denominator <= 0 or given.numerator < 0:
            raise Incorrect("the denominator is above 0 and the numerator not below 0")
        value = given.numerator / given.denominator * (definition.per or 1.0)
    elif given.value is None:
        raise Incorrect("give the value")
    else:
        value = given.value
    if not math.isfinite(value):
        raise Incorrect("the value is no number")
    return value


def _clean(text: str) -> str:
    """A text as the database can hold it."""
    return text.replace("\0", "").strip()


def _rule(entry: Entry) -> str:
    parts = [f"at least {entry.low:g}"] if entry.low is not None else []
    parts += [f"at most {entry.high:g}"] if entry.high is not None else []
    parts += ["a whole number"] if entry.whole else []
    return ", ".join(parts)


async def _publish(connection: Connection, definition: Definition, given: Given, value: float, at: datetime) -> None:
    """Put the value that holds where the screens read results."""
    first, last = bounds(definition, given.period)
    fraction = definition.entry is not None and definition.entry.parts == "fraction"
    parts = (given.numerator, given.denominator) if fraction else (None, None)
    place = [definition.id, definition.version, given.period]
    await connection.execute(
        "delete from measure_figure where measure = %s and version = %s and period = %s and level = %s and key = %s",
        [*place, given.level, given.key],
    )
    await connection.execute(
        "insert into measure_figure (measure, version, period, level, key, numerator, denominator, value, small) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, false)",
        [*place, given.level, given.key, *parts, value],
    )
    await connection.execute(
        "insert into measure_period (measure, version, period, window_from, window_to, complete, as_of, computed_at, "
        "sending, registered) values (%s, %s, %s, %s, %s, true, %s, %s, 1, 1) on conflict (measure, version, period) "
        "do update set as_of = excluded.as_of, computed_at = excluded.computed_at",
        [*place, first, last, at, at],
    )


async def _select(connection: Connection, where: str, values: Sequence[object]) -> list[Entered]:
    cursor = await connection.execute(f"select {_COLUMNS} from {_FROM} where {where}".encode(), values)  # noqa: S608  # the conditions are written above, values are parameters
    return [Entered(*row) for row in await cursor.fetchall()]
