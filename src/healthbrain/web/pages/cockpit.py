"""The cockpit (驾驶舱): headline figures, map, rankings, trends and alerts of a district, a town or an institution.

Reads materialised results only; nothing is computed when a page opens. The whole state of the screen is in its
address: `measure`, `period`, and `area` (a town's code or an institution's code; empty = all one may see).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.responses import Response

from healthbrain import measure
from healthbrain.access import Organisation, Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, NotFound
from healthbrain.measure import Figure, Headline, Level, published, suppression
from healthbrain.measure.published import Reach
from healthbrain.web.charts import Chart
from healthbrain.web.export import csv_response
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import alerts, figures, rankings
from healthbrain.web.pages.cockpit_view import CockpitPage, Kpi, map_view
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_CARDS = 40  # measures with an order below are cards; the others are in the list to choose from
_WEEKLY = "PH-ILI"  # drawn as its own curve, not as a card
_RANKED = 12


@dataclass(frozen=True, slots=True)
class Area:
    """What the screen is about: the district, a town or an institution."""

    level: Level
    key: str  # as measures name it: '', town code, organisation key
    name: str
    code: str  # as the address names it
    town: str = ""  # the town an institution lies in
    alone: bool = False  # the visitor sees the figures of nothing else


async def cockpit(visit: Visit) -> Response:
    """The desk view."""
    page, area, rows = await _page(visit)
    if visit.query.get("format") == "csv":
        head = [
            visit.language.say(text)
            for text in (
                N_("Level"),
                N_("Name"),
                N_("Value"),
                N_("Numerator"),
                N_("Denominator"),
                N_("Low"),
                N_("High"),
                N_("Definition"),
            )
        ]
        as_of = visit.language.say(N_("Data as of"))
        notes = [page.measure_title, page.period, f"{as_of} {page.as_of}"]
        return csv_response(f"cockpit-{page.measure}.csv", head, rows, notes)
    return show(visit, "cockpit.html", page, crumbs=crumbs(visit, area, page.measure))


async def wall(visit: Visit) -> Response:
    """The wall: the same figures without a way to single people, refreshed every minute; each opening is logged."""
    page, _, _ = await _page(visit)
    if not visit.request.headers.get("hx-request"):
        visit.note("R", "indicator", page.measure, interaction="wall")
    return show(visit, "wall.html", page, refresh=60)


def crumbs(visit: Visit, area: Area, chosen: str, *more: Crumb) -> list[Crumb]:
    """District → town → institution → …"""
    said = visit.language
    steps = [
        Crumb(said.say(N_("Home")), "/"),
        Crumb(said.say(N_("Cockpit")), f"/cockpit?{urlencode({'measure': chosen})}"),
    ]
    if area.level == "institution" and area.town in towns() and not area.alone:
        town = towns()[area.town]
        steps.append(Crumb(town.said(said), _url(measure=chosen, area=town.code)))
    if area.level != "district":
        steps.append(Crumb(area.name, _url(measure=chosen, area=area.code)))
    return [*steps, *more]


def area_of(visit: Visit, tree: Tree, whole: bool, wanted: str | None = None) -> Area:
    """The area that is wanted (None = what the address names), if the visitor may see it. Raises Forbidden, NotFound."""
    said = visit.language
    wanted = visit.query.get("area", "") if wanted is None else wanted
    if not whole:
        own = tree.nearest(visit.who.organisation, "institution")
        if own is None:
            raise Forbidden("your account belongs to no institution, so there is no figure to show")
        if wanted not in ("", tree[own].code):
            raise Forbidden("figures of other institutions are not open to your role")
        return replace(_institution(tree, tree[own]), alone=True)
    if not wanted:
        root = tree.nearest(visit.who.organisation, "district", "municipality")
        return Area("district", "", tree.name(root) if root is not None else said.say(N_("District")), "")
    if wanted in towns():
        return Area("town", wanted, towns()[wanted].said(said), wanted)
    node = tree.by_code(wanted)
    if node is None:
        raise NotFound("there is no town or institution with this code")
    return _institution(tree, node)


async def sees_whole(visit: Visit, connection: Connection, tree: Tree) -> bool:
    """Whether the visitor's figures are those of a whole district."""
    scope = await visit.decide(connection, "search", "indicator")
    if scope.organisations is None:
        return True
    return tree.nearest(visit.who.organisation, "institution") is None


async def sees_people(visit: Visit, connection: Connection) -> bool:
    """Whether the visitor may see the people behind figures; small counts are hidden from who may not."""
    try:
        return (await visit.decide(connection, "read", "Patient")).identified
    except Forbidden:
        return False


async def _page(visit: Visit) -> tuple[CockpitPage, Area, list[list[object]]]:
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        tree = await visit.platform.tree(connection)
        whole = await sees_whole(visit, connection, tree)
        area = area_of(visit, tree, whole)
        people = await sees_people(visit, connection)
        heads = await measure.headline(connection, level=area.level, key=area.key)
        heads = heads if people else await guarded(connection, heads, area)
        chosen = _chosen(heads, visit.query.get("measure", ""))
        if whole and not people and visit.query.get("measure", "") != chosen:
            chosen = await _showable(connection, heads) or chosen
        series = await measure.trend(connection, chosen, level=area.level, key=area.key) if chosen else []
        known = [figure.period for figure in series]
        period = wanted if (wanted := visit.query.get("period", "")) in known else (known[-1] if known else "")
        by_town = await measure.by_division(connection, chosen, period or None) if chosen and whole else []
        by_place = await measure.by_institution(connection, chosen, period or None) if chosen else []
        district = await measure.trend(connection, chosen) if chosen and whole and area.level != "district" else []
        weekly = await measure.trend(connection, _WEEKLY, level=area.level, key=area.key)
        if not people:
            safe = await published.figures(connection, sorted({chosen, _WEEKLY} - {""}), Reach(whole=True))
            by_town, by_place, series, district, weekly = (
                published.as_published(one, safe) for one in (by_town, by_place, series, district, weekly)
            )
        noticed = await alerts.noticed(visit, connection, tree, whole)
    places = [f for f in by_place if _belongs(tree, f, area, whole)]
    definition = measure.definition(chosen) if chosen else None
    name = figures.title(said, definition) if definition else ""
    figure = next((f for f in series if f.period == period), None)
    base = {"measure": chosen, "period": visit.query.get("period", "")}
    target = definition.target(int(period[:4])) if definition and period else None
    marked = (area.code, area.town)
    town_places = rankings.town_places(said, by_town, marked)
    beside = rankings.institution_places(tree, places, (area.code,))

    def link(code: str) -> str:
        return _url(**base, area=code)

    town_values = rankings.town_values(said, town_places, chosen, link if whole else lambda _: "")
    page = CockpitPage(
        title=said.say(N_("%(area)s cockpit")) % {"area": area.name} if not said.chinese else f"{area.name} · 驾驶舱",
        lede="",
        period=figures.period_text(said, period) if period else "—",
        periods=[(p, figures.period_text(said, p)) for p in sorted(set(known), reverse=True)],
        as_of=said.time(figure.as_of) if figure else "—",
        coverage=_coverage(figure),
        measure=chosen,
        measure_title=name,
        measures=[(h.definition.id, figures.title(said, h.definition)) for h in heads],
        area=area.code,
        kpis=_cards(said, [h for h in heads if h.definition.order < _CARDS or h.definition.id == chosen], chosen, area),
        map=map_view(
            said,
            name,
            town_values,
            "%" if definition and definition.unit == "%" else "",
            0,
            few=any(figure.suppressed for figure in by_town),
        ),
        towns=rankings.ranks(said, chosen, town_places, link, target) if by_town else [],
        places=rankings.ranks(said, chosen, beside, link, target)[:_RANKED],
        places_title=said.say(N_("Institutions"))
        if area.level == "district"
        else " · ".join((said.say(N_("Institutions")), area.name)),
        trend=_trend(said, chosen, area, series, district, base),
        weekly=_weekly(said, weekly),
        alerts=noticed,
        export=visit.at_url(format="csv", measure=chosen),
        persons_url=_persons_url(chosen, area),
        stale=_stale(visit, figure),
    )
    rows = _rows(said, tree, [*by_town, *places], series, period)
    return page, area, rows


def _institution(tree: Tree, node: Organisation) -> Area:
    return Area("institution", str(node.key), node.name, node.code, tree.division(node.key)[:9])


def _url(**query: str) -> str:
    return "/cockpit?" + urlencode({key: value for key, value in query.items() if value})


def _chosen(heads: Sequence[Headline], wanted: str) -> str:
    known = [head.definition.id for head in heads]
    if wanted in known:
        return wanted
    return next(iter(_outcomes(heads)), known[0] if known else "")


def _outcomes(heads: Sequence[Headline]) -> list[str]:
    """Shares with a target: an outcome tells a leader more than data coverage, which comes first in the definitions."""
    shares = [h.definition for h in heads if h.definition.kind == "proportion" and h.target]
    shares.sort(key=lambda one: not one.members)  # one whose people can be listed leads further
    return [one.id for one in shares if one.id != "HUB-EX-11"]


async def _showable(connection: Connection, heads: Sequence[Headline]) -> str:
    """The first outcome whose figures may be shown for most towns, so that a reader without small counts has a map."""
    for id_ in _outcomes([head for head in heads if head.definition.order < _CARDS]):
        parts = suppression.suppress(await measure.by_division(connection, id_), measure.definition(id_))
        if sum(figure.value is not None for figure in parts) * 2 > len(towns()):
            return id_
    return ""


def _belongs(tree: Tree, figure: Figure, area: Area, whole: bool) -> bool:
    key = _key(figure)
    if key is None or key not in tree:
        return False
    if not whole:
        return figure.key == area.key
    town = area.key if area.level == "town" else area.town
    return area.level == "district" or not town or tree.division(key)[:9] == town


def _key(figure: Figure) -> int | None:
    return int(figure.key) if figure.key.isdecimal() else None


def _coverage(figure: Figure | None) -> str:
    return f"{figure.coverage.sending}/{figure.coverage.registered}" if figure else "—"


def _stale(visit: Visit, figure: Figure | None) -> str:
    if figure is None:
        return visit.language.say(
            N_("No figure has been computed yet. Figures appear after the first data have arrived.")
        )
    if (visit.at - figure.computed_at).total_seconds() > 86400:
        return visit.language.say(N_("These figures were computed more than a day ago."))
    return ""


async def guarded(connection: Connection, heads: Sequence[Headline], area: Area) -> list[Headline]:
    """Headlines without small counts; of a place also without what figures of other places would give away."""
    if area.level == "district" or area.alone:
        return suppression.suppress_headlines(heads)
    return await published.headlines(connection, heads)


def _cards(said: Language, heads: Sequence[Headline], chosen: str, area: Area) -> list[Kpi]:
    shown = [head for head in heads if head.definition.id != _WEEKLY][:8]
    return [
        figures.card(
            said, head, url=_url(measure=head.definition.id, area=area.code), chosen=head.definition.id == chosen
        )
        for head in shown
    ]


def _trend(
    said: Language, chosen: str, area: Area, series: Sequence[Figure], district: Sequence[Figure], base: dict[str, str]
) -> Chart:
    if not chosen:
        return Chart("trend", said.say(N_("Trend")), (), ())
    definition = measure.definition(chosen)
    lines: list[tuple[str, Sequence[Figure]]] = [(area.name, series)]
    if district:
        lines.append((said.say(N_("Whole district")), district))
    return figures.trend_chart(
        said, "trend", " · ".join((figures.title(said, definition), said.say(N_("Trend")))), definition, lines,
        csv=f"/measures/{chosen}?{urlencode({'area': area.code, 'format': 'csv'})}",
    )  # fmt: skip


def _weekly(said: Language, weekly: Sequence[Figure]) -> Chart | None:
    if not weekly:
        return None
    definition = measure.definition(_WEEKLY)
    return figures.trend_chart(
        said, "weekly", figures.title(said, definition), definition, [(figures.title(said, definition), weekly)]
    )


def _persons_url(chosen: str, area: Area) -> str:
    if not chosen or not measure.definition(chosen).members:
        return ""
    return "/cockpit/persons?" + urlencode({"measure": chosen, "area": area.code})


def _rows(
    said: Language, tree: Tree, shown: Sequence[Figure], series: Sequence[Figure], period: str
) -> list[list[object]]:
    rows: list[list[object]] = []
    for figure in [*(f for f in series if f.period == period), *shown]:
        name = ""
        if figure.level == "town":
            name = towns()[figure.key].said(said) if figure.key in towns() else said.say(N_("Town unknown"))
        elif figure.level == "institution":
            name = tree.name(int(figure.key)) if figure.key.isdecimal() else said.say(N_("Institution unknown"))
        rows.append(
            [
                figure.level,
                name,
                figure.value,
                figure.numerator,
                figure.denominator,
                figure.low,
                figure.high,
                figure.version,
            ]
        )
    return rows
