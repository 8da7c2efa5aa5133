"""Data models: an index of components with weights, as data, over the views of one theme library (HUB-EX-08, APP-PH-27).

A component is two counts, above and below the line, each a statement over the views of the model's library. A statement that reads
anything else is refused when the model is read. Which views and columns it reads follows from the statements. A model has a
version; a change of a weight or a limit is another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from healthbrain.errors import Incorrect, NotFound
from healthbrain.lake import library
from healthbrain.lake.derived import table_of, tables_of
from healthbrain.lake.library import View

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Component:
    """One part: `per` x above ÷ below is 100 points at `best` and none at `worst`, in a straight line between."""

    id: str
    title: Words
    unit: Words
    explain: Words
    weight: float
    per: float
    best: float
    worst: float
    above: str
    below: str
    inputs: tuple[str, ...]  # views that it reads
    least: float = 1.0  # below the line, for a value

    def value(self, above: float, below: float) -> float | None:
        """None where there is too little below the line."""
        return self.per * above / below if below >= self.least else None

    def score(self, value: float) -> float:
        """Between 0 and 100."""
        return max(0.0, min(100.0, 100 * (value - self.worst) / (self.best - self.worst)))


@dataclass(frozen=True, slots=True)
class Model:
    """An index with its components."""

    id: str
    version: str
    library: str
    title: Words
    description: Words
    owner: Words
    remark: Words
    source: str
    warn_below: float  # a value below it warns
    warn_fall: float  # and a fall by so much since the month before
    least_weight: float  # in per cent of all weights: with less known there is no value
    months: int
    components: tuple[Component, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The views that it reads, each once."""
        return tuple(sorted({view for one in self.components for view in one.inputs}))

    @property
    def weight(self) -> float:
        """All weights together."""
        return sum(one.weight for one in self.components)


@cache
def models() -> tuple[Model, ...]:
    """Every model that ships."""
    folder = resources.files(__package__)
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".yaml")), key=lambda one: one.name)
    return tuple(model_of(yaml.safe_load(one.read_text("utf-8")), one.name) for one in files)


def model(id_: str) -> Model:
    """One of them. Raises NotFound."""
    for one in models():
        if one.id == id_:
            return one
    raise NotFound("there is no such data model")


def reading(view: str) -> list[Model]:
    """The models that read a view."""
    return [one for one in models() if view in one.inputs]


def model_of(raw: Mapping[str, Any], where: str) -> Model:
    """A model from its declaration. Raises Incorrect with the place: a form that is wrong, a view that is not of its library."""
    try:
        offered = [one for one in library.views() if one.library == raw["library"]]
        if not offered:
            raise Incorrect(f"{where}: there is no library {raw['library']}")
        components = tuple(_component(one, offered, f"{where}: {one['id']}") for one in raw["components"])
        return Model(
            raw["id"], raw["version"], raw["library"], raw["title"], raw["description"], raw["owner"], raw["remark"],
            f"{raw['source']['document']} {raw['source']['clause']}", float(raw["warn_below"]), float(raw["warn_fall"]),
            float(raw["least_weight"]), int(raw["months"]), components,
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise Incorrect(f"{where}: {error} is missing or has the wrong form") from None


def _component(raw: Mapping[str, Any], offered: list[View], where: str) -> Component:
    known = {table_of(one.id): one.id for one in offered}
    reads: set[str] = set()
    for part in ("above", "below"):
        try:
            tables = tables_of(raw[part])
        except Incorrect as wrong:
            raise Incorrect(f"{where}, {part}: {wrong.message}") from None
        if strange := [table for table in tables if table not in known]:
            raise Incorrect(f"{where}, {part}: it reads {', '.join(strange)}, which is no view of the model's library")
        reads |= {known[table] for table in tables}
    if raw["weight"] <= 0 or raw["best"] == raw["worst"]:
        raise Incorrect(f"{where}: a weight is above zero, and best and worst differ")
    return Component(
        raw["id"], raw["title"], raw["unit"], raw["explain"], float(raw["weight"]), float(raw["per"]), float(raw["best"]),
        float(raw["worst"]), raw["above"], raw["below"], tuple(sorted(reads)), float(raw.get("least", 1)),
    )  # fmt: skip
