"""Boards that users keep: who may open them, versions, undo, copies, deletion that can be taken back.

A board is seen as a saved question is (`analysis.saved`): by its owner; shared with a role, by accounts of that role on the same line of
the tree; shared with an organisation, by all of it and those below. Only the owner changes it. Sharing a board never shares figures.
"""

# ruff: noqa: S608  # column lists are constants
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.measure.analysis.saved import SEEN, SHARES, Reading, Shared
from healthbrain.measure.dashboards.board import Board, board_of

MOST_BOARDS = 100  # of one account
_COLUMNS = "q.id, q.owner, q.organisation, q.shared, q.role, q.version, q.board, q.changed_at"
_WITHOUT_TILES = (
    "q.id, q.owner, q.organisation, q.shared, q.role, q.version, jsonb_set(q.board, '{tiles}', '[]'), q.changed_at"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept board."""

    id: int
    owner: str
    organisation: int
    shared: Shared
    role: str
    version: int
    board: Board
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A kept board in a list, with the number of its tiles."""

    kept: Kept
    tiles: int


@dataclass(frozen=True, slots=True)
class Version:
    """One edit."""

    version: int
    action: str
    restores: int | None
    by: str
    at: datetime
    tiles: int


def sharing(text: str) -> Shared:
    """With whom a board is shared. Raises Incorrect."""
    for one in SHARES:
        if one == text:
            return one
    raise Incorrect("a board is private, or shared with the role or the organisation")


async def listed(connection: Connection, reading: Reading) -> list[Listed]:
    """The boards this reader may open, own ones first; without their tiles."""
    cursor = await connection.execute(
        f"select {_WITHOUT_TILES}, jsonb_array_length(q.board -> 'tiles') from dashboard q where q.deleted_at is null "
        f"and {SEEN} order by q.owner <> %(account)s, q.changed_at desc limit 500".encode(),
        reading.values,
    )
    return [Listed(_kept(row[:8]), row[8]) for row in await cursor.fetchall()]


async def one(connection: Connection, reading: Reading, id_: int) -> Kept:
    """A board that this reader may open. Raises NotFound."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from dashboard q where q.id = %(id)s and q.deleted_at is null and {SEEN}".encode(),
        {**reading.values, "id": id_},
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such board, or it is not shared with you")
    return _kept(row)


async def every(connection: Connection) -> list[Listed]:
    """All boards of all accounts, without their tiles, for who runs the platform."""
    cursor = await connection.execute(
        f"select {_WITHOUT_TILES}, jsonb_array_length(q.board -> 'tiles') from dashboard q where q.deleted_at is null "
        "order by q.id".encode()
    )
    return [Listed(_kept(row[:8]), row[8]) for row in await cursor.fetchall()]


async def any_one(connection: Connection, id_: int) -> Kept:
    """A board by its number, for who runs the platform. Raises NotFound."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from dashboard q where q.id = %s and q.deleted_at is null".encode(), [id_]
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such board")
    return _kept(row)


async def keep(
    connection: Connection, reading: Reading, board: Board, shared: Shared, action: str, at: datetime
) -> int:
    """A new board of this reader; returns its number. Raises Incorrect when there are too many."""
    async with connection.transaction():
        count = await connection.execute(
            "select count(*) from dashboard where owner = %s and deleted_at is null", [reading.account]
        )
        if ((await count.fetchone()) or (0,))[0] >= MOST_BOARDS:
            raise Incorrect(f"an account keeps at most {MOST_BOARDS} boards; delete one that is no longer used")
        cursor = await connection.execute(
            "insert into dashboard (owner, organisation, shared, role, board, changed_at) values (%s, %s, %s, %s, %s, %s) "
            "returning id",
            [reading.account, reading.organisation, shared, reading.role, _json(board), at],
        )
        row = await cursor.fetchone()
        id_ = int(row[0]) if row else 0
        await _add_version(connection, id_, 1, board, action, None, reading.account, at)
    return id_


async def change(
    connection: Connection, reading: Reading, kept: Kept, board: Board, action: str, at: datetime,
    *, shared: Shared | None = None, restores: int | None = None,
) -> int:  # fmt: skip
    """An edit of an own board as a new version. Raises Conflict when it was changed since it was read, NotFound."""
    async with connection.transaction():
        cursor = await connection.execute(
            "update dashboard set board = %s, shared = %s, version = version + 1, changed_at = %s "
            "where id = %s and owner = %s and version = %s and deleted_at is null returning version",
            [_json(board), shared or kept.shared, at, kept.id, reading.account, kept.version],
        )
        row = await cursor.fetchone()
        if row is None:
            await own(connection, reading, kept.id)
            raise Conflict("the board was changed in the meantime; open it again")
        await _add_version(connection, kept.id, int(row[0]), board, action, restores, reading.account, at)
    return int(row[0])


async def undo(connection: Connection, reading: Reading, kept: Kept, at: datetime) -> int:
    """Take the last edit back, and with every further call the one before it. Raises Conflict when there is none left."""
    known = {one.version: one for one in await versions(connection, kept.id)}
    shown = known[kept.version].restores or kept.version
    before = shown - 1
    if before not in known:
        raise Conflict("there is no earlier version of this board")
    return await restore_version(connection, reading, kept, known[before].restores or before, at)


async def restore_version(connection: Connection, reading: Reading, kept: Kept, version: int, at: datetime) -> int:
    """What an earlier version held, as a new version. Raises NotFound."""
    cursor = await connection.execute(
        "select board from dashboard_version where dashboard_id = %s and version = %s", [kept.id, version]
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("the board has no such version")
    return await change(connection, reading, kept, board_of(row[0], kept=True), "restored", at, restores=version)


async def versions(connection: Connection, id_: int) -> list[Version]:
    """Every edit, newest first. The caller has checked that the reader may open the board."""
    cursor = await connection.execute(
        "select version, action, restores, by, at, jsonb_array_length(board -> 'tiles') from dashboard_version "
        "where dashboard_id = %s order by version desc",
        [id_],
    )
    return [Version(*row) for row in await cursor.fetchall()]


async def delete(connection: Connection, reading: Reading, id_: int, at: datetime) -> None:
    """Take an own board away. Raises NotFound."""
    await own(connection, reading, id_)
    await connection.execute("update dashboard set deleted_at = %s where id = %s", [at, id_])


async def restore(connection: Connection, reading: Reading, id_: int) -> None:
    """Take a deletion back."""
    await connection.execute(
        "update dashboard set deleted_at = null where id = %s and owner = %s", [id_, reading.account]
    )


async def own(connection: Connection, reading: Reading, id_: int) -> None:
    """Whether the reader may change a board. Raises NotFound."""
    cursor = await connection.execute(
        "select 1 from dashboard where id = %s and owner = %s and deleted_at is null", [id_, reading.account]
    )
    if await cursor.fetchone() is None:
        raise NotFound("only the owner changes a board; make a copy of it")


async def _add_version(
    connection: Connection, id_: int, version: int, board: Board, action: str, restores: int | None, by: str, at: datetime
) -> None:  # fmt: skip
    await connection.execute(
        "insert into dashboard_version (dashboard_id, version, board, action, restores, by, at) "
        "values (%s, %s, %s, %s, %s, %s, %s)",
        [id_, version, _json(board), action, restores, by, at],
    )


def _json(board: Board) -> str:
    return orjson.dumps(board.as_json()).decode()


def _kept(row: Sequence[Any]) -> Kept:
    id_, owner, organisation, shared, role, version, board, at = row
    return Kept(id_, owner, organisation, shared, role, version, board_of(board, kept=True), at)
