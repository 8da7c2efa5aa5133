"""Indicator definitions: what each figure means, where its rule comes from, its versions and all its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain import measure
from healthbrain.measure import Definition, Figure, built_in, suppression
from healthbrain.web.charts import Chart
from healthbrain.web.export import csv_response
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import cockpit, figures
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_PERIODS = 12  # columns of the table by town


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """One definition in the list."""

    id: str
    title: str
    source: str
    value: str
    target: str
    period: str
    version: str
    poor: bool


@dataclass(frozen=True, slots=True)
class MeasuresPage:
    """Context of measures.html."""

    measures: Sequence[MeasureLine]


@dataclass(frozen=True, slots=True)
class MeasurePage:
    """Context of measure.html."""

    id: str
    title: str
    version: str
    as_of: str
    coverage: str
    formula: str
    reading: str
    document: str
    clause: str
    window: str
    targets: Sequence[tuple[int, str]]
    versions: Sequence[tuple[str, str, str]]
    components: Sequence[tuple[str, str]]
    trend: Chart
    periods: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


async def measures(visit: Visit) -> Response:
    """All definitions with their latest figure."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        area = cockpit.area_of(visit, tree, await cockpit.sees_whole(visit, connection, tree))
        heads = {h.definition.id: h for h in await measure.headline(connection, level=area.level, key=area.key)}
    lines = []
    for one in built_in():
        head = heads.get(one.id)
        target = head.target if head else None
        lines.append(
            MeasureLine(
                one.id,
                figures.title(said, one),
                f"{one.source.document} {one.source.clause}",
                figures.value_text(said, one, head.now.value) if head else "—",
                figures.value_text(said, one, target) if target is not None else "",
                figures.period_text(said, head.now.period) if head else "—",
                one.version,
                bool(figures.poor(one, head.now.value, target)) if head else False,
            )
        )
    return show(visit, "measures.html", MeasuresPage(lines), crumbs=_crumbs(visit))


async def one_measure(visit: Visit) -> Response:
    """One definition; as CSV all its values by place and period."""
    said = visit.language
    definition = measure.definition(visit.request.path_params["measure"])
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        whole = await cockpit.sees_whole(visit, connection, tree)
        area = cockpit.area_of(visit, tree, whole)
        series = await measure.trend(connection, definition.id, level=area.level, key=area.key)
        by_town: dict[str, list[Figure]] = {}
        if whole and area.level == "district":
            for code in towns():
                by_town[code] = await measure.trend(connection, definition.id, level="town", key=code)
        if not await cockpit.sees_people(visit, connection):
            series = suppression.suppress_alone(series, definition)
            by_town = _suppressed(by_town, definition)
    title = figures.title(said, definition)
    if visit.query.get("format") == "csv":
        return _csv(said, definition, area.name, series, by_town)
    last = series[-1] if series else None
    periods = [figure.period for figure in series][-_PERIODS:]
    chart = figures.trend_chart(
        said, "trend", f"{title} · {area.name}", definition, [(area.name, series)], csv=visit.at_url(format="csv")
    )
    page = MeasurePage(
        id=definition.id,
        title=title,
        version=definition.version,
        as_of=said.time(last.as_of) if last else "—",
        coverage=f"{last.coverage.sending}/{last.coverage.registered}" if last else "—",
        formula=figures.words(said, definition.formula),
        reading=figures.words(said, definition.reading),
        document=definition.source.document,
        clause=definition.source.clause,
        window=_window(said, definition),
        targets=[
            (year, figures.value_text(said, definition, value)) for year, value in sorted(definition.targets.items())
        ],
        versions=_versions(said, series),
        components=[(one.id, figures.title(said, one)) for one in measure.components(definition.id)],
        trend=chart,
        periods=periods,
        rows=[(towns()[code].said(said), _values(said, definition, own, periods)) for code, own in by_town.items()],
    )
    return show(visit, "measure.html", page, crumbs=[*_crumbs(visit), Crumb(title)])


def _suppressed(by_town: dict[str, list[Figure]], definition: Definition) -> dict[str, list[Figure]]:
    """The towns' figures without small counts; the towns of one period are parts of the district's figure."""
    periods: dict[tuple[str, str], list[Figure]] = {}
    for own in by_town.values():
        for figure in own:
            periods.setdefault((figure.version, figure.period), []).append(figure)
    shown = {
        (figure.version, figure.period, figure.key): figure
        for parts in periods.values()
        for figure in suppression.suppress(parts, definition)
    }
    return {code: [shown[one.version, one.period, one.key] for one in own] for code, own in by_town.items()}


def _values(said: Language, definition: Definition, own: Sequence[Figure], periods: Sequence[str]) -> list[str]:
    known = {figure.period: figure.value for figure in own}
    return [figures.value_text(said, definition, known.get(period)) for period in periods]


def _versions(said: Language, series: Sequence[Figure]) -> list[tuple[str, str, str]]:
    found: dict[str, list[str]] = {}
    for figure in series:
        found.setdefault(figure.version, []).append(figure.period)
    return [(version, min(periods), max(periods)) for version, periods in found.items()]


def _window(said: Language, definition: Definition) -> str:
    if definition.window_months:
        return said.say(N_("the %(number)s months up to the end of the period")) % {"number": definition.window_months}
    return said.say(N_("the week itself")) if definition.period == "week" else said.say(N_("the month itself"))


def _csv(
    said: Language, definition: Definition, area: str, series: Sequence[Figure], by_town: dict[str, list[Figure]]
) -> Response:
    head = [
        N_("Place"),
        N_("Period"),
        N_("Value"),
        N_("Numerator"),
        N_("Denominator"),
        N_("Low"),
        N_("High"),
        N_("Definition"),
        N_("Data as of"),
    ]
    named = [(area, series), *((towns()[code].said(said), own) for code, own in by_town.items())]
    rows = [
        [name, f.period, f.value, f.numerator, f.denominator, f.low, f.high, f"v{f.version}", said.time(f.as_of)]
        for name, own in named
        for f in own
    ]
    notes = [figures.title(said, definition), figures.words(said, definition.formula)]
    return csv_response(f"{definition.id}.csv", [said.say(text) for text in head], rows, notes)


def _crumbs(visit: Visit) -> list[Crumb]:
    return [Crumb(visit.language.say(N_("Home")), "/"), Crumb(visit.language.say(N_("Indicators")), "/measures")]
