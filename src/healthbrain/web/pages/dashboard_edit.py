"""Composing a board: making, importing, copying, sharing; adding, changing, moving and removing tiles; undo, versions, deletion.

Only the owner changes a board. Every edit is a version, refused when somebody looks at an older one (another tab), and can be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from healthbrain import measure
from healthbrain.database import Connection
from healthbrain.errors import Conflict, Incorrect, NotFound
from healthbrain.lake import library
from healthbrain.measure import dashboards
from healthbrain.measure.analysis import saved
from healthbrain.measure.dashboards import KINDS, SIZES, UNITS, Board, Kind, Size, Tile, kept
from healthbrain.web import wording
from healthbrain.web.language import N_
from healthbrain.web.pages import dashboard_tiles, dashboard_view, figures
from healthbrain.web.pages.dashboard_view import Choice, TileForm
from healthbrain.web.pages.dashboards import Opened, areas, crumbs, opened, show_board, show_overview
from healthbrain.web.screen import Crumb, show
from healthbrain.web.visit import Visit

_IN_PLACE = {"move", "size", "place", "remove", "undo"}  # answered with the tiles alone when the page asks so


async def begin(visit: Visit) -> Response:
    """A new board, empty or from a file."""
    form = await visit.form()
    try:
        async with visit.platform.pool.connection() as connection:
            viewer = await dashboard_tiles.viewer_of(visit, connection)
            uploaded = form.get("file")
            if isinstance(uploaded, UploadFile) and uploaded.filename:
                content = await uploaded.read(dashboards.LARGEST * 3 + 1)
                board, action = dashboards.board_of_text(content.decode("utf-8-sig", "replace")), "imported"
            else:
                name = str(form.get("name", "")).strip()
                board, action = dashboards.board_of({"name": name, "tiles": []}), "made"
            id_ = await kept.keep(connection, viewer.reading, board, "private", action, visit.at)
    except Incorrect as error:
        return await show_overview(visit, wording.tell(visit.language, error.message))
    visit.note("C", "indicator", detail=f"dashboard {id_} {action}")
    return RedirectResponse(f"/dashboards/{id_}?edit=1&said={action}", 303)


async def act(visit: Visit) -> Response:
    """One edit of one board."""
    fields = {key: str(value) for key, value in (await visit.form()).items()}
    action = fields.get("action", "")
    async with visit.platform.pool.connection() as connection:
        if action == "undelete":
            return await _undelete(visit, connection)
        found = await opened(visit, connection)
        if action == "copy":
            return await _copy(visit, connection, found)
        held = await _held(connection, found, fields)
        if action == "delete":
            await kept.delete(connection, found.viewer.reading, held.id, visit.at)
            visit.note("D", "indicator", detail=f"dashboard {held.id} deleted")
            return RedirectResponse(f"/dashboards?said=deleted&was={held.id}", 303)
        try:
            done, version = await _edit(visit, connection, found, held, action, fields)
        except Incorrect as error:
            return await show_board(found, wording.tell(visit.language, error.message))
        visit.note("U", "indicator", detail=f"dashboard {held.id} {done}, version {version}")
        if action in _IN_PLACE and visit.request.headers.get("hx-request"):
            found = await opened(visit, connection)
    if action in _IN_PLACE and visit.request.headers.get("hx-request"):
        return await show_board(found)
    anchor = f"#tile-{fields['tile']}" if action in {"move", "size"} and fields.get("tile") else ""
    return RedirectResponse(f"{found.url}?edit=1&said={done}&was={version}{anchor}", 303)


async def _edit(
    visit: Visit, connection: Connection, found: Opened, held: kept.Kept, action: str, fields: Mapping[str, str]
) -> tuple[str, int]:
    """What was done, and the version that came of it. Raises Incorrect, Conflict, NotFound."""
    reading, tile_ = found.viewer.reading, fields.get("tile", "")
    if action == "undo":
        return "restored", await kept.undo(connection, reading, held, visit.at)
    if action == "restore":
        wanted = fields.get("to", "")
        return "restored", await kept.restore_version(
            connection, reading, held, int(wanted) if wanted.isdigit() else 0, visit.at
        )
    shared = held.shared
    match action:
        case "move":
            board, done = dashboards.moved(held.board, tile_, fields.get("direction", "")), "moved"
        case "place":
            board, done = dashboards.placed(held.board, tile_, fields.get("before", "")), "moved"
        case "size":
            board, done = dashboards.sized(held.board, tile_, fields.get("size", "")), "sized"
        case "remove":
            board, done = dashboards.without(held.board, tile_), "removed"
        case "settings":
            board, done = _settings(held.board, fields), "settings"
            shared = kept.sharing(fields.get("shared", held.shared))
        case _:
            raise Incorrect("there is no such action")
    return done, await kept.change(connection, reading, held, board, done, visit.at, shared=shared)


async def tile_form(visit: Visit) -> Response:
    """The form of a new tile of one kind, or of one that is there."""
    async with visit.platform.pool.connection() as connection:
        found = await opened(visit, connection)
        held = await _held(connection, found, {})
        id_ = str(visit.request.path_params.get("tile", ""))
        if id_:
            tile = held.board.tile(id_)
        else:
            kind = next((one for one in KINDS if one == visit.query.get("kind")), None)
            if kind is None:
                raise NotFound("there is no such kind of tile")
            tile = Tile("", kind, "small" if kind in {"figure", "dataset"} else "medium")
        return await _form(visit, connection, found, tile)


async def keep_tile(visit: Visit) -> Response:
    """Add a tile, or change one."""
    fields = {key: str(value) for key, value in (await visit.form()).items()}
    id_ = str(visit.request.path_params.get("tile", ""))
    async with visit.platform.pool.connection() as connection:
        found = await opened(visit, connection)
        held = await _held(connection, found, fields)
        before = held.board.tile(id_) if id_ else None
        raw = _raw_tile(fields, before)
        try:
            tile = dashboards.tile_of(raw, id_ or "new")
            board = dashboards.changed(held.board, tile) if id_ else dashboards.added(held.board, tile)
        except (Incorrect, NotFound) as error:
            kind: Kind = next((one for one in KINDS if one == raw.get("kind")), "note")
            size: Size = next((one for one in SIZES if one == raw.get("size")), "medium")
            shown = Tile(
                id_, kind, size, measure=raw.get("measure", ""), area=raw.get("area", ""), period=raw.get("period", "")
            )
            return await _form(visit, connection, found, shown, wording.tell(visit.language, error.message))
        done = "changed" if id_ else "added"
        version = await kept.change(connection, found.viewer.reading, held, board, done, visit.at)
    visit.note("U", "indicator", detail=f"dashboard {held.id} {done}, version {version}")
    last = id_ or board.tiles[-1].id
    return RedirectResponse(f"{found.url}?edit=1&said={done}&was={version}#tile-{last}", 303)


def _raw_tile(fields: Mapping[str, str], before: Tile | None) -> dict[str, Any]:
    """What was typed, as a tile's JSON; a question that a file brought along stays."""
    raw: dict[str, Any] = {
        key: value.strip()
        for key in ("kind", "size", "measure", "area", "period", "units", "dataset", "text", "title")
        if (value := fields.get(key, "")).strip()
    }
    if before is not None:
        raw |= {"id": before.id, "kind": before.kind}
        for key in ("title", "text"):  # both languages stay when what is shown was not changed
            words = getattr(before, key)
            if words and raw.get(key) in words.values():
                raw[key] = dict(words)
    if (number := fields.get("saved", "")).isdigit():
        raw["saved"] = int(number)
    elif before is not None and before.question is not None:
        raw["question"] = before.question.as_json()
    if raw.get("period"):
        dashboard_tiles.wanted_of("", raw["period"])
    return raw


async def _form(visit: Visit, connection: Connection, found: Opened, tile: Tile, error: str = "") -> Response:
    said, held = visit.language, found.kept
    groups: dict[str, list[Choice]] = {}
    for one in measure.defined():
        groups.setdefault(one.source.document.split("（")[0], []).append(
            Choice(one.id, f"{figures.title(said, one)}（{one.id}）" if said.chinese else f"{figures.title(said, one)} ({one.id})", one.id == tile.measure)
        )  # fmt: skip
    questions = [
        Choice(str(one.id), one.name, one.id == tile.saved)
        for one in await saved.listed(connection, found.viewer.reading)
    ]
    if tile.question is not None:
        questions.insert(0, Choice("", said.say(N_("the question that this tile brought along")), True))
    datasets = [
        (
            figures.words(said, one.title),
            [Choice(v.id, figures.words(said, v.title), v.id == tile.dataset) for v in one.views],
        )
        for one in library.libraries()
    ]
    page = TileForm(
        board=figures.words(said, found.board.name), url=found.url,
        action=f"{found.url}/tiles/{tile.id}" if tile.id else f"{found.url}/tiles", version=held.version if held else 0,
        id=tile.id, kind=tile.kind, kind_text=said.say(dashboard_view.KINDS[tile.kind]),
        title=figures.words(said, tile.title) if tile.title else "",
        sizes=[Choice(one, said.say(dashboard_view.SIZES[one]), one == tile.size) for one in SIZES],
        measures=list(groups.items()) if tile.kind in dashboards.OF_A_MEASURE else [], questions=questions, datasets=datasets,
        areas=areas(found.viewer, tile.area), units=[Choice(one, said.say(dashboard_view.UNITS[one]), one == tile.units) for one in UNITS],
        period=tile.period, text=figures.words(said, tile.text) if tile.text else "", error=error,
    )  # fmt: skip
    steps = [*crumbs(said), Crumb(page.board, f"{found.url}?edit=1"), Crumb(page.kind_text)]
    return show(visit, "dashboard_tile_form.html", page, crumbs=steps)


def _settings(board: Board, fields: Mapping[str, str]) -> Board:
    """Name, description, place and period of the whole board. Raises Incorrect."""
    raw = board.as_json() | {key: fields.get(key, "").strip() for key in ("description", "area", "period")}
    names = {
        "zh": fields.get("name", "").strip(),
        "en": fields.get("name_en", "").strip() or fields.get("name", "").strip(),
    }
    dashboard_tiles.wanted_of(raw["area"], raw["period"])
    described = dashboards.board_of(
        {"name": names, "description": raw["description"], "area": raw["area"], "period": raw["period"]}
    )
    return replace(described, tiles=board.tiles)


async def _held(connection: Connection, found: Opened, fields: Mapping[str, str]) -> kept.Kept:
    """The board, when the visitor owns it and looks at its newest version. Raises NotFound, Conflict."""
    if found.kept is None:
        raise NotFound("only the owner changes a board; make a copy of it")
    await kept.own(connection, found.viewer.reading, found.kept.id)
    version = fields.get("version", "")
    if version and version != str(found.kept.version):
        raise Conflict("the board was changed in the meantime; open it again")
    return found.kept


async def _copy(visit: Visit, connection: Connection, found: Opened) -> Response:
    name = {key: f"{value} 2"[: dashboards.board.LONGEST_NAME] for key, value in found.board.name.items()}
    board = replace(found.board, name=name)
    id_ = await kept.keep(connection, found.viewer.reading, board, "private", "copied", visit.at)
    visit.note("C", "indicator", detail=f"dashboard {id_} copied from {found.id}")
    return RedirectResponse(f"/dashboards/{id_}?edit=1&said=copied", 303)


async def _undelete(visit: Visit, connection: Connection) -> Response:
    viewer = await dashboard_tiles.viewer_of(visit, connection)
    id_ = str(visit.request.path_params["board"])
    if not id_.isdigit():
        raise NotFound("there is no such board, or it is not shared with you")
    await kept.restore(connection, viewer.reading, int(id_))
    return RedirectResponse(f"/dashboards/{id_}?said=undeleted", 303)
