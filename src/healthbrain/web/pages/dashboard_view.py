"""What a board shows, as plain values: tiles as they are drawn, the board around them. Made by `dashboard_tiles` and `dashboards`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from healthbrain.measure import Figure
from healthbrain.measure.dashboards import Kind, Size
from healthbrain.web.charts import Chart
from healthbrain.web.language import N_
from healthbrain.web.pages.analysis_view import ShownTable
from healthbrain.web.pages.cockpit_view import Kpi, MapView, Rank

KINDS: Mapping[Kind, str] = {
    "figure": N_("Figure card"), "trend": N_("Trend of a measure"), "ranking": N_("Ranking of towns or institutions"),
    "map": N_("Map of towns"), "question": N_("Saved question of ad-hoc analysis"), "dataset": N_("Data set with its freshness"),
    "note": N_("Note"),
}  # fmt: skip
SIZES: Mapping[Size, str] = {"small": N_("small"), "medium": N_("medium"), "wide": N_("wide")}
UNITS: Mapping[str, str] = {"town": N_("Towns"), "institution": N_("Institutions")}
SHARED: Mapping[str, str] = {
    "private": N_("only me"), "role": N_("my role in this district or institution"), "organisation": N_("my organisation")
}  # fmt: skip
ACTIONS: Mapping[str, str] = {
    "made": N_("made"), "copied": N_("copied"), "imported": N_("imported"), "added": N_("tile added"), "changed": N_("tile changed"),
    "removed": N_("tile removed"), "moved": N_("tile moved"), "sized": N_("size changed"), "settings": N_("name, filters or sharing changed"),
    "restored": N_("earlier version brought back"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """One tile as it is drawn: one of its contents, or why there is none."""

    id: str
    kind: Kind
    size: Size
    title: str
    about: str = ""  # place, period, time
    kpi: Kpi | None = None
    chart: Chart | None = None
    ranks: Sequence[Rank] = ()
    map: MapView | None = None
    table: ShownTable | None = None
    text: Sequence[str] = ()  # paragraphs of a note
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()  # what a reader must know about the figures
    empty: str = ""  # why there is nothing to show
    problem: str = ""  # why it cannot be shown to this viewer, or failed
    later: str = ""  # where the content is fetched from
    url: str = ""  # where it leads
    csv: str = ""
    excel: str = ""
    lines: Sequence[tuple[str, Figure]] = field(default_factory=tuple)  # place and figure, for files


@dataclass(frozen=True, slots=True)
class Origin:
    """What a tile reads."""

    tile: str
    reads: Sequence[tuple[str, str]]  # name, address


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a list."""

    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A board in the list."""

    url: str
    name: str
    description: str
    owner: str
    own: bool
    shared: str
    tiles: str
    changed: str


@dataclass(frozen=True, slots=True)
class BoardsPage:
    """Context of dashboards.html."""

    boards: Sequence[BoardLine]
    built_in: Sequence[BoardLine]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of a board's history."""

    version: int
    action: str
    by: str
    at: str
    tiles: int
    now: bool


@dataclass(frozen=True, slots=True)
class BoardPage:
    """Context of dashboard.html and dashboard_wall.html."""

    url: str
    name: str
    description: str
    names: tuple[str, str]  # zh, en, for the form
    owner: str
    own: bool
    built_in: bool
    shared: str
    shared_code: str
    version: int
    changed: str
    tiles: Sequence[Shown]
    editing: bool
    full: bool  # no further tile fits
    most: int
    period: str
    area: str
    base_period: str
    base_area: str
    areas: Sequence[tuple[str, Sequence[Choice]]]
    wall: str
    view_url: str  # without editing, with the filters
    origins: Sequence[Origin] = ()
    history: Sequence[Edit] = ()
    kinds: Sequence[Choice] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class TileForm:
    """Context of dashboard_tile_form.html."""

    board: str
    url: str
    action: str
    version: int
    id: str
    kind: Kind
    kind_text: str
    title: str
    sizes: Sequence[Choice]
    measures: Sequence[tuple[str, Sequence[Choice]]]
    questions: Sequence[Choice]
    datasets: Sequence[tuple[str, Sequence[Choice]]]
    areas: Sequence[tuple[str, Sequence[Choice]]]
    units: Sequence[Choice]
    period: str
    text: str
    error: str = ""
