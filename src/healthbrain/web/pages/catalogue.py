"""The catalogue of data resources (数据资源目录): libraries, their views and columns, counts, freshness, quality, lineage.

Who may see indicators may see the catalogue: it tells nothing about anybody. A preview of rows needs permission over the
view's resource type for a purpose under which persons are shown; numbers and names in it are masked. HUB-EX-01, HUB-EX-13.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from healthbrain import measure
from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.lake import Lake, library
from healthbrain.lake.library import DIMENSIONS, Library, View
from healthbrain.measure import models
from healthbrain.portrait.masking import mask_name, mask_number
from healthbrain.runtime import catalogue
from healthbrain.runtime import datasets as runtime_datasets
from healthbrain.runtime.catalogue import Counted, Score
from healthbrain.runtime.lakes import Standing, standing
from healthbrain.runtime.warehouse import Made
from healthbrain.runtime.warehouse import made as made_of
from healthbrain.web.charts import Chart, Series
from healthbrain.web.export import csv_response
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import datasets, index_model
from healthbrain.web.pages.catalogue_dictionary import as_file, dictionary, path_of
from healthbrain.web.pages.catalogue_lineage import Lineage, lineage
from healthbrain.web.pages.catalogue_made import MadePanel, made_panel
from healthbrain.web.pages.datasets import LifePanel
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_KINDS = {"base": N_("Base library"), "theme": N_("Theme library")}
_NAMES = {
    "completeness": N_("Completeness"),
    "accuracy": N_("Accuracy"),
    "logic": N_("Logic"),
    "timeliness": N_("Timeliness"),
}
_PREVIEW = 20  # rows
_SMALL = 5  # persons in a cell of a cohort below which the number is not shown
_TREND = timedelta(days=92)


@dataclass(frozen=True, slots=True)
class ViewLine:
    """A view in the list."""

    url: str
    name: str
    title: str
    description: str
    rows: str
    newest: str
    sources: str
    scores: Sequence[tuple[str, str, bool]]  # dimension, share, poor
    problem: str = ""  # why the kept rows are not the newest


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A data model that reads a library, with the views that are its inputs; no address for whom it refuses."""

    title: str
    url: str
    version: str
    inputs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LibraryCard:
    """A library with those of its views that the search leaves."""

    id: str
    kind: str
    title: str
    description: str
    owner: str
    source: str
    rows: str
    views: Sequence[ViewLine]
    models: Sequence[ModelLine] = ()


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Context of catalogue.html."""

    asked: str
    as_of: str
    lag: str
    late: bool
    libraries: Sequence[LibraryCard]
    found: int
    counted: bool


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column of a view."""

    name: str
    title: str
    type: str
    path: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule of quality with its result."""

    dimension: str
    title: str
    column: str
    total: str
    failed: str
    share: str
    poor: bool


@dataclass(frozen=True, slots=True)
class ViewPage:
    """Context of catalogue_view.html."""

    id: str
    url: str
    library: str
    title: str
    description: str
    resource: str
    owner: str
    source: str
    rows: str
    newest: str
    as_of: str
    columns: Sequence[ColumnLine]
    rules: Sequence[RuleLine]
    trend: Chart
    lineage: Lineage
    sources: Sequence[tuple[str, str]]
    cohorts: Sequence[tuple[str, str, str, str]]
    may_preview: bool
    sql: str = ""  # of a view over views
    made: MadePanel | None = None
    preview: Sequence[Sequence[str]] = ()
    previewed: bool = False
    life: LifePanel | None = None


async def catalogue_page(visit: Visit) -> Response:
    """All libraries, or what a search leaves of them; the data dictionary as JSON, CSV or Excel."""
    said, asked = visit.language, visit.query.get("q", "").strip()
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", "indicator")
        counted = await catalogue.counted(connection)
    models_open = await index_model.open_to(visit, scope)
    chosen = {one.id: [view for view in one.views if _matches(one, view, asked)] for one in library.libraries()}
    if form := visit.query.get("format"):
        return dictionary(said, form, "catalogue", [view for found in chosen.values() for view in found], counted)
    now = await standing(visit.platform)
    made = await asyncio.to_thread(made_of, Lake(visit.platform.settings.lake), library.views())
    page = CataloguePage(
        asked=asked,
        as_of=said.time(now.as_of),
        lag=_lag(said, now),
        late=now.late,
        libraries=[
            _card(said, one, chosen[one.id], counted, made, models_open=models_open)
            for one in library.libraries()
            if chosen[one.id]
        ],
        found=sum(len(found) for found in chosen.values()),
        counted=bool(counted),
    )
    return show(visit, "catalogue.html", page, crumbs=_crumbs(visit))


async def view_page(visit: Visit) -> Response:
    """One view: columns, quality, lineage, sources."""
    return await _view_page(visit)


async def preview_page(visit: Visit) -> Response:
    """The same with some rows, for those who may see persons' data; a trace of it is kept."""
    view = _asked(visit)
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "search", view.resource)
    if not scope.identified:
        raise Forbidden("your purpose of use shows numbers only; state another purpose to see rows")
    rows = await asyncio.to_thread(catalogue.preview, visit.platform, view, scope.organisations, _PREVIEW)
    visit.note("R", view.resource, detail=f"catalogue preview {view.id}, {len(rows)} rows")
    return await _view_page(visit, [masked(view, row) for row in rows], previewed=True)


async def _view_page(visit: Visit, rows: Sequence[Sequence[str]] = (), *, previewed: bool = False) -> Response:
    said, view = visit.language, _asked(visit)
    async with visit.platform.pool.connection() as connection:
        await visit.decide(connection, "read", "indicator")
        await measure.in_force(connection)  # the lineage names the own measures as they are now
        counted = await catalogue.counted(connection)
        days = await catalogue.trend(connection, view, visit.at.date() - _TREND)
        tree = await visit.platform.tree(connection)
        rows_are_open = await _rows_are_open(visit, connection, view)
        lived = await runtime_datasets.life(connection, view)
        acts = await datasets.may_act(visit, connection)
    if form := visit.query.get("format"):
        if form == "definition":
            return as_file(dict(view.definition), f"{view.id}.json")
        if form == "life":
            return as_file(datasets.as_json(view, lived), f"{view.id}-life.json")
        if form == "cohorts":
            return _cohort_file(said, view, counted.get(view.id))
        return dictionary(said, form, view.id, [view], counted)
    own, mine = next(one for one in library.libraries() if one.id == view.library), counted.get(view.id)
    made = await asyncio.to_thread(made_of, Lake(visit.platform.settings.lake), [view, *view.bases])
    page = ViewPage(
        id=view.id,
        url=_url(view),
        library=said.pick(own.title),
        title=said.pick(view.title),
        description=said.pick(view.description),
        resource=view.resource,
        owner=said.pick(own.owner),
        source=own.source,
        rows=said.number(mine.rows if mine else None),
        newest=said.time(mine.newest if mine else None),
        as_of=said.time(mine.as_of if mine else None),
        columns=[ColumnLine(c.name, said.pick(c.title), c.type, path_of(c)) for c in view.columns],
        rules=_rules(said, view, mine),
        trend=_trend(said, days),
        lineage=lineage(said, view, mine, tree),
        sources=[(tree.name(key), said.number(rows)) for key, rows in (mine.owners if mine else ())],
        cohorts=_cohort_rows(said, mine),
        may_preview=rows_are_open,
        sql=view.derived.statement() if view.derived else "",
        made=made_panel(said, view, made),
        preview=rows,
        previewed=previewed,
        life=datasets.panel(said, view, lived, visit.at, acts=acts, account=visit.who.account),
    )
    return show(visit, "catalogue_view.html", page, crumbs=[*_crumbs(visit), Crumb(page.title)])


async def _rows_are_open(visit: Visit, connection: Connection, view: View) -> bool:
    """Whether the visitor's role and purpose show rows and not only numbers."""
    try:
        return (await visit.decide(connection, "search", view.resource)).identified
    except Forbidden:
        return False


def _asked(visit: Visit) -> View:
    return library.find(visit.request.path_params["library"], visit.request.path_params["view"])


def _matches(own: Library, view: View, asked: str) -> bool:
    texts = [
        view.id, view.resource, *own.title.values(), *view.title.values(), *view.description.values(),
        *(text for column in view.columns for text in (column.name, column.path, *column.title.values())),
    ]  # fmt: skip
    return all(any(word in text.casefold() for text in texts) for word in asked.casefold().split())


def _card(
    said: Language, one: Library, views: Sequence[View], counted: Mapping[str, Counted], made: Mapping[str, Made],
    *, models_open: bool,
) -> LibraryCard:  # fmt: skip
    known = [counted[view.id].rows for view in views if view.id in counted]
    return LibraryCard(
        one.id,
        said.say(_KINDS[one.kind]),
        said.pick(one.title),
        said.pick(one.description),
        said.pick(one.owner),
        one.source,
        said.number(sum(known) if known else None),
        [_line(said, view, counted.get(view.id), made.get(view.id)) for view in views],
        [
            ModelLine(
                said.pick(m.title),
                f"/{m.id}" if models_open else "",
                m.version,
                [(f"/catalogue/{i.replace('.', '/')}", i) for i in m.inputs],
            )
            for m in models.models()
            if m.library == one.id
        ],
    )


def _line(said: Language, view: View, mine: Counted | None, made: Made | None) -> ViewLine:
    scores = [(kind, mine.score(view, kind)) for kind in DIMENSIONS] if mine else []
    return ViewLine(
        _url(view),
        view.name,
        said.pick(view.title),
        said.pick(view.description),
        said.number(mine.rows if mine else None),
        said.time(mine.newest if mine else None),
        said.number(len(mine.owners) if mine else None),
        [(said.say(_NAMES[kind]), _share(said, score), _poor(score)) for kind, score in scores if score.total],
        made.problem if made else "",
    )


def _rules(said: Language, view: View, mine: Counted | None) -> list[RuleLine]:
    found = []
    for number, rule in enumerate(view.rules):
        score = mine.checks.get(number, Score(0, 0)) if mine else Score(0, 0)
        found.append(
            RuleLine(
                said.say(_NAMES[rule.kind]), said.pick(rule.title), rule.column, said.number(score.total),
                said.number(score.failed), _share(said, score), _poor(score),
            )
        )  # fmt: skip
    return found


def _trend(said: Language, days: Mapping[Any, Mapping[str, Score]]) -> Chart:
    series = [
        Series(said.say(_NAMES[kind]), [_value(scores.get(kind)) for scores in days.values()])
        for kind in DIMENSIONS
        if any(kind in scores for scores in days.values())
    ]
    title = said.say(N_("Quality by day"))
    return Chart(
        "quality", title, [said.short_day(day) for day in days], series, unit="%", digits=1,
        category_label=said.say(N_("Day")), from_zero=False, low=True,
    )  # fmt: skip


def _cohort_rows(said: Language, mine: Counted | None) -> list[tuple[str, str, str, str]]:
    return [
        (one.icd10, str(one.year), _town(said, one.town), _few(said, one.persons))
        for one in (mine.cohorts if mine else ())
    ]


def _cohort_file(said: Language, view: View, mine: Counted | None) -> Response:
    head = [said.say(text) for text in (N_("Diagnosis"), N_("Year"), N_("Town"), N_("Persons"))]
    rows = [[c.icd10, c.year, _town(said, c.town), _few(said, c.persons)] for c in (mine.cohorts if mine else ())]
    return csv_response(f"{view.id}.csv", head, rows, [said.pick(view.title)])


def _few(said: Language, persons: int) -> str:
    """A number of persons; a small one would say who they are."""
    return said.number(persons) if persons >= _SMALL else f"<{_SMALL}"


def _town(said: Language, code: str) -> str:
    found = towns().get(code)
    return found.said(said) if found else said.say(N_("not known"))


def masked(view: View, row: Sequence[Any]) -> list[str]:
    """A row as it may be shown: names by their first character, numbers of records by their ends, births by the year."""
    shown = []
    for column, value in zip(view.columns, row, strict=True):
        text = "" if value is None else str(value)
        if column.name == "name" and view.resource in {"Practitioner", "Patient", "RelatedPerson"}:
            text = mask_name(text)
        elif column.name in {"id", "patient", "encounter", "record", "household", "certificate", "code"} and _personal(
            view
        ):
            text = mask_number(text)
        elif column.name == "birth":
            text = text[:4]
        shown.append(text)
    return shown


def _personal(view: View) -> bool:
    return view.resource not in {"Organization", "Practitioner", "PractitionerRole", "Location", "Device", "CareTeam"}


def _share(said: Language, score: Score) -> str:
    return said.share(None if score.share is None else score.share / 100)


def _value(score: Score | None) -> float | None:
    return score.share if score else None


def _poor(score: Score) -> bool:
    return score.share is not None and score.share < 90


def _lag(said: Language, now: Standing) -> str:
    if not now.waiting:
        return said.say(N_("up to date"))
    return said.say(N_("%(number)s changes behind")) % {"number": said.number(now.waiting)}


def _url(view: View) -> str:
    return f"/catalogue/{view.library}/{view.name}"


def _crumbs(visit: Visit) -> list[Crumb]:
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Data catalogue")), "/catalogue")]
