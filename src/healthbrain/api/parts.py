"""Part of a resource instead of all of it: `_summary` and `_elements` (R4 search, 3.1.1.5.8-9)."""

from __future__ import annotations

from healthbrain.errors import Incorrect
from healthbrain.fhir import Definitions, dump, parse

_ALWAYS = frozenset({"resourceType", "id", "meta"})
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
SUMMARIES = ("true", "text", "data", "count", "false")


def wanted(summary: str, elements: str) -> tuple[str, frozenset[str]] | None:
    """What to cut out, or None for whole resources. Raises Incorrect for values R4 does not know."""
    if summary and summary not in SUMMARIES:
        raise Incorrect(f"_summary is one of {', '.join(SUMMARIES)}")
    if elements:
        return "elements", frozenset(part.strip().rpartition(".")[2] for part in elements.split(",") if part.strip())
    if summary in ("", "false", "count"):
        return None
    return summary, frozenset()


def cut(body: bytes, what: tuple[str, frozenset[str]], definitions: Definitions) -> bytes:
    """The resource reduced to what was asked for; mandatory elements stay, and it is marked as a subset."""
    resource = parse(body)
    kind, names = what
    keep = _kept(definitions, str(resource["resourceType"]), kind, names)
    if kind == "data":
        result = {name: value for name, value in resource.items() if name != "text"}
    else:
        result = {name: value for name, value in resource.items() if name.removeprefix("_") in keep}
    meta = result.setdefault("meta", {})
    meta["tag"] = [*meta.get("tag", []), _SUBSETTED]
    return dump(result)


def _kept(definitions: Definitions, type_: str, kind: str, names: frozenset[str]) -> frozenset[str]:
    keep: set[str] = set(_ALWAYS)
    for element in definitions.type(type_).elements.values():
        keys = element.keys()
        asked = element.summary if kind == "true" else kind == "text" and element.name == "text"
        named = element.name in names or any(key in names for key in keys)
        if asked or named or element.min > 0:
            keep.update(keys)
    return frozenset(keep)
