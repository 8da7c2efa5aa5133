"""What stands against storing a resource: its structure, then R4's own invariants of severity error.

Both ask nobody else: no profile, no terminology, no other resource (docs/decisions/0085-invariants-on-writes.md). Rules
are not evaluated on a broken structure, where they would speak about something else than was meant.
"""

from __future__ import annotations

from typing import Any

from healthbrain.errors import Issue
from healthbrain.fhir.profile.invariants import check_invariants
from healthbrain.fhir.validation import validate


def objections(resource: dict[str, Any], type: str | None = None, *, invariants: bool = True) -> list[Issue]:
    """The errors for which a resource is refused; [] when it may be stored.

    `type` is the one the sender was expected to send; without `invariants` only the structure counts.

    >>> [one.text for one in objections({"resourceType": "Patient", "telecom": [{"value": "1"}]})]
    ['cpt-2: A system is required if a value is provided.']
    """
    found = [one for one in validate(resource, type) if one.severity in ("fatal", "error")]
    if found or not invariants:
        return found
    return [one for one in check_invariants(resource, warnings=False) if one.severity == "error"]
