"""The district's eleven towns and where in them people live.

Town codes and shares are the terms table `division`; communities and roads are data/places.csv. Families rooted here
live more in the western water towns, newcomers near Shanghai's edge (徐泾, 华新, 香花桥).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random

from healthbrain.terms import tables
from healthbrain.twin.chance import Weighted, pick, whole

# how much likelier than its share a rooted family lives there
_ROOTED = {"310118102": 1.7, "310118103": 1.9, "310118104": 2.0, "310118110": 1.3, "310118001": 1.15, "310118002": 1.3,
           "310118106": 0.5, "310118107": 0.55, "310118003": 0.65, "310118105": 0.8}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Town:
    """A town or street: its 9-digit division code and what addresses in it look like."""

    index: int
    code: str
    name: str
    share: float
    communities: tuple[str, ...]
    roads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a household lives."""

    town: Town
    community: int
    line: str

    @property
    def text(self) -> str:
        """In full, as written on forms."""
        return f"上海市青浦区{self.town.name}{self.line}"


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of one of the twin's data files, without its comment lines."""
    text = resources.files(__package__).joinpath("data", f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def towns() -> tuple[Town, ...]:
    """The eleven towns in the order of their codes."""
    places = {row["town"]: row for row in read_rows("places")}
    return tuple(
        Town(
            index,
            row["code"],
            row["name"],
            float(row["share"]),
            tuple(places[row["code"]]["communities"].split("|")),
            tuple(places[row["code"]]["roads"].split("|")),
        )
        for index, row in enumerate(tables.rows("division"))
    )


@cache
def _choice(native: bool) -> Weighted[Town]:
    rooted = [(town, town.share * _ROOTED.get(town.code, 1.0)) for town in towns()]
    total = sum(weight for _, weight in rooted)
    if native:
        return Weighted(rooted)
    # 43.05 % of residents are rooted here; newcomers fill what they leave of each town's share
    return Weighted([(town, max(town.share - 0.4305 * weight / total, 0.004)) for town, weight in rooted])


def address(rng: Random, *, native: bool) -> Address:
    """A home."""
    town = _choice(native).pick(rng)
    community = int(rng.random() * len(town.communities))
    place = town.communities[community]
    if place.endswith("村") and not place.endswith("新村"):
        return Address(town, community, f"{place}{whole(rng, 1, 12)}组{whole(rng, 1, 220)}号")
    room = f"{whole(rng, 1, 18)}0{whole(rng, 1, 4)}室"
    road = pick(rng, town.roads)
    return Address(town, community, f"{road}{whole(rng, 8, 2400)}弄{whole(rng, 1, 120)}号{room}")
