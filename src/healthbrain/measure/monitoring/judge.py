"""The traffic light of a plan's indicator: one rule for all of them, told on the screen.

- *met* (green): the latest value meets the target already.
- *on_track* (green): it does not yet, but its forecast for the end of the target's year does; without a forecast, it is
  where a straight way from the baseline to the target would be today, or further.
- *at_risk* (yellow): the forecast misses, but the better end of its interval meets; without a forecast, it is behind
  the straight way by no more than `BEHIND` of the whole way, or, without a baseline, off by no more than `NEAR` of the target.
- *off_track* (red): anything else that is measured; and whatever is not met when the target's year is over.
- *no_data* (grey): nothing was computed or entered, or the latest value is older than `STALE` (or than three of its periods).
- *not_measurable* (grey): the target has no number ("逐步提高") and the year before is not known, or no definition measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from healthbrain.measure.monitoring.forecast import Forecast, NoForecast
from healthbrain.measure.plans import Target

Light = Literal["met", "on_track", "at_risk", "off_track", "no_data", "not_measurable"]
LIGHTS: tuple[Light, ...] = (
    "off_track",
    "at_risk",
    "on_track",
    "met",
    "no_data",
    "not_measurable",
)  # most urgent first
Why = Literal[
    "met", "forecast_meets", "forecast_may", "forecast_misses", "on_way", "behind", "far_behind", "near", "far", "over",
    "nothing", "stale", "no_number", "undefined",
]  # fmt: skip

BEHIND = 0.15
NEAR = 0.05
STALE = timedelta(days=460)


@dataclass(frozen=True, slots=True)
class Start:
    """Where the way to the target begins. `printed`: the plan says so; else it is the first value measured here."""

    value: float
    at: date
    printed: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """The light, and which rule gave it."""

    light: Light
    why: Why
    progress: float | None = None  # share of the way from the start to the target
    expected: float | None = None  # where the straight way is today


def judge(
    target: Target | None,
    actual: float | None,
    today: date,
    *,
    down: bool = False,
    before: float | None = None,
    start: Start | None = None,
    ahead: Forecast | NoForecast | None = None,
    stale: bool = False,
) -> Judgement:
    """The light of one indicator on one day."""
    if target is None:
        return Judgement("not_measurable", "undefined")
    if actual is None:
        return Judgement("no_data", "nothing")
    progress, expected = _way(target, actual, today, start)
    if stale:
        return Judgement("no_data", "stale", progress, expected)
    met = target.met(actual, before=before, down=down)
    if met is None:
        return Judgement("not_measurable", "no_number", progress, expected)
    if met:
        return Judgement("met", "met", progress, expected)
    if today >= end(target):
        return Judgement("off_track", "over", progress, expected)
    light, why = _unmet(
        target, actual, down=down, before=before, progress=progress, expected=expected, start=start, ahead=ahead
    )
    return Judgement(light, why, progress, expected)


def end(target: Target) -> date:
    """The day by which a target is to be reached."""
    return date(target.year, 12, 31)


def _unmet(
    target: Target,
    actual: float,
    *,
    down: bool,
    before: float | None,
    progress: float | None,
    expected: float | None,
    start: Start | None,
    ahead: Forecast | NoForecast | None,
) -> tuple[Light, Why]:
    if isinstance(ahead, Forecast):
        if target.met(ahead.value, before=before, down=down):
            return "on_track", "forecast_meets"
        if target.met(ahead.low if down else ahead.high, before=before, down=down):
            return "at_risk", "forecast_may"
        return "off_track", "forecast_misses"
    if target.value is None:
        return "off_track", "far"
    if start is not None and progress is not None and expected is not None:
        late = (expected - actual) / (target.value - start.value)
        if late <= 0:
            return "on_track", "on_way"
        return ("at_risk", "behind") if late <= BEHIND else ("off_track", "far_behind")
    off = abs(actual - target.value) / abs(target.value) if target.value else abs(actual)
    return ("at_risk", "near") if off <= NEAR else ("off_track", "far")


def _way(target: Target, actual: float, today: date, start: Start | None) -> tuple[float | None, float | None]:
    if start is None or target.value is None or start.value == target.value:
        return None, None
    whole = (end(target) - start.at).days
    if whole <= 0:
        return None, None
    share = min(max((today - start.at).days / whole, 0.0), 1.0)
    way = target.value - start.value
    return (actual - start.value) / way, start.value + way * share
