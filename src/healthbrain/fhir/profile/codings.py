"""Codes wherever they stand: of their system, under their own name, still in use; units of quantities.

A code a system of FHIR does not have is an error, one of a system that grows apart from it a warning; a name that is
not the code's is a warning, since displays are for people (R4 datatypes, Coding; terminologies). What nobody here can
look up is said once for each system. Readings: docs/spec-readings.md#codes-that-their-system-does-not-have.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.findings import SINGLE, Place
from healthbrain.fhir.profile.builtin import built_in
from healthbrain.fhir.profile.check_digits import impossible
from healthbrain.fhir.profile.concepts import Concept, Systems, same_name
from healthbrain.fhir.profile.forms import FORMS
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.report import Report

_GROWING = "http://terminology.hl7.org/"
_VALUE_SETS = "http://hl7.org/fhir/ValueSet/", "http://terminology.hl7.org/ValueSet/"
_QUANTITIES = frozenset(["Quantity", "SimpleQuantity", "MoneyQuantity", "Age", "Count", "Distance", "Duration"])
_UCUM = "http://unitsofmeasure.org"


def check_code(item: Item, systems: Systems, report: Report) -> None:
    """Note what is wrong with a Coding, or with the unit of a Quantity."""
    value = item.value
    if not isinstance(value, dict):
        return
    system, code = value.get("system"), value.get("code")
    if item.type in _QUANTITIES:
        if isinstance(system, str) and isinstance(code, str):
            _unit(item, system, code, systems, report)
    elif item.type == "Coding":
        if isinstance(system, str):
            check_system((item.place, "system", SINGLE), system, report)
        elif isinstance(code, str):
            text = "has a code without its system, which has no meaning; name the system"
            report.add("warning", "code-invalid", item.place, text)
        if isinstance(system, str) and isinstance(code, str):
            _coding(item, system, code, systems, report)


def check_system(place: Place, system: str, report: Report) -> None:
    """Note it when what names a code system cannot."""
    if system.startswith(_VALUE_SETS):
        report.error("code-invalid", place, "is the URL of a value set; name the code system of the code")
    elif system and ":" not in system:
        report.error("code-invalid", place, "must be an absolute URI")


def _unit(item: Item, system: str, code: str, systems: Systems, report: Report) -> None:
    if systems.has(system, code) is False:
        what = "is no UCUM unit" if system == _UCUM else f"is not a code of {system}"
        text = f"{what}; check its spelling, upper and lower case"
        report.add("warning", "code-invalid", (item.place, "code", SINGLE), text)


def _coding(item: Item, system: str, code: str, systems: Systems, report: Report) -> None:
    place = (item.place, "code", SINGLE)
    known = systems.has(system, code)
    if known is False:
        _unknown(item, system, report)
        return
    if known is None:
        if impossible(system, code):
            report.error("code-invalid", place, f"cannot be a code of {system}: its form or its check digit is wrong")
        elif not system.startswith(_VALUE_SETS) and ":" in system:
            not_held((item.place, "code", SINGLE), system, systems, report)
        return
    concept = systems.concept(system, code)
    if concept is not None:
        _use(item, concept, report)
        _display(item, concept, systems.stated(system) is None, report)
    _version(item, system, systems, report)


def _unknown(item: Item, system: str, report: Report) -> None:
    place = (item.place, "code", SINGLE)
    if built_in().knows_code(system, "") is None:
        report.error("code-invalid", place, f"is not a code of {system} as it is held here")
        return
    text = f"is not a code of {system}{'' if system in FORMS else ' as published with R4'}"
    report.add("warning" if growing(system) else "error", "code-invalid", place, text)


def growing(system: str) -> bool:
    """Whether the lists of R4 may lack what a system has got since: those of terminology.hl7.org grow apart from FHIR."""
    return system.startswith(_GROWING)


def not_held(place: Place, system: str, systems: Systems, report: Report) -> None:
    """Note once for each system that its codes could not be looked up."""
    if systems.held(system):
        text = f"is not among the codes of {system} that are held here, which are a part of it; it was not checked"
    else:
        text = f"codes of {system} were not checked: nobody here has that code system"
    report.unchecked(f"codes of {system}", place, text)


def _use(item: Item, concept: Concept, report: Report) -> None:
    place = (item.place, "code", SINGLE)
    if concept.abstract:
        report.add("warning", "business-rule", place, "is a code to group others by; use one of those")
    if concept.inactive:
        report.add("warning", "business-rule", place, "is a code that is out of use in its system")


def _display(item: Item, concept: Concept, english: bool, report: Report) -> None:
    """The names R4 gives are English: a name in another language is not compared with them."""
    given = item.value.get("display")
    if not isinstance(given, str) or not concept.names:
        return
    if english and not (given.isascii() and _is_english(item)):
        return
    if not any(same_name(given, name) for name in concept.names):
        names = " or ".join(f"'{name}'" for name in concept.names[:3])
        text = f"is not what the code is called: {names}"
        report.add("warning", "code-invalid", (item.place, "display", SINGLE), text)


def _is_english(item: Item) -> bool:
    language: Any = item.around.resource.get("language", "en")
    return isinstance(language, str) and language.lower().startswith("en")


def _version(item: Item, system: str, systems: Systems, report: Report) -> None:
    given, held = item.value.get("version"), systems.version(system)
    if isinstance(given, str) and held and given != held:
        text = f"the code was checked in version {held} of its system, which is the one held here"
        report.add("warning", "not-found", (item.place, "version", SINGLE), text)
