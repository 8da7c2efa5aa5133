"""The national basic public health programmes (国家基本公共卫生服务项目) as data, and which figures their report takes.

A programme names its target group and the measures whose denominators and numerators are the people due and the people
served (APP-PH-39). Its report for a quarter or a year holds nothing but figures of those measures (APP-PH-38): of a
monthly measure, whose figure covers the time up to the end of its month, that of the last month in the period; of what
is entered by quarter, every quarter in the period, as kinds and visits of several quarters do not add up; what is known
by the year stands in the report of the year alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.definition import Definition, Words
from healthbrain.measure.periods import grain_of
from healthbrain.measure.strict import known, read, words

_FILE = "programmes.yaml"
_PERIOD = re.compile(r"(?P<year>[0-9]{4})(-Q(?P<quarter>[1-4]))?")


@dataclass(frozen=True, slots=True)
class Programme:
    """One class of services."""

    id: str
    title: Words
    group: Words  # 服务对象
    measures: tuple[str, ...]  # empty: nothing on the platform counts it


@cache
def programmes() -> tuple[Programme, ...]:
    """The programmes in the order of the national list."""
    return programmes_of((resources.files(__package__) / _FILE).read_text("utf-8"), _FILE)


@cache
def district_programmes() -> tuple[Programme, ...]:
    """The programmes that municipalities and districts add."""
    raw = read((resources.files(__package__) / _FILE).read_text("utf-8"), _FILE)
    return tuple(_programme(id_, one, f"{_FILE}: {id_}") for id_, one in raw["district"].items())


@cache
def district_document() -> str:
    """The paper that the added programmes come from."""
    return str(read((resources.files(__package__) / _FILE).read_text("utf-8"), _FILE)["district_document"])


@cache
def document() -> str:
    """The papers that the list comes from."""
    return str(read((resources.files(__package__) / _FILE).read_text("utf-8"), _FILE)["document"])


def programmes_of(text: str, where: str) -> tuple[Programme, ...]:
    """Programmes from their YAML; `where` names it in errors. Raises Incorrect."""
    raw = read(text, where)
    known(raw, {"document", "programmes", "district_document", "district"}, where)
    return tuple(_programme(id_, one, f"{where}: {id_}") for id_, one in raw["programmes"].items())


def programme(id_: str) -> Programme:
    """The programme of that id. Raises NotFound."""
    found = next((one for one in (*programmes(), *district_programmes()) if one.id == id_), None)
    if found is None:
        raise NotFound("there is no programme of this name")
    return found


def _programme(id_: str, raw: dict[str, Any], where: str) -> Programme:
    known(raw, {"title", "group", "measures"}, where)
    if missing := {"title", "group", "measures"} - set(raw):
        raise Incorrect(f"{where}: {', '.join(sorted(missing))} is missing")
    return Programme(id_, words(raw["title"]), words(raw["group"]), tuple(raw["measures"]))


def months_of(period: str) -> tuple[str, str]:
    """The first and the last month of a quarter (2026-Q3) or a year (2026). Raises Incorrect."""
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise Incorrect("a report is for a quarter like 2026-Q3 or a year like 2026")
    first, last = (1, 12) if found["quarter"] is None else (3 * int(found["quarter"]) - 2, 3 * int(found["quarter"]))
    return f"{found['year']}-{first:02d}", f"{found['year']}-{last:02d}"


def reported(one: Definition, known_periods: Sequence[str], period: str) -> list[str]:
    """Which of a measure's periods its lines in the report of `period` show, oldest first."""
    first, last = months_of(period)
    own = sorted(label for label in known_periods if grain_of(label) == one.period)
    if one.period == "month":
        return [label for label in own if first <= label <= last][-1:]
    if one.period == "quarter":
        return [label for label in own if label == period or label.startswith(f"{period}-Q")]
    return [label for label in own if label == period] if one.period == "year" else []


def report_periods(today: date, years: int = 2) -> list[str]:
    """The periods a report may be made for: the quarters of this year and of the years before, and those years."""
    quarter = (today.month + 2) // 3
    found = []
    for year in range(today.year, today.year - years, -1):
        last = quarter if year == today.year else 4
        found += [str(year), *(f"{year}-Q{number}" for number in range(last, 0, -1))]
    return found
