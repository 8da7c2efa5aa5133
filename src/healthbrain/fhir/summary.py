"""A part of a resource instead of all of it: `_summary` and `_elements` (R4 search, 3.1.1.5.8 and 3.1.1.5.9).

What counts as summary, the definitions say, element by element and into the data types. Mandatory and modifier elements
always stay, since what is left would be invalid without the ones and misread without the others. The result carries
the tag SUBSETTED, so that nobody takes it for the whole. Readings: docs/spec-readings.md#fhir-r4-parts-of-resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast, get_args

from healthbrain.errors import Incorrect
from healthbrain.fhir.codec import dump, parse
from healthbrain.fhir.definitions import definitions
from healthbrain.fhir.primitives import is_primitive

SUMMARIES = ("true", "text", "data", "count", "false")
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

Kind = Literal["true", "text", "data", "elements"]

_ALWAYS = frozenset({"resourceType", "id", "meta"})
_WHOLE = ""  # no type: the content stays as it is


@dataclass(frozen=True, slots=True)
class Part:
    """Which part is wanted: a kind of summary, or the named top-level elements."""

    kind: Kind
    names: frozenset[str] = frozenset()


def wanted(summary: str, elements: str) -> Part | None:
    """The part that the parameters ask for, None for whole resources; `_elements` goes before `_summary`.

    `count` is a matter of the search, which then returns no resources at all. Raises Incorrect for values R4 does not
    know. An element may be given with its type (`Patient.name`); below the top level R4 does not choose.
    """
    if summary and summary not in SUMMARIES:
        raise Incorrect(f"_summary is one of {', '.join(SUMMARIES)}")
    if names := frozenset(_top(name.strip()) for name in elements.split(",") if name.strip()):
        return Part("elements", names)
    return Part(cast(Kind, summary)) if summary in get_args(Kind) else None


def part(resource: dict[str, Any], what: Part) -> dict[str, Any]:
    """The part of a resource, marked as one. The resource is not changed."""
    type_ = str(resource["resourceType"])
    if what.kind == "true":
        found = _summary(resource, type_)
    elif what.kind == "data":
        found = {key: value for key, value in resource.items() if key != "text"}
    else:
        kept = _kept(type_, frozenset({"text"}) if what.kind == "text" else what.names)
        found = {key: value for key, value in resource.items() if key.removeprefix("_") in kept}
    if "contained" in resource and "contained" not in found:
        _add_contained(found, resource["contained"])
    meta = found.get("meta", {})
    tags = meta.get("tag", [])
    if not any(tag.get("code") == SUBSETTED["code"] and tag.get("system") == SUBSETTED["system"] for tag in tags):
        found["meta"] = {**meta, "tag": [*tags, SUBSETTED]}
    return found


def cut(body: bytes, what: Part) -> bytes:
    """`part` from JSON to JSON."""
    return dump(part(parse(body), what))


def _top(name: str) -> str:
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if rest and definitions().is_resource(first) else first


def _add_contained(found: dict[str, Any], contained: list[Any]) -> None:
    """The contained resources that the part refers to, and those that they refer to: without, it would be broken."""
    named = _local_references(found)
    kept: list[int] = []
    while True:
        more = [i for i, one in enumerate(contained) if i not in kept and f"#{one.get('id')}" in named]
        if not more:
            break
        kept += more
        for i in more:
            named |= _local_references(contained[i])
    if kept:
        found["contained"] = [contained[i] for i in sorted(kept)]


def _local_references(content: Any) -> set[str]:
    """All texts that could name a contained resource."""
    found: set[str] = set()
    level = [content]
    while level:
        values = [v for node in level for v in (node.values() if isinstance(node, dict) else node)]
        found.update(value for value in values if isinstance(value, str) and value.startswith("#"))
        level = [value for value in values if isinstance(value, (dict, list))]
    return found


@cache
def _kept(type_: str, names: frozenset[str]) -> frozenset[str]:
    """JSON names of the named elements of a resource and of those that always stay."""
    kept = set(_ALWAYS)
    for element in definitions().type(type_).elements.values():
        keys = element.keys()
        if element.min or element.modifier or element.name in names or not names.isdisjoint(keys):
            kept.update(keys)
    return frozenset(kept)


@cache
def _marked(type_: str) -> Mapping[str, str]:
    """JSON names that a summary of a type keeps, with the type by which their content is cut."""
    kept: dict[str, str] = dict.fromkeys(_ALWAYS, _WHOLE)
    for element in definitions().type(type_).elements.values():
        if element.summary or element.min or element.modifier:
            for key, choice in element.keys().items():
                whole = is_primitive(choice.code) or choice.code == "Extension"
                kept.setdefault(key, _WHOLE if whole else choice.code)
    return kept


def _summary(content: dict[str, Any], type_: str) -> dict[str, Any]:
    """The elements of an object that are marked as summary; all of them when nothing would be left."""
    marked = _marked(type_)
    found: dict[str, Any] = {}
    for key, value in content.items():
        inner = marked.get(key.removeprefix("_"))
        if inner is None:
            continue
        if inner == _WHOLE:
            found[key] = value
        elif isinstance(value, list):
            found[key] = [_within(item, inner) for item in value]
        else:
            found[key] = _within(value, inner)
    return found if found.keys() - {"id"} else content


def _within(value: Any, type_: str) -> Any:
    if not isinstance(value, dict):
        return value
    return _summary(value, str(value["resourceType"]) if type_ == "Resource" else type_)
