"""The Chinese font that is put into files: fetched at set-up, checked by digest, embedded with the glyphs that are used."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from healthbrain.errors import Unavailable

FOLDER = Path(__file__).parent / "fonts"
REGULAR, BOLD = "HB-Regular", "HB-Bold"


def path(name: str) -> Path:
    """The file of `regular` or `bold`. One that was never fetched is a fault of the set-up and says so."""
    manifest = FOLDER / "manifest.json"
    entry = json.loads(manifest.read_text("utf-8")).get(f"{name}.ttf") if manifest.exists() else None
    if entry is None or not (FOLDER / entry["file"]).exists():
        raise Unavailable(f"the font file {name}.ttf is missing; run `make setup` (tools/fetch_assets.py)")
    return FOLDER / str(entry["file"])


@cache
def register() -> None:
    """Make both known to reportlab, once per process."""
    pdfmetrics.registerFont(TTFont(REGULAR, str(path("regular"))))
    pdfmetrics.registerFont(TTFont(BOLD, str(path("bold"))))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
