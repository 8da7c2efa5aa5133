"""Full-text search: `_content` over everything that is text in a resource, `_text` over its narrative.

Words are indexed behind the writing, by following the change feed: indexing them within a write would cost it about as
much as all the rest of the index. A search stays exact all the same: what has changed since the place the index has
reached is read by the search itself, up to MOST_UNREAD resources.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healthbrain.database import Connection, Pool
from healthbrain.errors import Gone, Incorrect, Unavailable
from healthbrain.fhir import parse
from healthbrain.store import arrays, bodies
from healthbrain.store.asking import Asking, Need
from healthbrain.store.changes import Position, changes, latest
from healthbrain.store.pieces import Condition, any_of
from healthbrain.store.question import Criterion, unescape
from healthbrain.store.types import TypeIndex, type_number
from healthbrain.store.words import Term, content_words, holds, narrative_words, terms, tsquery

NAMES = frozenset({"_text", "_content"})
MOST_UNREAD = 20_000
_STEP = 1000
_LOCK = 0x48_42_22  # advisory: one worker at a time
_COLUMN = {"_text": "narrative", "_content": "content"}
_WORDS = {"_text": narrative_words, "_content": content_words}


# -- searching


@dataclass(frozen=True, slots=True)
class Unread:
    """Resources that changed after the place the index has reached, and those of them that fulfil a question."""

    all: tuple[int, ...]
    found: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Unindexed(Need):
    type: str
    name: str
    asked: tuple[tuple[Term, ...], ...]

    async def fetch(self, connection: Connection, asking: Asking) -> Unread:
        row = await (await connection.execute("select position, done, goal from resource_text_state")).fetchone()
        position, done, goal = row or (None, 0, 0)
        if position is not None and done < goal:
            asking.notes.append(
                f"the text index is being built ({done / goal:.0%}); older resources may be missing from '{self.name}'"
            )
        unread: dict[int, bytes] = await _changed_since(connection, position, type_number(self.type))
        found = [
            rid
            for rid, body in unread.items()
            if body and any(holds(known, asked) for known in [self._words(body)] for asked in self.asked)
        ]
        return Unread(tuple(unread), tuple(found))

    def _words(self, body: bytes) -> set[str]:
        return _WORDS[self.name](parse(bodies.decompress(body)))


async def _changed_since(connection: Connection, position: str | None, rtype: int) -> dict[int, bytes]:
    """The resources of a type that changed after a place in the feed, as far as they are visible now."""
    since = Position.parse(position) if position else None
    later = "true"
    values: list[int] = []
    if since is not None and since.batch:
        later = (
            "(c.xid >= (select pg_snapshot_xmax(snapshot) from b)"
            " or c.xid = any(array(select pg_snapshot_xip(snapshot) from b))"
            " or (c.seq > %s and c.seq <= (select last from b)))"
        )
        values = [since.seq]
    statement = (
        "with b as materialized (select snapshot, last from change_batch where batch = %s)"
        f" select distinct r.rid, r.body from change c join resource r on r.rid = c.rid"
        f" where r.rtype = %s::smallint and {later} limit %s"
    )
    batch = since.batch if since is not None else 0
    rows = await (await connection.execute(statement.encode(), [batch, rtype, *values, MOST_UNREAD + 1])).fetchall()
    if len(rows) > MOST_UNREAD:
        raise Unavailable(
            f"more than {MOST_UNREAD} resources wait to be indexed for text search; try again in a minute"
        )
    return dict(rows)


def text_condition(index: TypeIndex, criterion: Criterion, alias: str, asking: Asking) -> Condition:
    """The rows whose words hold what is asked for."""
    name = criterion.name
    if criterion.modifier or criterion.chain:
        raise Incorrect(f"'{criterion.written}': {name} has neither modifiers nor chains")
    asked = tuple(terms(unescape(value)) for value in criterion.values)
    if not asked or not all(asked):
        raise Incorrect(f"'{criterion.written}': there is no word in it")
    unread: Unread = asking.need(_Unindexed(index.name, name, asked))
    column = _COLUMN[name]
    # as one array, so that the rows are fetched by their numbers
    matches = any_of([Condition(f"x.{column} @@ %s::tsquery", (tsquery(one),)) for one in asked])
    rows = f"select x.rid from resource_text x where {matches.sql}"
    if not unread.all:
        return Condition(f"{alias}.rid = any(array({rows}))", matches.parameters)
    values = (*matches.parameters, arrays.int8(unread.all), arrays.int8(unread.found))
    return Condition(f"{alias}.rid = any(array({rows} and not x.rid = any(%s)) || %s)", values)


# -- indexing


async def index_texts(pool: Pool, *, most: int = _STEP) -> bool:
    """One step of following the feed, or of going through what was here before; whether there may be more at once."""
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            return await _step(connection, most)
        finally:
            await connection.set_autocommit(False)


async def _step(connection: Connection, most: int) -> bool:
    arrays.teach(connection)
    row = await (await connection.execute("select position, done, goal from resource_text_state")).fetchone()
    position, done, goal = row or (None, 0, 0)
    if position is None:
        return await _begin(connection)
    try:
        found, reached = await changes(connection, Position.parse(position), most)
    except Gone:
        return await _begin(connection)
    if not found and done >= goal:
        return False
    async with connection.transaction():
        lock = await (await connection.execute("select pg_try_advisory_xact_lock(%s)", (_LOCK,))).fetchone()
        same = await connection.execute("select from resource_text_state where position = %s for update", (position,))
        if lock is None or not lock[0] or await same.fetchone() is None:
            return False  # another worker is at it
        if found:
            await _index(connection, list({change.rid for change in found}))
            await connection.execute("update resource_text_state set position = %s", (str(reached),))
        else:
            cursor = await connection.execute(
                "select rid from resource where rid > %s and rid <= %s order by rid limit %s", (done, goal, most)
            )
            rids = [one[0] for one in await cursor.fetchall()]
            await _index(connection, rids)
            await connection.execute("update resource_text_state set done = %s", (rids[-1] if rids else goal,))
    return True


async def _begin(connection: Connection) -> bool:
    """From here on follow the feed; what is here already is gone through beside that."""
    position = await latest(connection)
    await connection.execute(
        "update resource_text_state set position = %s, done = 0, goal = (select coalesce(max(rid), 0) from resource)",
        (str(position),),
    )
    return True


async def _index(connection: Connection, rids: Sequence[int]) -> None:
    statement = "select rid, body from resource where rid = any(%s) and not deleted"
    rows = await (await connection.execute(statement, [arrays.int8(rids)])).fetchall()
    content, narrative = [], []
    for _, body in rows:
        resource = parse(bodies.decompress(body))
        content.append(" ".join(content_words(resource)))
        narrative.append(" ".join(narrative_words(resource)))
    await connection.execute("delete from resource_text where rid = any(%s)", [arrays.int8(rids)])
    await connection.execute(
        "insert into resource_text (rid, content, narrative)"
        " select n.rid, array_to_tsvector(string_to_array(n.content, ' ')),"
        " array_to_tsvector(string_to_array(nullif(n.narrative, ''), ' '))"
        " from unnest(%s, %s, %s) as n(rid, content, narrative) on conflict (rid) do nothing",
        [arrays.int8([row[0] for row in rows]), arrays.text(content), arrays.text(narrative)],
    )


async def text_position(connection: Connection) -> Position | None:
    """The place in the feed that the text index has reached; what comes after it must not be pruned."""
    row = await (await connection.execute("select position from resource_text_state")).fetchone()
    return Position.parse(row[0]) if row and row[0] else None
