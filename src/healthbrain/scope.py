"""Who asks, what for, and which resources that opens. Plain values shared by access, store and audit.

`access` decides a `Scope` for a `Principal`; `store` and every reader apply it; `audit` writes both down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["leader", "cdc", "manager", "doctor", "resident", "administrator", "system"]

# HL7 v3 PurposeOfUse codes: care, payment/operations, public health, patient request, system administration,
# break-glass emergency.
Purpose = Literal["TREAT", "HOPERAT", "PUBHLTH", "PATRQT", "SYSADMIN", "ETREAT"]

Action = Literal["read", "write", "delete", "search", "replay", "administer"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated person or system, for one request."""

    account: str  # account name, or token name for a system
    display: str
    role: Role
    organisation: int  # key of its organisation in the tree
    purpose: Purpose
    person: str | None = None  # the resident's own person id
    practitioner: str | None = None  # logical id of the Practitioner it is
    source: int | None = None  # the exchange source a system token speaks for


# Types that tell nothing about any resident: who and where we are, what words mean, how care and numbers are defined
# (GB/T 39725 level 1). Every signed-in reader sees them.
OPEN_TYPES = frozenset(
    {
        "Organization", "OrganizationAffiliation", "Location", "Practitioner", "PractitionerRole", "HealthcareService",
        "Endpoint",
        "CodeSystem", "ValueSet", "ConceptMap", "NamingSystem", "TerminologyCapabilities",
        "CapabilityStatement", "StructureDefinition", "StructureMap", "SearchParameter", "OperationDefinition",
        "CompartmentDefinition", "ImplementationGuide", "MessageDefinition", "GraphDefinition",
        "ActivityDefinition", "PlanDefinition", "Questionnaire", "Measure", "Library", "MedicationKnowledge",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """Which resources an action may touch. `None` opens a dimension fully; an empty tuple closes it.

    A resource is visible if its owner is in `organisations` OR its patient is in `patients`; resources of the types
    in `OPEN_TYPES` (organisations, practitioners, terminology) are visible to every signed-in reader.
    """

    organisations: tuple[int, ...] | None
    patients: tuple[int, ...] | None
    identified: bool = True  # may see who a person is; False: counts only

    @property
    def everything(self) -> bool:
        """No restriction at all."""
        return self.organisations is None and self.patients is None


EVERYTHING = Scope(organisations=None, patients=None)
