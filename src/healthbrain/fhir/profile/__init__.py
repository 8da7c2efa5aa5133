"""Profiles and invariants: what R4, a profile and a terminology ask of a resource beyond its structure.

    validate_resource(resource, profiles=[url], lookup=..., member_of=..., resolve=...) -> list[Issue]
    as_operation_outcome(issues) -> OperationOutcome of $validate
    objections(resource) -> list[Issue]             what stands against storing it: structure and R4's own rules
    check_invariants(resource) -> list[Issue]       R4's own rules alone
    built_in() -> R4's own profiles, extensions, value sets and code systems

Pure: profiles, terminology and other resources come from functions the caller passes in.
"""

from healthbrain.fhir.profile.acceptance import objections
from healthbrain.fhir.profile.builtin import BuiltIn, built_in
from healthbrain.fhir.profile.engine import Mode, Unfinished, as_operation_outcome, validate_resource
from healthbrain.fhir.profile.invariants import check_invariants

__all__ = [
    "BuiltIn",
    "Mode",
    "Unfinished",
    "as_operation_outcome",
    "built_in",
    "check_invariants",
    "objections",
    "validate_resource",
]
