"""Where references may point: their form, the types their element allows, contained resources, entries of a Bundle."""

from __future__ import annotations

import re
from typing import Any

from healthbrain.fhir import reference
from healthbrain.fhir.checks import Shape, contained
from healthbrain.fhir.definitions import Definitions
from healthbrain.fhir.findings import SINGLE, Findings, Place


def reference_rules(definitions: Definitions) -> Shape:
    """Rules of every Reference, wherever it stands."""
    is_resource = definitions.is_resource

    def check(value: Any, place: Place, findings: Findings) -> None:
        kind = value.get("type")
        if type(kind) is str and not is_resource(kind) and ":" not in kind:
            findings.at("value", place, "type", "must be the name of a FHIR resource type")

    return check


def targeted(inner: Shape, targets: tuple[str, ...], definitions: Definitions) -> Shape:
    """A Reference with the types it may point to."""
    names = "|".join(targets or definitions.types)
    usual = re.compile(rf"(?:{names})/[A-Za-z0-9\-.]{{1,64}}(?:/_history/[A-Za-z0-9\-.]{{1,64}})?").fullmatch
    allowed = frozenset(targets or definitions.types)
    wish = f"must point to {' or '.join(targets)}" if targets else "must point to a FHIR resource"

    def check(value: Any, place: Place, findings: Findings) -> None:
        inner(value, place, findings)
        if type(value) is not dict:
            return
        text = value.get("reference")
        kind = value.get("type")
        if type(text) is str and (kind is not None or usual(text) is None):
            _target(text, kind, (place, "reference", SINGLE), findings)
        elif text is None and type(kind) is str and definitions.is_resource(kind) and kind not in allowed:
            findings.at("value", place, "type", wish)

    def _target(text: str, kind: Any, place: Place, findings: Findings) -> None:
        target = reference.read(text)
        found = target.type
        if target.form == "wrong":
            findings.add(
                "value", place, "must be Type/id, an absolute URL, urn:uuid:..., or #id of a contained resource"
            )
            return
        if target.form == "conditional" and not findings.transaction and not target.value:
            findings.add("value", place, "is conditional, which only a transaction Bundle resolves; write Type/id")
        if target.form == "local":
            if not target.id:
                return
            found = contained(place, target.id, findings)
        if target.form == "absolute" and not definitions.is_resource(found):
            found = ""  # not a FHIR server's address
        if target.form in {"absolute", "urn"} and findings.transaction | bool(findings.bundle):
            findings.later.append((text, tuple(allowed), place))
        if found and found not in allowed:
            findings.add("value", place, wish)
        if found and type(kind) is str and definitions.is_resource(kind) and kind != found:
            findings.add("value", place, "points to another type than the type element beside it says")

    return check
