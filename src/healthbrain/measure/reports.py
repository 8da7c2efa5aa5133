"""Evaluation reports of plans (月报, 中期评估, 终期评估) as they are kept: drafts that authors change, editions that are frozen.

A report's content is one JSON object; publishing writes down its SHA-256, and from then on the database refuses any change.
Later changes make a new edition beside it. What stands in a report is made by the room that words it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound

ReportKind = Literal["monthly", "interim", "final"]
KINDS: tuple[ReportKind, ...] = ("monthly", "interim", "final")
LONGEST_TEXT = 20_000
_STUCK = timedelta(minutes=10)
_COLUMNS = "id, plan, kind, period, edition, state, done, steps, digest, made_by, made_at, changed_by, changed_at, published_by, published_at"


@dataclass(frozen=True, slots=True)
class Report:
    """One edition. `content` is read apart."""

    id: int
    plan: str
    kind: ReportKind
    period: str
    edition: int
    state: Literal["making", "failed", "draft", "published"]
    done: int
    steps: int
    digest: str
    made_by: str
    made_at: datetime
    changed_by: str
    changed_at: datetime | None
    published_by: str
    published_at: datetime | None


async def begin(
    connection: Connection, plan: str, kind: ReportKind, period: str, *, steps: int, by: str, at: datetime
) -> int:
    """A new edition that is being made; its id. Raises Conflict while a draft of the same period is open."""
    async with connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 6))", [f"report {plan} {kind} {period}"]
        )
        cursor = await connection.execute(
            "select 1 from plan_report where plan = %s and kind = %s and period = %s "
            "and (state = 'draft' or (state = 'making' and made_at > %s))",
            [plan, kind, period, at - _STUCK],
        )
        if await cursor.fetchone():
            raise Conflict("there is a draft of this report already; publish or drop it first")
        cursor = await connection.execute(
            "insert into plan_report (plan, kind, period, edition, state, steps, made_by, made_at) "
            "select %s, %s, %s, coalesce(max(edition), 0) + 1, 'making', %s, %s, %s from plan_report "
            "where plan = %s and kind = %s and period = %s returning id",
            [plan, kind, period, steps, by, at, plan, kind, period],
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def note_progress(connection: Connection, id: int, done: int) -> None:
    """How many steps are done."""
    await connection.execute("update plan_report set done = %s where id = %s and state = 'making'", [done, id])


async def finish(connection: Connection, id: int, content: Mapping[str, Any]) -> None:
    """It is made: a draft now."""
    await connection.execute(
        "update plan_report set state = 'draft', done = steps, content = %s where id = %s and state = 'making'",
        [orjson.dumps(content).decode(), id],
    )


async def fail(connection: Connection, id: int) -> None:
    """It could not be made."""
    await connection.execute("update plan_report set state = 'failed' where id = %s and state = 'making'", [id])


async def change(connection: Connection, id: int, texts: Mapping[str, str], *, by: str, at: datetime) -> None:
    """Put an author's texts into a draft, by section. Raises Conflict when it is published."""
    async with connection.transaction():
        await connection.execute("select 1 from plan_report where id = %s for update", [id])
        report, content = await read(connection, id)
        if report.state != "draft":
            raise Conflict("this report is published and frozen; make a new edition to change it")
        for section in content["sections"]:
            if section["key"] in texts:
                text = texts[section["key"]].replace("\0", "").replace("\r\n", "\n").strip()
                if len(text) > LONGEST_TEXT:
                    raise Incorrect(f"a section is longer than {LONGEST_TEXT} characters; shorten it")
                section["edited"] = section["edited"] or text != section["text"]
                section["text"] = text
        await connection.execute(
            "update plan_report set content = %s, changed_by = %s, changed_at = %s where id = %s",
            [orjson.dumps(content).decode(), by, at, id],
        )


async def publish(connection: Connection, id: int, *, by: str, at: datetime) -> str:
    """Freeze a draft; returns its digest."""
    async with connection.transaction():
        await connection.execute("select 1 from plan_report where id = %s for update", [id])
        report, content = await read(connection, id)
        if report.state != "draft":
            raise Conflict("only a draft can be published")
        digest = digest_of(content)
        await connection.execute(
            "update plan_report set state = 'published', digest = %s, published_by = %s, published_at = %s where id = %s",
            [digest, by, at, id],
        )
    return digest


async def drop(connection: Connection, id: int) -> None:
    """Throw a draft away. Raises Conflict when it is published."""
    cursor = await connection.execute(
        "delete from plan_report where id = %s and state in ('draft', 'failed', 'making')", [id]
    )
    if cursor.rowcount != 1:
        raise Conflict("only a draft can be dropped")


async def read(connection: Connection, id: int) -> tuple[Report, dict[str, Any]]:
    """One edition with its content (empty while it is being made); raises NotFound."""
    cursor = await connection.execute(f"select {_COLUMNS}, content from plan_report where id = %s".encode(), [id])  # noqa: S608  # constant columns
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such report")
    return Report(*row[:-1]), row[-1] or {}


async def reports(connection: Connection, plan: str = "") -> list[Report]:
    """All editions, newest first."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from plan_report where %s = '' or plan = %s order by made_at desc, id desc limit 500".encode(),  # noqa: S608  # constant columns
        [plan, plan],
    )
    return [Report(*row) for row in await cursor.fetchall()]


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content in its one way of writing."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
