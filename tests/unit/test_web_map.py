"""The schematic map: eleven towns that tile the outline without gaps and overlaps."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import make_map  # noqa: E402 - a tool, not a package
from healthbrain.web.geography import towns  # noqa: E402 - after the tool's path

CODES = {f"310118{n}" for n in ("001", "002", "003", "102", "103", "104", "105", "106", "107", "109", "110")}


def _area(ring: list[list[float]]) -> float:
    return abs(make_map.area([(x, y) for x, y in ring[:-1]]))


def test_the_map_has_exactly_the_eleven_towns() -> None:
    assert set(towns()) == CODES
    assert towns()["310118102"].name == "朱家角镇"


def test_the_towns_tile_the_outline() -> None:
    features = json.loads(make_map.TARGET.read_text("utf-8"))["features"]
    parts = [f for f in features if f["properties"]["kind"] == "town"]
    covered = sum(_area(polygon[0]) for f in parts for polygon in f["geometry"]["coordinates"])
    assert abs(covered / abs(make_map.area(make_map.OUTLINE)) - 1) < 1e-5


def test_every_town_is_one_piece_with_its_label_inside() -> None:
    for feature in json.loads(make_map.TARGET.read_text("utf-8"))["features"]:
        if feature["properties"]["kind"] != "town":
            continue
        (polygon,) = feature["geometry"]["coordinates"]
        assert _inside(feature["properties"]["label"], polygon[0]), feature["properties"]["name"]


def test_neighbours_lie_where_they_lie_in_truth() -> None:
    west, east = make_map.TOWNS["310118104"][2], make_map.TOWNS["310118106"][2]  # 金泽, 徐泾
    north, south = make_map.TOWNS["310118110"][2], make_map.TOWNS["310118103"][2]  # 白鹤, 练塘
    assert west[0] < east[0]
    assert south[1] < north[1]


def test_the_committed_map_is_what_the_tool_draws() -> None:
    assert json.loads(make_map.TARGET.read_text("utf-8")) == json.loads(json.dumps(make_map.collection()))


def test_the_map_says_that_it_is_schematic() -> None:
    assert "示意图" in json.loads(make_map.TARGET.read_text("utf-8"))["note"]


def _inside(point: list[float], ring: list[list[float]]) -> bool:
    x, y = point
    hit = False
    for (ax, ay), (bx, by) in itertools.pairwise(ring):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            hit = not hit
    return hit
