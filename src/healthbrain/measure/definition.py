"""What a measure is: data, read from YAML and checked, interpreted by `compile` (DuckDB) and `oracle` (row by row).

A definition names its source document and clause, its formula in words (口径), unit, direction, targets by year, and
how to compute it: *views* make resources flat, *tables* work on them step by step (those under `prepare` once, the
others for every period), the *population* says who is counted and who of them is in the numerator. There is no SQL in a definition; conditions are FHIRPath expressions over
columns. Constants are `%name`: those of the definition, the code systems of `terms.systems`, and `%from`, `%to`, the
first and last day of the window.

A table is made in this order: rows of `from` that meet `where`; `with` adds columns of one matching row of another
table; `count` adds how many rows of another table match; `add` computes columns; `keep` drops rows; then `one_per`
keeps the last row per key, or `fold` makes one row per key from the last known value of every column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from healthbrain.lake import View

Direction = Literal["up", "down", "none"]
Kind = Literal["proportion", "count"]
Period = Literal["month", "week"]
Level = Literal["district", "town", "institution"]

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
    """Who is counted: rows of `source` (the denominator), and which of them are in the numerator."""

    source: str
    subject: str  # column that names the member
    town: str  # expressions that place the member
    institution: str
    where: str = "true"
    numerator: str = "true"
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    shown: tuple[str, ...] = ()  # columns kept with each member


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rule comes from."""

    document: str
    clause: str


@dataclass(frozen=True, slots=True)
class Library:
    """Views and tables that every definition may use; they do not depend on the period."""

    views: Mapping[str, View]
    tables: tuple[Table, ...]


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
    population: Population
    prepared: tuple[Table, ...]  # made once; they know nothing of the period
    tables: tuple[Table, ...]  # made anew for every period
    targets: Mapping[int, float] = field(default_factory=dict)
    constants: Mapping[str, str | int | float | tuple[str, ...]] = field(default_factory=dict)
    members: bool = True  # keep the members of the latest period for walking down
    order: int = 100  # place among the headlines

    def target(self, year: int) -> float | None:
        """The target that holds in `year`: the one of that year, else the last one before it."""
        known = [one for one in self.targets if one <= year]
        return self.targets[max(known)] if known else None


def by_id(definitions: Sequence[Definition]) -> dict[str, Definition]:
    """The definitions by their id."""
    return {definition.id: definition for definition in definitions}
