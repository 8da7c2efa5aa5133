"""FHIR XML: the same resources as in JSON, written in elements and attributes.

    from_xml(raw) -> dict       the resource as JSON would give it, decimals exact, the narrative as it stands
    to_xml(resource) -> bytes   elements in the order of the standard

Rule source: R4, XML page; element order, cardinality and types come from the compiled definitions. Readings of unclear
points: docs/spec-readings.md#fhir-r4-xml.
"""

from healthbrain.fhir.xml.reading import from_xml
from healthbrain.fhir.xml.writing import to_xml

__all__ = ["from_xml", "to_xml"]
