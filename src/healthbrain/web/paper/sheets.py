"""Sheets for entering values: the template as Excel, and what a filled-in Excel or CSV file holds, row by row.

Columns are found by their heading in either language, so a sheet may have more of them and in any order. A file is read
with limits: a zip bomb or a table without end is refused.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils.exceptions import InvalidFileException

from healthbrain.errors import Incorrect, Malformed, TooLarge
from healthbrain.measure.definition import Definition
from healthbrain.measure.entries import Given
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import figures

LARGEST = 2 * 1024 * 1024
MOST_ROWS = 2000
_UNPACKED = 40 * 1024 * 1024
FIELDS: Mapping[str, str] = {
    "measure": N_("Indicator number"),
    "title": N_("Indicator"),
    "unit": N_("Unit"),
    "period": N_("Period"),
    "value": N_("Value"),
    "numerator": N_("Numerator"),
    "denominator": N_("Denominator"),
    "document": N_("Source document"),
    "dated": N_("Date of the document"),
    "reason": N_("Reason of the correction"),
    "place": N_("Place code"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file: what it gives, or what cannot be read in it."""

    number: int
    given: Given | None
    error: str
    place: str = ""  # code of a town or an institution; '' = the district


def template(said: Language, definitions: Sequence[Definition], year: int) -> bytes:
    """An Excel file with one line per measure, to be filled in."""
    book = Workbook()
    sheet: Any = book.active
    sheet.title = said.say(N_("Entered values"))[:31]
    sheet.append([said.say(text) for text in FIELDS.values()])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DCEBF0")
    for one in definitions:
        period = {"year": str(year), "quarter": f"{year}-Q1"}.get(one.period, f"{year}-01")
        sheet.append([one.id, figures.title(said, one), figures.unit(said, one), period])
    for column, width in zip("ABCDEFGHIJK", (16, 36, 10, 12, 12, 12, 12, 36, 16, 24, 14), strict=True):
        sheet.column_dimensions[column].width = width
    sheet.freeze_panes = "A2"
    notes: Any = book.create_sheet(said.say(N_("How to fill it in"))[:31])
    for text in (
        N_("Give the value, or numerator and denominator where the measure is a fraction."),
        N_("Period: a year 2025, a quarter 2025-Q3 or a month 2025-10, as the measure has it."),
        N_("Date of the document: 2026-01-31. Lines without any value are passed over."),
        N_("A value that is there already is corrected only when a reason is given."),
        N_(
            "Place code: of an institution or a town, where the indicator is given by place; empty for the whole district."
        ),
    ):
        notes.append([said.say(text)])
    for one in definitions:
        supplier = figures.words(said, one.entry.supplier) if one.entry and one.entry.supplier else ""
        notes.append([f"{one.id} {figures.title(said, one)}: {figures.words(said, one.formula)} {supplier}"])
    notes.column_dimensions["A"].width = 110
    for cell in notes["A"]:
        cell.alignment = Alignment(wrap_text=True)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def rows_of(said: Language, name: str, content: bytes) -> list[Row]:
    """The filled-in lines of a file. Raises Malformed or TooLarge when it cannot be read as a whole."""
    if len(content) > LARGEST:
        raise TooLarge(f"the file is larger than {LARGEST // 1024 // 1024} MB; send a smaller one")
    lines = iter(_excel(content) if name.lower().endswith(".xlsx") else _csv(content))
    head = next(lines, [])
    names = {text: field for field, key in FIELDS.items() for text in (key.lower(), said.say(key).lower(), field)}
    columns = [names.get(_text(cell).lower(), "") for cell in head]
    if missing := {"measure", "period", "document", "dated"} - set(columns):
        wanted = ", ".join(said.say(FIELDS[field]) for field in FIELDS if field in missing)
        raise Malformed(f"the first line of the file lacks these headings: {wanted}")
    found = []
    for number, line in enumerate(lines, start=2):
        if number > MOST_ROWS:
            raise TooLarge(f"the file has more than {MOST_ROWS} lines; split it")
        cells = {field: cell for field, cell in zip(columns, line, strict=False) if field}
        if any(_text(cells.get(field)) for field in ("value", "numerator", "denominator")):
            found.append(_row(number, cells))
    return found


def _row(number: int, cells: Mapping[str, Any]) -> Row:
    try:
        given = Given(
            measure=_text(cells.get("measure")),
            period=_text(cells.get("period")),
            document=_text(cells.get("document")),
            dated=_date(cells.get("dated")),
            value=_number(cells.get("value")),
            numerator=_number(cells.get("numerator")),
            denominator=_number(cells.get("denominator")),
            reason=_text(cells.get("reason")),
        )
    except Incorrect as error:
        return Row(number, None, error.message)
    return Row(number, given, "", _text(cells.get("place")))


def _excel(content: bytes) -> Iterator[Sequence[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _UNPACKED:
                raise TooLarge("the file unpacks to too much; send a smaller one")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        yield from sheet.iter_rows(values_only=True, max_row=MOST_ROWS + 1, max_col=40)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, IndexError):
        raise Malformed("the file cannot be read as Excel (.xlsx); save it again or send CSV") from None


def _csv(content: bytes) -> Iterator[Sequence[Any]]:
    for charset in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(charset)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Malformed("the file is neither UTF-8 nor GB18030; save it again as CSV UTF-8")
    try:
        yield from csv.reader(io.StringIO(text), strict=True)
    except csv.Error:
        raise Malformed("the file cannot be read as CSV; save it again") from None


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _number(cell: Any) -> float | None:
    text = _text(cell).replace(",", "").removesuffix("%")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise Incorrect("the value is no number") from None


def _date(cell: Any) -> date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = _text(cell).replace("/", "-").replace("年", "-").replace("月", "-").replace("日", "")
    try:
        year, month, day = (int(part) for part in text.split("-"))
        return date(year, month, day)
    except ValueError:
        raise Incorrect("write the date as year-month-day, for instance 2026-06-30") from None
