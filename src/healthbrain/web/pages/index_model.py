"""The food-safety index with its components: value, course, towns, what it is made of and which views it reads (HUB-EX-08, APP-PH-27).

The index is about the whole district by towns of residence, so whoever sees only the own institution is refused. Counts of towns, small
counts and what can be worked out from them are shown to those who may see people; others get the level of a component.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain.errors import Forbidden, NotFound
from healthbrain.lake import library
from healthbrain.measure import models
from healthbrain.measure.models import DISTRICT, Component, Model, Part, Value
from healthbrain.measure.suppression import THRESHOLD
from healthbrain.scope import Scope
from healthbrain.web.charts import Chart, Series
from healthbrain.web.export import csv_response
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit
from healthbrain.web.wording import tell

Shown = Callable[[Part], bool]  # whether the numbers of a component may be shown
_LEVELS = ((80.0, N_("good"), "ok"), (60.0, N_("fair"), ""), (0.0, N_("poor"), "warn"))


@dataclass(frozen=True, slots=True)
class PartLine:
    """A component of the index in the month shown."""

    title: str
    explain: str
    value: str
    counts: str
    limits: str
    score: str
    weight: str
    points: str
    level: str
    look: str
    inputs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TownLine:
    """A town in the month shown."""

    name: str
    url: str
    value: str
    known: str
    warns: str
    levels: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class InputLine:
    """A view that the index reads."""

    url: str
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class IndexPage:
    """Context of index_model.html."""

    title: str
    description: str
    remark: str
    version: str
    owner: str
    source: str
    area: str
    area_name: str
    areas: Sequence[tuple[str, str]]
    month: str
    month_name: str
    months: Sequence[tuple[str, str]]
    value: str
    warns: str
    known: str
    as_of: str
    computed: str
    problem: str
    chart: Chart
    parts: Sequence[PartLine]
    components: Sequence[str]
    towns: Sequence[TownLine]
    inputs: Sequence[InputLine]
    counts_shown: bool
    csv: str


async def index_page(visit: Visit) -> Response:
    """The food-safety index of the district or a town, in a month."""
    said, model = visit.language, models.model("food-safety-index")
    async with visit.platform.pool.connection() as connection:
        scope = await visit.decide(connection, "read", "indicator")
        if not await open_to(visit, scope):
            raise Forbidden("the index is about the whole district; your role sees the figures of its own institution")
        found = await models.values(connection, model)
        run = await models.run(connection, model)
        people = (
            (await visit.decide(connection, "read", "Patient")).identified if visit.may("read", "Patient") else False
        )
    series = models.by_area(tuple(found))
    area = visit.query.get("area", DISTRICT)
    if found and area not in series:
        raise NotFound("there are no values of the index for this area")
    mine = series.get(area, [])
    shown = _month(mine, visit.query.get("month", ""))

    def counts(part: Part) -> bool:
        return people or (area == DISTRICT and not _few(part))

    if visit.query.get("format") == "csv":
        return _file(said, model, mine, counts=counts)
    warns = models.warnings(model, [one for one in mine if one.complete])
    page = IndexPage(
        title=said.pick(model.title), description=said.pick(model.description), remark=said.pick(model.remark), version=model.version,
        owner=said.pick(model.owner), source=model.source, area=area, area_name=_name(said, area),
        areas=[(one, _name(said, one)) for one in sorted(series) if one == DISTRICT or one in towns()],
        month=shown.month if shown else "", month_name=_month_name(said, shown),
        months=[(one.month, said.month(f"{one.month}-01")) for one in reversed(mine)],
        value=said.number(shown.value if shown else None, 1), warns=_warns(said, model, warns.get(shown.month if shown else "", "")),
        known=said.number(shown.known if shown else None), as_of=said.time(run.as_of if run else None),
        computed=said.time(run.computed_at if run else None), problem=tell(said, run.problem) if run else "",
        chart=_chart(said, model, mine, counts=counts),
        parts=[_part(said, one, part, model, counts=counts) for one, part in zip(model.components, shown.parts, strict=True)] if shown else [],
        components=[said.pick(one.title) for one in model.components],
        towns=_towns(said, model, series, shown.month if shown else ""),
        inputs=input_lines(said, model), counts_shown=people, csv=visit.at_url(format="csv"),
    )  # fmt: skip
    if people and area != DISTRICT:
        visit.note("R", "indicator", model.id, detail=f"area={area}")
    crumbs = [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Data catalogue")), "/catalogue"), Crumb(page.title)]
    return show(visit, "index_model.html", page, crumbs=crumbs)


async def open_to(visit: Visit, scope: Scope) -> bool:
    """Whether the visitor sees every institution of the platform, and so may see the index."""
    if scope.organisations is None:
        return True
    tree = await visit.platform.tree()
    return all(one.key in scope.organisations for one in tree if one.kind == "institution")


def input_lines(said: Language, model: Model) -> list[InputLine]:
    """The views that a model reads."""
    views = [library.find(*one.split(".")) for one in model.inputs]
    return [InputLine(f"/catalogue/{one.library}/{one.name}", one.id, said.pick(one.title)) for one in views]


def _month(mine: Sequence[Value], asked: str) -> Value | None:
    """The month asked for, else the last one that is over and has a value."""
    if asked:
        found = next((one for one in mine if one.month == asked), None)
        if found is None:
            raise NotFound("there are no values of the index for this month")
        return found
    over = [one for one in mine if one.complete and one.value is not None]
    return over[-1] if over else (mine[-1] if mine else None)


def _month_name(said: Language, shown: Value | None) -> str:
    if shown is None:
        return "—"
    name = said.month(f"{shown.month}-01")
    open_ = said.say(N_("not over yet"))
    return name if shown.complete else f"{name} ({open_})"


def _few(part: Part) -> bool:
    """Whether it rests on so few that somebody could be known."""
    return 0 < part.above < THRESHOLD or 0 < part.below < THRESHOLD


def _part(said: Language, one: Component, part: Part, model: Model, *, counts: Shown) -> PartLine:
    shown = counts(part)
    level, look = _level(said, part.score)
    points = None if part.score is None else part.score * one.weight / model.weight
    hidden = "—"
    return PartLine(
        said.pick(one.title), said.pick(one.explain),
        f"{said.number(part.value, 1)} {said.pick(one.unit)}" if shown and part.value is not None else hidden,
        f"{said.number(part.above)} / {said.number(part.below)}" if shown else hidden,
        f"{said.number(one.best)} → {said.number(one.worst)}", said.number(part.score, 1) if shown else hidden,
        said.number(one.weight), said.number(points, 1) if shown else hidden, level, look,
        [(f"/catalogue/{view.replace('.', '/')}", view) for view in one.inputs],
    )  # fmt: skip


def _level(said: Language, score: float | None) -> tuple[str, str]:
    if score is None:
        return said.say(N_("no data")), ""
    return next((said.say(text), look) for least, text, look in _LEVELS if score >= least)


def _towns(said: Language, model: Model, series: Mapping[str, list[Value]], month: str) -> list[TownLine]:
    found = []
    for area, values in series.items():
        one = next((value for value in values if value.month == month), None)
        if area == DISTRICT or one is None or area not in towns():
            continue
        warns = models.warnings(model, [value for value in values if value.complete]).get(month, "")
        found.append(
            TownLine(
                _name(said, area), f"/food-safety-index?area={area}&month={month}", said.number(one.value), said.number(one.known),
                _warns(said, model, warns), [_level(said, part.score) for part in one.parts],
            )
        )  # fmt: skip
    return found


def _warns(said: Language, model: Model, why: str) -> str:
    if why == "low":
        return said.say(N_("below %(limit)s")) % {"limit": said.number(model.warn_below)}
    if why == "fall":
        return said.say(N_("fell by %(limit)s and more")) % {"limit": said.number(model.warn_fall)}
    return ""


def _chart(said: Language, model: Model, mine: Sequence[Value], *, counts: Shown) -> Chart:
    series = [Series(said.pick(model.title), [one.value for one in mine])]
    for place, component in enumerate(model.components):
        parts = [one.parts[place] for one in mine]
        series.append(Series(said.pick(component.title), [part.score if counts(part) else None for part in parts]))
    open_from = next((one.month for one in mine if not one.complete), "")
    return Chart(
        "index", said.say(N_("Index and components by month")), [one.month for one in mine], series, digits=1,
        target=model.warn_below, target_label=said.say(N_("warns below")), category_label=said.say(N_("Month")),
        open_from=open_from, open_label=said.say(N_("not over yet")) if open_from else "",
    )  # fmt: skip


def _file(said: Language, model: Model, mine: Sequence[Value], *, counts: Shown) -> Response:
    head = [said.say(N_("Month")), said.say(N_("Area")), said.pick(model.title), said.say(N_("Known weight"))]
    rows: list[list[object]] = []
    points = said.say(N_("Score"))
    for component in model.components:
        head += [said.pick(component.title), f"{said.pick(component.title)} {points}"]
    for one in mine:
        parts = [value for part in one.parts for value in ((part.value, part.score) if counts(part) else (None, None))]
        rows.append([one.month, _name(said, one.area), one.value, one.known, *parts])
    notes = [f"{model.id} {model.version}", said.pick(model.remark)]
    return csv_response(f"{model.id}.csv", head, rows, notes)


def _name(said: Language, area: str) -> str:
    if area == DISTRICT:
        return said.say(N_("Whole district"))
    known = towns().get(area)
    return known.said(said) if known else area
