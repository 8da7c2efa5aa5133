"""A view in SQL on FHIR v2 over 200,000 Observations: rows per second over JSON and over the lake's typed columns.

Data: blood pressures (two components each) and single values as hospitals send them, about 0.9 kB each, written as a file of NDJSON
and as a lake in parts of 50,000. The view has eight columns, one where and one forEachOrNull over the components. Each figure is
the median of some runs of `create temp table ... as <view>` with two threads, the compilation of the view included; "evaluator" is
the row-by-row oracle on a part of the data, in one thread.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from healthbrain.lake import Lake, engine
from healthbrain.lake.manifest import Manifest, Part, swap, writer
from healthbrain.lake.parts import Row, Spool, write_part
from healthbrain.lake.sof import Target, ViewDefinition, evaluate, execute, read_view

AT = datetime(2026, 11, 22, tzinfo=UTC)
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ROWS_BY_ROW = 5_000
TOGETHER = 50_000  # resources in a batch of the change feed
VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition",
    "resource": "Observation",
    "status": "active",
    "constant": [{"name": "loinc", "valueString": LOINC}],
    "where": [{"path": "status != 'entered-in-error'"}],
    "select": [
        {
            "column": [
                {"name": "id", "path": "getResourceKey()", "type": "id"},
                {"name": "patient", "path": "subject.getReferenceKey(Patient)", "type": "string"},
                {"name": "status", "path": "status", "type": "code"},
                {"name": "code", "path": "code.coding.where(system = %loinc).code.first()", "type": "code"},
                {"name": "at", "path": "effective.ofType(dateTime)", "type": "dateTime"},
            ]
        },
        {
            "forEachOrNull": "component",
            "column": [
                {"name": "part", "path": "code.coding.where(system = %loinc).code.first()", "type": "code"},
                {"name": "value", "path": "value.ofType(Quantity).value", "type": "decimal"},
                {"name": "unit", "path": "value.ofType(Quantity).unit", "type": "string"},
            ],
        },
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    view = read_view(VIEW)
    with tempfile.TemporaryDirectory(prefix="bench-sof-") as temporary:
        folder = Path(temporary)
        file = folder / "observations.ndjson"
        started = time.process_time()
        lines = write(file, options.resources)
        lay(folder / "lake", lines)
        print(f"{options.resources:,} Observations, {file.stat().st_size / 1e6:,.0f} MB of NDJSON", end="; ")
        print(f"made and laid in {time.process_time() - started:,.1f} s of CPU")
        print(f"{'':34}{'resources/s':>14}{'rows/s':>14}{'CPU µs per resource':>22}")
        connection = Lake(folder / "lake").connect(threads=2)
        for title, target in (
            ("NDJSON file", Target("ndjson", files=(file,))),
            ("NDJSON file, type checked first", Target("ndjson", files=(file,), mixed=True)),
            ("lake, typed columns", Target("lake")),
        ):
            figures(title, options, lambda target=target: run(connection, view, target))  # type: ignore[misc]  # a default binds the loop's value
        connection.close()
        some = [orjson.loads(line) for line in lines[:ROWS_BY_ROW]]
        options.resources, options.runs = len(some), 3
        figures("evaluator, row by row", options, lambda: len(evaluate(view, some)))


def run(connection: Any, view: ViewDefinition, target: Target) -> int:
    """Run the view; returns how many rows it has."""
    execute(connection, view, target, "create or replace temp table result as {}")
    return int(connection.execute("select count(*) from result").fetchone()[0])


def figures(title: str, options: argparse.Namespace, once: Callable[[], int]) -> None:
    once()
    walls, cpus, rows = [], [], 0
    for _ in range(options.runs):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = once()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    print(f"{title:34}{options.resources / wall:>14,.0f}{rows / wall:>14,.0f}{cpu / options.resources * 1e6:>22.2f}")


def write(file: Path, count: int) -> list[bytes]:
    """The Observations as lines, also in the file."""
    chance = random.Random(1)  # data, not secrets
    lines = [orjson.dumps(observation(number, chance)) for number in range(count)]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return lines


def observation(number: int, chance: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"versionId": "1", "lastUpdated": "2026-03-02T00:30:00.123Z", "profile": ["urn:healthbrain:profile:vital-signs"]},
        "identifier": [{"system": "urn:healthbrain:hospital:31", "value": f"B{number:08}"}],
        "status": "entered-in-error" if number % 50 == 0 else "final",
        "category": [{"coding": [concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "生命体征")]}],
        "code": {"coding": [concept(LOINC, "85354-9", "Blood pressure panel"), concept("urn:local", "BP", "血压")]},
        "subject": {"reference": f"Patient/p{number % 5000}"},
        "encounter": {"reference": f"Encounter/e{number % 40000}"},
        "effectiveDateTime": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T08:30:00+08:00",
        "performer": [{"reference": "Organization/h1", "display": "社区卫生服务中心"}],
    }  # fmt: skip
    if number % 3 == 0:
        return {**made, "valueQuantity": quantity(chance, "kg")}
    parts = (("8480-6", "Systolic"), ("8462-4", "Diastolic"))
    components = [
        {"code": {"coding": [concept(LOINC, code, name)]}, "valueQuantity": quantity(chance, "mm[Hg]")}
        for code, name in parts
    ]
    return {**made, "component": components}


def concept(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


def quantity(chance: random.Random, unit: str) -> dict[str, Any]:
    return {"value": chance.randrange(600, 1800) / 10, "unit": unit, "system": UCUM, "code": unit}


def lay(folder: Path, lines: list[bytes]) -> None:
    """A lake of the resources, in the parts that the change feed makes."""
    connection = engine.connect(folder / "scratch")
    parts: list[Part] = []
    with writer(folder):
        for start in range(0, len(lines), TOGETHER):
            with Spool(folder / "spool") as spool:
                for number, body in enumerate(lines[start : start + TOGETHER], start):
                    spool.add(Row("Observation", f"o{number}", 1, AT, False, 1, 5, None, "1.1.1", body))
                spool.close()
                parts.append(write_part(connection, folder, "Observation", spool))
        swap(folder, Manifest(), Manifest(parts={"Observation": tuple(parts)}, at=AT), AT)
    connection.close()


if __name__ == "__main__":
    main()
