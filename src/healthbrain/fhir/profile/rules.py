"""A FHIRPath rule of a type or a profile, compiled, and its evaluation on one element.

A rule is broken only when it is false (docs/spec-readings.md#fhirpath-published). Rules are read as R4 writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from healthbrain.fhir.definitions import Invariant
from healthbrain.fhir.fhirpath import Expression, Node, Unanswerable, Unreadable, compile
from healthbrain.fhir.fhirpath.budget import Budget, Exhausted
from healthbrain.fhir.findings import Place
from healthbrain.fhir.profile.ground import Scope
from healthbrain.fhir.profile.linear import Check, linear_form
from healthbrain.fhir.profile.report import Report

# what the structural validation decides: content or children, value or extensions, the XHTML of narratives
STRUCTURAL = frozenset(["ele-1", "ext-1", "txt-1", "txt-2"])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, ready to be evaluated; `expression` is None when it cannot be read."""

    key: str
    severity: Literal["error", "warning"]
    expression: Expression | None
    text: str
    linear: Check | None = None

    def check(self, element: Node, place: Place, scope: Scope, report: Report, budget: Budget | None = None) -> None:
        """Note it when the element breaks the rule. A profile's rule spends from the `budget`."""
        if self.linear is not None and isinstance(element.value, dict):
            if not self.linear(element.value, scope):
                report.add(self.severity, "invariant", place, self.text)
            return
        if self.expression is None:
            report.unchecked(self.text, place, f"{self.text}: the rule is no readable FHIRPath and was not checked")
            return
        try:
            if budget is not None and budget.spent:
                raise Exhausted
            kept = self.expression.boolean(
                element, resource=scope.resource, root=scope.root, functions=scope.functions, at=scope.at, budget=budget
            )
        except Exhausted:
            text = (
                f"{self.text}: the rules of the profile take too many steps on this resource and were not all checked"
            )
            report.costly(self.text, place, text)
            return
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
        _expression(expression, limited=bool(origin)),
        f"{text} (profile {origin})" if origin else text,
        linear_form(key, expression),
    )


@cache
def _expression(text: str, *, limited: bool) -> Expression | None:
    try:
        return compile(text, published=True, limited=limited)
    except (Unreadable, Unanswerable):
        return None
