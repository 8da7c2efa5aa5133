"""What a user asks of a view or of published figures: rows and columns of a pivot table, numbers in its cells, filters, a chart. Data, no SQL.

A question is checked against the columns of its view before anything is made of it; a name that is not among them never
reaches a statement. The form of the JSON is docs/reference/analysis.md (HUB-DS-07, HUB-DS-08).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

from healthbrain.errors import Incorrect
from healthbrain.measure.analysis.sources import INSTITUTION, STRATIFIERS, TOWN, Column, Source, source_of

Grain = Literal["", "day", "week", "month", "quarter", "year"]
What = Literal["count", "persons", "sum", "mean", "median", "share", "share_row", "share_column", "figure"]
Operator = Literal["in", "not_in", "starts", "contains", "between", "given", "empty"]
ChartKind = Literal["bar", "line", "stack", "heat", "none"]

GRAINS: tuple[Grain, ...] = get_args(Grain)
WHATS: tuple[What, ...] = get_args(What)
OPERATORS: tuple[Operator, ...] = get_args(Operator)
CHARTS: tuple[ChartKind, ...] = get_args(ChartKind)
OF_A_NUMBER = frozenset({"sum", "mean", "median", "figure"})
SHARES = frozenset({"share", "share_row", "share_column"})
MOST_ROWS, MOST_COLUMNS, MOST_MEASURES, MOST_FILTERS = 3, 1, 4, 12
MOST_VALUES = 200  # in one filter
MOST_FIGURES = 20  # measures in one question over published figures
FURTHEST = 24  # periods of a forecast


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column by which rows are divided; dates by a grain, numbers by bands of a width (0 = each number)."""

    column: str
    grain: Grain = ""
    width: float = 0

    @property
    def word(self) -> str:
        """As it stands in an address: start:month, value:10."""
        return f"{self.column}:{self.grain or format(self.width, 'g')}" if self.grain or self.width else self.column


@dataclass(frozen=True, slots=True)
class Measured:
    """A number per cell; `column` only of sums, means and medians."""

    what: What
    column: str = ""

    @property
    def word(self) -> str:
        """As it stands in an address: count, mean:value."""
        return f"{self.what}:{self.column}" if self.column else self.what


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition that rows must meet."""

    column: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Threshold:
    """A watch on the first measure: cells at or beyond it are marked, and the newest period is reported."""

    side: Literal["above", "below"]
    value: float

    def crossed(self, value: float | None) -> bool:
        """Whether a value is on the watched side."""
        return value is not None and (value >= self.value if self.side == "above" else value <= self.value)


@dataclass(frozen=True, slots=True)
class Question:
    """The whole question."""

    source: str
    rows: tuple[Dimension, ...] = ()
    columns: tuple[Dimension, ...] = ()
    measures: tuple[Measured, ...] = (Measured("count"),)
    filters: tuple[Filter, ...] = ()
    chart: ChartKind = "bar"
    sort: str = "label"  # label, or the place of a measure
    descending: bool = False
    ahead: int = 0  # periods of a forecast
    watch: Threshold | None = None

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Rows, then columns."""
        return (*self.rows, *self.columns)

    def as_json(self) -> dict[str, Any]:
        """The question as it is stored and exchanged."""
        return {
            "source": self.source,
            "rows": [one.word for one in self.rows],
            "columns": [one.word for one in self.columns],
            "measures": [one.word for one in self.measures],
            "filters": [
                {"column": one.column, "operator": one.operator, "values": list(one.values)} for one in self.filters
            ],
            "chart": self.chart,
            "sort": self.sort,
            "descending": self.descending,
            "ahead": self.ahead,
            "watch": {"side": self.watch.side, "value": self.watch.value} if self.watch else None,
        }


def question_of(raw: Any) -> Question:
    """A question from its JSON, checked. Raises Incorrect, NotFound."""
    if not isinstance(raw, Mapping):
        raise Incorrect("a question is a JSON object")
    known = {"source", "rows", "columns", "measures", "filters", "chart", "sort", "descending", "ahead", "watch"}
    if set(raw) - known:
        raise Incorrect(f"a question has the members {', '.join(sorted(known))} and no others")
    try:
        watch = raw.get("watch")
        made = Question(
            source=str(raw["source"]),
            rows=tuple(dimension_of(str(one)) for one in raw.get("rows", ())),
            columns=tuple(dimension_of(str(one)) for one in raw.get("columns", ())),
            measures=tuple(measured_of(str(one)) for one in raw.get("measures", ("count",))),
            filters=tuple(
                Filter(str(one["column"]), _one_of(one["operator"], OPERATORS), tuple(map(str, one.get("values", ()))))
                for one in raw.get("filters", ())
            ),
            chart=_one_of(raw.get("chart", "bar"), CHARTS),
            sort=str(raw.get("sort", "label")),
            descending=raw.get("descending", False) is True,
            ahead=int(raw.get("ahead", 0)),
            watch=Threshold(_one_of(watch["side"], ("above", "below")), float(watch["value"])) if watch else None,
        )
    except (KeyError, TypeError, ValueError):
        raise Incorrect("a part of the question is missing or has the wrong form") from None
    return check(made)


def dimension_of(word: str) -> Dimension:
    """A dimension from its word. Raises Incorrect."""
    column, _, how = word.partition(":")
    if how in GRAINS:
        return Dimension(column, how)
    try:
        width = float(how)
    except ValueError:
        raise Incorrect("a dimension is a column, column:month for dates or column:10 for numbers") from None
    if not 0 < width < 1e9:
        raise Incorrect("the width of a band is a number above zero")
    return Dimension(column, "", width)


def measured_of(word: str) -> Measured:
    """A measure from its word. Raises Incorrect."""
    what, _, column = word.partition(":")
    return Measured(_one_of(what, WHATS), column)


def check(asked: Question) -> Question:
    """The question itself when every part fits its view. Raises Incorrect, NotFound."""
    source = source_of(asked.source)
    for number, most, what in (
        (len(asked.rows), MOST_ROWS, "rows"),
        (len(asked.columns), MOST_COLUMNS, "columns"),
        (len(asked.measures), MOST_MEASURES, "measures"),
        (len(asked.filters), MOST_FILTERS, "filters"),
    ):
        if number > most:
            raise Incorrect(f"a question has at most {most} {what}")
    if not asked.measures:
        raise Incorrect("a question needs a measure")
    if len({one.column for one in asked.dimensions if not one.grain}) != sum(not one.grain for one in asked.dimensions):
        raise Incorrect("a column can stand in rows or columns once")
    if len(set(asked.dimensions)) != len(asked.dimensions):
        raise Incorrect("a column can stand in rows or columns once")
    for dimension in asked.dimensions:
        _check_dimension(source, dimension)
    for measured in asked.measures:
        _check_measured(source, measured)
    for one in asked.filters:
        _check_filter(source.column(one.column), one)
    if source.published:
        _check_published(asked)
    if asked.sort != "label" and (not asked.sort.isdigit() or int(asked.sort) >= len(asked.measures)):
        raise Incorrect("a table is sorted by its labels or by one of its measures")
    if not 0 <= asked.ahead <= FURTHEST:
        raise Incorrect(f"a forecast goes at most {FURTHEST} periods ahead")
    return asked


def series_dimension(asked: Question) -> Dimension | None:
    """The time along the rows, when the question is a time series; else None."""
    only = asked.rows[0] if len(asked.rows) == 1 else None
    return only if only is not None and only.grain else None


def _check_published(asked: Question) -> None:
    """A cell must be one published figure: of one measure, one place, divided by one stratifier at most."""
    given: dict[str, int] = {}
    for one in asked.filters:
        if one.operator != ("between" if one.column == "period" else "in") or one.column in given:
            raise Incorrect("published figures are filtered by one list per column, and by one range of periods")
        given[one.column] = len(one.values)
    divided = [one.column for one in asked.dimensions]
    if not {*divided, *given} <= {"measure", "period", TOWN, INSTITUTION, *STRATIFIERS}:
        raise Incorrect("published figures are divided and filtered by measure, period, place and stratum")
    if len(set(divided)) != len(divided):
        raise Incorrect("a column can stand in rows or columns once")
    if not 0 < given.get("measure", 0) <= MOST_FIGURES:
        raise Incorrect(f"choose the measures with a filter: 1 to {MOST_FIGURES} of them")
    for column, number in given.items():
        if column != "period" and number > 1 and column not in divided:
            raise Incorrect(f"several values of {column} stand in rows or columns; or choose one")
    used = {*divided, *given}
    if {TOWN, INSTITUTION} <= used or len(used & set(STRATIFIERS)) > 1:
        raise Incorrect("figures are published by town or by institution, and by one stratifier at a time")
    if any(one.column == "period" and one.grain == "day" for one in asked.dimensions):
        raise Incorrect("figures are published by week, month, quarter or year")


def _check_dimension(source: Source, one: Dimension) -> None:
    column = source.column(one.column)
    if column.kind == "hidden":
        raise Incorrect(f"the column {column.name} names single persons or records; it cannot divide a table")
    if (column.kind == "date") != bool(one.grain):
        raise Incorrect(f"the column {column.name} {'needs' if column.kind == 'date' else 'cannot have'} a time grain")
    if one.width and column.kind != "number":
        raise Incorrect(f"the column {column.name} is no number and has no bands")


def _check_measured(source: Source, one: Measured) -> None:
    if (one.what in OF_A_NUMBER) != bool(one.column):
        raise Incorrect("sum, mean and median are of a column, other measures are not")
    if one.column and source.column(one.column).kind != "number":
        raise Incorrect(f"the column {one.column} is no number")
    if (one.what == "figure") != source.published:
        raise Incorrect("published figures are shown as they are; rows of views are counted, summed up or averaged")
    if one.what == "persons" and not source.personal:
        raise Incorrect("this view is not about persons; count its rows")


def _check_filter(column: Column, one: Filter) -> None:
    if column.kind == "hidden":
        raise Incorrect(f"the column {column.name} names single persons or records; it cannot be a filter")
    allowed: dict[str, tuple[str, ...]] = {
        "category": ("in", "not_in", "starts", "contains", "given", "empty"),
        "number": ("in", "not_in", "between", "given", "empty"),
        "date": ("between", "given", "empty"),
    }
    if one.operator not in allowed[column.kind]:
        raise Incorrect(f"the filter {one.operator} does not fit the column {column.name}")
    if len(one.values) > MOST_VALUES:
        raise Incorrect(f"a filter has at most {MOST_VALUES} values")
    if one.operator in {"given", "empty"}:
        return
    if one.operator == "between":
        if len(one.values) != 2 or not any(one.values):
            raise Incorrect("a range has a lower and an upper end, one of which may be left empty")
    elif not [value for value in one.values if value]:
        raise Incorrect(f"the filter on {column.name} needs a value")
    for value in one.values:
        _check_value(column, value)


def _check_value(column: Column, value: str) -> None:
    if not value or column.kind == "category":
        return
    try:
        if column.kind == "date":
            date.fromisoformat(value)
        elif not abs(float(value)) < 1e15:
            raise ValueError
    except ValueError:
        form = "a date such as 2026-01-31" if column.kind == "date" else "a number"
        raise Incorrect(f"the filter on {column.name} needs {form}") from None


def _one_of(value: Any, allowed: Sequence[Any]) -> Any:
    if value not in allowed:
        raise Incorrect(f"one of {', '.join(str(one) or 'none' for one in allowed)} is expected")
    return value
