"""What a check finds: issues located by FHIRPath, or, when only asked whether something fits, the first mismatch.

An issue names the rule or the profile it comes from and never repeats a value of the resource.
"""

from __future__ import annotations

from healthbrain.errors import Issue, Severity
from healthbrain.fhir.findings import Enough, Place, path

MOST = 500


class Mismatch(Exception):
    """An element does not fit; raised where nobody wants to know more."""


class Report:
    """The issues of one validation."""

    __slots__ = ("_unchecked", "issues")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self._unchecked: set[str] = set()

    def add(self, severity: Severity, code: str, place: Place | None, text: str) -> None:
        """Note a finding. Raises Enough at the limit."""
        self.issues.append(Issue(severity, code, path(place), text))
        if len(self.issues) >= MOST:
            raise Enough

    def error(self, code: str, place: Place | None, text: str) -> None:
        """Note an error."""
        self.add("error", code, place, text)

    def unchecked(self, what: str, place: Place | None, text: str) -> None:
        """Note, once for each `what`, that something could not be checked."""
        if what not in self._unchecked:
            self._unchecked.add(what)
            self.add("information", "not-found", place, text)


class Question(Report):
    """Asks only whether something fits: the first error ends it, everything else is of no interest."""

    __slots__ = ()

    def add(self, severity: Severity, code: str, place: Place | None, text: str) -> None:
        """Raises Mismatch for an error."""
        if severity == "error":
            raise Mismatch

    def unchecked(self, what: str, place: Place | None, text: str) -> None:
        """What cannot be checked does not speak against a fit."""
