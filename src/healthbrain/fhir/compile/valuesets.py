"""Expansion of the value sets of required bindings into finite code lists.

Only value sets whose every code is in the package are expanded; currencies, media types and UCUM units are open and
stay unchecked here (their primitive format still is). R4 core needs no filters and no imports for these sets, and
a set that has one is left unexpanded rather than expanded wrongly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from healthbrain.fhir.compile.package import Package

Expansion = list[list[Any]]  # [[system, [code, ...]], ...]


def expansions(package: Package, urls: Iterable[str]) -> dict[str, Expansion]:
    """Code lists by value set url, for those that are finite and known."""
    value_sets, code_systems = package.by_url("ValueSet"), package.by_url("CodeSystem")
    found = {}
    for url in sorted(set(urls)):
        expansion = _expand(value_sets.get(url), code_systems)
        if expansion:
            found[url] = expansion
    return found


def _expand(value_set: dict[str, Any] | None, code_systems: dict[str, Any]) -> Expansion | None:
    if value_set is None:
        return None
    compose = value_set["compose"]
    if "exclude" in compose:
        return None
    codes: dict[str, set[str]] = {}
    for include in compose["include"]:
        listed = _included(include, code_systems)
        if listed is None:
            return None
        codes.setdefault(include["system"], set()).update(listed)
    return [[system, sorted(listed)] for system, listed in sorted(codes.items())]


def _included(include: dict[str, Any], code_systems: dict[str, Any]) -> list[str] | None:
    if "filter" in include or "valueSet" in include:
        return None
    if "concept" in include:
        return [concept["code"] for concept in include["concept"]]
    system = code_systems.get(include["system"])
    if system is None or system["content"] != "complete":
        return None
    return list(_concepts(system.get("concept", [])))


def _concepts(concepts: list[dict[str, Any]]) -> Iterator[str]:
    for concept in concepts:
        if not any(p.get("code") == "notSelectable" and p.get("valueBoolean") for p in concept.get("property", [])):
            yield concept["code"]
        yield from _concepts(concept.get("concept", []))
