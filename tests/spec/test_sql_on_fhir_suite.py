"""The public suite of SQL on FHIR v2, every test of it, shareable and experimental, on every target.

Targets: the row-by-row evaluator, DuckDB over the lake's typed columns, over a file of NDJSON and over JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.conftest import SUITES
from tests.sof_world import World

from healthbrain.errors import Incorrect
from healthbrain.lake.sof import Target, evaluate, execute, read_view

pytestmark = pytest.mark.suite
FOLDER = SUITES / "sql-on-fhir-v2"
TESTS = 134
TARGETS = ("rows", "lake", "ndjson", "text")


def _cases() -> list[Any]:
    files = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return [
        pytest.param(file["title"], number, id=f"{file['title']}: {test['title']} ({number})")
        for file in files
        for number, test in enumerate(file["tests"])
    ]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[dict[str, Any], World]]]:
    """Each file of the suite with its resources in every form."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        file = json.loads(path.read_text())
        found[file["title"]] = (
            file,
            World(tmp_path_factory.mktemp(path.stem), [json.dumps(one) for one in file["resources"]]),
        )
    yield found
    for _, world in found.values():
        world.close()


def test_the_suite_has_as_many_tests_as_were_counted(suites: Path) -> None:
    assert len(_cases()) == TESTS


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("title", "number"), _cases())
def test_of_the_suite(
    title: str, number: int, target: str, suites: Path, worlds: dict[str, tuple[dict[str, Any], World]]
) -> None:
    file, world = worlds[title]
    test = file["tests"][number]
    if test.get("expectError"):
        with pytest.raises(Incorrect):
            _rows(test["view"], file, world, target)
        return
    names, rows = _rows(test["view"], file, world, target)
    assert _alike(rows) == _alike(test["expect"])
    if "expectColumns" in test:
        assert names == test["expectColumns"]


def _rows(raw: dict[str, Any], file: dict[str, Any], world: World, target: str) -> tuple[list[str], list[Any]]:
    view = read_view(raw)
    names = [column.name for column in view.columns()]
    if target == "rows":
        return names, evaluate(view, file["resources"])
    return names, world.rows(view, target)


def _alike(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in an order of their own; numbers by their value."""
    numbers = [
        {name: float(one) if isinstance(one, int) and not isinstance(one, bool) else one for name, one in row.items()}
        for row in rows
    ]
    return sorted(json.dumps(row, sort_keys=True) for row in numbers)


def test_several_resource_types_in_one_file_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "mixed.ndjson"
    file.write_text(
        '{"resourceType":"Organization","id":"o","name":"a text"}\n'
        '{"resourceType":"Patient","id":"p","name":[{"family":"a list"}]}\n'
    )
    view = read_view({"resource": "Patient", "select": [{"column": [{"name": "v", "path": "name.family"}]}]})
    with duckdb.connect() as connection:
        execute(connection, view, Target("ndjson", files=(file,)))
        assert connection.fetchall() == [("a list",)]
