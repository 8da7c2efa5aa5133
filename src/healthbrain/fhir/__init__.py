"""FHIR R4 without I/O: definitions, JSON codec, structural validation, index values.

    parse(raw) -> dict            read JSON, keep decimals exact
    dump(resource) -> bytes       write it back
    validate(resource) -> issues  [] when it keeps the structural rules
    extract(resource) -> IndexValues
    definitions() -> Definitions
"""

from healthbrain.fhir.codec import dump, parse
from healthbrain.fhir.definitions import Definitions, SearchParameter, definitions
from healthbrain.fhir.validation import validate

__all__ = ["Definitions", "SearchParameter", "definitions", "dump", "parse", "validate"]
