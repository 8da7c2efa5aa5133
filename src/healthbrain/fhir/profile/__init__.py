"""Profiles and invariants: what R4, a profile and a terminology ask of a resource beyond its structure.

    validate_resource(resource, profiles=[url], lookup=..., member_of=..., resolve=...) -> list[Issue]
    as_operation_outcome(issues) -> OperationOutcome of $validate
    check_invariants(resource) -> list[Issue]       R4's own rules alone, fast enough for every write
    built_in() -> R4's own profiles, extensions, value sets and code systems

Pure: profiles, terminology and other resources come from functions the caller passes in.
"""

from healthbrain.fhir.profile.builtin import BuiltIn, built_in
from healthbrain.fhir.profile.engine import Mode, as_operation_outcome, validate_resource
from healthbrain.fhir.profile.invariants import check_invariants

__all__ = ["BuiltIn", "Mode", "as_operation_outcome", "built_in", "check_invariants", "validate_resource"]
