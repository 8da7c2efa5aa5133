"""Functional lists: `_list=$current-problems` and its like, computed from what is recorded now.

R4 (Lifecycle, "current resource lists") names them and leaves to servers how they are kept. Nobody maintains such Lists
here, so each is a search: what is active and was not refuted. docs/spec-readings.md#current-lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from healthbrain.errors import Unsupported

Question = Sequence[tuple[str, str, str]]  # parameter, modifier, alternatives

_UNREFUTED = ("verification-status", "not", "refuted,entered-in-error")
_ALLERGIES: Question = (("clinical-status", "", "active"), _UNREFUTED)

# what each list holds, by type; a type that is not named has nothing in it
LISTS: Mapping[str, Mapping[str, Question]] = {
    "$current-problems": {"Condition": (("clinical-status", "", "active,recurrence,relapse"), _UNREFUTED)},
    "$current-medications": {
        "MedicationRequest": (("status", "", "active"), ("intent", "not", "proposal,plan,option")),
        "MedicationStatement": (("status", "", "active,intended"),),
    },
    "$current-allergies": {"AllergyIntolerance": _ALLERGIES},
    "$current-drug-allergies": {"AllergyIntolerance": (*_ALLERGIES, ("category", "", "medication"))},
}


def current_list(name: str) -> Mapping[str, Question]:
    """What a functional list holds. Unsupported when there is none of this name."""
    found = LISTS.get(name)
    if found is None:
        raise Unsupported(f"'_list': the lists that are kept by themselves are {', '.join(LISTS)}")
    return found
