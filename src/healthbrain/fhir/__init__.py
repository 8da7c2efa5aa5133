"""FHIR R4 without I/O: definitions, JSON codec, structural validation, index values.

    parse(raw) -> dict                  read JSON, keep decimals exact
    dump(resource) -> bytes             write it back
    validate(resource) -> list[Issue]   [] when it keeps the structural rules
    extract(resource) -> IndexValues    what it can be found by
    definitions() -> Definitions        types, search parameters, compartments

XML is in `fhir.xml`, JSON Patch and FHIRPath Patch in `fhir.patch`, `_summary` and `_elements` in `fhir.summary`.
Search values become intervals by the same rules as stored ones: `date_interval`, `number_interval`.
"""

from healthbrain.fhir.codec import Decimal, dump, parse
from healthbrain.fhir.definitions import Definitions, SearchParameter, definitions
from healthbrain.fhir.extraction import extract
from healthbrain.fhir.intervals import date_interval, number_interval
from healthbrain.fhir.validation import validate

__all__ = [
    "Decimal",
    "Definitions",
    "SearchParameter",
    "date_interval",
    "definitions",
    "dump",
    "extract",
    "number_interval",
    "parse",
    "validate",
]
