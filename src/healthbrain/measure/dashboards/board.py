"""A board composed of tiles (数据看板): data only, so that it can be kept, exchanged, compared and taken back.

A tile names what it shows and never holds a figure: a question of ad-hoc analysis, a measure as a card, a trend, a ranking of towns or
institutions or a map of towns, a data set of the catalogue with its freshness, or a note. Figures are computed when a board is looked
at, with the permissions of who looks (HUB-DS-08: built from catalogued data sets, following the viewer's permissions). The form of the
JSON and YAML is docs/reference/dashboards.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from healthbrain.errors import HealthBrainError, Incorrect, NotFound
from healthbrain.lake import library
from healthbrain.measure.analysis import Question, question_of
from healthbrain.measure.queries import definition

Kind = Literal["figure", "trend", "ranking", "map", "question", "dataset", "note"]
Size = Literal["small", "medium", "wide"]
Units = Literal["town", "institution"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SIZES: tuple[Size, ...] = get_args(Size)
UNITS: tuple[Units, ...] = get_args(Units)
OF_A_MEASURE = frozenset({"figure", "trend", "ranking", "map"})
MOST_TILES = 24
LONGEST_NAME, LONGEST_TEXT, LONGEST_NOTE = 80, 500, 2000
_MEMBERS = frozenset(
    {"id", "kind", "size", "title", "measure", "area", "period", "units", "question", "saved", "dataset", "text"}
)
Words = Mapping[str, str]  # language (zh, en) -> text


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile. Which fields it needs depends on its kind; '' means: what the board or the viewer's own area says."""

    id: str
    kind: Kind
    size: Size = "medium"
    title: Words | None = None  # None = what it shows is its title
    measure: str = ""
    area: str = ""  # code of a town or an institution
    period: str = ""
    units: Units = "town"  # of a ranking
    question: Question | None = None
    saved: int = 0  # number of a saved question
    dataset: str = ""  # library.view
    text: Words | None = None  # of a note
    fault: str = ""  # of a kept tile: why it can no longer be shown
    kept: Mapping[str, Any] | None = None  # and what was kept of it

    def as_json(self) -> dict[str, Any]:
        """The tile as it is kept and exchanged: only what its kind needs."""
        made: dict[str, Any] = {"id": self.id, "kind": self.kind, "size": self.size}
        if self.kept is not None:
            return {**self.kept, **made}
        for key in ("measure", "area", "period", "dataset", "saved"):
            if value := getattr(self, key):
                made[key] = value
        if self.kind == "ranking":
            made["units"] = self.units
        if self.question is not None:
            made["question"] = self.question.as_json()
        return made | {key: _plain(words) for key in ("title", "text") if (words := getattr(self, key))}


@dataclass(frozen=True, slots=True)
class Board:
    """A whole board: its name, what every tile is limited to, the tiles in reading order."""

    name: Words
    description: Words | None = None
    area: str = ""
    period: str = ""
    tiles: tuple[Tile, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The board as it is kept and exchanged."""
        made: dict[str, Any] = {"name": _plain(self.name)}
        if self.description:
            made["description"] = _plain(self.description)
        made |= {key: value for key in ("area", "period") if (value := getattr(self, key))}
        return {**made, "tiles": [one.as_json() for one in self.tiles]}

    def tile(self, id_: str) -> Tile:
        """One tile. Raises NotFound."""
        for one in self.tiles:
            if one.id == id_:
                return one
        raise NotFound("the board has no such tile; it was changed in the meantime")

    def next_id(self) -> str:
        """An id that no tile has."""
        return f"t{max((int(one.id[1:]) for one in self.tiles if one.id[1:].isdigit()), default=0) + 1}"


def board_of(raw: Any, *, kept: bool = False) -> Board:
    """A board from its JSON or YAML, every tile checked. Raises Incorrect, naming the tile.

    Of a kept board a tile that no longer fits (its measure or view is gone) stays in its place and says so.
    """
    if not isinstance(raw, Mapping):
        raise Incorrect("a board is a JSON or YAML object")
    if unknown := set(raw) - {"name", "description", "area", "period", "tiles"}:
        raise Incorrect(f"a board has no member {', '.join(sorted(map(str, unknown)))}")
    tiles = raw.get("tiles", [])
    if not isinstance(tiles, list) or len(tiles) > MOST_TILES:
        raise Incorrect(f"a board has a list of at most {MOST_TILES} tiles")
    made = tuple(_numbered_tile(one, number, kept=kept) for number, one in enumerate(tiles, start=1))
    if len({one.id for one in made}) != len(made):
        raise Incorrect("two tiles of the board have the same id")
    name = _words(raw.get("name"), LONGEST_NAME)
    if name is None:
        raise Incorrect(f"a board has a name of at most {LONGEST_NAME} characters")
    return Board(
        name, _words(raw.get("description"), LONGEST_TEXT), _code(raw.get("area", "")), _code(raw.get("period", "")), made
    )  # fmt: skip


def tile_of(raw: Any, default_id: str) -> Tile:
    """A tile from its JSON. Raises Incorrect, NotFound."""
    if not isinstance(raw, Mapping):
        raise Incorrect("a tile is an object")
    if unknown := set(raw) - _MEMBERS:
        raise Incorrect(f"a tile has no member {', '.join(sorted(map(str, unknown)))}")
    question, saved = raw.get("question"), raw.get("saved", 0)
    if not isinstance(saved, int) or saved < 0:
        raise Incorrect("the number of a saved question is a whole number")
    return check(
        Tile(
            id=_code(raw.get("id", default_id)), kind=_one_of(raw.get("kind"), KINDS),
            size=_one_of(raw.get("size", "medium"), SIZES), title=_words(raw.get("title"), LONGEST_NAME),
            measure=_code(raw.get("measure", "")), area=_code(raw.get("area", "")), period=_code(raw.get("period", "")),
            units=_one_of(raw.get("units", "town"), UNITS), question=question_of(question) if question else None,
            saved=saved, dataset=_code(raw.get("dataset", "")), text=_words(raw.get("text"), LONGEST_NOTE),
        )
    )  # fmt: skip


def check(tile: Tile) -> Tile:
    """The tile itself when it has what its kind needs. Raises Incorrect, NotFound."""
    if tile.fault:
        return tile
    if tile.kind in OF_A_MEASURE:
        if not tile.measure:
            raise Incorrect("choose the measure that the tile shows")
        definition(tile.measure)
    if tile.kind == "question" and (tile.question is None) == (not tile.saved):
        raise Incorrect("choose the saved question that the tile shows")
    if tile.kind == "dataset":
        if tile.dataset.count(".") != 1:
            raise Incorrect("choose the data set of the catalogue that the tile shows")
        library.find(*tile.dataset.split("."))
    if tile.kind == "note" and not tile.text:
        raise Incorrect(f"a note has a text of at most {LONGEST_NOTE} characters")
    return tile


def _numbered_tile(raw: Any, number: int, *, kept: bool) -> Tile:
    try:
        return tile_of(raw, f"t{number}")
    except HealthBrainError as error:
        if kept and isinstance(raw, Mapping) and raw.get("kind") in KINDS and raw.get("size") in SIZES:
            return Tile(str(raw.get("id", f"t{number}")), raw["kind"], raw["size"], fault=error.message, kept=raw)
        raise Incorrect(f"tile {number}: {error.message}") from None


def _words(raw: Any, longest: int) -> Words | None:
    """A text in one language for both, or in both; None when there is none."""
    if raw is None or raw == "":
        return None
    texts = {"zh": raw, "en": raw} if isinstance(raw, str) else raw
    if (
        not isinstance(texts, Mapping)
        or set(texts) != {"zh", "en"}
        or not all(isinstance(v, str) for v in texts.values())
    ):
        raise Incorrect("a text is a string, or an object with zh and en")
    if any(not value.strip() or len(value) > longest for value in texts.values()):
        raise Incorrect(f"a text has 1 to {longest} characters")
    return {key: texts[key].strip() for key in ("zh", "en")}


def _plain(words: Words) -> str | dict[str, str]:
    return words["zh"] if words["zh"] == words["en"] else dict(words)


def _code(raw: Any) -> str:
    text = str(raw) if isinstance(raw, str | int) else ""
    if len(text) > 100 or (raw and not text):
        raise Incorrect("a code is a short text")
    return text


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise Incorrect(f"one of {', '.join(allowed)} is expected")
    return value


def with_tiles(board: Board, tiles: tuple[Tile, ...]) -> Board:
    """The board with other tiles. Raises Incorrect when they are too many."""
    if len(tiles) > MOST_TILES:
        raise Incorrect(f"a board has at most {MOST_TILES} tiles; make a second one")
    return replace(board, tiles=tiles)
