"""Boards as files: the built-in ones of `boards/*.yaml`, and any board as YAML or JSON and back.

A file names no account and no number of this platform, so that it can be taken to another: a tile of a saved question carries the
question itself. A measure or view that the other platform does not have is refused with the tile's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import orjson
import yaml

from healthbrain.database import Connection
from healthbrain.errors import HealthBrainError, Incorrect, NotFound
from healthbrain.measure.analysis import saved
from healthbrain.measure.analysis.saved import Reading
from healthbrain.measure.dashboards.board import Board, Tile, board_of

LARGEST = 200_000  # characters of a file


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A board that comes with the platform; it is copied, not changed."""

    id: str
    board: Board


@cache
def built_in() -> tuple[BuiltIn, ...]:
    """The boards of `boards/`, by the name of their file."""
    folder = resources.files(__package__) / "boards"
    found = [(file.name.removesuffix(".yaml"), file.read_text("utf-8")) for file in folder.iterdir()]
    return tuple(BuiltIn(id_, board_of_text(text)) for id_, text in sorted(found))


def built_in_one(id_: str) -> BuiltIn:
    """One of them. Raises NotFound."""
    for one in built_in():
        if one.id == id_:
            return one
    raise NotFound("there is no such board, or it is not shared with you")


def board_of_text(text: str) -> Board:
    """A board from YAML or JSON. Raises Incorrect."""
    if len(text) > LARGEST:
        raise Incorrect("a board has at most 200 KB")
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise Incorrect("the file is neither YAML nor JSON") from None
    return board_of(raw)


async def carried(connection: Connection, reading: Reading, board: Board) -> dict[str, Any]:
    """A board as a file carries it. Raises NotFound for a saved question that this reader may not open."""
    return replace(board, tiles=tuple([await _carried(connection, reading, one) for one in board.tiles])).as_json()


async def _carried(connection: Connection, reading: Reading, tile: Tile) -> Tile:
    if not tile.saved:
        return tile
    try:
        found = await saved.one(connection, reading, tile.saved)
    except HealthBrainError:
        raise NotFound(
            f"tile {tile.id} shows a saved question that is not shared with you; the board cannot be exported"
        ) from None
    title = tile.title or {"zh": found.name, "en": found.name}
    return replace(tile, saved=0, question=found.question, title=title)


def as_yaml(made: Mapping[str, Any]) -> str:
    """The text of a file."""
    return yaml.safe_dump(dict(made), allow_unicode=True, sort_keys=False, width=100)


def as_json(made: Mapping[str, Any]) -> bytes:
    """The same as JSON."""
    return orjson.dumps(dict(made), option=orjson.OPT_INDENT_2)
