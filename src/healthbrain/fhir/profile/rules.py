"""A FHIRPath rule of a type or a profile, compiled, and its evaluation on one element.

A rule is broken only when it is false (docs/spec-readings.md#fhirpath-published). Rules are read as R4 writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from healthbrain.fhir.definitions import Invariant
from healthbrain.fhir.fhirpath import Expression, Node, Unanswerable, Unreadable, compile
from healthbrain.fhir.findings import Place
from healthbrain.fhir.profile.report import Report

# what the structural validation decides: content or children, value or extensions, the XHTML of narratives
STRUCTURAL = frozenset(["ele-1", "ext-1", "txt-1", "txt-2"])

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Scope:
    """The resource an element is in, its container (itself unless contained), functions rules may use, and the time."""

    resource: Any
    root: Any
    functions: Functions
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be evaluated; `expression` is None when it cannot be read."""

    key: str
    severity: Literal["error", "warning"]
    expression: Expression | None
    text: str

    def check(self, element: Node, place: Place, scope: Scope, report: Report) -> None:
        """Note it when the element breaks the rule."""
        if self.expression is None:
            report.unchecked(self.text, place, f"{self.text}: the rule is no readable FHIRPath and was not checked")
            return
        try:
            kept = self.expression.boolean(
                element, resource=scope.resource, root=scope.root, functions=scope.functions, at=scope.at
            )
        except Unanswerable as problem:
            report.unchecked(self.text, place, f"{self.text}: the rule was not checked ({problem.reason})")
            return
        if kept is False:
            report.add(self.severity, "invariant", place, self.text)


def rule(invariant: Invariant) -> Rule:
    """The compiled rule of a type of R4."""
    return rule_of(invariant.key, invariant.severity, invariant.expression, invariant.human)


def rule_of(key: str, severity: str, expression: str, human: str, origin: str = "") -> Rule:
    """A compiled rule; `origin` names the profile it comes from."""
    text = f"{key}: {human}"
    return Rule(
        key,
        "warning" if severity == "warning" else "error",
        _expression(expression),
        f"{text} (profile {origin})" if origin else text,
    )


@cache
def _expression(text: str) -> Expression | None:
    try:
        return compile(text, published=True)
    except (Unreadable, Unanswerable):
        return None
