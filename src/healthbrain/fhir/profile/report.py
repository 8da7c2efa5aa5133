"""What a check finds: issues located by FHIRPath, or, when only asked whether something fits, the first mismatch.

An issue names the rule or the profile it comes from and never repeats a value of the resource.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from healthbrain.errors import Issue, Severity
from healthbrain.fhir.findings import Enough, Place, path

MOST = 500  # errors after which looking further would not help the sender
ALIKE = 20  # warnings of one text; the rest are only counted


class Mismatch(Exception):
    """An element does not fit; raised where nobody wants to know more."""


class Report:
    """The issues of one validation."""

    __slots__ = ("_alike", "_errors", "_told", "_unchecked", "issues")

    def __init__(self, issues: Sequence[Issue] = ()) -> None:
        self.issues: list[Issue] = list(issues)
        self._errors = len(self.issues)
        self._told: set[Issue] = set()
        self._unchecked: set[str] = set()
        self._alike: Counter[str] = Counter()

    def add(self, severity: Severity, code: str, place: Place | None, text: str) -> None:
        """Note a finding. Raises Enough at the limit of errors."""
        issue = Issue(severity, code, path(place), text)
        if issue in self._told:  # a slice repeats what its element asks in published snapshots
            return
        self._told.add(issue)
        if severity != "error":
            self._alike[text] += 1
            if self._alike[text] > ALIKE:
                return
        self.issues.append(issue)
        if severity == "error":
            self._errors += 1
            if self._errors >= MOST:
                raise Enough

    def finished(self) -> list[Issue]:
        """All issues, with a word on those that were left out."""
        left_out = sum(count - ALIKE for count in self._alike.values() if count > ALIKE)
        if left_out:
            text = f"{left_out} more warnings and notes say the same of other places"
            self.issues.append(Issue("information", "informational", "", text))
        if self._errors >= MOST:
            text = f"checking ended after {MOST} errors; mend these and validate again"
            self.issues.append(Issue("warning", "too-costly", "", text))
        return self.issues

    def error(self, code: str, place: Place | None, text: str) -> None:
        """Note an error."""
        self.add("error", code, place, text)

    def unchecked(self, what: str, place: Place | None, text: str) -> None:
        """Note, once for each `what`, that something could not be checked."""
        if what not in self._unchecked:
            self._unchecked.add(what)
            self.add("information", "not-found", place, text)

    def costly(self, what: str, place: Place | None, text: str) -> None:
        """Warn, once for each `what`, that something was not checked because it takes too long."""
        if what not in self._unchecked:
            self._unchecked.add(what)
            self.add("warning", "too-costly", place, text)


class Question(Report):
    """Asks only whether something fits: the first error ends it, everything else is of no interest."""

    __slots__ = ()

    def add(self, severity: Severity, code: str, place: Place | None, text: str) -> None:
        """Raises Mismatch for an error."""
        if severity == "error":
            raise Mismatch

    def costly(self, what: str, place: Place | None, text: str) -> None:
        """What takes too long does not speak against a fit."""

    def unchecked(self, what: str, place: Place | None, text: str) -> None:
        """What cannot be checked does not speak against a fit."""
