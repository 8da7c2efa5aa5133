"""The errors a user can meet, in one small tree.

    HealthBrainError
    + Incorrect            what was sent is wrong                     400
      - Malformed          it can't even be read (JSON, HL7, charset) 400
      - Invalid            it reads, but breaks the standard          422
      - TooLarge           it is larger than the limit                413
      - Unsupported        right, but we don't do it                  501
    + Unauthenticated      who are you?                               401
    + Forbidden            you may not                                403
    + NotFound             no such thing                              404
      - Gone               it was deleted                             410
    + Conflict             somebody else changed it, or it exists     409
      - PreconditionFailed If-Match or a condition does not hold      412
    + Busy                 too much at once, try later                429
    + Unavailable          a part we need is down (database, disk)    503
    + Fault                our mistake                                500

A message says what is wrong, where, and what to do, and never holds a patient's values: ids, paths and counts
only. `STATUS` maps every class once to HTTP and to the issue code of an OperationOutcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding about what was sent, located by FHIRPath (or segment-field path for HL7 v2).

    `code` is from the FHIR issue-type value set (structure, required, value, invariant, code-invalid ...).
    `text` says what is wrong and what to do; it never repeats the value found.
    """

    severity: Severity
    code: str
    expression: str
    text: str

    def as_fhir(self) -> dict[str, Any]:
        """This finding as an OperationOutcome.issue."""
        issue: dict[str, Any] = {"severity": self.severity, "code": self.code, "diagnostics": self.text}
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


class HealthBrainError(Exception):
    """Something a user or a sender can be told about."""

    def __init__(self, message: str | None = None, *, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message or self.__class__.__doc__)
        self.issues: tuple[Issue, ...] = tuple(issues)

    @property
    def message(self) -> str:
        """What happened, in one sentence."""
        return str(self.args[0])


class Incorrect(HealthBrainError):
    """What was sent is not right."""


class Malformed(Incorrect):
    """What was sent cannot be read."""


class Invalid(Incorrect):
    """What was sent can be read but breaks the standard."""


class TooLarge(Incorrect):
    """What was sent is larger than the limit."""


class Unsupported(Incorrect):
    """What was asked is right but not offered here."""


class Unauthenticated(HealthBrainError):
    """Sign in or send a valid bearer token."""


class Forbidden(HealthBrainError):
    """Your role, organisation or purpose does not allow this."""


class NotFound(HealthBrainError):
    """There is no such thing here."""


class Gone(NotFound):
    """It was here and has been deleted."""


class Conflict(HealthBrainError):
    """It clashes with something that is already here."""


class PreconditionFailed(Conflict):
    """The condition sent with the request does not hold."""


class Busy(HealthBrainError):
    """Too much at once; try again later."""


class Unavailable(HealthBrainError):
    """A part that is needed for this is down; nothing was stored."""


class Fault(HealthBrainError):
    """An error on our side; nothing was stored."""


# class -> (HTTP status, OperationOutcome issue code)
STATUS: dict[type[HealthBrainError], tuple[int, str]] = {
    Malformed: (400, "structure"),
    Invalid: (422, "invariant"),
    TooLarge: (413, "too-long"),
    Unsupported: (501, "not-supported"),
    Incorrect: (400, "invalid"),
    Unauthenticated: (401, "login"),
    Forbidden: (403, "forbidden"),
    Gone: (410, "deleted"),
    NotFound: (404, "not-found"),
    PreconditionFailed: (412, "conflict"),
    Conflict: (409, "conflict"),
    Busy: (429, "throttled"),
    Unavailable: (503, "transient"),
    Fault: (500, "exception"),
    HealthBrainError: (500, "exception"),
}


def http_status(error: HealthBrainError) -> int:
    """The HTTP status that says `error`."""
    return _entry(error)[0]


def operation_outcome(error: HealthBrainError) -> dict[str, Any]:
    """The OperationOutcome that says `error`: its issues, or its message when it has none."""
    issues = [issue.as_fhir() for issue in error.issues]
    if not issues:
        issues = [{"severity": "error", "code": _entry(error)[1], "diagnostics": error.message}]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _entry(error: HealthBrainError) -> tuple[int, str]:
    for cls in type(error).__mro__:
        if cls in STATUS:
            return STATUS[cls]
    return STATUS[HealthBrainError]
