"""Basic public health programmes (基本公共卫生服务项目): people due, people served and rate of each, and the statutory report.

Rows APP-PH-39 and APP-PH-38. Everything shown is a figure of a measure; a number leads to the people it counts where the
measure keeps a list of them, else to the measure. What institutions enter is said to be entered. Readers who may not
see people get each table as a whole with small counts taken out, and one place's figure as it stands in that table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from healthbrain import measure
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.measure import Definition, Figure, own_programmes, suppression
from healthbrain.measure.periods import spans
from healthbrain.measure.plans import plans
from healthbrain.measure.programmes import (
    Programme,
    district_document,
    district_programmes,
    document,
    programme,
    programmes,
    report_periods,
    reported,
)
from healthbrain.web.export import excel_response
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import cockpit, figures, plans_view
from healthbrain.web.pages.cockpit import Area
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_TREND = 18


@dataclass(frozen=True, slots=True)
class Cell:
    """A number and where it leads; `number` is what a spreadsheet gets."""

    text: str
    url: str = ""
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of a programme in one period."""

    measure: str
    title: str
    url: str
    due: Cell
    served: Cell
    value: Cell
    unit: str
    target: str
    target_url: str
    poor: bool
    period: str
    source: str
    entered: bool
    version: str
    as_of: str
    history: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One programme with its lines."""

    number: int
    id: str
    title: str
    group: str
    lines: Sequence[Line]
    empty: str  # why there is no line


@dataclass(frozen=True, slots=True)
class ProgrammesPage:
    """Context of programmes.html."""

    area: str
    area_name: str
    areas: Sequence[tuple[str, str]]
    parts: Sequence[tuple[str, str, Sequence[Group]]]  # key, heading, programmes
    report: str
    document: str
    may_make: bool


@dataclass(frozen=True, slots=True)
class PlacesTable:
    """One measure by town or by institution."""

    measure: str
    title: str
    caption: str
    period: str
    rows: Sequence[tuple[str, Line]]


@dataclass(frozen=True, slots=True)
class ProgrammePage:
    """Context of programme.html."""

    title: str
    group: str
    empty: str
    tables: Sequence[PlacesTable]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Context of programmes_report.html."""

    title: str
    area: str
    area_name: str
    areas: Sequence[tuple[str, str]]
    period: str
    period_text: str
    periods: Sequence[tuple[str, str]]
    groups: Sequence[Group]
    made: str
    as_of: str
    document: str
    excel: str


@dataclass(frozen=True, slots=True)
class _View:
    """Who looks, and at what."""

    visit: Visit
    connection: Connection
    tree: Tree
    area: Area
    whole: bool
    people: bool
    known: dict[str, Definition]

    @property
    def said(self) -> Language:
        return self.visit.language


async def overview(visit: Visit) -> Response:
    """All programmes at one place, each with its latest figures."""
    async with visit.platform.pool.connection() as connection:
        view = await _view(visit, connection)
        national = [await _group(view, number, one, "") for number, one in enumerate(programmes(), 1)]
        added = [await _group(view, number, one, "") for number, one in enumerate(district_programmes(), 1)]
        own = [await _group(view, number, one, "") for number, one in enumerate(await _own(view), 1)]
        areas = await _areas(view)
    said = view.said
    page = ProgrammesPage(
        area=view.area.code,
        area_name=view.area.name,
        areas=areas,
        parts=[
            ("national", said.say(N_("National programmes")), national),
            ("district", said.say(N_("Programmes that the municipality and district add")), added),
            ("own", said.say(N_("Own programmes")), own),
        ],
        report="/programmes/report" + (f"?{urlencode({'area': view.area.code})}" if view.area.code else ""),
        document=f"{document()}；{district_document()}",
        may_make=view.whole and visit.may("write", "indicator"),
    )
    return show(visit, "programmes.html", page, crumbs=_crumbs(visit))


async def one_programme(visit: Visit) -> Response:
    """One programme by town and by institution, the latest period of each measure."""
    said, named = visit.language, visit.request.path_params["programme"]
    tables: list[PlacesTable] = []
    async with visit.platform.pool.connection() as connection:
        view = await _view(visit, connection)
        one = next((own for own in await _own(view) if own.id == named), None) or programme(named)
        for definition in [view.known[id_] for id_ in one.measures if id_ in view.known]:
            if view.whole:
                tables.append(_table(view, definition, await _by_town(view, definition), N_("By town")))
            tables.append(_table(view, definition, await _by_institution(view, definition), N_("By institution")))
    title = figures.words(said, one.title)
    page = ProgrammePage(title, figures.words(said, one.group), _why_empty(view, one), [t for t in tables if t.rows])
    return show(visit, "programme.html", page, crumbs=[*_crumbs(visit), Crumb(title)])


async def report(visit: Visit) -> Response:
    """The report of a quarter or a year, to print; as Excel the same lines."""
    said, today = visit.language, visit.at.astimezone(CHINA).date()
    choices = report_periods(today)
    period = visit.query.get("period", "") or choices[1]
    async with visit.platform.pool.connection() as connection:
        view = await _view(visit, connection)
        listed = (*programmes(), *district_programmes(), *await _own(view))
        groups = [await _group(view, number, one, period) for number, one in enumerate(listed, 1)]
        areas = await _areas(view)
    title = said.say(N_("Report of the national basic public health programmes"))
    if visit.query.get("format") == "xlsx":
        return _excel(view, title, period, groups)
    stamps = [line.as_of for group in groups for line in group.lines if line.as_of and not line.entered]
    page = ReportPage(
        title=title,
        area=view.area.code,
        area_name=view.area.name,
        areas=areas,
        period=period,
        period_text=figures.period_text(said, period),
        periods=[(one, figures.period_text(said, one)) for one in sorted({*choices, period}, reverse=True)],
        groups=groups,
        made=said.time(visit.at),
        as_of=max(stamps, default="—"),
        document=document(),
        excel=visit.at_url(format="xlsx", period=period),
    )
    return show(visit, "programmes_report.html", page, crumbs=[*_crumbs(visit), Crumb(title)])


async def _view(visit: Visit, connection: Connection) -> _View:
    tree = await visit.platform.tree(connection)
    whole = await cockpit.sees_whole(visit, connection, tree)
    return _View(
        visit=visit,
        connection=connection,
        tree=tree,
        area=cockpit.area_of(visit, tree, whole),
        whole=whole,
        people=await cockpit.sees_people(visit, connection),
        known={one.id: one for one in await measure.in_force(connection)},
    )


async def _areas(view: _View) -> list[tuple[str, str]]:
    """The places to choose from: all, the towns, and the institutions that serve in these programmes."""
    if not view.whole:
        return []
    found = [("", view.said.say(N_("All")))] + [(code, town.said(view.said)) for code, town in towns().items()]
    keys: set[str] = set()
    for id_ in ("BPHS-EHR01", "BPHS-OLD01", "HTN-MANAGED"):
        keys |= {figure.key for figure in await measure.by_institution(view.connection, id_)}
    nodes = [view.tree[int(key)] for key in keys if key.isdecimal() and int(key) in view.tree]
    return found + sorted((node.code, node.name) for node in nodes)


async def _group(view: _View, number: int, one: Programme, period: str) -> Group:
    """A programme's lines: of the report of `period`, or the latest figures when it is empty."""
    said, lines = view.said, list[Line]()
    for definition in [view.known[id_] for id_ in one.measures if id_ in view.known]:
        id_ = definition.id
        series = await measure.trend(view.connection, id_, level=view.area.level, key=view.area.key)
        series = [figure for figure in series if figure.version == definition.version]
        labels = [figure.period for figure in series]
        chosen = reported(definition, labels, period) if period else labels[-1:]
        for label in chosen:
            figure = await _shown(view, definition, series, label)
            lines.append(
                _line(view, definition, figure, view.area.code, [] if period else _history(view, definition, series))
            )
        if not chosen and not (period and definition.period == "year" and "Q" in period):
            lines.append(_line(view, definition, None, view.area.code))
    empty = _why_empty(view, one) or (
        "" if lines else said.say(N_("Known by the year; it stands in the report of the year."))
    )
    return Group(number, one.id, figures.words(said, one.title), figures.words(said, one.group), lines, empty)


def _why_empty(view: _View, one: Programme) -> str:
    if not one.measures:
        return view.said.say(N_("No data of this programme reach the platform, so nothing is counted."))
    if not set(one.measures) & set(view.known):
        return view.said.say(N_("Its measure waits in the workbench until a second person publishes it."))
    return ""


async def _own(view: _View) -> list[Programme]:
    """The district's own programmes that are open, for who sees the whole district or belongs to it."""
    found = await own_programmes.owned(view.connection, None)
    top = view.tree.nearest(view.visit.who.organisation, "district", "municipality")
    within = view.tree.subtree(top) if top is not None else ()
    return [one.programme for one in found if not one.closed and one.organisation in within]


async def _shown(view: _View, definition: Definition, series: Sequence[Figure], label: str) -> Figure | None:
    """The figure of the view's place; for who may not see people as it stands in the table of all such places."""
    own = next((one for one in reversed(series) if one.period == label), None)
    if view.people or own is None:
        return own
    if view.area.level == "district":
        return suppression.suppress_alone([own], definition)[0]
    at_level = measure.by_division if view.area.level == "town" else measure.by_institution
    table = suppression.suppress(await at_level(view.connection, definition.id, label), definition)
    return next((one for one in table if one.key == view.area.key), None)


def _history(view: _View, definition: Definition, series: Sequence[Figure]) -> list[float | None]:
    """The values of the small curve; of parts of the area it could give hidden counts away."""
    if not view.people:
        if view.area.level != "district":
            return []
        series = suppression.suppress_alone(series, definition)
    return [one.value for one in series[-_TREND:]]


async def _by_town(view: _View, definition: Definition) -> list[tuple[str, str, Figure]]:
    found = await measure.by_division(view.connection, definition.id)
    found = found if view.people else suppression.suppress(found, definition)
    return [(towns()[one.key].said(view.said), one.key, one) for one in found if one.key in towns()]


async def _by_institution(view: _View, definition: Definition) -> list[tuple[str, str, Figure]]:
    found = await measure.by_institution(view.connection, definition.id)
    found = found if view.people else suppression.suppress(found, definition)
    nodes = [(view.tree[int(one.key)], one) for one in found if one.key.isdecimal() and int(one.key) in view.tree]
    return [
        (node.name, node.code, one)
        for node, one in nodes
        if (view.whole or one.key == view.area.key) and (one.denominator != 0 or one.value is not None)
    ]


def _table(view: _View, definition: Definition, places: Sequence[tuple[str, str, Figure]], caption: str) -> PlacesTable:
    said = view.said
    return PlacesTable(
        definition.id,
        figures.title(said, definition),
        said.say(caption),
        figures.period_text(said, places[0][2].period) if places else "",
        [(name, _line(view, definition, figure, code)) for name, code, figure in places],
    )


def _line(
    view: _View, definition: Definition, figure: Figure | None, area: str, history: Sequence[float | None] = ()
) -> Line:
    said, entered = view.said, definition.kind == "entered"
    own = f"/measures/{definition.id}" + (f"?{urlencode({'area': area})}" if area and view.whole else "")
    target, target_url = _target(view, definition, figure)
    goal = definition.target(figure.to.year) if figure else None
    return Line(
        measure=definition.id,
        title=figures.title(said, definition),
        url=own,
        due=_count(view, definition, figure, figure.denominator if figure else None, area, ""),
        served=_count(view, definition, figure, figure.numerator if figure else None, area, "inside"),
        value=_value(said, definition, figure, own),
        unit=figures.unit(said, definition),
        target=target,
        target_url=target_url,
        poor=bool(figures.poor(definition, figure.value, goal)) if figure else False,
        period=figures.period_text(said, figure.period) + ("" if figure.complete else said.say(N_(" (to date)")))
        if figure
        else "—",
        source=said.say(N_("Entered") if entered else N_("Service records")),
        entered=entered,
        version=figure.version if figure else definition.version,
        as_of=said.time(figure.as_of) if figure else "",
        history=history,
    )


def _value(said: Language, definition: Definition, figure: Figure | None, url: str) -> Cell:
    if figure is None or figure.value is None:
        return Cell(figures.missing(said, figure), "" if figure and figure.suppressed else url)
    return Cell(figures.value_text(said, definition, figure.value), url, round(figure.value, 4))


def _count(
    view: _View, definition: Definition, figure: Figure | None, count: float | None, area: str, group: str
) -> Cell:
    """A count with the way to those it counts; measures without a list of members lead to their own page."""
    if figure is None or count is None:
        return Cell("—")
    asked = {"measure": definition.id, "period": figure.period, "area": area, "group": group}
    today = view.visit.at.astimezone(CHINA).date()
    listed = definition.population is not None and definition.members
    if listed and figure.period in {span.label for span in spans(definition, today)}:
        url = "/cockpit/persons?" + urlencode({name: value for name, value in asked.items() if value})
    else:
        url = f"/measures/{definition.id}" + (f"?{urlencode({'area': area})}" if area and view.whole else "")
    return Cell(view.said.number(count), url, count)


def _target(view: _View, definition: Definition, figure: Figure | None) -> tuple[str, str]:
    """The target of the year as the area's own plan prints it, else that of the definition."""
    year = figure.to.year if figure else view.visit.at.astimezone(CHINA).year
    for plan in plans():
        if not plans_view.own(view.tree, plan):
            continue
        for one in plan.indicators:
            coming = [target for target in one.targets if target.year >= year] or list(one.targets)
            if one.measure == definition.id and coming:
                text = f"{plans_view.printed(view.said, coming[0])} ({coming[0].year})"
                return text, f"/plans/{plan.id}/indicators/{one.id}" if view.whole else ""
    goal = definition.target(year)
    return (figures.value_text(view.said, definition, goal), "") if goal is not None else ("", "")


_HEAD = (
    N_("No."), N_("Programme"), N_("Target group"), N_("Indicator"), N_("Number"), N_("People due"), N_("People served"),
    N_("Value"), N_("Unit"), N_("Period"), N_("Source"), N_("Definition"), N_("Data as of"),
)  # fmt: skip


def _excel(view: _View, title: str, period: str, groups: Sequence[Group]) -> Response:
    said, rows = view.said, list[list[object]]()
    for group in groups:
        start: list[object] = [group.number, group.title, group.group]
        rows += [
            [
                *start, line.title, line.measure, *(
                    cell.text if cell.number is None else cell.number for cell in (line.due, line.served, line.value)
                ), line.unit, line.period, line.source, f"v{line.version}", line.as_of,
            ]
            for line in group.lines
        ]  # fmt: skip
        if not group.lines:
            rows.append([*start, group.empty])
    rows += [
        [],
        [said.say(N_("Reporting unit")), view.area.name],
        [said.say(N_("Reporting period")), figures.period_text(said, period)],
        [said.say(N_("Source document")), document()],
    ]
    name = "-".join(part for part in ("programmes", period, view.area.code) if part)
    return excel_response(f"{name}.xlsx", title, [said.say(text) for text in _HEAD], rows)


def _crumbs(visit: Visit) -> list[Crumb]:
    said = visit.language
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Basic public health programmes")), "/programmes")]
