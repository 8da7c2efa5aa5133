"""Boards composed by users (数据看板): tiles of questions, measures, data sets and notes.

board_of(raw)                    a checked board from its JSON or YAML
added, moved, sized, …           the board after an edit
keep, change, undo, …            boards as they are kept, with every edit as a version
built_in()                       the boards that come with the platform
"""

from healthbrain.measure.dashboards.arrange import DIRECTIONS, added, changed, moved, placed, rows, sized, without
from healthbrain.measure.dashboards.board import (
    KINDS,
    MOST_TILES,
    OF_A_MEASURE,
    SIZES,
    UNITS,
    Board,
    Kind,
    Size,
    Tile,
    Words,
    board_of,
    check,
    tile_of,
)
from healthbrain.measure.dashboards.files import (
    LARGEST,
    BuiltIn,
    as_json,
    as_yaml,
    board_of_text,
    built_in,
    built_in_one,
    carried,
)
from healthbrain.measure.dashboards.kept import Kept, Listed, Version

__all__ = [
    "DIRECTIONS",
    "KINDS",
    "LARGEST",
    "MOST_TILES",
    "OF_A_MEASURE",
    "SIZES",
    "UNITS",
    "Board",
    "BuiltIn",
    "Kept",
    "Kind",
    "Listed",
    "Size",
    "Tile",
    "Version",
    "Words",
    "added",
    "as_json",
    "as_yaml",
    "board_of",
    "board_of_text",
    "built_in",
    "built_in_one",
    "carried",
    "changed",
    "check",
    "moved",
    "placed",
    "rows",
    "sized",
    "tile_of",
    "without",
]
