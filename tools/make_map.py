"""Draw the schematic map of the district: eleven towns that tile one outline.

    python tools/make_map.py            # writes src/healthbrain/web/static/map/qingpu.geojson

There is no free source of township boundaries with an approval number, so the screens show a schematic: a hand-drawn
outline of the district, and for every town the Voronoi cells of a few points near its true centre. Neighbours, size
and direction are about right; the lines are nobody's boundary, and every screen that shows them says so
(示意图，非行政区划边界). A district with an approved source (审图号) replaces the file; only `code` matters to the screens.

The cells are cut exactly (half-planes against the outline), shared edges cancel, so towns neither overlap nor leave
gaps; tests/unit/test_web_map.py checks that by area.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

Point = tuple[float, float]
Ring = list[Point]

TARGET = Path(__file__).parents[1] / "src" / "healthbrain" / "web" / "static" / "map" / "qingpu.geojson"
NOTE = "示意图，非行政区划边界 / Schematic, not administrative boundaries"
SNAP = 1e-7  # degrees; two cut points nearer than this are one corner

# anticlockwise or clockwise does not matter; longitude, latitude
OUTLINE: Ring = [
    (121.085, 31.262), (121.112, 31.282), (121.150, 31.278), (121.166, 31.262), (121.195, 31.268), (121.216, 31.276),
    (121.241, 31.263), (121.262, 31.248), (121.275, 31.226), (121.293, 31.216), (121.318, 31.205), (121.323, 31.181),
    (121.300, 31.160), (121.268, 31.152), (121.236, 31.133), (121.212, 31.112), (121.181, 31.098), (121.161, 31.076),
    (121.143, 31.060), (121.148, 31.031), (121.135, 31.005), (121.100, 30.992), (121.062, 30.985), (121.031, 30.975),
    (121.005, 30.985), (120.985, 31.002), (120.958, 30.998), (120.931, 31.008), (120.901, 31.005), (120.885, 31.021),
    (120.892, 31.045), (120.872, 31.060), (120.863, 31.085), (120.880, 31.101), (120.903, 31.097), (120.918, 31.109),
    (120.950, 31.103), (120.975, 31.119), (120.996, 31.135), (121.021, 31.141), (121.045, 31.151), (121.058, 31.166),
    (121.050, 31.190), (121.062, 31.216), (121.055, 31.241),
]  # fmt: skip

# 淀山湖, the part of it that helps a reader to find their way
LAKE: Ring = [
    (120.918, 31.109), (120.950, 31.103), (120.975, 31.119), (120.990, 31.113), (120.994, 31.094), (120.975, 31.079),
    (120.951, 31.074), (120.935, 31.081), (120.919, 31.083), (120.911, 31.097),
]  # fmt: skip

# code -> names, label place, points
TOWNS: dict[str, tuple[str, str, Point, list[Point]]] = {
    "310118001": ("夏阳街道", "Xiayang", (121.142, 31.125), [(121.138, 31.142), (121.150, 31.116), (121.128, 31.108)]),
    "310118002": ("盈浦街道", "Yingpu", (121.090, 31.160), [(121.088, 31.160), (121.106, 31.152), (121.075, 31.168)]),
    "310118003": (
        "香花桥街道", "Xianghuaqiao", (121.112, 31.204),
        [(121.105, 31.205), (121.133, 31.196), (121.080, 31.206), (121.140, 31.176), (121.112, 31.188)],
    ),
    "310118102": (
        "朱家角镇", "Zhujiajiao", (121.045, 31.108),
        [(121.040, 31.112), (121.062, 31.122), (121.010, 31.118), (121.070, 31.090), (121.030, 31.082), (121.055, 31.140)],
    ),
    "310118103": (
        "练塘镇", "Liantang", (121.065, 31.025),
        [(121.060, 31.025), (121.100, 31.030), (121.030, 31.005), (121.110, 31.055), (121.020, 31.035), (121.062, 31.050)],
    ),
    "310118104": (
        "金泽镇", "Jinze", (120.930, 31.042),
        [(120.925, 31.040), (120.890, 31.085), (120.960, 31.025), (120.955, 31.065), (120.985, 31.085), (120.900, 31.020)],
    ),
    "310118105": (
        "赵巷镇", "Zhaoxiang", (121.198, 31.140),
        [(121.196, 31.140), (121.175, 31.120), (121.215, 31.155), (121.180, 31.155)],
    ),
    "310118106": ("徐泾镇", "Xujing", (121.279, 31.180), [(121.285, 31.180), (121.255, 31.170), (121.300, 31.195)]),
    "310118107": ("华新镇", "Huaxin", (121.232, 31.228), [(121.230, 31.230), (121.255, 31.215), (121.222, 31.252)]),
    "310118109": ("重固镇", "Chonggu", (121.188, 31.204), [(121.185, 31.203), (121.200, 31.190), (121.175, 31.218)]),
    "310118110": (
        "白鹤镇", "Baihe", (121.132, 31.250),
        [(121.130, 31.248), (121.100, 31.248), (121.160, 31.245), (121.185, 31.250), (121.080, 31.235)],
    ),
}  # fmt: skip


def cells() -> dict[str, list[Ring]]:
    """For every town its Voronoi cells within the outline."""
    sites = [(code, point) for code, (_, _, _, points) in TOWNS.items() for point in points]
    corners: list[Point] = []
    found: dict[str, list[Ring]] = {code: [] for code in TOWNS}
    for code, site in sites:
        ring = list(OUTLINE)
        for _, other in sites:
            if other != site:
                ring = nearer(ring, site, other)
        found[code].append([snap(point, corners) for point in ring])
    return found


def nearer(ring: Ring, site: Point, other: Point) -> Ring:
    """The part of the ring that is nearer to `site` than to `other` (one half-plane cut)."""
    kept: Ring = []
    for here, there in zip(ring, ring[1:] + ring[:1], strict=True):
        a, b = side(here, site, other), side(there, site, other)
        if a >= 0:
            kept.append(here)
        if (a > 0 > b) or (a < 0 < b):
            share = a / (a - b)
            kept.append((here[0] + (there[0] - here[0]) * share, here[1] + (there[1] - here[1]) * share))
    return kept


def side(point: Point, site: Point, other: Point) -> float:
    """Positive where `point` is nearer to `site`."""
    return distance(point, other) - distance(point, site)


def distance(a: Point, b: Point) -> float:
    """Squared distance; a degree of longitude is shorter than one of latitude at 31° N."""
    return ((a[0] - b[0]) * 0.857) ** 2 + (a[1] - b[1]) ** 2


def snap(point: Point, corners: list[Point]) -> Point:
    """One value for what two cells computed separately, so that shared edges are equal."""
    for corner in corners:
        if abs(corner[0] - point[0]) < SNAP and abs(corner[1] - point[1]) < SNAP:
            return corner
    corners.append(point)
    return point


def merge(rings: Iterable[Ring]) -> list[Ring]:
    """The outer rings of a town: edges that two of its cells share cancel."""
    edges: dict[Point, list[Point]] = {}
    for ring in rings:
        for here, there in zip(ring, ring[1:] + ring[:1], strict=True):
            if here == there:
                continue
            if here in edges.get(there, []):
                edges[there].remove(here)
            else:
                edges.setdefault(here, []).append(there)
    outer = []
    while start := next((point for point, ends in edges.items() if ends), None):
        ring, here = [start], edges[start].pop()
        while here != start:
            ring.append(here)
            here = edges[here].pop()
        outer.append(ring)
    return outer


def area(ring: Ring) -> float:
    """Signed area in square degrees; positive is anticlockwise."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)) / 2


def closed(ring: Ring) -> list[list[float]]:
    """As GeoJSON wants it: anticlockwise, first corner repeated, six decimals (0.1 m)."""
    turned = ring if area(ring) > 0 else ring[::-1]
    return [[round(x, 6), round(y, 6)] for x, y in [*turned, turned[0]]]


def collection() -> dict[str, object]:
    """The map as a GeoJSON FeatureCollection."""
    features: list[dict[str, object]] = []
    for code, rings in cells().items():
        name, name_en, label, _ = TOWNS[code]
        features.append(
            {
                "type": "Feature",
                "properties": {"kind": "town", "code": code, "name": name, "name_en": name_en, "label": list(label)},
                "geometry": {"type": "MultiPolygon", "coordinates": [[closed(ring)] for ring in merge(rings)]},
            }
        )
    for kind, ring in (("water", LAKE), ("outline", OUTLINE)):
        features.append(
            {
                "type": "Feature",
                "properties": {"kind": kind},
                "geometry": {"type": "Polygon", "coordinates": [closed(ring)]},
            }
        )
    return {"type": "FeatureCollection", "note": NOTE, "features": features}


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(collection(), ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    print(f"{TARGET}: {len(TOWNS)} towns", file=sys.stderr)
