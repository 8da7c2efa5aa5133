"""Pages that are written by a tool are what the tool would write now; every built-in measure has its section."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from healthbrain.measure import built_in
from healthbrain.measure.describe import as_markdown
from healthbrain.measure.plans import plans

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tool", ["make_reference.py", "write_hl7v2_reference.py"])
def test_a_written_page_is_current(tool: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_of_measures_is_what_the_definitions_and_plans_say() -> None:
    assert (ROOT / "docs" / "reference" / "measures.md").read_text("utf-8") == as_markdown()


@pytest.mark.parametrize("measure", [one.id for one in built_in()])
def test_every_built_in_measure_has_its_section(measure: str) -> None:
    assert f"\n## {measure} " in as_markdown()


@pytest.mark.parametrize("indicator", [one.id for plan in plans() for one in plan.indicators])
def test_every_indicator_of_a_plan_has_its_line(indicator: str) -> None:
    assert f"\n| {indicator} |" in as_markdown()
