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


# What may be done with a type, letters of SMART v2 scopes: create, read, update, delete, search.
LETTERS = "cruds"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing a person or organisation let an application do. Rules only narrow what they may do themselves."""

    type: str  # a FHIR type; "*" = every type
    may: str  # letters of LETTERS, in that order
    patients: tuple[int, ...] | None = None  # only these patients' resources; None = whoever's
    where: tuple[tuple[str, str], ...] = ()  # only resources that this search finds


@dataclass(frozen=True, slots=True)
class Grant:
    """What an application that acts for somebody was granted."""

    client: str
    rules: tuple[Rule, ...]  # an empty `patients` stands for the patient in context
    patient: int | None = None  # key of the patient in context
    person: str | None = None  # whose record that is


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
    grant: Grant | None = None  # it acts through an application, which may do no more than this


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
    in `OPEN_TYPES` (organisations, practitioners, terminology) are visible to every signed-in reader. If there are
    `rules`, one of them must allow it besides.
    """

    organisations: tuple[int, ...] | None
    patients: tuple[int, ...] | None
    identified: bool = True  # may see who a person is; False: counts only
    rules: tuple[Rule, ...] | None = None  # what an application was granted; None = no application in between

    @property
    def everything(self) -> bool:
        """No restriction at all."""
        return self.organisations is None and self.patients is None and self.rules is None

    def rules_for(self, type: str, may: str) -> tuple[Rule, ...]:
        """The rules that allow one of the letters of `may` with resources of this type."""
        return tuple(r for r in self.rules or () if r.type in ("*", type) and not set(r.may).isdisjoint(may))


EVERYTHING = Scope(organisations=None, patients=None)
