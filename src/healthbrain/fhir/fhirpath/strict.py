"""Strict mode: what can never work on a type, found without data.

Rule source: FHIRPath N1, Type safety and strict evaluation, and Path selection. Every expression gets a shape: the types
its items can have (None = unknown), whether there can be several, whether their order means anything. Found are names
that no possible type has, types that do not fit the root, order taken where there is none, and conditions that are
never a Boolean. What the model does not know is accepted: a finding is always a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.functions import FUNCTIONS
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Node,
    Ordered,
    Sign,
    Special,
    TypeTest,
    Variable,
)
from healthbrain.fhir.fhirpath.types import type_of


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a collection before there is any: FHIR type names, or `System.` and a name."""

    types: frozenset[str] | None = None
    many: bool = True
    ordered: bool = True


UNKNOWN = Shape()
_OPEN = ("Resource", "DomainResource", "Element", "BackboneElement")  # any type may stand there

_TRUTH = [
    "empty",
    "exists",
    "all",
    "allTrue",
    "anyTrue",
    "allFalse",
    "anyFalse",
    "subsetOf",
    "supersetOf",
    "isDistinct",
    "not",
    "hasValue",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "matchesFull",
    "memberOf",
    "subsumes",
    "subsumedBy",
    "conformsTo",
    "htmlChecks",
    "comparable",
    "is",
]
_NUMBER = [
    "count",
    "length",
    "indexOf",
    "lastIndexOf",
    "precision",
    "yearOf",
    "monthOf",
    "dayOf",
    "hourOf",
    "minuteOf",
    "secondOf",
    "millisecondOf",
]
_TEXT = [
    "substring",
    "upper",
    "lower",
    "replace",
    "replaceMatches",
    "trim",
    "encode",
    "decode",
    "escape",
    "unescape",
    "join",
    "getResourceKey",
    "getReferenceKey",
]
_RESULTS: dict[str, Shape] = {
    **{name: Shape(frozenset(("System.Boolean",)), many=False) for name in _TRUTH},
    **{name: Shape(frozenset(("System.Integer",)), many=False) for name in (*_NUMBER, "duration", "difference")},
    **{name: Shape(frozenset(("System.String",)), many=False) for name in _TEXT},
    **{name: Shape(frozenset(("System.String",))) for name in ("split", "toChars")},
    **{f"convertsTo{name}": Shape(frozenset(("System.Boolean",)), many=False) for name in model.SYSTEM},
    **{f"to{name}": Shape(frozenset((f"System.{name}",)), many=False) for name in model.SYSTEM},
    "now": Shape(frozenset(("System.DateTime",)), many=False),
    "today": Shape(frozenset(("System.Date",)), many=False),
    "timeOfDay": Shape(frozenset(("System.Time",)), many=False),
    "children": Shape(ordered=False),
    "descendants": Shape(ordered=False),
    "extension": Shape(frozenset(("Extension",))),
    "resolve": Shape(frozenset(("Resource",))),
}
_SAME = frozenset(
    ["where", "distinct", "exclude", "intersect", "trace", "defineVariable", "tail", "skip", "take", "abs", "round"]
)
_ONE = frozenset(("first", "last", "single"))
_BY_ORDER = frozenset(("first", "last", "tail", "skip", "take"))
_TRUTH_OPERATORS = frozenset(
    ["=", "!=", "~", "!~", "<", "<=", ">", ">=", "in", "contains", "and", "or", "xor", "implies"]
)


def check(tree: Node, type_: str, text: str) -> tuple[Unanswerable, ...]:
    """What is wrong with an expression on elements of a type, in order of appearance."""
    start = Shape(frozenset((type_,)) if type_ and model.knows(type_) else None, many=False)
    checker = _Checker(text, start)
    checker.shape(tree, start)
    return tuple(sorted(checker.problems, key=lambda problem: (problem.line, problem.column)))


class _Checker:
    def __init__(self, text: str, context: Shape) -> None:
        self.text = text
        self.context = context
        self.problems: list[Unanswerable] = []

    def wrong(self, reason: str, offset: int) -> None:
        problem = Unanswerable(reason).at(self.text, offset)
        if all(problem.args != other.args for other in self.problems):
            self.problems.append(problem)

    def shape(self, node: Node, this: Shape) -> Shape:
        """The shape of a node where the focus has the shape `this`."""
        match node:
            case Literal(value):
                return Shape(frozenset((f"System.{type_of(value).name}",)), many=False)
            case Empty():
                return Shape(frozenset(), many=False)
            case Special(name):
                return this if name == "$this" else UNKNOWN
            case Variable(name):
                return self.context if name == "context" else UNKNOWN
            case Member(base, name):
                if base is None:
                    return self.root(name, this, node.offset)
                return self.member(self.shape(base, this), name, node.offset)
            case Index(base, index):
                self.shape(index, this)
                return self.by_order("an index", self.shape(base, this), node.offset)
            case Sign(_, operand) | Ordered(operand, _):
                return self.shape(operand, this)
            case TypeTest(operator, operand, names):
                return self.cast(self.shape(operand, this), names, truth=operator == "is")
            case Binary(operator, left, right):
                return self.binary(operator, self.shape(left, this), self.shape(right, this))
            case Call():
                return self.call(node, this)

    def root(self, name: str, this: Shape, offset: int) -> Shape:
        if name[:1].isupper() and model.knows(name):
            if this.types is None or any(_related(type_, name) for type_ in this.types):
                return this
            self.wrong(f"the expression begins with {name}, but stands on {_listed(this.types)}", offset)
            return UNKNOWN
        return self.member(this, name, offset)

    def member(self, base: Shape, name: str, offset: int) -> Shape:
        if base.types is None:
            return replace(UNKNOWN, ordered=base.ordered)
        found: set[str] = set()
        known, many = not base.types, base.many
        for type_ in base.types:
            table = _members(type_)
            if table is None or (type_ in _OPEN and name not in table):
                return replace(UNKNOWN, ordered=base.ordered)
            member = table.get(name)
            if member is not None:
                known = True
                many = many or member.repeats
                found.update(member.choices.values() if member.choices is not None else (member.type,))
        if not known:
            self.wrong(f"{_listed(base.types)} has no {name}", offset)
            return UNKNOWN
        return Shape(None if "" in found else frozenset(found), many, base.ordered)

    def by_order(self, what: str, base: Shape, offset: int) -> Shape:
        if not base.ordered:
            self.wrong(f"{what} needs an order, and children have none; sort() or where() first", offset)
        return replace(base, many=False)

    def cast(self, base: Shape, names: tuple[str, ...], *, truth: bool) -> Shape:
        if truth:
            return _RESULTS["is"]
        wanted = model.resolve(names)
        name = wanted.name if wanted.namespace == "FHIR" else f"System.{wanted.name}"
        return replace(base, types=frozenset((name,)))

    def binary(self, operator: str, left: Shape, right: Shape) -> Shape:
        if operator in _TRUTH_OPERATORS:
            return _RESULTS["is"]
        if operator == "|":
            return _united(left, right)
        return _RESULTS["upper"] if operator == "&" else replace(UNKNOWN, many=False)

    def call(self, node: Call, this: Shape) -> Shape:
        base = this if node.base is None else self.shape(node.base, this)
        name = node.name
        if name in ("as", "ofType", "is"):
            argument = node.arguments[0]
            names: tuple[str, ...] = (argument.name,) if isinstance(argument, Member) else ()
            if isinstance(argument, Member) and isinstance(argument.base, Member):
                names = (argument.base.name, argument.name)
            return self.cast(base, names, truth=name == "is")
        if name == "getReferenceKey":
            return _RESULTS[name]
        function = FUNCTIONS.get(name)
        scoped = name == "sort" or (function is not None and function.scoped)
        inner = (base if name in ("iif", "coalesce") else replace(base, many=False, ordered=True)) if scoped else this
        arguments = [self.shape(argument, inner) for argument in node.arguments]
        if name in _BY_ORDER:
            ordered = self.by_order(f"{name}()", base, node.offset)
            base = replace(ordered, many=base.many)
        if name == "iif":
            self.condition(arguments[0], "the criterion of iif()", node.offset)
        return self.result(name, base, arguments)

    def condition(self, found: Shape, what: str, offset: int) -> None:
        if found.types and not found.types & {"System.Boolean", "boolean"}:
            self.wrong(f"{what} is never a Boolean", offset)

    def result(self, name: str, base: Shape, arguments: list[Shape]) -> Shape:
        if name in _RESULTS:
            return _RESULTS[name]
        if name in _SAME:
            return base
        if name in _ONE:
            return replace(base, many=False)
        if name == "sort":
            return replace(base, ordered=True)
        if name == "select" and arguments:
            return replace(arguments[0], many=base.many or arguments[0].many, ordered=base.ordered)
        if name in ("union", "combine") and arguments:
            return _united(base, arguments[0])
        if name in ("iif", "coalesce") and arguments:
            choices = arguments[1:] if name == "iif" else arguments
            found = choices[0] if choices else UNKNOWN
            for choice in choices[1:]:
                found = _united(found, choice)
            return found
        return UNKNOWN


def _members(type_: str) -> dict[str, model.Member] | None:
    if type_.startswith("System."):
        return None if type_ in ("System.Quantity", "System.Any") else {}
    return model.members(type_)


def _related(type_: str, name: str) -> bool:
    return not type_.startswith("System.") and (model.is_a(type_, name) or model.is_a(name, type_))


def _united(one: Shape, other: Shape) -> Shape:
    types = None if one.types is None or other.types is None else one.types | other.types
    return Shape(types, many=True, ordered=one.ordered and other.ordered)


def _listed(types: frozenset[str]) -> str:
    """Types in words; a choice of many by its number."""
    return " or ".join(sorted(types)) if len(types) <= 3 else f"each of {len(types)} types"
