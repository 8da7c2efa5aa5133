"""Base and theme libraries: every view runs on what the twin really sends, has rows, and its rules can fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from healthbrain.errors import Incorrect
from healthbrain.lake import Lake, assessing, engine, sof
from healthbrain.lake.derived import table_of
from healthbrain.lake.library import DIMENSIONS, View, find, libraries, library_of, views
from healthbrain.lake.manifest import Manifest, swap, writer
from healthbrain.lake.parts import Row, Spool, write_part
from healthbrain.store import patient_key
from healthbrain.twin import District

AT = datetime(2026, 11, 20, tzinfo=UTC)
MOST = {"base": 4, "theme": 3}
# in so small a district nobody may have it: severe mental disorders, a tumour
RARE = {
    "emr.invoice",
    "emr.charge",
    "public-health.mental_health",
    "population.death",
    "population.death_cause",
    "major-disease.cancer",
}


@cache
def sent() -> dict[tuple[str, str], dict[str, Any]]:
    """What the FHIR institutions of a small district send, the last state of each resource."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for message in District(3, 400, end=date(2026, 11, 20), months=9).messages():
        if message.door == "fhir" and not message.fault and not message.cut:
            for entry in json.loads(message.payload)["entry"]:
                one = entry["resource"]
                found[one["resourceType"], one["id"]] = one
    return found


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of it, as the platform would make it."""
    folder = tmp_path_factory.mktemp("libraries")
    connection = engine.connect(folder / "scratch")
    with writer(folder), Spool(folder / "spool") as spool:
        for (type_, id_), one in sent().items():
            about = id_ if type_ == "Patient" else _subject(one)
            body = json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()
            spool.add(Row(type_, id_, 1, AT, False, 1, patient_key(about) if about else None, None, "1.1.1", body))
        spool.close()
        parts = {type_: (write_part(connection, folder, type_, spool),) for type_ in spool.rows}
        swap(folder, Manifest(), Manifest(parts=parts, at=AT), AT)
    connection.close()
    return Lake(folder)


def _subject(one: dict[str, Any]) -> str:
    reference: str = (one.get("subject") or one.get("patient") or {}).get("reference", "")
    return reference.partition("Patient/")[2]


def test_there_are_four_base_and_four_theme_libraries_with_named_columns() -> None:
    assert [one.id for one in libraries() if one.kind == "base"] == ["emr", "ehr", "population", "resources"]
    assert [one.id for one in libraries() if one.kind == "theme"] == [
        "public-health", "medical-service", "food-safety", "major-disease",
    ]  # fmt: skip
    for library in libraries():
        assert len(library.views) >= MOST[library.kind], library.id
        assert all((library.owner["zh"], library.source, library.description["zh"]))
    for view in views():
        assert all(column.title["zh"] != column.title["en"] or column.name == "id" for column in view.columns), view.id
        assert {rule.kind for rule in view.rules} <= set(DIMENSIONS)
        assert len(view.rules) >= 2, view.id
    assert len({view.id for view in views()}) == len(list(views()))


@pytest.mark.parametrize("view", list(views()), ids=lambda view: str(view.id))
def test_a_view_has_rows_of_what_the_district_sends_and_says_what_the_oracle_says(district: Lake, view: View) -> None:
    state = district.state()
    connection = district.connect(types=[*view.types, "Patient"], state=state)
    found = assessing.assess(connection, view, AT)
    rows = connection.execute(view.sql(())).fetchall()
    assert found.rows == len(rows)
    assert found.rows or view.id in RARE
    assert sum(count for _, count in found.owners) == found.rows
    for rule, checked in zip(view.rules, found.checks, strict=True):
        assert 0 <= checked.failed <= checked.total <= found.rows, rule
        if rule.test is None:
            column = [one.name for one in view.columns].index(rule.column)
            assert checked.failed == sum(row[column] is None for row in rows)
    some = [one for (type_, _), one in sent().items() if type_ == view.resource]
    some = some if view.derived else some[:60]
    expected = sorted(str([_plain(row[column.name]) for column in view.columns]) for row in oracle(view, some))
    ids = {one["id"] for one in some}
    place = [one.name for one in view.columns].index("id")
    assert sorted(str([_plain(value) for value in row]) for row in rows if row[place] in ids) == expected
    connection.close()


def oracle(view: View, some: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows as they follow from the definition, resource by resource; of a view over views, row of a base view by row."""
    if view.derived is None:
        yield from sof.evaluate(view.parsed(), some)
        return
    connection = duckdb.connect()
    for base in view.bases:
        resources = [one for (type_, _), one in sent().items() if type_ == base.resource]
        kinds = {"integer": "bigint", "decimal": "double", "boolean": "boolean"}
        columns = ", ".join(f'"{one.name}" {kinds.get(one.type, "varchar")}' for one in base.columns)
        connection.execute(f"create table {table_of(base.id)} ({columns})")
        rows = [[_told(row[one.name]) for one in base.columns] for row in sof.evaluate(base.parsed(), resources)]
        marks = ", ".join("?" for _ in base.columns)
        if rows:
            connection.executemany(f"insert into {table_of(base.id)} values ({marks})", rows)
    cursor = connection.execute(view.derived.statement())
    names = [one.name for one in view.columns]
    yield from (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    connection.close()


def _told(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool | int) else float(value)


def _plain(value: Any) -> Any:
    return (
        float(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else None
        if value is None
        else str(value)
        if not isinstance(value, bool)
        else value
    )


def test_a_cohort_is_counted_by_diagnosis_year_and_town(district: Lake) -> None:
    connection = district.connect(types=["Condition", "Patient"])
    view = find("major-disease", "hypertension")
    found = assessing.assess(connection, view, AT)
    people = connection.execute(
        "select count(distinct _patient) from Condition where list_contains(list_transform(code.coding, lambda c: c.code[1:3]), 'I10')"
    ).fetchone()
    connection.close()
    assert found.cohorts
    assert {one.icd10 for one in found.cohorts} <= {"I10", "I11", "I12", "I13", "I15"}
    assert all(
        one.persons > 0 and one.year > 1950 and (not one.town or one.town.startswith("310118")) for one in found.cohorts
    )
    assert people is not None
    assert max(one.persons for one in found.cohorts) <= people[0]


def test_rules_find_what_is_wrong(tmp_path: Path) -> None:
    good = {
        "resourceType": "Encounter", "id": "good", "status": "finished", "class": {"code": "AMB"},
        "period": {"start": "2026-11-19T08:00:00+08:00", "end": "2026-11-19T09:00:00+08:00"},
        "serviceProvider": {"reference": "Organization/o"},
    }  # fmt: skip
    late = {**good, "id": "late", "period": {"start": "2026-11-10", "end": "2026-11-09"}}
    bare = {"resourceType": "Encounter", "id": "bare", "status": "finished", "class": {"code": "EMER"}}
    connection = engine.connect(tmp_path / "scratch")
    with writer(tmp_path), Spool(tmp_path / "spool") as spool:
        for one in (good, late, bare):
            spool.add(Row("Encounter", str(one["id"]), 1, AT, False, 7, None, None, "1.1.1", json.dumps(one).encode()))
        spool.close()
        swap(
            tmp_path,
            Manifest(),
            Manifest(parts={"Encounter": (write_part(connection, tmp_path, "Encounter", spool),)}),
            AT,
        )
    connection.close()
    view = find("emr", "visit")
    reader = Lake(tmp_path).connect(types=["Patient"])
    found = assessing.assess(reader, view, AT)
    assert (found.rows, found.owners, found.newest) == (3, ((7, 3),), AT)
    counted = {
        (rule.kind, rule.column): (one.total, one.failed) for rule, one in zip(view.rules, found.checks, strict=True)
    }
    assert counted[("completeness", "start")] == (3, 1)
    assert counted[("logic", "start")] == (2, 1)
    assert counted[("timeliness", "start")] == (2, 1)
    assert [row[0] for row in assessing.preview(reader, view, None, 2)] == ["bare", "good"]
    assert assessing.preview(reader, view, [8], 5) == []
    reader.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "base or theme"),
        ({"views": [{"title": {}}]}, "definition"),
        ({"rules": [{"kind": "logic", "column": "nothing", "title": {}}]}, "a rule names"),
        ({"path": "%NOWHERE"}, "no code system"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_library_with_a_fault_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    view = {
        "title": {"zh": "甲", "en": "a"}, "description": {"zh": "", "en": ""}, "rules": change.get("rules", []),
        "definition": {"name": "a", "resource": "Patient", "status": "active",
                       "select": [{"column": [{"name": "id", "path": change.get("path", "id")}]}]},
    }  # fmt: skip
    raw = {"id": "x", "kind": "base", "row": "", "title": {}, "description": {}, "owner": {},
           "source": {"document": "", "clause": ""}, "views": [view]}  # fmt: skip
    with pytest.raises(Incorrect, match=message):
        library_of({**raw, **{key: value for key, value in change.items() if key in raw}}, "x.yaml")
