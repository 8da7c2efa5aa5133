"""Search parameters for each resource type, and the compartments built on them.

A SearchParameter resource that names several base types, or all of them, becomes one parameter per type, numbered
in the order of `Type.code`, which no recompilation of 4.0.1 can change. Left out: parameters without a base or an
expression (extension packages that were never finished) and the three examples, see docs/spec-readings.md.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.compile.package import Package
from healthbrain.fhir.compile.paths import Types, compile_path, split

_PREFIX = "http://hl7.org/fhir/SearchParameter/"
_EXAMPLES = {_PREFIX + name for name in ("example", "example-extension", "example-reference")}
# answered from columns and text indexes of the store, never from extracted values
_BY_THE_STORE = {"_id", "_lastUpdated", "_text", "_content", "_query", "_filter"}

Record = dict[str, Any]


def parameters(package: Package, types: Types) -> dict[str, Record]:
    """Search parameters by `Type.code`."""
    by_url = package.by_url("SearchParameter")
    found = {}
    for definition in package.resources["SearchParameter"]:
        for base in _bases(definition, types):
            found[f"{base}.{definition['code']}"] = _parameter(definition, base, types, by_url)
    return dict(sorted(found.items()))


def resources(types: Types) -> list[str]:
    """Names of the resource types that can have instances."""
    return sorted(name for name, record in types.items() if record["kind"] == "resource" and not record["abstract"])


def compartments(package: Package) -> dict[str, dict[str, list[str]]]:
    """Per compartment, the parameters that place a resource of a type in it."""
    found = {}
    for definition in package.resources["CompartmentDefinition"]:
        if not definition["url"].endswith("/example"):
            found[definition["code"]] = {
                entry["code"]: entry["param"] for entry in definition["resource"] if entry.get("param")
            }
    return dict(sorted(found.items()))


def operations(package: Package) -> dict[str, Record]:
    """The operations R4 defines: code, on what, at which levels."""
    return {
        definition["id"]: {
            "code": definition["code"],
            "resource": definition.get("resource", []),
            "levels": [level for level in ("system", "type", "instance") if definition[level]],
        }
        for definition in package.resources["OperationDefinition"]
        if not definition["id"].startswith("example")
    }


def _bases(definition: Record, types: Types) -> list[str]:
    if definition["url"] in _EXAMPLES or "base" not in definition:
        return []
    if "expression" not in definition and definition["code"] not in _BY_THE_STORE:
        return []
    bases: list[str] = []
    for base in definition["base"]:
        if base in {"Resource", "DomainResource"}:
            bases += [name for name in resources(types) if base == "Resource" or types[name]["base"] == base]
        else:
            bases.append(base)
    return bases


def _parameter(definition: Record, base: str, types: Types, by_url: dict[str, Record]) -> Record:
    code, kind = definition["code"], definition["type"]
    special = code in _BY_THE_STORE or kind == "special"
    expression = definition.get("expression", "")
    members = split(expression, base) if not special else []
    record: Record = {
        "url": definition["url"],
        "type": "special" if code in _BY_THE_STORE - {"_id", "_lastUpdated"} else kind,
        "expression": " | ".join(members) or expression,
        "targets": sorted(definition.get("target", [])),
        "paths": [path.record() for member in members for path in compile_path(member, base, types)],
    }
    if kind == "composite":
        record["components"] = [
            _component(component, record["paths"], types, by_url) for component in definition["component"]
        ]
    if not special and not record["paths"]:
        raise ValueError(f"{definition['url']}: no path for {base}")
    return record


def _component(component: Record, anchors: list[Any], types: Types, by_url: dict[str, Record]) -> Record:
    """One component: its parameter's code and type, and its paths from each place the composite applies to."""
    definition = by_url[component["definition"]]
    members = [member.strip() for member in component["expression"].split("|")]
    return {
        "code": definition["code"],
        "type": definition["type"],
        "paths": [
            [path.record() for member in members for path in compile_path(member, anchor[1], types)]
            for anchor in anchors
        ],
    }
