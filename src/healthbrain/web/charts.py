"""Charts as data: one object feeds the drawing, its table twin and its CSV, so they can never disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["line", "bar", "area"]


@dataclass(frozen=True, slots=True)
class Series:
    """One line or set of bars; `None` is a missing value and is drawn as a gap, never as zero."""

    name: str
    values: Sequence[float | None]
    kind: Kind = "line"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over categories (months, weeks, days).

    `target` is a horizontal line; `band` a reference interval; `breaks` are the categories at which a new definition
    version starts; `open_from` is the first category whose data are still arriving.
    """

    key: str
    title: str
    categories: Sequence[str]
    series: Sequence[Series]
    unit: str = ""
    digits: int = 0
    target: float | None = None
    target_label: str = ""
    band: tuple[float | None, float | None] | None = None
    breaks: Sequence[tuple[str, str]] = ()
    open_from: str = ""
    open_label: str = ""
    csv: str = ""
    low: bool = False
    category_label: str = ""
    from_zero: bool = True
    stacked: bool = False
    rows: Sequence[Sequence[str]] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        """Whether there is no value at all."""
        return all(value is None for series in self.series for value in series.values)

    def drawing(self) -> dict[str, Any]:
        """What the script in the page draws."""
        return {
            "categories": list(self.categories),
            "series": [{"name": s.name, "kind": s.kind, "values": list(s.values)} for s in self.series],
            "unit": self.unit,
            "digits": self.digits,
            "target": self.target,
            "targetLabel": self.target_label,
            "band": list(self.band) if self.band else None,
            "breaks": [list(b) for b in self.breaks],
            "openFrom": self.open_from,
            "openLabel": self.open_label,
            "fromZero": self.from_zero,
            "stacked": self.stacked,
        }

    def table(self) -> list[list[Any]]:
        """One row per category: its name and the value of every series."""
        return [[c, *(s.values[i] for s in self.series)] for i, c in enumerate(self.categories)]


def spark(values: Sequence[float | None]) -> str:
    """Points of a small line in a 100 by 30 box; empty when there are fewer than two values."""
    present = [(i, v) for i, v in enumerate(values) if v is not None]
    if len(present) < 2:
        return ""
    low, high = min(v for _, v in present), max(v for _, v in present)
    spread = (high - low) or 1.0
    last = len(values) - 1
    return " ".join(f"{i * 100 / last:.1f},{27 - (v - low) / spread * 24:.1f}" for i, v in present)


def classes(values: Sequence[float | None], count: int = 5) -> list[float]:
    """Upper bounds of `count` classes of equal size for a coloured map, rounded to what people can read."""
    present = sorted(v for v in values if v is not None)
    if not present:
        return []
    low, high = present[0], present[-1]
    step = _round_step((high - low) / count or abs(high) / count or 1.0)
    start = (low // step) * step
    bounds = [round(start + step * (i + 1), 10) for i in range(count)]
    while bounds[-1] < high:
        bounds = [round(b + step, 10) for b in bounds]
    return bounds


def class_of(value: float | None, bounds: Sequence[float]) -> int:
    """Class 1..n of a value; 0 for a missing one."""
    if value is None:
        return 0
    for number, bound in enumerate(bounds, start=1):
        if value <= bound:
            return number
    return len(bounds)


def _round_step(step: float) -> float:
    size = 10.0 ** (len(str(int(step))) - 1) if step >= 1 else 0.1
    while size > step:
        size /= 10
    for factor in (1, 2, 2.5, 5, 10):
        if size * factor >= step * 0.999:
            return size * factor
    return step
