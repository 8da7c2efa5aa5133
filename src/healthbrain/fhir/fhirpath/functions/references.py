"""Functions FHIR adds: resolve(), terminology and profile tests, htmlChecks(), keys of SQL on FHIR.

Rule source: FHIR R4, FHIRPath page; SQL on FHIR v2, functions. Nothing here does I/O: resolve(), memberOf(),
subsumes(), subsumedBy() and conformsTo() ask functions the caller passes in. Without one, resolve() finds contained
resources and entries of the surrounding Bundle, and for any other reference a stub that knows its type and id only.
"""

from __future__ import annotations

import re
from typing import Any

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.frame import Frame
from healthbrain.fhir.fhirpath.functions.registry import Table
from healthbrain.fhir.fhirpath.nodes import collection_of, node_of, plain, system
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.singletons import single, text
from healthbrain.fhir.fhirpath.values import Collection, Item, Node
from healthbrain.fhir.xhtml import fault

TABLE = Table()
_LITERAL = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/.+)?"
)
_CORE = "http://hl7.org/fhir/StructureDefinition/"


@TABLE.plain("resolve")
def _resolve(items: Collection, frame: Frame) -> Collection:
    found = []
    for item in items:
        url = _reference(item)
        if url:
            target = _target(url, frame)
            if target is not None:
                found.append(target)
    return found


def _reference(item: Item) -> str:
    """The url an item refers to: of a Reference, a canonical, a uri or a plain String."""
    held = item.value if isinstance(item, Node) else item
    if isinstance(held, dict):
        held = held.get("reference")
    return held if isinstance(held, str) else ""


def _target(url: str, frame: Frame) -> Item | None:
    local = _contained(url[1:], frame) if url[0] == "#" else _entry(url, frame.run.root)
    if local is not None or url[0] == "#":
        return None if local is None else node_of(local)
    ask = frame.run.functions.get("resolve")
    if ask is not None:
        answer = ask(url)
        return None if answer is None else node_of(answer)
    match = _LITERAL.fullmatch(url)
    if match is None or not model.is_resource(match["type"]):
        return None
    return Node({"resourceType": match["type"], "id": match["id"]}, match["type"])


def _contained(id_: str, frame: Frame) -> Any | None:
    for holder in (frame.run.resource, frame.run.root):
        if isinstance(holder, Node) and isinstance(holder.value, dict):
            if not id_:
                return holder.value  # '#' alone is the container itself
            for one in holder.value.get("contained") or ():
                if isinstance(one, dict) and one.get("id") == id_:
                    return one
    return None


def _entry(url: str, root: Item | None) -> Any | None:
    if not isinstance(root, Node) or root.type != "Bundle" or not isinstance(root.value, dict):
        return None
    for entry in root.value.get("entry") or ():
        if isinstance(entry, dict):
            full, resource = entry.get("fullUrl"), entry.get("resource")
            if isinstance(resource, dict) and url in (full, f"{resource.get('resourceType')}/{resource.get('id')}"):
                return resource
    return None


def _ask(frame: Frame, name: str, *arguments: Any) -> Collection:
    """The answer of a function the caller passed in; its absence is an error, not an answer."""
    function = frame.run.functions.get(name)
    if function is None:
        raise Unanswerable(f"{name}() needs a terminology or profile service, and none is connected here")
    return collection_of(function(*arguments))


@TABLE.plain("memberOf", 1)
def _member_of(items: Collection, frame: Frame, value_set: Collection) -> Collection:
    item, url = single(items, "memberOf()"), text(value_set, "memberOf()")
    return [] if item is None or url is None else _ask(frame, "memberOf", plain(item), url)


@TABLE.plain("subsumes", 1)
def _subsumes(items: Collection, frame: Frame, other: Collection) -> Collection:
    one, two = single(items, "subsumes()"), single(other, "subsumes()")
    return [] if one is None or two is None else _ask(frame, "subsumes", plain(one), plain(two))


@TABLE.plain("subsumedBy", 1)
def _subsumed_by(items: Collection, frame: Frame, other: Collection) -> Collection:
    one, two = single(items, "subsumedBy()"), single(other, "subsumedBy()")
    return [] if one is None or two is None else _ask(frame, "subsumes", plain(two), plain(one))


@TABLE.plain("conformsTo", 1)
def _conforms_to(items: Collection, frame: Frame, profile: Collection) -> Collection:
    item, url = single(items, "conformsTo()"), text(profile, "conformsTo()")
    if item is None or url is None:
        return []
    name = url.removeprefix(_CORE)
    if url.startswith(_CORE) and model.knows(name):
        return [isinstance(item, Node) and model.is_a(item.type, name)]
    if "conformsTo" not in frame.run.functions:
        raise Unanswerable(
            "conformsTo() knows the types of R4 only; profiles need a service that is not connected here"
        )
    return _ask(frame, "conformsTo", plain(item), url)


@TABLE.plain("htmlChecks")
def _html_checks(items: Collection, frame: Frame) -> Collection:
    return [all(fault(system(item)) is None for item in items)] if items else []


@TABLE.plain("getResourceKey")
def _get_resource_key(items: Collection, frame: Frame) -> Collection:
    item = single(items, "getResourceKey()")
    if not isinstance(item, Node) or not isinstance(item.value, dict) or "resourceType" not in item.value:
        return []
    return collection_of(item.value.get("id"))


def reference_keys(items: Collection, wanted: str | None) -> Collection:
    """`getReferenceKey([type])`: the ids that literal references point to, of one type when asked."""
    found: Collection = []
    for item in items:
        match = _LITERAL.fullmatch(_reference(item))
        if match is not None and wanted in (None, match["type"]):
            found.append(match["id"])
    return found
