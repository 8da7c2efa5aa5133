"""docs/reference/fhir-api.md says what /metadata offers, and the limits the code has."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from healthbrain.api import app, capability, lending
from healthbrain.fhir import definitions
from healthbrain.settings import Settings
from healthbrain.store import LARGEST_BUNDLE, includes, question, selection

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "fhir-api.md").read_text("utf-8")
STATEMENT = json.loads(capability.statement(definitions(), "http://x/fhir", datetime(2026, 11, 22, tzinfo=UTC)))
REST = STATEMENT["rest"][0]


def test_every_interaction_of_the_capability_statement_is_described_and_no_other() -> None:
    offered = {one["code"] for one in REST["interaction"]}
    offered |= {one["code"] for resource in REST["resource"] for one in resource["interaction"]}
    section = PAGE.split("\n## Interactions\n")[1].split("\n| operation |")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    described = {code for cell in first_cells for code in re.findall(r"`([a-z-]+)`", cell)}
    assert described == offered


def test_every_operation_is_described() -> None:
    for resource in REST["resource"]:
        for operation in resource.get("operation", ()):
            assert f"| `{operation['name']}` |" in PAGE


def test_every_type_of_search_parameter_is_described() -> None:
    offered = {one["type"] for resource in REST["resource"] for one in resource["searchParam"]}
    described = set(re.findall(r"^\| `([a-z]+)` \|", PAGE.split("\n## Search\n")[1], re.MULTILINE))
    assert described == offered - {"special"}


@pytest.mark.parametrize(
    "words",
    [
        f"`_count` up to {question.LARGEST_COUNT:,} (usual {question.DEFAULT_COUNT})",
        f"At most {question._MOST_CRITERIA} parameters and {question._LONGEST_LIST:,} values",
        f"by any parameters, up to {question._MOST_SORTS}",
        f"at most {includes.LARGEST_INCLUDE:,} included",
        f"up to {selection._DEEPEST_CHAIN} references long",
        f"| entries of a Bundle | {LARGEST_BUNDLE:,} |",
        f"| time of a read, of a write | {app.READ_SECONDS:.0f} s, {app.WRITE_SECONDS:.0f} s; then 503 |",
        f"| waiting requests of one process | {lending.MOST_INSIDE}; then 429 |",
        f"`HB_MAX_BODY` ({Settings().max_body // 2**20} MB)",
    ],
)
def test_the_limits_are_those_of_the_code(words: str) -> None:
    assert words in PAGE
