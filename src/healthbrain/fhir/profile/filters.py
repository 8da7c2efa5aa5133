"""Filters of a ValueSet over a code system that is listed: hierarchy, properties, lists of codes.

Rule source: R4 ValueSet.compose.include.filter, FilterOperator. What needs more than the CodeSystem resource (properties
it does not list, regular expressions) is left open: the answer is None.
"""

from __future__ import annotations

from typing import Any

from healthbrain.fhir.profile.concepts import Concept


def passes(code: str, concept: Concept, condition: dict[str, Any]) -> bool | None:
    """Whether a concept passes a filter; None when that cannot be told."""
    name, operator, wanted = (str(condition.get(key, "")) for key in ("property", "op", "value"))
    match operator:
        case "is-a":
            return code == wanted or wanted in concept.above
        case "descendent-of":
            return wanted in concept.above
        case "is-not-a":
            return code != wanted and wanted not in concept.above
        case "in" | "not-in":
            listed = {one.strip() for one in wanted.split(",")}
            return (_is_any(code, concept, name, listed)) == (operator == "in")
        case "exists":
            return any(key == name for key, _ in concept.properties) == (wanted == "true")
        case "=":
            return _is_any(code, concept, name, {wanted})
    return None


def _is_any(code: str, concept: Concept, name: str, wanted: set[str]) -> bool:
    if name in ("concept", "code"):
        return code in wanted
    return any(key == name and _text(value) in wanted for key, value in concept.properties)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)
