"""Own dashboards (数据可视化应用): the list, one board, its tiles and files, the wall.

Who may read indicators may look at boards and compose them; what a board shows follows the permissions of who looks. HUB-DS-08.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from starlette.responses import Response

from healthbrain import measure
from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Incorrect
from healthbrain.lake import library
from healthbrain.measure import dashboards
from healthbrain.measure.analysis import saved
from healthbrain.measure.dashboards import Board, Tile, kept
from healthbrain.measure.dashboards.kept import Kept
from healthbrain.runtime import catalogue
from healthbrain.web import guard, wording
from healthbrain.web.export import csv_response, excel_response
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import dashboard_tiles, figures
from healthbrain.web.pages.dashboard_tiles import Viewer, Wanted
from healthbrain.web.pages.dashboard_view import (
    ACTIONS,
    KINDS,
    SHARED,
    BoardLine,
    BoardPage,
    BoardsPage,
    Choice,
    Edit,
    Origin,
    Shown,
)
from healthbrain.web.screen import Crumb, Toast, show
from healthbrain.web.visit import Visit

_AT_ONCE = 3  # tiles of one board that are drawn at the same time
SAID = {
    "made": N_("The board is there; add its first tile."), "copied": N_("This is your own copy now."),
    "imported": N_("The board is taken in."), "added": N_("The tile is added."), "changed": N_("The tile is changed."),
    "removed": N_("The tile is removed."), "moved": N_("The tile is moved."), "sized": N_("The tile has another size."),
    "settings": N_("The board is changed."), "restored": N_("The earlier version is back."), "deleted": N_("The board is deleted."),
    "undeleted": N_("The board is back."),
}  # fmt: skip
_TAKEN_BACK = {"added", "changed", "removed", "moved", "sized", "settings"}


class Opened:
    """A board that the visitor may see, kept or built in."""

    def __init__(self, viewer: Viewer, board: Board, id_: str, kept_: Kept | None) -> None:
        self.viewer, self.board, self.id, self.kept = viewer, board, id_, kept_
        self.own = kept_ is not None and kept_.owner == viewer.visit.who.account

    @property
    def url(self) -> str:
        """Its address."""
        return f"/dashboards/{quote(self.id)}"

    @property
    def wanted(self) -> Wanted:
        """What the address, else the board itself, limits all tiles to."""
        query = self.viewer.visit.query
        area, period = (
            query.get(key, "").strip() if key in query else getattr(self.board, key) for key in ("area", "period")
        )
        return dashboard_tiles.wanted_of(area, period)


async def opened(visit: Visit, connection: Connection) -> Opened:
    """The board that the address names. Raises NotFound, Forbidden."""
    viewer = await dashboard_tiles.viewer_of(visit, connection)
    id_ = str(visit.request.path_params["board"])
    if id_.isdigit() and len(id_) < 18:
        found = await kept.one(connection, viewer.reading, int(id_))
        return Opened(viewer, found.board, id_, found)
    return Opened(viewer, dashboards.built_in_one(id_).board, id_, None)


async def overview(visit: Visit) -> Response:
    """All boards that this visitor may open."""
    return await show_overview(visit)


async def show_overview(visit: Visit, error: str = "") -> Response:
    """The list, with what was wrong with a form."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        viewer = await dashboard_tiles.viewer_of(visit, connection)
        found = await kept.listed(connection, viewer.reading)
    lines = [
        BoardLine(
            f"/dashboards/{one.kept.id}", _word(said, one.kept.board.name), _word(said, one.kept.board.description),
            one.kept.owner, one.kept.owner == visit.who.account, said.say(SHARED[one.kept.shared]), said.number(one.tiles),
            said.time(one.kept.changed_at),
        )
        for one in found
    ]  # fmt: skip
    built_in = [
        BoardLine(
            f"/dashboards/{one.id}", _word(said, one.board.name), _word(said, one.board.description), "", False, "",
            said.number(len(one.board.tiles)), "",
        )
        for one in dashboards.built_in()
    ]  # fmt: skip
    return show(visit, "dashboards.html", BoardsPage(lines, built_in, error), crumbs=crumbs(said), toast=toast(visit))


async def one_board(visit: Visit) -> Response:
    """A board; with `edit` its tools, with `format` its file."""
    async with visit.platform.pool.connection() as connection:
        found = await opened(visit, connection)
        if form := visit.query.get("format"):
            return await _file(connection, found, form)
    return await show_board(found)


async def show_board(found: Opened, error: str = "") -> Response:
    """The board's page."""
    visit = found.viewer.visit
    visit.note("R", "indicator", detail=f"dashboard {found.id}")
    page = await _page(found, editing=found.own and "edit" in visit.query, error=error)
    steps = [*crumbs(visit.language), Crumb(page.name)]
    return show(visit, "dashboard.html", page, crumbs=steps, toast=toast(visit, found.url))


async def wall(visit: Visit) -> Response:
    """The board on a screen seen from across a room, refreshed every minute."""
    async with visit.platform.pool.connection() as connection:
        found = await opened(visit, connection)
    page = await _page(found, editing=False)
    if not visit.request.headers.get("hx-request"):
        visit.note("R", "indicator", detail=f"dashboard {found.id}", interaction="wall")
    return show(visit, "dashboard_wall.html", page, refresh=60)


async def tile(visit: Visit) -> Response:
    """One tile's content, or its figures as a file."""
    said = visit.language
    async with visit.platform.pool.connection() as connection:
        found = await opened(visit, connection)
    one = found.board.tile(str(visit.request.path_params["tile"]))
    shown = await dashboard_tiles.draw(found.viewer, one, found.wanted, found.url, now=True)
    form = visit.query.get("format", "")
    if not form:
        steps = [*crumbs(said), Crumb(_word(said, found.board.name), found.url), Crumb(shown.title)]
        template = "dashboard_tile.html" if visit.request.headers.get("hx-request") else "dashboard_one_tile.html"
        return show(visit, template, shown, crumbs=steps)
    if shown.problem or not shown.lines:
        raise Incorrect("the tile has no figures that a file could carry")
    visit.note("R", "indicator", detail=f"dashboard {found.id}, tile {one.id} as {form}")
    head = [
        said.say(text)
        for text in (
            N_("Place"), N_("Period"), N_("Value"), N_("Numerator"), N_("Denominator"), N_("Low"), N_("High"), N_("Definition"),
            N_("Data as of"),
        )
    ]  # fmt: skip
    rows = [
        [name, f.period, f.value, f.numerator, f.denominator, f.low, f.high, f"v{f.version}", said.time(f.as_of)]
        for name, f in shown.lines
    ]
    if form == "csv":
        return csv_response(f"{shown.title}.csv", head, rows, [shown.title, shown.about])
    if form == "xlsx":
        return excel_response(f"{shown.title}.xlsx", one.id, head, rows)
    raise Incorrect("a tile is exported as csv or xlsx")


async def _file(connection: Connection, found: Opened, form: str) -> Response:
    """The board itself, without any figure."""
    made = await dashboards.carried(connection, found.viewer.reading, found.board)
    if form == "yaml":
        response = Response(dashboards.as_yaml(made), media_type="application/yaml; charset=utf-8")
    elif form == "json":
        response = Response(dashboards.as_json(made), media_type="application/json")
    else:
        raise Incorrect("a board is exported as yaml or json")
    name = quote(_word(found.viewer.visit.language, found.board.name))
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{name}.{form}"
    return guard.protect(response)


async def _page(found: Opened, *, editing: bool, error: str = "") -> BoardPage:
    visit, said, board = found.viewer.visit, found.viewer.visit.language, found.board
    try:
        wanted = found.wanted
    except HealthBrainError as refused:
        wanted, error = Wanted(), wording.tell(said, refused.message)
    tiles = await _drawn(found, wanted)
    history: list[Edit] = []
    async with visit.platform.pool.connection() as connection:
        if found.kept is not None:
            history = [
                Edit(one.version, said.say(ACTIONS.get(one.action, one.action)), one.by, said.time(one.at), one.tiles,
                     one.version == found.kept.version)
                for one in await kept.versions(connection, found.kept.id)
            ]  # fmt: skip
        origins = await _origins(found, connection, tiles)
    query = urlencode(wanted.query)
    return BoardPage(
        url=found.url, name=_word(said, board.name), description=_word(said, board.description),
        names=(board.name["zh"], board.name["en"]), owner=found.kept.owner if found.kept else "", own=found.own,
        built_in=found.kept is None, shared=said.say(SHARED[found.kept.shared]) if found.kept else "",
        shared_code=found.kept.shared if found.kept else "", version=found.kept.version if found.kept else 0,
        changed=said.time(found.kept.changed_at) if found.kept else "", tiles=tiles, editing=editing,
        full=len(board.tiles) >= dashboards.MOST_TILES, most=dashboards.MOST_TILES, period=wanted.period, area=wanted.area,
        base_period=board.period, base_area=board.area, areas=areas(found.viewer, wanted.area),
        wall=f"{found.url}/wall?{query}", view_url=f"{found.url}?{query}", origins=origins, history=history[:50],
        kinds=[Choice(key, said.say(text)) for key, text in KINDS.items()], error=error,
    )  # fmt: skip


async def _drawn(found: Opened, wanted: Wanted) -> list[Shown]:
    """All tiles, a few at a time; one that fails says so itself."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(tile_: Tile) -> Shown:
        async with free:
            return await dashboard_tiles.draw(found.viewer, tile_, wanted, found.url)

    return list(await asyncio.gather(*(one(each) for each in found.board.tiles)))


async def _origins(found: Opened, connection: Connection, tiles: Sequence[Shown]) -> list[Origin]:
    """Which measures and which data sets of the catalogue each tile reads; tiles that read the same stand together."""
    said = found.viewer.visit.language
    titles: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one, shown in zip(found.board.tiles, tiles, strict=True):
        if one.kind != "note" and not one.fault:
            reads = tuple(await _reads(said, connection, found.viewer, one))
            titles.setdefault(reads, []).append(shown.title)
    return [Origin(" · ".join(dict.fromkeys(own)), reads) for reads, own in titles.items()]


async def _reads(said: Language, connection: Connection, viewer: Viewer, one: Tile) -> list[tuple[str, str]]:
    if one.kind == "dataset":
        views = [library.find(*one.dataset.split("."))]
    elif one.kind == "question":
        try:
            asked = one.question or (await saved.one(connection, viewer.reading, one.saved)).question
        except HealthBrainError:
            return []
        views = [view for view in library.views() if view.id == asked.source]
    else:
        known = next((each for each in measure.defined() if each.id == one.measure), None)
        if known is None:
            return []
        views = [view for view in library.views() if known in catalogue.measures_of(view)]
        own = [(figures.title(said, known), f"/measures/{known.id}")]
        return own + [_link(said, view) for view in views]
    return [_link(said, view) for view in views]


def _link(said: Language, view: library.View) -> tuple[str, str]:
    return figures.words(said, view.title), f"/catalogue/{view.library}/{view.name}"


def areas(viewer: Viewer, chosen: str) -> list[tuple[str, Sequence[Choice]]]:
    """Towns and institutions to choose from; those within the viewer's reach."""
    said, tree = viewer.visit.language, viewer.tree
    mine = set(tree.subtree(viewer.visit.who.organisation)) if not viewer.reach.whole else None
    places = [
        Choice(node.code, node.name, node.code == chosen)
        for node in tree
        if node.kind == "institution" and node.code and (mine is None or node.key in mine)
    ]
    groups: list[tuple[str, Sequence[Choice]]] = []
    if viewer.reach.whole:
        groups.append((
            said.say(N_("Towns")), [Choice(one.code, one.said(said), one.code == chosen) for one in towns().values()],
        ))  # fmt: skip
    return [*groups, (said.say(N_("Institutions")), sorted(places, key=lambda one: one.value))]


def _word(said: Language, words: dashboards.Words | None) -> str:
    return figures.words(said, words) if words else ""


def crumbs(said: Language) -> list[Crumb]:
    """Where boards are."""
    return [Crumb(said.say(N_("Home")), "/"), Crumb(said.say(N_("Dashboards")), "/dashboards")]


def toast(visit: Visit, url: str = "") -> Toast | None:
    """A word on what was just done, with the way back."""
    done = visit.query.get("said", "")
    text, was = SAID.get(done), visit.query.get("was", "")
    if text is None:
        return None
    if done == "deleted" and was.isdigit():
        return Toast(visit.language.say(text), f"/dashboards/{was}", {"action": "undelete"})
    if done in _TAKEN_BACK and was.isdigit() and url:
        return Toast(visit.language.say(text), url, {"action": "undo", "version": was})
    return Toast(visit.language.say(text))
