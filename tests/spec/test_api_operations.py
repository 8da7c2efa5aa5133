"""$meta, $meta-add, $meta-delete, $lastn, $stats and $everything with its parameters, as R4 defines them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api_world import World, inhabited, observation, own_world

from healthbrain.terms import systems

pytestmark = pytest.mark.anyio

TAG = {"system": "urn:t", "code": "one"}
LABEL = {"system": "urn:s", "code": "R"}
PROFILE = "http://example.org/StructureDefinition/p"


@pytest.fixture(scope="module")
async def hb(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with own_world(postgres, template, tmp_path_factory.mktemp("hb")) as made:
        await inhabited(made)
        yield made


async def put(hb: World, resource: dict[str, Any], who: str = "QPZS") -> None:
    answer = await hb.ask("PUT", f"{resource['resourceType']}/{resource['id']}", who, json=resource)
    assert answer.status_code in (200, 201), answer.text


def meta(**labels: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": labels}]}


def labels(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json().get("parameter", [{"valueMeta": {}}])[0]["valueMeta"]
    return {key: value for key, value in found.items() if key in ("profile", "tag", "security")}


# -- $meta


async def test_labels_are_added_once_and_taken_away(hb: World) -> None:
    await put(hb, observation("labelled", "a-zs"))
    path = "Observation/labelled"
    added = await hb.ask("POST", f"{path}/$meta-add", "QPZS", json=meta(tag=[TAG], profile=[PROFILE]))
    assert labels(added) == {"tag": [TAG], "profile": [PROFILE]}
    again = await hb.ask("POST", f"{path}/$meta-add", "QPZS", json=meta(tag=[TAG | {"display": "x"}], security=[LABEL]))
    assert labels(again) == {"tag": [TAG], "profile": [PROFILE], "security": [LABEL]}
    assert labels(await hb.ask("GET", f"{path}/$meta", "QPZS")) == labels(again)
    found = await hb.ask("GET", "Observation?_tag=urn:t|one&_id=labelled", "QPZS")
    assert len(found.json()["entry"]) == 1
    gone = await hb.ask("POST", f"{path}/$meta-delete", "QPZS", json=meta(tag=[TAG], profile=["urn:never"]))
    assert labels(gone) == {"profile": [PROFILE], "security": [LABEL]}
    read = (await hb.ask("GET", path, "QPZS")).json()
    assert (read["meta"]["versionId"], read["valueQuantity"]["value"]) == ("4", 6.1)


async def test_meta_of_a_type_and_of_all_is_what_is_in_use_as_far_as_one_sees(hb: World) -> None:
    await put(hb, observation("t1", "a-zs") | {"meta": {"tag": [{"system": "urn:t", "code": "seen"}]}})
    await put(hb, observation("t2", "c-zx") | {"meta": {"tag": [{"system": "urn:t", "code": "hidden"}]}}, "XHZX")
    for path in ("Observation/$meta", "$meta"):
        codes = {tag["code"] for tag in labels(await hb.ask("GET", path, "QPZS"))["tag"]}
        assert "seen" in codes
        assert "hidden" not in codes
    assert labels(await hb.ask("GET", "Device/$meta", "QPZS")) == {}


@pytest.mark.parametrize(
    ("method", "path", "who", "body", "status"),
    [
        ("GET", "Observation/none/$meta", "QPZS", None, 404),
        ("GET", "Observation/o-c-zx/$meta", "QPZS", None, 404),
        ("GET", "Observation/$meta", "leader", None, 403),
        ("POST", "Observation/o-a-zs/$meta-add", "QPZS", {"resourceType": "Parameters"}, 400),
        ("POST", "Observation/o-a-zs/$meta-add", "QPZS", {"resourceType": "Patient"}, 400),
        ("POST", "Observation/o-a-zs/$meta-add", "QPZS", meta(tag="x"), 400),
        ("POST", "Observation/o-a-zs/$meta-add", "QPZS", meta(tag=[{"code": 7}]), 422),
        ("POST", "Observation/o-c-zx/$meta-add", "QPZS", meta(tag=[TAG]), 404),
        ("POST", "Observation/o-a-zs/$meta-add", "resident", meta(tag=[TAG]), 403),
        ("PUT", "Observation/o-a-zs/$meta", "QPZS", None, 405),
        ("GET", "Patient/a-zs/$summary", "QPZS", None, 501),
    ],
)
async def test_what_meta_refuses(hb: World, method: str, path: str, who: str, body: Any, status: int) -> None:
    answer = await hb.ask(method, path, who, **({"json": body} if body else {}))
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), answer.text


# -- $lastn


def measured(id_: str, code: str, day: int, **more: Any) -> dict[str, Any]:
    coding = {"coding": [{"system": systems.LOINC, "code": code}]}
    return observation(id_, "b-zs") | {"code": coding, "effectiveDateTime": f"2026-02-{day:02d}"} | more


async def lastn(hb: World, query: str, who: str = "QPZS") -> list[str]:
    answer = await hb.ask("GET", f"Observation/$lastn?{query}", who)
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]


async def test_lastn_gives_the_newest_of_each_kind(hb: World) -> None:
    lab = {"category": [{"coding": [{"system": "urn:c", "code": "laboratory"}]}]}
    for id_, code, day in (("n1", "1-1", 1), ("n3", "1-1", 3), ("n2", "1-1", 2), ("m1", "2-2", 5), ("m2", "2-2", 4)):
        await put(hb, measured(id_, code, day, **(lab if code == "1-1" else {})))
    both = {"coding": [{"system": systems.LOINC, "code": "1-1"}, {"system": "urn:own", "code": "glu"}]}
    await put(hb, measured("n4", "", 4) | {"code": both})
    table = [
        ("patient=b-zs&code=1-1,2-2", {"n4", "m1"}),
        ("patient=Patient/b-zs&code=1-1", {"n4"}),
        ("subject=Patient/b-zs&category=laboratory", {"n3"}),
        ("patient=b-zs&category=laboratory&max=2", {"n3", "n2"}),
        ("patient=b-zs&code=2-2&max=9", {"m1", "m2"}),
        ("patient=b-zs&code=none", set()),
        ("patient=c-zx", set()),
    ]
    for query, expected in table:
        assert set(await lastn(hb, query)) == expected, query
    await put(hb, measured("m3", "2-2", 5))  # as new as the newest: both are the last
    assert set(await lastn(hb, "patient=b-zs&code=2-2")) == {"m1", "m3"}
    form = {"patient": "b-zs", "code": "1-1"}
    posted = await hb.ask("POST", "Observation/$lastn", "QPZS", data=form)
    assert [entry["resource"]["id"] for entry in posted.json()["entry"]] == ["n4"]


@pytest.mark.parametrize("query", ["code=1-1", "patient=b-zs&max=0", "patient=b-zs&max=x", "patient=b-zs&nothing=1"])
async def test_lastn_needs_somebody_and_a_number(hb: World, query: str) -> None:
    assert (await hb.ask("GET", f"Observation/$lastn?{query}", "QPZS")).status_code == 400


# -- $stats

VALUES = [("4.0", "mmol/L"), ("5.0", "mmol/L"), ("6.0", "mmol/L"), ("7000", "umol/L"), ("8.0", "mmol/L")]


def quantity(value: str, unit: str) -> dict[str, Any]:
    return {"value": float(value), "unit": unit, "system": systems.UCUM, "code": unit}


def of(body: dict[str, Any], n: int = 0) -> dict[str, Any]:
    statistics = [one["resource"] for one in body["parameter"] if one["name"] == "statistics"][n]
    return {
        part["code"]["coding"][0]["code"]: part.get("valueQuantity", {}).get("value")
        for part in statistics["component"]
    }


async def test_stats_are_over_one_unit_and_exact(hb: World) -> None:
    for n, (value, unit) in enumerate(VALUES):
        await put(hb, measured(f"s{n}", "3-3", n + 1, valueQuantity=quantity(value, unit)))
    less = quantity("1", "mmol/L") | {"comparator": "<"}
    await put(hb, measured("s-less", "3-3", 9, valueQuantity=less))
    await put(hb, measured("s-other", "3-3", 10, valueQuantity=quantity("90", "mg")))
    wanted = "average,median,minimum,maximum,count,total-count,sum,std-dev,variance,20-percent,80-percent,4-dev,skew"
    path = f"Observation/$stats?subject=Patient/b-zs&code=3-3&system={systems.LOINC}&statistic={wanted}"
    period = "&period=2026-02-01/2026-02-09"
    found = of((await hb.ask("GET", path + period, "QPZS")).json())
    assert found == {
        "average": 6, "median": 6, "minimum": 4, "maximum": 8, "count": 5, "total-count": 6, "sum": 30,
        "std-dev": 1.581, "variance": 2.5, "20-percent": 4.8, "80-percent": 7.2, "4-dev": 2, "skew": 0,
    }  # fmt: skip
    narrow = of((await hb.ask("GET", path + "&period=2026-02-02/2026-02-03", "QPZS")).json())
    assert (narrow["count"], narrow["average"], narrow["skew"]) == (2, 5.5, None)
    newest = of((await hb.ask("GET", path + "&limit=1", "QPZS")).json())
    assert (newest["count"], newest["maximum"]) == (1, 90)
    hidden = of((await hb.ask("GET", path, "XHZX")).json())
    assert (hidden["total-count"], hidden["average"]) == (0, None)


async def test_stats_take_parameters_codings_and_components(hb: World) -> None:
    for n, systolic in enumerate((120, 140)):
        part = {
            "code": {"coding": [{"system": systems.LOINC, "code": "8480-6"}]},
            "valueQuantity": quantity(str(systolic), "mm[Hg]"),
        }
        panel = measured(f"bp{n}", "85354-9", n + 1, component=[part])
        del panel["valueQuantity"]
        await put(hb, panel)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subject", "valueUri": "Patient/b-zs"},
            {"name": "coding", "valueCoding": {"system": systems.LOINC, "code": "8480-6"}},
            {"name": "coding", "valueCoding": {"system": systems.LOINC, "code": "3-3"}},
            {"name": "statistic", "valueCode": "average"},
            {"name": "statistic", "valueCode": "count"},
            {"name": "period", "valuePeriod": {"start": "2026-02-01", "end": "2026-02-05"}},
            {"name": "include", "valueBoolean": True},
        ],
    }
    answer = await hb.ask("POST", "Observation/$stats", "QPZS", json=body)
    assert answer.status_code == 200, answer.text
    assert of(answer.json()) == {"average": 130, "count": 2}
    assert of(answer.json(), 1) == {"average": 6, "count": 5}
    assert len([one for one in answer.json()["parameter"] if one["name"] == "source"]) == 7
    statistics = answer.json()["parameter"][0]["resource"]
    assert statistics["component"][0]["valueQuantity"]["code"] == "mm[Hg]"
    checked = await hb.ask("POST", "Observation/$validate", "QPZS", json=statistics)
    assert all(issue["severity"] not in ("error", "fatal") for issue in checked.json()["issue"]), checked.text


@pytest.mark.parametrize(
    "query",
    ["code=1-1&statistic=count", "subject=Patient/b-zs&statistic=count", "subject=Patient/b-zs&code=1-1",
     "subject=Patient/b-zs&code=1-1&statistic=mode", "subject=Patient/b-zs&code=1-1&statistic=count&duration=x",
     "subject=Patient/b-zs&code=1-1&statistic=count&limit=0", "subject=Patient/b-zs&code=1-1&statistic=count&what=1"],
)  # fmt: skip
async def test_what_stats_refuses(hb: World, query: str) -> None:
    assert (await hb.ask("GET", f"Observation/$stats?{query}", "QPZS")).status_code == 400


# -- $everything


async def test_everything_is_narrowed_by_type_time_of_care_and_change(hb: World) -> None:
    for id_, day in (("e1", "2025-01-01"), ("e2", "2025-06-15T10:00:00+08:00"), ("e3", "2025-12-31")):
        await put(hb, observation(id_, "a-xy") | {"effectiveDateTime": day}, "QPXY")
    record = {"a-xy", "contract-a", "o-a-xy", "e1", "e2", "e3"}
    table = [
        ("", record),
        ("_type=Observation", {"o-a-xy", "e1", "e2", "e3"}),
        ("_type=Patient,EpisodeOfCare", {"a-xy", "contract-a"}),
        ("_type=Observation&start=2025-02-01&end=2025-12-30", {"e2"}),
        ("_type=Observation&start=2025-06-15&end=2025-12-31", {"e2", "e3"}),
        ("end=2025-01-01", {"a-xy", "contract-a", "e1"}),
        ("_since=2099-01-01", set()),
        ("_since=2000-01-01&_type=Patient", {"a-xy"}),
    ]
    for query, expected in table:
        found: set[str] = set()
        path = f"Patient/a-xy/$everything?_count=2&{query}"
        while path:
            answer = await hb.ask("GET", path, "QPXY")
            assert answer.status_code == 200, answer.text
            ids = [entry["resource"]["id"] for entry in answer.json().get("entry", ())]
            assert not found & set(ids)
            found |= set(ids)
            path = next((link["url"] for link in answer.json()["link"] if link["relation"] == "next"), "")
        assert found == expected, query
    for query in ("_type=Nothing", "start=x", "what=1"):
        assert (await hb.ask("GET", f"Patient/a-xy/$everything?{query}", "QPXY")).status_code == 400


async def test_the_capability_statement_lists_what_is_offered(hb: World) -> None:
    rest = (await hb.ask("GET", "metadata", None)).json()["rest"][0]
    by_type = {one["type"]: {o["name"] for o in one.get("operation", ())} for one in rest["resource"]}
    assert {"validate", "meta", "meta-add", "meta-delete", "lastn", "stats"} <= by_type["Observation"]
    assert "lastn" not in by_type["Patient"]
    assert by_type["AuditEvent"] == set()
    assert "meta" in {one["name"] for one in rest["operation"]}
    assert "patch" in {one["code"] for one in rest["resource"][1]["interaction"]}
