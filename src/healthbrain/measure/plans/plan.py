"""What a plan says: indicators with a target per year, where they stood before, who answers for them, and the clause.

A target is kept as printed; beside it stands how the platform compares, because plans print bare numbers ("84.98"),
words ("逐步提高") and units that contradict themselves. The operators:

- `>=`, `<=`, `>`, `<`, `=`: a comparison with `value`. A bare number of an indicator that should rise reads as `>=`.
- `all`: everything, `value` is 100 (%). It is a comparison `>=` that is shown as "all".
- `about`: within `ABOUT` of `value` (0.45 左右), or better.
- `keep`: not worse than `value`; without a value, than the year before.
- `rise`: better than the year before.

Comparisons are made with the value as it is shown (two decimals), so that a displayed 85.00 % never misses 85.
Rates are not capped: 002 prints a contract rate of 104.44 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from healthbrain.measure.definition import Words

Operator = Literal[">=", "<=", ">", "<", "=", "about", "keep", "rise", "all"]
ABOUT = 0.05  # "左右": five per cent of the value
DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached by the end of a year."""

    year: int
    printed: Words  # as it stands in the document; English is ours
    operator: Operator
    value: float | None = None

    def met(self, actual: float, *, before: float | None = None, down: bool = False) -> bool | None:
        """Whether `actual` meets it; None when that needs the year before and it is not known. `down`: less is better.

        >>> Target(2025, {"zh": "≥85"}, ">=", 85.0).met(84.999)
        True
        >>> Target(2030, {"zh": "逐步提高"}, "rise").met(40.0) is None
        True
        """
        shown = round(actual, DECIMALS)
        if self.operator == "rise" or self.value is None:
            if before is None:
                return None
            past = round(before, DECIMALS)
            if self.operator == "rise":
                return shown < past if down else shown > past
            return shown <= past if down else shown >= past
        return self._reached(shown, self.value, down)

    def _reached(self, shown: float, value: float, down: bool) -> bool:
        match self.operator:
            case ">=" | "all":
                return shown >= value
            case "<=":
                return shown <= value
            case ">":
                return shown > value
            case "<":
                return shown < value
            case "=":
                return shown == value
            case "about":
                return shown <= value * (1 + ABOUT) if down else shown >= round(value * (1 - ABOUT), DECIMALS)
            case _:  # keep
                return shown <= value if down else shown >= value


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where an indicator stood in a year before. `derived` values are computed from what is printed."""

    year: int
    printed: str
    value: float
    operator: Operator = "="
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Indicator:
    """One line of a plan, or one part of a line that promises several things (`row` is the line)."""

    id: str
    row: str  # the catalog's row: IND-J-16 for IND-J-16a and IND-J-16b
    title: Words
    measure: str  # id of the measure definition
    unit: Words
    direction: Literal["up", "down"]
    targets: tuple[Target, ...]
    baselines: tuple[Baseline, ...]
    responsible: Words
    clause: str
    feeds: tuple[str, ...]  # catalog rows whose data produce it
    scope: Words = field(default_factory=dict)
    note: Words = field(default_factory=dict)  # printed oddities and how they were read

    def target(self, year: int) -> Target | None:
        """The target that holds in `year`: that year's, else the next one to come, else the last one there was."""
        for one in self.targets:
            if one.year >= year:
                return one
        return self.targets[-1] if self.targets else None


@dataclass(frozen=True, slots=True)
class Series:
    """Figures from the past that a plan reports; with `measure`, they belong before that measure's results."""

    name: Words
    unit: Words
    points: tuple[Baseline, ...]
    measure: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """One row of baselines of a plan (IND-YB-*)."""

    id: str
    title: Words
    clause: str
    series: tuple[Series, ...]
    note: Words = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of a district or city."""

    id: str
    title: Words
    issuer: Words
    reference: str
    issued: str
    division: str  # code of the area, GB/T 2260, shortened to the level of the issuer
    first: int
    last: int
    outlook: int | None
    responsible: Words
    note: Words
    indicators: tuple[Indicator, ...]
    history: tuple[History, ...] = ()

    def indicator(self, id_: str) -> Indicator | None:
        """One of its indicators."""
        return next((one for one in self.indicators if one.id == id_), None)

    @property
    def rows(self) -> Mapping[str, tuple[Indicator, ...]]:
        """The indicators by the line of the document that they belong to."""
        found: dict[str, tuple[Indicator, ...]] = {}
        for one in self.indicators:
            found[one.row] = (*found.get(one.row, ()), one)
        return found
