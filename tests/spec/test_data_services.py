"""Published data services over HTTP and on the quality-control page: permission, parameters, versions, limits, counts of use."""

from __future__ import annotations

import ast
import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from tests.api_world import PASSWORD, World, inhabited, own_world

from healthbrain import access, identity, lake
from healthbrain.api import create_api
from healthbrain.api.data_services import DataServices
from healthbrain.errors import Busy, Gone, Incorrect
from healthbrain.lake import warehouse
from healthbrain.measure import services
from healthbrain.measure.services import Row, registry_of, service
from healthbrain.measure.services.read import _complemented
from healthbrain.runtime.models import compute_models
from healthbrain.web import create_web
from healthbrain.web.pages import quality_control

pytestmark = pytest.mark.anyio
STAYS = "qc-length-of-stay/v1"
SPAN = "from=2026-01&to=2026-12"


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("services")
    async with own_world(postgres, template, folder) as made:
        await inhabited(made)
        for owner, patient, days in (("QPZS", "a-zs", 2), ("QPZS", "b-zs", 6), ("XHZX", "c-zx", 11)):
            for number in range(4):
                path = f"Encounter/stay-{patient}-{number}"
                answer = await made.ask("PUT", path, owner, json=stay(path.partition("/")[2], patient, days))
                assert answer.status_code == 201, answer.text
        for number in range(2):
            few = stay(f"few-{number}", "a-xy", 3)
            few["period"] = {"start": "2026-05-02T08:00:00+08:00", "end": "2026-05-05T08:00:00+08:00"}
            assert (await made.ask("PUT", f"Encounter/few-{number}", "QPXY", json=few)).status_code == 201
        async with made.platform.pool.connection() as connection:
            await access.create_account(
                connection, name="city", password=PASSWORD, role="leader", organisation=made.keys["SH"], display="city"
            )
        async with made.platform.pool.connection() as connection:
            made.cookies["city"] = (await access.sign_in(connection, "city", PASSWORD, made.platform.clock())).cookie
        settings = made.platform.settings
        await lake.sync(made.platform.pool, settings.lake, made.platform.clock(), persons=identity.links)
        assert warehouse.rebuild(settings.lake, made.platform.clock()).failed == 0
        assert await compute_models(made.platform) == 1
        routes = [*create_api(made.platform), *DataServices(made.platform).routes(), *create_web(made.platform)]
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=Starlette(routes=routes)), base_url="http://testserver"
        ) as client:
            made.client = client
            yield made


def stay(id_: str, patient: str, days: int) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": id_, "status": "finished", "subject": {"reference": f"Patient/{patient}"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "period": {"start": "2026-03-02T08:00:00+08:00", "end": f"2026-03-{2 + days:02d}T09:00:00+08:00"},
    }  # fmt: skip


async def get(hb: World, path: str, who: str | None = "QP00") -> httpx.Response:
    return await hb.client.get(f"/api/data-services{path}", headers=hb.headers(who))


async def page(hb: World, path: str, who: str) -> httpx.Response:
    return await hb.client.get(path, headers={"cookie": f"hb_session={hb.cookies[who]}"})


async def calls(hb: World, id_: str) -> int:
    async with hb.platform.pool.connection() as connection:
        used = await services.used(connection, hb.platform.clock().date())
    return sum(use.calls for (name, _), use in used.items() if name == id_)


async def test_a_service_answers_within_what_the_caller_may_see(hb: World) -> None:
    whole = (await get(hb, f"/{STAYS}?{SPAN}", "SH")).json()
    assert [(row["month"], row["numerator"], row["denominator"]) for row in whole["rows"]] == [
        ("2026-03", 76, 12), ("2026-05", 6, 2),
    ]  # fmt: skip
    assert whole["rows"][0]["value"] == pytest.approx(76 / 12)
    assert whole["asOf"]
    district = (await get(hb, f"/{STAYS}?{SPAN}", "QP00")).json()["rows"]
    assert [(row["numerator"], row["denominator"]) for row in district] == [(32, 8), (6, 2)]
    apart = (await get(hb, f"/{STAYS}?{SPAN}&by=institution", "SH")).json()["rows"]
    assert {row["institution"]["code"]: row["value"] for row in apart} == {"QPZS": 4, "XHZX": 11, "QPXY": 3}
    one = (await get(hb, f"/{STAYS}?{SPAN}&institution=QPZS", "QP00")).json()["rows"]
    assert [row["value"] for row in one] == [4]
    assert (await get(hb, f"/{STAYS}?{SPAN}&institution=XHZX", "QP00")).status_code == 404


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("from=2026-13", 400, "month"), ("from=2026-05&to=2026-01", 400, "not after"), ("by=town", 400, "one of"),
        ("colour=red", 400, "no parameter"), ("institution=NOWHERE", 404, "institution"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_refused_in_words(hb: World, query: str, status: int, says: str) -> None:
    answer = await get(hb, f"/{STAYS}?{query}")
    assert answer.status_code == status
    assert says in answer.text


async def test_who_has_no_token_no_service_or_no_version_is_told_so(hb: World) -> None:
    assert (await get(hb, f"/{STAYS}", None)).status_code == 401
    assert (await get(hb, "", None)).status_code == 401
    assert (await get(hb, "/nothing/v1")).status_code == 404
    assert (await get(hb, "/qc-length-of-stay/v9")).status_code == 404


async def test_the_registry_says_everything_about_each_service_and_openapi_has_each_as_an_operation(hb: World) -> None:
    listed = (await get(hb, "")).json()["services"]
    assert {f"{one['id']}/v{one['version']}" for one in listed} == {one.name for one in services.services()}
    mine = next(one for one in listed if one["address"].endswith(STAYS))
    assert mine["reads"] == ["medical-service.stay"]
    assert mine["callsAMinute"] == 120
    assert {parameter["name"] for parameter in mine["parameters"]} == {"from", "to", "by", "institution"}
    described = (await get(hb, "/openapi.json")).json()
    assert set(described["paths"]) == {f"/api/data-services/{one.name}" for one in services.services()}
    assert described["paths"]["/api/data-services/qc-drug-share/v1"]["get"]["deprecated"] is True


async def test_a_deprecated_version_says_so_and_ends_on_its_day(hb: World) -> None:
    old = await get(hb, "/qc-drug-share/v1")
    assert old.status_code == 200
    assert old.headers["deprecation"].startswith("@")
    assert "2027" in old.headers["sunset"]
    assert "qc-drug-share/v2" in old.headers["link"]
    assert old.json()["deprecated"]["instead"] == "qc-drug-share/v2"
    assert "deprecation" not in (await get(hb, "/qc-drug-share/v2")).headers
    assert service("qc-drug-share").version == 2
    with pytest.raises(Gone, match="v2"):
        services.answering(service("qc-drug-share", 1), date(2027, 7, 1))


async def test_every_call_is_counted_and_who_asks_too_often_waits(hb: World) -> None:
    before = await calls(hb, "qc-long-stay")
    for _ in range(3):
        assert (await get(hb, "/qc-long-stay/v1")).status_code == 200
    assert await calls(hb, "qc-long-stay") == before + 3
    slow = replace(service("qc-long-stay"), id="slow", a_minute=2)
    at = hb.platform.clock()
    async with hb.platform.pool.connection() as connection:
        for _ in range(2):
            await services.admit(connection, slow, "somebody", at)
        await services.admit(connection, slow, "somebody else", at)
        with pytest.raises(Busy, match="2 times"):
            await services.admit(connection, slow, "somebody", at)
        await services.admit(connection, slow, "somebody", at.replace(year=at.year + 1))


async def test_who_sees_figures_only_gets_no_figure_of_few_people(hb: World) -> None:
    shown = await page(hb, "/quality-control?indicator=qc-length-of-stay&format=csv", "cdc")
    assert "2026-03,32.0,8.0,4.0" in shown.text
    assert "2026-05,6.0,2.0,3.0" in shown.text
    rows = (await page(hb, "/quality-control?indicator=qc-length-of-stay&format=csv", "leader")).text
    assert "2026-03,32.0,8.0,4.0" in rows  # eight stays are enough, two are not
    assert "2026-05,,," in rows


def test_one_institution_hidden_alone_is_not_told_by_the_total_and_the_others() -> None:
    rows = [Row("2026-03", 1, 9, 9, 1), Row("2026-03", 2, None, None, None, hidden=True), Row("2026-03", 3, 7, 7, 1)]
    rows += [Row("2026-04", 1, 9, 9, 1), Row("2026-04", 2, 8, 8, 1), Row("2026-05", 2, None, None, None, hidden=True)]
    sizes: dict[tuple[str, int | None], float] = {
        ("2026-03", 1): 9, ("2026-03", 2): 2, ("2026-03", 3): 7, ("2026-04", 1): 9, ("2026-04", 2): 8, ("2026-05", 2): 2,
    }  # fmt: skip
    shown = _complemented(rows, sizes)
    assert [(row.month, row.unit) for row in shown if row.hidden] == [("2026-03", 2), ("2026-03", 3), ("2026-05", 2)]
    assert shown[2].value is None


async def test_the_quality_control_page_is_served_by_the_services_alone(hb: World) -> None:
    before = {id_: await calls(hb, id_) for id_ in quality_control.INDICATORS}
    answer = await page(hb, "/quality-control", "leader")
    assert answer.status_code == 200
    assert "平均住院日" in answer.text
    after = {id_: await calls(hb, id_) for id_ in quality_control.INDICATORS}
    assert all(after[id_] > before[id_] for id_ in quality_control.INDICATORS)
    assert (await page(hb, "/quality-control?indicator=other", "leader")).status_code == 404
    assert (await page(hb, "/quality-control", "resident")).status_code == 403
    registry = await page(hb, "/data-services", "leader")
    assert "qc-drug-share/v1" in registry.text
    assert "medical-service.stay" in registry.text


def test_the_quality_control_page_has_no_other_way_to_data() -> None:
    """Its module imports nothing that reads data but `call`, and hands the platform to nothing else."""
    tree = ast.parse(inspect.getsource(quality_control))
    imported = {
        f"{node.module}.{name.name}" if isinstance(node, ast.ImportFrom) else name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    own = {name for name in imported if name.startswith("healthbrain.")}
    data = {name for name in own if not name.startswith(("healthbrain.web.", "healthbrain.errors."))}
    assert data == {f"healthbrain.runtime.services.{name}" for name in ("Answered", "call", "described")}
    assert not {name for name in own if name.startswith("healthbrain.web.pages")}
    assert {name for name in imported - own if not name.startswith(("__future__", "collections", "dataclasses"))} == {
        "starlette.responses.Response"
    }
    handed = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"platform", "decide", "request"}
    ]
    into_call = [
        node.args[0] for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "call"
    ]
    assert handed
    assert all(node in into_call for node in handed)


async def test_the_index_page_shows_components_and_inputs_and_refuses_who_sees_one_institution(hb: World) -> None:
    answer = await page(hb, "/food-safety-index", "city")
    assert answer.status_code == 200
    for text in ("病例发生率", "报告及时率", "food-safety.exposure", "建议"):
        assert text in answer.text, text
    assert (await page(hb, "/food-safety-index?area=nowhere", "city")).status_code == 404
    assert (await page(hb, "/food-safety-index?format=csv", "city")).text.count("全区") == 18
    for who in ("leader", "manager", "doctor"):  # the index is about every institution of the platform
        assert (await page(hb, "/food-safety-index", who)).status_code == 403


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"statement": "select 1 as month from emr_stay"}, "no view of a theme library"),
        ({"statement": "select * from read_csv('x')"}, "function"),
        ({"measure": "OPS-VISITS"}, "either"),
        (
            {"deprecated": {"since": date(2026, 1, 1), "until": date(2026, 2, 1), "instead": "x/v9", "why": {}}},
            "instead",
        ),
    ],
    ids=["base", "file", "both", "successor"],
)
def test_a_registry_with_a_fault_is_refused(change: dict[str, Any], says: str) -> None:
    words = {"zh": "", "en": ""}
    one = {
        "id": "x", "version": 1, "title": words, "description": words, "owner": words, "unit": words, "better": "low",
        "statement": "select month from medical_service_stay", **change,
    }  # fmt: skip
    with pytest.raises(Incorrect, match=says):
        registry_of([one])
