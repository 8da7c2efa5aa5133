"""Plan monitoring (规划监测): the plans, how each stands, and one indicator with its way to the target (OPS-57).

Figures of the whole area: open to those who see a whole district. Lists the most urgent first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from healthbrain import audit
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, Incorrect, NotFound
from healthbrain.measure import monitoring, supervision
from healthbrain.measure.monitoring import Status
from healthbrain.measure.plans import Plan, plan, plans
from healthbrain.measure.supervision import UNDER_WAY, Task
from healthbrain.web.charts import Chart
from healthbrain.web.export import csv_response
from healthbrain.web.labels import LIGHTS
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import cockpit, figures, plans_view, supervision_view
from healthbrain.web.pages.plans_view import Line
from healthbrain.web.pages.supervision_view import TaskLine
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_SAID = {"duty": N_("Saved who answers for this indicator.")}


@dataclass(frozen=True, slots=True)
class PlanCard:
    """One plan in the list."""

    id: str
    title: str
    reference: str
    issuer: str
    years: str
    indicators: int
    counts: Sequence[tuple[str, int]]  # light, how many
    own: bool


@dataclass(frozen=True, slots=True)
class PlansPage:
    """Context of plans.html."""

    plans: Sequence[PlanCard]


@dataclass(frozen=True, slots=True)
class PlanPage:
    """Context of plan.html."""

    id: str
    title: str
    reference: str
    issuer: str
    years: str
    note: str
    as_of: str
    lines: Sequence[Line]
    total: int
    counts: Sequence[tuple[str, int, str]]  # light, how many, address
    light: str
    unit: str
    words: str
    units: Sequence[tuple[str, str]]
    may_issue: bool
    may_report: bool
    overdue: int
    csv: str
    history: Sequence[tuple[str, str, str, str, Sequence[tuple[int, str]]]]  # row, title, series, unit, year and value


@dataclass(frozen=True, slots=True)
class IndicatorPage:
    """Context of plan_indicator.html."""

    plan: str
    line: Line
    definition: str
    formula: str
    note: str
    scope: str
    targets: Sequence[tuple[int, str]]
    baselines: Sequence[tuple[int, str]]
    breaks: Sequence[tuple[str, str, str]]
    error: str
    points: int
    coverage: str
    chart: Chart
    walk: str
    tasks: Sequence[TaskLine]
    may_issue: bool
    organisations: Sequence[tuple[int, str]]
    entered: bool


async def whole(visit: Visit, connection: Connection, tree: Tree) -> None:
    """Raise Forbidden for who does not see the figures of a whole area."""
    if not await cockpit.sees_whole(visit, connection, tree):
        raise Forbidden("plans are about the whole district; your role sees the figures of its own institution")


async def all_plans(visit: Visit) -> Response:
    """The plans, that of the own area first."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        await whole(visit, connection, tree)
        known = [await monitoring.status(connection, one, visit.at) for one in plans()]
    cards = [
        PlanCard(
            id=one.plan.id,
            title=figures.words(said, one.plan.title),
            reference=one.plan.reference,
            issuer=figures.words(said, one.plan.issuer),
            years=_years(one.plan),
            indicators=len(one.standings),
            counts=[(light, number) for light, number in one.counts.items() if number],
            own=plans_view.own(tree, one.plan),
        )
        for one in known
    ]
    cards.sort(key=lambda card: not card.own)
    return show(visit, "plans.html", PlansPage(cards), crumbs=crumbs(visit))


async def one_plan(visit: Visit) -> Response:
    """How one plan stands, filtered; as CSV the same lines."""
    said, query = visit.language, visit.query
    one = plan(visit.request.path_params["plan"])
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        await whole(visit, connection, tree)
        status = await monitoring.status(connection, one, visit.at)
        tasks = await _tasks(visit, connection, one)
    every = lines(said, status, tree, tasks, visit)
    shown = [
        line
        for line in plans_view.ordered(every)
        if (not query.get("light") or line.light == query["light"])
        and (not query.get("unit") or line.responsible == query["unit"])
        and query.get("words", "").strip().lower() in f"{line.title} {line.id}".lower()
    ]
    if query.get("format") == "csv":
        return _csv(said, status, shown)
    page = PlanPage(
        id=one.id,
        title=figures.words(said, one.title),
        reference=one.reference,
        issuer=figures.words(said, one.issuer),
        years=_years(one),
        note=figures.words(said, one.note) if one.note else "",
        as_of=said.time(status.as_of),
        lines=shown,
        total=len(every),
        counts=[
            (light, number, visit.at_url(light="" if query.get("light") == light else light))
            for light, number in status.counts.items()
        ],
        light=query.get("light", ""),
        unit=query.get("unit", ""),
        words=query.get("words", ""),
        units=[(name, name) for name in sorted({line.responsible for line in every})],
        may_issue=visit.may("administer", "supervision"),
        may_report=visit.may("write", "report"),
        overdue=sum(line.overdue for line in every),
        csv=visit.at_url(format="csv"),
        history=[
            (
                row.id,
                figures.words(said, row.title),
                figures.words(said, series.name),
                figures.words(said, series.unit),
                [(point.year, point.printed) for point in series.points],
            )
            for row in one.history
            for series in row.series
        ],
    )
    return show(visit, "plan.html", page, crumbs=[*crumbs(visit), Crumb(page.title)])


async def one_indicator(visit: Visit) -> Response:
    """One indicator: its series with target and forecast, who answers, the notices there were."""
    said = visit.language
    one = plan(visit.request.path_params["plan"])
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        await whole(visit, connection, tree)
        status = await monitoring.status(connection, one, visit.at)
        tasks = await _tasks(visit, connection, one)
    found = status.of(visit.request.path_params["indicator"])
    if found is None:
        raise NotFound("the plan has no such indicator")
    if visit.query.get("format") == "csv":
        return _series(visit, found)
    indicator, definition = found.indicator, found.definition
    mine = [task for task in tasks if task.indicator == indicator.id]
    ahead = found.ahead if isinstance(found.ahead, monitoring.Forecast) else None
    may_issue = visit.may("administer", "supervision")
    page = IndicatorPage(
        plan=one.id,
        line=plans_view.line(said, one, found, tree),
        definition=definition.id if definition else "",
        formula=figures.words(said, definition.formula) if definition else "",
        note=figures.words(said, indicator.note) if indicator.note else "",
        scope=figures.words(said, indicator.scope) if indicator.scope else "",
        targets=[(target.year, plans_view.printed(said, target)) for target in indicator.targets],
        baselines=[(point.year, point.printed) for point in indicator.baselines],
        breaks=found.breaks,
        error=plans_view.number(ahead.error) if ahead and ahead.error is not None else "",
        points=ahead.points if ahead else 0,
        coverage=_coverage(found),
        chart=plans_view.chart(said, found, csv=visit.at_url(format="csv")),
        walk=f"/cockpit/persons?measure={definition.id}" if definition and definition.population else "",
        tasks=[supervision_view.line(visit, task, tree) for task in mine],
        may_issue=may_issue,
        organisations=[(node.key, node.name) for node in tree if node.kind in {"district", "institution"}],
        entered=definition is not None and definition.kind == "entered",
    )
    back = Crumb(figures.words(said, one.title), f"/plans/{one.id}")
    toast = Toast(said.say(_SAID[visit.query["said"]])) if visit.query.get("said") in _SAID else None
    return show(visit, "plan_indicator.html", page, crumbs=[*crumbs(visit), back, Crumb(page.line.title)], toast=toast)


def _coverage(found: monitoring.Standing) -> str:
    """How many institutions delivered; an entered value comes from none."""
    if found.actual is None or (found.definition is not None and found.definition.kind == "entered"):
        return "—"
    return f"{found.actual.coverage.sending}/{found.actual.coverage.registered}"


async def put_duty(visit: Visit) -> Response:
    """Say which unit and person answer for an indicator."""
    form = await visit.form()
    one, indicator = plan(visit.request.path_params["plan"]), visit.request.path_params["indicator"]
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "administer", "supervision")
        tree = await visit.platform.tree(connection)
        key = str(form.get("organisation", ""))
        if not key.isdigit() or int(key) not in tree:
            raise Incorrect("choose the unit that answers for the indicator")
        if scope.organisations is not None and int(key) not in scope.organisations:
            raise Forbidden("this unit is not below your organisation")
        person = str(form.get("person", ""))
        await monitoring.put_duty(connection, one.id, indicator, int(key), person, by=visit.who.account, at=visit.at)
        event = visit.event("U", "indicator", f"{one.id}/{indicator}", detail=tree[int(key)].code, interaction="duty")
        await audit.record(connection, [event])
    return RedirectResponse(f"/plans/{one.id}/indicators/{indicator}?said=duty", 303)


def lines(said: Language, status: Status, tree: Tree, tasks: Sequence[Task], visit: Visit) -> list[Line]:
    """All indicators of a plan as rows, with the tasks under way."""
    today = visit.at.astimezone(CHINA).date()
    way = Counter(task.indicator for task in tasks if task.state in UNDER_WAY)
    late = Counter(task.indicator for task in tasks if task.days_late(today))
    return [
        plans_view.line(said, status.plan, one, tree, tasks=way[one.indicator.id], overdue=late[one.indicator.id])
        for one in status.standings
    ]


def crumbs(visit: Visit) -> list[Crumb]:
    """Where the pages of plans hang."""
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Plan monitoring")), "/plans")]


async def _tasks(visit: Visit, connection: Connection, one: Plan) -> list[Task]:
    scope = await visit.decide(connection, "search", "supervision")
    return await supervision.tasks(connection, visit.at, organisations=scope.organisations, plan=one.id)


def _years(one: Plan) -> str:
    return f"{one.first}–{one.last}" + (f" ({one.outlook})" if one.outlook else "")


_HEAD = (
    N_("Indicator"),
    N_("Number"),
    N_("Unit"),
    N_("Light"),
    N_("Value"),
    N_("Period"),
    N_("Target"),
    N_("Target year"),
    N_("Baseline"),
    N_("Progress"),
    N_("Forecast"),
    N_("Against a year before"),
    N_("Responsible unit"),
    N_("Person in charge"),
    N_("Clause"),
    N_("Definition"),
    N_("Data as of"),
)


def _csv(said: Language, status: Status, shown: Sequence[Line]) -> Response:
    rows: list[list[object]] = [
        [
            one.title, one.id, one.unit, said.say(LIGHTS[one.light][0]), one.value, one.period, one.target,
            one.target_year, one.baseline, one.progress, one.forecast, one.change, one.responsible, one.person,
            one.clause, f"v{one.version}" if one.version else "", one.as_of,
        ]
        for one in shown
    ]  # fmt: skip
    notes = [figures.words(said, status.plan.title), status.plan.reference]
    return csv_response(f"plan-{status.plan.id}.csv", [said.say(text) for text in _HEAD], rows, notes)


def _series(visit: Visit, found: monitoring.Standing) -> Response:
    said = visit.language
    head = [N_("Period"), N_("Value"), N_("Low"), N_("High"), N_("Definition"), N_("Data as of")]
    rows: list[list[object]] = [
        [one.period, one.value, one.low, one.high, f"v{one.version}", said.time(one.as_of)] for one in found.figures
    ]
    future = plans_view.following(found.figures[-1].period, len(found.path)) if found.figures else []
    word = said.say(N_("Forecast"))
    rows += [
        [p, round(f.value, 4), round(f.low, 4), round(f.high, 4), word, ""]
        for p, f in zip(future, found.path, strict=True)
    ]
    notes = [figures.words(said, found.indicator.title), figures.words(said, found.indicator.unit)]
    return csv_response(f"{found.indicator.id}.csv", [said.say(text) for text in head], rows, notes)
