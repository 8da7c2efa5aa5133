"""Indicator definitions: what each figure means, where its rule comes from, its versions and all its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from healthbrain import measure
from healthbrain.measure import Definition, Figure, Headline, published, suppression
from healthbrain.measure.published import Reach
from healthbrain.web.charts import Chart
from healthbrain.web.export import csv_response
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import cockpit, figures
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_PERIODS = 12  # columns of the table by town
_ITSELF = {
    "week": N_("the week itself"), "month": N_("the month itself"), "quarter": N_("the quarter itself"),
    "year": N_("the year itself"), "rolling": N_("the months up to the day of the data"),
}  # fmt: skip


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

    groups: Sequence[tuple[str, Sequence[MeasureLine]]]  # by the document the definitions come from
    asked: str
    counted: bool  # only those that have a value
    found: int


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
    """All definitions with their latest figure, by source; `q` keeps those that hold the words, `counted` those with a value."""
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        area = cockpit.area_of(visit, tree, await cockpit.sees_whole(visit, connection, tree))
        found = await measure.headline(connection, level=area.level, key=area.key)
        if not await cockpit.sees_people(visit, connection):
            found = await cockpit.guarded(connection, found, area)
    heads = {head.definition.id: head for head in found}
    asked, counted = visit.query.get("q", "").strip()[:80], bool(visit.query.get("counted"))
    shown = [
        one
        for one in measure.defined()
        if _holds(one, asked.lower().split())
        and (not counted or (one.id in heads and heads[one.id].now.value is not None))
    ]
    page = MeasuresPage(_grouped(visit.language, shown, heads), asked, counted, len(shown))
    return show(visit, "measures.html", page, crumbs=_crumbs(visit))


def _holds(one: Definition, words: Sequence[str]) -> bool:
    text = " ".join((one.id, *one.title.values(), one.source.document, one.source.clause)).lower()
    return all(word in text for word in words)


def _grouped(
    said: Language, shown: Sequence[Definition], heads: Mapping[str, Headline]
) -> list[tuple[str, list[MeasureLine]]]:
    """The lines under their source; sources of only one or two measures come together at the end."""
    sources = Counter(_family(one) for one in measure.defined())
    groups: dict[str, list[MeasureLine]] = {}
    for one in shown:
        family = _family(one)
        groups.setdefault(family if sources[family] > 2 else "", []).append(_line(said, one, heads.get(one.id)))
    rest = groups.pop("", [])
    return [*groups.items(), *([(said.say(N_("Other sources")), rest)] if rest else [])]


def _family(one: Definition) -> str:
    """The first document a definition names, without its part or edition."""
    return re.split("[；（(]", one.source.document)[0].removesuffix("指标框架")


def _source(one: Definition) -> str:
    """Document and clause, without the name that stands over the group."""
    text = f"{one.source.document} {one.source.clause}"
    return text.removeprefix(_family(one)).removeprefix("（第三版，2017）").lstrip("； ")


def _line(said: Language, one: Definition, head: Headline | None) -> MeasureLine:
    target = head.target if head else None
    return MeasureLine(
        one.id,
        figures.title(said, one),
        _source(one),
        _latest(said, one, head),
        figures.value_text(said, one, target) if target is not None else "",
        figures.period_text(said, head.now.period) if head else "—",
        one.version,
        bool(figures.poor(one, head.now.value, target)) if head else False,
    )


def _latest(said: Language, one: Definition, head: Headline | None) -> str:
    if head is None:
        return "—"
    if head.now.value is None:
        return figures.missing(said, head.now)
    return " ".join(
        (figures.value_text(said, one, head.now.value), figures.unit(said, one) if one.unit != "%" else "")
    ).strip()


async def one_measure(visit: Visit) -> Response:
    """One definition; as CSV all its values by place and period."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        definition = await measure.current(connection, visit.request.path_params["measure"])
        tree = await visit.platform.tree(connection)
        whole = await cockpit.sees_whole(visit, connection, tree)
        area = cockpit.area_of(visit, tree, whole)
        series = await measure.trend(connection, definition.id, level=area.level, key=area.key)
        by_town: dict[str, list[Figure]] = {}
        if whole and area.level == "district":
            for code in towns():
                by_town[code] = await measure.trend(connection, definition.id, level="town", key=code)
        if not await cockpit.sees_people(visit, connection):
            if area.alone:
                series = suppression.suppress_alone(series, definition)
            else:
                safe = await published.figures(connection, [definition.id], Reach(whole=True))
                series = published.as_published(series, safe)
                by_town = {code: published.as_published(own, safe) for code, own in by_town.items()}
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


def _values(said: Language, definition: Definition, own: Sequence[Figure], periods: Sequence[str]) -> list[str]:
    known = {figure.period: figure for figure in own}
    return [
        figures.missing(said, figure)
        if (figure := known.get(period)) is not None and figure.suppressed
        else figures.value_text(said, definition, figure.value if figure else None)
        for period in periods
    ]


def _versions(said: Language, series: Sequence[Figure]) -> list[tuple[str, str, str]]:
    found: dict[str, list[str]] = {}
    for figure in series:
        found.setdefault(figure.version, []).append(figure.period)
    return [(version, min(periods), max(periods)) for version, periods in found.items()]


def _window(said: Language, definition: Definition) -> str:
    if definition.window_months:
        return said.say(N_("the %(number)s months up to the end of the period")) % {"number": definition.window_months}
    return said.say(_ITSELF[definition.period])


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
