"""Expressions: text once parsed and compiled, then evaluated on any number of resources.

Evaluation is pure: the time, terminology, profiles and other resources come from what the caller passes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from healthbrain.fhir.fhirpath.budget import Budget
from healthbrain.fhir.fhirpath.compiler import Compiler
from healthbrain.fhir.fhirpath.frame import Frame, Run, Trace, UserFunction
from healthbrain.fhir.fhirpath.nodes import collection_of, node_of
from healthbrain.fhir.fhirpath.parser import parse
from healthbrain.fhir.fhirpath.problems import Unanswerable, Unreadable
from healthbrain.fhir.fhirpath.singletons import boolean
from healthbrain.fhir.fhirpath.strict import check
from healthbrain.fhir.fhirpath.values import Collection, Node

_NONE: Mapping[str, Any] = {}


class Expression:
    """A compiled FHIRPath expression. Obtain it from `compile`; call it with the element it is evaluated on.

    >>> compile("name.given")({"resourceType": "Patient", "name": [{"given": ["伟"]}]})
    ['伟']
    """

    __slots__ = ("_checked", "_evaluate", "limited", "strict", "text", "tree")

    def __init__(self, text: str, *, published: bool = False, strict: bool = False, limited: bool = False) -> None:
        self.text = text
        self.strict = strict
        self.limited = limited
        self.tree = parse(text)
        self._checked: dict[str, tuple[Unanswerable, ...]] = {}
        try:
            self._evaluate = Compiler(text, published=published, limited=limited).evaluator(self.tree)
        except RecursionError:
            raise Unreadable("the expression is nested too deep; split it", text, 0) from None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(
        self,
        context: Any,
        *,
        type: str = "",
        resource: Any = None,
        root: Any = None,
        env: Mapping[str, Any] = _NONE,
        functions: Mapping[str, UserFunction] = _NONE,
        at: datetime | None = None,
        trace: Trace | None = None,
    ) -> list[Any]:
        """The result as plain values: JSON of elements, Python's bool, str, int, Decimal, and Date, Quantity ...

        `context` is a resource, or an element of the given `type` (such as `Patient.contact`) within `resource`
        within `root`. `env` are variables (%name), `functions` those of the caller, among them `resolve(url)`,
        `memberOf(value, url)`, `subsumes(a, b)` and `conformsTo(element, url)`. `at` is what now() and today() say.
        """
        found = self.items(
            context, type=type, resource=resource, root=root, env=env, functions=functions, at=at, trace=trace
        )
        return [item.value if item.__class__ is Node else item for item in found]

    def items(
        self,
        context: Any,
        *,
        type: str = "",
        resource: Any = None,
        root: Any = None,
        env: Mapping[str, Any] = _NONE,
        functions: Mapping[str, UserFunction] = _NONE,
        at: datetime | None = None,
        trace: Trace | None = None,
        budget: Budget | None = None,
    ) -> Collection:
        """The result with types: `Node`s for elements, System values as they are.

        A `limited` expression spends from the `budget`, or from one of its own.
        """
        if context.__class__ is dict:
            focus: Collection = [Node(context, context.get("resourceType") or type)]
        elif type and context is not None and not isinstance(context, (list, tuple)):
            focus = [node_of(context, type)]
        else:
            focus = collection_of(context)
        here = (focus[0] if focus else None) if resource is None else node_of(resource)
        if self.strict and focus and isinstance(focus[0], Node):
            self.require(focus[0].type)
        run = Run(focus, here, here if root is None else node_of(root), env, functions, at, trace, budget)
        if self.limited and budget is None:
            run.budget = Budget()
        try:
            return list(self._evaluate(Frame(run, focus, 0, None, _NONE)))
        except RecursionError:
            raise Unanswerable("the expression or the data are nested too deep") from None
        except ArithmeticError:
            raise Unanswerable("a number is out of range") from None

    def boolean(self, context: Any, **given: Any) -> bool | None:
        """The result as a condition: one Boolean as it is, any other single item true, nothing None.

        Takes what a call takes.
        """
        try:
            return boolean(self.items(context, **given), "the condition")
        except Unanswerable as problem:
            raise problem.at(self.text, 0) from None

    def problems(self, type: str) -> tuple[Unanswerable, ...]:
        """What is wrong with the expression on elements of `type`, found without data: unknown paths, order ..."""
        found = self._checked.get(type)
        if found is None:
            found = self._checked[type] = check(self.tree, type, self.text)
        return found

    def require(self, type: str) -> None:
        """Raise the first of `problems`."""
        for problem in self.problems(type):
            raise problem


@lru_cache(maxsize=8192)
def compile(text: str, *, published: bool = False, strict: bool = False, limited: bool = False) -> Expression:
    """The expression `text`, compiled once and kept.

    `strict` refuses paths and calls that cannot mean anything on the type at hand (see `Expression.problems`).
    `published` is for the invariants and search parameters of R4 itself: there `as` filters several items, and
    `is Boolean` means FHIR's boolean too.
    `limited` is for expressions of strangers: they may do only so much work (see `budget`), then raise Exhausted.
    Raises Unreadable with line and column, or Unanswerable for unknown types and wrong numbers of arguments.
    """
    return Expression(text, published=published, strict=strict, limited=limited)


def evaluate(text: str, resource: Any, **given: Any) -> list[Any]:
    """`compile(text)(resource, ...)`"""
    return compile(text)(resource, **given)
