"""The functions of FHIRPath, a module for each chapter of the specification."""

from __future__ import annotations

from healthbrain.fhir.fhirpath.functions import (
    conversion,
    existence,
    mathematics,
    references,
    selection,
    strings,
    temporal,
    utility,
)
from healthbrain.fhir.fhirpath.functions.registry import Function

FUNCTIONS: dict[str, Function] = {
    name: function
    for module in (existence, selection, conversion, strings, mathematics, temporal, utility, references)
    for name, function in module.TABLE.functions.items()
}

__all__ = ["FUNCTIONS", "Function"]
