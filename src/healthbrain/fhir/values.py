"""What a resource is found by: the index values extracted from it, as plain immutable records.

`fhir` extracts them (no I/O), `store` hashes and writes them. One `IndexValues` per resource write; see `extract`.
They are named tuples and not dataclasses because a resource yields dozens of them and a tuple is built in C.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Token(NamedTuple):
    """A token search value: `system` is '' when the element has none; `text` is the display for :text.

    A CodeableConcept gives one token for each coding, and one with empty system and code for its own `text`
    when no coding displays just that. A code of a required binding carries the system the binding gives it.
    """

    param: str
    system: str
    code: str
    text: str = ""
    type_system: str = ""  # Identifier.type coding, for :of-type
    type_code: str = ""


class Reference(NamedTuple):
    """A reference search value. A literal one has `type` and `id`; an absolute or canonical one has `url`;
    a logical one has `system` and `value`."""

    param: str
    type: str = ""
    id: str = ""
    url: str = ""
    version: str = ""
    system: str = ""
    value: str = ""


class Text(NamedTuple):
    """A string search value as written; the store normalises (NFKC, case and accents folded)."""

    param: str
    value: str


class DateRange(NamedTuple):
    """A date search value as the half-open interval [low, high) in UTC that its precision covers; None = open."""

    param: str
    low: datetime | None
    high: datetime | None


class Number(NamedTuple):
    """A number or quantity as the interval its precision covers. `system|code` are the unit; '' for plain numbers.

    An end that is open (comparator, one-sided Range) is an infinity.
    """

    param: str
    low: float
    high: float
    value: float
    system: str = ""
    code: str = ""
    unit: str = ""


class Uri(NamedTuple):
    """A uri search value."""

    param: str
    value: str


class Position(NamedTuple):
    """A place on earth, in degrees (WGS 84)."""

    param: str
    latitude: float
    longitude: float


class Composite(NamedTuple):
    """The component values of a composite parameter that stand together in one element, in component order.

    The parts' own `param` is empty: their place tells which component they are.
    """

    param: str
    parts: tuple[Token | Reference | Text | DateRange | Number | Uri, ...]


class IndexValues(NamedTuple):
    """Everything a resource can be found by."""

    tokens: tuple[Token, ...] = ()
    references: tuple[Reference, ...] = ()
    texts: tuple[Text, ...] = ()
    dates: tuple[DateRange, ...] = ()
    numbers: tuple[Number, ...] = ()
    uris: tuple[Uri, ...] = ()
    composites: tuple[Composite, ...] = ()
    patients: tuple[str, ...] = ()  # logical ids of the patients in whose compartment it lies
    positions: tuple[Position, ...] = ()
    contained: tuple[str, ...] = ()  # the types of the resources it contains
