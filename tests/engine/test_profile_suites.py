"""The public suites under $validate: invariants, extensions, codes and declared profiles."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from healthbrain.fhir import parse
from healthbrain.fhir.profile import check_invariants, validate_resource
from tests.engine.test_fhir_suites import WRONG_EXAMPLES, examples

__all__ = ["examples"]  # the fixture

pytestmark = pytest.mark.suite

# codes whose form or check digit SNOMED CT does not have (docs/spec-readings.md, "Invariants of the official examples")
IMPOSSIBLE_CODES = {"ImagingStudy-example-xr", "NutritionOrder-enteralcontinuous"}


def test_every_official_example_keeps_the_invariants(examples: dict[str, bytes]) -> None:
    broken = {
        name: [issue.text for issue in issues]
        for name, raw in examples.items()
        if (issues := check_invariants(parse(raw), warnings=False))
    }
    assert not broken


def test_no_official_example_is_wrong_beyond_its_structure(examples: dict[str, bytes]) -> None:
    wrong = {
        name: [issue.expression for issue in issues if issue.severity == "error"]
        for name, raw in examples.items()
        if (issues := validate_resource(parse(raw)))
    }
    assert {name for name, places in wrong.items() if places} == set(WRONG_EXAMPLES) | IMPOSSIBLE_CODES


@pytest.mark.parametrize(
    ("file", "most"), [("synthea-100-patients.ndjson.gz", 3_000), ("smart-bulk-10-patients.ndjson.gz", 3_000)]
)
def test_samples_of_real_systems_keep_the_invariants(suites: Path, file: str, most: int) -> None:
    seen = 0
    with gzip.open(suites / file) as lines:
        for line in lines:
            resource = parse(line)
            assert check_invariants(resource, warnings=False) == []
            seen += len(resource.get("entry", ())) or 1
            if seen > most:
                break
    assert seen
