"""Codes that terminology resources list: those of a ValueSet and a ConceptMap in their code systems, properties of a CodeSystem.

Rule source: R4 ValueSet (an expansion checks that listed codes are valid, and leaves out those that are not: a warning), its
filters, ConceptMap (a code is one of its group's system: an error when the system is held whole), CodeSystem.concept.property
and supplements. Readings: docs/spec-readings.md#what-value-sets-and-maps-list.
"""

from __future__ import annotations

from typing import Literal

from healthbrain.fhir.findings import SINGLE
from healthbrain.fhir.profile.check_digits import impossible
from healthbrain.fhir.profile.codings import check_system, growing, not_held
from healthbrain.fhir.profile.concepts import BASIC, Systems
from healthbrain.fhir.profile.conformance import Conformance
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.report import Report

_ABOUT_A_CODE = frozenset(["is-a", "descendent-of", "is-not-a", "generalizes"])
_KINDS = {
    "code": "Code", "Coding": "Coding", "string": "String", "integer": "Integer", "boolean": "Boolean",
    "dateTime": "DateTime", "decimal": "Decimal",
}  # fmt: skip


def check_value_set(item: Item, checker: Conformance) -> None:
    """Systems, codes and filters of the definition, and the codes of an expansion."""
    listing = _Listing(checker, "warning")
    for compose in item.children("compose"):
        for part in (*compose.children("include"), *compose.children("exclude")):
            _part(part, listing)
    for expansion in item.children("expansion"):
        _expanded(expansion, listing)


def check_concept_map(item: Item, checker: Conformance) -> None:
    """Codes of both sides of each group."""
    listing = _Listing(checker, "error")
    for group in item.children("group"):
        source, target = (_text(group, key) for key in ("source", "target"))
        for side, system in (("source", source), ("target", target)):
            check_system((group.place, side, SINGLE), system, checker.report)
            listing.version(group, f"{side}Version", system)
        for element in group.children("element"):
            listing.code(element, source)
            for one in element.children("target"):
                listing.code(one, target)
        for unmapped in group.children("unmapped"):
            listing.code(unmapped, target)


def check_code_system(item: Item, checker: Conformance) -> None:
    """Properties are declared and have values of their type; a supplement speaks of codes its system has."""
    kinds = {_text(one, "code"): _text(one, "type") for one in item.children("property")}
    base = _text(item, "supplements").partition("|")[0] if _text(item, "content") == "supplement" else ""
    listing = _Listing(checker, "error")
    waiting = item.children("concept")[::-1]
    while waiting:
        concept = waiting.pop()
        if base:
            listing.code(concept, base)
        for one in concept.children("property"):
            checker.work.spend()
            _property(one, kinds, checker.report)
        waiting += concept.children("concept")[::-1]


class _Listing:
    """Codes listed in a resource, checked against their systems."""

    def __init__(self, checker: Conformance, severity: Literal["error", "warning"]) -> None:
        self.systems: Systems = checker.work.terminology.systems
        self.report = checker.report
        self._work = checker.work
        self._severity = severity

    def code(self, holder: Item, system: str) -> None:
        """The `code` of an element is one of the system."""
        code = _text(holder, "code")
        if not system or not code:
            return
        self._work.spend()
        place = (holder.place, "code", SINGLE)
        known = self.systems.has(system, code)
        if known is False:
            severity = "warning" if growing(system) else self._severity
            self.report.add(severity, "code-invalid", place, f"is not a code of {system} as it is held here")
        elif known is None and impossible(system, code):
            text = f"cannot be a code of {system}: its form or its check digit is wrong"
            self.report.error("code-invalid", place, text)
        elif known is None:
            not_held(place, system, self.systems, self.report)

    def version(self, holder: Item, name: str, system: str) -> None:
        """A version that is asked for and not the one held here is told."""
        asked, held = _text(holder, name), self.systems.version(system) if system else ""
        if asked and held and asked != held:
            text = f"the codes were checked in version {held} of their system, which is the one held here"
            self.report.add("warning", "not-found", (holder.place, name, SINGLE), text)


def _part(part: Item, listing: _Listing) -> None:
    """An include or exclude of a value set."""
    system = _text(part, "system")
    check_system((part.place, "system", SINGLE), system, listing.report)
    if not system:
        return
    listing.version(part, "version", system)
    for concept in part.children("concept"):
        listing.code(concept, system)
    for one in part.children("filter"):
        _filter(one, system, listing)


def _filter(one: Item, system: str, listing: _Listing) -> None:
    """A filter is about a property the system declares, and about a code it has."""
    name, operator, value = (_text(one, key) for key in ("property", "op", "value"))
    stated = listing.systems.stated(system)
    if stated is not None and stated.declares and name not in BASIC | stated.declares:
        text = f"is neither a property nor a filter that {system} declares"
        listing.report.add("warning", "code-invalid", (one.place, "property", SINGLE), text)
    if operator in _ABOUT_A_CODE and listing.systems.has(system, value) is False:
        text = f"is not a code of {system} as it is held here"
        listing.report.add("warning", "code-invalid", (one.place, "value", SINGLE), text)


def _expanded(holder: Item, listing: _Listing) -> None:
    waiting = holder.children("contains")[::-1]
    while waiting:
        one = waiting.pop()
        listing.code(one, _text(one, "system"))
        waiting += one.children("contains")[::-1]


def _property(one: Item, kinds: dict[str, str], report: Report) -> None:
    code = _text(one, "code")
    if code not in kinds:
        if code not in BASIC:
            report.add("warning", "code-invalid", (one.place, "code", SINGLE), "is not declared in CodeSystem.property")
        return
    given = next((key.removeprefix("value") for key in one.value if key.startswith("value")), "")
    wanted = _KINDS.get(kinds[code], "")
    if given and wanted and given != wanted:
        text = f"has a value of another type than CodeSystem.property declares, which is {kinds[code]}"
        report.error("value", one.place, text)


def _text(item: Item, key: str) -> str:
    value = item.value.get(key) if isinstance(item.value, dict) else None
    return value if isinstance(value, str) else ""
