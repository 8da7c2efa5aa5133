"""Which parameters of a resource type live where: the store's own view of the definitions.

The main clinical date and the main code of a type have columns of their own, because "this patient's values of that
kind since then, newest first" is the question asked most. Parameters that only repeat another one are not stored
twice: `patient` beside `subject`, the `combo-*` ones of Observation, `phonetic` beside `name`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from healthbrain.errors import Incorrect
from healthbrain.fhir import Definitions, SearchParameter, definitions

# The date by which a clinician orders resources of this type; each is a single element (0..1), checked by a test.
MAIN_DATE = {
    "AllergyIntolerance": "date",
    "Appointment": "date",
    "AuditEvent": "date",
    "CarePlan": "date",
    "Claim": "created",
    "ClinicalImpression": "date",
    "Communication": "sent",
    "Composition": "date",
    "Condition": "recorded-date",
    "Consent": "date",
    "DetectedIssue": "identified",
    "DiagnosticReport": "date",
    "DocumentReference": "date",
    "Encounter": "date",
    "EpisodeOfCare": "date",
    "ExplanationOfBenefit": "created",
    "FamilyMemberHistory": "date",
    "Flag": "date",
    "Goal": "start-date",
    "ImagingStudy": "started",
    "Immunization": "date",
    "List": "date",
    "Media": "created",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "NutritionOrder": "datetime",
    "Observation": "date",
    "Patient": "birthdate",
    "Procedure": "date",
    "QuestionnaireResponse": "authored",
    "RiskAssessment": "date",
    "ServiceRequest": "authored",
    "Specimen": "collected",
    "Task": "authored-on",
}

# What a resource of this type is about.
MAIN_CODE = {
    "AllergyIntolerance": "code",
    "CarePlan": "category",
    "Composition": "type",
    "Condition": "code",
    "DiagnosticReport": "code",
    "DocumentReference": "type",
    "Encounter": "type",
    "EpisodeOfCare": "type",
    "Immunization": "vaccine-code",
    "List": "code",
    "MedicationAdministration": "code",
    "MedicationDispense": "code",
    "MedicationRequest": "code",
    "MedicationStatement": "code",
    "Observation": "code",
    "Procedure": "code",
    "ServiceRequest": "code",
    "Task": "code",
}

# A parameter that is the union of others is searched as such and never stored.
UNIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Observation", "combo-code"): ("code", "component-code"),
    ("Observation", "combo-data-absent-reason"): ("data-absent-reason", "component-data-absent-reason"),
    ("Observation", "combo-value-concept"): ("value-concept", "component-value-concept"),
    ("Observation", "combo-value-quantity"): ("value-quantity", "component-value-quantity"),
    ("Observation", "combo-code-value-concept"): ("code-value-concept", "component-code-value-concept"),
    ("Observation", "combo-code-value-quantity"): ("code-value-quantity", "component-code-value-quantity"),
    ("Patient", "phonetic"): ("name",),
    ("Practitioner", "phonetic"): ("name",),
    ("Person", "phonetic"): ("name",),
    ("RelatedPerson", "phonetic"): ("name",),
    ("Organization", "phonetic"): ("name",),
}

# A composite whose components are single elements of the resource itself is the conjunction of its components.
CONJUNCTIONS: dict[tuple[str, str], tuple[str, str]] = {
    ("Observation", "code-value-concept"): ("code", "value-concept"),
    ("Observation", "code-value-date"): ("code", "value-date"),
    ("Observation", "code-value-quantity"): ("code", "value-quantity"),
    ("Observation", "code-value-string"): ("code", "value-string"),
}

# The types of parameters that are found by equality alone.
EQUAL = frozenset({"token", "reference", "uri"})

# Held by columns of the resource row itself.
OWN_COLUMNS = frozenset({"_id", "_lastUpdated"})


@dataclass(frozen=True, slots=True)
class TypeIndex:
    """How resources of one type are indexed."""

    name: str
    number: int
    parameters: dict[str, SearchParameter]
    numbers: dict[str, int]
    main_date: str | None
    main_code: str | None
    patient_params: frozenset[str]  # `subject`, `patient`: the resource's patient is exactly what these refer to
    unstored: frozenset[str]

    def parameter(self, code: str) -> SearchParameter | None:
        """The parameter `code`, if this type has it."""
        return self.parameters.get(code)


@functools.cache
def type_index(name: str) -> TypeIndex:
    """The index of resource type `name`; Incorrect when R4 has no such type."""
    known: Definitions = definitions()
    if name not in known.types:
        raise Incorrect(f"'{name}' is not a resource type of FHIR R4")
    parameters = dict(known.search_parameters(name))
    unstored = {code for type_, code in UNIONS if type_ == name} | {
        code for type_, code in CONJUNCTIONS if type_ == name
    }
    return TypeIndex(
        name=name,
        number=known.type_number(name),
        parameters=parameters,
        numbers={code: parameter.number for code, parameter in parameters.items()},
        main_date=MAIN_DATE.get(name),
        main_code=MAIN_CODE.get(name),
        patient_params=_patient_params(known, name, parameters),
        unstored=frozenset(unstored) | OWN_COLUMNS,
    )


def type_number(name: str) -> int:
    """The number under which resources of type `name` are kept."""
    return type_index(name).number


@functools.cache
def type_name(number: int) -> str:
    """The resource type of a number."""
    return definitions().type_name(number)


def _patient_params(known: Definitions, name: str, parameters: dict[str, SearchParameter]) -> frozenset[str]:
    """The parameters of a single element that says whose resource this is.

    For such types column `patient` holds that element's Patient and nothing else, so the parameters need no tokens.
    """
    elements = known.type(name).elements
    for element in ("subject", "patient"):
        found = frozenset(code for code in ("subject", "patient") if _reads(parameters.get(code), f"{name}.{element}"))
        if found and elements[element].max == 1 and found & set(known.patient_compartment(name)):
            return found
    return frozenset()


def _reads(parameter: SearchParameter | None, path: str) -> bool:
    if parameter is None:
        return False
    expression = parameter.expression.replace(" ", "")
    return expression in {path, f"{path}.where(resolve()isPatient)"}
