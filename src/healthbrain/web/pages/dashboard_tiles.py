"""One tile drawn for one viewer: computed with the viewer's permissions and scope, within a time budget, never failing the board.

What the viewer may not see, what takes too long and what breaks is said in the tile. Figures are those that are published, with small
counts hidden as everywhere (`measure.published`); questions are answered as in ad-hoc analysis.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from urllib.parse import urlencode

from healthbrain import measure
from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden, HealthBrainError, Incorrect, NotFound
from healthbrain.lake import library
from healthbrain.measure import Definition, Figure, Headline, analysis, published
from healthbrain.measure.analysis import Filter, Question, Reader, saved
from healthbrain.measure.analysis.ahead import first_day, following
from healthbrain.measure.analysis.question import check
from healthbrain.measure.analysis.saved import Reading
from healthbrain.measure.analysis.sources import INSTITUTION, TOWN
from healthbrain.measure.dashboards import Tile
from healthbrain.measure.periods import grain_of, year_before
from healthbrain.measure.published import Reach
from healthbrain.runtime import catalogue
from healthbrain.scope import Scope
from healthbrain.web import wording
from healthbrain.web.geography import towns
from healthbrain.web.language import CHINA, N_, Language
from healthbrain.web.pages import analysis_form, analysis_view, cockpit, figures, rankings
from healthbrain.web.pages.analysis_answer import answered, reach_of, sees_rows
from healthbrain.web.pages.analysis_saved import reading
from healthbrain.web.pages.cockpit import Area
from healthbrain.web.pages.cockpit_view import map_view
from healthbrain.web.pages.dashboard_view import KINDS, Shown
from healthbrain.web.visit import Visit

log = logging.getLogger("healthbrain.dashboards")

SECONDS = 10.0  # a tile may take
HISTORY = 12  # figures of the small line on a card
ROWS = 12  # of a table or a ranking in a tile
_PERIOD = re.compile(r"\d{4}(-(0[1-9]|1[0-2])|-Q[1-4])?")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and what that opens."""

    visit: Visit
    tree: Tree
    reading: Reading
    scope: Scope
    reach: Reach


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the whole board is limited to; '' = as each tile says."""

    area: str = ""
    period: str = ""

    @property
    def query(self) -> dict[str, str]:
        """As parameters of an address."""
        return {key: value for key, value in (("area", self.area), ("period", self.period)) if value}


async def viewer_of(visit: Visit, connection: Connection) -> Viewer:
    """The visitor's view of figures. Raises Forbidden for who may not see any."""
    scope = await visit.decide(connection, "read", "indicator")
    tree = await visit.platform.tree(connection)
    await measure.in_force(connection)  # tiles may name own measures as they are now
    return Viewer(visit, tree, await reading(visit, connection), scope, await reach_of(visit, connection, tree))


def wanted_of(area: str, period: str) -> Wanted:
    """Limits as they are typed. Raises Incorrect."""
    if period and not _PERIOD.fullmatch(period):
        raise Incorrect("a period is written 2026, 2026-Q4 or 2026-10")
    return Wanted(area, period)


async def draw(viewer: Viewer, tile: Tile, wanted: Wanted, board_url: str, *, now: bool = False) -> Shown:
    """The tile with its content, or with the reason why there is none; questions come `later` unless they are wanted `now`."""
    said = viewer.visit.language
    bare = _bare(said, tile, wanted, board_url)
    if tile.kind == "question" and not now and not tile.fault:
        return replace(bare, later=f"{board_url}/tiles/{tile.id}?{urlencode(wanted.query)}", csv="", excel="")
    if tile.fault:
        return replace(bare, problem=wording.tell(said, tile.fault), csv="", excel="")
    try:
        async with asyncio.timeout(SECONDS + 2):
            return await _content(viewer, tile, wanted, bare)
    except TimeoutError:
        problem = said.say(N_("This tile took longer than %(seconds)s seconds and was stopped.")) % {
            "seconds": int(SECONDS)
        }
    except analysis.Stopped:
        problem = said.say(N_("Stopped."))
    except HealthBrainError as error:
        problem = wording.tell(said, error.message)
    except Exception:
        log.exception("tile %s of %s cannot be drawn", tile.id, board_url)
        problem = said.say(N_("This tile cannot be shown because of a fault on our side; the others are not affected."))
    return replace(bare, problem=problem, csv="", excel="")


def _bare(said: Language, tile: Tile, wanted: Wanted, board_url: str) -> Shown:
    file = f"{board_url}/tiles/{tile.id}?"
    open_ = tile.kind not in {"note", "dataset", "question"}  # a question is exported by its analysis
    known = next((one for one in measure.defined() if one.id == tile.measure), None)
    plain = figures.title(said, known) if known else said.say(KINDS[tile.kind])
    return Shown(
        tile.id, tile.kind, tile.size, figures.words(said, tile.title) if tile.title else plain,
        csv=file + urlencode({**wanted.query, "format": "csv"}) if open_ else "",
        excel=file + urlencode({**wanted.query, "format": "xlsx"}) if open_ else "",
    )  # fmt: skip


async def _content(viewer: Viewer, tile: Tile, wanted: Wanted, bare: Shown) -> Shown:
    if tile.kind == "note":
        text = figures.words(viewer.visit.language, tile.text or {})
        return replace(
            bare, title=bare.title if tile.title else "", text=[one for one in text.splitlines() if one.strip()]
        )
    if tile.kind == "question":
        return await _question(viewer, tile, wanted, bare)
    async with viewer.visit.platform.pool.connection() as connection:
        if tile.kind == "dataset":
            return await _dataset(viewer, connection, tile, bare)
        return await _measure(viewer, connection, tile, wanted, bare)


async def _measure(viewer: Viewer, connection: Connection, tile: Tile, wanted: Wanted, bare: Shown) -> Shown:
    """A tile of a measure: the figures in reach, up to the period that is wanted."""
    said = viewer.visit.language
    known = await measure.current(connection, tile.measure)
    if not viewer.reach.whole and (tile.kind == "map" or (tile.kind == "ranking" and tile.units == "town")):
        raise Forbidden("figures of other institutions are not open to your role")
    area = cockpit.area_of(viewer.visit, viewer.tree, viewer.reach.whole, wanted.area or tile.area)
    until = last_day(wanted.period or tile.period)
    found = [
        one
        for one in await published.figures(connection, [known.id], viewer.reach)
        if grain_of(one.period) == known.period and not one.stratifier and (until is None or one.to <= until)
    ]
    own = _over_time(found, area)
    name = figures.title(said, known)
    bare = replace(bare, title=bare.title if tile.title else name)
    if not own and not (tile.kind == "ranking" and found):
        return replace(
            bare, about=area.name, empty=said.say(N_("No figure for this place and period")), csv="", excel=""
        )
    match tile.kind:
        case "figure":
            return _card(said, known, area, own, bare)
        case "trend":
            return _trend(said, known, area, own, _over_time(found, _WHOLE) if viewer.reach.whole else [], bare)
        case "ranking":
            return _ranking(viewer, known, area, tile, found, bare)
    return _map(viewer, known, area, found, bare)


_WHOLE = Area("district", "", "", "")


def _over_time(found: Sequence[Figure], area: Area) -> list[Figure]:
    """One place's figures, oldest first; of a period that two versions have, both, the newer last."""
    own = [one for one in found if one.level == area.level and one.key == area.key]
    return sorted(own, key=lambda one: (one.period, one.computed_at))


def _card(said: Language, known: Definition, area: Area, own: Sequence[Figure], bare: Shown) -> Shown:
    now = own[-1]
    same = {one.period: one for one in own if one.version == now.version}
    earlier = sorted(period for period in same if period < now.period)
    head = Headline(
        known, now, same[earlier[-1]] if earlier else None, same.get(year_before(now.period)), known.target(now.to.year)
    )
    kpi = figures.card(
        said, head, url=_leads(known, area), chosen=False, history=[one.value for one in own[-HISTORY:]]
    )  # fmt: skip
    about = _about(said, area, now)
    return replace(bare, kpi=kpi, about=about, url=_leads(known, area), lines=[(area.name, now)])


def _trend(
    said: Language, known: Definition, area: Area, own: Sequence[Figure], whole: Sequence[Figure], bare: Shown
) -> Shown:
    lines: list[tuple[str, Sequence[Figure]]] = [(area.name, own)]
    if area.level != "district" and whole:
        lines.append((said.say(N_("Whole district")), whole))
    chart = figures.trend_chart(
        said, f"trend-{bare.id}", f"{bare.title} · {area.name}", known, lines, csv=bare.csv, low=True
    )
    exported = [(name, one) for name, series in lines for one in series]
    return replace(
        bare, chart=chart, about=_about(said, area, own[-1]), url=_leads(known, area), lines=exported
    )  # fmt: skip


def _ranking(viewer: Viewer, known: Definition, area: Area, tile: Tile, found: Sequence[Figure], bare: Shown) -> Shown:
    said, tree = viewer.visit.language, viewer.tree
    at = _latest(found, tile.units)
    if tile.units == "town":
        places = rankings.town_places(said, at, (area.code, area.town)) if at else []
    else:
        inside = [one for one in at if _inside(tree, one, area)]
        places = rankings.institution_places(tree, inside, (area.code,))
    if not places:
        return replace(bare, empty=said.say(N_("No figure for this place and period")), csv="", excel="")
    target = known.target(at[0].to.year)
    ranks = rankings.ranks(said, known.id, places, lambda code: _url(known, code), target)
    lines = [(place.name, place.figure) for place in places if place.figure is not None]
    about = f"{area.name} · {_when(said, at[0])}"
    return replace(bare, ranks=ranks, about=about, url=_leads(known, area), lines=lines)


def _map(viewer: Viewer, known: Definition, area: Area, found: Sequence[Figure], bare: Shown) -> Shown:
    said = viewer.visit.language
    at = _latest(found, "town")
    if not at:
        return replace(bare, empty=said.say(N_("This measure has no figures by town")), csv="", excel="")
    places = rankings.town_places(said, at, (area.code, area.town))
    values = rankings.town_values(said, places, known.id, lambda code: _url(known, code))
    unit = "%" if known.unit == "%" else ""
    drawn = map_view(said, bare.title, values, unit, 0, few=any(one.suppressed for one in at))
    lines = [(place.name, place.figure) for place in places if place.figure is not None]
    return replace(bare, map=drawn, about=_when(said, at[0]), url=_leads(known, area), lines=lines)


def _latest(found: Sequence[Figure], level: str) -> list[Figure]:
    """The figures of one level in its last period; of several versions the newest."""
    own = [one for one in found if one.level == level]
    if not own:
        return []
    last = max(own, key=lambda one: (one.period, one.computed_at))
    return [one for one in own if (one.period, one.version) == (last.period, last.version)]


def _inside(tree: Tree, figure: Figure, area: Area) -> bool:
    town = area.key if area.level == "town" else area.town
    return not town or (
        figure.key.isdecimal() and int(figure.key) in tree and tree.division(int(figure.key))[:9] == town
    )


async def _question(viewer: Viewer, tile: Tile, wanted: Wanted, bare: Shown) -> Shown:
    visit, said = viewer.visit, viewer.visit.language
    asked, name = tile.question, ""
    async with visit.platform.pool.connection() as connection:
        if tile.saved:
            kept = await saved.one(connection, viewer.reading, tile.saved)
            asked, name = kept.question, kept.name
        if asked is None:
            raise Incorrect("choose the saved question that the tile shows")
        source = analysis.source_of(asked.source)
        people = await sees_rows(visit, connection, source)
    limited, notes = limited_question(viewer, asked, wanted)
    reader = Reader(viewer.scope.organisations, people)
    found = await answered(visit, limited, reader, seconds=SECONDS)
    visit.note("E", "indicator", detail=f"question on {asked.source} in a dashboard tile")
    ahead = analysis.look_ahead(found.table, visit.at.astimezone(CHINA).date())
    csv = analysis_form.address(limited, format="csv")
    chart = analysis_view.chart(said, source, found, ahead, csv)
    table = analysis_view.shown_table(said, source, found, drill=False, rows=ROWS)
    if source.personal and not people:
        notes.append(said.say(N_("Small numbers are hidden from your role.")))
    nothing = limited.rows and not table.lines
    return replace(
        bare, title=bare.title if tile.title else name or figures.words(said, source.title),
        about=f"{said.say(N_('Data as of'))} {said.time(found.as_of)}",
        chart=replace(chart, key=f"question-{tile.id}", low=True) if chart else None, table=None if chart or nothing else table,
        empty=said.say(N_("No rows fit this question")) if nothing else "", notes=notes,
        url=analysis_form.address(limited), csv=csv, excel=analysis_form.address(limited, format="xlsx"),
    )  # fmt: skip


def limited_question(viewer: Viewer, asked: Question, wanted: Wanted) -> tuple[Question, list[str]]:
    """The question with the board's limits as filters, and what of them it cannot follow."""
    said, source = viewer.visit.language, analysis.source_of(asked.source)
    filters, notes = list(asked.filters), list[str]()
    if wanted.area:
        place = _place(viewer.tree, wanted.area)
        if place.column in {one.name for one in source.columns}:
            filters.append(place)
        else:
            notes.append(said.say(N_("The board’s place does not apply to this tile.")))
    first, last = first_of(wanted.period), last_day(wanted.period)
    if first is not None and last is not None:
        if source.day:
            filters.append(Filter(source.day, "between", (first.isoformat(), last.isoformat())))
        else:
            notes.append(said.say(N_("The board’s period does not apply to this tile.")))
    return check(replace(asked, filters=tuple(filters))), notes


def _place(tree: Tree, area: str) -> Filter:
    """A town or an institution as a filter of rows. Raises NotFound."""
    if area in towns():
        return Filter(TOWN, "in", (area,))
    node = tree.by_code(area)
    if node is None:
        raise NotFound("there is no town or institution with this code")
    return Filter(INSTITUTION, "in", (str(node.key),))


async def _dataset(viewer: Viewer, connection: Connection, tile: Tile, bare: Shown) -> Shown:
    said = viewer.visit.language
    view = library.find(*tile.dataset.split("."))
    mine = (await catalogue.counted(connection)).get(view.id)
    url = f"/catalogue/{view.library}/{view.name}"
    title = bare.title if tile.title else figures.words(said, view.title)
    if mine is None:
        return replace(bare, title=title, url=url, empty=said.say(N_("This data set has not been counted yet")))
    facts = [
        (said.say(N_("Rows")), said.number(mine.rows)),
        (said.say(N_("Newest entry")), said.time(mine.newest)),
        (said.say(N_("Counted")), said.time(mine.as_of)),
        (said.say(N_("Institutions that send it")), said.number(len(mine.owners))),
    ]
    days = (viewer.visit.at - mine.newest).days if mine.newest else None
    notes = [said.say(N_("Nothing new for %(days)s days.")) % {"days": days}] if days is not None and days > 7 else []
    return replace(bare, title=title, facts=facts, notes=notes, url=url)


def last_day(label: str) -> date | None:
    """The last day of a period; None for no period. Raises Incorrect."""
    grain = grain_of(label)
    if first_of(label) is None or grain == "rolling":
        return None
    return first_day(following(label, grain, 1)[0], grain) - timedelta(days=1)


def first_of(label: str) -> date | None:
    """The first day of a period; None for no period. Raises Incorrect."""
    wanted_of("", label)
    grain = grain_of(label)
    return first_day(label, grain) if label and grain != "rolling" else None


def _about(said: Language, area: Area, now: Figure) -> str:
    return f"{area.name} · {_when(said, now)}"


def _when(said: Language, now: Figure) -> str:
    return f"{figures.period_text(said, now.period)} · {said.say(N_('Data as of'))} {said.time(now.as_of)}"


def _leads(known: Definition, area: Area) -> str:
    return _url(known, area.code)


def _url(known: Definition, code: str) -> str:
    return "/cockpit?" + urlencode({key: value for key, value in (("measure", known.id), ("area", code)) if value})
