"""Views over HTTP (SQL on FHIR v2): ViewDefinition resources and $viewdefinition-run, as a client and as an intruder see them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.api_world import World, inhabited, observation, world
from tests.smart_world import register, system

from healthbrain import identity, lake
from healthbrain.lake import stored

pytestmark = pytest.mark.anyio

OBSERVATIONS: dict[str, Any] = {
    "resourceType": "ViewDefinition", "url": "urn:test:observations", "name": "observations", "status": "active",
    "resource": "Observation",
    "select": [
        {
            "column": [
                {"name": "id", "path": "getResourceKey()"},
                {"name": "patient", "path": "subject.getReferenceKey(Patient)"},
                {"name": "value", "path": "value.ofType(Quantity).value"},
                {"name": "codes", "path": "code.coding.code", "collection": True},
            ]
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world whose lake has everything."""
    name = "hb_view_run"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database if exists "{name}" with (force)')
        connection.execute(f'create database "{name}" template "{template}"')
    folder: Path = tmp_path_factory.mktemp("hb")
    async with world(make_conninfo(postgres, dbname=name), folder) as made:
        await inhabited(made)
        await follow(made)
        yield made


async def follow(hb: World) -> None:
    await lake.sync(hb.platform.pool, hb.platform.settings.lake, hb.platform.clock(), persons=identity.links)


def asking(view: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Parameters of a run."""
    listed: list[dict[str, Any]] = [] if view is None else [{"name": "viewResource", "resource": view}]
    for name, value in more.items():
        for one in value if isinstance(value, list) else [value]:
            kind = "resource" if name == "resource" else "valueReference" if isinstance(one, dict) else "valueString"
            listed.append({"name": name, kind: one})
    return {"resourceType": "Parameters", "parameter": listed}


async def rows(hb: World, who: str = "QP00", view: dict[str, Any] = OBSERVATIONS, **more: Any) -> list[dict[str, Any]]:
    answer = await hb.ask("POST", "ViewDefinition/$viewdefinition-run", who, json=asking(view, **more))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {row["id"] for row in found}


# -- what a run gives


async def test_a_run_gives_typed_rows_of_the_lake(hb: World) -> None:
    found = await rows(hb)
    assert {"id": "o-a-zs", "patient": "a-zs", "value": 6.1, "codes": ["14771-0"]} in found
    assert ids(found) == {"o-a-zs", "o-a-xy", "o-b-zs"}


async def test_a_run_at_system_level_is_offered_because_r4_has_no_viewdefinition(hb: World) -> None:
    answer = await hb.ask("POST", "$viewdefinition-run", json=asking(OBSERVATIONS))
    assert len(answer.text.splitlines()) == 3


async def test_csv_has_a_header_unless_it_is_not_wanted(hb: World) -> None:
    answer = await hb.ask("POST", "ViewDefinition/$run", json=asking(OBSERVATIONS, _format="csv"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.reader(io.StringIO(answer.text)))
    assert table[0] == ["id", "patient", "value", "codes"]
    assert len(table) == 4
    assert ["o-a-zs", "a-zs", "6.1", '["14771-0"]'] in table
    bare = await hb.ask("POST", "ViewDefinition/$run", json=asking(OBSERVATIONS, _format="text/csv", header="false"))
    assert sorted(csv.reader(io.StringIO(bare.text))) == sorted(table[1:])


async def test_parquet_has_typed_columns(hb: World, tmp_path: Path) -> None:
    accept = {"accept": "application/vnd.apache.parquet"}
    answer = await hb.ask("POST", "ViewDefinition/$run", json=asking(OBSERVATIONS), headers=accept)
    assert answer.status_code == 200, answer.text
    (tmp_path / "rows.parquet").write_bytes(answer.content)
    found = duckdb.sql(f"describe from '{tmp_path}/rows.parquet'").fetchall()
    assert [(name, kind) for name, kind, *_ in found] == [
        ("id", "VARCHAR"), ("patient", "VARCHAR"), ("value", "DOUBLE"), ("codes", "VARCHAR[]"),
    ]  # fmt: skip


async def test_json_is_one_array_and_fhir_is_parameters(hb: World) -> None:
    answer = await hb.ask(
        "POST", "ViewDefinition/$run", json=asking(OBSERVATIONS, _format="json", patient="Patient/b-zs")
    )
    row = {"id": "o-b-zs", "patient": "b-zs", "value": 6.1, "codes": ["14771-0"]}
    assert answer.json() == [row]
    answer = await hb.ask(
        "POST", "ViewDefinition/$run", json=asking(OBSERVATIONS, _format="fhir", patient="Patient/b-zs")
    )
    parts = [
        {"name": "id", "valueId": "o-b-zs"}, {"name": "patient", "valueString": "b-zs"},
        {"name": "value", "valueDecimal": 6.1}, {"name": "codes", "valueCode": "14771-0"},
    ]  # fmt: skip
    assert answer.json() == {"resourceType": "Parameters", "parameter": [{"name": "row", "part": parts}]}


async def test_rows_are_limited_by_number_patient_group_and_time(hb: World) -> None:
    assert len(await rows(hb, _limit="1")) == 1
    assert ids(await rows(hb, patient=[{"reference": "Patient/a-zs"}, {"reference": "Patient/b-zs"}])) == {
        "o-a-zs",
        "o-b-zs",
    }
    members = [{"entity": {"reference": "Patient/a-xy"}}, {"entity": {"reference": "Patient/b-zs"}, "inactive": True}]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
    assert (await hb.ask("PUT", "Group/g", json=group)).status_code in (200, 201)
    assert ids(await rows(hb, group={"reference": "Group/g"})) == {"o-a-xy"}
    assert await rows(hb, _since="2100-01-01T00:00:00Z") == []
    assert len(await rows(hb, _since="2020-01-01T00:00:00Z")) == 3


async def test_resources_that_are_sent_are_run_on_without_the_lake(hb: World) -> None:
    sent = [observation("sent", "who", 7.5), {"resourceType": "Patient", "id": "p"}]
    assert await rows(hb, resource=sent) == [{"id": "sent", "patient": "who", "value": 7.5, "codes": ["14771-0"]}]


async def test_a_view_of_the_libraries_is_run_by_its_id_and_its_url(hb: World) -> None:
    answer = await hb.ask("GET", "ViewDefinition/major-disease.glucose/$viewdefinition-run?_format=csv")
    assert len(answer.text.splitlines()) == 4, answer.text
    by_url = asking(viewReference={"reference": "urn:healthbrain:view:major-disease.glucose"}, _format="csv")
    again = await hb.ask("POST", "ViewDefinition/$viewdefinition-run", json=by_url)
    assert sorted(again.text.splitlines()) == sorted(answer.text.splitlines())


# -- what is refused


async def test_every_fault_of_a_view_is_told_with_its_place(hb: World) -> None:
    broken = {**OBSERVATIONS, "resource": "Observaton", "select": [{"column": [{"name": "1", "path": "a..b"}]}]}
    answer = await hb.ask("POST", "ViewDefinition/$run", json=asking(broken))
    assert answer.status_code == 400
    assert [issue["expression"] for issue in answer.json()["issue"]] == [
        ["ViewDefinition.resource"], ["ViewDefinition.select[0].column[0].name"], ["ViewDefinition.select[0].column[0].path"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"_limit": "0"}, 400), ({"_limit": "many"}, 400), ({"header": "perhaps"}, 400), ({"_format": "xlsx"}, 400),
        ({"patient": "Observation/1"}, 400), ({"_since": "yesterday"}, 400), ({"source": "s3://x"}, 400),
        ({"viewReference": {"reference": "ViewDefinition/x"}}, 400), ({"group": {"reference": "Group/none"}}, 404),
    ],
    ids=lambda value: next(iter(value)) + "=" + str(next(iter(value.values())))[:10] if isinstance(value, dict) else str(value),
)  # fmt: skip
async def test_a_parameter_that_is_not_right_is_refused(hb: World, more: dict[str, Any], status: int) -> None:
    answer = await hb.ask("POST", "ViewDefinition/$run", json=asking(OBSERVATIONS, **more))
    assert answer.status_code == status, answer.text


async def test_a_view_that_finds_several_values_is_refused_without_showing_them(hb: World) -> None:
    several = {**OBSERVATIONS, "select": [{"column": [{"name": "s", "path": "code.coding.system | code.coding.code"}]}]}
    answer = await hb.ask("POST", "ViewDefinition/$run", json=asking(several))
    assert answer.status_code == 400
    assert "14771-0" not in answer.text


async def test_no_run_leaves_files_behind(hb: World) -> None:
    await rows(hb)
    await hb.ask("POST", "ViewDefinition/$run", json=asking({**OBSERVATIONS, "resource": "X"}))
    root = hb.platform.settings.data / "runs"
    assert list(root.iterdir()) == []


# -- who sees what


@pytest.mark.parametrize("who", ["leader", "administrator"])
async def test_who_sees_figures_only_runs_no_view_of_residents(hb: World, who: str) -> None:
    answer = await hb.ask("POST", "ViewDefinition/$run", who, json=asking(OBSERVATIONS))
    assert answer.status_code == 403


@pytest.mark.parametrize("who", ["QP00", "QPZS", "QPXY", "XH00", "XHZX", "SH", "cdc", "manager", "doctor", "resident"])
@pytest.mark.parametrize("type_", ["Observation", "Patient", "EpisodeOfCare", "Practitioner"])
async def test_a_run_shows_exactly_what_a_search_shows(hb: World, who: str, type_: str) -> None:
    view = {**OBSERVATIONS, "resource": type_, "select": [{"column": [{"name": "id", "path": "getResourceKey()"}]}]}
    searched = (await hb.ask("GET", f"{type_}?_count=100", who)).json()
    assert ids(await rows(hb, who, view)) == {entry["resource"]["id"] for entry in searched.get("entry", ())}


async def test_an_application_sees_what_it_was_granted(hb: World) -> None:
    app = await register(hb, owner="SH")
    await system(hb, "narrow", "QP00", ["system/Observation.rs?code=http://loinc.org|14771-0"])
    await system(hb, "other code", "QP00", ["system/Condition.rs", "system/Observation.rs?code=http://loinc.org|1-8"])
    await system(hb, "no type", "QP00", ["system/Condition.rs"])
    await app.bearer("resident through an application", "resident", "user/*.rs")
    assert ids(await rows(hb, "narrow")) == {"o-a-zs", "o-a-xy", "o-b-zs"}
    assert await rows(hb, "other code") == []
    assert ids(await rows(hb, "resident through an application")) == {"o-a-zs", "o-a-xy"}
    answer = await hb.ask("POST", "ViewDefinition/$run", "no type", json=asking(OBSERVATIONS))
    assert answer.status_code == 403
    stored_one = await hb.ask("GET", "ViewDefinition/major-disease.glucose/$run", "narrow")
    assert stored_one.status_code == 403, "it was not granted to read definitions"


async def test_a_run_is_in_the_audit_log_with_whose_rows_it_gave(hb: World) -> None:
    answer = await hb.ask("POST", "ViewDefinition/$run", "QPXY", json=asking(OBSERVATIONS))
    events = await hb.events(answer.headers["x-request-id"])
    assert [len(event.patients) for event in events] == [1]
    assert events[0].detail == "$viewdefinition-run sent over Observation: 1 rows"


async def test_nobody_runs_a_view_without_signing_in(hb: World) -> None:
    assert (await hb.ask("POST", "ViewDefinition/$run", None, json=asking(OBSERVATIONS))).status_code == 401
    assert (await hb.ask("GET", "ViewDefinition/population.resident", None)).status_code == 401


# -- the resources


async def test_a_view_is_stored_read_changed_found_and_deleted(hb: World) -> None:
    made = await hb.ask("POST", "ViewDefinition", json=OBSERVATIONS)
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]
    assert made.headers["location"].endswith(f"ViewDefinition/{id_}/_history/1")
    assert made.json() == {**OBSERVATIONS, "id": id_, "meta": made.json()["meta"]}
    stale = await hb.ask("PUT", f"ViewDefinition/{id_}", json=OBSERVATIONS, headers={"if-match": 'W/"7"'})
    assert stale.status_code == 412
    changed = await hb.ask("PUT", f"ViewDefinition/{id_}", json={**OBSERVATIONS, "title": "空腹血糖"})
    assert changed.status_code == 200
    assert changed.headers["etag"] == 'W/"2"'
    assert (await hb.ask("GET", f"ViewDefinition/{id_}")).json()["title"] == "空腹血糖"
    assert "title" not in (await hb.ask("GET", f"ViewDefinition/{id_}/_history/1")).json()
    assert (await hb.ask("GET", f"ViewDefinition/{id_}/_history")).json()["total"] == 2
    for query in (
        "url=urn:test:observations",
        "name=observ&status=active",
        f"_id={id_}",
        "resource=Observation&name=observations",
    ):
        found = (await hb.ask("GET", f"ViewDefinition?{query}")).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == [id_], query
    run = await hb.ask("GET", f"ViewDefinition/{id_}/$viewdefinition-run?_format=csv&_limit=2")
    assert len(run.text.splitlines()) == 3
    assert (await hb.ask("DELETE", f"ViewDefinition/{id_}")).status_code == 204
    assert (await hb.ask("GET", f"ViewDefinition/{id_}")).status_code == 410
    assert (await hb.ask("GET", "ViewDefinition?url=urn:test:observations")).json()["total"] == 0
    assert (await hb.ask("GET", f"ViewDefinition/{id_}/$run")).status_code == 410


async def test_a_view_that_cannot_be_run_is_not_stored(hb: World) -> None:
    for broken in (
        {**OBSERVATIONS, "select": []},
        {**OBSERVATIONS, "status": "new"},
        {**OBSERVATIONS, "select": [{"column": [{"name": "a", "path": "value.foo()"}]}]},
    ):
        answer = await hb.ask("POST", "ViewDefinition", json=broken)
        assert answer.status_code in (400, 422, 501), answer.text
        assert answer.json()["issue"]


async def test_a_url_names_one_view_and_another_district_does_not_change_mine(hb: World) -> None:
    mine = {**OBSERVATIONS, "url": "urn:test:mine"}
    assert (await hb.ask("PUT", "ViewDefinition/mine", json=mine)).status_code == 201
    assert (await hb.ask("PUT", "ViewDefinition/theirs", "XH00", json=mine)).status_code == 409
    assert (await hb.ask("PUT", "ViewDefinition/mine", "XH00", json=mine)).status_code == 403
    assert (await hb.ask("DELETE", "ViewDefinition/mine", "XH00")).status_code == 403
    assert (await hb.ask("PUT", "ViewDefinition/mine", "doctor", json=mine)).status_code == 403
    by_url = asking(viewReference={"reference": "urn:test:mine"})
    theirs = await hb.ask("POST", "ViewDefinition/$run", "XH00", json=by_url)
    assert [json.loads(line)["id"] for line in theirs.text.splitlines()] == ["o-c-zx"]


async def test_views_of_the_libraries_are_there_and_cannot_be_changed(hb: World) -> None:
    found = (await hb.ask("GET", "ViewDefinition?_count=500")).json()
    assert {"emr.visit", "emr.blood-pressure"} <= {entry["resource"]["id"] for entry in found["entry"]}
    one = (await hb.ask("GET", "ViewDefinition/emr.blood-pressure")).json()
    assert one["url"] == "urn:healthbrain:view:emr.blood_pressure"
    assert (await hb.ask("PUT", "ViewDefinition/emr.blood-pressure", json={**one})).status_code == 409
    assert stored.of_library("emr.blood-pressure") is not None


async def test_a_search_by_something_else_is_refused(hb: World) -> None:
    assert (await hb.ask("GET", "ViewDefinition?publisher=x")).status_code == 400


async def test_a_view_of_a_theme_library_shows_the_rows_that_its_base_views_show(hb: World) -> None:
    theme = await hb.ask("GET", "ViewDefinition/medical-service.laboratory-result/$run?_format=csv")
    base = await hb.ask("GET", "ViewDefinition/emr.laboratory-result/$run?_format=csv")
    assert theme.status_code == 200
    assert sorted(theme.text.splitlines()) == sorted(base.text.splitlines())
    for who in ("QPZS", "XHZX", "doctor"):
        theirs = await hb.ask("GET", "ViewDefinition/food-safety.case/$run?_format=csv", who)
        assert theirs.status_code == 200
    assert (await hb.ask("GET", "ViewDefinition/medical-service.visit")).status_code == 404
    given = asking(viewReference={"reference": "ViewDefinition/food-safety.case"}, resource={"resourceType": "Patient"})
    assert (await hb.ask("POST", "ViewDefinition/$run", json=given)).status_code == 400
