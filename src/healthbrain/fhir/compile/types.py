"""Types and their elements from StructureDefinition snapshots.

Every complex type, resource and nested element ("backbone") becomes one flat record; nested ones are named by their
path (`Patient.contact`), and a contentReference is resolved to the path it points to. SimpleQuantity, a profile that
the base types use as if it were a type, becomes a type of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from healthbrain.fhir.compile.package import Package

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_FHIR_TYPE = _STRUCTURE + "structuredefinition-fhir-type"
_REGEX = _STRUCTURE + "regex"
_PROFILES_AS_TYPES = {"SimpleQuantity"}
_KINDS = {"complex-type": "complex", "resource": "resource", "primitive-type": "primitive"}
_NESTED = {"BackboneElement", "Element"}

Record = dict[str, Any]


def definitions(package: Package) -> list[Record]:
    """The StructureDefinitions that define types: no profiles, no logical models."""
    return [
        definition
        for definition in package.resources["StructureDefinition"]
        if definition["kind"] in _KINDS
        and (definition.get("derivation") != "constraint" or definition["name"] in _PROFILES_AS_TYPES)
    ]


def primitives(package: Package) -> dict[str, str]:
    """The regular expression of each primitive type; '' where the package gives none."""
    found = {}
    for definition in definitions(package):
        if definition["kind"] == "primitive-type":
            value = next(e for e in definition["snapshot"]["element"] if e["path"].endswith(".value"))
            found[definition["name"]] = _extension(value["type"][0], _REGEX) or ""
    return dict(sorted(found.items()))


def types(package: Package) -> dict[str, Record]:
    """All complex types, resources and nested elements by name."""
    found: dict[str, Record] = {}
    for definition in definitions(package):
        if definition["kind"] != "primitive-type":
            found.update(_records(definition))
    return dict(sorted(found.items()))


def _records(definition: Record) -> Iterator[tuple[str, Record]]:
    name, root = definition["name"], definition["type"]
    elements = definition["snapshot"]["element"]
    parents = {e["path"].rpartition(".")[0] for e in elements}
    for parent in elements:
        if parent["path"] not in parents:
            continue
        own = parent["path"].replace(root, name, 1)
        children = [e for e in elements if e["path"].rpartition(".")[0] == parent["path"] and e["max"] != "0"]
        top = parent is elements[0]
        yield (
            own,
            {
                "kind": _KINDS[definition["kind"]] if top else "nested",
                "base": _base(definition) if top else parent["type"][0]["code"],
                "abstract": definition["abstract"] if top else False,
                "elements": [_element(child, child["path"] in parents) for child in children],
                "invariants": _invariants(parent),
            },
        )


def _base(definition: Record) -> str:
    return str(definition.get("baseDefinition", "")).removeprefix(_STRUCTURE)


def _element(element: Record, nested: bool) -> Record:
    name = element["path"].rpartition(".")[2]
    record: Record = {
        "name": name.removesuffix("[x]"),
        "choice": name.endswith("[x]"),
        "min": element["min"],
        "max": None if element["max"] == "*" else int(element["max"]),
        "types": list(_types(element, nested)),
    }
    if (binding := element.get("binding")) and (value_set := binding.get("valueSet")):
        record["binding"] = [binding["strength"], value_set.partition("|")[0]]
    for flag in ("isModifier", "isSummary"):
        if element.get(flag):
            record[flag] = True
    if "maxLength" in element:
        record["maxLength"] = element["maxLength"]
    if not nested and (invariants := _invariants(element)):
        record["invariants"] = invariants
    return record


def _types(element: Record, nested: bool) -> Iterator[list[Any]]:
    """Type code, allowed target types (empty: any resource), and the record that describes its content."""
    if reference := element.get("contentReference"):
        yield [reference.removeprefix("#"), [], reference.removeprefix("#")]
        return
    for kind in element["type"]:
        code = _extension(kind, _FHIR_TYPE) or kind["code"]
        if element.get("base", {}).get("path") == "Resource.id":
            code = "id"  # the snapshots of 4.0.1 say string, the text of the standard says id
        if nested and code in _NESTED:
            code = element["path"]
        profiles = {profile.removeprefix(_STRUCTURE) for profile in kind.get("profile", [])}
        shape = next(iter(profiles & _PROFILES_AS_TYPES), code)
        targets = sorted(profile.removeprefix(_STRUCTURE) for profile in kind.get("targetProfile", []))
        yield [code, [] if "Resource" in targets else targets, shape]


def _extension(of: Record, url: str) -> str | None:
    for extension in of.get("extension", []):
        if extension["url"] == url:
            return next(str(value) for key, value in extension.items() if key.startswith("value"))
    return None


def _invariants(element: Record) -> list[list[str]]:
    """Key, severity, expression and human text of the rules a FHIRPath engine can check."""
    return [
        [rule["key"], rule["severity"], rule["expression"], rule["human"]]
        for rule in element.get("constraint", [])
        if "expression" in rule and rule["key"] not in {"ele-1", "ext-1"}  # checked structurally
    ]
