"""Tables for spreadsheets: UTF-8 with a byte-order mark (so that Excel reads Chinese), formulas made harmless."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from openpyxl import Workbook
from starlette.responses import Response

from healthbrain.web import guard

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?%?")  # a plain number may begin with a sign


def csv_response(
    name: str, head: Sequence[str], rows: Iterable[Sequence[object]], notes: Sequence[str] = ()
) -> Response:
    """A CSV file; `notes` (period, as-of, definition) come below the table."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    for note in notes:
        writer.writerow([f"# {note}"])
    response = Response(text.getvalue().encode("utf-8-sig"), media_type="text/csv; charset=utf-8")
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return guard.protect(response)


def excel_response(name: str, title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """An Excel workbook of one sheet, its first line fixed."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    sheet.freeze_panes = "A2"
    sheet.append(list(head))
    for row in rows:
        sheet.append([value if isinstance(value, int | float) else _cell(value) for value in row])
    content = io.BytesIO()
    book.save(content)
    media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    response = Response(content.getvalue(), media_type=media)
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return guard.protect(response)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
