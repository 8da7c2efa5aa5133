"""How functions are declared: name, number of arguments, and whether arguments are evaluated for each item.

A plain function gets the input items, the frame and its arguments as collections. A scoped one gets the input items,
the frame and its arguments as evaluators, which it calls with a frame of its own making.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from healthbrain.fhir.fhirpath.values import Collection

Implementation = Callable[..., Collection]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of FHIRPath: `least` to `most` arguments (None = any number)."""

    name: str
    least: int
    most: int | None
    scoped: bool
    call: Implementation

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= count and (self.most is None or count <= self.most)

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Table:
    """The functions a module declares."""

    functions: dict[str, Function] = field(default_factory=dict)

    def plain(self, name: str, least: int = 0, most: int | None = -1) -> Callable[[Implementation], Implementation]:
        """Declare a function whose arguments are evaluated once, before it."""
        return self._declare(name, least, most, scoped=False)

    def scoped(self, name: str, least: int = 0, most: int | None = -1) -> Callable[[Implementation], Implementation]:
        """Declare a function that evaluates its arguments itself."""
        return self._declare(name, least, most, scoped=True)

    def _declare(
        self, name: str, least: int, most: int | None, *, scoped: bool
    ) -> Callable[[Implementation], Implementation]:
        def declare(call: Implementation) -> Implementation:
            self.functions[name] = Function(name, least, least if most == -1 else most, scoped, call)
            return call

        return declare
