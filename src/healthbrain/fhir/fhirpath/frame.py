"""What an evaluation carries along: the run with everything passed in, and the frame with $this, $index, $total."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from healthbrain.fhir.fhirpath.budget import Budget
from healthbrain.fhir.fhirpath.values import Collection, Item

UserFunction = Callable[..., Any]
Trace = Callable[[str, list[Any]], None]


class Run:
    """One evaluation: the resources around the context and what the caller passed in. Changes nothing outside."""

    __slots__ = ("at", "budget", "context", "env", "functions", "resource", "root", "trace")

    def __init__(
        self,
        context: Collection,
        resource: Item | None,
        root: Item | None,
        env: Mapping[str, Any],
        functions: Mapping[str, UserFunction],
        at: datetime | None,
        trace: Trace | None,
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget
        self.context = context
        self.resource = resource
        self.root = root
        self.env = env
        self.functions = functions
        self.at = at
        self.trace = trace


class Frame:
    """Where an expression stands: its focus `this`, the place in an iteration, and the variables defined so far."""

    __slots__ = ("index", "run", "this", "total", "variables")

    def __init__(
        self,
        run: Run,
        this: Collection,
        index: int,
        total: Collection | None,
        variables: Mapping[str, Collection],
    ) -> None:
        self.run = run
        self.this = this
        self.index = index
        self.total = total
        self.variables = variables

    def inner(self) -> Frame:
        """A frame for an iteration within this one."""
        return Frame(self.run, self.this, self.index, self.total, self.variables)


Evaluator = Callable[[Frame], Collection]
