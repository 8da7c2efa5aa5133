"""How fast FHIRPath is: expressions read and compiled, simple paths and conditions evaluated, invariants of R4.

    python tools/bench_fhirpath.py [FOLDER]

FOLDER holds the resources to evaluate on as JSON (default: those of the public suite beside the checkout; without any,
a built-in patient). Figures are per CPU second of one process, the best of five rounds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healthbrain.fhir import definitions
from healthbrain.fhir.fhirpath import Expression, Node, compile
from healthbrain.fhir.fhirpath.model import is_primitive
from healthbrain.fhir.fhirpath.nodes import step

SUITE = Path(__file__).parents[2] / "shared" / "suites" / "fhirpath-r4" / "resources" / "r4"
AT = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 5
BUILT_IN = {
    "resourceType": "Patient",
    "active": True,
    "birthDate": "1974-12-25",
    "gender": "male",
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {"use": "usual", "given": ["Jim"]},
    ],
    "telecom": [{"system": "phone", "value": "1", "rank": 1}, {"system": "phone", "value": "2", "rank": 2}],
}
SIMPLE = (
    "birthDate",
    "Patient.gender",
    "Patient.name.given",
    "name.first().family",
    "telecom.exists()",
    "telecom.count() > 2",
)
CONDITIONS = (
    "name.where(use = 'official').family",
    "active and name.exists(use = 'usual')",
    "birthDate < @2000-01-01",
    "telecom.all(system.exists())",
    "name.first().family & ' ' & name.first().given.first()",
)


def rate(work: Callable[[], int]) -> float:
    """What `work` does in a CPU second; it returns how much it did."""
    best = 0.0
    for _ in range(ROUNDS):
        begun = time.process_time()
        done = work()
        best = max(best, done / (time.process_time() - begun))
    return best


def evaluations(text: str, resource: dict[str, Any], number: int = 20_000) -> float:
    """Evaluations of one expression."""
    expression = compile(text)

    def work() -> int:
        for _ in range(number):
            expression(resource)
        return number

    return rate(work)


def published() -> list[str]:
    """Every search parameter's expression of R4."""
    known = definitions()
    return sorted({p.expression for t in known.types for p in known.search_parameters(t).values() if p.expression})


def compilations(texts: list[str]) -> float:
    """Expressions read and compiled, none of them kept."""

    def work() -> int:
        for text in texts:
            Expression(text, published=True)
        return len(texts)

    return rate(work)


def invariants(resources: list[dict[str, Any]]) -> float:
    """Invariants evaluated on all elements of the resources."""

    def work() -> int:
        return sum(_checked(Node(one, one["resourceType"]), Node(one, one["resourceType"])) for one in resources)

    return rate(work)


def _checked(node: Node, resource: Node) -> int:
    found = definitions().type(node.type)
    done = 0
    for rule in found.invariants:
        compile(rule.expression, published=True).boolean(node, resource=resource, at=AT)
        done += 1
    for name in found.elements:
        for child in step(name)([node]):
            if isinstance(child, Node) and isinstance(child.value, dict) and not is_primitive(child.type):
                done += _checked(child, child if "resourceType" in child.value else resource)
    return done


def main(folder: Path) -> None:
    """Print the table."""
    resources = [json.loads(file.read_bytes()) for file in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    resources = [one for one in resources if definitions().is_resource(one.get("resourceType"))] or [BUILT_IN]
    patients = [one for one in resources if one["resourceType"] == "Patient"]
    patient = max(patients, key=lambda one: len(json.dumps(one)), default=BUILT_IN)
    for text in (*SIMPLE, *CONDITIONS):
        print(f"{evaluations(text, patient):12,.0f} /s  {text}")
    print(f"{compilations(published()):12,.0f} /s  expressions of R4's search parameters, read and compiled")
    print(f"{invariants(resources):12,.0f} /s  invariants of R4 on {len(resources)} resources")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SUITE)
