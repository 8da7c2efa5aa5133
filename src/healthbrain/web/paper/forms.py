"""A statutory report on paper: PDF, Word and Excel of the same page, with names and times of who made, submitted and approved it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from docx import Document
from docx.oxml.ns import qn
from docx.shared import Pt
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import CondPageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from healthbrain.web.language import N_, Language
from healthbrain.web.paper import fonts

if TYPE_CHECKING:
    from healthbrain.web.pages.statutory import ReportPage
    from healthbrain.web.pages.statutory_view import CellView, RowView, SectionView

_FACE = "Microsoft YaHei"  # a font every Chinese office has; nothing is embedded in Word files
_HEAD = (N_("No."), N_("Indicator"), N_("Unit"))


def pdf(said: Language, page: ReportPage) -> bytes:
    """The file: A4 upright, one table per service, rows kept whole."""
    fonts.register()
    plain = ParagraphStyle("plain", fontName=fonts.REGULAR, fontSize=9, leading=13, wordWrap="CJK", spaceAfter=2)
    small = ParagraphStyle("small", parent=plain, fontSize=8, leading=11, spaceAfter=0)
    right = ParagraphStyle("right", parent=small, alignment=2)
    title = ParagraphStyle("title", parent=plain, fontName=fonts.BOLD, fontSize=15, leading=22, spaceAfter=4)
    head = ParagraphStyle("head", parent=plain, fontName=fonts.BOLD, fontSize=10.5, leading=16, spaceBefore=6, spaceAfter=2)  # fmt: skip
    story: list[Any] = [Paragraph(escape(page.title, quote=False), title)]
    story += [Paragraph(escape(text, quote=False), plain) for text in about(said, page)]
    for section in page.sections:
        story += [CondPageBreak(90), Paragraph(escape(section.title, quote=False), head)]
        story.append(_pdf_table(said, section, small, right))
    story += [Spacer(1, 8), Paragraph(escape(said.say(N_("Checks")), quote=False), head)]
    story += [Paragraph(escape(text, quote=False), small) for text in remarks(said, page)]
    story += [Paragraph(escape(said.say(N_("History")), quote=False), head)]
    story += [Paragraph(escape(text, quote=False), small) for text in steps(page)]
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=42, rightMargin=42, topMargin=42, bottomMargin=42, title=f"{page.title} {page.place}",
        initialFontName=fonts.REGULAR,  # else a font is named that is not in the file
    )  # fmt: skip
    foot = _foot(f"{page.title} · {page.place} · {page.period}")
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


def _pdf_table(said: Language, section: SectionView, style: ParagraphStyle, right: ParagraphStyle) -> Any:
    heads = [*(said.say(text) for text in _HEAD), *section.columns]
    rows: list[Sequence[Any]] = [[Paragraph(escape(text, quote=False), style) for text in heads]]
    for row in section.rows:
        words = [Paragraph(escape(text, quote=False), style) for text in (row.no, row.title, row.unit)]
        rows.append([*words, *(Paragraph(escape(_text(cell), quote=False), right) for cell in row.cells)])
    width = A4[0] - 84
    others = (width - 28 - 40) * (0.45 if len(section.columns) == 1 else 0.56) / len(section.columns)
    title = width - 28 - 40 - others * len(section.columns)
    table = Table(rows, colWidths=[28, title, 40, *([others] * len(section.columns))], repeatRows=1)
    table.setStyle(
        TableStyle([
            ("GRID", (0, 0), (-1, -1), 0.4, HexColor("#adb5bd")), ("BACKGROUND", (0, 0), (-1, 0), HexColor("#dcebf0")),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"), ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3),
            ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ])
    )  # fmt: skip
    return table


def word(said: Language, page: ReportPage) -> bytes:
    """The file as an office can go on with it."""
    document = Document()
    for name in ("Normal", "Title", "Heading 1"):
        style: Any = document.styles[name]
        style.font.name = _FACE
        style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _FACE)
    document.styles["Normal"].font.size = Pt(10)
    document.core_properties.title = f"{page.title} {page.place}"
    document.add_heading(page.title, 0)
    for text in about(said, page):
        document.add_paragraph(text)
    for section in page.sections:
        document.add_heading(section.title, 1)
        heads = [*(said.say(text) for text in _HEAD), *section.columns]
        table = document.add_table(rows=1, cols=len(heads))
        table.style = "Table Grid"
        for cell, text in zip(table.rows[0].cells, heads, strict=True):
            cell.text = text
        for row in section.rows:
            for cell, text in zip(table.add_row().cells, _texts(row), strict=True):
                cell.text = text
    document.add_heading(said.say(N_("Checks")), 1)
    for text in remarks(said, page):
        document.add_paragraph(text)
    document.add_heading(said.say(N_("History")), 1)
    for text in steps(page):
        document.add_paragraph(text)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def excel(said: Language, page: ReportPage) -> bytes:
    """The file: numbers as numbers, one sheet, and one of checks and history."""
    book = Workbook()
    sheet: Any = book.active
    sheet.title = said.say(N_("Report"))[:31]
    for text in (page.title, *about(said, page)):
        sheet.append([text])
    sheet["A1"].font = Font(bold=True, size=14)
    for section in page.sections:
        sheet.append([])
        sheet.append([section.title])
        sheet.cell(sheet.max_row, 1).font = Font(bold=True)
        sheet.append([*(said.say(text) for text in _HEAD), *section.columns])
        for cell in sheet[sheet.max_row]:
            cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DCEBF0")
        for row in section.rows:
            sheet.append([row.no, row.title, row.unit, *(_excel_cell(row, cell) for cell in row.cells)])
            for cell in sheet[sheet.max_row][3:]:
                cell.number_format = "0.00" if row.unit == "%" else "#,##0"
    for column, width in enumerate((8, 46, 10, 16, 12, 12, 14), start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    more = book.create_sheet(said.say(N_("Checks"))[:31])
    for text in (*remarks(said, page), "", *steps(page)):
        more.append([text])
        more.cell(more.max_row, 1).alignment = Alignment(wrap_text=True)
    more.column_dimensions["A"].width = 100
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def about(said: Language, page: ReportPage) -> list[str]:
    """Whose report it is, of when, and in which state."""
    unit, period, known = (said.say(text) for text in (N_("Reporting unit"), N_("Reporting period"), N_("Data as of")))
    edition = said.say(N_("edition %(number)s")) % {"number": page.edition}
    return [
        f"{unit}：{page.place}（{page.level}）" if said.chinese else f"{unit}: {page.place} ({page.level})",
        " · ".join([f"{period} {page.period}", edition, f"{known} {page.as_of}", page.state[0]]),
        page.document,
        *([f"SHA-256 {page.digest}"] if page.digest else []),
    ]


def remarks(said: Language, page: ReportPage) -> list[str]:
    """The checks that do not hold, with their explanations, and how many hold."""
    wrong = [
        f"{one.text}。{one.remark}" if said.chinese else f"{one.text}. {one.remark}"
        for one in page.checks
        if not one.ok
    ]
    holding = sum(one.ok for one in page.checks)
    return [*wrong, said.say(N_("%(number)s checks hold")) % {"number": holding}]


def steps(page: ReportPage) -> list[str]:
    """Who did what when."""
    return [f"{at}  {name}（{unit}）{action} {note}".strip() for at, name, unit, action, note in page.history]


def _texts(row: RowView) -> list[str]:
    return [row.no, row.title, row.unit, *(_text(cell) for cell in row.cells)]


def _text(cell: CellView) -> str:
    return f"{cell.text} {cell.note}".strip() if cell.number is None else cell.text


def _excel_cell(row: RowView, cell: CellView) -> object:
    if cell.number is None:
        return _text(cell)
    return round(cell.number, 2) if row.unit == "%" else cell.number


def _foot(text: str) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(fonts.REGULAR, 7)
        canvas.setFillColor(HexColor("#495057"))
        canvas.drawString(42, 24, text)
        canvas.drawRightString(A4[0] - 42, 24, str(document.page))
        canvas.restoreState()

    return draw
