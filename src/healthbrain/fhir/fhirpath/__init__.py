"""FHIRPath for FHIR R4: our own, complete and pure evaluator.

    compile("Patient.name.given")(patient) -> ["伟"]     text is parsed and compiled once, then kept
    evaluate("name.count() > 1", patient) -> [True]
    compile(rule).boolean(patient) -> True | False | None
    compile(rule).problems("Patient") -> what can never work on a Patient, found without data

Errors: `Unreadable` (cannot be parsed) and `Unanswerable` (no answer), with line and column in the expression.
Readings of unclear points of the specification are in docs/spec-readings.md#fhirpath.
"""

from healthbrain.fhir.fhirpath.dates import Date, DateTime, Time
from healthbrain.fhir.fhirpath.expression import Expression, compile, evaluate
from healthbrain.fhir.fhirpath.problems import Unanswerable, Unreadable
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.values import Long, Node, TypeInfo

__all__ = [
    "Date",
    "DateTime",
    "Expression",
    "Long",
    "Node",
    "Quantity",
    "Time",
    "TypeInfo",
    "Unanswerable",
    "Unreadable",
    "compile",
    "evaluate",
]
