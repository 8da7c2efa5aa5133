"""A statutory report as its page and files show it: cells in words, each with the way to what it counts, and its checks.

A cell that counts leads to the list of those it counts, where the measure keeps one for that period, else to the measure; one that is
worked out leads to the rows it follows from; an empty one says why it is empty. For readers who may not see people a measure whose
counts are small is taken out as a whole, with what follows from it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from healthbrain.measure import Definition, suppression
from healthbrain.measure.periods import spans
from healthbrain.measure.statutory import Form
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import figures

WHY: Mapping[str, str] = {
    "not_entered": N_("not entered yet"),
    "no_figure": N_("no figure of this period"),
    "nobody": N_("nobody to count"),
    "not_additive": N_("quarters do not add up"),
    "unknown": N_("the measure is not in force"),
    "few": N_("too few people"),
}
STATES: Mapping[str, tuple[str, str, str]] = {
    "draft": (N_("Draft"), "warn", "edit"),
    "submitted": (N_("Submitted"), "info", "clock"),
    "passed": (N_("Passed, waiting for the district"), "info", "check"),
    "returned": (N_("Returned"), "bad", "back"),
    "approved": (N_("Approved"), "ok", "check"),
}
ACTIONS: Mapping[str, str] = {
    "made": N_("made"), "counted": N_("figures counted again"), "explained": N_("explained"), "submitted": N_("submitted"),
    "passed": N_("passed"), "returned": N_("returned"), "approved": N_("approved"), "dropped": N_("dropped"),
}  # fmt: skip
CHECKS: Mapping[str, str] = {
    "filled": N_("%(title)s: no number in row %(rows)s"),
    "share": N_("Row %(no)s %(title)s: the part is not above the whole (%(left)s, %(right)s)"),
    "published": N_("Row %(no)s %(title)s equals the published value (%(left)s, %(right)s)"),
    "at_most": N_("Row %(no)s %(title)s is not above the row it belongs to (%(left)s, %(right)s)"),
    "columns": N_("Row %(no)s %(title)s: the columns add up to the whole (%(left)s, %(right)s)"),
    "places": N_("Row %(no)s %(title)s: the towns add up to the district (%(left)s, %(right)s)"),
    "growing": N_("Row %(no)s %(title)s is not below the report before (%(left)s, %(right)s)"),
}


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell. `now` is what would stand here today, when that was asked for and differs."""

    text: str
    url: str
    note: str
    number: float | None
    now: str = ""


@dataclass(frozen=True, slots=True)
class RowView:
    """One line."""

    no: str
    title: str
    unit: str
    cells: Sequence[CellView]


@dataclass(frozen=True, slots=True)
class SectionView:
    """One service."""

    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[RowView]


@dataclass(frozen=True, slots=True)
class CheckView:
    """One cross-check."""

    id: str
    text: str
    ok: bool
    ask: bool
    remark: str


def hidden(form: Form, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content without the small counts, for readers who may not see the people behind them."""
    shown = copy.deepcopy(dict(content))
    rows = {row["no"]: row for section in shown["sections"] for row in section["rows"]}
    gone = {
        row.no for row in form.rows if row.no in rows and row.measure
        and any(_small(cell["number"]) for cell in rows[row.no]["cells"]) and row.part != "value"
    }  # fmt: skip
    for row in form.rows:  # a part of a whole shows what is not in it as well
        own, whole = rows.get(row.no), rows.get(row.at_most)
        if (
            own
            and whole
            and any(
                _small((b["number"] or 0) - (a["number"] or 0))
                for a, b in zip(own["cells"], whole["cells"], strict=True)
            )
        ):
            gone.add(row.no)
    measures = {row.measure for row in form.rows if row.no in gone}
    gone |= {row.no for row in form.rows if row.measure in measures}
    for row in form.rows:
        if set(row.follows) & gone:
            gone.add(row.no)
    for no in gone & set(rows):
        for cell in rows[no]["cells"]:
            cell.update(number=None, why="few", hidden=True)
    shown["checks"] = [check for check in shown["checks"] if check["no"] not in gone]
    return shown


def _small(number: float | None) -> bool:
    return number is not None and 0 < number < suppression.THRESHOLD


def sections(
    said: Language, content: Mapping[str, Any], known: Mapping[str, Definition], today: date,
    *, now: Mapping[str, Any] | None = None,
) -> list[SectionView]:  # fmt: skip
    """The form's sections in words."""
    current = {row["no"]: row["cells"] for section in (now or {}).get("sections", ()) for row in section["rows"]}
    area = content["place"]["code"] if content["place"]["level"] != "district" else ""
    found = []
    for section in content["sections"]:
        rows = []
        for row in section["rows"]:
            others = current.get(row["no"], [{}] * len(row["cells"]))
            cells = [
                _cell(said, row, cell, known, area, today, other if now else None)
                for cell, other in zip(row["cells"], others, strict=True)
            ]
            rows.append(RowView(row["no"], figures.words(said, row["title"]), unit(said, row["unit"]), cells))
        columns = [said.say(N_("Whole")), *(figures.words(said, one["title"]) for one in section["columns"])]
        found.append(SectionView(section["id"], figures.words(said, section["title"]), columns, rows))
    return found


def unit(said: Language, text: str) -> str:
    """A unit in the reader's language."""
    known = {"people": N_("people"), "times": N_("times"), "kinds": N_("kinds"), "doses": N_("doses"), "cases": N_("cases"), "records": N_("records")}  # fmt: skip
    return said.say(known.get(text, text))


def _cell(
    said: Language, row: Mapping[str, Any], cell: Mapping[str, Any], known: Mapping[str, Definition], area: str,
    today: date, other: Mapping[str, Any] | None,
) -> CellView:  # fmt: skip
    number = cell["number"]
    text = number_text(said, row["unit"], number) if number is not None else "—"
    note = said.say(WHY[cell["why"]]) if number is None and cell.get("why") in WHY else ""
    changed = ""
    if other is not None and other.get("number") != number:
        changed = number_text(said, row["unit"], other.get("number"))
    if cell.get("hidden"):
        return CellView(text, "", note, None)
    if "from" in cell:
        return CellView(text, f"#row-{cell['from'][0]}", note, number, changed)
    return CellView(text, _url(cell, known, area, today), note, number, changed)


def number_text(said: Language, unit: str, number: float | None) -> str:
    """A number as it stands in a cell: shares with two decimals, counts whole."""
    return said.number(number, 2 if unit == "%" else 0)


def _url(cell: Mapping[str, Any], known: Mapping[str, Definition], area: str, today: date) -> str:
    one = known.get(cell.get("measure", ""))
    if one is None:
        return ""
    about = f"/measures/{one.id}" + (f"?{urlencode({'area': area})}" if area else "")
    counted = one.population is not None and one.members and cell["part"] != "value"
    strata = cell.get("strata", [])
    if not counted or cell["number"] is None or len(strata) > 1 or (cell.get("by") and not strata):
        return about
    if cell["period"] not in {span.label for span in spans(one, today)} or cell["version"] != one.version:
        return about
    asked = {"measure": one.id, "period": cell["period"], "area": area}
    if cell["part"] == "numerator" and one.kind != "count":
        asked["group"] = "inside"
    if strata:
        asked |= {"by": cell["by"], "stratum": strata[0]}
    return "/cockpit/persons?" + urlencode({name: value for name, value in asked.items() if value})


def checks(said: Language, form: Form, content: Mapping[str, Any], remarks: Mapping[str, str]) -> list[CheckView]:
    """The checks, those that do not hold first."""
    rows = {row.no: row for row in form.rows}
    titles = {row["no"]: row for section in content["sections"] for row in section["rows"]}
    services = {row["no"]: section["title"] for section in content["sections"] for row in section["rows"]}
    found = []
    for one in sorted(content["checks"], key=lambda check: (check["ok"], check["ask"])):
        row = titles.get(one["no"])
        if row is None or one["no"] not in rows:
            continue
        values = {name: number_text(said, row["unit"], one[name]) for name in ("left", "right")}
        if one["kind"] == "share":
            values = {name: said.number(one[name]) for name in ("left", "right")}
        title = figures.words(said, row["title"])
        if one["kind"] == "filled":
            values["rows"] = ("、" if said.chinese else ", ").join(one["rows"])
            title = figures.words(said, services[one["no"]])
        text = said.say(CHECKS[one["kind"]]) % {"no": one["no"], "title": title, **values}
        found.append(CheckView(one["id"], text, one["ok"], one["ask"], remarks.get(one["id"], "")))
    return found


def as_of(said: Language, content: Mapping[str, Any]) -> str:
    """The moment up to which the newest of the figures knew the data."""
    return said.time(datetime.fromisoformat(content["as_of"])) if content["as_of"] else "—"


def level_word(said: Language, level: str) -> str:
    """District, town or institution."""
    return said.say({"district": N_("District"), "town": N_("Town"), "institution": N_("Institution")}[level])
