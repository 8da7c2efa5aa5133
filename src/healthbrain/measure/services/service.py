"""Published data services (数据服务): named, versioned reads over theme libraries and measures, as data (HUB-03).

A service says what it gives, who answers for it, for which purposes it may be asked, its parameters with their types, how often one
caller may ask, and whether it is deprecated and what comes instead. A statement may read views of theme libraries only; that is
checked when the registry is read. A change of meaning is another version; an old one stays until the day it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from healthbrain.errors import Gone, Incorrect, NotFound
from healthbrain.lake import library
from healthbrain.lake.derived import table_of, tables_of
from healthbrain.scope import Purpose

Words = Mapping[str, str]
Type = Literal["month", "organisation", "choice"]
Better = Literal["low", "high", "none"]
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_PURPOSES: tuple[Purpose, ...] = ("HOPERAT", "PUBHLTH", "SYSADMIN", "TREAT")
_A_MINUTE = 120


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a caller may say, and what holds when nothing is said."""

    name: str
    type: Type
    title: Words
    of: tuple[str, ...] = ()
    usual: str = ""


@dataclass(frozen=True, slots=True)
class Deprecated:
    """An old version: since when, until when it answers, and what to call instead."""

    since: date
    until: date
    instead: str
    why: Words


@dataclass(frozen=True, slots=True)
class Service:
    """One version of a data service."""

    id: str
    version: int
    title: Words
    description: Words
    owner: Words
    unit: Words
    better: Better
    purposes: tuple[Purpose, ...]
    a_minute: int  # calls of one caller
    parameters: tuple[Parameter, ...]
    per: float = 1.0
    statement: str = ""
    counts: str = ""  # the column with the number of things counted, when the figures are no counts
    measure: str = ""
    reads: tuple[str, ...] = ()  # views of theme libraries
    deprecated: Deprecated | None = None

    @property
    def name(self) -> str:
        """id/v1"""
        return f"{self.id}/v{self.version}"


# every service over a month and units is asked in the same way
PARAMETERS = (
    Parameter("from", "month", {"zh": "起始月份", "en": "first month"}),
    Parameter("to", "month", {"zh": "截止月份", "en": "last month"}),
    Parameter("by", "choice", {"zh": "粒度", "en": "one line for each"}, ("district", "institution"), "district"),
    Parameter("institution", "organisation", {"zh": "机构代码", "en": "code of an institution"}),
)


@cache
def services() -> tuple[Service, ...]:
    """The registry: every version of every service, newest version first."""
    raw = yaml.safe_load((resources.files(__package__) / "services.yaml").read_text("utf-8"))
    return registry_of(raw["services"])


def registry_of(raw: Sequence[Mapping[str, Any]]) -> tuple[Service, ...]:
    """Services from their declarations. Raises Incorrect with the place."""
    found = [_service(one) for one in raw]
    names = [one.name for one in found]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise Incorrect(f"services.yaml: {', '.join(doubled)} stands twice")
    for one in found:
        if one.deprecated is not None and one.deprecated.instead not in names:
            raise Incorrect(f"services.yaml: {one.name}: there is no {one.deprecated.instead} to call instead")
    return tuple(sorted(found, key=lambda one: (one.id, -one.version)))


def service(id_: str, version: int | None = None) -> Service:
    """One version, or the newest. Raises NotFound."""
    for one in services():
        if one.id == id_ and version in (None, one.version):
            return one
    raise NotFound("there is no such data service, or not this version of it")


def answering(one: Service, today: date) -> Service:
    """The same, unless its time is over. Raises Gone."""
    if one.deprecated is not None and today > one.deprecated.until:
        raise Gone(f"this version answers no more since {one.deprecated.until}; call {one.deprecated.instead}")
    return one


def read_parameters(one: Service, given: Mapping[str, str], today: date) -> dict[str, str]:
    """What is asked, complete. Raises Incorrect for what the service does not know or cannot read."""
    known = {parameter.name: parameter for parameter in one.parameters}
    if strange := sorted(set(given) - set(known)):
        raise Incorrect(f"this service has no parameter {', '.join(strange)}; it has {', '.join(sorted(known))}")
    asked = {name: given.get(name) or parameter.usual for name, parameter in known.items()}
    asked["to"] = asked["to"] or f"{today:%Y-%m}"
    asked["from"] = asked["from"] or _back(asked["to"], 11)
    for name, parameter in known.items():
        value = asked[name]
        if parameter.type == "month" and not _MONTH.fullmatch(value):
            raise Incorrect(f"{name} is a month, such as 2026-10")
        if parameter.type == "choice" and value not in parameter.of:
            raise Incorrect(f"{name} is one of {', '.join(parameter.of)}")
    if asked["from"] > asked["to"]:
        raise Incorrect("the first month is not after the last one")
    return asked


def _back(month: str, many: int) -> str:
    if not _MONTH.fullmatch(month):
        return month
    year, place = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 - many, 12)
    return f"{year:04d}-{place + 1:02d}"


def _service(raw: Mapping[str, Any]) -> Service:
    where = f"services.yaml: {raw.get('id', '?')}"
    if ("statement" in raw) == ("measure" in raw):
        raise Incorrect(f"{where}: a service has either a statement or a measure")
    try:
        return Service(
            raw["id"], int(raw["version"]), raw["title"], raw["description"], raw["owner"], raw["unit"], raw["better"],
            tuple(raw.get("purposes", _PURPOSES)), int(raw.get("a_minute", _A_MINUTE)), PARAMETERS, float(raw.get("per", 1)),
            raw.get("statement", ""), raw.get("counts", ""), raw.get("measure", ""), _reads(raw.get("statement", ""), where),
            _deprecated(raw.get("deprecated")),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise Incorrect(f"{where}: {error} is missing or has the wrong form") from None


def _reads(statement: str, where: str) -> tuple[str, ...]:
    if not statement:
        return ()
    themes = {table_of(one.id): one.id for one in library.views() if one.derived is not None}
    try:
        tables = tables_of(statement)
    except Incorrect as wrong:
        raise Incorrect(f"{where}: {wrong.message}") from None
    if strange := [table for table in tables if table not in themes]:
        raise Incorrect(f"{where}: it reads {', '.join(strange)}, which is no view of a theme library")
    return tuple(themes[table] for table in tables)


def _deprecated(raw: Mapping[str, Any] | None) -> Deprecated | None:
    return Deprecated(raw["since"], raw["until"], raw["instead"], raw["why"]) if raw else None
