"""Supervision tasks in the database: issuing notices, moving tasks, their history, the inbox, escalation.

The caller has decided what the visitor may see (`organisations`: None = all) and on which side he stands; the rules of
`states` decide the rest. A notice is sent a few minutes after it is issued, so that a slip can be taken back before the
unit has seen it. Every step writes one event; events are never changed (the database refuses it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import orjson

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound, TooLarge
from healthbrain.measure.supervision import states
from healthbrain.measure.supervision.states import UNDER_WAY, WAITS_FOR_UNIT, Side, State

UNDO = timedelta(minutes=5)  # how long a notice waits before it is sent
LARGEST_FILE = 5 * 1024 * 1024
LONGEST_TEXT = 4000
MEDIA: Mapping[str, str] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "csv": "text/csv",
    "txt": "text/plain",
}
_CHINA = timezone(timedelta(hours=8))
_COLUMNS = (
    "id, batch, plan, indicator, organisation, person, text, facts, due, "
    "case when state = 'open' and sent_at > %(at)s then 'queued' else state end as state, level, issued_by, issued_at, "
    "sent_at, closed_at"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told to one unit about one indicator. `facts` are the figures it rests on."""

    plan: str
    indicator: str
    organisation: int
    text: str
    due: date
    facts: Mapping[str, Any]
    person: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A notice on its way."""

    id: int
    batch: str
    plan: str
    indicator: str
    organisation: int
    person: str
    text: str
    facts: Mapping[str, Any]
    due: date
    state: State
    level: int
    issued_by: str
    issued_at: datetime
    sent_at: datetime
    closed_at: datetime | None

    def days_late(self, today: date) -> int:
        """Days past its date; 0 while it is in time or when the unit has answered."""
        return max(0, (today - self.due).days) if self.state in WAITS_FOR_UNIT else 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a step."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a task's history."""

    number: int
    at: datetime
    by: str
    role: str
    action: str
    state: State
    text: str
    due: date | None
    file: str
    digest: str


@dataclass(frozen=True, slots=True)
class Inbox:
    """What waits for somebody."""

    to_answer: int  # for the unit
    to_review: int  # for the commission
    overdue: int
    escalated: int
    queued: int


async def issue(
    connection: Connection, notices: Sequence[Notice], *, batch: str, by: str, role: str, at: datetime
) -> list[int]:
    """Issue notices together; they are sent after `UNDO`. Raises Incorrect for an empty text or a date in the past."""
    for one in notices:
        _text(one.text, needed=True)
        _date(one.due, at)
    made: list[int] = []
    async with connection.transaction():
        for one in notices:
            cursor = await connection.execute(
                "insert into supervision_task (batch, plan, indicator, organisation, person, text, facts, due, issued_by, "
                "issued_at, sent_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
                [
                    batch, one.plan, one.indicator, one.organisation, one.person, _text(one.text, needed=True),
                    orjson.dumps(dict(one.facts)).decode(), one.due, by, at, at + UNDO,
                ],
            )  # fmt: skip
            row = await cursor.fetchone()
            made.append(int(row[0]) if row else 0)
            await _event(connection, made[-1], at, by, role, "issue", "queued", _text(one.text, needed=True), one.due)
    return made


async def withdraw(connection: Connection, batch: str, *, by: str, role: str, at: datetime) -> int:
    """Take a batch back before it is sent; returns how many. Raises Conflict when it has been sent."""
    async with connection.transaction():
        cursor = await connection.execute(
            "select id from supervision_task where batch = %s and state = 'open' and sent_at > %s order by id for update",
            [batch, at],
        )
        found = [int(row[0]) for row in await cursor.fetchall()]
        if not found:
            raise Conflict(
                "these notices have been sent and can no longer be withdrawn; close the tasks with a reason instead"
            )
        await connection.execute("update supervision_task set state = 'withdrawn' where id = any(%s)", [found])
        for id in found:
            await _event(connection, id, at, by, role, "withdraw", "withdrawn")
    return len(found)


async def act(
    connection: Connection,
    id: int,
    action: str,
    *,
    side: Side,
    by: str,
    role: str,
    at: datetime,
    text: str = "",
    due: date | None = None,
    attachment: Attachment | None = None,
) -> Task:
    """Move a task one step. Raises Conflict when its state does not allow it, Incorrect when something is missing."""
    async with connection.transaction():
        await connection.execute("select 1 from supervision_task where id = %s for update", [id])
        known = await task(connection, id, at)
        allowed = states.move(action, known.state, side)
        if allowed is None:
            raise Conflict(
                "the task has moved on since this page was opened, or this step is not yours; reload and look again"
            )
        said = _text(text, needed=allowed.text)
        if due is not None and allowed.due:
            _date(due, at)
        moved_to = due if allowed.due else None
        state = allowed.to or known.state
        await connection.execute(
            "update supervision_task set state = %s, due = coalesce(%s, due), "
            "level = case when %s::date is null then level else 0 end, closed_at = %s where id = %s",
            [state, moved_to, moved_to, at if state == "closed" else None, id],
        )
        await _event(connection, id, at, by, role, action, state, said, moved_to, attachment)
        return await task(connection, id, at)


async def escalate(connection: Connection, at: datetime) -> list[Task]:
    """Raise the level of what is overdue; run it as often as you like. Returns what was raised."""
    today = at.astimezone(_CHINA).date()
    raised: list[Task] = []
    async with connection.transaction():
        late = await _select(connection, "state = any(%(states)s) and due < %(today)s and sent_at <= %(at)s for update",
                             {"states": list(WAITS_FOR_UNIT), "today": today, "at": at})  # fmt: skip
        for one in late:
            level = states.level_after(one.days_late(today))
            if level <= one.level:
                continue
            await connection.execute("update supervision_task set level = %s where id = %s", [level, one.id])
            await _event(connection, one.id, at, "system", "system", "escalate", one.state, str(level))
            raised.append(one)
    return raised


async def task(connection: Connection, id: int, at: datetime) -> Task:
    """One task; raises NotFound."""
    found = await _select(connection, "id = %(id)s", {"id": id, "at": at})
    if not found:
        raise NotFound("there is no such supervision task")
    return found[0]


async def tasks(
    connection: Connection,
    at: datetime,
    *,
    organisations: Sequence[int] | None = None,
    unit: bool = False,
    plan: str = "",
    indicator: str = "",
    states: Sequence[State] = (),
    overdue: bool = False,
    limit: int = 500,
) -> list[Task]:
    """Tasks, the most urgent first. With `unit` what has not been sent or was withdrawn is left out."""
    where = ["true"]
    values: dict[str, Any] = {"at": at, "today": at.astimezone(_CHINA).date(), "limit": limit}
    if organisations is not None:
        where.append("organisation = any(%(organisations)s)")
        values["organisations"] = list(organisations)
    if unit:
        where.append("state <> 'withdrawn' and sent_at <= %(at)s")
    if plan:
        where.append("plan = %(plan)s")
        values["plan"] = plan
    if indicator:
        where.append("indicator = %(indicator)s")
        values["indicator"] = indicator
    if states:
        where.append("case when state = 'open' and sent_at > %(at)s then 'queued' else state end = any(%(states)s)")
        values["states"] = list(states)
    if overdue:
        where.append("state = any(%(waiting)s) and due < %(today)s")
        values["waiting"] = list(WAITS_FOR_UNIT)
    return await _select(
        connection,
        " and ".join(where) + " order by state in ('closed', 'withdrawn'), due, id desc limit %(limit)s",
        values,
    )


async def history(connection: Connection, id: int) -> list[Step]:
    """Everything that happened to a task, oldest first."""
    cursor = await connection.execute(
        "select number, at, by, role, action, state, text, due, file, digest from supervision_event where task = %s order by number",
        [id],
    )
    return [Step(*row) for row in await cursor.fetchall()]


async def attachment(connection: Connection, id: int, number: int) -> tuple[Attachment, str]:
    """The file of one step with its media type; raises NotFound."""
    cursor = await connection.execute(
        "select file, bytes, media from supervision_event where task = %s and number = %s and bytes is not null",
        [id, number],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no file with this step")
    return Attachment(row[0], bytes(row[1])), str(row[2])


async def inbox(connection: Connection, at: datetime, organisations: Sequence[int] | None = None) -> Inbox:
    """How much waits, within these organisations."""
    cursor = await connection.execute(
        "select count(*) filter (where state = any(%(waiting)s) and sent_at <= %(at)s), "
        "count(*) filter (where state = 'answered'), "
        "count(*) filter (where state = any(%(waiting)s) and due < %(today)s and sent_at <= %(at)s), "
        "count(*) filter (where state = any(%(way)s) and level >= 2), "
        "count(*) filter (where state = 'open' and sent_at > %(at)s) "
        "from supervision_task where %(organisations)s::int[] is null or organisation = any(%(organisations)s)",
        {
            "waiting": list(WAITS_FOR_UNIT), "way": list(UNDER_WAY), "at": at, "today": at.astimezone(_CHINA).date(),
            "organisations": None if organisations is None else list(organisations),
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    return Inbox(*(row or (0, 0, 0, 0, 0)))


async def _select(connection: Connection, where: str, values: Mapping[str, Any]) -> list[Task]:
    cursor = await connection.execute(f"select {_COLUMNS} from supervision_task where {where}".encode(), values)  # noqa: S608  # the conditions are written above, values are parameters
    return [Task(*row) for row in await cursor.fetchall()]


async def _event(
    connection: Connection,
    id: int,
    at: datetime,
    by: str,
    role: str,
    action: str,
    state: str,
    text: str = "",
    due: date | None = None,
    attachment: Attachment | None = None,
) -> None:
    name, media, digest, content = _file(attachment)
    await connection.execute(
        "insert into supervision_event (task, number, at, by, role, action, state, text, due, file, media, digest, bytes) "
        "select %s, coalesce(max(number), 0) + 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s from supervision_event where task = %s",
        [id, at, by, role, action, state, text, due, name, media, digest, content, id],
    )


def _file(attachment: Attachment | None) -> tuple[str, str, str, bytes | None]:
    if attachment is None or not attachment.content:
        return "", "", "", None
    name = attachment.name.replace("\0", "").replace("\\", "/").rpartition("/")[2][-120:]
    media = MEDIA.get(name.rpartition(".")[2].lower())
    if media is None:
        raise Incorrect(f"files of this kind are not taken; send one of {', '.join(MEDIA)}")
    if len(attachment.content) > LARGEST_FILE:
        raise TooLarge(f"the file is larger than {LARGEST_FILE // 1024 // 1024} MB; send a smaller one")
    return name, media, hashlib.sha256(attachment.content).hexdigest(), attachment.content


def _text(text: str, *, needed: bool) -> str:
    said = text.strip()
    if needed and len(said) < 2:
        raise Incorrect("say in a few words what was found, done or decided; the text is empty")
    if len(said) > LONGEST_TEXT:
        raise Incorrect(f"the text is longer than {LONGEST_TEXT} characters; put the rest into a file")
    return said.replace("\0", "")


def _date(due: date, at: datetime) -> None:
    if due < at.astimezone(_CHINA).date():
        raise Incorrect("the date lies in the past; choose today or later")
    if due > at.astimezone(_CHINA).date() + timedelta(days=730):
        raise Incorrect("the date lies more than two years ahead; choose an earlier one")
