"""Definitions read from YAML, strictly: every scalar is text until its field says what it is (so `no` stays "no" and
codes keep their zeros), unknown and doubled keys are errors, and the whole is compiled once to prove that it can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from healthbrain.errors import Incorrect
from healthbrain.lake.base_view import base_view
from healthbrain.measure.catalogue_views import catalogue_views
from healthbrain.measure.definition import (
    COMPUTED_HERE,
    CONTINUOUS,
    Added,
    Component,
    Computation,
    Constant,
    Count,
    Definition,
    Entry,
    Evidence,
    Kind,
    LastPer,
    Library,
    Parameter,
    Population,
    Reason,
    Source,
    Stratifier,
    Table,
    With,
)
from healthbrain.measure.strict import known, one_of, read, words

LIBRARY = "library.yaml"
_DEFINITION = {
    "id", "version", "title", "formula", "reading", "source", "kind", "unit", "direction", "period", "window_months",
    "periods", "population", "prepare", "tables", "targets", "constants", "members", "order", "per", "also",
    "denominator", "stratifiers", "parameters", "components", "method", "value", "by", "standard", "events", "settings",
    "entry", "change", "suppress",
}  # fmt: skip
_TABLE = {"from", "where", "with", "count", "add", "keep", "one_per", "fold"}
_POPULATION = {
    "from", "subject", "town", "institution", "where", "exclude", "exception", "numerator", "numerator_exclude",
    "observe", "weight", "reasons", "evidence", "shown",
}  # fmt: skip
_STRATIFIER = {"title", "value", "labels"}
_PARAMETER = {"value", "title", "unit", "source"}
_KINDS = ("proportion", "rate", "ratio", "count", "sum", "mean", "median", "index", "computed", "entered")
_PERIODS = ("month", "week", "quarter", "year", "rolling")
_METHODS = (
    "expression", "life_expectancy", "healthy_life_expectancy", "standardised_rate", "smr", "premature_mortality",
)  # fmt: skip
_LEVELS = ("district", "town", "institution")
_PER = {"proportion": 100.0, "rate": 1000.0}


@cache
def built_in() -> tuple[Definition, ...]:
    """The measures that come with the platform, in the order of the headlines."""
    folder = resources.files(__package__) / "definitions"
    found = [
        definition_of(entry.read_text("utf-8"), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml") and entry.name != LIBRARY
    ]
    doubled = {one.id for one in found if sum(one.id == other.id for other in found) > 1}
    if doubled:
        raise Incorrect(f"two definitions have the id {', '.join(sorted(doubled))}")
    return tuple(sorted(found, key=lambda one: (one.order, one.id)))


@cache
def text_of(measure: str) -> str:
    """The YAML of a built-in measure; '' when there is none."""
    for entry in (resources.files(__package__) / "definitions").iterdir():
        if entry.name.endswith(".yaml") and entry.name != LIBRARY:
            text = entry.read_text("utf-8")
            if text.startswith(f"id: {measure}\n") or f"\nid: {measure}\n" in text:
                return text
    return ""


@cache
def library() -> Library:
    """The views, tables and stratifiers that definitions share."""
    text = (resources.files(__package__) / "definitions" / LIBRARY).read_text("utf-8")
    raw = read(text, LIBRARY)
    views = {**{name: base_view(name, one) for name, one in raw["views"].items()}, **catalogue_views()}
    stratifiers = {name: _stratifier(name, one, LIBRARY) for name, one in raw.get("stratifiers", {}).items()}
    return Library(views, tuple(_table(name, one, LIBRARY) for name, one in raw["tables"].items()), stratifiers)


def definition_of(text: str, where: str) -> Definition:
    """A definition from its YAML; `where` names it in errors. Raises Incorrect."""
    raw = read(text, where)
    known(raw, _DEFINITION, where)
    try:
        found = _definition(raw, where)
    except KeyError as error:
        raise Incorrect(f"{where}: {error} is missing") from None
    except ValueError as error:
        raise Incorrect(f"{where}: {error}") from None
    _check(found, where)
    return found


def _definition(raw: Mapping[str, Any], where: str) -> Definition:
    kind: Kind = one_of(raw["kind"], _KINDS, where)
    return Definition(
        id=raw["id"],
        version=raw["version"],
        title=words(raw["title"]),
        formula=words(raw["formula"]),
        reading=words(raw.get("reading", {})),
        source=Source(raw["source"]["document"], raw["source"]["clause"]),
        kind=kind,
        unit=raw["unit"],
        direction=one_of(raw["direction"], ("up", "down", "none"), where),
        period=one_of(raw["period"], _PERIODS, where),
        window_months=int(raw.get("window_months", "0")),
        periods=int(raw["periods"]),
        population=_population(raw["population"], where) if "population" in raw else None,
        prepared=tuple(_table(name, one, where) for name, one in raw.get("prepare", {}).items()),
        tables=tuple(_table(name, one, where) for name, one in raw.get("tables", {}).items()),
        targets={int(year): float(value) for year, value in raw.get("targets", {}).items()},
        constants={name: _constant(value) for name, value in raw.get("constants", {}).items()},
        members=raw.get("members", "true") == "true",
        order=int(raw.get("order", "100")),
        per=float(raw["per"]) if "per" in raw else _PER.get(kind, 1.0),
        also=tuple(one_of(one, _PERIODS, where) for one in raw.get("also", ())),
        denominator=_population(raw["denominator"], where) if "denominator" in raw else None,
        stratifiers=_stratifiers(raw.get("stratifiers", ()), where),
        parameters=tuple(_parameter(name, one, where) for name, one in raw.get("parameters", {}).items()),
        computation=_computation(raw, where) if kind == "computed" else None,
        entry=_entry(raw.get("entry", {}), where) if kind == "entered" else None,
        change=words(raw.get("change", {})),
        suppress=int(raw["suppress"]) if "suppress" in raw else None,
    )


def _check(one: Definition, where: str) -> None:
    """What must and must not stand together."""
    from_lake = one.kind not in COMPUTED_HERE
    if from_lake != (one.population is not None):
        raise Incorrect(f"{where}: a measure of kind {one.kind} {'needs' if from_lake else 'cannot have'} a population")
    if one.denominator is not None and one.kind not in {"rate", "ratio"}:
        raise Incorrect(f"{where}: only a rate or a ratio can have a denominator of its own")
    if one.population is not None and one.kind in CONTINUOUS | {"index"} and not one.population.observe:
        raise Incorrect(f"{where}: a measure of kind {one.kind} needs `observe` in its population")
    if one.population is not None and (one.kind == "index") != bool(one.population.weight):
        raise Incorrect(f"{where}: `weight` belongs to a measure of kind index, and only to it")
    if one.kind == "computed" and one.id in {
        part.measure for part in (one.computation or _NOTHING).components.values()
    }:
        raise Incorrect(f"{where}: a measure cannot be computed from itself")
    if both := set(one.constants) & {parameter.name for parameter in one.parameters}:
        raise Incorrect(f"{where}: {', '.join(sorted(both))} is both a constant and a parameter")
    if one.period in one.also:
        raise Incorrect(f"{where}: `also` repeats the period {one.period}")


_NOTHING = Computation({})


def _table(name: str, raw: Mapping[str, Any], where: str) -> Table:
    known(raw, _TABLE, f"{where}: {name}")
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
    known(raw, _POPULATION, f"{where}: population")
    return Population(
        source=raw["from"],
        subject=raw["subject"],
        town=raw["town"],
        institution=raw["institution"],
        where=raw.get("where", "true"),
        exclude=raw.get("exclude", "false"),
        exception=raw.get("exception", "false"),
        numerator=raw.get("numerator", "true"),
        numerator_exclude=raw.get("numerator_exclude", "false"),
        observe=raw.get("observe", ""),
        weight=raw.get("weight", ""),
        reasons=tuple(Reason(id_, one["when"], words(one["text"])) for id_, one in raw.get("reasons", {}).items()),
        evidence=tuple(Evidence(one["table"], one["type"], one["match"]) for one in raw.get("evidence", ())),
        shown=tuple(raw.get("shown", ())),
    )


def _stratifiers(raw: Any, where: str) -> tuple[Stratifier, ...]:
    """A list of names from the library, or a mapping of own ones (a name without more is the library's)."""
    named = dict.fromkeys(raw) if isinstance(raw, list | tuple) else raw
    return tuple(_shared(name, where) if not one else _stratifier(name, one, where) for name, one in named.items())


def _shared(name: str, where: str) -> Stratifier:
    found = library().stratifiers.get(name)
    if found is None:
        raise Incorrect(f"{where}: the library has no stratifier {name}; it has {', '.join(library().stratifiers)}")
    return found


def _stratifier(name: str, raw: Mapping[str, Any], where: str) -> Stratifier:
    known(raw, _STRATIFIER, f"{where}: stratifier {name}")
    labels = {value: words(texts) for value, texts in raw.get("labels", {}).items()}
    return Stratifier(name, words(raw["title"]), raw["value"], labels)


def _parameter(name: str, raw: Mapping[str, Any], where: str) -> Parameter:
    known(raw, _PARAMETER, f"{where}: parameter {name}")
    return Parameter(name, _constant(raw["value"]), words(raw["title"]), raw.get("unit", ""), raw.get("source", ""))


def _computation(raw: Mapping[str, Any], where: str) -> Computation:
    method = one_of(raw.get("method", "expression"), _METHODS, where)
    if (method == "expression") != bool(raw.get("value")):
        raise Incorrect(f"{where}: `value` belongs to the method expression, and only to it")
    components = {
        name: Component(one) if isinstance(one, str) else Component(one["measure"], one.get("latest") == "true")
        for name, one in raw["components"].items()
    }
    if (events := raw.get("events", "")) and events not in components:
        raise Incorrect(f"{where}: `events` names no component")
    settings = raw.get("settings", {})
    return Computation(
        components, method, raw.get("value", ""), raw.get("by", ""), raw.get("standard", ""), events, settings
    )


def _entry(raw: Mapping[str, Any], where: str) -> Entry:
    known(raw, {"parts", "levels", "supplier", "low", "high", "whole"}, f"{where}: entry")
    levels = tuple(one_of(one, _LEVELS, where) for one in raw.get("levels", ("district",)))
    return Entry(
        parts=one_of(raw.get("parts", "value"), ("value", "fraction"), where),
        levels=levels,
        supplier=words(raw.get("supplier", {})),
        low=float(raw["low"]) if "low" in raw else None,
        high=float(raw["high"]) if "high" in raw else None,
        whole=raw.get("whole", "false") == "true",
    )


def _constant(value: Any) -> Constant:
    if isinstance(value, list):
        return tuple(value)
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return str(value)
