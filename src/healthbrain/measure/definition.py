"""What a measure is: data, read from YAML and checked, interpreted by `compile` (DuckDB) and `oracle` (row by row).

A definition names its source document and clause, its formula in words (口径), unit, direction, targets by year, and
how to compute it: *views* make resources flat, *tables* work on them step by step (those under `prepare` once, the
others for every period), the *population* says who is counted and who of them is in the numerator. There is no SQL in a
definition; conditions are expressions over columns (`lake.expression`). Constants are `%name`: those of the definition, its
parameters, the code systems of `terms.systems`, and `%from`, `%to`, the first and last day of the window.

A table is made in this order: rows of `from` that meet `where`; `with` adds columns of one matching row of another
table; `count` adds how many rows of another table match; `add` computes columns; `keep` drops rows; then `one_per`
keeps the last row per key, or `fold` makes one row per key from the last known value of every column. Rows of two
tables that both know a person match only within one person.

Names of populations follow FHIR's measure populations (initial population, denominator, exclusions, exception,
numerator, measure population and observation); docs/reference/measures.md is the reference of the format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from healthbrain.errors import Incorrect
from healthbrain.lake.base_view import BaseView

Direction = Literal["up", "down", "none"]
Kind = Literal[
    "proportion", "rate", "ratio", "count", "sum", "mean", "median", "index", "computed", "entered"
]  # fmt: skip
Period = Literal["month", "week", "quarter", "year", "rolling"]
Level = Literal["district", "town", "institution"]
Method = Literal[
    "expression", "life_expectancy", "healthy_life_expectancy", "standardised_rate", "smr", "premature_mortality"
]  # fmt: skip
Constant = str | int | float | tuple[str, ...]

FRACTIONS = frozenset({"proportion", "rate", "ratio", "index"})  # numerator ÷ denominator × per
CONTINUOUS = frozenset({"sum", "mean", "median"})  # of an observed number
COMPUTED_HERE = frozenset({"computed", "entered"})  # not from the lake

Words = Mapping[str, str]  # language (zh, en) -> text


@dataclass(frozen=True, slots=True)
class With:
    """Columns of the one row of `table` whose `match` columns are equal: the last by `last`."""

    table: str
    match: Mapping[str, str]  # column of the other table -> column of this one
    take: Mapping[str, str]  # column here -> column of the other table
    last: str = "_id"
    where: str = "true"


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of `table` match and meet `where` (which speaks of that table's columns)."""

    name: str
    table: str
    match: Mapping[str, str]
    where: str = "true"


@dataclass(frozen=True, slots=True)
class Added:
    """A computed column."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class LastPer:
    """One row per `key`: the last by `last` (then by id)."""

    key: str
    last: str


@dataclass(frozen=True, slots=True)
class Table:
    """One step of a computation."""

    name: str
    source: str
    where: str = "true"
    withs: tuple[With, ...] = ()
    counts: tuple[Count, ...] = ()
    added: tuple[Added, ...] = ()
    keep: str = "true"
    one_per: LastPer | None = None
    fold: LastPer | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a member is not in the numerator: applies when `when` is true; `{column}` in the text is its value."""

    id: str
    when: str
    text: Words


@dataclass(frozen=True, slots=True)
class Evidence:
    """Resources that a member's result rests on: rows of `table` that match."""

    table: str
    type: str
    match: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Population:
    """Who is counted: rows of `source` that meet `where`, and what of them counts where.

    `exclude` leaves out of the denominator whoever meets it; `exception` only those who are not in the numerator;
    `numerator_exclude` takes out of the numerator. `observe` is the number measured of each member (sum, mean, median,
    ratio, index), `weight` the number expected of each (index). Who has no observed number is not counted there.
    """

    source: str
    subject: str  # column that names the member
    town: str  # expressions that place the member
    institution: str
    where: str = "true"
    exclude: str = "false"
    exception: str = "false"
    numerator: str = "true"
    numerator_exclude: str = "false"
    observe: str = ""
    weight: str = ""
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    shown: tuple[str, ...] = ()  # columns kept with each member


@dataclass(frozen=True, slots=True)
class Stratifier:
    """A way to divide the members: `value` is an expression over the population's columns."""

    id: str
    title: Words
    value: str
    labels: Mapping[str, Words] = field(default_factory=dict)  # value -> its name


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number or code that the rule sets nationally and a city may set otherwise, by a new version."""

    name: str
    value: Constant
    title: Words
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """A measure that another one is computed from; with `latest` its last value up to the period."""

    measure: str
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Computation:
    """How a measure follows from others: an expression over their values, or a method of `statistics`.

    In an expression `name` is the component's value, `name_n` and `name_d` its numerator and denominator. `by` is the
    stratifier by age of the components, `standard` a standard population, `events` the component whose Poisson
    interval is the result's, `settings` what else the method needs.
    """

    components: Mapping[str, Component]
    method: Method = "expression"
    value: str = ""
    by: str = ""
    standard: str = ""
    events: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is entered from an outside source: a value, or a numerator with its denominator.

    `supplier` says who gives it and how often. A value (for a fraction: the quotient in the measure's unit) outside
    `low` and `high` is a slip of the pen and not taken; with `whole` it has no decimals.
    """

    parts: Literal["value", "fraction"] = "value"
    levels: tuple[Level, ...] = ("district",)
    supplier: Words = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    whole: bool = False

    def allows(self, value: float) -> bool:
        """Whether a value can be right."""
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (not self.whole or value == int(value))
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rule comes from."""

    document: str
    clause: str


@dataclass(frozen=True, slots=True)
class Library:
    """Views, tables and stratifiers that every definition may use; the views do not depend on the period."""

    views: Mapping[str, BaseView]
    tables: tuple[Table, ...]
    stratifiers: Mapping[str, Stratifier] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definition:
    """One measure."""

    id: str
    version: str
    title: Words
    formula: Words  # 口径
    reading: Words  # how unclear points of the source were read
    source: Source
    kind: Kind
    unit: str
    direction: Direction
    period: Period
    window_months: int  # 0 = the period itself
    periods: int  # how many periods the trend goes back, this one included
    population: Population | None  # None when entered or computed from others
    prepared: tuple[Table, ...]  # made once; they know nothing of the period
    tables: tuple[Table, ...]  # made anew for every period
    targets: Mapping[int, float] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    members: bool = True  # members may be listed (with permission)
    order: int = 100  # place among the headlines
    per: float = 1.0  # what a fraction is multiplied with: 100 (%), 1,000 (‰), 100,000
    also: tuple[Period, ...] = ()  # other periods of the same measure
    denominator: Population | None = None  # a ratio's or rate's own denominator; None = the population itself
    stratifiers: tuple[Stratifier, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    computation: Computation | None = None
    entry: Entry | None = None
    change: Words = field(default_factory=dict)  # what this version changed, shown where the series breaks
    suppress: int | None = None  # smallest count shown to who may not see members; None = the platform's

    def target(self, year: int) -> float | None:
        """The target that holds in `year`: the one of that year, else the last one before it."""
        known = [one for one in self.targets if one <= year]
        return self.targets[max(known)] if known else None

    def values(self) -> dict[str, Constant]:
        """What `%name` means: constants and parameters."""
        return {**self.constants, **{one.name: one.value for one in self.parameters}}

    def adjusted(self, values: Mapping[str, Constant], revision: int, change: Words) -> Definition:
        """The same measure with other parameters: a new version, and so a new series. Raises Incorrect."""
        known = {one.name for one in self.parameters}
        if unknown := set(values) - known:
            raise Incorrect(
                f"{self.id} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
            )
        parameters = tuple(replace(one, value=values.get(one.name, one.value)) for one in self.parameters)
        return replace(self, parameters=parameters, version=f"{self.version}-r{revision}", change=change)

    @property
    def populations(self) -> tuple[Population, ...]:
        """Every population it counts, the numerator's first."""
        return tuple(one for one in (self.population, self.denominator) if one is not None)

    @property
    def fraction(self) -> bool:
        """Whether its value is a numerator divided by a denominator."""
        return self.kind in FRACTIONS


def by_id(definitions: Sequence[Definition]) -> dict[str, Definition]:
    """The definitions by their id."""
    return {definition.id: definition for definition in definitions}
