"""Platforms that ask this one (上级、同级、下级平台): what was agreed with each, and how much and how fast is really answered.

A partner is known by the token or the application it asks with. Its agreement names the interfaces, resource types and views, the
days, and the requests in a minute. What passes is counted in memory and added to the table every few seconds; delays are
counted in classes, so that percentiles of a day can be told for all processes together. HUB-EX-15.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone

import psycopg

from healthbrain.database import Connection, Pool
from healthbrain.errors import Conflict, Forbidden, Incorrect
from healthbrain.scope import Grant, Principal, Rule

log = logging.getLogger("healthbrain.partners")

INTERFACES = ("read", "search", "write", "view", "export", "operation")
LEVELS = ("upper", "sibling", "lower")
# upper ends of the classes of delay in milliseconds; what is slower is in one more
CLASSES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000, 15_000, 30_000)  # fmt: skip
_LETTERS = {"read": "r", "search": "s", "write": "cud", "view": "s", "export": "rs", "operation": "r"}
_TRUST = 2.0  # seconds for which agreements are remembered
_FLUSH = 3.0
_CHINA = timezone(timedelta(hours=8))
_COLUMNS = (
    "key, code, name, level, organisation, account, client, document, contact, interfaces, types, views, "
    "from_day, until_day, per_minute"
)
_PUT = """
insert into partner (code, name, level, organisation, account, client, document, contact, interfaces, types, views,
    from_day, until_day, per_minute, changed_at, changed_by)
values (%(code)s, %(name)s, %(level)s, %(organisation)s, %(account)s, %(client)s, %(document)s, %(contact)s, %(interfaces)s,
    %(types)s, %(views)s, %(from_day)s, %(until_day)s, %(per_minute)s, %(at)s, %(by)s)
on conflict (code) do update set name = excluded.name, level = excluded.level, account = excluded.account,
    client = excluded.client, document = excluded.document, contact = excluded.contact, interfaces = excluded.interfaces,
    types = excluded.types, views = excluded.views, from_day = excluded.from_day, until_day = excluded.until_day,
    per_minute = excluded.per_minute, changed_at = excluded.changed_at, changed_by = excluded.changed_by
where partner.organisation = excluded.organisation"""
_ADD = """
insert into partner_traffic (partner, day, interface, requests, refused, errors, bytes, delays)
values (%s, %s, %s, %s, %s, %s, %s, %s)
on conflict (partner, day, interface) do update set requests = partner_traffic.requests + excluded.requests,
    refused = partner_traffic.refused + excluded.refused, errors = partner_traffic.errors + excluded.errors,
    bytes = partner_traffic.bytes + excluded.bytes,
    delays = (select array_agg(a + b order by n)
        from unnest(partner_traffic.delays, excluded.delays) with ordinality as both_(a, b, n))"""


@dataclass(frozen=True, slots=True)
class Partner:
    """A platform and what was agreed with it."""

    key: int
    code: str
    name: str
    level: str
    organisation: int
    account: str
    client: str
    document: str
    contact: str
    interfaces: Sequence[str]
    types: Sequence[str]
    views: Sequence[str]
    from_day: date
    until_day: date
    per_minute: int

    def in_force(self, at: datetime) -> bool:
        """Whether the agreement holds on this day."""
        return self.from_day <= at.astimezone(_CHINA).date() <= self.until_day

    def check(self, needed: Sequence[str], type_: str, at: datetime) -> None:
        """Refuse what the agreement does not cover. `type_` is '' when the request names none."""
        if not self.in_force(at):
            raise Forbidden(f"the agreement {self.document} with this platform is not in force today")
        for one in needed:
            if one not in self.interfaces:
                raise Forbidden(f"the agreement {self.document} does not cover the interface '{one}'")
        if type_ and "*" not in self.types and type_ not in (*self.types, "ViewDefinition"):
            raise Forbidden(f"the agreement {self.document} does not cover {type_}")

    def check_view(self, id_: str) -> None:
        """Refuse a view that the agreement does not name."""
        if "*" not in self.views and id_ not in self.views:
            raise Forbidden(f"the agreement {self.document} does not cover this view")

    def narrowed(self, who: Principal) -> Principal:
        """The same principal who may do no more than was agreed, whatever way it asks."""
        letters = "".join(x for x in "cruds" if any(x in _LETTERS[one] for one in self.interfaces))
        agreed = [Rule(one, letters) for one in self.types]
        if "*" not in self.types and {"view", "export"} & set(self.interfaces):
            agreed.append(Rule("ViewDefinition", "rs"))
        if who.grant is None:
            return replace(who, grant=Grant(f"partner {self.code}", tuple(agreed)))
        rules = [
            replace(mine, type=mine.type if one.type == "*" else one.type, may=both)
            for mine in who.grant.rules
            for one in agreed
            if ("*" in (mine.type, one.type) or mine.type == one.type)
            and (both := "".join(x for x in mine.may if x in one.may))
        ]
        return replace(who, grant=replace(who.grant, rules=tuple(rules)))


@dataclass(slots=True)
class Passed:
    """What passed through one interface."""

    requests: int = 0
    refused: int = 0
    errors: int = 0
    bytes: int = 0
    delays: list[int] = field(default_factory=lambda: [0] * (len(CLASSES) + 1))

    def add(self, status: int, size: int, seconds: float) -> None:
        """Count one request."""
        self.requests += 1
        self.refused += 400 <= status < 500
        self.errors += status >= 500
        self.bytes += size
        self.delays[bisect_left(CLASSES, seconds * 1000)] += 1

    def plus(self, other: Passed) -> Passed:
        """Both together."""
        delays = [a + b for a, b in zip(self.delays, other.delays, strict=True)]
        return Passed(
            self.requests + other.requests, self.refused + other.refused, self.errors + other.errors,
            self.bytes + other.bytes, delays,
        )  # fmt: skip

    def percentile(self, share: float) -> float | None:
        """Milliseconds within which this share was answered: linear within its class; None without requests."""
        wanted, below, lower = share * sum(self.delays), 0, 0.0
        if not wanted:
            return None
        for number, upper in zip(self.delays, CLASSES, strict=False):
            if number and below + number >= wanted:
                return lower + (upper - lower) * (wanted - below) / number
            below, lower = below + number, float(upper)
        return float(CLASSES[-1])


@dataclass(frozen=True, slots=True)
class Day:
    """What passed on one day through one interface of a partner."""

    partner: int
    day: date
    interface: str
    passed: Passed


class Desk:
    """Knows who is a partner, and counts what passes; one for each process."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._applications: dict[str, Partner] = {}
        self._tokens: dict[tuple[int, str], Partner] = {}
        self._read_at = -_TRUST
        self._reading = asyncio.Lock()
        self._known = False
        self._passed: dict[tuple[int, date, str], Passed] = {}
        self._due: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def open(self, pool: Pool) -> None:
        """Where agreements are and counts go."""
        self._pool = pool

    @property
    def fresh(self) -> bool:
        """Whether what is remembered of agreements is new enough."""
        return time.monotonic() - self._read_at < _TRUST

    async def read(self) -> None:
        """Look at the agreements again. When the database does not answer, what was known goes on."""
        async with self._reading:
            if self.fresh or self._pool is None:
                return
            try:
                async with self._pool.connection() as connection:
                    found = await partners(connection)
            except psycopg.Error:
                if not self._known:
                    raise
                log.warning("agreements with partners cannot be read; the last known ones are used")
                found = [*self._applications.values(), *self._tokens.values()]
            self._applications = {one.client: one for one in found if one.client}
            self._tokens = {(one.organisation, one.account): one for one in found if not one.client}
            self._read_at, self._known = time.monotonic(), True

    def of(self, who: Principal) -> Partner | None:
        """The partner that asks, if it is one."""
        if who.grant is not None:
            return self._applications.get(who.grant.client)
        if who.role != "system" or not self._tokens:
            return None
        return self._tokens.get((who.organisation, who.account)) or self._tokens.get((who.organisation, ""))

    def note(self, partner: Partner, interface: str, at: datetime, status: int, size: int, seconds: float) -> None:
        """Count one answer; it is in the table a few seconds later."""
        key = (partner.key, at.astimezone(_CHINA).date(), interface)
        self._passed.setdefault(key, Passed()).add(status, size, seconds)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_FLUSH, self._begin)

    def _begin(self) -> None:
        self._due = None
        self._flushing = asyncio.create_task(self.flush())

    async def flush(self) -> None:
        """Add what was counted to the table; when that fails it is kept for the next time."""
        passed, self._passed = self._passed, {}
        if not passed or self._pool is None:
            return
        try:
            async with self._pool.connection() as connection, connection.transaction():
                for (partner, day, interface), one in sorted(passed.items(), key=lambda item: item[0]):
                    values = (partner, day, interface, one.requests, one.refused, one.errors, one.bytes, one.delays)
                    await connection.execute(_ADD, values)
        except psycopg.Error:
            log.warning("what passed to partners cannot be kept now; it is kept later")
            for key, one in passed.items():
                self._passed[key] = one.plus(self._passed[key]) if key in self._passed else one
            if self._due is None:
                self._due = asyncio.get_running_loop().call_later(_FLUSH, self._begin)

    async def close(self) -> None:
        """Keep what was counted."""
        if self._flushing is not None:
            await self._flushing
        await self.flush()
        if self._due is not None:
            self._due.cancel()
            self._due = None


async def partners(connection: Connection) -> list[Partner]:
    """All agreements, also those not in force, by code."""
    rows = await (await connection.execute(f"select {_COLUMNS} from partner order by code")).fetchall()  # noqa: S608  # constant
    return [Partner(*row) for row in rows]


async def put_partner(connection: Connection, one: Partner, *, by: str, at: datetime) -> None:
    """Make or change the agreement with this code. Raises Incorrect, Conflict."""
    _checked(one)
    values = {
        "code": one.code, "name": one.name, "level": one.level, "organisation": one.organisation, "account": one.account,
        "client": one.client, "document": one.document, "contact": one.contact, "interfaces": list(one.interfaces),
        "types": list(one.types), "views": list(one.views), "from_day": one.from_day, "until_day": one.until_day,
        "per_minute": one.per_minute, "at": at, "by": by,
    }  # fmt: skip
    if not (await connection.execute(_PUT, values)).rowcount:
        raise Conflict("another partner has this code; give this one its own")


async def end_partner(connection: Connection, code: str, *, by: str, at: datetime) -> None:
    """End an agreement now; from then on its requests are refused."""
    await connection.execute(
        "update partner set until_day = least(until_day, %s), changed_at = %s, changed_by = %s where code = %s",
        (at.astimezone(_CHINA).date() - timedelta(days=1), at, by, code),
    )


async def traffic(connection: Connection, since: date) -> list[Day]:
    """What passed by partner, day and interface, newest day first."""
    cursor = await connection.execute(
        "select partner, day, interface, requests, refused, errors, bytes, delays from partner_traffic "
        "where day >= %s order by day desc, partner, interface",
        (since,),
    )
    return [Day(row[0], row[1], row[2], Passed(*row[3:])) for row in await cursor.fetchall()]


def _checked(one: Partner) -> None:
    if not all(text.strip() for text in (one.code, one.name, one.document, one.contact)):
        raise Incorrect("an agreement has a code, a name, the number of its document and a contact")
    if one.level not in LEVELS:
        raise Incorrect("a partner is an upper, sibling or lower platform")
    if not one.interfaces or set(one.interfaces) - set(INTERFACES) or not one.types:
        raise Incorrect("name the interfaces and resource types that are agreed")
    if one.until_day < one.from_day or one.per_minute < 1:
        raise Incorrect("an agreement ends after it begins, and allows at least one request in a minute")
