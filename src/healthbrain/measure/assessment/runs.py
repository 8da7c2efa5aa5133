"""Runs of assessments (考核): made, published, closed, told about by units, reproduced, compared with the figures of today.

A run's content never changes; the database refuses it. A draft may be dropped; what is published stays, and a correction is
another run beside it. Appeals, remarks and answers are only ever added. Everything is per unit: a unit sees published runs,
and of these its own result.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from healthbrain.database import Connection
from healthbrain.errors import Conflict, Forbidden, Incorrect, NotFound
from healthbrain.measure.assessment.content import content_of, digest_of, parts_of
from healthbrain.measure.assessment.gather import gather
from healthbrain.measure.assessment.scheme import Scheme
from healthbrain.measure.assessment.score import Inputs, Score, Unit, score

RunState = Literal["draft", "published", "closed"]
RemarkKind = Literal["appeal", "remark", "answer"]
Outcome = Literal["", "upheld", "rejected", "noted"]
REMARK_KINDS: tuple[RemarkKind, ...] = get_args(RemarkKind)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
LONGEST_REMARK = 2000
_COLUMNS = (
    "id, scheme, scheme_version, title, title_en, level, period, organisation, state, digest, units, complete, "
    "made_by, made_at, published_by, published_at, closed_by, closed_at"
)
_REMARK = "id, run, unit, item, kind, text, answers, outcome, by, role, at"


@dataclass(frozen=True, slots=True)
class Run:
    """One assessment of one period. Its content is read apart."""

    id: int
    scheme: str
    scheme_version: int
    title: str
    title_en: str
    level: str
    period: str
    organisation: int  # for whose area
    state: RunState
    digest: str
    units: int
    complete: bool  # every figure is of a period that is over
    made_by: str
    made_at: datetime
    published_by: str
    published_at: datetime | None
    closed_by: str
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Remark:
    """What a unit says of its result, or is answered."""

    id: int
    run: int
    unit: str
    item: str  # '' = the whole
    kind: RemarkKind
    text: str
    answers: int | None
    outcome: Outcome
    by: str
    role: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Changed:
    """One unit's result in a run and on the figures of today."""

    unit: Unit
    then: Score | None
    now: Score | None
    items: tuple[str, ...]  # whose points or state differ


async def make(
    connection: Connection, scheme: Scheme, period: str, units: Sequence[Unit], *, organisation: int, by: str, at: datetime
) -> int:  # fmt: skip
    """Assess a period and keep it as a draft; its id. Raises Incorrect when nothing can be assessed."""
    inputs = await gather(connection, scheme, period, units)
    if not any(column.figures for column in inputs.columns):
        raise Incorrect("no measure of this scheme has a figure in this period; choose another period")
    content = content_of(scheme, inputs, score(scheme, inputs))
    complete = all(figure.complete for column in inputs.columns for figure in column.figures.values())
    cursor = await connection.execute(
        "insert into assessment_run (scheme, scheme_version, title, title_en, level, period, organisation, content, digest, "
        "units, complete, made_by, made_at, covers) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
        [
            scheme.id, scheme.version, scheme.title.get("zh") or scheme.title.get("en", ""), scheme.title.get("en", ""),
            scheme.level, period, organisation, content, digest_of(content), len(inputs.units), complete, by, at,
            [one.key for one in inputs.units],
        ],
    )  # fmt: skip
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def runs(
    connection: Connection, *, organisations: Collection[int] | None = None, published: bool = False, unit: str | None = None
) -> list[Run]:  # fmt: skip
    """Runs, newest first: of these organisations' areas (None: all), only what is published, only those that cover a unit."""
    cursor = await connection.execute(
        f"select {_COLUMNS} from assessment_run where (%(organisations)s::int[] is null or organisation = any(%(organisations)s)) "  # noqa: S608  # constant columns
        "and (not %(published)s or state <> 'draft') and (%(unit)s::text is null or %(unit)s = any(covers)) "
        "order by made_at desc, id desc limit 500".encode(),
        {
            "organisations": None if organisations is None else list(organisations),
            "published": published, "unit": unit,
        },
    )  # fmt: skip
    return [Run(*row) for row in await cursor.fetchall()]


async def read(connection: Connection, id: int) -> tuple[Run, str]:
    """A run with its content; raises NotFound."""
    cursor = await connection.execute(
        f"select {_COLUMNS}, content from assessment_run where id = %s".encode(),  # noqa: S608  # constant columns
        [id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such assessment")
    return Run(*row[:-1]), str(row[-1])


async def publish(connection: Connection, id: int, *, by: str, at: datetime) -> None:
    """Let the units see it. Raises Conflict unless it is a draft."""
    await _step(connection, id, "draft", "published", by, at)


async def close(connection: Connection, id: int, *, by: str, at: datetime) -> None:
    """End the time for appeals. Raises Conflict unless it is published."""
    await _step(connection, id, "published", "closed", by, at)


async def drop(connection: Connection, id: int) -> None:
    """Throw a draft away. Raises Conflict when it is published."""
    cursor = await connection.execute("delete from assessment_run where id = %s and state = 'draft'", [id])
    if cursor.rowcount != 1:
        raise Conflict("only a draft can be dropped; what is published stays")


async def say(
    connection: Connection, id: int, unit: str, kind: str, text: str, *, by: str, role: str, at: datetime,
    item: str = "", answers: int | None = None, outcome: str = "",
) -> int:  # fmt: skip
    """An appeal or remark of a unit, or an answer to one. Raises Incorrect, Conflict, NotFound."""
    words = text.replace("\0", "").strip()
    if not words or len(words) > LONGEST_REMARK:
        raise Incorrect(f"write between one and {LONGEST_REMARK} characters")
    if kind not in REMARK_KINDS or outcome not in OUTCOMES or (kind == "answer") != bool(answers and outcome):
        raise Incorrect("an answer names what it answers and its outcome; an appeal or a remark has neither")
    async with connection.transaction():
        cursor = await connection.execute("select state, content from assessment_run where id = %s for share", [id])
        row = await cursor.fetchone()
        if row is None:
            raise NotFound("there is no such assessment")
        if row[0] == "draft" or (row[0] == "closed" and kind == "appeal"):
            raise Conflict("appeals are taken from publishing until the assessment is closed")
        _in_run(str(row[1]), unit, item)
        if answers is not None:
            await _answerable(connection, id, unit, answers)
        cursor = await connection.execute(
            "insert into assessment_remark (run, unit, item, kind, text, answers, outcome, by, role, at) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
            [id, unit, item, kind, words, answers, outcome, by, role, at],
        )
        made = await cursor.fetchone()
    return int(made[0]) if made else 0


async def remarks(connection: Connection, id: int, unit: str | None = None) -> list[Remark]:
    """What was said of a run, oldest first; of one unit when it is named."""
    cursor = await connection.execute(
        f"select {_REMARK} from assessment_remark where run = %(run)s and (%(unit)s::text is null or unit = %(unit)s) order by id".encode(),  # noqa: S608  # constant columns
        {"run": id, "unit": unit},
    )
    return [Remark(*row) for row in await cursor.fetchall()]


async def unanswered(connection: Connection, organisations: Collection[int] | None) -> int:
    """How many appeals of published runs wait for an answer."""
    cursor = await connection.execute(
        "select count(*) from assessment_remark a join assessment_run r on r.id = a.run where a.kind = 'appeal' "
        "and (%(organisations)s::int[] is null or r.organisation = any(%(organisations)s)) "
        "and not exists (select 1 from assessment_remark b where b.answers = a.id)",
        {"organisations": None if organisations is None else list(organisations)},
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def compared(scheme: Scheme, then: Inputs, now: Inputs) -> list[Changed]:
    """Every unit whose result on the figures of today differs from that of the run."""
    before, after = ({one.unit: one for one in score(scheme, inputs)} for inputs in (then, now))
    units = {unit.key: unit for unit in (*now.units, *then.units)}
    found = []
    for key, unit in units.items():
        old, new = before.get(key), after.get(key)
        items = tuple(
            item.measure
            for item in scheme.items
            if old is None or new is None or old.items[item.measure] != new.items[item.measure]
        )
        if items or (old and new and (old.total, old.rank) != (new.total, new.rank)):
            found.append(Changed(unit, old, new, items))
    return found


async def _step(connection: Connection, id: int, of: RunState, to: RunState, by: str, at: datetime) -> None:
    statement = {
        "published": "update assessment_run set state = 'published', published_by = %s, published_at = %s where id = %s and state = %s",
        "closed": "update assessment_run set state = 'closed', closed_by = %s, closed_at = %s where id = %s and state = %s",
    }[to]
    cursor = await connection.execute(statement.encode(), [by, at, id, of])
    if cursor.rowcount != 1:
        await read(connection, id)
        raise Conflict("a draft is published, and what is published is closed; this step is not open now")


def _in_run(content: str, unit: str, item: str) -> None:
    scheme, inputs = parts_of(content)
    if unit not in {one.key for one in inputs.units}:
        raise NotFound("this unit was not assessed in this run")
    if item and item not in {one.measure for one in scheme.items}:
        raise NotFound("this item is not in the scheme of the run")


async def _answerable(connection: Connection, id: int, unit: str, remark: int) -> None:
    cursor = await connection.execute(
        "select kind, exists (select 1 from assessment_remark b where b.answers = a.id) from assessment_remark a "
        "where id = %s and run = %s and unit = %s",
        [remark, id, unit],
    )
    row = await cursor.fetchone()
    if row is None or row[0] == "answer":
        raise NotFound("there is no such appeal or remark")
    if row[1]:
        raise Conflict("it has been answered already")


def own_only(unit: str, own: str | None) -> None:
    """Raises Forbidden when a unit (`own`; None: a commission) asks for another one's result."""
    if own is not None and unit != own:
        raise Forbidden("you see the result of your own institution")
