"""The cells of a question as a table with totals: keys in order, small counts taken out, shares, sorting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from healthbrain.errors import TooLarge
from healthbrain.measure.analysis import blur
from healthbrain.measure.analysis.protect import Key, Place, hidden_places
from healthbrain.measure.analysis.query import MOST_CELLS
from healthbrain.measure.analysis.question import Question
from healthbrain.measure.suppression import THRESHOLD

TOTAL: Place = (None, None)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one place of the table. Of a hidden one nothing is told."""

    rows: int | None
    persons: int | None
    values: tuple[float | None, ...]  # one per measure
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Pivot:
    """A table. Keys are the values of the dimensions; a place (row, None) is the row's total."""

    asked: Question
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]  # empty when the question has none
    cells: Mapping[Place, Cell]

    @property
    def hidden(self) -> int:
        """How many places are hidden."""
        return sum(cell.hidden for cell in self.cells.values())

    def cell(self, row: Key | None, column: Key | None) -> Cell:
        """One place; where nobody was counted there are no rows."""
        return self.cells.get((row, column)) or empty(self.asked)

    @property
    def total(self) -> Cell:
        """Everything."""
        return self.cell(None, None)


def pivot(asked: Question, fetched: Iterable[Sequence[object]], *, protect: bool) -> Pivot:
    """The table of what `cells_query` gave; with `protect` small counts are hidden, others blurred. Raises TooLarge."""
    raw, blurred = _raw(asked, fetched, protect=protect)
    rows = tuple(sorted({row for row, _ in raw if row is not None})) if asked.rows else ()
    columns = tuple(sorted({column for _, column in raw if column is not None})) if asked.columns else ()
    hidden = _hidden(rows, columns, raw) if protect else set()
    cells = {
        place: replace(_blank(asked), hidden=True) if place in hidden else blurred.get(place, cell)
        for place, (cell, _) in raw.items()
    }
    cells |= {place: replace(_blank(asked), hidden=True) for place in hidden}
    cells = _shares(asked, cells)
    made = Pivot(asked, rows, columns, cells)
    return replace(made, rows=tuple(sorted_rows(made)))


def empty(asked: Question) -> Cell:
    """Nobody: no rows, sums of nothing, no means."""
    return Cell(0, 0, tuple(0.0 if one.what in {"count", "persons"} else None for one in asked.measures))


def _blank(asked: Question) -> Cell:
    return Cell(None, None, tuple(None for _ in asked.measures))


def _raw(
    asked: Question, fetched: Iterable[Sequence[object]], *, protect: bool
) -> tuple[dict[Place, tuple[Cell, bool]], dict[Place, Cell]]:
    """Cells by place, and whether one is small; with `protect` also what is shown of those that are not."""
    blurred: dict[Place, Cell] = {}
    count, numbers = len(asked.dimensions), [n for n, one in enumerate(asked.measures) if one.column]
    found: dict[Place, tuple[Cell, bool]] = {}
    for line in fetched:
        if len(found) >= MOST_CELLS:
            raise TooLarge(f"the table has more than {MOST_CELLS:,} cells; choose fewer or coarser rows and columns")
        keys, (no_rows, no_columns, n, p) = line[:count], line[count : count + 4]
        measured = dict(zip(numbers, line[count + 4 : count + 4 + len(numbers)], strict=True))
        rest = line[count + 4 + len(numbers) :]
        known = [int(str(one)) for one in rest[: len(numbers)]]
        row = None if no_rows else tuple(str(one) for one in keys[: len(asked.rows)])
        column = None if no_columns else tuple(str(one) for one in keys[len(asked.rows) :])
        rows, persons = int(str(n)), int(str(p))
        values: list[float | None] = []
        for number, one in enumerate(asked.measures):
            if one.column:
                value = measured[number]
                values.append(None if value is None else float(str(value)))
            else:
                values.append(float(persons if one.what == "persons" else rows))
        small = any(0 < one < THRESHOLD for one in (persons, *known))
        found[row, column] = (Cell(rows, persons, tuple(values)), small)
        if protect:
            spreads, key = [float(str(one)) for one in rest[len(numbers) : -1]], int(str(rest[-1]))
            shown = blur.values(asked.measures, values, spreads, known, key)
            blurred[row, column] = Cell(blur.counted(rows, key), blur.counted(persons, key), shown)
    if TOTAL not in found:
        found[TOTAL] = (empty(asked), False)
    return found, blurred


def _hidden(rows: Sequence[Key], columns: Sequence[Key], raw: Mapping[Place, tuple[Cell, bool]]) -> set[Place]:
    persons = {place: cell.persons or 0 for place, (cell, _) in raw.items()}
    small = {place: is_small for place, (_, is_small) in raw.items()}
    if rows or not columns:
        return hidden_places(rows, columns, persons, small, THRESHOLD)
    turned = hidden_places(
        columns, (), {(c, r): n for (r, c), n in persons.items()}, {(c, r): s for (r, c), s in small.items()}, THRESHOLD
    )
    return {(row, column) for column, row in turned}


def _shares(asked: Question, cells: Mapping[Place, Cell]) -> dict[Place, Cell]:
    """Counts as per cent of the table, their row or their column; unknown where the whole is hidden."""
    kinds = {number: one.what for number, one in enumerate(asked.measures) if one.what.startswith("share")}
    if not kinds:
        return dict(cells)
    found = {}
    for (row, column), cell in cells.items():
        values = list(cell.values)
        for number, what in kinds.items():
            whole = cells.get({"share": TOTAL, "share_row": (row, None), "share_column": (None, column)}[what])
            of = whole.rows if whole else None
            values[number] = None if cell.rows is None or not of else min(100.0, 100 * cell.rows / of)
        found[row, column] = replace(cell, values=tuple(values))
    return found


def sorted_rows(made: Pivot) -> list[Key]:
    """Rows by label, or by the value of a measure in their totals; what is hidden or missing comes last."""
    if made.asked.sort == "label":
        return sorted(made.rows, reverse=made.asked.descending)
    number = int(made.asked.sort)
    sign = -1 if made.asked.descending else 1

    def order(row: Key) -> tuple[bool, float, Key]:
        value = made.cell(row, None).values[number]
        return (value is None, 0.0 if value is None else sign * value, row)

    return sorted(made.rows, key=order)
