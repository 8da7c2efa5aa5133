"""Ad-hoc analysis (自助分析): choose a view, put columns into rows, columns and filters, read the table and its chart.

Who may read indicators may ask; figures cover the organisations that the permission table opens. Who may not see the people
of a view gets small counts hidden and no rows. Every question leaves a trace in the audit log, rows also with the patients.
HUB-DS-07, HUB-DS-08.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from healthbrain import measure
from healthbrain.errors import Forbidden, HealthBrainError, Incorrect
from healthbrain.lake import Lake
from healthbrain.lake.library import libraries
from healthbrain.measure import analysis
from healthbrain.measure.analysis import OPERATORS, Column, Dimension, Filter, Measured, Question, Reader, Source, saved
from healthbrain.measure.analysis.saved import Saved
from healthbrain.measure.analysis.sources import PUBLISHED
from healthbrain.scope import Scope
from healthbrain.web import guard, wording
from healthbrain.web.charts import Chart
from healthbrain.web.export import csv_response, excel_response
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import analysis_form, analysis_view, figures
from healthbrain.web.pages.analysis_answer import answered, sees_rows
from healthbrain.web.pages.analysis_saved import SAID, SavedLine, reading, saved_lines
from healthbrain.web.pages.analysis_view import Forecasted, ShownTable
from healthbrain.web.pages.catalogue import masked
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_ROWS = 100  # behind a cell
_BLANK = 2  # empty filter lines of the form


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a list."""

    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under a heading."""

    label: str
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class FilterLine:
    """One line of the filters."""

    columns: Sequence[Choice]
    operators: Sequence[Choice]
    value: str
    values: Sequence[Group] = ()  # what there is to choose from, of a single measure


@dataclass(frozen=True, slots=True)
class Builder:
    """The form of a question."""

    source: str
    title: str
    description: str
    catalogue: str
    rows: Sequence[Sequence[Choice]]
    columns: Sequence[Choice]
    measures: Sequence[Sequence[Choice]]
    filters: Sequence[FilterLine]
    charts: Sequence[Choice]
    sorts: Sequence[Choice]
    descending: bool
    ahead: int
    watch_above: bool
    watch: str


@dataclass(frozen=True, slots=True)
class Result:
    """The answer."""

    table: ShownTable
    chart: Chart | None
    forecasts: Sequence[Forecasted]
    as_of: str
    seconds: str
    watch: str
    csv: str
    excel: str
    json: str
    fields: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AnalysisPage:
    """Context of analysis.html."""

    sources: Sequence[Group]
    builder: Builder | None
    result: Result | None
    error: str
    saved: Sequence[SavedLine]
    opened: SavedLine | None
    words: str
    protected: bool


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Context of analysis_rows.html."""

    title: str
    cell: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    back: str
    most: int
    as_of: str


async def analysis_page(visit: Visit) -> Response:
    """The workspace: saved questions, the form, and the answer when something is asked."""
    said = visit.language
    source_id = visit.query.get("source", "")
    items = visit.request.query_params.multi_items()
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", "indicator")
        reader_ = await reading(visit, connection)
        kept = await saved.listed(connection, reader_, visit.query.get("words", "").strip())
        id_ = visit.query.get("id", "")
        opened = next((one for one in kept if id_.isdigit() and one.id == int(id_)), None)
        source = analysis.source_of(source_id) if source_id else None
        people = source is not None and await sees_rows(visit, connection, source)
    error, asked, result = "", None, None
    if source is not None:
        try:
            asked = analysis_form.question_from(items)
            if any(key in {"measure", "row", "col"} for key, _ in items):
                reader = Reader(scope.organisations, people)
                if form := visit.query.get("format"):
                    return await _file(visit, source, asked, reader, form, opened)
                result = await _result(visit, source, asked, reader)
        except (Incorrect, HealthBrainError) as refused:
            if visit.query.get("format"):
                raise
            error = wording.tell(said, refused.message)
        except analysis.Stopped:
            return Response(status_code=204)
    page = AnalysisPage(
        sources=_sources(said, source_id),
        builder=_builder(said, source, asked or _blank_question(source)) if source else None,
        result=result,
        error=error,
        saved=saved_lines(said, kept, visit.who.account),
        opened=next((one for one in saved_lines(said, [opened], visit.who.account)), None) if opened else None,
        words=visit.query.get("words", ""),
        protected=source is not None and source.personal and not people,
    )
    return show(visit, "analysis.html", page, crumbs=_crumbs(said), toast=_toast(visit))


async def rows_page(visit: Visit) -> Response:
    """The rows behind a cell, masked, for those who may see the people; who looked is recorded."""
    said = visit.language
    asked = analysis_form.question_from(visit.request.query_params.multi_items())
    source = analysis.source_of(asked.source)
    cell = _cell(visit.query.get("cell", ""), len(asked.dimensions))
    async with visit.platform.pool.connection() as connection:
        figures_of = await visit.decide(connection, "read", "indicator")
        scope = await visit.decide(connection, "search", source.view.resource)
    if not scope.identified:
        raise Forbidden("your purpose of use shows numbers only; state another purpose to see rows")
    reader = Reader(_both(figures_of, scope), people=True)
    lake = Lake(visit.platform.settings.lake)
    found = await analysis.members(lake, asked, reader, visit.at, cell, _ROWS)
    visit.note(
        "R",
        source.view.resource,
        patients=found.patients,
        detail=f"rows behind a cell of {source.id}, {len(found.rows)} rows",
    )
    tree = await visit.platform.tree()
    names = {str(one.key): one.name for one in tree} | {one.fhir_id: one.name for one in tree if one.fhir_id}
    labels = analysis_view.Labels(said, source, names)
    page = RowsPage(
        title=figures.words(said, source.title),
        cell=[
            (analysis_view.dimension_title(said, source, one), labels.of(one, value))
            for one, value in zip(asked.dimensions, cell, strict=True)
            if value is not None
        ],
        columns=[figures.words(said, one.title) for one in source.view.columns],
        rows=[masked(source.view, row) for row in found.rows],
        back=analysis_form.address(asked),
        most=_ROWS,
        as_of=said.time(found.as_of),
    )
    return show(visit, "analysis_rows.html", page, crumbs=[*_crumbs(said), Crumb(said.say(N_("Rows behind a number")))])


async def _result(visit: Visit, source: Source, asked: Question, reader: Reader) -> Result:
    said = visit.language
    found = await answered(visit, asked, reader)
    _note(visit, asked)
    ahead = analysis.look_ahead(found.table, visit.at.astimezone(CHINA).date())
    return Result(
        table=analysis_view.shown_table(said, source, found, drill=reader.people),
        chart=analysis_view.chart(said, source, found, ahead, analysis_form.address(asked, format="csv")),
        forecasts=analysis_view.forecasts(said, source, found, ahead),
        as_of=said.time(found.as_of),
        seconds=said.number(found.seconds, 1),
        watch=_watched(said, source, found.table),
        csv=analysis_form.address(asked, format="csv"),
        excel=analysis_form.address(asked, format="xlsx"),
        json=analysis_form.address(asked, format="json"),
        fields=analysis_form.pairs(asked),
    )


async def _file(
    visit: Visit, source: Source, asked: Question, reader: Reader, form: str, opened: Saved | None
) -> Response:
    """The table as CSV or Excel with the question below it; or the question itself as JSON."""
    said, name = visit.language, opened.name if opened else source.id
    if form == "json":
        content = orjson.dumps({"name": name, "question": asked.as_json()}, option=orjson.OPT_INDENT_2)
        response = Response(content, media_type="application/json")
        response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{urlencode({'': f'{name}.json'})[1:]}"
        return guard.protect(response)
    if form not in {"csv", "xlsx"}:
        raise Incorrect("a table is exported as csv, xlsx or json")
    found = await answered(visit, asked, reader)
    _note(visit, asked)
    table = analysis_view.shown_table(said, source, found, drill=False, rows=None)
    head = [title for title, _, _ in table.row_titles] or [""]
    head += [f"{one.group} · {one.label}" if table.groups else one.label for one in table.heads]
    lines = [
        [*(one.labels or [""]), *(_exported(cell.text) for cell in one.cells)]
        for one in (*table.lines, *([table.totals] if table.totals else []))
    ]
    wide = len(head) - len(table.heads)  # the line of totals has one label, whatever the rows have
    lines = [[*line[:1], *([""] * (len(head) - len(line))), *line[1:]] for line in lines] if wide > 1 else lines
    notes = [
        f"{said.say(N_('Data as of'))} {said.time(found.as_of)}",
        f"{said.say(N_('Question'))} {orjson.dumps(asked.as_json()).decode()}",
    ]
    if table.hidden:
        notes.append(said.say(N_("* is a small number, or one that would give a small number away.")))
    if form == "csv":
        return csv_response(f"{name}.csv", head, lines, notes)
    return excel_response(f"{name}.xlsx", source.id.rpartition(".")[2], head, [*lines, [], *([note] for note in notes)])


def _exported(text: str) -> object:
    plain = text.replace(",", "")
    try:
        return float(plain) if "." in plain else int(plain)
    except ValueError:
        return text


def _watched(said: Language, source: Source, table: analysis.Pivot) -> str:
    """What the watch on the first measure says: of a time series the newest finished rows, else how many cells."""
    watch = table.asked.watch
    if watch is None:
        return ""
    columns = table.columns or (None,)
    crossed = sum(watch.crossed(table.cell(row, column).values[0]) for row in table.rows for column in columns)
    if not crossed:
        return said.say(N_("No number is at or beyond the threshold."))
    return said.count(
        N_("%(num)s number is at or beyond the threshold."),
        N_("%(num)s numbers are at or beyond the threshold."),
        crossed,
    ) % {"num": crossed}


def _note(visit: Visit, asked: Question) -> None:
    """A trace of what was asked: names of columns, never values."""
    parts = [one.word for one in asked.dimensions] + [one.word for one in asked.measures]
    parts += [f"{one.column} {one.operator}" for one in asked.filters]
    visit.note("E", "indicator", detail=f"question on {asked.source}: {', '.join(parts)}"[:400])


def _both(one: Scope, other: Scope) -> tuple[int, ...] | None:
    if one.organisations is None or other.organisations is None:
        return other.organisations if one.organisations is None else one.organisations
    return tuple(sorted(set(one.organisations) & set(other.organisations)))


def _cell(text: str, dimensions: int) -> list[str | None]:
    try:
        cell = orjson.loads(text)
    except orjson.JSONDecodeError:
        cell = None
    if (
        not isinstance(cell, list)
        or len(cell) != dimensions
        or any(one is not None and not isinstance(one, str) for one in cell)
    ):
        raise Incorrect("the address does not name a cell of the table")
    return cell


def _blank_question(source: Source) -> Question:
    """What the form begins with."""
    if not source.published:
        return Question(source.id)
    return Question(source.id, (Dimension("period", "month"),), measures=(Measured("figure", "value"),), chart="line")


def _sources(said: Language, chosen: str) -> list[Group]:
    published = analysis.source_of(PUBLISHED)
    groups = [
        Group(
            figures.words(said, one.title),
            [Choice(view.id, figures.words(said, view.title), view.id == chosen) for view in one.views],
        )
        for one in libraries()
    ]
    own = [Choice(PUBLISHED, figures.words(said, published.title), chosen == PUBLISHED)]
    return [Group(said.say(N_("Indicators")), own), *groups]


def _builder(said: Language, source: Source, asked: Question) -> Builder:
    filters = list(asked.filters)
    if source.published and not any(one.column == "measure" for one in filters):
        filters.insert(0, Filter("measure", "in"))  # the one condition that cannot be left out
    rows = [one.word for one in asked.rows]
    measures = [one.word for one in asked.measures]
    return Builder(
        source=source.id,
        title=figures.words(said, source.title),
        description=figures.words(said, source.description),
        catalogue="/measures" if source.published else f"/catalogue/{source.view.library}/{source.view.name}",
        rows=[_dimensions(said, source, [*rows, "", "", ""][n]) for n in range(3)],
        columns=_dimensions(said, source, asked.columns[0].word if asked.columns else ""),
        measures=[_measures(said, source, [*measures, "", "", ""][n]) for n in range(3)],
        filters=[
            *(_filter(said, source, one.column, one.operator, analysis_form.typed(one.operator, one.values)) for one in filters),
            *(_filter(said, source, "", "in", "") for _ in range(_BLANK)),
        ],
        charts=[Choice(key, said.say(text), key == asked.chart) for key, text in analysis_view.CHARTS.items()],
        sorts=[
            Choice("label", said.say(N_("Label")), asked.sort == "label"),
            *(Choice(str(n), analysis_view.measure_title(said, source, one), asked.sort == str(n)) for n, one in enumerate(asked.measures)),
        ],
        descending=asked.descending,
        ahead=asked.ahead,
        watch_above=asked.watch is None or asked.watch.side == "above",
        watch=format(asked.watch.value, "g") if asked.watch else "",
    )  # fmt: skip


def _dimensions(said: Language, source: Source, chosen: str) -> list[Choice]:
    found = [Choice("", "—")]
    for column in source.columns:
        title = analysis_view.column_title(said, column)
        if column.kind == "date":
            found += [
                Choice(f"{column.name}:{grain}", f"{title} · {said.say(text)}")
                for grain, text in analysis_view.GRAINS.items()
                if not (source.published and grain == "day")
            ]
        elif column.kind == "number" and not source.published:
            bands = said.say(N_("in bands of %(width)s"))
            found += [
                Choice(f"{column.name}:{width}", f"{title} · {bands % {'width': width}}") for width in (1, 5, 10, 20)
            ]
        elif column.kind == "category":
            found.append(Choice(column.name, title))
    if chosen and chosen not in {one.value for one in found}:
        found.append(Choice(chosen, chosen))
    return [Choice(one.value, one.label, one.value == chosen) for one in found]


def _measures(said: Language, source: Source, chosen: str) -> list[Choice]:
    found = [Choice("", "—")]
    for what in () if source.published else ("count", "persons", "share", "share_row", "share_column"):
        if what != "persons" or source.personal:
            found.append(Choice(what, said.say(analysis_view.WHATS[what])))
    for column in source.columns:
        if column.kind == "number":
            found += [
                Choice(f"{what}:{column.name}", f"{analysis_view.column_title(said, column)} · {said.say(analysis_view.WHATS[what])}")
                for what in (("figure",) if source.published else ("sum", "mean", "median"))
            ]  # fmt: skip
    return [Choice(one.value, one.label, one.value == chosen) for one in found]


def _filter(said: Language, source: Source, column: str, operator: str, value: str) -> FilterLine:
    usable: list[Column] = [one for one in source.columns if one.kind != "hidden"]
    if source.published:
        usable = [one for one in usable if one.kind != "number"]
    return FilterLine(
        [
            Choice("", "—"),
            *(Choice(one.name, analysis_view.column_title(said, one), one.name == column) for one in usable),
        ],
        [Choice(one, said.say(analysis_view.OPERATORS[one]), one == operator) for one in OPERATORS],
        value,
        _measure_choices(said, value) if source.published and column == "measure" and "," not in value else (),
    )


def _measure_choices(said: Language, chosen: str) -> list[Group]:
    """Every measure under the document it comes from."""
    groups: dict[str, list[Choice]] = {}
    for one in measure.defined():
        named = Choice(one.id, f"{figures.title(said, one)} {one.id}", one.id == chosen)
        groups.setdefault(one.source.document.split("（")[0], []).append(named)
    return [Group("", [Choice("", "—")]), *(Group(label, choices) for label, choices in groups.items())]


def _toast(visit: Visit) -> Toast | None:
    text = SAID.get(visit.query.get("said", ""))
    if text is None:
        return None
    undo, id_ = visit.query.get("undo", ""), visit.query.get("was", "")
    if undo == "restore" and id_.isdigit():
        return Toast(visit.language.say(text), f"/analysis/saved/{id_}", {"action": "restore"})
    return Toast(visit.language.say(text))


def _crumbs(said: Language) -> list[Crumb]:
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Ad-hoc analysis")), "/analysis")]
