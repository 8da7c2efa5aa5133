"""FHIRPath's functions in the typed form: how they are declared and called.

Rule source: FHIRPath N1 and 3.0, Functions; SQL on FHIR v2. A function that no module declares has no form in SQL and says so;
views with it can be evaluated row by row (`oracle`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from healthbrain.fhir.fhirpath.functions import FUNCTIONS as KNOWN
from healthbrain.fhir.fhirpath.syntax import Call, Member
from healthbrain.lake.sof.ir import (
    Sql,
    Value,
)
from healthbrain.lake.sof.operators import (
    operand,
)

if TYPE_CHECKING:
    from healthbrain.lake.sof.paths import Resolver, Scope

Apply = Callable[[Sql], Sql]
Function = Callable[["Resolver", Value, Call, "Scope"], Value]

_FUNCTIONS: dict[str, tuple[Function, int, int]] = {}
_TYPED = ("ofType", "as", "is", "getReferenceKey")


def call(resolver: Resolver, node: Call, scope: Scope) -> Value:
    """What a function yields."""
    known = _FUNCTIONS.get(node.name)
    if known is None:
        if node.name in KNOWN or node.name == "sort":
            raise resolver.unsupported(f"the function {node.name}()", node)
        raise resolver.wrong(f"there is no function {node.name}()", node)
    function, least, most = known
    if not least <= len(node.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise resolver.wrong(f"{node.name}() takes {wanted} arguments, not {len(node.arguments)}", node)
    base = scope.this if node.base is None else resolver.of(node.base, scope)
    return function(resolver, base, node, scope)


def function(name: str, least: int = 0, most: int | None = None) -> Callable[[Function], Function]:
    """Declare a function with its number of arguments."""

    def declare(implementation: Function) -> Function:
        _FUNCTIONS[name] = (implementation, least, least if most is None else most)
        return implementation

    return declare


def argument(resolver: Resolver, node: Call, scope: Scope, place: int = 0) -> Value:
    """An argument that is evaluated where the function stands, as one item."""
    return operand(resolver, resolver.of(node.arguments[place], scope), f"{node.name}()", node)


def type_name(resolver: Resolver, node: Call) -> tuple[str, ...]:
    match node.arguments:
        case (Member(None, name),):
            return (name,)
        case (Member(Member(None, namespace), name),):
            return (namespace, name)
    raise resolver.wrong(f"{node.name}() takes the name of a type", node)
