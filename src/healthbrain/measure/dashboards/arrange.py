"""Moving tiles about: reading order is all that is kept, rows follow from sizes on a grid of six columns.

A tile moves one place left or right, or one row up or down to the place in that row that is nearest; on a narrow screen, where every
row has one tile, the same order is read from top to bottom.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from healthbrain.errors import Incorrect
from healthbrain.measure.dashboards.board import SIZES, Board, Size, Tile, check, with_tiles

Direction = Literal["left", "right", "up", "down"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
COLUMNS = 6
WIDTHS: dict[Size, int] = {"small": 2, "medium": 3, "wide": 6}


def added(board: Board, tile: Tile) -> Board:
    """The board with one more tile at its end. Raises Incorrect, NotFound."""
    return with_tiles(board, (*board.tiles, check(replace(tile, id=board.next_id()))))


def changed(board: Board, tile: Tile) -> Board:
    """The board with a tile replaced. Raises Incorrect, NotFound."""
    board.tile(tile.id)
    return with_tiles(board, tuple(check(tile) if one.id == tile.id else one for one in board.tiles))


def without(board: Board, id_: str) -> Board:
    """The board less one tile. Raises NotFound."""
    gone = board.tile(id_)
    return with_tiles(board, tuple(one for one in board.tiles if one is not gone))


def sized(board: Board, id_: str, size: str) -> Board:
    """A tile made smaller or larger. Raises Incorrect, NotFound."""
    if size not in SIZES:
        raise Incorrect("a tile is small, medium or wide")
    return changed(board, replace(board.tile(id_), size=size))


def placed(board: Board, id_: str, before: str) -> Board:
    """A tile put before another, or at the end ('')."""
    tile = board.tile(id_)
    rest = [one for one in board.tiles if one is not tile]
    at = len(rest) if not before else rest.index(board.tile(before)) if before != id_ else board.tiles.index(tile)
    return with_tiles(board, (*rest[:at], tile, *rest[at:]))


def moved(board: Board, id_: str, direction: str) -> Board:
    """A tile moved by one place or one row; at the edge it stays. Raises Incorrect, NotFound."""
    tile = board.tile(id_)
    at = board.tiles.index(tile)
    match direction:
        case "left":
            to = at - 1
        case "right":
            to = at + 1
        case "up" | "down":
            to = _beside(board, at, -1 if direction == "up" else 1)
        case _:
            raise Incorrect("a tile moves left, right, up or down")
    to = min(max(to, 0), len(board.tiles) - 1)
    rest = [one for one in board.tiles if one is not tile]
    return with_tiles(board, (*rest[:to], tile, *rest[to:]))


def rows(board: Board) -> list[list[tuple[int, int]]]:
    """The rows on a wide screen: of each tile its place in the order and the column it begins at."""
    found: list[list[tuple[int, int]]] = [[]]
    column = 0
    for number, tile in enumerate(board.tiles):
        width = WIDTHS[tile.size]
        if column + width > COLUMNS:
            found.append([])
            column = 0
        found[-1].append((number, column))
        column += width
    return found


def _beside(board: Board, at: int, step: int) -> int:
    """The place in the row above or below that is nearest to where the tile begins."""
    all_rows = rows(board)
    row, column = next((n, begin) for n, line in enumerate(all_rows) for number, begin in line if number == at)
    if not 0 <= row + step < len(all_rows):
        return at
    return min(all_rows[row + step], key=lambda one: (abs(one[1] - column), one[0]))[0]
