"""The labels of a resource, its profiles, tags and security labels, and a change of them alone.

Rule source: R4 resource-operations $meta-add, $meta-delete: labels are compared by system and code; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from healthbrain.errors import Incorrect

_LABELS = ("profile", "security", "tag")
_KEPT_BY_SERVER = ("versionId", "lastUpdated")

Meta = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Labelling:
    """What is added to the labels of a resource, or taken from them."""

    meta: Meta
    add: bool

    def applied(self, resource: dict[str, Any]) -> dict[str, Any]:
        """The resource with its labels changed."""
        meta = resource.get("meta", {})
        wanted = united(meta, self.meta) if self.add else without(meta, self.meta)
        kept = {name: value for name, value in wanted.items() if name not in _KEPT_BY_SERVER}
        rest = {name: value for name, value in resource.items() if name != "meta"}
        return {**rest, "meta": kept} if kept else rest


def read_labelling(name: str, resource: Any, place: str) -> Labelling:
    """$meta-add or $meta-delete as an entry of a bundle, with its Parameters. Raises Incorrect."""
    given = resource.get("parameter") if isinstance(resource, dict) else None
    named = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    metas = [one.get("valueMeta") for one in named if one.get("name") == "meta"]
    if len(metas) != 1 or not isinstance(metas[0], dict):
        raise Incorrect(f"{place}.resource: is Parameters with one parameter 'meta' that holds a Meta")
    return Labelling(metas[0], name == "$meta-add")


def united(one: Meta, other: Meta) -> Meta:
    """Both together: every profile once, every tag and label once by its system and code."""
    found = dict(one)
    for name in _LABELS:
        known = list(_list(one, name))
        seen = {_same(value) for value in known}
        for value in _list(other, name):
            if _same(value) not in seen:
                seen.add(_same(value))
                known.append(value)
        if known:
            found[name] = known
    return found


def without(one: Meta, other: Meta) -> Meta:
    """The first without what the second names."""
    found = dict(one)
    for name in _LABELS:
        gone = {_same(value) for value in _list(other, name)}
        kept = [value for value in _list(one, name) if _same(value) not in gone]
        found.pop(name, None)
        if kept:
            found[name] = kept
    return found


def _list(meta: Meta, name: str) -> Iterable[Any]:
    value = meta.get(name, [])
    if not isinstance(value, list):
        raise Incorrect(f"Meta.{name} is a list")
    return value


def _same(value: Any) -> Any:
    """What makes two labels the same."""
    if isinstance(value, dict):
        return str(value.get("system", "")), str(value.get("code", ""))
    if not isinstance(value, str):
        raise Incorrect("Meta.profile is a list of URLs")
    return value
