"""A report as Excel file: the words, the table with numbers as numbers, and a sheet of series with a chart per indicator."""

from __future__ import annotations

import io
from typing import Any

from openpyxl import Workbook
from openpyxl.chart import LineChart, Reference
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from healthbrain.web.language import N_, Language
from healthbrain.web.paper import columns
from healthbrain.web.paper.content import Paper, PaperLine

_BOLD = Font(bold=True)
_HEAD = PatternFill("solid", fgColor="DCEBF0")
_LIGHTS = {"met": "D3F0DC", "on_track": "D3F0DC", "at_risk": "FDEBC8", "off_track": "FBD5D5"}
_VALUE = 5  # the column of the value


def excel(said: Language, paper: Paper, digest: str = "") -> bytes:
    """The file."""
    book = Workbook()
    words: Any = book.active
    words.title = said.say(N_("Text"))[:31]
    words.column_dimensions["A"].width = 120
    for text, bold in _texts(said, paper, digest):
        words.append([_safe(text)])
        cell = words.cell(words.max_row, 1)
        cell.font = Font(bold=bold)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    _table(book.create_sheet(said.say(N_("Indicators"))[:31]), said, paper)
    _series(book.create_sheet(said.say(N_("Series"))[:31]), said, paper)
    book.properties.title = paper.title
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _texts(said: Language, paper: Paper, digest: str) -> list[tuple[str, bool]]:
    rows = [(paper.title, True), (columns.about(said, paper, digest), False)]
    for section in paper.sections:
        rows += [(section.heading, True), *((text, False) for text in section.text.split("\n") if text.strip())]
    return [*rows, (said.say(N_("Method")), True), *((text, False) for text in paper.notes)]


def _table(sheet: Any, said: Language, paper: Paper) -> None:
    sheet.append(columns.head(said))
    for cell in sheet[1]:
        cell.font, cell.fill = _BOLD, _HEAD
    for line in paper.lines:
        sheet.append([_safe(text) for text in columns.cells(said, line)])
        row = sheet.max_row
        if line.number is not None:
            sheet.cell(row, _VALUE).value = round(line.number, 4)
        if line.light in _LIGHTS:
            sheet.cell(row, 4).fill = PatternFill("solid", fgColor=_LIGHTS[line.light])
    for column, width in enumerate((12, 34, 10, 10, 12, 14, 22, 10, 22, 14, 30, 10), start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "C2"
    sheet.auto_filter.ref = sheet.dimensions


def _series(sheet: Any, said: Language, paper: Paper) -> None:
    row = 1
    for line in paper.lines:
        if len(line.series) >= 2:
            row = max(_one_series(sheet, said, line, row), row + 17) + 2


def _one_series(sheet: Any, said: Language, line: PaperLine, row: int) -> int:
    sheet.cell(row, 1, _safe(f"{line.title} ({line.unit})")).font = _BOLD
    heads = (N_("Period"), N_("Actual"), N_("Target"), N_("Forecast"), N_("Low"), N_("High"))
    for column, text in enumerate(heads, start=1):
        sheet.cell(row + 1, column, said.say(text)).font = _BOLD
    rows: list[list[Any]] = [[name, value, line.target_number, None, None, None] for name, value in line.series]
    rows += [[name, None, line.target_number, *values] for name, *values in line.future]
    for offset, values in enumerate(rows, start=2):
        for column, value in enumerate(values, start=1):
            sheet.cell(row + offset, column, value)
    chart = LineChart()
    chart.title, chart.height, chart.width = line.title, 7.5, 16
    last = row + 1 + len(rows)
    chart.add_data(Reference(sheet, min_col=2, max_col=4, min_row=row + 1, max_row=last), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=row + 2, max_row=last))
    sheet.add_chart(chart, f"H{row}")
    return last


def _safe(text: str) -> str:
    """A text that no office program takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "@", "\t"} else text
