"""Bundles beyond their invariants: entries that can be told apart, and references that lead somewhere.

Rule source: R4 bundle, "Resource URL & Uniqueness rules" and "Resolving references in Bundles"; documents (everything
the Composition refers to directly is in the document). A urn that is no entry's fullUrl leads nowhere in any Bundle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from healthbrain.fhir.findings import SINGLE, Place
from healthbrain.fhir.profile.items import Item
from healthbrain.fhir.profile.report import Report

Json = dict[str, Any]

_CLOSED = frozenset(["document", "message"])


def check_bundle(item: Item, report: Report) -> None:
    """Note full addresses that contradict their resource, and references to entries that are not there."""
    kind = item.value.get("type")
    for index, entry in enumerate(item.children("entry")):
        for resource in entry.children("resource"):
            if not isinstance(resource.value, dict) or not isinstance(entry.value, dict):
                continue
            _address(entry.value, resource.value, entry.place, report)
            root = str(entry.value.get("fullUrl", ""))
            for one in _references(resource):
                _resolves(one, root, item, kind, report, composed=index == 0)


def _resolves(one: Item, root: str, bundle: Item, kind: Any, report: Report, *, composed: bool) -> None:
    text = one.value
    if text.startswith(("urn:uuid:", "urn:oid:")):
        if text not in bundle.around.entries:
            report.error("not-found", one.place, "points to an entry that the Bundle does not have")
    elif kind in _CLOSED and "?" not in text and not text.startswith("#") and not _within(text, root, bundle):
        severity: Literal["error", "warning"] = "error" if kind == "document" and composed else "warning"
        report.add(severity, "not-found", one.place, "points to a resource that is not in the Bundle")


def _address(entry: Json, resource: Json, place: Place, report: Report) -> None:
    url, id_, kind = entry.get("fullUrl"), resource.get("id"), resource.get("resourceType")
    if not isinstance(url, str):
        return
    where = (place, "fullUrl", SINGLE)
    if ":" not in url:
        report.error("value", where, "must be an absolute URL or a urn")
    elif url.startswith("http") and isinstance(id_, str) and not url.split("/_history/")[0].endswith(f"/{kind}/{id_}"):
        report.add("warning", "value", where, "does not end in the type and id of the resource")


def _within(text: str, root: str, item: Item) -> bool:
    """Whether a reference is to an entry: by fullUrl, or relative to the address of the entry it stands in."""
    plain = text.split("/_history/")[0]
    if plain in item.around.entries:
        return True
    base = "/".join(root.split("/")[:-2])
    return bool(base) and f"{base}/{plain}" in item.around.entries


def _references(item: Item) -> Iterator[Item]:
    """The text of every literal reference in a resource; Bundles inside are their own matter."""
    if item.type == "Reference":
        yield from (one for one in item.children("reference") if isinstance(one.value, str))
    for child in item.all_children():
        if child.type != "Bundle":
            yield from _references(child)
