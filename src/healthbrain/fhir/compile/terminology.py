"""Value sets and code systems of the package, as far as they can be listed.

A value set becomes what is in it for certain (codes by system, or a whole code system) and the systems of which some
part is in it that the package cannot list (SNOMED CT by filter, LOINC). A code of such a system is left open at run
time, never guessed. Filters over hierarchies of the package itself are expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from healthbrain.fhir.compile.package import Package

Record = dict[str, Any]
Codes = dict[str, set[str]]


class _Unlisted(Exception):
    """The value set cannot be listed, not even in part."""


class _Content:
    """Codes for certain, and systems with codes that are not known."""

    def __init__(self) -> None:
        self.codes: Codes = {}
        self.open: set[str] = set()  # the whole system, which is not in the package
        self.partly: set[str] = set()  # an unknown part of the system


class Terminology:
    """The value sets and code systems of a package."""

    def __init__(self, package: Package) -> None:
        self._value_sets = package.by_url("ValueSet")
        self._systems = {url: one for url, one in package.by_url("CodeSystem").items() if one["content"] == "complete"}
        self._codes: dict[str, dict[str, tuple[str, ...]]] = {}
        self._abstract: dict[str, list[str]] = {}  # codes to group by, which are in no value set
        for url, one in self._systems.items():
            concepts = list(_concepts(one.get("concept", []), ()))
            self._codes[url] = {code: above for code, above, abstract in concepts if not abstract}
            self._abstract[url] = sorted(code for code, _, abstract in concepts if abstract)

    def code_systems(self) -> dict[str, Record]:
        """Every complete code system: codes to be used, to group by and out of use, their displays, the version."""
        return {
            url: self._code_system(url) for url, codes in sorted(self._codes.items()) if codes or self._abstract[url]
        }

    def _code_system(self, url: str) -> Record:
        concepts = sorted(_flat(self._systems[url].get("concept", [])), key=lambda one: str(one["code"]))
        return {
            "version": self._systems[url].get("version", ""),
            "codes": sorted(self._codes[url]),
            "abstract": self._abstract[url],
            "ended": [one["code"] for one in concepts if _ended(one)],
            "displays": {one["code"]: one["display"] for one in concepts if "display" in one},
        }

    def value_sets(self) -> dict[str, list[Any]]:
        """Per value set: [[system, codes or null for all], ...], systems left open whole, systems left open in part."""
        found = {}
        for url in sorted(self._value_sets):
            try:
                content = self._content(url, ())
            except _Unlisted:
                continue
            found[url] = [
                [[system, self._short(system, codes)] for system, codes in sorted(content.codes.items())],
                sorted(content.open),
                sorted(content.partly),
            ]
        return found

    def _short(self, system: str, codes: set[str]) -> list[str] | None:
        return None if codes == set(self._codes.get(system, ())) and codes else sorted(codes)

    def _content(self, url: str, within: tuple[str, ...]) -> _Content:
        value_set = self._value_sets.get(url.partition("|")[0])
        if value_set is None or "compose" not in value_set or url in within:
            raise _Unlisted
        content = _Content()
        for include in value_set["compose"].get("include", []):
            self._include(include, content, (*within, url))
        for exclude in value_set["compose"].get("exclude", []):
            self._exclude(exclude, content, (*within, url))
        return content

    def _include(self, include: Record, content: _Content, within: tuple[str, ...]) -> None:
        imported = [self._content(url, within) for url in include.get("valueSet", [])]
        system = include.get("system")
        if imported and (system or len(imported) > 1):
            raise _Unlisted  # an intersection; none in R4 is needed
        for one in imported:
            for name, codes in one.codes.items():
                content.codes.setdefault(name, set()).update(codes)
            content.open |= one.open
            content.partly |= one.partly
        if system:
            self._of_system(system, include, content)

    def _of_system(self, system: str, include: Record, content: _Content) -> None:
        listed = self._listed(system, include)
        if listed is not None:
            content.codes.setdefault(system, set()).update(listed)
        elif "filter" in include:
            content.partly.add(system)
        else:
            content.open.add(system)

    def _listed(self, system: str, include: Record) -> set[str] | None:
        if "concept" in include:
            return {concept["code"] for concept in include["concept"]}
        known = self._codes.get(system)
        if known is None:
            return None
        found = set(known)
        for condition in include.get("filter", []):
            test = _filter(condition)
            if test is None:
                return None
            found = {code for code in found if test(code, known[code])}
        return found

    def _exclude(self, exclude: Record, content: _Content, within: tuple[str, ...]) -> None:
        without = _Content()
        self._include(exclude, without, within)
        if without.open or without.partly:
            raise _Unlisted
        for system, codes in without.codes.items():
            if system in content.open or system in content.partly:
                raise _Unlisted
            content.codes.get(system, set()).difference_update(codes)


def _filter(condition: Record) -> Callable[[str, tuple[str, ...]], bool] | None:
    """The test of a filter over the hierarchy: (code, codes above it); None for other filters."""
    wanted = condition["value"]
    if condition["property"] != "concept":
        return None
    tests: dict[str, Callable[[str, tuple[str, ...]], bool]] = {
        "is-a": lambda code, above: code == wanted or wanted in above,
        "descendent-of": lambda code, above: wanted in above,
        "is-not-a": lambda code, above: code != wanted and wanted not in above,
        "=": lambda code, above: code == wanted,
    }
    return tests.get(condition["op"])


def _flat(concepts: list[Record]) -> Iterator[Record]:
    for concept in concepts:
        yield concept
        yield from _flat(concept.get("concept", []))


def _ended(concept: Record) -> bool:
    """Whether a concept is out of use: `status` retired or deprecated (v2, v3), or `deprecated`, `inactive` (FHIR)."""
    return any(
        (p["code"] == "status" and p.get("valueCode", p.get("valueString")) in ("retired", "deprecated", "inactive"))
        or (p["code"] == "inactive" and p.get("valueBoolean") is True)
        for p in concept.get("property", [])
    )


def _concepts(concepts: list[Record], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Each code with all codes above it, nested ones and those that name their parents, and whether it is abstract."""
    for concept in concepts:
        properties = concept.get("property", [])
        parents = [p["valueCode"] for p in properties if p.get("code") == "subsumedBy"]
        abstract = any(p.get("code") == "notSelectable" and p.get("valueBoolean") for p in properties)
        line = (*above, *parents)
        yield concept["code"], line, abstract
        yield from _concepts(concept.get("concept", []), (*line, concept["code"]))
