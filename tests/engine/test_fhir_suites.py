"""The public suites: official R4 examples, Synthea and SMART samples are read, valid, and found."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthbrain.fhir import definitions, dump, extract, parse, validate
from healthbrain.fhir.definitions import ValuePath
from healthbrain.fhir.indexing import Found
from healthbrain.fhir.visits import Compiler

# official examples that break R4 themselves: file -> where; reasons in docs/spec-readings.md#official-examples
WRONG_EXAMPLES = {
    "ActivityDefinition-heart-valve-replacement": "ActivityDefinition.text.div",
    "DeviceMetric-example": "DeviceMetric.parent.reference",
    "DeviceUseStatement-example": "DeviceUseStatement.reasonReference[0].reference",
    "EventDefinition-example": "EventDefinition.text.div",
    "Library-zika-virus-intervention-logic": "Library.dataRequirement[0].codeFilter[0].valueSet",
    "MedicationRequest-medrx0301": "MedicationRequest.dispenseRequest.performer.reference",
    "Observation-clinical-gender": "Observation.performer[0].reference",
    "Questionnaire-qs1": "Questionnaire.item[0].item[0].linkId",
}

pytestmark = pytest.mark.suite


@pytest.fixture(scope="module")
def examples(suites: Path) -> dict[str, bytes]:
    """The official examples by name."""
    with tarfile.open(suites / "fhir-r4-examples.tar.gz") as archive:
        members = [member for member in archive if member.isfile() and member.name.endswith(".json")]
        return {Path(m.name).stem: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]  # files


def lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        yield from file


def test_every_official_example_is_valid_or_truly_wrong(examples: dict[str, bytes]) -> None:
    found = {name: validate(parse(raw)) for name, raw in examples.items()}
    assert len(found) > 300
    wrong = {name: issues[0].expression for name, issues in found.items() if issues}
    assert wrong == WRONG_EXAMPLES


def test_every_official_example_is_written_as_it_was_read(examples: dict[str, bytes]) -> None:
    for name, raw in examples.items():
        again = dump(parse(raw))
        assert json.loads(again, parse_float=str) == json.loads(raw, parse_float=str), name
        assert dump(parse(again)) == again, name


@pytest.mark.parametrize("file", ["synthea-100-patients.ndjson.gz", "smart-bulk-10-patients.ndjson.gz"])
def test_samples_of_real_systems_are_valid_and_found(suites: Path, file: str) -> None:
    refused: Counter[str] = Counter()
    for line in lines(suites / file):
        resource = parse(line)
        refused.update(issue.expression for issue in validate(resource))
        for one in [entry["resource"] for entry in resource.get("entry", ())] or [resource]:
            extract(one)
    assert not refused


def test_the_merged_tree_finds_what_each_path_finds_alone(examples: dict[str, bytes]) -> None:
    compiler = Compiler(definitions())
    met: set[tuple[str, str]] = set()
    for name, raw in examples.items():
        if name in WRONG_EXAMPLES:
            continue
        resource = parse(raw)
        known = definitions().search_parameters(resource["resourceType"])
        alone = Found(resource)
        for parameter in known.values():
            if parameter.type != "composite":
                before = _size(alone)
                for path in parameter.paths:
                    for value in _follow([resource], path.steps, resource):
                        _take(compiler, parameter.type, parameter.code, path, value, alone)
                if _size(alone) > before:
                    met.add((resource["resourceType"], parameter.code))
        together = extract(resource)
        for kind in ("tokens", "references", "texts", "dates", "numbers", "uris"):
            assert Counter(getattr(together, kind)) == Counter(getattr(alone, kind)), (name, kind)
    assert len(met) > 700


def _size(found: Found) -> int:
    return sum(len(getattr(found, kind)) for kind in ("tokens", "references", "texts", "dates", "numbers", "uris"))


def _take(compiler: Compiler, kind: str, code: str, path: ValuePath, value: Any, found: Found) -> None:
    targets = definitions().search_parameters(found.resource["resourceType"])[code].targets
    convert = compiler.converter(kind, targets[0] if path.type == "Resource" else path.type, path.binding)
    if convert is not None:
        convert(value, (code,), found)


def _follow(nodes: list[Any], steps: tuple[tuple[Any, ...], ...], root: dict[str, Any]) -> list[Any]:
    """The plain meaning of the steps, one after the other, over lists."""
    for kind, *arguments in steps:
        match kind:
            case "one":
                nodes = [node[arguments[0]] for node in nodes if arguments[0] in node]
            case "many":
                nodes = [i for node in nodes for i in node.get(arguments[0], ()) if i is not None]
            case "at":
                nodes = nodes[arguments[0] : arguments[0] + 1]
            case "where":
                nodes = [node for node in nodes if node.get(arguments[0]) == arguments[1]]
            case "is":
                nodes = [node for node in nodes if _type(node, root) == arguments[0]]
            case "has":
                nodes = [n for n in nodes if arguments[0] in [e["url"] for e in n.get("extension", ())]]
            case "ext":
                nodes = [e for n in nodes for e in n.get("extension", ()) if e["url"] == arguments[0]]
            case "true":
                nodes = [any(node.get(key, False) is not False for key in arguments[0]) for node in nodes]
            case _:
                raise AssertionError(kind)
    return nodes


def _type(node: dict[str, Any], root: dict[str, Any]) -> str:
    text = node.get("reference", "")
    if text.startswith("#"):
        return next((c["resourceType"] for c in root.get("contained", ()) if f"#{c['id']}" == text), "")
    parts = text.split("/_history")[0].split("/")
    if len(parts) >= 2 and definitions().is_resource(parts[-2]):
        return str(parts[-2])
    return str(node.get("type", ""))
