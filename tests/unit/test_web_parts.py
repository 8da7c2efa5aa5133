"""The web room's pure parts: charts, files, headers, exports, and what templates may see."""

from __future__ import annotations

import asyncio
import re
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, meta, nodes
from starlette.requests import Request
from starlette.responses import Response

from healthbrain.errors import Forbidden, Unavailable
from healthbrain.web import charts, guard
from healthbrain.web.assets import STATIC, Assets
from healthbrain.web.charts import Chart, Series
from healthbrain.web.export import csv_response
from healthbrain.web.pages.signin import safe_goal
from healthbrain.web.screen import TEMPLATES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import fetch_assets  # noqa: E402 - a tool, not a package


def _request(path: str = "/", **headers: str) -> Request:
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "scheme": "http", "server": ("x", 80),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()], "path_params": {"path": path},
    }  # fmt: skip
    return Request(scope)


# -- charts


def test_drawing_and_table_of_a_chart_come_from_one_object() -> None:
    chart = Chart("k", "t", ["a", "b"], [Series("x", [1.0, None]), Series("y", [2.0, 3.0])])
    assert chart.table() == [["a", 1.0, 2.0], ["b", None, 3.0]]
    assert [s["values"] for s in chart.drawing()["series"]] == [[1.0, None], [2.0, 3.0]]


def test_a_chart_without_values_knows_that_it_is_empty() -> None:
    assert Chart("k", "t", ["a"], [Series("x", [None])]).empty
    assert not Chart("k", "t", ["a"], [Series("x", [0.0])]).empty


@pytest.mark.parametrize(
    "values", [[57.2, 74.5, 66.0], [0.0, 0.0], [100.0, 100.0], [3.0], [0.01, 0.09], [12000, 88000]]
)
def test_map_classes_hold_every_value_and_are_few(values: list[float]) -> None:
    bounds = charts.classes(values)
    assert all(1 <= charts.class_of(value, bounds) <= 6 for value in values)
    assert bounds == sorted(bounds)


def test_a_town_without_data_has_a_class_of_its_own() -> None:
    assert charts.class_of(None, charts.classes([1.0, 2.0])) == 0
    assert charts.classes([None, None]) == []


def test_a_spark_line_leaves_gaps_out_and_needs_two_values() -> None:
    assert charts.spark([1.0, None]) == ""
    assert len(charts.spark([1.0, None, 3.0]).split()) == 2


# -- files


def _serve(assets: Assets, url: str, **headers: str) -> Response:
    return asyncio.run(assets.serve(_request(url.removeprefix("/static/"), **headers)))


def test_modules_are_served_as_script_and_kept_for_ever() -> None:
    assets = Assets()
    for name in ("map.mjs", "maplibre.mjs", "maplibre-worker.mjs"):
        response = _serve(assets, assets.url(name))
        assert response.headers["content-type"].startswith("text/javascript")
        assert "immutable" in response.headers["cache-control"]


def test_a_name_carries_the_digest_so_an_old_name_is_not_found() -> None:
    assets = Assets()
    assert re.fullmatch(r"/static/app\.[0-9a-f]{12}\.css", assets.url("app.css"))
    assert _serve(assets, "/static/app.000000000000.css").status_code == 404
    assert _serve(assets, "/static/../routes.py").status_code == 404


def test_files_travel_compressed_and_unchanged_ones_not_at_all() -> None:
    assets = Assets()
    plain = _serve(assets, assets.url("echarts.js"))
    packed = _serve(assets, assets.url("echarts.js"), accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert _serve(assets, assets.url("echarts.js"), if_none_match=plain.headers["etag"]).status_code == 304


def test_a_library_that_was_not_fetched_says_what_to_do(tmp_path: Path) -> None:
    for part in ("css", "js", "img", "map"):
        (tmp_path / part).mkdir()
    with pytest.raises(Unavailable, match="make setup"):
        Assets(tmp_path).url("htmx.js")


def test_every_library_of_the_lock_is_in_place_under_its_digest() -> None:
    for package in fetch_assets.read_lock():
        if package.use == "web":
            assert fetch_assets.in_place(package, STATIC / "vendor"), package.label


def test_a_package_with_another_digest_is_refused(tmp_path: Path) -> None:
    package = next(iter(fetch_assets.read_lock()))
    tarball = tmp_path / "x.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        info = tarfile.TarInfo("package/dist/htmx.min.js")
        info.size = 4
        archive.addfile(info, BytesIO(b"evil"))
    with pytest.raises(fetch_assets.Unusable, match="SHA-512"):
        fetch_assets.check_tarball(package, tarball)


def test_an_unpacked_package_is_complete_and_a_damaged_file_is_noticed(tmp_path: Path) -> None:
    package = fetch_assets.Package("p", "1", "web", "sum", "MIT", {"a.js": "a.js"})
    tarball = tmp_path / "p.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        info = tarfile.TarInfo("package/a.js")
        info.size = 2
        archive.addfile(info, BytesIO(b"ok"))
    folder = tmp_path / "vendor"
    fetch_assets.unpack(package, tarball, folder)
    assert fetch_assets.in_place(package, folder)
    next(folder.glob("a.*.js")).write_text("no")
    assert not fetch_assets.in_place(package, folder)


# -- guards


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = guard.protect(Response()).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy


def test_a_form_from_another_site_is_refused() -> None:
    guard.check_same_site(_request(sec_fetch_site="same-origin"))
    guard.check_same_site(_request(origin="http://here", host="here"))
    for headers in ({"sec_fetch_site": "cross-site"}, {"origin": "http://evil", "host": "here"}):
        with pytest.raises(Forbidden):
            guard.check_same_site(_request(**headers))


@pytest.mark.parametrize("goal", ["//evil", "https://evil/", "/\\evil", "javascript:x", "", "evil"])
def test_sign_in_leads_nowhere_else(goal: str) -> None:
    assert safe_goal(goal) == "/"
    assert safe_goal("/cockpit?a=b") == "/cockpit?a=b"


def test_an_export_opens_in_a_spreadsheet_and_runs_nothing() -> None:
    body = bytes(csv_response("x.csv", ["名称"], [["=cmd()"], ["-1.5"], ["@x"], ["+8%"]]).body)
    assert body.startswith(b"\xef\xbb\xbf")
    assert body.decode("utf-8-sig").split() == ["名称", "'=cmd()", "-1.5", "'@x", "+8%"]


# -- templates

GLOBALS = {"asset", "labels", "say", "spark", "THEMES", "L", "ui", "_", "gettext", "ngettext"}


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_a_template_sees_its_page_and_the_shell_and_nothing_else(name: str) -> None:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), extensions=["jinja2.ext.i18n"], autoescape=True)
    environment.filters["json"] = str
    tree = environment.parse((TEMPLATES / name).read_text("utf-8"))
    own = {node.target for node in tree.find_all(nodes.Import)}
    own |= {node.target.name for node in tree.find_all(nodes.Assign) if isinstance(node.target, nodes.Name)}
    own |= {node.name for node in tree.find_all(nodes.Macro)}
    assert meta.find_undeclared_variables(tree) - GLOBALS - own <= {"page", "shell"}


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_has_inline_style_or_script(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\sstyle=|\son(click|change|load|submit)=|<style|<script(?![^>]*src=)", text), path.name
