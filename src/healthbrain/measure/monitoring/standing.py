"""How a plan stands on a day: every indicator with target, value, forecast, light and who answers for it (OPS-57).

Reads the materialised results of the whole area; nothing is computed over people. The newest period is shown even while it
lasts when its value is a share over a window; a count is taken from its last complete period. After a change of the
definition only the points since then are forecast from and compared with each other.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from healthbrain.database import Connection
from healthbrain.measure.adjusting import in_force
from healthbrain.measure.definition import Definition
from healthbrain.measure.monitoring.duties import Duty, duties
from healthbrain.measure.monitoring.forecast import Forecast, NoForecast, forecast
from healthbrain.measure.monitoring.judge import LIGHTS, STALE, Judgement, Light, Start, end, judge
from healthbrain.measure.plans import Indicator, Plan, Target
from healthbrain.measure.queries import Figure, trend

_CHINA = timezone(timedelta(hours=8))
_SHAPES: tuple[tuple[str, float], ...] = (
    (r"\d{4}-\d{2}(-R12)?", 365.25 / 12),
    (r"\d{4}-W\d{2}", 7.0),
    (r"\d{4}-?Q\d", 365.25 / 4),
    (r"\d{4}", 365.25),
)
_NORMAL = 1.96  # half the width of a 95 % interval in standard errors


@dataclass(frozen=True, slots=True)
class Standing:
    """One indicator of a plan on one day."""

    indicator: Indicator
    definition: Definition | None
    target: Target | None
    figures: tuple[Figure, ...]  # oldest first, one kind of period, all versions
    actual: Figure | None
    before: float | None  # a year earlier
    start: Start | None
    ahead: Forecast | NoForecast | None
    path: tuple[Forecast, ...]  # the forecast of every period until then
    judgement: Judgement
    duty: Duty | None

    @property
    def light(self) -> Light:
        """The traffic light."""
        return self.judgement.light

    @property
    def change(self) -> float | None:
        """Against a year before."""
        if self.actual is None or self.actual.value is None or self.before is None:
            return None
        return self.actual.value - self.before

    @property
    def better(self) -> bool | None:
        """Whether the change is one for the better; None without a change."""
        if not self.change:
            return None
        return (self.change < 0) == (self.indicator.direction == "down")

    @property
    def breaks(self) -> tuple[tuple[str, str, str], ...]:
        """Where a new version of the definition begins: period, old version, new version."""
        pairs = itertools.pairwise(self.figures)
        return tuple((now.period, old.version, now.version) for old, now in pairs if old.version != now.version)


@dataclass(frozen=True, slots=True)
class Status:
    """A plan on a day."""

    plan: Plan
    at: datetime
    standings: tuple[Standing, ...]

    @property
    def counts(self) -> Mapping[Light, int]:
        """How many indicators have which light."""
        return {light: sum(one.light == light for one in self.standings) for light in LIGHTS}

    @property
    def as_of(self) -> datetime | None:
        """The oldest as-of time of what is shown: nothing shown is older."""
        return min((one.actual.as_of for one in self.standings if one.actual), default=None)

    def of(self, indicator: str) -> Standing | None:
        """One indicator."""
        return next((one for one in self.standings if one.indicator.id == indicator), None)


async def status(connection: Connection, plan: Plan, at: datetime, *, until: date | None = None) -> Status:
    """How the plan stands. With `until`, how it stood then: later periods are left out, targets are those of that year."""
    who = await duties(connection, plan.id)
    known = {one.id: one for one in await in_force(connection)}
    found = []
    for indicator in plan.indicators:
        definition = known.get(indicator.measure)
        figures = await trend(connection, definition.id) if definition else []
        known_then = [one for one in figures if until is None or one.to <= until]
        found.append(standing(indicator, definition, known_then, until or at, who.get(indicator.id)))
    return Status(plan, at, tuple(found))


def standing(
    indicator: Indicator,
    definition: Definition | None,
    figures: Sequence[Figure],
    on: date,
    duty: Duty | None = None,
) -> Standing:
    """One indicator from its figures."""
    today = on.astimezone(_CHINA).date() if isinstance(on, datetime) else on
    step, series = _one_shape(figures)
    series = [one for one in series if one.value is not None and (one.complete or one.denominator is not None)]
    actual = series[-1] if series else None
    target = indicator.target(today.year)
    before = _year_before(indicator, series)
    start = _start(indicator, series, today)
    ways = _ahead(target, definition, series, step)
    ahead = ways[-1] if ways else None
    path = tuple(one for one in ways if isinstance(one, Forecast))
    stale = actual is not None and (today - actual.to) > max(STALE, timedelta(days=step * 3))
    judgement = judge(
        target if definition is not None else None,
        actual.value if actual else None,
        today,
        down=indicator.direction == "down",
        before=before,
        start=start,
        ahead=ahead,
        stale=stale,
    )
    return Standing(indicator, definition, target, tuple(series), actual, before, start, ahead, path, judgement, duty)


def _one_shape(figures: Sequence[Figure]) -> tuple[float, list[Figure]]:
    """The days of a period and the figures of one kind of period: of the kind that goes on longest, the finest of equals."""
    groups: dict[float, list[Figure]] = {}
    for one in figures:
        days = next((days for shape, days in _SHAPES if re.fullmatch(shape, one.period)), 365.25 / 12)
        groups.setdefault(days, []).append(one)
    if not groups:
        return 365.25, []
    days = max(groups, key=lambda days: (max(one.to for one in groups[days]), -days))
    by_period = {one.period: one for one in sorted(groups[days], key=lambda one: one.computed_at)}  # the latest version
    return days, sorted(by_period.values(), key=lambda one: one.to)


def _year_before(indicator: Indicator, series: Sequence[Figure]) -> float | None:
    if not series:
        return None
    last = series[-1]
    earlier = [one for one in series if one.to <= last.to - timedelta(days=350) and one.version == last.version]
    if earlier:
        return earlier[-1].value
    printed = [one for one in indicator.baselines if one.year == last.to.year - 1]
    return printed[-1].value if printed else None


def _start(indicator: Indicator, series: Sequence[Figure], today: date) -> Start | None:
    printed = [one for one in indicator.baselines if one.year <= today.year]
    if printed:
        return Start(printed[-1].value, date(printed[-1].year, 12, 31), printed=True)
    same = [one for one in series if one.version == series[-1].version]
    if len(same) < 2 or same[0].value is None:
        return None
    return Start(same[0].value, same[0].to, printed=False)


def _ahead(
    target: Target | None, definition: Definition | None, series: Sequence[Figure], step: float
) -> list[Forecast | NoForecast]:
    """The forecasts of all periods to come until the target's day, the last one being that of the day; or why there is none."""
    if target is None or definition is None or not series:
        return []
    last = series[-1]
    values = [one.value for one in series if one.version == last.version and one.value is not None]
    steps = round((end(target) - last.to).days / step)
    noise = (last.high - last.low) / 2 / _NORMAL if last.low is not None and last.high is not None else 0.0
    highest = 100.0 if definition.kind == "proportion" else math.inf

    def at(ahead: int) -> Forecast | NoForecast:
        return forecast(values, ahead, noise=noise, lowest=0.0, highest=highest)

    final = at(steps)
    return [final] if isinstance(final, NoForecast) else [*map(at, range(1, steps)), final]
