"""Pages that are written by a tool are what the tool would write now; every built-in measure has its section."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFINITIONS = ROOT / "src" / "healthbrain" / "measure" / "definitions"
MEASURES = sorted(path.stem.upper() for path in DEFINITIONS.glob("*.yaml") if path.stem != "library")


@pytest.mark.parametrize("tool", ["make_reference.py", "write_hl7v2_reference.py"])
def test_a_written_page_is_current(tool: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("measure", MEASURES)
def test_every_built_in_measure_has_its_section(measure: str) -> None:
    assert f"\n## {measure} " in (ROOT / "docs" / "reference" / "measures.md").read_text("utf-8")
