"""Statutory reports as they are kept: made, submitted by the unit, passed and approved above it, or returned with the reason.

What was submitted is frozen by the database, with a digest; after a return the next edition is made. Nobody reviews what they
submitted themselves. Who may review is said by the caller, from the organisation tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.measure.statutory.checks import failed
from healthbrain.measure.statutory.fill import Place
from healthbrain.measure.statutory.form import Form

State = Literal["draft", "submitted", "passed", "returned", "approved"]
OPEN: tuple[State, ...] = ("draft", "submitted", "passed")
COUNTING: tuple[State, ...] = ("submitted", "passed", "approved")
LONGEST = 500
_COLUMNS = "id, form, version, period, level, key, organisation, place, edition, state, digest, made_at"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something."""

    account: str
    name: str
    organisation: int


@dataclass(frozen=True, slots=True)
class Report:
    """One edition; its content is read apart."""

    id: int
    form: str
    version: str
    period: str
    level: str
    key: str
    organisation: int
    place: str
    edition: int
    state: State
    digest: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done."""

    at: datetime
    by: str
    name: str
    organisation: int
    action: str
    note: str


async def begin(
    connection: Connection,
    form: Form,
    place: Place,
    organisation: int,
    content: Mapping[str, Any],
    by: Actor,
    at: datetime,
) -> int:
    """A draft; its id. Raises Conflict while another edition is open or approved."""
    async with connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 7))",
            [f"statutory {form.id} {content['period']} {place.level} {place.key}"],
        )
        cursor = await connection.execute(
            "select state, edition from statutory_report where form = %s and period = %s and level = %s and key = %s "
            "order by edition desc limit 1",
            [form.id, content["period"], place.level, place.key],
        )
        last = await cursor.fetchone()
        if last is not None and last[0] in (*OPEN, "approved"):
            raise Conflict("there is a report of this place and period already; open it in the list")
        cursor = await connection.execute(
            "insert into statutory_report (form, version, period, level, key, organisation, place, edition, state, content, "
            "made_at) values (%s, %s, %s, %s, %s, %s, %s, %s, 'draft', %s, %s) returning id",
            [
                form.id, form.version, content["period"], place.level, place.key, organisation, place.name,
                last[1] + 1 if last else 1, orjson.dumps(content).decode(), at,
            ],
        )  # fmt: skip
        row = await cursor.fetchone()
        id_ = int(row[0]) if row else 0
        await _event(connection, id_, by, at, "made")
    return id_


async def recount(connection: Connection, id_: int, content: Mapping[str, Any], by: Actor, at: datetime) -> None:
    """Put newer figures into a draft. Raises Conflict when it is none any more."""
    async with connection.transaction():
        cursor = await connection.execute(
            "update statutory_report set content = %s where id = %s and state = 'draft' returning id",
            [orjson.dumps(content).decode(), id_],
        )
        if await cursor.fetchone() is None:
            raise Conflict("only a draft can be counted again; what was submitted is frozen")
        await _event(connection, id_, by, at, "counted")


async def explain(connection: Connection, id_: int, remarks: Mapping[str, str], by: Actor, at: datetime) -> None:
    """Keep the explanations of checks that ask for one."""
    _, content, _ = await read(connection, id_)
    asked = {one["id"] for one in failed(content, ask=True)}
    kept = {key: text.replace("\0", "").strip() for key, text in remarks.items() if key in asked and text.strip()}
    if any(len(text) > LONGEST for text in kept.values()):
        raise Incorrect(f"an explanation is longer than {LONGEST} characters; shorten it")
    async with connection.transaction():
        cursor = await connection.execute(
            "update statutory_report set remarks = %s where id = %s and state = 'draft' returning id",
            [orjson.dumps(kept).decode(), id_],
        )
        if await cursor.fetchone() is None:
            raise Conflict("only a draft can be explained; what was submitted is frozen")
        await _event(connection, id_, by, at, "explained")


async def submit(connection: Connection, id_: int, by: Actor, at: datetime) -> str:
    """Freeze a draft and hand it up; its digest. Raises Incorrect while a check fails or is not explained."""
    async with connection.transaction():
        await connection.execute("select 1 from statutory_report where id = %s for update", [id_])
        report, content, remarks = await read(connection, id_)
        if report.state != "draft":
            raise Conflict("only a draft can be submitted")
        if wrong := failed(content, ask=False):
            raise Incorrect(
                f"{len(wrong)} checks that must hold do not; have the figures counted again before submitting"
            )
        if silent := [one for one in failed(content, ask=True) if one["id"] not in remarks]:
            raise Incorrect(f"{len(silent)} checks need an explanation before the report is submitted")
        digest = digest_of(content, remarks)
        await connection.execute(
            "update statutory_report set state = 'submitted', digest = %s where id = %s", [digest, id_]
        )
        await _event(connection, id_, by, at, "submitted")
    return digest


async def review(
    connection: Connection,
    id_: int,
    verdict: Literal["passed", "approved", "returned"],
    note: str,
    by: Actor,
    at: datetime,
) -> None:
    """Pass it (above the unit), approve it (the district) or return it. Raises Forbidden for who submitted it."""
    async with connection.transaction():
        await connection.execute("select 1 from statutory_report where id = %s for update", [id_])
        report, _, _ = await read(connection, id_)
        if report.state not in ("submitted", "passed") or (verdict == "passed" and report.state == "passed"):
            raise Conflict("only a submitted report is reviewed")
        done = [one for one in await history(connection, id_) if one.action in ("submitted", "passed")]
        if any(one.by == by.account for one in done):
            raise Forbidden("who submitted or passed a report does not review it again; a second person does")
        if verdict == "returned" and len(note.strip()) < 2:
            raise Incorrect("say why it is sent back")
        await connection.execute("update statutory_report set state = %s where id = %s", [verdict, id_])
        await _event(connection, id_, by, at, verdict, note.replace("\0", "").strip()[:LONGEST])


async def drop(connection: Connection, id_: int, by: Actor, at: datetime) -> None:
    """Throw a draft away; that it was is kept."""
    async with connection.transaction():
        cursor = await connection.execute(
            "delete from statutory_report where id = %s and state = 'draft' returning id", [id_]
        )
        if await cursor.fetchone() is None:
            raise Conflict("only a draft can be dropped")
        await _event(connection, id_, by, at, "dropped")


async def read(connection: Connection, id_: int) -> tuple[Report, dict[str, Any], dict[str, str]]:
    """One edition with content and explanations. Raises NotFound."""
    cursor = await connection.execute(
        f"select {_COLUMNS}, content, remarks from statutory_report where id = %s".encode(),  # noqa: S608  # constant columns
        [id_],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such report")
    return Report(*row[:-2]), row[-2], row[-1]


@dataclass(frozen=True, slots=True)
class Listed:
    """One edition with what was done last, and how many checks that must hold do not."""

    report: Report
    last: Event
    wrong: int


async def listed(
    connection: Connection, organisations: Sequence[int] | None, *, form: str, period: str
) -> list[Listed]:
    """The editions of these organisations (None = all) for a list."""
    found = {one.id: one for one in await reports(connection, organisations, form=form, period=period)}
    cursor = await connection.execute(
        "select distinct on (report) report, at, by, name, organisation, action, note from statutory_event "
        "where report = any(%s) order by report, id desc",
        [list(found)],
    )
    last = {id_: Event(*rest) for id_, *rest in await cursor.fetchall()}
    cursor = await connection.execute(
        "select id, jsonb_array_length(jsonb_path_query_array(content, '$.checks[*] ? (@.ok == false && @.ask == false)')) "
        "from statutory_report where id = any(%s)",
        [list(found)],
    )
    wrong: dict[int, int] = dict(await cursor.fetchall())
    return [Listed(one, last[id_], wrong[id_]) for id_, one in found.items()]


async def reports(
    connection: Connection, organisations: Sequence[int] | None, *, form: str = "", period: str = ""
) -> list[Report]:
    """The editions of these organisations (None = all), newest period first."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from statutory_report where (%s::int[] is null or organisation = any(%s)) "  # noqa: S608  # constant columns
        "and (%s = '' or form = %s) and (%s = '' or period = %s) "
        "order by period desc, level, place, edition desc limit 1000".encode(),
        [*[None if organisations is None else list(organisations)] * 2, form, form, period, period],
    )
    return [Report(*row) for row in await cursor.fetchall()]


async def previous(connection: Connection, form: str, place: Place, period: str) -> dict[str, Any] | None:
    """The content of the last report of this place that was handed up for an earlier period of the same kind."""
    cursor = await connection.execute(
        "select content from statutory_report where form = %s and level = %s and key = %s and period < %s "
        "and length(period) = length(%s) and state = any(%s) order by period desc, edition desc limit 1",
        [form, place.level, place.key, period, period, list(COUNTING)],
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def history(connection: Connection, id_: int) -> list[Event]:
    """What was done with a report, oldest first."""
    cursor = await connection.execute(
        "select at, by, name, organisation, action, note from statutory_event where report = %s order by id", [id_]
    )
    return [Event(*row) for row in await cursor.fetchall()]


def digest_of(content: Mapping[str, Any], remarks: Mapping[str, str]) -> str:
    """SHA-256 of content and explanations in their one way of writing."""
    return hashlib.sha256(orjson.dumps([content, remarks], option=orjson.OPT_SORT_KEYS)).hexdigest()


async def _event(connection: Connection, id_: int, by: Actor, at: datetime, action: str, note: str = "") -> None:
    await connection.execute(
        "insert into statutory_event (report, at, by, name, organisation, action, note) values (%s, %s, %s, %s, %s, %s, %s)",
        [id_, at, by.account, by.name, by.organisation, action, note],
    )
