"""What the checks of one validation share."""

from __future__ import annotations

from healthbrain.fhir.fhirpath.budget import Budget
from healthbrain.fhir.findings import Enough
from healthbrain.fhir.profile.derivation import Lookup
from healthbrain.fhir.profile.known import Profiles
from healthbrain.fhir.profile.terminology import Terminology

_MOST_CHECKS = 1_000_000  # a Bundle of ten thousand usual resources; some seconds of work
QUICK = 5_000  # checks, and steps of rules, that take some hundredths of a second


class Work:
    """What one validation shares: profiles, terminology, whether FHIRPath rules are checked, and the work left."""

    def __init__(
        self,
        profiles: Profiles,
        terminology: Terminology,
        *,
        rules: bool,
        questionnaires: Lookup | None = None,
        quick: bool = False,
    ) -> None:
        self.questionnaires = questionnaires
        self.profiles = profiles
        self.terminology = terminology
        self.rules = rules
        self.budget = Budget(QUICK) if quick else Budget()  # of all FHIRPath rules of profiles together
        self._left = QUICK if quick else _MOST_CHECKS
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

    @property
    def unfinished(self) -> bool:
        """Whether it, or a rule of a profile, ended early."""
        return self.exhausted or self.budget.spent
