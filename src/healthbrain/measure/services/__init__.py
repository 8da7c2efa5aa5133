"""Published data services: the registry, what they answer, how they are used (HUB-03). `runtime.services` calls them for somebody."""

from healthbrain.measure.services.read import Read, Reader, Row, read_measure, read_statement
from healthbrain.measure.services.service import (
    Deprecated,
    Parameter,
    Service,
    answering,
    read_parameters,
    registry_of,
    service,
    services,
)
from healthbrain.measure.services.usage import Use, admit, count, tidy, used

__all__ = [
    "Deprecated",
    "Parameter",
    "Read",
    "Reader",
    "Row",
    "Service",
    "Use",
    "admit",
    "answering",
    "count",
    "read_measure",
    "read_parameters",
    "read_statement",
    "registry_of",
    "service",
    "services",
    "tidy",
    "used",
]
