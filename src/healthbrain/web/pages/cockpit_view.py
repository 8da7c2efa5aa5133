"""What the cockpit shows, as plain values: cards, map, rankings, alerts. Made by `cockpit`, read by its templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from healthbrain.web import charts
from healthbrain.web.charts import Chart
from healthbrain.web.language import Language

Look = Literal["ok", "warn", "bad", "info"]


@dataclass(frozen=True, slots=True)
class Move:
    """A difference to another period: sign and arrow say the direction, `good` whether that is wanted."""

    label: str
    text: str
    arrow: Literal["up", "down", "flat"]
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Kpi:
    """One headline card. `share` and `goal` (0..100) draw the bar; a card without a value says why."""

    id: str
    title: str
    value: str
    unit: str
    url: str
    definition_url: str = ""
    version: str = ""
    chosen: bool = False
    missing: str = ""
    target: str = ""
    share: float | None = None
    goal: float | None = None
    poor: bool | None = None
    moves: Sequence[Move] = ()
    counts: str = ""
    interval: str = ""
    coverage: str = ""
    history: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Rank:
    """One place in a ranking."""

    place: int
    label: str
    value: str
    url: str = ""
    share: float | None = None
    goal: float | None = None
    poor: bool = False
    note: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """Something somebody should look at."""

    look: Look
    icon: str
    text: str
    detail: str = ""
    url: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class TownValue:
    """One town on the map."""

    code: str
    name: str
    value: float | None
    text: str
    tip: str
    url: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class MapView:
    """The map of the district coloured by one indicator."""

    title: str
    towns: Sequence[TownValue]
    bounds: Sequence[float]
    legend: Sequence[tuple[int, str]]
    few: bool = False  # whether some towns have too few people to be shown

    def drawing(self) -> dict[str, Any]:
        """What the script in the page draws."""
        return {
            "towns": [
                {
                    "code": town.code,
                    "level": charts.class_of(town.value, self.bounds),
                    "text": town.text,
                    "tip": town.tip,
                    "url": town.url,
                    "chosen": town.chosen,
                }
                for town in self.towns
            ]
        }


@dataclass(frozen=True, slots=True)
class CockpitPage:
    """Context of cockpit.html and wall.html."""

    title: str
    lede: str
    period: str
    periods: Sequence[tuple[str, str]]
    as_of: str
    coverage: str
    measure: str
    measure_title: str
    measures: Sequence[tuple[str, str]]
    area: str
    kpis: Sequence[Kpi]
    map: MapView
    towns: Sequence[Rank]
    places: Sequence[Rank]
    places_title: str
    trend: Chart
    weekly: Chart | None
    alerts: Sequence[Alert]
    export: str
    persons_url: str = ""
    stale: str = ""
    hidden: Mapping[str, str] = field(default_factory=dict)


def map_view(
    said: Language, title: str, towns: Sequence[TownValue], unit: str, digits: int, *, few: bool = False
) -> MapView:
    """The map with its classes and their words."""
    bounds = charts.classes([town.value for town in towns])
    low = bounds[0] - (bounds[1] - bounds[0]) if len(bounds) > 1 else 0.0
    legend = []
    for number, bound in enumerate(bounds[:5], start=1):
        if unit == "%" and low >= 100:  # no share lies above 100
            break
        legend.append((number, f"{said.number(low, digits)}–{said.number(bound, digits)}{unit}"))
        low = bound
    return MapView(title, towns, bounds, legend, few)
