"""A report as Word file that an office can go on writing in: headings, paragraphs, a table and charts as pictures."""

from __future__ import annotations

import io
from typing import Any

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.oxml.ns import qn
from docx.shared import Cm, Pt

from healthbrain.web.language import N_, Language
from healthbrain.web.paper import columns, drawing, fonts
from healthbrain.web.paper.content import Paper, light_word

_FACE = "Microsoft YaHei"  # a font every Chinese office has; nothing is embedded in Word files


def word(said: Language, paper: Paper, digest: str = "") -> bytes:
    """The file."""
    document = Document()
    _page(document)
    document.core_properties.title = paper.title
    document.core_properties.author = paper.reference
    document.core_properties.language = paper.language
    document.add_heading(paper.title, 0)
    document.add_paragraph(columns.about(said, paper, digest))
    for section in paper.sections:
        document.add_heading(section.heading, 1)
        for text in section.text.split("\n"):
            if text.strip():
                document.add_paragraph(text)
    document.add_heading(said.say(N_("All indicators")), 1)
    _table(document, said, paper)
    document.add_heading(said.say(N_("Charts")), 1)
    letters = fonts.path("regular")
    for line in paper.lines:
        picture = drawing.picture(line, letters)
        if picture:
            document.add_paragraph(f"{line.title} ({line.unit}) · {light_word(said, line.light)} · {line.why}")
            document.add_picture(io.BytesIO(picture), width=Cm(16))
    document.add_heading(said.say(N_("Method")), 1)
    for text in paper.notes:
        document.add_paragraph(text)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _page(document: Any) -> None:
    section = document.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = Cm(29.7), Cm(21.0)
    section.left_margin = section.right_margin = Cm(1.8)
    for name in ("Normal", "Title", "Heading 1"):
        style = document.styles[name]
        style.font.name = _FACE
        style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _FACE)
    document.styles["Normal"].font.size = Pt(10.5)


def _table(document: Any, said: Language, paper: Paper) -> None:
    heads = columns.head(said)
    table = document.add_table(rows=1, cols=len(heads))
    table.style = "Table Grid"
    for cell, text in zip(table.rows[0].cells, heads, strict=True):
        _write(cell, text, bold=True)
    for line in paper.lines:
        for cell, text in zip(table.add_row().cells, columns.cells(said, line), strict=True):
            _write(cell, text)


def _write(cell: Any, text: str, *, bold: bool = False) -> None:
    run = cell.paragraphs[0].add_run(text)
    run.bold = bold
    run.font.size = Pt(8)
