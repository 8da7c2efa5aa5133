"""What the checks of one validation share."""

from __future__ import annotations

from healthbrain.fhir.fhirpath.budget import Budget
from healthbrain.fhir.findings import Enough
from healthbrain.fhir.profile.derivation import Lookup
from healthbrain.fhir.profile.known import Profiles
from healthbrain.fhir.profile.terminology import Terminology

_MOST_CHECKS = 1_000_000  # a Bundle of ten thousand usual resources; some seconds of work


class Work:
    """What one validation shares: profiles, terminology, whether FHIRPath rules are checked, and the work left."""

    def __init__(
        self, profiles: Profiles, terminology: Terminology, *, rules: bool, questionnaires: Lookup | None = None
    ) -> None:
        self.questionnaires = questionnaires
        self.profiles = profiles
        self.terminology = terminology
        self.rules = rules
        self.budget = Budget()  # of all FHIRPath rules of profiles together
        self._left = _MOST_CHECKS
        self.within: set[tuple[int, str]] = set()

    def spend(self) -> None:
        """Count one check. Raises Enough when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise Enough

    @property
    def exhausted(self) -> bool:
        """Whether it ended early."""
        return self._left < 0
