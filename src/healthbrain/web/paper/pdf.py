"""A report as PDF: A4, table across, every indicator with its chart, the font embedded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import CondPageBreak, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from healthbrain.web.language import N_, Language
from healthbrain.web.paper import columns, drawing, fonts
from healthbrain.web.paper.content import Paper, light_word

_LIGHTS = {
    "met": "#d3f0dc", "on_track": "#d3f0dc", "at_risk": "#fdebc8", "off_track": "#fbd5d5", "no_data": "#eceff1",
    "not_measurable": "#eceff1",
}  # fmt: skip
_ROOM_TABLE, _ROOM_CHART = 110, 220  # points that they need at least; with less left a new page begins
_WIDTHS = (52, 92, 32, 42, 44, 54, 76, 40, 74, 48, 86, 36)


def pdf(said: Language, paper: Paper, digest: str = "") -> bytes:
    """The file."""
    fonts.register()
    plain = ParagraphStyle("plain", fontName=fonts.REGULAR, fontSize=10, leading=16, wordWrap="CJK", spaceAfter=4)
    small = ParagraphStyle("small", parent=plain, fontSize=7.5, leading=10, spaceAfter=0)
    fine = ParagraphStyle("fine", parent=small, textColor=HexColor("#495057"), spaceAfter=2)
    title = ParagraphStyle("title", parent=plain, fontName=fonts.BOLD, fontSize=17, leading=24, spaceAfter=4)
    head = ParagraphStyle(
        "head", parent=plain, fontName=fonts.BOLD, fontSize=12, leading=18, spaceBefore=8, spaceAfter=3
    )
    story: list[Any] = [_words(paper.title, title), _words(columns.about(said, paper, digest), fine), Spacer(1, 6)]
    for section in paper.sections:
        rows = [_words(text, plain) for text in section.text.split("\n") if text.strip()]
        story += [KeepTogether([_words(section.heading, head), *rows[:1]]), *rows[1:]]
    story += [CondPageBreak(_ROOM_TABLE), _words(said.say(N_("All indicators")), head), _table(said, paper, small)]
    story += [CondPageBreak(_ROOM_CHART), _words(said.say(N_("Charts")), head)]
    for line in paper.lines:
        drawn = drawing.pdf(line, fonts.REGULAR)
        if drawn is not None:
            caption = f"{line.title} ({line.unit}) · {light_word(said, line.light)} · {line.why}"
            story.append(KeepTogether([_words(caption, plain), drawn, Spacer(1, 6)]))
    story += [_words(said.say(N_("Method")), head), *(_words(text, fine) for text in paper.notes)]
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=landscape(A4), leftMargin=42, rightMargin=42, topMargin=42, bottomMargin=42,
        title=paper.title, author=paper.reference, lang=paper.language,
        initialFontName=fonts.REGULAR,  # else a font is named that is not in the file
    )  # fmt: skip
    document.build(story, onFirstPage=_foot(paper), onLaterPages=_foot(paper))
    return buffer.getvalue()


def _words(text: str, style: ParagraphStyle) -> Any:
    return Paragraph(escape(text, quote=False), style)


def _table(said: Language, paper: Paper, style: ParagraphStyle) -> Any:
    bold = ParagraphStyle("bold", parent=style, fontName=fonts.BOLD)
    rows: list[Sequence[Any]] = [[_words(text, bold) for text in columns.head(said)]]
    rows += [[_words(text, style) for text in columns.cells(said, line)] for line in paper.lines]
    looks: list[tuple[Any, ...]] = [
        ("FONTNAME", (0, 0), (-1, -1), fonts.REGULAR),
        ("GRID", (0, 0), (-1, -1), 0.4, HexColor("#adb5bd")),
        ("BACKGROUND", (0, 0), (-1, 0), HexColor("#dcebf0")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    looks += [
        ("BACKGROUND", (3, row), (3, row), HexColor(_LIGHTS[line.light]))
        for row, line in enumerate(paper.lines, start=1)
    ]
    scale = (landscape(A4)[0] - 84) / sum(_WIDTHS)
    table = Table(rows, colWidths=[width * scale for width in _WIDTHS], repeatRows=1)
    table.setStyle(TableStyle(looks))
    return table


def _foot(paper: Paper) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(fonts.REGULAR, 7)
        canvas.setFillColor(HexColor("#495057"))
        canvas.drawString(42, 24, paper.title)
        canvas.drawRightString(landscape(A4)[0] - 42, 24, str(document.page))
        canvas.restoreState()

    return draw
