"""Structural validation of a resource.

Decides whether a resource may be stored: its elements exist, have the right types and cardinality, codes of required
bindings are in their value sets, references have a permitted form and target, contained resources are proper. Not
decided here: profiles, invariants in FHIRPath, extensible bindings ($validate does those). Sources: R4 json, references,
extensibility, narrative, resource (contained). Readings of unclear points: docs/spec-readings.md.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

from healthbrain.errors import Issue
from healthbrain.fhir.checks import Object
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.findings import SINGLE, Enough, Findings, Place
from healthbrain.fhir.shapes import Shapes


def validate(resource: dict[str, Any], type: str | None = None) -> list[Issue]:
    """What is wrong with a resource, each finding located by FHIRPath; [] when it may be stored.

    `type` is the type the sender was expected to send. At most 100 findings.

    >>> [issue.expression for issue in validate({"resourceType": "Patient", "gender": "x"})]
    ['Patient.gender']
    """
    findings = Findings()
    found = resource.get("resourceType")
    if type is not None and found != type and isinstance(found, str):
        findings.add("invalid", (None, type, SINGLE), f"the resourceType must be {type} here")
        return findings.issues
    name = found if isinstance(found, str) and definitions().is_resource(found) else "Resource"
    with suppress(Enough):
        _resource(resource, (None, name, SINGLE), findings)
    return findings.issues


@cache
def _shapes() -> Shapes:
    return Shapes(definitions(), _resource)


def _resource(value: Any, place: Place, findings: Findings) -> None:
    """A resource standing alone, in a Bundle or in Parameters, or contained in another."""
    if not isinstance(value, dict):
        findings.add("structure", place, "must be a resource: a JSON object with resourceType")
        return
    name = value.get("resourceType")
    if not isinstance(name, str) or not definitions().is_resource(name):
        text = "must be the name of a FHIR R4 resource type, such as Patient" if name is not None else "is missing"
        findings.at("structure" if name is not None else "required", place, "resourceType", text)
        return
    if place[1] == "contained":
        _contained_resource(value, name, place, findings)
    elif name == "Bundle":
        _bundle(value, place, findings)
    else:
        _container(value, name, place, findings)


def _container(value: Object, name: str, place: Place, findings: Findings) -> None:
    """A resource that is not contained: local references in it resolve to its own contained resources."""
    if "contained" not in value and not findings.contained:
        _shapes().shape(name)(value, place, findings)
        return
    outer = findings.contained
    findings.contained = _ids(value.get("contained"), place, findings)
    _shapes().shape(name)(value, place, findings)
    findings.contained = outer


def _ids(contained: Any, place: Place, findings: Findings) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, inner in enumerate(contained if isinstance(contained, list) else ()):
        if isinstance(inner, dict) and isinstance(id := inner.get("id"), str):
            if id in found:
                findings.at("duplicate", (place, "contained", index), "id", "is used by another contained resource")
            found[id] = str(inner.get("resourceType"))
    return found


def _contained_resource(value: Object, name: str, place: Place, findings: Findings) -> None:
    if findings.inside or "contained" in value:
        findings.add("invariant", place, "a contained resource must not contain resources; put all in the outer one")
        return
    if "id" not in value:
        findings.at("required", place, "id", "is missing; references to a contained resource need it")
    findings.inside = True
    _shapes().shape(name)(value, place, findings)
    findings.inside = False


def _bundle(value: Object, place: Place, findings: Findings) -> None:
    """A Bundle: references by urn or URL to an entry must fit the entry's type."""
    outer = findings.bundle, findings.transaction, findings.later
    findings.bundle = _entries(value.get("entry"))
    findings.transaction = value.get("type") in ("transaction", "batch")
    findings.later = []
    _container(value, "Bundle", place, findings)
    for text, allowed, where in findings.later:
        found = findings.bundle.get(text)
        if found and found not in allowed:
            findings.add("value", where, f"points to an entry of a type it may not; use {' or '.join(sorted(allowed))}")
    findings.bundle, findings.transaction, findings.later = outer


def _entries(entries: Any) -> dict[str, str]:
    found = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(url := entry.get("fullUrl"), str):
            resource = entry.get("resource")
            found[url] = str(resource.get("resourceType")) if isinstance(resource, dict) else ""
    return found
