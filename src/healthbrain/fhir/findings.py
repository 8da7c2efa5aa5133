"""Collecting what is wrong with a resource, and where.

While a resource is checked its place is a linked list of (parent, label, index), one small tuple per object; text is
made of it only when something is wrong. Places are FHIRPath: `Patient.contact[0].name.family`,
`Observation.value.ofType(Quantity).value`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from healthbrain.errors import Issue

MOST = 100
SINGLE = -1
Place = tuple["Place | None", str, int]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Enough(Exception):
    """The limit of findings is reached; looking further would not help the sender."""


def path(place: Place | None) -> str:
    """The place as FHIRPath."""
    parts: list[str] = []
    while place is not None:
        parent, label, index = place
        parts.append(label if index == SINGLE else f"{label}[{index}]")
        place = parent
    return ".".join(reversed(parts))


class Findings:
    """The issues of one validation, and what must be known across its elements."""

    __slots__ = ("bundle", "contained", "inside", "issues", "later", "transaction")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.contained: dict[str, str] = {}  # id -> type of the resources contained in the current one
        self.inside = False  # within a contained resource
        self.bundle: dict[str, str] = {}  # fullUrl -> type of the entries of the current Bundle
        self.transaction = False  # within a transaction or batch, where conditional references are allowed
        self.later: list[tuple[str, Sequence[str], Place]] = []  # references into the Bundle, to be resolved at its end

    def add(self, code: str, place: Place | None, text: str) -> None:
        """Note a finding. Raises Enough at the limit."""
        self.issues.append(Issue("error", code, path(place), text))
        if len(self.issues) >= MOST:
            raise Enough

    def at(self, code: str, place: Place, label: str, text: str) -> None:
        """Note a finding about an element of the object at `place`."""
        self.add(code, (place, label, SINGLE), text)

    def unknown(self, place: Place, key: str, type_name: str) -> None:
        """Note an element the type does not have; a key that could be a value is not repeated."""
        if _NAME.fullmatch(key):
            self.at("structure", place, key, f"{type_name} has no such element; remove it or use an extension")
        else:
            self.add("structure", place, "has an element whose name is not a FHIR element name; remove it")
