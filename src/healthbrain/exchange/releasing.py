"""Releasing (收编): what a stranger sent before anybody said whose system it is goes to its institution.

Under the quarantine a sender's numbers are its own, so its resources have other ids than the institution's. Every message is therefore
taken in anew, oldest first, as its institution's; then what the quarantine held of it is deleted. Both can be repeated: a release that
was cut off is begun again. The raw messages and the former outcomes stay in the ledger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from healthbrain.database import Connection
from healthbrain.errors import Conflict, HealthBrainError
from healthbrain.exchange import ledger as rows
from healthbrain.exchange.hl7v2.message import parse
from healthbrain.exchange.hl7v2.translate import translate
from healthbrain.exchange.receiving import Ledger
from healthbrain.exchange.replaying import replay
from healthbrain.exchange.sources import source
from healthbrain.exchange.values import Receipt, Source
from healthbrain.store import Write, WriteContext

_OTHERS_NOTICE = timedelta(seconds=30)  # until every process has looked the source up again it may still take strangers
_STEP = 500
_WAITING = """
select d.id from delivery d join source s on s.key = d.source
where s.key = %s and d.door = 'hl7v2' and d.state in ('accepted', 'partly')
  and s.verified_at is not null and s.released_at is null and d.settled_at <= s.verified_at + %s
order by d.id"""
_UNRELEASED = """
select s.key, count(d.id) from source s join delivery d on d.source = s.key
where s.verified_at is not null and s.released_at is null and d.door = 'hl7v2' and d.state in ('accepted', 'partly')
  and d.settled_at <= s.verified_at + %s
group by s.key"""
_DONE = "update source set released_at = %s where key = %s"


@dataclass(frozen=True, slots=True)
class Released:
    """One step: message number `delivery` was taken in anew, with what came of it."""

    delivery: int
    receipt: Receipt


async def unreleased(connection: Connection) -> dict[int, int]:
    """Source key: how many messages it sent, and we accepted, before it was said whose it is."""
    found = await (await connection.execute(_UNRELEASED, (_OTHERS_NOTICE,))).fetchall()
    return dict(found)


async def release(
    ledger: Ledger, key: int, *, by: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Released]:
    """Give what the source with this key sent before to its organisation. Raises Conflict while it is not verified."""
    async with ledger.pool.connection() as connection:
        one = await source(connection, key)
        if not one.verified:
            raise Conflict("say first whose system this source is; then what it sent can be released")
        numbers = [row[0] for row in await (await connection.execute(_WAITING, (key, _OTHERS_NOTICE))).fetchall()]
    ledger.forget_sources()
    left: dict[tuple[str, str], None] = {}
    for number in numbers:
        receipt = await replay(ledger, number, by=by, at=clock())
        if receipt.state in ("accepted", "partly", "duplicate"):
            left |= dict.fromkeys(await _held_under_quarantine(ledger, one, number, clock()))
        yield Released(number, receipt)
    keys = list(left)
    for start in range(0, len(keys), _STEP):
        await _delete(ledger, keys[start : start + _STEP], by, clock())
    async with ledger.pool.connection() as connection:
        await connection.execute(_DONE, (clock(), key))


async def _held_under_quarantine(ledger: Ledger, one: Source, number: int, at: datetime) -> list[tuple[str, str]]:
    """The types and ids that the message has as a stranger's: they follow from the message alone."""
    stranger = replace(one, organisation_code="")
    async with ledger.pool.connection() as connection:
        raw = await rows.raw(connection, number)
    try:
        made = translate(parse(raw, registered=one.charset), stranger.sender, at=at)
    except HealthBrainError:
        return []
    return [(part.type, part.id) for part in made.made]


async def _delete(ledger: Ledger, keys: Sequence[tuple[str, str]], by: str, at: datetime) -> None:
    async with ledger.pool.connection() as connection, connection.transaction():
        found = await (
            await connection.execute("select key from organisation where kind = 'quarantine' order by key limit 1")
        ).fetchone()
        if found is None:
            return
        stored = await ledger.store.read_many(connection, keys)
        mine = [Write("delete", one.type, one.id, None) for one in stored if one.owner == found[0] and not one.deleted]
        if mine:
            await ledger.store.write(
                connection, mine, WriteContext(found[0], at, author=by), observers=ledger.observers
            )
