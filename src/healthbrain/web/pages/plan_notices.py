"""Notices (通报) about a plan's indicators: chosen, previewed with their text and date, issued together.

Every indicator that is red (or yellow, when asked for) or has no data is a candidate. One whose unit is not known, or for which a
task is under way already, is shown and cannot be chosen.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect
from healthbrain.measure import monitoring, supervision
from healthbrain.measure.monitoring import Light, Standing
from healthbrain.measure.plans import Plan, plan
from healthbrain.measure.supervision import UNDER_WAY, UNDO, Notice
from healthbrain.scope import Scope
from healthbrain.web.labels import LIGHTS
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import figures, plans, plans_view
from healthbrain.web.pages.plans_view import Line
from healthbrain.web.pages.supervision import day
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_DAYS = 14  # to answer in
_LATE: tuple[Light, ...] = ("off_track", "no_data")
_MORE: tuple[Light, ...] = ("off_track", "at_risk", "no_data")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One notice before it is issued."""

    line: Line
    text: str
    chosen: bool
    hindrance: str  # why it cannot be issued


@dataclass(frozen=True, slots=True)
class NoticesPage:
    """Context of plan_notices.html."""

    plan: str
    title: str
    candidates: Sequence[Candidate]
    due: str
    today: str
    more: bool
    more_url: str
    minutes: int
    ready: int


async def preview(visit: Visit) -> Response:
    """What would be issued."""
    said = visit.language
    one = plan(visit.request.path_params["plan"])
    more = visit.query.get("more") == "1"
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "administer", "supervision")
        found = await _candidates(visit, connection, scope, one, _MORE if more else _LATE)
    wanted = visit.query.get("indicator", "")
    today = visit.at.astimezone(CHINA).date()
    candidates = [
        Candidate(c.line, c.text, c.chosen and (not wanted or c.line.id == wanted), c.hindrance) for c, _ in found
    ]
    page = NoticesPage(
        plan=one.id,
        title=figures.words(said, one.title),
        candidates=candidates,
        due=(today + timedelta(days=_DAYS)).isoformat(),
        today=today.isoformat(),
        more=more,
        more_url=visit.at_url(more="" if more else "1"),
        minutes=int(UNDO.total_seconds() // 60),
        ready=sum(not c.hindrance for c in candidates),
    )
    back = Crumb(page.title, f"/plans/{one.id}")
    return show(visit, "plan_notices.html", page, crumbs=[*plans.crumbs(visit), back, Crumb(said.say(N_("Notices")))])


async def issue(visit: Visit) -> Response:
    """Issue what was chosen."""
    form = await visit.form()
    one = plan(visit.request.path_params["plan"])
    chosen = {str(value) for value in form.getlist("indicator")}
    due = day(str(form.get("due", "")))
    if not chosen:
        raise Incorrect("choose at least one indicator")
    if due is None:
        raise Incorrect("say by when the units shall answer")
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "administer", "supervision")
        found = await _candidates(visit, connection, scope, one, monitoring.LIGHTS)
        notices = [
            _notice(one, standing, str(form.get(f"text-{c.line.id}", "")) or c.text, due, c.line)
            for c, standing in found
            if c.line.id in chosen and not c.hindrance
        ]
        if len(notices) != len(chosen):
            raise Incorrect(
                "one of the chosen indicators has no unit or a task under way by now; look at the list again"
            )
        batch = secrets.token_hex(8)
        made = await supervision.issue(
            connection, notices, batch=batch, by=visit.who.account, role=visit.who.role, at=visit.at
        )
        await audit.record(
            connection,
            [
                visit.event("C", "supervision", str(id), detail=f"{one.id}/{n.indicator}", interaction="notice")
                for id, n in zip(made, notices, strict=True)
            ],
        )
    return RedirectResponse(f"/supervision?issued={batch}", 303)


async def _candidates(
    visit: Visit, connection: Connection, scope: Scope, one: Plan, lights: Sequence[Light]
) -> list[tuple[Candidate, Standing]]:
    tree = await visit.platform.tree(connection)
    status = await monitoring.status(connection, one, visit.at)
    tasks = await supervision.tasks(connection, visit.at, plan=one.id, states=("queued", *UNDER_WAY))
    way = {task.indicator for task in tasks}
    found = []
    for standing in status.standings:
        if standing.light not in lights:
            continue
        line = plans_view.line(visit.language, one, standing, tree)
        hindrance = _hindrance(visit.language, tree, scope, standing, line.id in way)
        found.append((Candidate(line, _text(visit.language, line), not hindrance, hindrance), standing))
    order = list(LIGHTS)
    found.sort(key=lambda pair: (bool(pair[0].hindrance), order.index(pair[0].line.light)))
    return found


def _hindrance(said: Language, tree: Tree, scope: Scope, one: Standing, under_way: bool) -> str:
    if one.duty is None:
        return said.say(N_("No unit answers for it yet; set one on the indicator's page."))
    if one.duty.organisation not in tree:
        return said.say(N_("Its unit no longer exists; set another one."))
    if scope.organisations is not None and one.duty.organisation not in scope.organisations:
        return said.say(N_("Its unit is not below your organisation."))
    return said.say(N_("A task is under way already.")) if under_way else ""


def _text(said: Language, line: Line) -> str:
    """The notice as it is proposed; whoever issues it changes it as he likes."""
    if line.light == "no_data":
        return said.say(
            N_(
                "“%(title)s” has no current data. Please enter or connect the data by the date set, and report the cause."
            )
        ) % {"title": line.title}
    values = {
        "title": line.title,
        "period": line.period,
        "value": f"{line.value}{line.unit if line.unit in '%‰' else ' ' + line.unit}",
        "year": line.target_year,
        "target": line.target,
        "light": said.say(LIGHTS[line.light][0]),
        "why": line.why,
    }
    return (
        said.say(
            N_(
                "“%(title)s” stood at %(value)s in %(period)s; the target for %(year)s is %(target)s: %(light)s. %(why)s Please find the causes, take measures and report by the date set."
            )
        )
        % values
    )


def _notice(one: Plan, standing: Standing, text: str, due: date, line: Line) -> Notice:
    if standing.duty is None:
        raise Forbidden("no unit answers for this indicator")
    actual = standing.actual
    facts = {
        "light": standing.light,
        "value": actual.value if actual else None,
        "target": line.target,
        "period": actual.period if actual else "",
        "version": f"v{line.version}" if line.version else "",
        "as_of": line.as_of if actual else "",
    }
    return Notice(one.id, standing.indicator.id, standing.duty.organisation, text, due, facts, standing.duty.person)
