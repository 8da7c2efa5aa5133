"""Rules of R4 whose published form asks every item about every other, said so that they take linear time.

A resource of a few hundred kilobytes could occupy a process for minutes with them, so these forms are part of the
protection of every write. Each is found by the key and the text of the rule it replaces: a profile's rule of the same
name stays what the profile says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from healthbrain.fhir.profile.ground import Scope

# (the element, where it stands) -> whether it keeps the rule
Check = Callable[[Mapping[str, Any], Scope], bool]


def linear_form(key: str, expression: str) -> Check | None:
    """The linear form of a rule, if it needs one."""
    found = _FORMS.get(key)
    return found[1] if found is not None and expression.startswith(found[0]) else None


def _contained_are_used(element: Mapping[str, Any], scope: Scope) -> bool:
    """dom-3: every contained resource is referred to from the resource, or refers to the resource itself."""
    contained = element.get("contained")
    if not isinstance(contained, list):
        return True
    used = {text for text in _strings(scope.resource) if text[:1] == "#"}
    return all(
        not isinstance(one, dict) or f"#{one.get('id')}" in used or any(text == "#" for text in _strings(one))
        for one in contained
    )


def _strings(value: Any) -> Iterator[str]:
    """Every string in a value; no recursion, since nobody limits the depth here."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if one.__class__ is str:
            yield one
        elif one.__class__ is dict:
            waiting += one.values()
        elif one.__class__ is list:
            waiting += one


def _components_have_other_codes(element: Mapping[str, Any], scope: Scope) -> bool:
    """obs-7: no component has a coding of the observation's own code when the observation has a value."""
    if not any(name.startswith("value") for name in element):
        return True
    own = set(_codings(scope.resource.get("code")))
    components = element.get("component")
    return not own or not any(
        text in own
        for one in (components if isinstance(components, list) else ())
        if isinstance(one, dict)
        for text in _codings(one.get("code"))
    )


def _codings(concept: Any) -> Iterator[bytes]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    for one in codings if isinstance(codings, list) else ():
        yield orjson.dumps(one, option=orjson.OPT_SORT_KEYS)


def _is_contained(element: Mapping[str, Any], scope: Scope) -> bool:
    """ref-1: a local reference is to one of the contained resources, or to the container."""
    reference = element.get("reference")
    if not isinstance(reference, str) or reference[:1] != "#" or reference == "#":  # "#" is the container itself
        return True
    return reference[1:] in scope.contained_ids


def _snapshot_is_of_type(element: Mapping[str, Any], scope: Scope) -> bool:
    """sdf-8: the first element is the type, all others are below it."""
    first, *rest = _paths(element) or [""]
    logical = scope.resource.get("kind") == "logical"
    return (logical or first == scope.resource.get("type")) and all(one.startswith(f"{first}.") for one in rest)


def _differential_is_of_type(element: Mapping[str, Any], scope: Scope) -> bool:
    """sdf-8a: the first element begins with the type, all others are below its root."""
    first, *rest = _paths(element) or [""]
    logical = scope.resource.get("kind") == "logical"
    root = first.partition(".")[0]
    begins = logical or first.startswith(str(scope.resource.get("type")))
    return begins and all(one.startswith(f"{root}.") for one in rest)


def _paths(element: Mapping[str, Any]) -> list[str]:
    elements = element.get("element")
    return [
        str(one.get("path", "")) for one in (elements if isinstance(elements, list) else ()) if isinstance(one, dict)
    ]


_FORMS: dict[str, tuple[str, Check]] = {
    "dom-3": ("contained.where((('#'+id in (%resource.descendants()", _contained_are_used),
    "ref-1": ("reference.startsWith('#').not() or (reference.substring(1)", _is_contained),
    "sdf-8": (
        "(%resource.kind = 'logical' or element.first().path = %resource.type) and element.tail()",
        _snapshot_is_of_type,
    ),
    "sdf-8a": (
        "(%resource.kind = 'logical' or element.first().path.startsWith(%resource.type))",
        _differential_is_of_type,
    ),
    "obs-7": ("value.empty() or component.code.where(coding.intersect(", _components_have_other_codes),
}
