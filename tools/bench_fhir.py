"""Microseconds per resource for parse, validate, extract, dump, to_xml and from_xml; megabytes per second of XML.

Method: the resources of the public Synthea sample (transaction bundles, one by one) and the SMART bulk sample, if given
as paths; every step runs over all resources of a group, repeated, and the best repetition counts, CPU time of one core.
Usage: python tools/bench_fhir.py FILE.ndjson.gz ... [--repeat N] [--limit N]
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from healthbrain.fhir import definitions, dump, extract, parse, validate
from healthbrain.fhir.xml import from_xml, to_xml

OBSERVATION = {
    "resourceType": "Observation",
    "id": "7f2c9f0e-9a5b-4c4e-8d52-000000000001",
    "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Observation"], "source": "urn:healthbrain:org:QP01"},
    "identifier": [{"system": "urn:healthbrain:org:QP01:report", "value": "R20260105-00017"}],
    "status": "final",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "laboratory",
                    "display": "Laboratory",
                }
            ]
        }
    ],
    "code": {
        "coding": [
            {"system": "http://loinc.org", "code": "14771-0", "display": "Fasting glucose [Moles/volume] in Serum"},
            {"system": "urn:healthbrain:org:QP01:lab", "code": "GLU", "display": "空腹血糖"},
        ],
        "text": "空腹血糖",
    },
    "subject": {"reference": "Patient/0b6c2f7e-1111-2222-3333-444444444444"},
    "encounter": {"reference": "Encounter/0b6c2f7e-5555-6666-7777-888888888888"},
    "effectiveDateTime": "2026-01-05T08:30:00+08:00",
    "issued": "2026-01-05T09:12:44.123+08:00",
    "performer": [{"reference": "Organization/org-QP01"}],
    "valueQuantity": {"value": 7.2, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    "referenceRange": [
        {
            "low": {"value": 3.9, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
            "high": {"value": 6.1, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        }
    ],
}


def resources(path: Path) -> Iterable[dict[str, Any]]:
    """Single resources of an NDJSON file, bundles taken apart."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            resource = parse(line)
            if resource["resourceType"] == "Bundle":
                yield from (entry["resource"] for entry in resource["entry"])
            else:
                yield resource


def best(step: Callable[[Any], object], inputs: list[Any], repeat: int) -> float:
    """CPU microseconds per input, the best of `repeat` passes."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        for one in inputs:
            step(one)
        times.append(time.process_time() - start)
    return min(times) / len(inputs) * 1e6


def report(name: str, found: list[dict[str, Any]], repeat: int) -> None:
    """One line of figures."""
    raws = [dump(resource) for resource in found]
    size = sum(map(len, raws)) / len(raws)
    xmls = [to_xml(resource) for resource in found]
    steps: dict[str, tuple[Callable[[Any], object], list[Any]]]
    steps = {
        "parse": (parse, raws),
        "validate": (validate, found),
        "extract": (extract, found),
        "dump": (dump, found),
        "to_xml": (to_xml, found),
        "from_xml": (from_xml, xmls),
    }
    times = [best(step, inputs, repeat) for step, inputs in steps.values()]
    speed = sum(map(len, xmls)) / len(xmls) / times[-1]  # bytes per microsecond
    print(f"{name:28}{len(raws):8}{size:8.0f}" + "".join(f"{time:10.1f}" for time in times) + f"{speed:8.0f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--limit", type=int, default=2000, help="resources of each type")
    options = parser.parse_args()
    start = time.process_time()
    definitions()
    print(f"definitions loaded in {(time.process_time() - start) * 1000:.0f} ms")
    print(
        f"{'':28}{'n':>8}{'bytes':>8}{'parse':>10}{'validate':>10}{'extract':>10}{'dump':>10}{'to_xml':>10}{'from_xml':>10}{'MB/s':>8}"
        "  us per resource; MB/s of from_xml"
    )
    report("Observation, 1.2 KB, made up", [OBSERVATION] * 2000, options.repeat)
    for path in options.files:
        groups: dict[str, list[dict[str, Any]]] = {}
        for resource in resources(path):
            groups.setdefault(resource["resourceType"], []).append(resource)
        print(path.name)
        for name, found in sorted(groups.items()):
            report(f"  {name}", found[: options.limit], options.repeat)
        report("  all", [resource for found in groups.values() for resource in found], options.repeat)


if __name__ == "__main__":
    main()
