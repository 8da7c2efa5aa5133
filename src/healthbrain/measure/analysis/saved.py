"""Saved questions: who may open them, versions, copies, deletion that can be taken back, the start page.

A question is seen by its owner; shared with a role, by accounts of that role in the same organisation or below or above it
(one line of the tree); shared with an organisation, by all of that organisation and those below it. Sharing a question never
shares figures: everybody who opens it is answered with the own permissions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.measure.analysis.question import Question, question_of

Shared = Literal["private", "role", "organisation"]
SHARES: tuple[Shared, ...] = ("private", "role", "organisation")
_LONGEST_NAME, _LONGEST_TEXT, _MOST_TAGS = 80, 500, 8
_COLUMNS = "q.id, q.owner, q.organisation, q.name, q.description, q.tags, q.shared, q.role, q.version, q.question, q.changed_at"
SEEN = """(q.owner = %(account)s or (q.shared = 'role' and q.role = %(role)s and q.organisation = any(%(line)s))
    or (q.shared = 'organisation' and q.organisation = any(%(above)s)))"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Who looks: account, role, its organisation with those above it, and those below."""

    account: str
    role: str
    organisation: int
    above: tuple[int, ...]  # the own one included
    below: tuple[int, ...]

    @property
    def values(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return {
            "account": self.account, "role": self.role, "above": list(self.above),
            "line": [*self.above, *self.below],
        }  # fmt: skip


def reading_of(account: str, role: str, organisation: int, tree: Tree) -> Reading:
    """An account as a reader of what others share."""
    above = (organisation, *tree.ancestors(organisation)) if organisation in tree else (organisation,)
    return Reading(account, role, organisation, above, tree.subtree(organisation))


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody says when saving."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    shared: Shared = "private"


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved question."""

    id: int
    owner: str
    organisation: int
    name: str
    description: str
    tags: tuple[str, ...]
    shared: Shared
    role: str
    version: int
    question: Question
    changed_at: datetime
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """An earlier form of a question."""

    version: int
    name: str
    question: Question
    by: str
    at: datetime


def given(name: str, description: str, tags: str, shared: str) -> Given:
    """What was typed, checked. Raises Incorrect."""
    words = tuple(dict.fromkeys(word for word in tags.replace("，", ",").replace("、", ",").split(",") if word.strip()))
    if not name.strip() or len(name.strip()) > _LONGEST_NAME:
        raise Incorrect(f"a saved question has a name of at most {_LONGEST_NAME} characters")
    if len(description) > _LONGEST_TEXT:
        raise Incorrect(f"the description has at most {_LONGEST_TEXT} characters")
    if len(words) > _MOST_TAGS or any(len(word.strip()) > 20 for word in words):
        raise Incorrect(f"a question has at most {_MOST_TAGS} tags of at most 20 characters")
    if shared not in SHARES:
        raise Incorrect("a question is private, or shared with the role or the organisation")
    return Given(name.strip(), description.strip(), tuple(word.strip() for word in words), shared)


async def listed(connection: Connection, reading: Reading, words: str = "") -> list[Saved]:
    """What this reader may open, own ones first, pinned ones before others."""
    cursor = await connection.execute(
        f"select {_COLUMNS}, p.account is not null from analysis_question q "  # noqa: S608  # constants
        f"left join analysis_pin p on p.question_id = q.id and p.account = %(account)s "
        f"where q.deleted_at is null and {SEEN} and (%(words)s = '' or "
        "strpos(lower(q.name || ' ' || q.description || ' ' || array_to_string(q.tags, ' ')), lower(%(words)s)) > 0) "
        "order by p.account is null, q.owner <> %(account)s, q.changed_at desc limit 500".encode(),
        {**reading.values, "words": words},
    )
    return [_saved(row) for row in await cursor.fetchall()]


async def one(connection: Connection, reading: Reading, id_: int) -> Saved:
    """A question that this reader may open. Raises NotFound."""
    cursor = await connection.execute(
        f"select {_COLUMNS}, p.account is not null from analysis_question q "  # noqa: S608  # constants
        f"left join analysis_pin p on p.question_id = q.id and p.account = %(account)s "
        f"where q.id = %(id)s and q.deleted_at is null and {SEEN}".encode(),
        {**reading.values, "id": id_},
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such saved question, or it is not shared with you")
    return _saved(row)


async def save(connection: Connection, reading: Reading, said: Given, question: Question, at: datetime) -> int:
    """A new question of this reader."""
    async with connection.transaction():
        cursor = await connection.execute(
            "insert into analysis_question (owner, organisation, name, description, tags, shared, role, question, changed_at) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
            [
                reading.account, reading.organisation, said.name, said.description, list(said.tags), said.shared,
                reading.role, _json(question), at,
            ],
        )  # fmt: skip
        row = await cursor.fetchone()
        id_ = int(row[0]) if row else 0
        await _keep(connection, id_, 1, said, question, reading.account, at)
    return id_


async def change(
    connection: Connection, reading: Reading, id_: int, said: Given, question: Question, version: int, at: datetime
) -> int:
    """A new version of an own question; Conflict when it was changed since `version` was read."""
    async with connection.transaction():
        cursor = await connection.execute(
            "update analysis_question set name = %s, description = %s, tags = %s, shared = %s, question = %s, "
            "version = version + 1, changed_at = %s where id = %s and owner = %s and version = %s and deleted_at is null "
            "returning version",
            [
                said.name, said.description, list(said.tags), said.shared, _json(question), at, id_, reading.account,
                version,
            ],
        )  # fmt: skip
        row = await cursor.fetchone()
        if row is None:
            await _own(connection, reading, id_)
            raise Conflict("the question was changed in the meantime; open it again")
        await _keep(connection, id_, int(row[0]), said, question, reading.account, at)
    return int(row[0])


async def versions(connection: Connection, id_: int) -> list[Version]:
    """Every form it had, newest first. The caller has checked that the reader may open it."""
    cursor = await connection.execute(
        "select version, name, question, by, at from analysis_question_version where question_id = %s order by version desc",
        [id_],
    )
    return [Version(row[0], row[1], question_of(row[2]), row[3], row[4]) for row in await cursor.fetchall()]


async def delete(connection: Connection, reading: Reading, id_: int, at: datetime) -> None:
    """Take an own question away. Raises NotFound."""
    await _own(connection, reading, id_)
    await connection.execute("update analysis_question set deleted_at = %s where id = %s", [at, id_])


async def restore(connection: Connection, reading: Reading, id_: int) -> None:
    """Take a deletion back."""
    await connection.execute(
        "update analysis_question set deleted_at = null where id = %s and owner = %s", [id_, reading.account]
    )


async def pin(connection: Connection, reading: Reading, id_: int, at: datetime, *, on: bool) -> None:
    """Put a question on the reader's start page, or take it from there."""
    await one(connection, reading, id_)
    if on:
        await connection.execute(
            "insert into analysis_pin (account, question_id, at) values (%s, %s, %s) on conflict do nothing",
            [reading.account, id_, at],
        )
    else:
        await connection.execute(
            "delete from analysis_pin where account = %s and question_id = %s", [reading.account, id_]
        )


async def pinned(connection: Connection, reading: Reading) -> list[Saved]:
    """What stands on the reader's start page."""
    return [one for one in await listed(connection, reading) if one.pinned]


async def _own(connection: Connection, reading: Reading, id_: int) -> None:
    cursor = await connection.execute(
        "select 1 from analysis_question where id = %s and owner = %s and deleted_at is null", [id_, reading.account]
    )
    if await cursor.fetchone() is None:
        raise NotFound("only the owner changes a saved question; make a copy of it")


async def _keep(
    connection: Connection, id_: int, version: int, said: Given, question: Question, by: str, at: datetime
) -> None:
    await connection.execute(
        "insert into analysis_question_version (question_id, version, name, description, question, by, at) "
        "values (%s, %s, %s, %s, %s, %s, %s)",
        [id_, version, said.name, said.description, _json(question), by, at],
    )


def _json(question: Question) -> str:
    return orjson.dumps(question.as_json()).decode()


def _saved(row: Sequence[Any]) -> Saved:
    id_, owner, organisation, name, description, tags, shared, role, version, question, at, is_pinned = row
    return Saved(
        id_, owner, organisation, name, description, tuple(tags), shared, role, version, question_of(question), at, is_pinned
    )  # fmt: skip
