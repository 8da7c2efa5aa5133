"""What an item of a collection can be: a FHIR element with its type, or a System value.

System values are Python's where Python has them: bool, str, int (Integer), Decimal; and Long, Date, DateTime, Time,
Quantity, TypeInfo where it has not. A FHIR element is a `Node`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Item = Any  # Node or a System value; Python has no closed union that includes its own int without bool
Collection = list[Item]


class Long(int):
    """A System.Long, a 64-bit whole number: `5L`."""

    __slots__ = ()


class TypeInfo(NamedTuple):
    """What type() tells of an item."""

    namespace: str
    name: str
    base_type: str


class Node:
    """A FHIR element: its JSON value, its R4 type, and the `_name` sibling of a primitive with id and extensions.

    `type` is '' for elements of no known type (logical models, free JSON).
    """

    __slots__ = ("extra", "type", "value")

    def __init__(self, value: Any, type: str, extra: dict[str, Any] | None = None) -> None:
        self.value = value
        self.type = type
        self.extra = extra

    def __repr__(self) -> str:
        return f"<{self.type or 'element'}>"  # never the value: it may be a patient's
