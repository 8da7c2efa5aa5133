"""A tree becomes one Python function: closures built once, called for every evaluation.

Arguments of ordinary functions are evaluated where the function stands ($this unchanged); scoped functions get their
arguments unevaluated. A name at the root of a path is the type of the focus when it names it, else a member of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from healthbrain.fhir.fhirpath import arithmetic, comparison, model, types
from healthbrain.fhir.fhirpath.budget import COMPARING_FUNCTIONS, comparing, pairs, weight
from healthbrain.fhir.fhirpath.frame import Evaluator, Frame
from healthbrain.fhir.fhirpath.functions import FUNCTIONS
from healthbrain.fhir.fhirpath.functions.references import reference_keys
from healthbrain.fhir.fhirpath.functions.selection import sort
from healthbrain.fhir.fhirpath.nodes import collection_of, plain, step
from healthbrain.fhir.fhirpath.operators import FALSE, LOGIC, NOTHING, OPERATORS, TRUE, equals_text, one
from healthbrain.fhir.fhirpath.paths import chain
from healthbrain.fhir.fhirpath.problems import Unanswerable
from healthbrain.fhir.fhirpath.singletons import boolean, integer
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
from healthbrain.fhir.fhirpath.values import Collection
from healthbrain.fhir.fhirpath.values import Node as Element

URLS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
VALUE_SETS = "http://hl7.org/fhir/ValueSet/"
EXTENSIONS = "http://hl7.org/fhir/StructureDefinition/"


class Compiler:
    """Compiles the tree of one text; `published` as in types.TypeTest, `limited` as in budget."""

    def __init__(self, text: str, *, published: bool, limited: bool = False) -> None:
        self.text = text
        self.published = published
        self.limited = limited

    def evaluator(self, node: Node) -> Evaluator:
        """The function that evaluates a node; variables that its path defines end with it."""
        found = self._open(node)
        return _restoring(found) if _defines(node) else found

    def _open(self, node: Node) -> Evaluator:
        """The function that evaluates a node, the variables it defines left for the next step of the path."""
        found = self._of(node)
        return _counted(found) if self.limited else found

    def _of(self, node: Node) -> Evaluator:
        match node:
            case Literal(value):
                constant = [value]
                return lambda frame: constant
            case Empty():
                return lambda frame: NOTHING
            case Member():
                return self._path(node)
            case Call():
                return self._call(node)
            case Binary():
                return self._binary(node)
            case Special():
                return self._special(node)
            case Variable():
                return self._variable(node)
            case Index():
                return self._index(node)
            case Sign():
                return self._sign(node)
            case TypeTest(operator, operand, names):
                return self._type_test(self.evaluator(operand), operator, names, node.offset)
        raise Unanswerable("asc and desc stand in the arguments of sort() only").at(self.text, node.offset)

    def _path(self, node: Member) -> Evaluator:
        """A chain of members."""
        names: list[str] = []
        base: Node | None = node
        while isinstance(base, Member) and base.base is not None:
            names.append(base.name)
            base = base.base
        if isinstance(base, Member) and not _may_be_type(base.name):
            names.append(base.name)
            base = None
        start = _this if base is None else _root(base.name) if isinstance(base, Member) else self._open(base)
        if not names:
            return start
        walk = chain(tuple(reversed(names)))
        if base is None:
            return lambda frame: walk(frame.this)
        return lambda frame: walk(start(frame))

    def _special(self, node: Special) -> Evaluator:
        if node.name == "$this":
            return _this
        if node.name == "$index":
            return lambda frame: [frame.index]

        def total(frame: Frame) -> Collection:
            if frame.total is None:
                raise Unanswerable("$total has a value within aggregate() only").at(self.text, node.offset)
            return frame.total

        return total

    def _variable(self, node: Variable) -> Evaluator:
        name = node.name
        url = URLS.get(name)
        if name.startswith("vs-"):
            url = VALUE_SETS + name[3:]
        elif name.startswith("ext-"):
            url = EXTENSIONS + name[4:]
        known = None if url is None else [url]

        def look_up(frame: Frame) -> Collection:
            run = frame.run
            if name in frame.variables:
                return frame.variables[name]
            if name == "context":
                return run.context
            if name == "resource":
                return [] if run.resource is None else [run.resource]
            if name == "rootResource":
                return [] if run.root is None else [run.root]
            if name in run.env:
                return collection_of(run.env[name])
            if known is not None:
                return known
            raise Unanswerable(f"there is no variable %{name}; pass it in env=").at(self.text, node.offset)

        return look_up

    def _index(self, node: Index) -> Evaluator:
        base, index = self._open(node.base), self.evaluator(node.index)
        if isinstance(node.index, Literal) and type(node.index.value) is int:
            place = node.index.value
            return lambda frame: base(frame)[place : place + 1]

        def at(frame: Frame) -> Collection:
            items = base(frame)
            try:
                number = integer(index(frame), "an index")
            except Unanswerable as problem:
                raise problem.at(self.text, node.offset) from None
            return [] if number is None or number < 0 else items[number : number + 1]

        return at

    def _sign(self, node: Sign) -> Evaluator:
        apply = arithmetic.negative if node.sign == "-" else arithmetic.positive
        return self._guarded(self.evaluator(node.operand), None, lambda items, _: one(apply(items)), node.offset)

    def _binary(self, node: Binary) -> Evaluator:
        left, right = self.evaluator(node.left), self.evaluator(node.right)
        operator = node.operator
        if operator in LOGIC:
            return LOGIC[operator](left, right, self._located(node.offset))
        if operator in ("=", "!=") and isinstance(node.right, Literal) and type(node.right.value) is str:
            return equals_text(left, node.right.value, TRUE if operator == "=" else FALSE)
        if operator == "|" and isinstance(node.left, (Literal, Binary)) and isinstance(node.right, Literal):
            constants = _constants(node)
            if constants is not None:
                known = comparison.distinct(constants)
                return lambda frame: known
        return self._guarded(left, right, OPERATORS[operator], node.offset, operator if self.limited else "")

    def _located(self, offset: int) -> Callable[[Collection, str], bool | None]:
        """`boolean` that tells where it failed."""

        def condition(items: Collection, what: str) -> bool | None:
            try:
                return boolean(items, what)
            except Unanswerable as problem:
                raise problem.at(self.text, offset) from None

        return condition

    def _guarded(
        self,
        left: Evaluator,
        right: Evaluator | None,
        apply: Callable[[Collection, Collection], Collection],
        offset: int,
        counted: str = "",
    ) -> Evaluator:
        """An operator that tells where it failed; `counted` names it when what it compares is counted."""
        text = self.text

        def evaluate(frame: Frame) -> Collection:
            one = left(frame)
            other = NOTHING if right is None else right(frame)
            if counted and frame.run.budget is not None:
                comparing(counted, one, other, frame.run.budget)
            try:
                return apply(one, other)
            except Unanswerable as problem:
                raise problem.at(text, offset) from None

        return evaluate

    def _type_test(self, operand: Evaluator, operator: str, names: tuple[str, ...], offset: int) -> Evaluator:
        try:
            wanted = model.resolve(names)
        except Unanswerable as problem:
            raise problem.at(self.text, offset) from None
        test = types.TypeTest(wanted, qualified=len(names) > 1, published=self.published)
        apply = {"is": test.test, "as": test.cast, "ofType": test.select}[operator]
        return self._guarded(operand, None, lambda items, _: apply(items), offset)

    def _call(self, node: Call) -> Evaluator:
        base = _this if node.base is None else self._open(node.base)
        if node.name in ("is", "as", "ofType"):
            return self._type_test(base, node.name, self._type_argument(node), node.offset)
        if node.name == "getReferenceKey":
            wanted = self._type_argument(node)[-1] if node.arguments else None
            return lambda frame: reference_keys(base(frame), wanted)
        if node.name == "sort":
            return self._sort(base, node)
        function = FUNCTIONS.get(node.name)
        if function is None:
            return self._user_call(base, node)
        if not function.takes(len(node.arguments)):
            raise Unanswerable(f"{node.name}() takes {function.arity} arguments, not {len(node.arguments)}").at(
                self.text, node.offset
            )
        arguments = tuple(self.evaluator(argument) for argument in node.arguments)
        if self.limited and node.name in COMPARING_FUNCTIONS:
            base = _compared(base)
        compose = self._scoped if function.scoped else self._plain
        return compose(base, function.call, arguments, node.offset)

    def _type_argument(self, node: Call) -> tuple[str, ...]:
        if len(node.arguments) == 1:
            argument = node.arguments[0]
            if isinstance(argument, Member) and argument.base is None:
                return (argument.name,)
            if isinstance(argument, Member) and isinstance(argument.base, Member) and argument.base.base is None:
                return (argument.base.name, argument.name)
        raise Unanswerable(f"{node.name}() takes the name of a type").at(self.text, node.offset)

    def _scoped(
        self, base: Evaluator, call: Callable[..., Collection], arguments: tuple[Evaluator, ...], offset: int
    ) -> Evaluator:
        text = self.text

        def evaluate(frame: Frame) -> Collection:
            try:
                return call(base(frame), frame, *arguments)
            except Unanswerable as problem:
                raise problem.at(text, offset) from None

        return evaluate

    def _plain(
        self, base: Evaluator, call: Callable[..., Collection], arguments: tuple[Evaluator, ...], offset: int
    ) -> Evaluator:
        text = self.text
        if not arguments:
            return self._scoped(base, call, arguments, offset)

        def evaluate(frame: Frame) -> Collection:
            items = base(frame)
            values = [argument(frame) for argument in arguments]
            try:
                return call(items, frame, *values)
            except Unanswerable as problem:
                raise problem.at(text, offset) from None

        return evaluate

    def _sort(self, base: Evaluator, node: Call) -> Evaluator:
        keys: list[tuple[Evaluator | None, bool]] = []
        for argument in node.arguments:
            if isinstance(argument, Ordered):
                keys.append((self.evaluator(argument.key), argument.descending))
            elif isinstance(argument, Sign) and argument.sign == "-":
                keys.append((self.evaluator(argument.operand), True))  # the older way to say descending
            else:
                keys.append((self.evaluator(argument), False))
        order = keys or [(None, False)]
        return self._scoped(base, lambda items, frame: sort(items, frame, order), (), node.offset)

    def _user_call(self, base: Evaluator, node: Call) -> Evaluator:
        arguments = tuple(self.evaluator(argument) for argument in node.arguments)
        name = node.name

        def evaluate(frame: Frame) -> Collection:
            function = frame.run.functions.get(name)
            if function is None:
                raise Unanswerable(f"there is no function {name}()").at(self.text, node.offset)
            items = [plain(item) for item in base(frame)]
            values = [[plain(item) for item in argument(frame)] for argument in arguments]
            return collection_of(function(items, *values))

        return evaluate


def _counted(evaluate: Evaluator) -> Evaluator:
    """The same function, what it gives counted."""

    def counted(frame: Frame) -> Collection:
        found = evaluate(frame)
        if frame.run.budget is not None:
            frame.run.budget.spend(1 + len(found))
        return found

    return counted


def _compared(evaluate: Evaluator) -> Evaluator:
    """The same function, what comparing its items takes counted."""

    def counted(frame: Frame) -> Collection:
        found = evaluate(frame)
        budget = frame.run.budget
        if budget is not None:
            budget.spend(weight(found, budget.left) + pairs(found))
        return found

    return counted


def _this(frame: Frame) -> Collection:
    return frame.this


def _may_be_type(name: str) -> bool:
    """Whether a name at the root can be that of a type: R4's have a capital, and its elements have none."""
    return name[:1].isupper()


def _root(name: str) -> Evaluator:
    """A name at the root: the focus itself when it is of that type, else its member."""
    member = step(name)

    def start(frame: Frame) -> Collection:
        items = frame.this
        if len(items) == 1:
            item = items[0]
            if item.__class__ is Element and (item.type == name or model.is_a(item.type, name)):
                return items
        return member(items)

    return start


def _constants(node: Node) -> list[Any] | None:
    """The values of a union of literals, such as ('active' | 'inactive')."""
    if isinstance(node, Literal):
        return [node.value]
    if not isinstance(node, Binary) or node.operator != "|":
        return None
    left, right = _constants(node.left), _constants(node.right)
    return None if left is None or right is None else [*left, *right]


def _defines(node: Node | None) -> bool:
    """Whether a path defines variables."""
    while isinstance(node, (Member, Call, Index)):
        if isinstance(node, Call) and node.name == "defineVariable":
            return True
        node = node.base
    return False


def _restoring(evaluate: Evaluator) -> Evaluator:
    """Variables that a path defines end with it."""

    def restored(frame: Frame) -> Collection:
        before = frame.variables
        found = evaluate(frame)
        frame.variables = before
        return found

    return restored
