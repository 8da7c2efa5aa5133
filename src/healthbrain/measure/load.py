"""Definitions read from YAML, strictly: every scalar is text until its field says what it is (so `no` stays "no" and
codes keep their zeros), unknown and doubled keys are errors, and the whole is compiled once to prove that it can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from healthbrain.errors import Incorrect
from healthbrain.lake import view_of
from healthbrain.measure.definition import (
    Added,
    Count,
    Definition,
    Evidence,
    LastPer,
    Library,
    Population,
    Reason,
    Source,
    Table,
    With,
    Words,
)

LIBRARY = "library.yaml"
_DEFINITION = {
    "id", "version", "title", "formula", "reading", "source", "kind", "unit", "direction", "period", "window_months",
    "periods", "population", "prepare", "tables", "targets", "constants", "members", "order",
}  # fmt: skip
_TABLE = {"from", "where", "with", "count", "add", "keep", "one_per", "fold"}
_POPULATION = {
    "from", "subject", "town", "institution", "where", "numerator", "reasons", "evidence", "shown",
}  # fmt: skip


_FOLDED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])")


class _Strict(yaml.BaseLoader):
    """Text scalars only, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(map(str, keys))):
            raise Incorrect(f"line {node.start_mark.line + 1}: a key stands twice")
        return super().construct_mapping(node, deep)


@cache
def built_in() -> tuple[Definition, ...]:
    """The measures that come with the platform, in the order of the headlines."""
    folder = resources.files(__package__) / "definitions"
    found = [
        definition_of(entry.read_text("utf-8"), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml") and entry.name != LIBRARY
    ]
    return tuple(sorted(found, key=lambda one: (one.order, one.id)))


@cache
def library() -> Library:
    """The views and tables that definitions share."""
    text = (resources.files(__package__) / "definitions" / LIBRARY).read_text("utf-8")
    raw = _yaml(text, LIBRARY)
    views = {name: view_of(name, one) for name, one in raw["views"].items()}
    return Library(views, tuple(_table(name, one, LIBRARY) for name, one in raw["tables"].items()))


def definition_of(text: str, where: str) -> Definition:
    """A definition from its YAML; `where` names it in errors. Raises Incorrect."""
    raw = _yaml(text, where)
    _known(raw, _DEFINITION, where)
    try:
        return Definition(
            id=raw["id"],
            version=raw["version"],
            title=_words(raw["title"]),
            formula=_words(raw["formula"]),
            reading=_words(raw.get("reading", {})),
            source=Source(raw["source"]["document"], raw["source"]["clause"]),
            kind=_one_of(raw["kind"], ("proportion", "count"), where),
            unit=raw["unit"],
            direction=_one_of(raw["direction"], ("up", "down", "none"), where),
            period=_one_of(raw["period"], ("month", "week"), where),
            window_months=int(raw.get("window_months", "0")),
            periods=int(raw["periods"]),
            population=_population(raw["population"], where),
            prepared=tuple(_table(name, one, where) for name, one in raw.get("prepare", {}).items()),
            tables=tuple(_table(name, one, where) for name, one in raw.get("tables", {}).items()),
            targets={int(year): float(value) for year, value in raw.get("targets", {}).items()},
            constants={name: _constant(value) for name, value in raw.get("constants", {}).items()},
            members=raw.get("members", "true") == "true",
            order=int(raw.get("order", "100")),
        )
    except KeyError as error:
        raise Incorrect(f"{where}: {error} is missing") from None
    except ValueError as error:
        raise Incorrect(f"{where}: {error}") from None


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Strict)  # noqa: S506  # a BaseLoader: it builds nothing but text, lists, dicts
    except yaml.YAMLError as error:
        raise Incorrect(f"{where}: not readable as YAML ({error})") from None


def _table(name: str, raw: Mapping[str, Any], where: str) -> Table:
    _known(raw, _TABLE, f"{where}: {name}")
    return Table(
        name=name,
        source=raw["from"],
        where=raw.get("where", "true"),
        withs=tuple(_with(one) for one in raw.get("with", ())),
        counts=tuple(
            Count(column, one["table"], one["match"], one.get("where", "true"))
            for column, one in raw.get("count", {}).items()
        ),
        added=tuple(Added(column, value) for column, value in raw.get("add", {}).items()),
        keep=raw.get("keep", "true"),
        one_per=_per(raw.get("one_per")),
        fold=_per(raw.get("fold")),
    )


def _with(raw: Mapping[str, Any]) -> With:
    take = raw["take"]
    names = {column: column for column in take} if isinstance(take, list) else dict(take)
    return With(raw["table"], raw["match"], names, raw.get("last", "_id"), raw.get("where", "true"))


def _per(raw: Mapping[str, str] | None) -> LastPer | None:
    return None if raw is None else LastPer(raw["key"], raw["last"])


def _population(raw: Mapping[str, Any], where: str) -> Population:
    _known(raw, _POPULATION, f"{where}: population")
    return Population(
        source=raw["from"],
        subject=raw["subject"],
        town=raw["town"],
        institution=raw["institution"],
        where=raw.get("where", "true"),
        numerator=raw.get("numerator", "true"),
        reasons=tuple(Reason(id_, one["when"], _words(one["text"])) for id_, one in raw.get("reasons", {}).items()),
        evidence=tuple(Evidence(one["table"], one["type"], one["match"]) for one in raw.get("evidence", ())),
        shown=tuple(raw.get("shown", ())),
    )


def _words(raw: Mapping[str, str]) -> Words:
    """Texts by language. YAML joins folded lines with a space, which Chinese does not have."""
    return {language: _FOLDED.sub("", text) for language, text in raw.items()}


def _constant(value: Any) -> str | int | float | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(value)
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return str(value)


def _known(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := set(raw) - known:
        raise Incorrect(f"{where}: unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")


def _one_of(value: str, allowed: tuple[str, ...], where: str) -> Any:
    if value not in allowed:
        raise Incorrect(f"{where}: '{value}' is none of {', '.join(allowed)}")
    return value
