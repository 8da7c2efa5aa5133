"""A pivot table as it is shown: labels in words, numbers with their decimals, a chart of the same numbers, forecasts in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from healthbrain.measure.analysis import (
    OTHERS,
    Ahead,
    Answer,
    Cell,
    Column,
    Dimension,
    Measured,
    Question,
    Source,
    question_of,
)
from healthbrain.measure.analysis.sources import STRATIFIERS
from healthbrain.measure.queries import defined, definition
from healthbrain.measure.suppression import THRESHOLD
from healthbrain.terms import tables
from healthbrain.web.charts import Chart, Kind, Series, class_of, classes
from healthbrain.web.geography import towns
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import figures
from healthbrain.web.pages.analysis_form import address

SHOWN = 200  # rows on a page; exports have all
_SERIES = 6
WHATS: Mapping[str, str] = {
    "count": N_("Rows (count)"), "persons": N_("Persons (each once)"), "sum": N_("Sum"), "mean": N_("Mean"),
    "median": N_("Median"), "share": N_("Share of all"), "share_row": N_("Share of the row"),
    "share_column": N_("Share of the column"), "figure": N_("as published"),
}  # fmt: skip
GRAINS: Mapping[str, str] = {
    "day": N_("by day"), "week": N_("by week"), "month": N_("by month"), "quarter": N_("by quarter"), "year": N_("by year")
}  # fmt: skip
OPERATORS: Mapping[str, str] = {
    "in": N_("is one of"), "not_in": N_("is none of"), "starts": N_("begins with"), "contains": N_("contains"),
    "between": N_("from … to"), "given": N_("is given"), "empty": N_("is missing"),
}  # fmt: skip
CHARTS: Mapping[str, str] = {
    "bar": N_("Bars"), "line": N_("Lines"), "stack": N_("Stacked bars"), "heat": N_("Heat table"), "none": N_("No chart")
}  # fmt: skip
_SEXES = {"male": N_("male"), "female": N_("female"), "other": N_("other"), "unknown": N_("unknown")}
_WHY = {
    "few": N_("No forecast: it needs five finished periods at least, there are %(points)s."),
    "far": N_("The forecast ends here: no further ahead than twice the time observed."),
    "hidden": N_("No forecast: the series has small numbers that are hidden."),
    "gaps": N_("No forecast: the series has periods without a value."),
    "past": N_("No forecast."),
}


@dataclass(frozen=True, slots=True)
class ShownCell:
    """One number."""

    text: str
    hidden: bool = False
    look: str = ""  # heat class, or watch
    url: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    labels: Sequence[str]
    cells: Sequence[ShownCell]


@dataclass(frozen=True, slots=True)
class Head:
    """A column of the table: which group it belongs to, and the measure; a link that sorts by it."""

    group: str
    label: str
    url: str = ""
    sorted: str = ""  # ascending, descending


@dataclass(frozen=True, slots=True)
class ShownTable:
    """The whole table."""

    row_titles: Sequence[tuple[str, str, str]]  # title, link that sorts, aria-sort
    groups: Sequence[tuple[str, int]]
    heads: Sequence[Head]
    lines: Sequence[Line]
    totals: Line | None
    rows: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Forecasted:
    """One series looked ahead."""

    name: str
    why: str
    error: str
    lines: Sequence[tuple[str, str, str, str]]  # period, value, low, high


class Labels:
    """What values of a question's columns are called."""

    def __init__(self, said: Language, source: Source, institutions: Mapping[str, str]) -> None:
        self.said, self.source, self.institutions = said, source, institutions

    def of(self, one: Dimension, value: str) -> str:
        """A value in words."""
        column = self.source.column(one.column)
        if not value:
            return self.said.say(N_("(missing)"))
        if value == OTHERS:
            return self.said.say(N_("fewer than %(number)s persons each")) % {"number": THRESHOLD}
        if one.grain in {"week", "month", "quarter", "year"}:
            return figures.period_text(self.said, value)
        if one.width:
            low = float(value)
            return f"{low:g}–<{low + one.width:g}"
        return self._plain(column, value)

    def _plain(self, column: Column, value: str) -> str:
        if self.source.published and column.name == "measure":
            return figures.title(self.said, definition(value))
        if column.name in STRATIFIERS and self.source.published and column.name != "sex":
            return _stratum(self.said, column.name, value)
        if column.name == "_institution" or column.refers:
            return self.institutions.get(value, value)
        if value[:9] in towns() and column.name in {"_town", "division"}:
            return towns()[value[:9]].said(self.said)
        if column.name in {"_sex", "sex"}:
            return self.said.say(_SEXES.get(value, value))
        if column.system and self.said.chinese and (words := tables.display(column.system, value)):
            return f"{words} {value}"
        return value


def _stratum(said: Language, stratifier: str, value: str) -> str:
    """A stratum as the measures name it."""
    for one in defined():
        for known in one.stratifiers:
            if known.id == stratifier and value in known.labels:
                return figures.words(said, known.labels[value])
    return value


def column_title(said: Language, column: Column) -> str:
    """The name of a column."""
    return figures.words(said, column.title)


def measure_title(said: Language, source: Source, one: Measured) -> str:
    """The name of a measure."""
    what = said.say(WHATS[one.what])
    if one.what == "figure":
        return column_title(said, source.column(one.column))
    return f"{column_title(said, source.column(one.column))} · {what}" if one.column else what


def dimension_title(said: Language, source: Source, one: Dimension) -> str:
    """The name of a dimension."""
    title = column_title(said, source.column(one.column))
    return f"{title} · {said.say(GRAINS[one.grain])}" if one.grain else title


def shown_table(said: Language, source: Source, found: Answer, *, drill: bool, rows: int | None = SHOWN) -> ShownTable:
    """The table with everything in words."""
    table, asked, labels = found.table, found.table.asked, Labels(said, source, found.institutions)
    measures = [measure_title(said, source, one) for one in asked.measures]
    columns = [*table.columns, None] if table.columns else [None]
    groups = [
        (said.say(N_("Total")) if column is None else " · ".join(map(labels.of, asked.columns, column)), len(measures))
        for column in columns
    ]
    heads = [
        Head(group, title, _sort_url(asked, number) if column is None else "", _sorted(asked, str(number)) if column is None else "")
        for column, (group, _) in zip(columns, groups, strict=True)
        for number, title in enumerate(measures)
    ]  # fmt: skip
    bounds = _bounds(found) if asked.chart == "heat" else [[] for _ in measures]

    def line(row: tuple[str, ...] | None, names: Sequence[str]) -> Line:
        cells = []
        for column in columns:
            cell, inner = table.cell(row, column), row is not None and (column is not None or not table.columns)
            for number, one in enumerate(asked.measures):
                look = f"heat-{class_of(cell.values[number], bounds[number])}" if inner and bounds[number] else ""
                if number == 0 and asked.watch and inner and asked.watch.crossed(cell.values[0]):
                    look = "watch"
                link = _drill_url(asked, row, column) if drill and number == 0 and cell.rows else ""
                cells.append(ShownCell(number_text(said, one, cell, number), cell.hidden, look, link))
        return Line(names, cells)

    chosen = table.rows if rows is None else table.rows[:rows]
    lines = [line(row, list(map(labels.of, asked.rows, row))) for row in chosen] if asked.rows else []
    titles = [(dimension_title(said, source, one), _label_url(asked), _sorted(asked, "label")) for one in asked.rows]
    return ShownTable(
        titles, groups if table.columns else [], heads, lines, line(None, [said.say(N_("Total"))]), len(table.rows),
        table.hidden,
    )  # fmt: skip


def number_text(said: Language, one: Measured, cell: Cell, number: int) -> str:
    """A number with the decimals it needs."""
    if cell.hidden:
        return "*"
    value = cell.values[number]
    if value is None:
        return "—"
    if one.what.startswith("share"):
        return f"{said.number(value, 1)}%"
    whole = one.what in {"count", "persons"} or (one.what in {"sum", "figure"} and value == int(value))
    return said.number(value, 0 if whole else 2)


def chart(said: Language, source: Source, found: Answer, ahead: Sequence[Ahead], csv: str) -> Chart | None:
    """The first measure drawn: categories are the rows, series the columns; a forecast follows its series."""
    table, asked = found.table, found.table.asked
    if asked.chart in {"none", "heat"} or not asked.rows:
        return None
    labels = Labels(said, source, found.institutions)
    rows = table.rows[:SHOWN]
    if asked.rows[0].grain and len(asked.rows) == 1:
        rows = tuple(sorted(row for row in rows if row[0]))
    names = [" · ".join(map(labels.of, asked.rows, row)) for row in rows]
    coming = ahead[0].periods if ahead else ()
    names += [labels.of(asked.rows[0], period) for period in coming]
    kind: Kind = "line" if asked.chart == "line" else "bar"
    series = []
    columns: list[tuple[str, ...] | None] = list(table.columns[:_SERIES]) or [None]
    for column in columns:
        title = (
            measure_title(said, source, asked.measures[0])
            if column is None
            else " · ".join(map(labels.of, asked.columns, column))
        )
        values = [table.cell(row, column).values[0] for row in rows]
        series.append(Series(title, [*values, *(None for _ in coming)], kind))
        one = next((each for each in ahead if each.column == column and each.values), None)
        if one and len(columns) <= 2:
            series += _ahead_series(said, title, len(rows), len(coming), one)
    share = asked.measures[0].what.startswith("share")
    digits = 0 if asked.measures[0].what in {"count", "persons"} else 1
    return Chart(
        "analysis", _chart_title(said, source, asked), names, series, unit="%" if share else "", digits=digits,
        target=asked.watch.value if asked.watch else None, target_label=said.say(N_("Threshold")) if asked.watch else "",
        csv=csv, category_label=" · ".join(dimension_title(said, source, one) for one in asked.rows),
        stacked=asked.chart == "stack",
    )  # fmt: skip


def forecasts(said: Language, source: Source, found: Answer, ahead: Sequence[Ahead]) -> list[Forecasted]:
    """What is expected, with its interval and how far the method missed before; or why nothing is said."""
    asked = found.table.asked
    labels, shown = Labels(said, source, found.institutions), []
    digits = 0 if asked.measures[0].what in {"count", "persons"} else 1
    for one in ahead:
        name = said.say(N_("Total")) if one.column is None else " · ".join(map(labels.of, asked.columns, one.column))
        why = said.say(_WHY[one.why]) % {"points": one.points} if one.why else ""
        error = one.values[0].error if one.values else None
        lines = [
            (
                labels.of(asked.rows[0], period),
                said.number(value.value, digits), said.number(value.low, digits), said.number(value.high, digits),
            )
            for period, value in zip(one.periods, one.values, strict=False)
        ]  # fmt: skip
        missed = said.say(N_("One period ahead, the method missed by %(error)s on average in this series."))
        shown.append(
            Forecasted(name, why, missed % {"error": said.number(error, 1)} if error is not None else "", lines)
        )
    return shown


def _ahead_series(said: Language, title: str, before: int, steps: int, one: Ahead) -> list[Series]:
    found = []
    for name, pick in ((N_("forecast"), "value"), (N_("low"), "low"), (N_("high"), "high")):
        values: list[float | None] = [None] * before
        values += [float(getattr(each, pick)) for each in one.values] + [None] * (steps - len(one.values))
        found.append(Series(f"{title} · {said.say(name)}", values, "line"))
    return found


def _chart_title(said: Language, source: Source, asked: Question) -> str:
    by = "、" if said.chinese else ", "
    dimensions = by.join(dimension_title(said, source, one) for one in asked.dimensions)
    return f"{figures.words(said, source.title)} · {measure_title(said, source, asked.measures[0])} ({dimensions})"


def _bounds(found: Answer) -> list[list[float]]:
    table = found.table
    columns = table.columns or (None,)
    return [
        classes([table.cell(row, column).values[number] for row in table.rows for column in columns])
        for number in range(len(table.asked.measures))
    ]


def _sorted(asked: Question, by: str) -> str:
    if asked.sort != by:
        return ""
    return "descending" if asked.descending else "ascending"


def _sort_url(asked: Question, number: int) -> str:
    return address(_by(asked, str(number), first_down=True))


def _label_url(asked: Question) -> str:
    return address(_by(asked, "label", first_down=False))


def _by(asked: Question, sort: str, *, first_down: bool) -> Question:
    raw = asked.as_json()
    down = not asked.descending if asked.sort == sort else first_down
    return question_of({**raw, "sort": sort, "descending": down})


def _drill_url(asked: Question, row: tuple[str, ...] | None, column: tuple[str, ...] | None) -> str:
    cell = [*(row or [None] * len(asked.rows)), *(column or [None] * len(asked.columns))]
    return address(asked, "/analysis/rows", cell=orjson.dumps(cell).decode())
