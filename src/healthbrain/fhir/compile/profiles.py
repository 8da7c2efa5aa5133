"""The profiles and extensions of the R4 package, cut down to what a check needs: their differentials.

A differential and its base say the same as a snapshot and take a fraction of the room; the snapshot is derived again
at run time (healthbrain.fhir.profile.derivation). Two example profiles of the package have no url of a base that
exists; they are kept, and say so when they are used.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.compile.package import Package

Record = dict[str, Any]

_HEAD = ("url", "name", "type", "kind", "abstract", "derivation", "baseDefinition", "context", "contextInvariant")
_ELEMENT = (
    "id", "path", "sliceName", "slicing", "min", "max", "maxLength", "type", "contentReference", "isModifier",
)  # fmt: skip
_VALUES = ("fixed", "pattern", "minValue", "maxValue")
_MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"


def structures(package: Package) -> dict[str, Record]:
    """Profiles and extension definitions by canonical url."""
    found = {
        definition["url"]: _structure(definition)
        for definition in package.resources["StructureDefinition"]
        if definition.get("derivation") == "constraint"
    }
    return dict(sorted(found.items()))


def _structure(definition: Record) -> Record:
    record = {key: definition[key] for key in _HEAD if key in definition}
    record["differential"] = {"element": [_element(one) for one in definition["differential"]["element"]]}
    return record


def _element(element: Record) -> Record:
    record = {key: element[key] for key in _ELEMENT if key in element}
    record |= {key: value for key, value in element.items() if key.startswith(_VALUES)}
    if binding := element.get("binding"):
        record["binding"] = {key: binding[key] for key in ("strength", "valueSet") if key in binding}
        limits = [one for one in binding.get("extension", ()) if one["url"] == _MAX_VALUE_SET]
        if limits:
            record["binding"]["extension"] = limits
    if rules := element.get("constraint"):
        record["constraint"] = [
            {key: rule[key] for key in ("key", "severity", "human", "expression") if key in rule} for rule in rules
        ]
    return record
