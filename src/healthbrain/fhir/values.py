"""What a resource is found by: the index values extracted from it, as plain frozen data.

`fhir` extracts them (no I/O), `store` hashes and writes them. One record per resource write; see `extract`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A token search value: `system` is '' when the element has none; `text` is the display for :text."""

    param: str
    system: str
    code: str
    text: str = ""
    type_system: str = ""  # Identifier.type coding, for :of-type
    type_code: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference search value. A literal one has `type` and `id`; an absolute or canonical one has `url`;
    a logical one has `system` and `value`."""

    param: str
    type: str = ""
    id: str = ""
    url: str = ""
    version: str = ""
    system: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A string search value as written; the store normalises (NFKC, case and accents folded)."""

    param: str
    value: str


@dataclass(frozen=True, slots=True)
class DateRange:
    """A date search value as the half-open interval [low, high) in UTC that its precision covers; None = open."""

    param: str
    low: datetime | None
    high: datetime | None


@dataclass(frozen=True, slots=True)
class Number:
    """A number or quantity as the interval its precision covers. `system|code` are the unit; '' for plain numbers."""

    param: str
    low: float
    high: float
    value: float
    system: str = ""
    code: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Uri:
    """A uri search value."""

    param: str
    value: str


@dataclass(frozen=True, slots=True)
class Composite:
    """The component values of a composite parameter that stand together in one element, in component order."""

    param: str
    parts: tuple[Token | Reference | Text | DateRange | Number | Uri, ...]


@dataclass(frozen=True, slots=True)
class IndexValues:
    """Everything a resource can be found by."""

    tokens: tuple[Token, ...] = ()
    references: tuple[Reference, ...] = ()
    texts: tuple[Text, ...] = ()
    dates: tuple[DateRange, ...] = ()
    numbers: tuple[Number, ...] = ()
    uris: tuple[Uri, ...] = ()
    composites: tuple[Composite, ...] = ()
    patients: tuple[str, ...] = field(default=())  # logical ids of the patients in whose compartment it lies
