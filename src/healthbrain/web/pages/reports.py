"""Evaluation reports (评估报告): made in the background, changed as drafts, frozen on publishing, printed and downloaded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import display_names
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, NotFound
from healthbrain.measure import monitoring, reports, supervision
from healthbrain.measure.plans import Plan, plan
from healthbrain.measure.plans import plans as all_plans
from healthbrain.measure.reports import KINDS, Report, ReportKind
from healthbrain.web.language import CHINA, N_, Language, language
from healthbrain.web.pages import figures, plans
from healthbrain.web.paper import columns, drawing
from healthbrain.web.paper.content import KIND_WORDS, Paper, build, end_of, light_word, paper_of
from healthbrain.web.paper.excel import excel
from healthbrain.web.paper.narrative import worded
from healthbrain.web.paper.pdf import pdf
from healthbrain.web.paper.word import word
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_log = logging.getLogger("healthbrain.web")
_running: set[asyncio.Task[None]] = set()  # a task nobody holds may be collected
_STEPS = 3
_FILES: dict[str, tuple[Callable[[Language, Paper, str], bytes], str]] = {
    "pdf": (pdf, "application/pdf"),
    "docx": (word, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    "xlsx": (excel, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
_STATES = {
    "making": (N_("Being made"), "info", "clock"),
    "failed": (N_("Could not be made"), "bad", "alert"),
    "draft": (N_("Draft"), "warn", "edit"),
    "published": (N_("Published"), "ok", "check"),
}
_SAID = {
    "saved": N_("The draft is saved."),
    "published": N_("Published and frozen. Later changes make a new edition."),
    "dropped": N_("The draft is gone."),
}


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One edition in the list."""

    id: int
    plan: str
    kind: str
    period: str
    edition: int
    state: tuple[str, str, str]
    made: str
    by: str
    published: str
    digest: str
    ready: bool


@dataclass(frozen=True, slots=True)
class ReportsPage:
    """Context of reports.html."""

    lines: Sequence[ReportLine]
    plans: Sequence[tuple[str, str]]
    plan: str
    kinds: Sequence[tuple[str, str]]
    month: str
    year: str
    may_write: bool


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Context of report.html."""

    line: ReportLine
    done: int
    steps: int
    making: bool
    failed: bool
    title: str
    about: str
    counts: Sequence[tuple[str, int]]
    sections: Sequence[tuple[str, str, Sequence[str], str, bool]]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    charts: Sequence[tuple[str, Markup]]
    notes: Sequence[str]
    editing: bool
    draft: bool
    published: bool
    may_write: bool
    digest: str


async def overview(visit: Visit) -> Response:
    """All editions, and the form for a new one."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        await _see(visit, connection)
        found = await reports.reports(connection, visit.query.get("plan", ""))
        names = await display_names(connection, [one.made_by for one in found])
    today = visit.at.astimezone(CHINA).date()
    page = ReportsPage(
        lines=[_line(said, one, names) for one in found],
        plans=[(one.id, figures.words(said, one.title)) for one in all_plans()],
        plan=visit.query.get("plan", "") or all_plans()[0].id,
        kinds=[(kind, said.say(KIND_WORDS[kind])) for kind in KINDS],
        month=f"{today:%Y-%m}",
        year=str(today.year),
        may_write=visit.may("write", "report"),
    )
    toast = Toast(said.say(_SAID[visit.query["said"]])) if visit.query.get("said") in _SAID else None
    return show(visit, "reports.html", page, crumbs=_crumbs(visit), toast=toast)


async def make(visit: Visit) -> Response:
    """Begin to make a report."""
    form = await visit.form()
    one = plan(str(form.get("plan", "")))
    kind, period = str(form.get("kind", "")), str(form.get("period", "")).strip()
    until = end_of(kind, period, one, visit.at.astimezone(CHINA).date())
    known = next(one for one in KINDS if one == kind)
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "write", "report")
        await plans.whole(visit, connection, await visit.platform.tree(connection))
        id = await reports.begin(connection, one.id, known, period, steps=_STEPS, by=visit.who.account, at=visit.at)
        await audit.record(
            connection, [visit.event("C", "report", str(id), detail=f"{one.id} {kind} {period}", interaction="report")]
        )
    task = asyncio.create_task(_work(visit, id, one, known, period, until), name=f"report {id}")
    _running.add(task)
    task.add_done_callback(_running.discard)
    return RedirectResponse(f"/reports/{id}", 303)


async def one_report(visit: Visit) -> Response:
    """One edition as a page to read, change and print."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        await _see(visit, connection)
        report, content = await reports.read(connection, visit.request.path_params["report"])
        names = await display_names(connection, [report.made_by])
    page = _page(visit, report, paper_of(content) if content else None, names)
    toast = Toast(said.say(_SAID[visit.query["said"]])) if visit.query.get("said") in _SAID else None
    return show(visit, "report.html", page, crumbs=[*_crumbs(visit), Crumb(page.title)], toast=toast)


async def change(visit: Visit) -> Response:
    """Save an author's texts; publish or drop the draft when asked to."""
    form = await visit.form()
    id, action = visit.request.path_params["report"], str(form.get("action", "save"))
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "write", "report")
        await _see(visit, connection)
        await reports.read(connection, id)
        if action == "drop":
            await reports.drop(connection, id)
            goal = "/reports?said=dropped"
        elif action == "publish":
            digest = await reports.publish(connection, id, by=visit.who.account, at=visit.at)
            await audit.record(
                connection, [visit.event("U", "report", str(id), detail=f"published {digest}", interaction="report")]
            )
            goal = f"/reports/{id}?said=published"
        else:
            texts = {name.removeprefix("text-"): str(value) for name, value in form.items() if name.startswith("text-")}
            await reports.change(connection, id, texts, by=visit.who.account, at=visit.at)
            goal = f"/reports/{id}?said=saved"
        if action != "publish":
            await audit.record(
                connection, [visit.event("U", "report", str(id), detail=action[:20], interaction="report")]
            )
    return RedirectResponse(goal, 303)


async def file(visit: Visit) -> Response:
    """The report as PDF, Word or Excel."""
    made = _FILES.get(visit.request.path_params["format"])
    if made is None:
        raise NotFound("reports are offered as pdf, docx and xlsx")
    async with visit.platform.pool.connection() as connection:
        await _see(visit, connection)
        report, content = await reports.read(connection, visit.request.path_params["report"])
    if not content:
        raise NotFound("this report is not made yet")
    paper = paper_of(content)
    body = await asyncio.to_thread(
        made[0], language("zh-CN" if paper.language == "zh-CN" else "en"), paper, report.digest
    )
    visit.note("R", "report", str(report.id), detail=visit.request.path_params["format"], interaction="report")
    name = f"{paper.title}.{visit.request.path_params['format']}".replace("/", "-")
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(body, media_type=made[1], headers=headers)


async def _work(visit: Visit, id: int, one: Plan, kind: ReportKind, period: str, until: date) -> None:
    """Make it: how the plan stood, the figures as content, the words."""
    pool, said = visit.platform.pool, visit.language
    try:
        async with pool.connection() as connection:
            status = await monitoring.status(connection, one, visit.at, until=until)
            tasks = await supervision.tasks(connection, visit.at, plan=one.id)
            tree = await visit.platform.tree(connection)
            report, _ = await reports.read(connection, id)
            await reports.note_progress(connection, id, 1)
        bare = await asyncio.to_thread(
            lambda: build(
                said, status, tree, tasks, kind=kind, period=period, until=until, edition=report.edition, at=visit.at
            )
        )
        async with pool.connection() as connection:
            await reports.note_progress(connection, id, 2)
        paper = worded(said, bare)
        async with pool.connection() as connection:
            await reports.finish(connection, id, paper.as_json())
    except (HealthBrainError, asyncio.CancelledError, Exception) as error:
        # the class of what went wrong, never values; the page says that it could not be made
        _log.exception("report %s could not be made: %s", id, type(error).__name__)
        async with pool.connection() as connection:
            await reports.fail(connection, id)
        if isinstance(error, asyncio.CancelledError):
            raise


def _page(visit: Visit, report: Report, paper: Paper | None, names: Mapping[str, str]) -> ReportPage:
    said = visit.language
    may_write = visit.may("write", "report")
    if paper is None:
        empty = Paper("", report.plan, "", "", report.kind, report.period, "", "", "", said.tag, report.edition, (), ())
        paper = replace(empty, title=f"{said.say(KIND_WORDS[report.kind])} {report.period}")
    own = language("zh-CN" if paper.language == "zh-CN" else "en")
    return ReportPage(
        line=_line(said, report, names),
        done=report.done,
        steps=report.steps,
        making=report.state == "making",
        failed=report.state == "failed",
        title=paper.title,
        about=columns.about(own, paper, report.digest) if paper.lines else "",
        counts=[(light, number) for light, number in paper.counts],
        sections=[
            (s.key, s.heading, [text for text in s.text.split("\n") if text.strip()], s.text, s.edited)
            for s in paper.sections
        ],
        head=columns.head(own),
        rows=[columns.cells(own, line) for line in paper.lines],
        charts=[
            (f"{line.title} ({line.unit}) · {light_word(own, line.light)} · {line.why}", Markup(drawn))  # noqa: S704  # drawn from escaped texts
            for line in paper.lines
            if (drawn := drawing.svg(line, line.title))
        ],
        notes=paper.notes,
        editing=may_write and report.state == "draft" and visit.query.get("edit") == "1",
        draft=report.state == "draft",
        published=report.state == "published",
        may_write=may_write,
        digest=report.digest,
    )


def _line(said: Language, one: Report, names: Mapping[str, str]) -> ReportLine:
    label, look, sign = _STATES[one.state]
    return ReportLine(
        id=one.id,
        plan=figures.words(said, plan(one.plan).title),
        kind=said.say(KIND_WORDS[one.kind]),
        period=one.period,
        edition=one.edition,
        state=(said.say(label), look, sign),
        made=said.time(one.made_at),
        by=names.get(one.made_by, one.made_by),
        published=said.time(one.published_at) if one.published_at else "",
        digest=one.digest[:12],
        ready=one.state in ("draft", "published"),
    )


async def _see(visit: Visit, connection: Connection) -> None:
    await visit.decide(connection, "read", "report")
    await plans.whole(visit, connection, await visit.platform.tree(connection))


def _crumbs(visit: Visit) -> list[Crumb]:
    return [*plans.crumbs(visit), Crumb(visit.language.say(N_("Evaluation reports")), "/reports")]
