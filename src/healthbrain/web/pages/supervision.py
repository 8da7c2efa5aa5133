"""Supervision (督办): the list for both sides, one task with its history, the steps, the files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.measure import supervision
from healthbrain.measure.supervision import LARGEST_FILE, STATES, UNDO, Attachment, Inbox, State, Task
from healthbrain.scope import Scope
from healthbrain.web.labels import LIGHTS
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import supervision_view
from healthbrain.web.pages.plans_view import number
from healthbrain.web.pages.supervision_view import LEVELS, STEPS, TaskLine
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_SAID = {
    "withdrawn": N_("The notices are withdrawn; nobody has seen them."),
    "done": N_("Done. It stands in the history below."),
}


@dataclass(frozen=True, slots=True)
class SupervisionPage:
    """Context of supervision.html."""

    tasks: Sequence[TaskLine]
    inbox: Inbox
    side: str
    states: Sequence[State]
    state: str
    only: str


@dataclass(frozen=True, slots=True)
class StepLine:
    """One event of the history."""

    what: str
    who: str
    role: str
    time: str
    text: str
    due: str
    file: str
    url: str
    digest: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A step that may be taken now."""

    action: str
    label: str
    hint: str
    text: bool
    due: bool
    file: bool
    main: bool


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Context of supervision_task.html."""

    line: TaskLine
    text: str
    facts: Sequence[tuple[str, str]]
    steps: Sequence[StepLine]
    choices: Sequence[Choice]
    escalated: str
    due: str
    today: str
    indicator: str
    batch: str


async def overview(visit: Visit) -> Response:
    """The tasks one may see, the most urgent first."""
    said, query = visit.language, visit.query
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", "supervision")
        tree = await visit.platform.tree(connection)
        side = supervision_view.side(visit)
        state = [one for one in STATES if one == query.get("state")]
        found = await supervision.tasks(
            connection,
            visit.at,
            organisations=scope.organisations,
            unit=side != "commission",
            states=state,
            overdue=query.get("only") == "overdue",
        )
        inbox = await supervision.inbox(connection, visit.at, scope.organisations)
    page = SupervisionPage(
        tasks=[supervision_view.line(visit, one, tree) for one in found],
        inbox=inbox,
        side=side or "",
        states=STATES if side == "commission" else [one for one in STATES if one not in ("queued", "withdrawn")],
        state=query.get("state", ""),
        only=query.get("only", ""),
    )
    toast = Toast(said.say(_SAID[query["said"]])) if query.get("said") in _SAID else _undo(visit, found)
    return show(visit, "supervision.html", page, crumbs=_crumbs(visit), toast=toast)


async def one_task(visit: Visit) -> Response:
    """One task with everything that happened and what can be done now."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", "supervision")
        task = await _visible(visit, connection, scope)
        tree = await visit.platform.tree(connection)
        history = await supervision.history(connection, task.id)
        names = await display_names(connection, [one.by for one in history])
    side = supervision_view.side(visit)
    line = supervision_view.line(visit, task, tree)
    page = TaskPage(
        line=line,
        text=task.text,
        facts=_facts(said, task),
        steps=[
            StepLine(
                said.say(STEPS[one.action]),
                names[one.by] if one.by != "system" else said.say(N_("by itself")),
                one.role,
                said.time(one.at),
                said.say(LEVELS.get(int(one.text), ""))
                if one.action == "escalate" and one.text.isdigit()
                else one.text,
                said.short_day(one.due) if one.due and one.action != "issue" else "",
                one.file,
                f"/supervision/{task.id}/files/{one.number}" if one.digest else "",
                one.digest[:16],
            )
            for one in reversed(history)
        ],
        choices=[
            Choice(
                one.action,
                said.say(STEPS[one.action]),
                said.say(supervision_view.HINTS.get(one.action, "")) if one.action in supervision_view.HINTS else "",
                one.text,
                one.due,
                one.action in {"answer", "comment"},
                one.action in {"accept", "answer", "close"},
            )
            for one in (supervision.moves(task.state, side) if side else ())
            if one.action != "withdraw"
        ],
        escalated=said.say(LEVELS[line.level]) if line.level in LEVELS else "",
        due=task.due.isoformat(),
        today=visit.at.astimezone(CHINA).date().isoformat(),
        indicator=f"/plans/{task.plan}/indicators/{task.indicator}" if side != "unit" else "",
        batch=task.batch if task.state == "queued" and side == "commission" else "",
    )
    visit.note("R", "supervision", str(task.id), interaction="supervision")
    toast = Toast(said.say(_SAID[visit.query["said"]])) if visit.query.get("said") in _SAID else None
    return show(visit, "supervision_task.html", page, crumbs=[*_crumbs(visit), Crumb(line.title)], toast=toast)


async def act(visit: Visit) -> Response:
    """Take a step."""
    form = await visit.form()
    action = str(form.get("action", ""))
    async with visit.platform.pool.connection() as connection:
        side = supervision_view.side(visit)
        if side is None:
            raise Forbidden("your role reads supervision tasks; it takes no steps in them")
        scope = await visit.decide(connection, "administer" if side == "commission" else "write", "supervision")
        task = await _visible(visit, connection, scope)
        await supervision.act(
            connection,
            task.id,
            action,
            side=side,
            by=visit.who.account,
            role=visit.who.role,
            at=visit.at,
            text=str(form.get("text", "")),
            due=day(str(form.get("due", ""))),
            attachment=await _attachment(form),
        )
        await audit.record(
            connection, [visit.event("U", "supervision", str(task.id), detail=action, interaction="supervision")]
        )
    return RedirectResponse(f"/supervision/{task.id}?said=done", 303)


async def withdraw(visit: Visit) -> Response:
    """Take back notices that have not been sent."""
    batch = str((await visit.form()).get("batch", ""))
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "administer", "supervision")
        queued = [
            one for one in await supervision.tasks(connection, visit.at, states=("queued",)) if one.batch == batch
        ]
        if any(scope.organisations is not None and one.organisation not in scope.organisations for one in queued):
            raise Forbidden("these notices go to units that are not below your organisation")
        count = await supervision.withdraw(connection, batch, by=visit.who.account, role=visit.who.role, at=visit.at)
        event = visit.event("U", "supervision", detail=f"withdrawn {count}", interaction="supervision")
        await audit.record(connection, [event])
    return RedirectResponse("/supervision?said=withdrawn", 303)


async def file(visit: Visit) -> Response:
    """The file that came with a step."""
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", "supervision")
        task = await _visible(visit, connection, scope)
        found, media = await supervision.attachment(connection, task.id, visit.request.path_params["number"])
    visit.note("R", "supervision", str(task.id), detail="file", interaction="supervision")
    response = Response(found.content, media_type=media)
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(found.name)}"
    return response


async def _visible(visit: Visit, connection: Connection, scope: Scope) -> Task:
    """The task of the address. What one may not see does not exist for one."""
    task = await supervision.task(connection, visit.request.path_params["task"], visit.at)
    hidden = task.state in ("queued", "withdrawn") and supervision_view.side(visit) != "commission"
    if hidden or (scope.organisations is not None and task.organisation not in scope.organisations):
        raise NotFound("there is no such supervision task")
    return task


def _undo(visit: Visit, found: Sequence[Task]) -> Toast | None:
    """After notices were issued: a way back while there is one."""
    batch = visit.query.get("issued", "")
    count = sum(one.batch == batch and one.state == "queued" for one in found)
    if not batch or not count:
        return None
    said = visit.language
    minutes = int(UNDO.total_seconds() // 60)
    text = said.say(N_("%(count)s notices are issued; they are sent in %(minutes)s minutes."))
    return Toast(text % {"count": count, "minutes": minutes}, "/supervision/withdraw", {"batch": batch})


def _facts(said: Language, task: Task) -> list[tuple[str, str]]:
    """The figures as they stood when the notice was issued."""
    facts = task.facts
    found = []
    if facts.get("light") in LIGHTS:
        found.append((said.say(N_("Light")), said.say(LIGHTS[facts["light"]][0])))
    for name, label in (
        ("value", N_("Value")),
        ("target", N_("Target")),
        ("period", N_("Period")),
        ("version", N_("Definition")),
        ("as_of", N_("Data as of")),
    ):
        value = facts.get(name)
        if value not in (None, ""):
            found.append((said.say(label), number(value) if isinstance(value, int | float) else str(value)))
    return found


async def _attachment(form: FormData) -> Attachment | None:
    sent = form.get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return None
    return Attachment(sent.filename, await sent.read(LARGEST_FILE + 1))


def day(text: str) -> date | None:
    """A date as browsers send it; None when empty. Raises Incorrect."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return date.fromisoformat(text)
    raise Incorrect("write the date as year-month-day, for instance 2026-06-30")


def _crumbs(visit: Visit) -> list[Crumb]:
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Supervision")), "/supervision")]
