"""A form filled for one place and period, from published figures alone.

Of a measure counted by month the form takes the last month in the period, of what is entered by quarter the quarter itself (in a
year's form their sum, or none where they do not add up), of what is known by the year the year. A cell keeps measure, part, period,
version and as-of time, so that it leads to what it counts; an empty cell keeps why it is empty. The result is plain data: it is
frozen as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from healthbrain import measure
from healthbrain.database import Connection
from healthbrain.measure.definition import Definition, Level
from healthbrain.measure.programmes import months_of, reported
from healthbrain.measure.queries import Figure
from healthbrain.measure.statutory.checks import checked
from healthbrain.measure.statutory.form import Form, Part, Row, Section
from healthbrain.measure.statutory.published import Published, published_at

REST = "*"  # the column of every stratum that has no column of its own
Cell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Whose form it is."""

    level: Level
    key: str
    code: str
    name: str


async def fill(
    connection: Connection,
    form: Form,
    place: Place,
    period: str,
    *,
    at: datetime,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The form's content; `before` is that of the report before this one. Raises Incorrect for a period that is none."""
    months_of(period)
    known = {one.id: one for one in await measure.in_force(connection)}
    needed = {id_ for row in form.rows for id_ in (row.measure, row.same_as)} & set(known)
    wanted = [known[id_] for id_ in sorted(needed)]
    by = sorted({section.by for section in form.sections if section.by})
    own = await published_at(connection, wanted, place.level, place.key, period[:4], by)
    whole = own if place.level == "district" else await published_at(connection, wanted, "district", "", period[:4], [])
    found = {one.id: _figures(one, own, whole, place, period) for one in wanted}
    sections = [_section(one, known, found, own) for one in form.sections if not (one.yearly and "Q" in period)]
    content: dict[str, Any] = {
        "form": form.id,
        "version": form.version,
        "place": {"level": place.level, "key": place.key, "code": place.code, "name": place.name},
        "period": period,
        "filled_at": at.isoformat(),
        "as_of": max((cell["as_of"] for cell in _cells(sections) if cell.get("as_of")), default=""),
        "sections": sections,
        "places": await _places(connection, form, place, found),
        "published": {
            id_: figures[-1].value
            for id_, figures in found.items()
            if len(figures) == 1 and figures[-1].value is not None
        },
    }
    content["checks"] = checked(form, content, before)
    return content


def _figures(one: Definition, own: Published, whole: Published, place: Place, period: str) -> list[Figure]:
    """The figures that the period's form takes, oldest first. Where nobody is counted at a place in a period that was
    counted, its counts are zero, not unknown."""
    series = {figure.period: figure for figure in own.whole.get(one.id, ())}
    if place.level != "district" and one.population is not None:
        nobody = {figure.period: _emptied(figure, place) for figure in whole.whole.get(one.id, ())}
        series = nobody | series
    return [series[label] for label in reported(one, list(series), period)]


def _emptied(figure: Figure, place: Place) -> Figure:
    return replace(
        figure, level=place.level, key=place.key, numerator=None if figure.numerator is None else 0,
        denominator=None if figure.denominator is None else 0, value=None, low=None, high=None, small=True,
    )  # fmt: skip


def _section(
    section: Section, known: Mapping[str, Definition], found: Mapping[str, Sequence[Figure]], own: Published
) -> dict[str, Any]:
    columns = ["", *(stratum for stratum, _ in section.columns)]
    rows: list[dict[str, Any]] = []
    for row in section.rows:
        if row.measure:
            cells = [_cell(row, known.get(row.measure), found.get(row.measure, ()))]
            cells += _strata(section, row, known, found, own)
        else:
            done = {one["no"]: one["cells"] for one in rows}
            cells = [_worked_out(row, {no: done[no][number] for no in row.follows}) for number in range(len(columns))]
        rows.append({"no": row.no, "title": dict(row.title), "unit": row.unit, "cells": cells})
    headings = [{"stratum": stratum, "title": dict(title)} for stratum, title in section.columns]
    return {"id": section.id, "title": dict(section.title), "by": section.by, "columns": headings, "rows": rows}


def _cell(row: Row, one: Definition | None, figures: Sequence[Figure]) -> Cell:
    if one is None:
        return {"number": None, "why": "unknown"}
    base: Cell = {"measure": row.measure, "part": row.part}
    if not figures:
        return {**base, "number": None, "why": "not_entered" if one.kind == "entered" else "no_figure"}
    last = figures[-1]
    about = {
        **base, "period": last.period, "version": last.version, "as_of": last.as_of.isoformat(), "complete": last.complete,
    }  # fmt: skip
    if len(figures) == 1:
        number = part_of(last, row.part)
        return {**about, "number": number, **({} if number is not None else {"why": "nobody"})}
    if row.year == "none":
        return {**about, "number": None, "why": "not_additive", "periods": [one.period for one in figures]}
    if row.year == "sum":
        numbers = [part_of(figure, row.part) for figure in figures]
        present = [number for number in numbers if number is not None]
        return {**about, "number": sum(present) if present else None, "periods": [one.period for one in figures]}
    return {**about, "number": part_of(last, row.part)}


def _strata(
    section: Section, row: Row, known: Mapping[str, Definition], found: Mapping[str, Sequence[Figure]], own: Published
) -> list[Cell]:
    """One cell per column beside the whole."""
    if not section.by:
        return []
    one, figures = known.get(row.measure), found.get(row.measure, ())
    if one is None or not figures or section.by not in {stratifier.id for stratifier in one.stratifiers}:
        return [{"number": None, "why": "no_figure"} for _ in section.columns]
    last = figures[-1]
    parts = own.parts.get((one.id, section.by, last.period), ())
    numbers = {part.stratum: part_of(part, row.part) or 0 for part in parts}
    named = {stratum for stratum, _ in section.columns}
    about = {
        "measure": row.measure, "part": row.part, "period": last.period, "version": last.version,
        "as_of": last.as_of.isoformat(), "complete": last.complete, "by": section.by,
    }  # fmt: skip
    cells: list[Cell] = []
    for stratum, _ in section.columns:
        if stratum == REST:
            others = {name: number for name, number in numbers.items() if name not in named}
            cells.append({**about, "strata": sorted(others), "number": sum(others.values())})
        else:
            cells.append({**about, "strata": [stratum], "number": numbers.get(stratum, 0)})
    return cells


def _worked_out(row: Row, cells: Mapping[str, Cell]) -> Cell:
    """A share, sum or difference of cells of the same column."""
    numbers = [cells[no]["number"] for no in row.follows]
    base: Cell = {"from": list(row.follows)}
    if row.sum:
        present = [number for number in numbers if number is not None]
        return {**base, "number": sum(present) if present else None, **({} if present else {"why": "no_figure"})}
    if None in numbers:
        return {**base, "number": None, "why": "no_figure"}
    if row.less:
        return {**base, "number": numbers[0] - numbers[1]}
    above, below = numbers
    return {**base, "number": row.per * above / below if below else None, **({} if below else {"why": "nobody"})}


def part_of(figure: Figure, part: Part) -> float | None:
    """One part of a figure; a count has its number as numerator and as value."""
    match part:
        case "numerator":
            return figure.numerator
        case "denominator":
            return figure.denominator
        case "value":
            return figure.value


async def _places(
    connection: Connection, form: Form, place: Place, found: Mapping[str, Sequence[Figure]]
) -> dict[str, float]:
    """Of the district's form: each row's number added up over all towns, to be set against the whole."""
    if place.level != "district":
        return {}
    sums: dict[str, float] = {}
    parts: dict[str, list[Figure]] = {}
    for row in form.rows:
        figures = found.get(row.measure, ())
        if not row.measure or len(figures) != 1 or row.part == "value":
            continue
        if row.measure not in parts:
            parts[row.measure] = await measure.by_division(connection, row.measure, figures[0].period)
        numbers = [part_of(figure, row.part) for figure in parts[row.measure]]
        if numbers:
            sums[row.no] = sum(number for number in numbers if number is not None)
    return sums


def _cells(sections: Sequence[Mapping[str, Any]]) -> list[Cell]:
    return [cell for section in sections for row in section["rows"] for cell in row["cells"]]
