"""The public FHIRPath suite for R4, every case of it. Cases the suite itself disables are run too.

Where we hold a case to be wrong, the table below says what we answer instead; the reasons are in
docs/spec-readings.md, section FHIRPath.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthbrain.fhir.fhirpath import Expression, Unanswerable, Unreadable, compile

pytestmark = pytest.mark.suite
AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
CASES = 935

HELD_WRONG: dict[str, list[object]] = {
    "Patient.name.sort(-family, -given.first()).first().use = 'usual'": [False],
    "@1973-12-25T00:00:00.000+10:00 + 0.1 's'": ["1973-12-25T00:00:00.100+10:00"],
    "(-0.0034).lowBoundary(1)": [Decimal("-0.1")],
    "0.0034.highBoundary(1)": [Decimal("0.1")],
    "-0.0034.highBoundary(1)": [Decimal("-0.1")],
    "@2014-01-01T08.highBoundary(17)": ["2014-01-01T08:59:59.999-12:00"],
    "Patient.gender.as(string)": ["male"],
    "Patient.gender.ofType(string)": ["male"],
}


def _cases(entries: list[dict[str, Any]], disabled: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in entries:
        off = disabled or bool(entry.get("disable"))
        group = next((key for key in entry if key.startswith("group")), None)
        found.extend(_cases(entry[group], off) if group else [{**entry, "disable": off}])
    return found


class Suite:
    """The cases, and the resources they stand on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases = _cases(yaml.safe_load((folder / "cases" / "fhir-r4.yaml").read_text(encoding="utf-8"))["tests"])
        self._resources: dict[str, Any] = {}

    def resource(self, name: str | None) -> Any:
        if name is None:
            return None
        if name not in self._resources:
            text = (self.folder / "resources" / "r4" / name).read_text(encoding="utf-8")
            self._resources[name] = json.loads(text, parse_float=Decimal)
        return self._resources[name]

    def failure(self, case: dict[str, Any]) -> str | None:
        """What goes wrong with a case; None when it passes."""
        text, resource = case["expression"], self.resource(case.get("inputfile"))
        wants_error = bool(case.get("error")) and text not in HELD_WRONG
        # an error the suite disables is one that only strict mode, which checks types first, can find
        strict = wants_error and case["disable"]
        try:
            expression = compile(text, strict=strict)
            found = _answers(expression, resource, case)
        except (Unanswerable, Unreadable) as problem:
            return None if wants_error else f"raises: {problem}"
        if wants_error:
            return "should be an error"
        wanted = HELD_WRONG.get(text, case["result"])
        same = len(found) == len(wanted) and all(map(_same, found, wanted))
        return None if same else f"has {len(found)} items that differ from the {len(wanted)} wanted"


def _answers(expression: Expression, resource: Any, case: dict[str, Any]) -> list[Any]:
    if case["desc"].endswith("patient has a birthDate"):  # in the source of the suite this case is a predicate
        return [expression.boolean(resource, at=AT)]
    return expression(resource, at=AT)


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, (int, float, Decimal)):
        return Decimal(found) == Decimal(str(wanted))
    if isinstance(wanted, str) and not isinstance(found, dict):
        return str(found) == wanted
    return bool(found == wanted)


@pytest.fixture(scope="module")
def suite(suites: Path) -> Suite:
    return Suite(suites / "fhirpath-r4")


def test_every_case_of_the_suite_passes(suite: Suite) -> None:
    failures = {
        f"{number} {case['expression']}": failure
        for number, case in enumerate(suite.cases, 1)
        if (failure := suite.failure(case))
    }
    assert failures == {}
    assert len(suite.cases) == CASES


def test_a_case_held_wrong_is_one_the_suite_itself_disables(suite: Suite) -> None:
    held = [case for case in suite.cases if case["expression"] in HELD_WRONG]
    assert {case["expression"] for case in held} == HELD_WRONG.keys()
    assert all(case["disable"] for case in held)


def test_the_runner_notices_a_wrong_answer(suite: Suite) -> None:
    case = next(case for case in suite.cases if case.get("result") == [True] and not case["disable"])
    assert suite.failure({**case, "result": [False]})
    assert suite.failure({**case, "error": True})


def test_every_expression_of_the_suite_reads_the_same_when_written_back(suite: Suite) -> None:
    from healthbrain.fhir.fhirpath.parser import parse
    from healthbrain.fhir.fhirpath.syntax import text_of

    for case in suite.cases:
        try:
            tree = parse(case["expression"])
        except Unreadable:
            continue
        assert parse(text_of(tree)) == tree, case["expression"]
