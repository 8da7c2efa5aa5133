"""Changing a part of a resource: JSON Patch, XML Patch and FHIRPath Patch as pure functions.

    apply_json_patch(resource, operations) -> dict       RFC 6902
    apply_xml_patch(resource, raw) -> dict               RFC 5261
    apply_fhirpath_patch(resource, parameters) -> dict   R4 fhirpatch

The input is never changed: the result is a new resource, or an error and nothing. All operations hold or none does.
What comes out is to be validated like any update (R4 http, patch); a patch that would change the type or the id is
refused here. Errors: Malformed for a patch that is none, Invalid (HTTP 422) for one that does not fit the resource,
its failed `test` among them, as R4 has it. Readings of unclear points: docs/spec-readings.md#fhir-r4-patches.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from healthbrain.errors import Invalid
from healthbrain.fhir.patch import fhirpath_patch, json_patch

__all__ = ["apply_fhirpath_patch", "apply_json_patch", "apply_xml_patch", "is_xml_patch"]


def apply_json_patch(resource: dict[str, Any], operations: Sequence[Any]) -> dict[str, Any]:
    """The resource after the operations of a JSON Patch document.

    Arrays and objects that the patch leaves empty are left out, since FHIR JSON has none.
    """
    found = json_patch.apply(copy.deepcopy(resource), operations)
    if not isinstance(found, dict):
        raise Invalid("the patch makes something else of the resource than a JSON object")
    return _same(resource, _filled(found))


def apply_fhirpath_patch(resource: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The resource after the operations of a Parameters resource."""
    return _same(resource, fhirpath_patch.apply(copy.deepcopy(resource), parameters))


def apply_xml_patch(resource: dict[str, Any], raw: bytes) -> dict[str, Any]:
    """The resource after the operations of an XML Patch."""
    from healthbrain.fhir.patch import xml_patch  # only who sends one pays for the XML library

    return _same(resource, xml_patch.apply(resource, raw))


def is_xml_patch(raw: bytes) -> bool:
    """Whether XML is a patch, and not a resource such as the Parameters of a FHIRPath Patch."""
    from healthbrain.fhir.patch import xml_patch  # as above

    return xml_patch.is_patch(raw)


def _same(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    for key in ("resourceType", "id"):
        if before.get(key) != after.get(key):
            raise Invalid(f"the patch changes the {key}; a resource keeps its type and id")
    return after


def _filled(node: dict[str, Any]) -> dict[str, Any]:
    """The object without what is empty in it. Places of primitives (`_given`) keep their number."""
    found = {}
    for key, value in node.items():
        if isinstance(value, dict):
            kept: Any = _filled(value)
        elif isinstance(value, list):
            kept = _filled_items(value, companion=key.startswith("_"))
        else:
            found[key] = value
            continue
        if kept:
            found[key] = kept
    return found


def _filled_items(items: list[Any], *, companion: bool) -> list[Any]:
    filled = [_filled(item) if isinstance(item, dict) else item for item in items]
    if companion:
        return [item or None for item in filled] if any(filled) else []
    return [item for item in filled if item not in ({}, [])]
