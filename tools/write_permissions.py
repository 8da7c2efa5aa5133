"""Write docs/reference/permissions.md from the permission table."""

from __future__ import annotations

from pathlib import Path

from healthbrain.access.permissions import as_markdown

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "reference" / "permissions.md").write_text(as_markdown(), "utf-8")
