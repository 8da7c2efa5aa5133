"""Plans read from the YAML files of this folder, strictly, and checked: operators with the values they need, targets in
order of years and within the plan, no id twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure.definition import Words
from healthbrain.measure.plans.plan import Baseline, History, Indicator, Plan, Series, Target
from healthbrain.measure.strict import known, one_of, read, words

ORDER = ("qingpu", "chongqing", "yangpu", "jinan", "changning")
_OPERATORS = (">=", "<=", ">", "<", "=", "about", "keep", "rise", "all")
_WITHOUT_VALUE = {"keep", "rise"}
_PLAN = {
    "id", "title", "issuer", "reference", "issued", "division", "first", "last", "outlook", "responsible", "note",
    "indicators", "history",
}  # fmt: skip
_INDICATOR = {
    "row", "title", "measure", "unit", "direction", "clause", "feeds", "targets", "baselines", "responsible", "scope",
    "note",
}  # fmt: skip
_TARGET = {"printed", "operator", "value"}
_POINT = {"year", "printed", "operator", "value", "derived"}
_SERIES = {"name", "unit", "measure", "points"}
_HISTORY = {"title", "clause", "series", "note"}


@cache
def plans() -> tuple[Plan, ...]:
    """The plans that come with the platform."""
    folder = resources.files(__package__)
    return tuple(plan_of((folder / f"{one}.yaml").read_text("utf-8"), f"{one}.yaml") for one in ORDER)


def plan(id_: str) -> Plan:
    """The plan of that id. Raises NotFound."""
    for one in plans():
        if one.id == id_:
            return one
    raise NotFound(f"There is no plan '{id_}'; there are {', '.join(ORDER)}")


def plan_of(text: str, where: str) -> Plan:
    """A plan from its YAML; `where` names it in errors. Raises Incorrect."""
    raw = read(text, where)
    known(raw, _PLAN, where)
    try:
        found = _plan(raw, where)
    except KeyError as error:
        raise Incorrect(f"{where}: {error} is missing") from None
    except ValueError as error:
        raise Incorrect(f"{where}: {error}") from None
    _check(found, where)
    return found


def _plan(raw: Mapping[str, Any], where: str) -> Plan:
    responsible = words(raw["responsible"])
    return Plan(
        id=raw["id"],
        title=words(raw["title"]),
        issuer=words(raw["issuer"]),
        reference=raw["reference"],
        issued=raw["issued"],
        division=raw["division"],
        first=int(raw["first"]),
        last=int(raw["last"]),
        outlook=int(raw["outlook"]) if "outlook" in raw else None,
        responsible=responsible,
        note=words(raw.get("note", {})),
        indicators=tuple(_indicator(id_, one, responsible, where) for id_, one in raw["indicators"].items()),
        history=tuple(_history(id_, one, where) for id_, one in raw.get("history", {}).items()),
    )


def _indicator(id_: str, raw: Mapping[str, Any], responsible: Words, where: str) -> Indicator:
    known(raw, _INDICATOR, f"{where}: {id_}")
    return Indicator(
        id=id_,
        row=raw.get("row", id_),
        title=words(raw["title"]),
        measure=raw["measure"],
        unit=_both(raw["unit"]),
        direction=one_of(raw.get("direction", "up"), ("up", "down"), f"{where}: {id_}"),
        targets=tuple(_target(year, one, f"{where}: {id_}") for year, one in raw["targets"].items()),
        baselines=tuple(_point(one, f"{where}: {id_}") for one in raw.get("baselines", ())),
        responsible=words(raw["responsible"]) if "responsible" in raw else responsible,
        clause=raw["clause"],
        feeds=tuple(raw["feeds"]),
        scope=words(raw.get("scope", {})),
        note=words(raw.get("note", {})),
    )


def _target(year: str, raw: Mapping[str, Any], where: str) -> Target:
    known(raw, _TARGET, where)
    operator = one_of(raw["operator"], _OPERATORS, where)
    if "value" not in raw and operator not in _WITHOUT_VALUE:
        raise Incorrect(f"{where}: the target of {year} needs a value to compare with")
    return Target(int(year), _both(raw["printed"]), operator, float(raw["value"]) if "value" in raw else None)


def _point(raw: Mapping[str, Any], where: str) -> Baseline:
    known(raw, _POINT, where)
    return Baseline(
        year=int(raw["year"]),
        printed=raw["printed"],
        value=float(raw["value"]),
        operator=one_of(raw.get("operator", "="), _OPERATORS, where),
        derived=raw.get("derived", "false") == "true",
    )


def _history(id_: str, raw: Mapping[str, Any], where: str) -> History:
    known(raw, _HISTORY, f"{where}: {id_}")
    series = tuple(_series(one, f"{where}: {id_}") for one in raw["series"])
    return History(id_, words(raw["title"]), raw["clause"], series, words(raw.get("note", {})))


def _series(raw: Mapping[str, Any], where: str) -> Series:
    known(raw, _SERIES, where)
    points = tuple(_point(one, where) for one in raw["points"])
    return Series(words(raw["name"]), _both(raw["unit"]), points, raw.get("measure", ""))


def _both(raw: str | Mapping[str, str]) -> Words:
    """Words, or one text that is the same in both languages."""
    return {"zh": raw, "en": raw} if isinstance(raw, str) else words(raw)


def _check(found: Plan, where: str) -> None:
    end = found.outlook or found.last
    for one in found.indicators:
        years = [target.year for target in one.targets]
        if years != sorted(set(years)) or not years:
            raise Incorrect(f"{where}: {one.id}: targets must be there, in order of years")
        if years[0] < found.first or years[-1] > end:
            raise Incorrect(f"{where}: {one.id}: a target lies outside {found.first} to {end}")
        if any(point.year > years[-1] for point in one.baselines):
            raise Incorrect(f"{where}: {one.id}: a baseline lies after the last target")
