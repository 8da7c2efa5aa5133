"""What the arrivals page asks: what came, from whom, how late, what was refused and why, and who is silent.

Pages go by keyset, newest first. Everything takes the organisations that the asker may see; None means all. Days are
Chinese days.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, NotFound
from healthbrain.exchange.values import DOORS, STATES, Delivery

_COLUMNS = """d.id, d.source, d.door, d.received_at, d.message_at, d.settled_at, d.attempt, d.state, d.control_id, d.message_type,
    d.name, d.digest, d.size, d.entries, d.written, d.refused, d.warnings, d.reason, d.issues, d.original,
    coalesce(s.name, ''), s.organisation"""

# a delivery whose sender can't be read belongs to nobody: only who may see all organisations sees it
_SCOPE = "(%(organisations)s::int[] is null or s.organisation = any(%(organisations)s::int[]))"
_WHERE = f"""
    {_SCOPE}
    and (%(source)s::int is null or d.source = %(source)s)
    and (%(organisation)s::int is null or s.organisation = %(organisation)s)
    and (%(states)s::text[] is null or d.state = any(%(states)s::text[]))
    and (%(door)s::text is null or d.door = %(door)s)
    and (%(message_type)s::text is null or d.message_type = %(message_type)s)
    and (%(reason)s::text is null or d.reason = %(reason)s)
    and (%(reason_like)s::text[] is null or d.reason ilike any(%(reason_like)s::text[]))
    and (%(since)s::timestamptz is null or d.received_at >= %(since)s)
    and (%(until)s::timestamptz is null or d.received_at < %(until)s)"""
_PAGE = f"""
select {_COLUMNS} from delivery d left join source s on s.key = d.source
where {_WHERE}
    and (%(at)s::timestamptz is null or (d.received_at, d.id) < (%(at)s, %(id)s))
order by d.received_at desc, d.id desc limit %(count)s"""  # noqa: S608 - constant pieces
_ONE = f"select {_COLUMNS} from delivery d left join source s on s.key = d.source where d.id = %s"  # noqa: S608 - constant
# Delays are of the daily flow: what was made more than three days before it came is history that is being loaded.
_SUMMARY = f"""
select d.source, coalesce(s.name, ''), s.organisation, (d.received_at at time zone 'Asia/Shanghai')::date as day, d.door,
    count(*), count(*) filter (where d.state = 'accepted'), count(*) filter (where d.state = 'partly'),
    count(*) filter (where d.state = 'refused'), count(*) filter (where d.state = 'duplicate'),
    count(*) filter (where d.state = 'failed'), count(*) filter (where d.state = 'held'),
    sum(d.written), sum(d.size)::bigint,
    percentile_cont(0.5) within group (order by extract(epoch from d.received_at - d.message_at))
        filter (where d.message_at <= d.received_at and d.message_at > d.received_at - interval '3 days'),
    percentile_cont(0.95) within group (order by extract(epoch from d.received_at - d.message_at))
        filter (where d.message_at <= d.received_at and d.message_at > d.received_at - interval '3 days'),
    max(d.received_at)
from delivery d left join source s on s.key = d.source
where {_WHERE}
group by 1, 2, 3, 4, 5 order by day desc, 2, 5"""  # noqa: S608 - constant pieces
_REASONS = f"""
select d.reason, d.state, count(*), count(distinct d.source), min(d.received_at), max(d.received_at), max(d.id)
from delivery d left join source s on s.key = d.source
where {_WHERE} and d.reason <> ''
group by 1, 2 order by 3 desc, 1 limit %(count)s"""  # noqa: S608 - constant pieces
# medical institutions of the register (classes of WS 218 that treat patients) and the last upload of each that was
# taken in (HUB-EX-11)
_COVERAGE = """
select o.key, o.code, o.name, max(d.received_at), count(d.id)
from organisation o
left join source s on s.organisation = o.key
left join delivery d on d.source = s.key and d.state in ('accepted', 'partly', 'duplicate')
    and d.received_at >= %(since)s and d.received_at < %(until)s
where o.kind = 'institution' and (o.facility_class = '' or left(o.facility_class, 1) = any('{A,B,C,D,E,G,H}'))
    and (%(organisations)s::int[] is null or o.key = any(%(organisations)s::int[]))
group by 1, 2, 3 order by 4 nulls first, 2"""
_LINES = """
select line, part, issues from delivery_line where delivery = %s and line > %s order by line limit %s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which deliveries. `organisations` is the asker's scope; None = all.

    `reason` is a whole reason, `reason_like` patterns of which one must fit (see `containing`).
    """

    organisations: Sequence[int] | None = None
    source: int | None = None
    organisation: int | None = None
    states: Sequence[str] | None = None
    door: str | None = None
    message_type: str | None = None
    reason: str | None = None
    reason_like: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        """As SQL parameters, checked."""
        if wrong := set(self.states or ()) - set(STATES):
            raise Incorrect(f"'{min(wrong)}' is not a state; there are {', '.join(STATES)}")
        if self.door is not None and self.door not in DOORS:
            raise Incorrect(f"'{self.door}' is not a door; there are {', '.join(DOORS)}")
        return {
            "organisations": None if self.organisations is None else list(self.organisations),
            "source": self.source,
            "organisation": self.organisation,
            "states": None if self.states is None else list(self.states),
            "door": self.door,
            "message_type": self.message_type,
            "reason": self.reason,
            "reason_like": None if self.reason_like is None else list(self.reason_like),
            "since": self.since,
            "until": self.until,
        }


ALL = Filter()


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Part of the list, newest first; `next` is the cursor of the following part."""

    deliveries: list[Delivery]
    next: str | None


@dataclass(frozen=True, slots=True)
class DaySummary:
    """What one source sent through one door on one day. Delays are seconds from the sender's stamp to arrival, of messages not older than three days."""

    source: int | None
    source_name: str
    organisation: int | None
    day: date
    door: str
    total: int
    accepted: int
    partly: int
    refused: int
    duplicate: int
    failed: int
    held: int
    written: int
    size: int
    delay_median: float | None
    delay_p95: float | None
    last: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why deliveries were not taken in, and how many."""

    reason: str
    state: str
    count: int
    sources: int
    first: datetime
    last: datetime
    example: int  # delivery number


@dataclass(frozen=True, slots=True)
class Upload:
    """An institution and its uploads in a period; `last` None = silent."""

    organisation: int
    code: str
    name: str
    last: datetime | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """HUB-EX-11: the share of registered institutions with an upload that was taken in, and the silent ones."""

    uploads: list[Upload]

    @property
    def silent(self) -> list[Upload]:
        """Institutions that sent nothing usable."""
        return [one for one in self.uploads if one.last is None]

    @property
    def share(self) -> float | None:
        """From 0 to 1; None without institutions."""
        return (len(self.uploads) - len(self.silent)) / len(self.uploads) if self.uploads else None


def containing(text: str) -> str:
    """The pattern for reasons with this text anywhere in them."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


async def arrivals(
    connection: Connection, wanted: Filter = ALL, *, count: int = 50, cursor: str | None = None
) -> DeliveryPage:
    """The deliveries the filter finds, newest first."""
    at, number = _read_cursor(cursor)
    parameters = {**wanted.parameters(), "at": at, "id": number, "count": count + 1}
    found = [_delivery(row) for row in await (await connection.execute(_PAGE, parameters)).fetchall()]
    more = len(found) > count
    return DeliveryPage(found[:count], _cursor(found[count - 1]) if more else None)


async def delivery(connection: Connection, number: int) -> Delivery:
    """One delivery."""
    row = await (await connection.execute(_ONE, (number,))).fetchone()
    if row is None:
        raise NotFound(f"there is no delivery {number}")
    return _delivery(row)


async def summary(connection: Connection, wanted: Filter) -> list[DaySummary]:
    """Counts and delays by source, door and day, newest day first."""
    rows = await (await connection.execute(_SUMMARY, wanted.parameters())).fetchall()
    return [DaySummary(*row) for row in rows]


async def reasons(connection: Connection, wanted: Filter, *, count: int = 50) -> list[Reason]:
    """Why deliveries were not taken in, most frequent first."""
    rows = await (await connection.execute(_REASONS, {**wanted.parameters(), "count": count})).fetchall()
    return [Reason(*row) for row in rows]


async def coverage(
    connection: Connection, *, since: datetime, until: datetime, organisations: Sequence[int] | None = None
) -> Coverage:
    """Which registered institutions sent something usable in the period, silent ones first."""
    scope = None if organisations is None else list(organisations)
    parameters = {"since": since, "until": until, "organisations": scope}
    return Coverage([Upload(*row) for row in await (await connection.execute(_COVERAGE, parameters)).fetchall()])


async def refused_lines(
    connection: Connection, number: int, *, after: int = 0, count: int = 100
) -> list[tuple[int, list[dict[str, Any]]]]:
    """(line number, issues) of the refused lines of an NDJSON delivery."""
    rows = await (await connection.execute(_LINES, (number, after, count))).fetchall()
    return [(row[0], row[2]) for row in rows]


def _delivery(row: tuple[Any, ...]) -> Delivery:
    values = list(row)
    values[11] = bytes(values[11])
    values[18] = tuple(values[18])
    return Delivery(*values)


def _cursor(last: Delivery) -> str:
    return base64.urlsafe_b64encode(f"{last.received_at.isoformat()}|{last.id}".encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[datetime | None, int | None]:
    if cursor is None:
        return None, None
    try:
        at, number = base64.urlsafe_b64decode(cursor.encode()).decode().split("|")
        return datetime.fromisoformat(at), int(number)
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise Incorrect("the cursor is not one of this list; begin again without it") from None
