"""Write docs/reference/measures.md from the built-in definitions."""

from __future__ import annotations

from pathlib import Path

from healthbrain.measure.describe import as_markdown

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "reference" / "measures.md").write_text(as_markdown(), "utf-8")
